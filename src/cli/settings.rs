//! What most commands need: the configuration, a client for the admin API of the running server, a runtime.

use std::path::{Path, PathBuf};

use secrecy::ExposeSecret;

use super::{Exit, Failure, Output, client::Client};
use crate::{
    app::{self, TOKEN_FILE},
    config::{Config, Loaded, PLACES, Unfilled, VARIABLE},
    kyc::Secret,
    source::{Severity, Sources, render},
};

/// Returns the path of the configuration, or an error that lists the places searched.
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
        .map_err(|error| Failure::new(Exit::Config, format!("{} cannot be read: {error}", path.display())))
}

/// Renders all diagnostics of a configuration as text.
pub fn shown(loaded: &Loaded) -> String {
    render(&loaded.diagnostics, &Sources::default().file(&loaded.file, &loaded.text), false)
}

/// Loads the configuration. If it is wrong, the error has all diagnostics.
pub fn load(given: Option<&Path>) -> Result<Config, Failure> {
    let path = find(given)?;
    let mut loaded = read(&path, Unfilled::Error)?;
    loaded.config.take().ok_or_else(|| wrong(loaded))
}

/// Loads the configuration, if there is one, for commands that need none of its secrets. Unfilled variables are
/// reported on standard error.
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

/// Loads the configuration for commands that need none of the server's secrets. Unfilled values are left out.
pub fn load_without_secrets(given: Option<&Path>) -> Result<Config, Failure> {
    let path = find(given)?;
    let mut loaded = read(&path, Unfilled::Allow)?;
    loaded.config.take().ok_or_else(|| wrong(loaded))
}

/// Returns a client for the server that runs with this configuration. Of the secrets, the client needs only the token.
pub fn client(given: Option<&Path>) -> Result<Client, Failure> {
    client_of(&load_without_secrets(given)?)
}

pub fn client_of(config: &Config) -> Result<Client, Failure> {
    let mut listen = config.admin.listen;
    // A server that listens on all addresses is reached by the loopback address.
    if listen.ip().is_unspecified() {
        listen.set_ip(if listen.is_ipv4() { [127, 0, 0, 1].into() } else { [0, 0, 0, 0, 0, 0, 0, 1_u16].into() });
    }
    let token = match &config.admin.token {
        Some(token) => token.expose_secret().to_owned(),
        None if config.admin.token_unfilled => {
            let text = "`admin.token` names a variable or file that is missing here, and the server requires the token; set it \
                        for this command, too";
            return Err(Failure::new(Exit::Config, text));
        }
        None => {
            let data = app::data_dir(config).map_err(|error| Failure::new(Exit::Config, error))?;
            let path = data.join(TOKEN_FILE);
            let missing = |error| {
                let text = format!(
                    "the server's token cannot be read from {}: {error}. Has `kyc-rules serve` been started, and can this user read the file?",
                    path.display()
                );
                Failure::new(Exit::Unavailable, text)
            };
            std::fs::read_to_string(&path).map_err(missing)?.trim().to_owned()
        }
    };
    Client::new(format!("http://{listen}"), token)
}

/// Runs an async command on a new runtime.
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

/// Installs the TLS provider of the process. A second call has no effect.
fn use_one_tls_provider() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}
