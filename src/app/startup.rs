//! The parts that run behind the listeners: the store, the rules, and all workers.

use std::{
    io::IsTerminal,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use indicatif::{ProgressBar, ProgressStyle};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::{oneshot, watch},
    task::{JoinHandle, JoinSet},
    time::{sleep, timeout},
};

use super::{AppError, data_dir, disk_space, milliseconds, reading};
use crate::{
    channel_setup,
    channels::sender::OrderedRules,
    clock::Clock,
    config::Config,
    decide::Policy,
    directory::{ContactFetcher, ShopApi, WaitingCallbacksWorker},
    dispatch::Dispatcher,
    provider::{ConfirmationWorker, ProviderApi, ReconcileIntervals, UnansweredWatch},
    rulebook::{JudgingMarker, ReloadResult, Rulebook},
    rules_dir::DirectoryWatch,
    services::Services,
    store::{OpenProgress, Recorder, Store, StoreOptions},
    telemetry::Metrics,
    timers::TimerLoop,
};

/// How long a start waits for the check of the rule files. After that, it accepts callbacks with the last good rules.
const FIRST_JUDGEMENT: Duration = Duration::from_secs(10);

/// Everything that is needed to open the store, the rules and the workers.
pub struct Startup {
    pub config: Config,
    pub clock: Clock,
    pub recorder: Option<Recorder>,
    pub services: Arc<Services>,
    pub metrics: Arc<Metrics>,
    pub ways: Vec<channel_setup::ChannelSetup>,
    /// The client of the merchant's directory, and how long its answers stay fresh, in milliseconds.
    pub shop: Option<(ShopApi, i64)>,
    pub marker: JudgingMarker,
}

/// The open store and rules, and the running workers.
pub struct RunningServices {
    store: Store,
    /// Workers, timers, and requests to the provider's API.
    tasks: JoinSet<()>,
    reloader: JoinHandle<()>,
    rulebook: Arc<Rulebook>,
    stop: watch::Sender<bool>,
}

impl Startup {
    pub async fn open(mut self) -> Result<RunningServices, AppError> {
        let options = self.options();
        let data = data_dir(&self.config)?.to_owned();
        let progress = Arc::clone(&self.services.progress);
        let told = tokio::spawn(tell_progress(Arc::clone(&progress)));
        let opened = disk_space::open(&data, &options, &progress).await;
        told.abort();
        let (store, in_doubt) = opened.map_err(AppError::Open)?;
        if in_doubt > 0 {
            tracing::warn!(
                attempts = in_doubt,
                "attempts were running when the process ended; they are retried with the same id"
            );
            self.metrics.in_doubt(in_doubt);
        }
        // Starts watching before the rules are read, so that a file saved meanwhile counts as a change.
        let watch = DirectoryWatch::new(&self.config.rules);
        let (clock, metrics) = (self.clock.clone(), Arc::clone(&self.metrics));
        let reading = reading(&self.config, self.marker.clone());
        let start =
            || Rulebook::start(reading.clone(), watch.rest(), store.clone(), clock.clone(), Arc::clone(&metrics));
        let rulebook = match disk_space::start(start, &self.services.progress).await {
            Ok(rulebook) => Arc::new(rulebook),
            Err(error) => {
                store.close().await;
                return Err(error.into());
            }
        };
        let (stop, stopped) = watch::channel(false);
        let (begun, first) = oneshot::channel();
        let reloader = tokio::spawn(reload_on_change(watch, Arc::clone(&rulebook), begun));
        let lookups = self.shop.take().map(|(shop, cache_ms)| {
            Arc::new(ContactFetcher::new(shop, cache_ms, store.clone(), self.clock.clone(), Arc::clone(&self.metrics)))
        });
        let asker = self.asker(lookups.clone(), &store)?;
        let timers = TimerLoop::new(store.clone(), self.clock.clone(), asker.clone(), lookups.clone());
        let mut tasks = JoinSet::new();
        tasks.spawn(timers.run(stopped.clone()));
        if let Some(lookups) = &lookups {
            tasks.spawn(Arc::clone(lookups).run(stopped.clone()));
        }
        if let Some(asker) = &asker {
            tasks.spawn(Arc::clone(asker).run(stopped.clone()));
            let provider = &self.config.provider;
            let reconcile = ReconcileIntervals { open: provider.reconcile, settled: provider.reconcile_final };
            tasks.spawn(reconcile.run(Arc::clone(asker), store.clone(), self.clock.clone(), stopped.clone()));
        } else {
            let waiting = store.figures().asked_about;
            if waiting > 0 {
                tracing::warn!(
                    customers = waiting,
                    "callbacks wait for confirmation, but `provider.api_key` is not set: they are accepted as is"
                );
            }
            let settler =
                WaitingCallbacksWorker { store: store.clone(), clock: self.clock.clone(), lookups: lookups.clone() };
            tasks.spawn(settler.run(stopped.clone()));
        }
        let patience = UnansweredWatch {
            store: store.clone(),
            clock: self.clock.clone(),
            asker: asker.clone(),
            lookups: lookups.clone(),
            patience_ms: milliseconds(self.config.provider.patience),
        };
        tasks.spawn(patience.run(stopped.clone()));
        for channel in store.channels_waited_for() {
            if !channel_setup::set_up(&self.config).contains(&channel) {
                tracing::warn!(%channel, "jobs wait for a channel that is not configured; see `kyc-rules problems`");
            }
        }
        for dispatcher in self.dispatchers(&store, &rulebook) {
            tasks.spawn(dispatcher.run(stopped.clone()));
        }
        // If the check ends in time, callbacks are decided by the files; otherwise by the last good rules until it
        // ends.
        let _ = timeout(FIRST_JUDGEMENT, first).await;
        self.services.open(store.clone(), Arc::clone(&rulebook), asker, lookups);
        self.services.progress.wait_for(None);
        tracing::info!(data = %data.display(), customers = store.figures().customers, "accepting callbacks");
        Ok(RunningServices { store, tasks, reloader, rulebook, stop })
    }

    fn options(&self) -> StoreOptions {
        let (metrics, recorder) = (Arc::clone(&self.metrics), self.recorder.clone());
        StoreOptions {
            clock: self.clock.clone(),
            policy: Policy::of(&self.config),
            brakes: channel_setup::brakes(&self.config),
            min_free_bytes: self.config.store.min_free_bytes,
            view_cache_bytes: self.config.store.view_cache_bytes,
            recorder: Some(Arc::new(move |header, effects| {
                metrics.recorded(effects);
                if let Some(recorder) = &recorder {
                    recorder(header, effects);
                }
            })),
            ..StoreOptions::default()
        }
    }

    /// The client of the provider's API, if an API key is configured.
    fn asker(
        &self,
        lookups: Option<Arc<ContactFetcher>>,
        store: &Store,
    ) -> Result<Option<Arc<ConfirmationWorker>>, AppError> {
        let provider = &self.config.provider;
        let Some(key) = &provider.api_key else { return Ok(None) };
        let api = ProviderApi::new(provider.api.clone(), key).map_err(AppError::Config)?;
        Ok(Some(Arc::new(ConfirmationWorker::new(
            api,
            lookups,
            store.clone(),
            self.clock.clone(),
            Arc::clone(&self.metrics),
        ))))
    }

    /// Returns one dispatcher for each open channel.
    fn dispatchers(&mut self, store: &Store, rulebook: &Arc<Rulebook>) -> Vec<Dispatcher> {
        let ways = std::mem::take(&mut self.ways).into_iter();
        ways.map(|channel_setup::ChannelSetup { channel, workers, sender }| Dispatcher {
            channel,
            workers,
            sender,
            store: store.clone(),
            rules: Arc::clone(rulebook) as Arc<dyn OrderedRules>,
            metrics: Arc::clone(&self.metrics),
            clock: self.clock.clone(),
        })
        .collect()
    }
}

impl RunningServices {
    pub async fn stop(mut self) {
        self.reloader.abort();
        self.rulebook.stop();
        let _ = self.stop.send(true);
        let mut well = true;
        while let Some(ended) = self.tasks.join_next().await {
            well &= ended.is_ok();
        }
        if !well {
            tracing::error!("a worker has panicked");
        }
        self.store.close().await;
    }
}

/// Reports progress while the view is rebuilt: as a progress bar on a terminal, otherwise in the log.
async fn tell_progress(progress: Arc<OpenProgress>) {
    let bar = std::io::stderr().is_terminal().then(|| ProgressBar::new(0));
    let style = ProgressStyle::with_template("rebuilding the view {wide_bar} {pos}/{len} records, {eta} left");
    let bar = bar.zip(style.ok()).map(|(bar, style)| bar.with_style(style));
    let mut ticks = tokio::time::interval(Duration::from_millis(500));
    for tick in 0_u64.. {
        ticks.tick().await;
        let (done, of) = (progress.done.load(Ordering::Relaxed), progress.of.load(Ordering::Relaxed));
        match &bar {
            Some(bar) if tick > 1 => {
                bar.set_length(of);
                bar.set_position(done);
            }
            None if tick > 0 && tick % 10 == 0 => tracing::info!(done, of, "rebuilding the view"),
            _ => {}
        }
    }
}

/// Checks the files once, then reloads the rules whenever their directory changes or the process receives SIGHUP.
async fn reload_on_change(mut watch: DirectoryWatch, rulebook: Arc<Rulebook>, begun: oneshot::Sender<()>) {
    let mut hangups = signal(SignalKind::hangup()).ok();
    let mut reload = rulebook.begin().await;
    let _ = begun.send(());
    loop {
        while matches!(reload, ReloadResult::Failed(_) | ReloadResult::Waits { .. }) {
            sleep(Duration::from_secs(1)).await;
            reload = rulebook.reload().await;
        }
        let hangup = async {
            match &mut hangups {
                Some(hangups) => hangups.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = watch.changed() => {}
            _ = hangup => tracing::info!("SIGHUP: reloading the rules"),
        }
        reload = rulebook.reload().await;
    }
}
