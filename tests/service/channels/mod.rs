//! A new channel needs one file and one registration: a made-up channel sends the jobs of a rule over a socket.
//!
//! The language of the rules has no action for the made-up channel, so that its jobs are those of a chat room with
//! the name `pager`.

mod pager;

use std::{sync::Arc, time::Duration};

use kyc_rules::{
    channel_setup::{self, ChannelSetup},
    channels::sender::{ChannelConfig, OrderedRules},
    clock::{Clock, Timestamp},
    decide::Command,
    dispatch::Dispatcher,
    domain::{Codes, CustomerId, Observation, Processing, Source, Status},
    outbox::{Channel, Job, JobState},
    rules::{ChannelKind, Environment, RuleSet},
    store::{JobFilter, Store, StoreOptions},
    telemetry::Metrics,
    yaml::Files,
};
use pager::PagerConfig;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufStream},
    net::TcpListener,
    sync::watch,
};

const RULES: &str = "format: 1\nrules:\n  - {id: page, when: any -> SOFT_KYC_FAILED, \
                     do: [{chat: {to: pager, text: \"{{ customer.id }} was rejected\"}}]}\n";

fn rules() -> Arc<RuleSet> {
    let files: Files = [("kyc.yaml".to_owned(), RULES.to_owned())].into_iter().collect();
    let chats = vec!["pager".to_owned()];
    let context = Environment { chats, locale: "en".to_owned(), ..Environment::default() };
    Arc::new(RuleSet::compile(&files, &context).set.expect("valid rules"))
}

struct OneSet(Arc<RuleSet>);

impl OrderedRules for OneSet {
    fn ordered_under(&self, _hash: &str) -> Result<Arc<RuleSet>, String> {
        Ok(Arc::clone(&self.0))
    }
}

/// Accepts one connection, returns its line, and answers.
async fn paged(receiver: &TcpListener, answer: &str) -> String {
    let accepted = tokio::time::timeout(Duration::from_secs(10), receiver.accept()).await.expect("a page in time");
    let mut stream = BufStream::new(accepted.expect("a connection").0);
    let mut line = String::new();
    stream.read_line(&mut line).await.expect("a line");
    stream.write_all(format!("{answer}\n").as_bytes()).await.expect("written");
    stream.flush().await.expect("written");
    line
}

async fn job_in(store: &Store, state: JobState, attempts: u32) -> Job {
    for _ in 0..1_000 {
        let rows = store.jobs(&JobFilter::default(), None, 10).await.expect("readable").rows;
        if let [(_, job)] = &rows[..]
            && (job.fate.state, job.fate.attempts) == (state, attempts)
        {
            return job.clone();
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("no job is {state:?} after {attempts} attempts");
}

#[tokio::test]
async fn a_made_up_channel_sends_retries_and_finishes_a_job() {
    let receiver = TcpListener::bind("127.0.0.1:0").await.expect("a socket");
    let config = PagerConfig { address: receiver.local_addr().expect("an address") };
    // The registration.
    let registered: Vec<(Channel, &dyn ChannelConfig)> = vec![(Channel::new(ChannelKind::Chat, "pager"), &config)];

    let clock = Clock::manual(Timestamp(1_795_419_000_000));
    let store = Store::memory(&StoreOptions { clock: clock.clone(), ..StoreOptions::default() });
    let rules = rules();
    store.activate(Arc::clone(&rules)).await.expect("accepted");
    let (stop, stopped) = watch::channel(false);
    let setups = channel_setup::start(registered, &[]).expect("channels");
    let dispatchers = setups.into_iter().map(|ChannelSetup { channel, workers, sender }| Dispatcher {
        channel,
        workers,
        sender,
        store: store.clone(),
        rules: Arc::new(OneSet(Arc::clone(&rules))),
        metrics: Arc::new(Metrics::default()),
        clock: clock.clone(),
    });
    let running: Vec<_> = dispatchers.map(|dispatcher| tokio::spawn(dispatcher.run(stopped.clone()))).collect();

    let saw = Observation {
        source: Source::Callback,
        status: Status::from_wire(Some("SOFT_KYC_FAILED")).expect("a status"),
        processing: Some(Processing::None),
        missing_docs: Some(Codes::EMPTY),
        reject_labels: Some(Codes::EMPTY),
        message: Some("".into()),
    };
    store.submit(Command::Observe { customer: CustomerId::new("C-1").expect("an id"), saw }).await.expect("accepted");

    let first = paged(&receiver, "busy 60000").await;
    let job = job_in(&store, JobState::Queued, 1).await;
    assert_eq!(first, format!("pager {} C-1: C-1 was rejected\n", job.id()));
    assert_eq!(job.fate.next_at.since_ms(clock.now()), 60_000, "the receiver's delay");
    clock.advance_ms(60_000);
    assert_eq!(paged(&receiver, "ok").await, first, "each attempt sends the same");
    job_in(&store, JobState::Done, 2).await;

    stop.send(true).expect("a dispatcher");
    for dispatcher in running {
        dispatcher.await.expect("no panic");
    }
}
