//! Turns KYC callbacks of a payment provider into actions, by rules that merchants edit while the program runs.
//!
//! The modules in the order of a callback: it is received ([`http`]), verified and compared with the remembered state
//! ([`kyc`]); the [`rules`] determine the actions ([`decide`]); the [`store`] makes the decision durable before the
//! response is sent; the [`outbox`]'s jobs are sent ([`dispatch`], [`actions`]) as mails ([`template`]). Merchants test
//! their rules with [`cases`]. See `docs/ARCHITECTURE.md` for details.

pub mod app;
pub mod backtest;
pub mod channel_setup;
pub mod channels;
pub mod cli;
pub mod clock;
pub mod config;
pub mod contacts;
pub mod decide;
pub mod directory;
pub mod dispatch;
pub mod domain;
pub mod explain;
pub mod graph;
pub mod http;
pub mod judge;
pub mod outbound;
pub mod outbox;
pub mod provider;
pub mod reload_preview;
pub mod rule_tests;
pub mod rulebook;
pub mod rules;
pub mod rules_dir;
pub mod schema;
pub mod services;
pub mod shipped;
pub mod stack;
pub mod store;
pub mod telemetry;
pub mod template;
pub mod throttle;
pub mod timers;
pub mod untrusted;
pub mod yaml;
pub mod zone;
