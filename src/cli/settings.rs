//! What most commands need: the configuration, a client for the admin API of the running server, a runtime.

use std::path::{Path, PathBuf};

use secrecy::ExposeSecret;

use super::{CommandError, Exit, Output, client::AdminClient};
use crate::{
    app::{self, TOKEN_FILE},
    config::{Config, LoadedConfig, OnMissing, PLACES, VARIABLE},
    providers::xgateway::Secret,
    yaml::{Severity, Sources, render},
};

/// Returns the path of the configuration, or an error that lists the places searched.
pub fn find(given: Option<&Path>) -> Result<PathBuf, CommandError> {
    Config::find(given).ok_or_else(|| {
        let [here, etc] = PLACES;
        let text = format!(
            "there is no configuration: neither --config, nor {VARIABLE}, nor {here}, nor {etc}. `kyc-rules init DIR` writes one"
        );
        CommandError::new(Exit::Config, text)
    })
}

pub fn read(path: &Path, unfilled: OnMissing) -> Result<LoadedConfig, CommandError> {
    Config::load(path, unfilled)
        .map_err(|error| CommandError::new(Exit::Config, format!("{} cannot be read: {error}", path.display())))
}

/// Renders all diagnostics of a configuration as text.
pub fn shown(loaded: &LoadedConfig) -> String {
    render(&loaded.diagnostics, &Sources::default().file(&loaded.file, &loaded.text), false)
}

/// Loads the configuration. If it is wrong, the error has all diagnostics.
pub fn load(given: Option<&Path>) -> Result<Config, CommandError> {
    let path = find(given)?;
    let mut loaded = read(&path, OnMissing::Error)?;
    loaded.config.take().ok_or_else(|| wrong(loaded))
}

/// Loads the configuration, if there is one, for commands that need none of its secrets. Unfilled variables are
/// reported on standard error.
pub fn without_secrets(given: Option<&Path>, output: &Output) -> Result<Option<Config>, CommandError> {
    let Some(path) = Config::find(given) else { return Ok(None) };
    let mut loaded = read(&path, OnMissing::Allow)?;
    let Some(config) = loaded.config.take() else { return Err(wrong(loaded)) };
    loaded.diagnostics.retain(|one| one.code == "unfilled");
    if !loaded.diagnostics.is_empty() {
        output.note(shown(&loaded).trim_end());
    }
    Ok(Some(config))
}

fn wrong(mut loaded: LoadedConfig) -> CommandError {
    loaded.diagnostics.retain(|one| one.severity == Severity::Error);
    CommandError::new(Exit::Config, format!("the configuration is wrong\n\n{}", shown(&loaded).trim_end()))
}

pub fn first_secret(given: Option<&Path>) -> Result<Secret, CommandError> {
    let config = load(given).map_err(|failure| {
        CommandError::new(
            failure.exit,
            format!("{}\n\nWithout a configuration: --secret, or KYC_RULES_SECRET", failure.text),
        )
    })?;
    let first = config.callback.secrets.into_iter().next();
    first.ok_or_else(|| CommandError::new(Exit::Config, "the configuration has no callback.secrets"))
}

/// Loads the configuration for commands that need none of the server's secrets. Unfilled values are left out.
pub fn load_without_secrets(given: Option<&Path>) -> Result<Config, CommandError> {
    let path = find(given)?;
    let mut loaded = read(&path, OnMissing::Allow)?;
    loaded.config.take().ok_or_else(|| wrong(loaded))
}

/// Returns a client for the server that runs with this configuration. Of the secrets, the client needs only the token.
pub fn client(given: Option<&Path>) -> Result<AdminClient, CommandError> {
    client_of(&load_without_secrets(given)?)
}

pub fn client_of(config: &Config) -> Result<AdminClient, CommandError> {
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
            return Err(CommandError::new(Exit::Config, text));
        }
        None => {
            let data = app::data_dir(config).map_err(|error| CommandError::new(Exit::Config, error))?;
            let path = data.join(TOKEN_FILE);
            let missing = |error| {
                let text = format!(
                    "the server's token cannot be read from {}: {error}. Has `kyc-rules serve` been started, and can this user read the file?",
                    path.display()
                );
                CommandError::new(Exit::Unavailable, text)
            };
            std::fs::read_to_string(&path).map_err(missing)?.trim().to_owned()
        }
    };
    AdminClient::new(format!("http://{listen}"), token)
}

/// Runs an async command on a new runtime.
pub fn block_on<T>(work: impl Future<Output = Result<T, CommandError>>) -> Result<T, CommandError> {
    runtime(1)?.block_on(work)
}

pub fn runtime(threads: usize) -> Result<tokio::runtime::Runtime, CommandError> {
    use_one_tls_provider();
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads.max(1))
        .enable_all()
        .build()
        .map_err(CommandError::io("starting the runtime"))
}

/// Installs the TLS provider of the process. A second call has no effect.
fn use_one_tls_provider() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}
