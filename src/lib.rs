//! Turns KYC callbacks of a payment provider into actions, by rules that merchants edit while the program runs.
//!
//! The modules in the order of a callback: it is received ([`http`]), verified and compared with the remembered state
//! ([`kyc`]); the [`rules`] determine the actions ([`decide`]); the [`store`] makes the decision durable before the
//! response is sent; the [`outbox`]'s jobs are sent ([`dispatch`], [`actions`]) as mails ([`template`]). Merchants test
//! their rules with [`cases`]. See `docs/ARCHITECTURE.md` for details.

pub mod actions;
pub mod app;
pub mod backtest;
pub mod cases;
pub mod cli;
pub mod clock;
pub mod config;
pub mod contacts;
pub mod decide;
pub mod directory;
pub mod dispatch;
pub mod explain;
pub mod graph;
pub mod house;
pub mod http;
pub mod impact;
pub mod judge;
pub mod kyc;
pub mod outbound;
pub mod outbox;
pub mod pace;
pub mod provider;
pub mod rulebook;
pub mod rules;
pub mod rules_dir;
pub mod schema;
pub mod shipped;
pub mod source;
pub mod stack;
pub mod store;
pub mod telemetry;
pub mod template;
pub mod timers;
pub mod untrusted;
pub mod ways;
pub mod zone;
