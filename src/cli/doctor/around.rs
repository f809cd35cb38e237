//! Checks on this machine: the configuration, the rules, the certificate, the disk, and the server if it runs.

use std::path::Path;

use serde_json::Value;

use super::{CheckResult, callbacks};
use crate::{
    app,
    cli::{CommandError, check::counted, settings, workspace::Workspace},
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
            let callbacks = callbacks::look(&status, Clock::default().now());
            std::iter::once(judged(&status)).chain(callbacks).collect()
        }
        Err(found) => vec![found],
    }
}

/// Returns the server's status, or a result that says why there is none.
async fn status(config: &Config) -> Result<Value, CheckResult> {
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

fn judged(status: &Value) -> CheckResult {
    let running = format!("version {} runs", status["version"].as_str().unwrap_or("?"));
    if status["ready"] == false {
        return CheckResult::fail("server", format!("{running}, but does not accept callbacks: see `/readyz`"));
    }
    if status["clock_in_doubt"] == true {
        return CheckResult::fail("server", format!("{running}; its clock has jumped: `kyc-rules resume --clock`"));
    }
    if let Some(error) = status["rules"]["error"]["text"].as_str() {
        let first = error.lines().next().unwrap_or_default();
        return CheckResult::fail(
            "server",
            format!("{running}; the rules on the disk are rejected (see `kyc-rules status`): {first}"),
        );
    }
    let mut odd = Vec::new();
    let problems = status["jobs"]["problem"].as_u64().and_then(|count| usize::try_from(count).ok()).unwrap_or_default();
    if problems > 0 {
        odd.push(format!("{}: `kyc-rules problems`", counted(problems, "problem")));
    }
    if let Some(count @ 1..) = status["provider"]["unanswered"].as_u64().and_then(|count| usize::try_from(count).ok()) {
        odd.push(format!("callbacks of {} are unanswered: `kyc-rules problems`", counted(count, "customer")));
    }
    let late = status["provider"]["unanswered_timers"].as_u64().and_then(|count| usize::try_from(count).ok());
    if let Some(count @ 1..) = late {
        odd.push(format!(
            "due timers of {} wait for the provider's API: `kyc-rules problems`",
            counted(count, "customer")
        ));
    }
    for round in status["provider"]["reconcile"].as_array().into_iter().flatten() {
        if let Some(failed @ 1..) = round["failed"].as_u64().and_then(|count| usize::try_from(count).ok()) {
            odd.push(format!(
                "the last round of `provider.reconcile` has no answer about {}",
                counted(failed, "customer")
            ));
        }
    }
    if let Some(error) = status["provider"]["error"].as_str() {
        odd.push(format!("the provider's API gives no usable answer: {error}"));
    }
    let paused = ["rules", "channels"].iter().flat_map(|what| status["paused"][what].as_object());
    let paused: Vec<&str> = paused.flat_map(|all| all.keys().map(String::as_str)).collect();
    if !paused.is_empty() {
        odd.push(format!("paused: {}", paused.join(", ")));
    }
    for relay in status["relays"].as_array().into_iter().flatten() {
        let text = |key: &str| relay[key].as_str().unwrap_or_default();
        odd.push(format!("no {} leaves since {}: {}", text("channel"), text("since"), text("reason")));
    }
    if status["config_changed"] == true {
        odd.push("the configuration has changed since the start".to_owned());
    }
    match odd.is_empty() {
        true => CheckResult::ok("server", running),
        false => CheckResult::warn("server", format!("{running}; {}", odd.join("; "))),
    }
}
