//! The `demo` command: runs the real server on loopback without a configuration, and a simulated provider that sends
//! callbacks about several customers.
//!
//! Callbacks are signed and sent over HTTP, the printed facts come from the admin API, and mails are written as files.
//! Only the clock is advanced, because mails have a delay.

mod lives;
mod narrator;
mod provider;
mod service;

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    time::Duration,
};

use clap::Args;
use tokio::{sync::oneshot, task::JoinHandle, time::sleep};

use self::{narrator::Narrator, provider::DemoProvider, service::DemoService};
use super::{CommandError, Exit, Output, client::AdminClient, serve, settings};
use crate::{
    app::{App, AppError, AppOptions},
    clock::Clock,
    config::Config,
    providers::xgateway::Secret,
    shipped,
    telemetry::{self, LogFormat},
};

/// The preferred ports: public, admin. If either is in use, the demo binds to free ports.
const PORTS: (u16, u16) = (8080, 8081);

/// Speed of the clock after the simulated customers, relative to real time: a mail with a delay of two minutes is sent
/// after two seconds.
const SPEED: u32 = 60;

#[derive(Debug, Args)]
pub struct DemoArgs {
    /// Exit after the last simulated customer.
    #[arg(long)]
    once: bool,

    /// Keep all files in this directory, which must be empty or missing. Default: a new directory below the system's
    /// directory for temporary files.
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

impl DemoArgs {
    pub fn run(self, output: &mut Output) -> Result<(), CommandError> {
        let dir = self.directory()?;
        telemetry::start_log(LogFormat::Text, "error");
        serve::private_files();
        write_rules(&dir.join("rules"))?;
        settings::runtime(2)?.block_on(self.play(&dir, output))
    }

    fn directory(&self) -> Result<PathBuf, CommandError> {
        let Some(dir) = &self.dir else {
            let made = tempfile::Builder::new().prefix("kyc-rules-demo-").tempdir();
            return Ok(made.map_err(CommandError::io("creating a temporary directory"))?.keep());
        };
        std::fs::create_dir_all(dir).map_err(CommandError::io(format!("creating {}", dir.display())))?;
        let mut entries = std::fs::read_dir(dir).map_err(CommandError::io(format!("reading {}", dir.display())))?;
        if entries.next().is_some() {
            return Err(CommandError::new(Exit::Usage, format!("{} is not empty", dir.display())));
        }
        Ok(dir.clone())
    }

    async fn play(&self, dir: &Path, output: &mut Output) -> Result<(), CommandError> {
        let (stage, server) = start(dir).await?;
        let provider = DemoProvider::new(&stage)?;
        let mut narrator = Narrator::new(&stage, output);
        narrator.opening();
        for life in lives::all() {
            narrator.paragraph(&life, &provider).await?;
        }
        narrator.summary().await?;
        if !self.once {
            narrator.invitation(&provider).await?;
            let faster = tokio::spawn(run_faster(stage.clock.clone()));
            serve::stop_signal().await;
            faster.abort();
        }
        server.stop().await?;
        output.line(format_args!(
            "All files are in {}; remove the directory when you no longer need them.",
            dir.display()
        ));
        Ok(())
    }
}

fn write_rules(dir: &Path) -> Result<(), CommandError> {
    for (path, text) in shipped::files().iter() {
        let path = dir.join(path);
        let doing = || CommandError::io(format!("writing {}", path.display()));
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).map_err(doing())?;
        }
        std::fs::write(&path, text).map_err(doing())?;
    }
    Ok(())
}

/// The running server, with a channel to stop it.
struct DemoServer {
    stop: oneshot::Sender<()>,
    done: JoinHandle<Result<(), AppError>>,
}

impl DemoServer {
    async fn stop(self) -> Result<(), CommandError> {
        // If the server has already ended, the error is reported below.
        let _ = self.stop.send(());
        let ended = self
            .done
            .await
            .map_err(|error| CommandError::new(Exit::Failed, format!("the server panicked: {error}")))?;
        ended.map_err(serve::failure)
    }
}

async fn start(dir: &Path) -> Result<(DemoService, DemoServer), CommandError> {
    let secret_text = random_secret()?;
    let secret = Secret::new(secret_text.as_str());
    let clock = Clock::ahead();
    let app = bind(&Config::demo(dir, secret.clone()), &clock).await?;
    let client = AdminClient::new(format!("http://{}", app.admin_addr()), app.token().to_owned())?;
    let callbacks = format!("http://{}/callbacks/kyc", app.public_addr());
    let services = app.services();
    let (stop, stopped) = oneshot::channel();
    let done = tokio::spawn(app.run(async {
        // The server stops when the sender sends or is dropped.
        let _ = stopped.await;
    }));
    let server = DemoServer { stop, done };
    while services.not_ready().is_some() {
        if server.done.is_finished() {
            server.stop().await?;
            return Err(CommandError::new(Exit::Failed, "the server ended before it was ready"));
        }
        sleep(Duration::from_millis(5)).await;
    }
    Ok((DemoService { dir: dir.to_owned(), callbacks, secret, secret_text, clock, client }, server))
}

/// Binds to the preferred ports, or to free ports if those are in use.
async fn bind(config: &Config, clock: &Clock) -> Result<App, CommandError> {
    let at = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    for (public, admin) in [PORTS, (0, 0)] {
        let mut config = config.clone();
        config.callback.listen = at(public);
        config.admin.listen = at(admin);
        let settings = AppOptions { clock: clock.clone(), ..AppOptions::default() };
        match App::bind(config, settings).await {
            Err(AppError::Listen(_)) if public != 0 => {}
            bound => return bound.map_err(serve::failure),
        }
    }
    Err(CommandError::new(Exit::Unavailable, "no free port on loopback"))
}

fn random_secret() -> Result<String, CommandError> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)
        .map_err(|error| CommandError::new(Exit::Failed, format!("no random bytes: {error}")))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

async fn run_faster(clock: Clock) {
    let step = Duration::from_millis(100);
    loop {
        sleep(step).await;
        clock.advance_ms(i64::from(SPEED - 1) * 100);
    }
}
