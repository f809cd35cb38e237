//! The whole service: the order in which its parts start and stop.
//!
//! The listeners are bound first, so that a port in use is reported at once. Then the store opens, while callbacks are
//! answered with 503; then the rules are loaded, then the workers start. Shutdown has the reverse order: the listener
//! stops accepting callbacks, running attempts finish, the store closes. Shutdown is an argument, so that a test can
//! stop the service as a signal does.

mod disk_space;
mod startup;

use std::{fmt, net::SocketAddr, path::Path, sync::Arc, time::Duration};

use secrecy::ExposeSecret;
use tokio::{sync::watch, task::JoinSet};

use self::startup::Startup;

use crate::{
    channel_setup,
    clock::{Clock, Timestamp},
    config::{Config, DataConfig, ReloadTests},
    decide::Policy,
    directory::ShopApi,
    http::{
        AdminToken, AllowedHosts, ListenError, Listener, ListenerLimits, TlsConfig,
        admin::{self, AdminContext},
        callback::{self, CallbackContext},
    },
    judge::{FailingTests, JudgeOptions},
    rulebook::{JudgingMarker, RulesSource, StartError},
    rules::Environment,
    services::Services,
    store::{OpenError, Recorder},
    telemetry::{ListenerRefusals, Metrics},
};

/// The reason why the service cannot run.
#[derive(Debug)]
pub enum AppError {
    /// The configuration asks for something that cannot be done.
    Config(String),
    /// The rules are wrong, and there are no earlier ones. The text is shown to the operator.
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

/// The file name of the admin token in the data directory.
pub const TOKEN_FILE: &str = "admin.token";

/// Settings that the configuration file does not contain.
#[derive(Default)]
pub struct AppOptions {
    pub clock: Clock,
    /// Called for each durable record.
    pub recorder: Option<Recorder>,
    /// Additional root certificates in PEM, for tests.
    pub extra_roots: Vec<Vec<u8>>,
}

/// The service with both listeners bound, before it runs.
pub struct App {
    config: Config,
    clock: Clock,
    recorder: Option<Recorder>,
    services: Arc<Services>,
    metrics: Arc<Metrics>,
    ways: Vec<channel_setup::ChannelSetup>,
    /// The client of the merchant's directory, and how long its answers stay fresh, in milliseconds.
    shop: Option<(ShopApi, i64)>,
    token: String,
    public: Listener,
    admin: Listener,
    started_at: Timestamp,
}

impl App {
    /// Checks everything that can be checked without the store, and binds both listeners.
    pub async fn bind(config: Config, settings: AppOptions) -> Result<Self, AppError> {
        if let Some(missing) = unsupported(&config).into_iter().next() {
            return Err(AppError::Config(missing));
        }
        let data = data_dir(&config)?;
        crate::store::make_private_dir(data)
            .map_err(|error| AppError::Io(format!("creating {}: {error}", data.display())))?;
        let token = match &config.admin.token {
            Some(token) => token.expose_secret().to_owned(),
            None => {
                let path = data.join(TOKEN_FILE);
                AdminToken::load_or_create(&path)
                    .map_err(|error| AppError::Io(format!("{}: {error}", path.display())))?
            }
        };
        let tls = config.callback.tls.as_ref().map(|files| TlsConfig::load(&files.certificate, &files.key));
        let tls = tls.transpose().map_err(|error| AppError::Config(error.to_string()))?;
        let public = Listener::bind(config.callback.listen, config.callback.limits(), tls, config.callback.access())
            .await
            .map_err(AppError::Listen)?;
        let admin = Listener::bind(config.admin.listen, ListenerLimits::of(256), None, Default::default())
            .await
            .map_err(AppError::Listen)?;
        let ways = channel_setup::start(config.channels(), &settings.extra_roots).map_err(AppError::Config)?;
        let shop = channel_setup::shop(&config, &settings.extra_roots).map_err(AppError::Config)?;
        let started_at = settings.clock.now();
        Ok(Self {
            config,
            clock: settings.clock,
            recorder: settings.recorder,
            services: Arc::default(),
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

    /// The token that callers of the admin side must send.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// The state that the listeners share with the service; it shows whether callbacks are accepted yet.
    pub fn services(&self) -> Arc<Services> {
        Arc::clone(&self.services)
    }

    /// Serves until `shutdown` resolves, then stops all parts in order.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> Result<(), AppError> {
        let (stop, stopped) = watch::channel(false);
        let Self { config, clock, recorder, services, metrics, ways, shop, token, public, admin, started_at } = self;
        let refused = ListenerRefusals::new(&clock);
        let intake = Arc::new(CallbackContext {
            path: config.callback.path.clone(),
            secrets: config.callback.secrets.clone(),
            services: Arc::clone(&services),
            metrics: Arc::clone(&metrics),
            refusals: Arc::clone(&refused.public),
            clock: clock.clone(),
        });
        let origin = config.source.clone();
        let side = Arc::new(AdminContext {
            services: Arc::clone(&services),
            metrics: Arc::clone(&metrics),
            refused: refused.clone(),
            token: AdminToken::new(&token),
            hosts: AllowedHosts::new(admin.local_addr(), &config.admin.hosts),
            clock: clock.clone(),
            started_at,
            attributes: config.directory.attributes.clone(),
            statuses: config.statuses.clone(),
            policy: Policy::of(&config),
            channels: channel_setup::set_up(&config),
            relays: channel_setup::relays(&ways),
            patience_ms: milliseconds(config.provider.patience),
            config_changed: Box::new(move || origin.as_ref().is_some_and(|origin| origin.has_changed())),
        });
        let (public, admin) = (public.counting(refused.public), admin.counting(refused.admin));
        tracing::info!(public = %public.local_addr(), admin = %admin.local_addr(), "listening");
        let mut listeners = JoinSet::new();
        listeners.spawn(public.serve(callback::routes(intake), until(stopped.clone())));
        // The admin side runs until the end, so that the shutdown can be observed.
        let (last, closed) = watch::channel(false);
        let admin_side = tokio::spawn(admin.serve(admin::routes(&side), until(closed)));

        let marker = JudgingMarker::find(data_dir(&config)?);
        let engine = Startup { config, clock, recorder, services, metrics, ways, shop, marker: marker.clone() };
        let mut shutdown = std::pin::pin!(shutdown);
        let opened = tokio::select! {
            opened = engine.open() => opened.map(Some),
            () = &mut shutdown => {
                // A check of the rules that runs in its own thread continues until the process ends.
                marker.stop();
                Ok(None)
            }
        };
        let result = match opened {
            Ok(Some(running)) => {
                shutdown.await;
                tracing::info!("stopping: no new callbacks are accepted, running attempts finish");
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
        // The admin side gets no more time than its own drain timeout.
        let _ = admin_side.await;
        tracing::info!("stopped");
        result
    }
}

fn milliseconds(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

async fn until(mut stopped: watch::Receiver<bool>) {
    // `wait_for` fails if the sender is dropped: the service has ended then, too.
    let _ = stopped.wait_for(|stop| *stop).await;
}

/// Returns what the configuration asks for and this version cannot do. The start fails for each such setting, because
/// the operator relies on it.
pub fn unsupported(config: &Config) -> Vec<String> {
    let postgres = matches!(config.data, DataConfig::Postgres(_));
    postgres.then(|| "data: this version keeps its data in a directory only".to_owned()).into_iter().collect()
}

/// The directory of the embedded store.
pub fn data_dir(config: &Config) -> Result<&Path, AppError> {
    match &config.data {
        DataConfig::Directory(path) => Ok(path),
        DataConfig::Postgres(_) => {
            Err(AppError::Config("data: this version keeps its data in a directory only".to_owned()))
        }
        DataConfig::Unfilled => {
            Err(AppError::Config("`data` names a variable or a file that does not exist".to_owned()))
        }
    }
}

/// The settings for reading the rules.
fn reading(config: &Config, marker: JudgingMarker) -> RulesSource {
    RulesSource { dir: config.rules.clone(), terms: terms(config), blast_limit: config.reload.blast_limit, marker }
}

/// The settings that the check of a rule set depends on.
pub fn terms(config: &Config) -> JudgeOptions {
    JudgeOptions {
        context: context(config),
        policy: Policy::of(config),
        failing_tests: match config.reload.tests {
            ReloadTests::Enforce => FailingTests::Refuse,
            ReloadTests::Warn => FailingTests::Warn,
        },
    }
}

/// The settings that the rules themselves depend on.
pub fn context(config: &Config) -> Environment {
    Environment {
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
        // The reader of the configuration has already warned about a missing key.
        api_key: true,
        secret_warnings: Vec::new(),
    }
}
