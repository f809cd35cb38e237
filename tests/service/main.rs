//! All integration tests, in one test program: it is linked once, and its tests share the cores.
//!
//! A module holds the tests of one subject: `cargo test --test service brake::` runs the tests of `brake.rs`. The tests
//! run at the same time in one process. So a test changes no environment variable, working directory, resource limit,
//! panic hook or log subscriber of that process; it sets them for a child process. An exception is rustls: each caller
//! installs the same provider, and only the first call has an effect.

mod support;

mod architecture;
mod attack;
mod brake;
mod channels;
mod chat;
mod command_line;
mod config;
mod confirm;
mod crash;
mod data_directory;
mod diagnostics;
mod doctor;
mod email;
mod graph;
mod history;
mod hostile_files;
mod import;
mod judge;
mod listener;
mod lookup;
mod postfix;
mod power_cuts;
mod problems;
mod readme;
mod relay;
mod reload;
mod rule_tests;
mod schema;
mod store;
mod store_format;
mod time_zones;
mod timers;
mod unanswered;
mod webhook;
mod whole_path;
