//! Checks on this machine: the configuration, the rules, the certificate, the disk, and the server if it runs.

use std::path::Path;

use super::{CheckResult, callbacks};
use crate::{
    api::status::{RelayStatus, StatusResponse},
    app,
    cli::{CommandError, check::counted, client::Original, settings, workspace::Workspace},
    clock::Clock,
    config::Config,
    http::TlsConfig,
    rule_tests::TestResults,
    store,
    yaml::Severity,
};

pub fn configuration(path: &Path, warnings: usize) -> CheckResult {
    let path = path.display();
    match warnings {
        0 => CheckResult::ok("config", path.to_string()),
        some => CheckResult::warn(
            "config",
            format!("{path}: {}; run `kyc-rules check` for details", counted(some, "warning")),
        ),
    }
}

pub fn rules(given: Option<&Path>) -> Result<CheckResult, CommandError> {
    let offline = Workspace::judged(given, None)?;
    let (dir, errors) = (offline.dir(), offline.count(Severity::Error));
    let failing = offline.results.as_ref().map_or(0, TestResults::failed);
    Ok(match &offline.rules {
        Some(_) if errors == 0 && failing > 0 => {
            let text = format!("{dir}: {}; run `kyc-rules test` for details", counted(failing, "failing test"));
            CheckResult::warn("rules", text)
        }
        Some(rules) if errors == 0 => {
            CheckResult::ok("rules", format!("{dir}: {}", counted(rules.rules().len(), "rule")))
        }
        _ => CheckResult::fail(
            "rules",
            format!("{dir}: {}; run `kyc-rules check` for details", counted(errors, "error")),
        ),
    })
}

/// Checks the certificate of the public listener, if it has one.
pub fn certificate(config: &Config) -> Option<CheckResult> {
    let files = config.callback.tls.as_ref()?;
    Some(match TlsConfig::load(&files.certificate, &files.key) {
        Ok(_) => CheckResult::ok("callback.tls", files.certificate.display().to_string()),
        Err(error) => CheckResult::fail("callback.tls", error.to_string()),
    })
}

/// Checks that the data directory is writable and has free space.
pub fn disk(config: &Config) -> CheckResult {
    let data = match app::data_dir(config) {
        Ok(data) => data,
        Err(error) => return CheckResult::fail("disk", error.to_string()),
    };
    // Before the first start the directory does not exist; then the check uses the nearest directory above it.
    let Some(there) =
        std::path::absolute(data).ok().and_then(|path| path.ancestors().find(|path| path.exists()).map(Path::to_owned))
    else {
        return CheckResult::fail("disk", format!("{} cannot be checked", data.display()));
    };
    let shown = data.display();
    if !there.is_dir() {
        return CheckResult::fail(
            "disk",
            format!("{}: is not a directory, but `data` needs one there", there.display()),
        );
    }
    if let Err(error) = rustix::fs::access(&there, rustix::fs::Access::WRITE_OK) {
        return CheckResult::fail("disk", format!("{}: this user cannot write there: {error}", there.display()));
    }
    let free = match rustix::fs::statvfs(&there) {
        Ok(stat) => stat.f_bavail.saturating_mul(stat.f_frsize),
        Err(error) => return CheckResult::fail("disk", format!("{shown}: {error}")),
    };
    let (least, said) = (config.store.min_free_bytes, format!("{shown}: {} free", megabytes(free)));
    if free < least {
        CheckResult::fail("disk", format!("{said}; callbacks are refused below {}", megabytes(least)))
    } else if free < least.saturating_mul(4) {
        CheckResult::warn("disk", format!("{said}; callbacks are refused below {}", megabytes(least)))
    } else {
        CheckResult::ok("disk", said)
    }
}

fn megabytes(bytes: u64) -> String {
    match bytes >> 20 {
        small @ 0..10_000 => format!("{small} MB"),
        large => format!("{} GB", large >> 10),
    }
}

/// Checks the state of the running server, and the callbacks that it has rejected.
pub async fn server(config: &Config) -> Vec<CheckResult> {
    match status(config).await {
        Ok(status) => {
            let callbacks =
                status.callbacks.as_ref().and_then(|counts| callbacks::look(counts, Clock::default().now()));
            std::iter::once(judged(&status)).chain(callbacks).collect()
        }
        Err(found) => vec![found],
    }
}

/// Returns the server's status, or a result that says why there is none.
async fn status(config: &Config) -> Result<Original<StatusResponse>, CheckResult> {
    let listen = config.admin.listen;
    let client = match settings::client_of(config) {
        Ok(client) => client,
        // A missing token means that the server has not been started yet.
        Err(failure) => return Err(CheckResult::warn("server", failure.text)),
    };
    client.get("status").await.map_err(|failure| match failure {
        failure if failure.exit == crate::cli::Exit::Unavailable => match app::data_dir(config) {
            Ok(data) if store::is_in_use(data) => CheckResult::fail(
                "server",
                format!(
                    "no server answers at {listen}, but a process holds {}: it runs with another `admin.listen`",
                    data.display()
                ),
            ),
            _ => {
                CheckResult::warn("server", format!("no server answers at {listen}: `kyc-rules serve` is not running"))
            }
        },
        failure => CheckResult::fail("server", format!("{listen}: {}", failure.text)),
    })
}

fn judged(status: &StatusResponse) -> CheckResult {
    let StatusResponse { version, provider, paused, .. } = status;
    let running = format!("version {version} runs");
    if !status.ready {
        return CheckResult::fail("server", format!("{running}, but does not accept callbacks: see `/readyz`"));
    }
    if status.clock_in_doubt {
        return CheckResult::fail("server", format!("{running}; its clock has jumped: `kyc-rules resume --clock`"));
    }
    if let Some(error) = &status.rules.error {
        let first = error.text.lines().next().unwrap_or_default();
        return CheckResult::fail(
            "server",
            format!("{running}; the rules on the disk are rejected (see `kyc-rules status`): {first}"),
        );
    }
    let counted = |count: u64, what: &str| counted(usize::try_from(count).unwrap_or(usize::MAX), what);
    let mut odd = Vec::new();
    if status.jobs.problem > 0 {
        odd.push(format!("{}: `kyc-rules problems`", counted(status.jobs.problem, "problem")));
    }
    if provider.unanswered > 0 {
        let customers = counted(provider.unanswered, "customer");
        odd.push(format!("callbacks of {customers} are unanswered: `kyc-rules problems`"));
    }
    if provider.unanswered_timers > 0 {
        let customers = counted(provider.unanswered_timers, "customer");
        odd.push(format!("due timers of {customers} wait for the provider's API: `kyc-rules problems`"));
    }
    for round in provider.reconcile.iter().filter(|round| round.failed > 0) {
        let customers = counted(round.failed, "customer");
        odd.push(format!("the last round of `provider.reconcile` has no answer about {customers}"));
    }
    if let Some(error) = &provider.error {
        odd.push(format!("the provider's API gives no usable answer: {error}"));
    }
    let paused: Vec<&str> = paused.rules.keys().chain(paused.channels.keys()).map(String::as_str).collect();
    if !paused.is_empty() {
        odd.push(format!("paused: {}", paused.join(", ")));
    }
    for RelayStatus { channel, since, reason, .. } in &status.relays {
        odd.push(format!("no {channel} has been sent since {since}: {reason}"));
    }
    if status.config_changed {
        odd.push("the configuration has changed since the start".to_owned());
    }
    match odd.is_empty() {
        true => CheckResult::ok("server", running),
        false => CheckResult::warn("server", format!("{running}; {}", odd.join("; "))),
    }
}
