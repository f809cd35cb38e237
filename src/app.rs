//! The whole service: what is started in which order, and how it stops.
//!
//! Listeners are bound first, so that a port in use is known at once; then the store is opened, while callbacks get 503; then
//! the rules; then workers. It stops the other way round: no new callbacks, attempts brought to their end, the store closed.
//! Shutdown is an argument: a test stops the service as a signal would.

mod engine;
mod room;

use std::{fmt, net::SocketAddr, path::Path, sync::Arc, time::Duration};

use secrecy::ExposeSecret;
use tokio::{sync::watch, task::JoinSet};

use self::engine::Engine;

use crate::{
    clock::{Clock, Timestamp},
    config::{Config, Data, ReloadTests},
    decide::Policy,
    directory::Shop,
    house::House,
    http::{
        Hosts, Limits, ListenError, Listener, TlsConfig, Token,
        admin::{self, Admin},
        callback::{self, Intake},
    },
    judge::{FailingTests, Terms},
    rulebook::{Marker, Reading, StartError},
    rules::Context,
    store::{OpenError, Recorder},
    telemetry::{ListenerRefusals, Metrics},
    ways,
};

/// Why the service can't run.
#[derive(Debug)]
pub enum AppError {
    /// The configuration says what can't be done.
    Config(String),
    /// The rules are wrong, and there are no earlier ones. The text is what the merchant reads.
    Rules(String),
    Listen(ListenError),
    Open(OpenError),
    Io(String),
}

impl fmt::Display for AppError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(text) | Self::Rules(text) | Self::Io(text) => f.write_str(text),
            Self::Listen(error) => error.fmt(f),
            Self::Open(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for AppError {}

impl From<StartError> for AppError {
    fn from(error: StartError) -> Self {
        match error {
            StartError::Wrong(text) => Self::Rules(text),
            StartError::Store(text) => Self::Io(text),
            StartError::NoRoom => Self::Io(error.to_string()),
        }
    }
}

/// The name of the token's file in the data directory.
pub const TOKEN_FILE: &str = "admin.token";

/// How the service differs from what the configuration says.
#[derive(Default)]
pub struct Settings {
    pub clock: Clock,
    /// Called for each durable record.
    pub recorder: Option<Recorder>,
    /// For tests with certificates of their own.
    pub extra_roots: Vec<Vec<u8>>,
}

/// The service, bound and not running.
pub struct App {
    config: Config,
    clock: Clock,
    recorder: Option<Recorder>,
    house: Arc<House>,
    metrics: Arc<Metrics>,
    ways: Vec<ways::Open>,
    /// The shop's API, and how long its answers are fresh, in milliseconds.
    shop: Option<(Shop, i64)>,
    token: String,
    public: Listener,
    admin: Listener,
    started_at: Timestamp,
}

impl App {
    /// Checks what can be checked without the store, and binds both listeners.
    pub async fn bind(config: Config, settings: Settings) -> Result<Self, AppError> {
        if let Some(missing) = unsupported(&config).into_iter().next() {
            return Err(AppError::Config(missing));
        }
        let data = data_dir(&config)?;
        crate::store::make_private_dir(data)
            .map_err(|error| AppError::Io(format!("making {}: {error}", data.display())))?;
        let token = match &config.admin.token {
            Some(token) => token.expose_secret().to_owned(),
            None => {
                let path = data.join(TOKEN_FILE);
                Token::load_or_create(&path).map_err(|error| AppError::Io(format!("{}: {error}", path.display())))?
            }
        };
        let tls = config.callback.tls.as_ref().map(|files| TlsConfig::load(&files.certificate, &files.key));
        let tls = tls.transpose().map_err(|error| AppError::Config(error.to_string()))?;
        let public = Listener::bind(config.callback.listen, config.callback.limits(), tls, config.callback.access())
            .await
            .map_err(AppError::Listen)?;
        let admin = Listener::bind(config.admin.listen, Limits::of(256), None, Default::default())
            .await
            .map_err(AppError::Listen)?;
        let ways = ways::open(&config, &settings.extra_roots).map_err(AppError::Config)?;
        let shop = ways::shop(&config, &settings.extra_roots).map_err(AppError::Config)?;
        let started_at = settings.clock.now();
        Ok(Self {
            config,
            clock: settings.clock,
            recorder: settings.recorder,
            house: Arc::default(),
            metrics: Arc::default(),
            ways,
            shop,
            token,
            public,
            admin,
            started_at,
        })
    }

    pub fn public_addr(&self) -> SocketAddr {
        self.public.local_addr()
    }

    pub fn admin_addr(&self) -> SocketAddr {
        self.admin.local_addr()
    }

    /// What the admin side wants to be shown.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// What the listeners see: whether callbacks are taken yet.
    pub fn house(&self) -> Arc<House> {
        Arc::clone(&self.house)
    }

    /// Serves until `shutdown`, then stops in order.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> Result<(), AppError> {
        let (stop, stopped) = watch::channel(false);
        let Self { config, clock, recorder, house, metrics, ways, shop, token, public, admin, started_at } = self;
        let refused = ListenerRefusals::new(&clock);
        let intake = Arc::new(Intake {
            path: config.callback.path.clone(),
            secrets: config.callback.secrets.clone(),
            house: Arc::clone(&house),
            metrics: Arc::clone(&metrics),
            refusals: Arc::clone(&refused.public),
            clock: clock.clone(),
        });
        let origin = config.source.clone();
        let side = Arc::new(Admin {
            house: Arc::clone(&house),
            metrics: Arc::clone(&metrics),
            refused: refused.clone(),
            token: Token::new(&token),
            hosts: Hosts::new(admin.local_addr(), &config.admin.hosts),
            clock: clock.clone(),
            started_at,
            attributes: config.directory.attributes.clone(),
            statuses: config.statuses.clone(),
            policy: Policy::of(&config),
            channels: ways::channels(&config),
            relays: ways::relays(&ways),
            patience_ms: milliseconds(config.provider.patience),
            config_changed: Box::new(move || origin.as_ref().is_some_and(|origin| origin.has_changed())),
        });
        let (public, admin) = (public.counting(refused.public), admin.counting(refused.admin));
        tracing::info!(public = %public.local_addr(), admin = %admin.local_addr(), "listening");
        let mut listeners = JoinSet::new();
        listeners.spawn(public.serve(callback::routes(intake), until(stopped.clone())));
        // The admin side stays until the end, so that what happens meanwhile can be seen.
        let (last, closed) = watch::channel(false);
        let admin_side = tokio::spawn(admin.serve(admin::routes(&side), until(closed)));

        let marker = Marker::find(data_dir(&config)?);
        let engine = Engine { config, clock, recorder, house, metrics, ways, shop, marker: marker.clone() };
        let mut shutdown = std::pin::pin!(shutdown);
        let opened = tokio::select! {
            opened = engine.open() => opened.map(Some),
            () = &mut shutdown => {
                // A judgement of the start goes on in its thread until the process ends.
                marker.stop();
                Ok(None)
            }
        };
        let result = match opened {
            Ok(Some(running)) => {
                shutdown.await;
                tracing::info!("stopping: no new callbacks, attempts are brought to their end");
                let _ = stop.send(true);
                while listeners.join_next().await.is_some() {}
                running.stop().await;
                Ok(())
            }
            Ok(None) => Ok(()),
            Err(error) => Err(error),
        };
        let _ = stop.send(true);
        let _ = last.send(true);
        while listeners.join_next().await.is_some() {}
        // Nothing of the admin side is worth waiting for longer than its own drain.
        let _ = admin_side.await;
        tracing::info!("stopped");
        result
    }
}

fn milliseconds(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

async fn until(mut stopped: watch::Receiver<bool>) {
    // A sender that is gone is a service that is gone.
    let _ = stopped.wait_for(|stop| *stop).await;
}

/// What the configuration asks for and this version can't do. It is refused: whoever names something relies on it.
pub fn unsupported(config: &Config) -> Vec<String> {
    let postgres = matches!(config.data, Data::Postgres(_));
    postgres.then(|| "data: this version keeps its data in a directory only".to_owned()).into_iter().collect()
}

/// The directory of the embedded store.
pub fn data_dir(config: &Config) -> Result<&Path, AppError> {
    match &config.data {
        Data::Directory(path) => Ok(path),
        Data::Postgres(_) => Err(AppError::Config("data: this version keeps its data in a directory only".to_owned())),
        Data::Unfilled => Err(AppError::Config("`data` names a variable or file that is not here".to_owned())),
    }
}

/// What the configuration says about reading rules.
fn reading(config: &Config, marker: Marker) -> Reading {
    Reading { dir: config.rules.clone(), terms: terms(config), blast_limit: config.reload.blast_limit, marker }
}

/// What the configuration says that a verdict about rules depends on.
pub fn terms(config: &Config) -> Terms {
    Terms {
        context: context(config),
        policy: Policy::of(config),
        failing_tests: match config.reload.tests {
            ReloadTests::Enforce => FailingTests::Refuse,
            ReloadTests::Warn => FailingTests::Warn,
        },
    }
}

/// What the configuration says that rules depend on.
pub fn context(config: &Config) -> Context {
    Context {
        configuration: config.source.as_ref().map(|origin| origin.path.display().to_string()).unwrap_or_default(),
        statuses: config.statuses.clone(),
        processing: config.processing_statuses.clone(),
        webhooks: config.webhooks.keys().cloned().collect(),
        chats: config.chats.keys().cloned().collect(),
        attributes: config.directory.attributes.clone(),
        labels: Vec::new(),
        locale: config.locale.clone(),
        brand: config.brand.clone(),
        email: config.email.is_some(),
        directory: true,
        // The configuration's own reader has warned of that.
        api_key: true,
        secret_warnings: Vec::new(),
    }
}
