//! From the command line to what it means: the configuration, a running server's admin side, a runtime.

use std::path::{Path, PathBuf};

use secrecy::ExposeSecret;

use super::{Exit, Failure, Output, client::Client};
use crate::{
    app::{self, TOKEN_FILE},
    config::{Config, Loaded, PLACES, Unfilled, VARIABLE},
    kyc::Secret,
    source::{Severity, Sources, render},
};

/// Where the configuration is.
pub fn find(given: Option<&Path>) -> Result<PathBuf, Failure> {
    Config::find(given).ok_or_else(|| {
        let [here, etc] = PLACES;
        let text = format!(
            "there is no configuration: neither --config, nor {VARIABLE}, nor {here}, nor {etc}. `kyc-rules init DIR` writes one"
        );
        Failure::new(Exit::Config, text)
    })
}

pub fn read(path: &Path, unfilled: Unfilled) -> Result<Loaded, Failure> {
    Config::load(path, unfilled)
        .map_err(|error| Failure::new(Exit::Config, format!("{} can't be read: {error}", path.display())))
}

/// Everything that is said about a configuration, as a merchant reads it.
pub fn shown(loaded: &Loaded) -> String {
    render(&loaded.diagnostics, &Sources::default().file(&loaded.file, &loaded.text), false)
}

/// The configuration; wrong, it is a failure that says everything that is.
pub fn load(given: Option<&Path>) -> Result<Config, Failure> {
    let path = find(given)?;
    let mut loaded = read(&path, Unfilled::Error)?;
    loaded.config.take().ok_or_else(|| wrong(loaded))
}

/// The configuration, if there is one, for commands that need none of its secrets. What is not filled in is noted.
pub fn without_secrets(given: Option<&Path>, output: &Output) -> Result<Option<Config>, Failure> {
    let Some(path) = Config::find(given) else { return Ok(None) };
    let mut loaded = read(&path, Unfilled::Allow)?;
    let Some(config) = loaded.config.take() else { return Err(wrong(loaded)) };
    loaded.diagnostics.retain(|one| one.code == "unfilled");
    if !loaded.diagnostics.is_empty() {
        output.note(shown(&loaded).trim_end());
    }
    Ok(Some(config))
}

fn wrong(mut loaded: Loaded) -> Failure {
    loaded.diagnostics.retain(|one| one.severity == Severity::Error);
    Failure::new(Exit::Config, format!("the configuration is wrong\n\n{}", shown(&loaded).trim_end()))
}

pub fn first_secret(given: Option<&Path>) -> Result<Secret, Failure> {
    let config = load(given).map_err(|failure| {
        Failure::new(
            failure.exit,
            format!("{}\n\nWithout a configuration: --secret, or KYC_RULES_SECRET", failure.text),
        )
    })?;
    let first = config.callback.secrets.into_iter().next();
    first.ok_or_else(|| Failure::new(Exit::Config, "the configuration has no callback.secrets"))
}

/// The configuration for what needs none of the server's secrets: what is not filled in is left out of it.
pub fn load_without_secrets(given: Option<&Path>) -> Result<Config, Failure> {
    let path = find(given)?;
    let mut loaded = read(&path, Unfilled::Allow)?;
    loaded.config.take().ok_or_else(|| wrong(loaded))
}

/// The admin side of the server that runs with this configuration. Whoever asks the server something needs none of its secrets
/// but the token.
pub fn client(given: Option<&Path>) -> Result<Client, Failure> {
    client_of(&load_without_secrets(given)?)
}

pub fn client_of(config: &Config) -> Result<Client, Failure> {
    let mut listen = config.admin.listen;
    // Who listens everywhere is called by the loopback.
    if listen.ip().is_unspecified() {
        listen.set_ip(if listen.is_ipv4() { [127, 0, 0, 1].into() } else { [0, 0, 0, 0, 0, 0, 0, 1_u16].into() });
    }
    let token = match &config.admin.token {
        Some(token) => token.expose_secret().to_owned(),
        None if config.admin.token_unfilled => {
            let text = "`admin.token` names a variable or file that is not here, and without the token the server answers \
                        nobody; set it for this command, too";
            return Err(Failure::new(Exit::Config, text));
        }
        None => {
            let data = app::data_dir(config).map_err(|error| Failure::new(Exit::Config, error))?;
            let path = data.join(TOKEN_FILE);
            let missing = |error| {
                let text = format!(
                    "the server's token can't be read from {}: {error}. Has `kyc-rules serve` been started, and may this user read it?",
                    path.display()
                );
                Failure::new(Exit::Unavailable, text)
            };
            std::fs::read_to_string(&path).map_err(missing)?.trim().to_owned()
        }
    };
    Client::new(format!("http://{listen}"), token)
}

/// Runs a command that waits for something.
pub fn block_on<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    runtime(1)?.block_on(work)
}

pub fn runtime(threads: usize) -> Result<tokio::runtime::Runtime, Failure> {
    use_one_tls_provider();
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads.max(1))
        .enable_all()
        .build()
        .map_err(Failure::io("starting the runtime"))
}

/// There is one in the whole program; who comes second finds it set.
fn use_one_tls_provider() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}
