//! KYC callbacks of a payment provider, turned into actions by rules that merchants edit while it runs.
//!
//! Read in this order, the modules tell the story of a callback: it comes in ([`http`]), is verified and held against what is
//! remembered ([`kyc`]), the [`rules`] say what to do about it ([`decide`]), the [`store`] makes that last before anybody is
//! answered, and the [`outbox`]'s jobs go out ([`dispatch`], [`actions`]) as mails ([`template`]). What merchants test their
//! rules with is in [`cases`]. `docs/ARCHITECTURE.md` is the longer story.

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
