//! The `serve` command: runs the service until SIGTERM or SIGINT.

use std::path::Path;

use tokio::signal::unix::{SignalKind, signal};

use super::{CommandError, Exit, settings};
use crate::{
    app::{App, AppError, AppOptions},
    store::OpenError,
    telemetry,
};

pub fn run(given: Option<&Path>) -> Result<(), CommandError> {
    let config = settings::load(given)?;
    telemetry::start_log(config.log.format, &config.log.level);
    private_files();
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    let runtime = settings::runtime(threads)?;
    let served = runtime.block_on(async {
        let app = App::bind(config, AppOptions::default()).await.map_err(failure)?;
        app.run(stop_signal()).await.map_err(failure)
    });
    // Does not wait for tasks that still run, for example a name lookup that hangs.
    runtime.shutdown_background();
    served
}

/// Sets the umask so that files of this process are accessible to their owner only.
pub fn private_files() {
    use rustix::fs::Mode;
    rustix::process::umask(Mode::RWXG | Mode::RWXO);
}

/// Resolves on SIGTERM or SIGINT.
pub async fn stop_signal() {
    let (Ok(mut term), Ok(mut int)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt())) else {
        tracing::error!("cannot receive signals; the service runs until it is killed");
        return std::future::pending().await;
    };
    tokio::select! {
        _ = term.recv() => {}
        _ = int.recv() => {}
    }
}

pub fn failure(error: AppError) -> CommandError {
    let exit = match &error {
        AppError::Config(_) | AppError::Rules(_) => Exit::Config,
        AppError::Listen(_) | AppError::Open(OpenError::Locked(_)) => Exit::Unavailable,
        AppError::Open(_) | AppError::Io(_) => Exit::Io,
    };
    let text = match error {
        AppError::Rules(text) => {
            format!("the rules are wrong, and there are no earlier ones to run\n\n{}", text.trim_end())
        }
        other => other.to_string(),
    };
    CommandError::new(exit, text)
}
