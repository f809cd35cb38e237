//! Turns KYC callbacks of a payment provider into actions, by rules that merchants edit while the program runs.
//!
//! The modules below stand in the order of a callback. See `docs/ARCHITECTURE.md` for details. A module is public only if
//! the binary, an example, a test or a benchmark uses it.

// 1. A callback arrives, is parsed and verified.
pub mod http;
pub mod providers;

// 2. It is compared with the remembered customer, and the merchant's rules give the actions.
pub mod decide;
pub mod domain;
pub mod rules;

// 3. The decision is durable before the response is sent.
pub mod outbox;
pub mod store;

// 4. The jobs are sent.
pub mod channel_setup;
pub mod channels;
pub mod dispatch;
pub mod outbound;
pub mod template;
pub(crate) mod throttle;

// 5. The work beside callbacks: timers, questions to the provider's API, contacts from the merchant's directory.
pub(crate) mod contacts;
pub(crate) mod directory;
pub(crate) mod provider;
pub mod timers;

// 6. The rules directory: read, tested, judged, and reloaded while the program runs.
pub mod judge;
pub(crate) mod reload_preview;
pub mod rule_tests;
pub(crate) mod rulebook;
pub mod rules_dir;
pub mod schema;
pub mod shipped;
pub mod yaml;

// 7. Explanations for merchants and operators.
pub(crate) mod backtest;
pub mod explain;
pub(crate) mod graph;

// 8. The program: configuration, start and stop, command line, logs and metrics.
pub(crate) mod api;
pub mod app;
pub mod cli;
pub mod config;
pub(crate) mod services;
pub mod telemetry;

// 9. Foundations.
pub mod clock;
pub(crate) mod stack;
pub(crate) mod untrusted;
pub(crate) mod zone;
