//! The `doctor` command: checks everything that the service needs, and prints one line for each check.
//!
//! The checks send no mail and no webhook, and query no data of a customer.

mod around;
mod callbacks;
mod check_result;
mod dns;
mod outside;
mod sender;

use std::{net::SocketAddr, path::Path, time::Duration};

use futures_util::future::{BoxFuture, join_all};
use serde_json::json;

use self::check_result::{CheckResult, CheckStatus};
use super::{CommandError, Exit, Output, control_chars::in_one_line, settings};
use crate::config::{Config, OnMissing};

/// Timeout of one check.
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Debug, clap::Args)]
pub struct DoctorArgs {
    /// Name server for the checks of the sender's domain, instead of those of this system. Servers inside a private
    /// network may return other records than public ones.
    #[arg(long, value_name = "IP[:PORT]", value_parser = dns::server)]
    dns: Option<SocketAddr>,
}

impl DoctorArgs {
    pub fn run(&self, given: Option<&Path>, output: &mut Output) -> Result<(), CommandError> {
        let path = settings::find(given)?;
        let config = settings::load(given)?;
        let warnings = settings::read(&path, OnMissing::Error)?.diagnostics.len();
        let mut found = vec![around::configuration(&path, warnings), around::rules(given)?];
        found.extend(around::certificate(&config));
        found.push(around::disk(&config));
        found.extend(settings::block_on(async { Ok(look_outside(&config, self.dns).await) })?);
        let failed = found.iter().filter(|one| one.health == CheckStatus::Fail).count();
        let shape = |one: &CheckResult| json!({"check": one.what, "result": one.health.name(), "said": one.said});
        let width = found.iter().map(|one| one.what.chars().count()).max().unwrap_or_default();
        let line =
            |one: &CheckResult| format!("{:<4}  {:<width$}  {}", one.health.name(), one.what, in_one_line(&one.said));
        let lines: Vec<String> = found.iter().map(line).collect();
        let checks: Vec<_> = found.iter().map(shape).collect();
        output.json_or_text(&json!({"checks": checks, "failed": failed}), lines.join("\n"));
        if failed > 0 { Err(CommandError::new(Exit::Unavailable, "")) } else { Ok(()) }
    }
}

/// Runs all checks that need a connection, concurrently.
async fn look_outside(config: &Config, name_server: Option<SocketAddr>) -> Vec<CheckResult> {
    let sender = sender::domain(config);
    let mut looks: Vec<(String, BoxFuture<'_, CheckResult>)> = vec![
        ("clock".to_owned(), Box::pin(outside::clock(config))),
        ("mail".to_owned(), Box::pin(outside::mail(config))),
    ];
    if let Some(domain) = &sender {
        looks.push(("spf".to_owned(), Box::pin(sender::spf(domain, name_server))));
        looks.push(("dmarc".to_owned(), Box::pin(sender::dmarc(domain, name_server))));
    }
    looks.push(("provider".to_owned(), Box::pin(outside::provider(config))));
    if config.directory.lookup.is_some() {
        looks.push(("directory".to_owned(), Box::pin(outside::directory(config))));
    }
    for (name, url, private) in outside::targets(config) {
        looks.push((name.clone(), Box::pin(outside::target(name, url, private))));
    }
    let bounded = looks.into_iter().map(|(what, look)| async move {
        let late = |_| CheckResult::fail(what, format!("timed out after {} seconds", PATIENCE.as_secs()));
        tokio::time::timeout(PATIENCE, look).await.unwrap_or_else(late)
    });
    let server = tokio::time::timeout(PATIENCE, around::server(config));
    let (server, others) = futures_util::future::join(server, join_all(bounded)).await;
    let late = |_| vec![CheckResult::fail("server", format!("timed out after {} seconds", PATIENCE.as_secs()))];
    let mut found = server.unwrap_or_else(late);
    found.extend(others);
    found
}
