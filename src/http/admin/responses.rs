//! The JSON format of the admin API, which scripts depend on. Fields may be added; existing names and types stay.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use super::{
    AdminContext,
    brakes::{BrakeStatus, MostWaiting},
    relays::RelayStatus,
    traffic::{CallbackCounts, RefusalInfo},
};
use crate::{
    clock::Timestamp,
    decide::{CustomerState, DueTimer, GlobalState, RuleOutcome, RuleResult},
    domain::{CallbackOutcome, Codes, Contact, Customer, CustomerId, Observation, Processing, Status},
    outbox::Job,
    provider::ReconcileRound,
    rulebook::LoadedRules,
    rules::TimerState,
    store::{Page, Store, StoreFigures, TimelineEntry, settled},
    yaml::Duration,
};

/// Formats a time as RFC 3339 in UTC.
fn moment(at: Timestamp) -> String {
    at.to_string()
}

#[derive(Serialize)]
pub struct StatusResponse {
    version: &'static str,
    uptime_s: i64,
    rules: RulesStatus,
    store: StoreStatus,
    jobs: JobCounts,
    callbacks: CallbackCounts,
    admin: AdminStatus,
    provider: ProviderStatus,
    directory: DirectoryStatus,
    paused: PauseInfo,
    /// The channels that are paused by their brakes.
    brakes: Vec<BrakeStatus>,
    /// The channels whose mail relays are down or refuse every mail.
    relays: Vec<RelayStatus>,
    /// The clock has jumped, and timers and limits wait until an operator accepts it.
    clock_in_doubt: bool,
    /// The configuration file has changed since it was read; a restart applies it.
    config_changed: bool,
    ready: bool,
}

#[derive(Serialize)]
struct RulesStatus {
    hash: String,
    loaded_at: String,
    count: usize,
    error: Option<ReloadError>,
}

#[derive(Serialize)]
struct ReloadError {
    at: String,
    text: String,
}

#[derive(Serialize)]
struct StoreStatus {
    engine: &'static str,
    customers: u64,
    bytes: u64,
    records: u64,
    view_behind: u64,
}

#[derive(Serialize)]
struct JobCounts {
    queued: u64,
    held: u64,
    running: u64,
    problem: u64,
}

/// The requests that the admin side has refused.
#[derive(Serialize)]
struct AdminStatus {
    refused: Vec<RefusalInfo>,
}

/// The rules and channels that operators have paused, and since when.
#[derive(Serialize)]
struct PauseInfo {
    rules: BTreeMap<String, String>,
    channels: BTreeMap<String, String>,
}

impl PauseInfo {
    fn new(standing: &GlobalState) -> Self {
        Self {
            rules: standing.paused_rules().map(|(rule, since)| (rule.to_string(), moment(since))).collect(),
            channels: standing.paused_channels().map(|(channel, since)| (channel.to_string(), moment(since))).collect(),
        }
    }
}

#[derive(Serialize)]
struct ProviderStatus {
    confirm: bool,
    /// The number of customers about whom the API is to be asked.
    questions: u64,
    /// The number of customers whose callbacks have waited longer than `patience`: the problem `unanswered`.
    unanswered: u64,
    /// The number of customers whose due timers have waited longer than `patience` for the API: the problem
    /// `unanswered_timers`.
    unanswered_timers: u64,
    /// As configured: `1h`.
    patience: String,
    /// The latest rounds that asked about every customer.
    reconcile: Vec<RoundInfo>,
    /// The error of the provider's API; `again_in_s` is the number of seconds until the next request.
    error: Option<String>,
    /// The provider's error code of that error.
    code: Option<Box<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    again_in_s: Option<u64>,
}

/// One round that asked about every customer.
#[derive(Serialize)]
struct RoundInfo {
    /// Whether the round was about the customers with a final status, or about the others.
    r#final: bool,
    at: String,
    answered: u64,
    /// Customers that the provider does not know; their state is unchanged.
    unknown: u64,
    failed: u64,
}

impl RoundInfo {
    fn new(ReconcileRound { settled, ended_at, answered, unknown, failed }: ReconcileRound) -> Self {
        Self { r#final: settled, at: moment(ended_at), answered, unknown, failed }
    }
}

#[derive(Serialize)]
struct DirectoryStatus {
    /// Whether the shop's API is asked for contacts.
    lookup: bool,
    /// The error of the shop's API; `again_in_s` is the number of seconds until the next request.
    error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    again_in_s: Option<u64>,
}

impl StatusResponse {
    pub fn new(admin: &AdminContext, store: &Store, loaded: &LoadedRules, most_waiting: &MostWaiting) -> Self {
        let StoreFigures { customers, bytes, queued, held, running, problem, durable, behind, asked_about, .. } =
            store.figures();
        let provider = admin.house.asker().and_then(|asker| asker.trouble());
        let rounds = admin.house.asker().map(|asker| asker.rounds()).unwrap_or_default();
        let directory = admin.house.lookups().and_then(|lookups| lookups.trouble());
        let error = loaded.error.as_ref().map(|(at, text)| ReloadError { at: moment(*at), text: text.clone() });
        Self {
            version: env!("CARGO_PKG_VERSION"),
            uptime_s: admin.clock.now().since_ms(admin.started_at) / 1000,
            rules: RulesStatus {
                hash: loaded.hash.clone(),
                loaded_at: moment(loaded.loaded_at),
                count: loaded.count,
                error,
            },
            store: StoreStatus { engine: store.engine(), customers, bytes, records: durable, view_behind: behind },
            jobs: JobCounts { queued, held, running, problem },
            callbacks: CallbackCounts::new(&admin.metrics, &admin.refused.public),
            admin: AdminStatus { refused: RefusalInfo::all(&admin.refused.admin) },
            provider: ProviderStatus {
                confirm: admin.policy.confirms,
                questions: asked_about,
                unanswered: admin.count_unanswered(store),
                unanswered_timers: admin.count_late_timers(),
                patience: Duration::text_of(admin.patience_ms),
                reconcile: rounds.into_iter().map(RoundInfo::new).collect(),
                again_in_s: provider.as_ref().map(|trouble| trouble.again_in_s),
                code: provider.as_ref().and_then(|trouble| trouble.code.clone()),
                error: provider.map(|trouble| trouble.text),
            },
            directory: DirectoryStatus {
                lookup: admin.house.lookups().is_some(),
                again_in_s: directory.as_ref().map(|trouble| trouble.again_in_s),
                error: directory.map(|trouble| trouble.text),
            },
            paused: PauseInfo::new(&store.global_state().borrow()),
            brakes: BrakeStatus::all(&store.global_state().borrow(), most_waiting),
            relays: admin.relays_down(),
            clock_in_doubt: admin.clock.is_in_doubt(),
            config_changed: (admin.config_changed)(),
            ready: admin.house.not_ready().is_none(),
        }
    }
}

#[derive(Serialize)]
pub struct CustomerResponse {
    id: CustomerId,
    status: Option<Status>,
    processing: Option<Processing>,
    missing_docs: Codes,
    reject_labels: Codes,
    message: Option<String>,
    /// Which of these details no source has given since the customer entered the status; they are unknown, not empty.
    unsaid: Vec<&'static str>,
    visit: u32,
    entered_at: Option<String>,
    tags: Codes,
    contact: Option<Contact>,
    /// Since when callbacks wait for a decision, how many, and why.
    pending: Option<Value>,
    timeline: Vec<EntryResponse>,
    /// The number for requesting older entries, as `?before=`.
    next: Option<u64>,
    jobs: Vec<JobResponse>,
}

#[derive(Serialize)]
struct EntryResponse {
    number: u64,
    at: String,
    source: &'static str,
    verdict: Option<CallbackOutcome>,
    /// `"new"` if there was no observation before; `null` for the provider's null.
    from: Option<String>,
    to: Option<String>,
    /// For a timer: how long the stay had lasted, as `48h`.
    after: Option<String>,
    /// For a timer that waits in a processing status: the processing status.
    processing: Option<String>,
    /// An operator has sent it from the backlog, after its due time.
    backlog: bool,
    rule_set: Option<String>,
    rules: Vec<RuleResultResponse>,
    /// Rules whose trigger matched and that were paused. Separate from `rules`, because scripts rely on the closed list
    /// of its outcomes.
    paused: Vec<PausedRule>,
    repeats: u32,
    /// What an operator did: `believed by hand`.
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
    /// The content of a callback that has not changed the customer so far.
    #[serde(skip_serializing_if = "Option::is_none")]
    said: Option<ClaimResponse>,
}

#[derive(Serialize)]
struct ClaimResponse {
    status: Status,
    processing: Option<Processing>,
    missing_docs: Codes,
    reject_labels: Codes,
    message: Option<String>,
}

impl ClaimResponse {
    fn new(saw: Observation) -> Self {
        let Observation { status, processing, missing_docs, reject_labels, message, .. } = saw;
        Self {
            status,
            processing,
            missing_docs: missing_docs.unwrap_or_default(),
            reject_labels: reject_labels.unwrap_or_default(),
            message: message.filter(|message| !message.is_empty()).map(Into::into),
        }
    }
}

fn unsaid(customer: &Customer) -> Vec<&'static str> {
    let said = [
        ("processing", customer.processing.is_some()),
        ("missing_docs", customer.missing_docs.is_some()),
        ("reject_labels", customer.reject_labels.is_some()),
        ("message", customer.message.is_some()),
    ];
    said.into_iter().filter(|(_, said)| !said).map(|(name, _)| name).collect()
}

#[derive(Serialize)]
struct RuleResultResponse {
    id: String,
    outcome: &'static str,
    why: Option<String>,
}

#[derive(Serialize)]
struct PausedRule {
    id: String,
    /// Whether an operator or the file has paused it, and since when.
    why: Option<String>,
}

impl RuleResultResponse {
    fn new(ruling: RuleResult) -> Self {
        Self { id: ruling.id.to_string(), outcome: ruling.outcome.name(), why: ruling.reason() }
    }
}

impl CustomerResponse {
    pub fn new(
        id: &CustomerId,
        case: &CustomerState,
        pending: Option<Value>,
        timeline: Page<TimelineEntry, u64>,
        jobs: Vec<JobResponse>,
    ) -> Self {
        let customer = case.customer.as_ref();
        let timeline = settled(timeline);
        let events =
            timeline.rows.into_iter().filter(|entry| entry.verdict().is_some() || entry.effects.came_due.is_some());
        Self {
            id: id.clone(),
            status: customer.map(|customer| customer.status.clone()),
            processing: customer.and_then(|customer| customer.processing.clone()),
            missing_docs: customer.and_then(|customer| customer.missing_docs.clone()).unwrap_or_default(),
            reject_labels: customer.and_then(|customer| customer.reject_labels.clone()).unwrap_or_default(),
            message: customer
                .and_then(|customer| customer.message.as_deref())
                .filter(|message| !message.is_empty())
                .map(str::to_owned),
            unsaid: customer.map(unsaid).unwrap_or_default(),
            visit: customer.map_or(0, |customer| customer.visit()),
            entered_at: customer.map(|customer| moment(customer.entered_at)),
            tags: case.tags.clone(),
            contact: case.contact.clone(),
            pending,
            timeline: events.map(EntryResponse::new).collect(),
            next: timeline.next,
            jobs,
        }
    }
}

impl EntryResponse {
    fn new(entry: TimelineEntry) -> Self {
        let wire = |status: &Status| status.as_wire().map(str::to_owned);
        let due = entry.effects.came_due.as_ref();
        let (from, to) = match entry.edge().or(due.map(|due| (due.from.as_ref(), &due.to))) {
            Some((from, to)) => (from.map_or(Some("new".to_owned()), wire), wire(to)),
            None => (None, None),
        };
        let processing = due.and_then(|due| match &due.stay {
            TimerState::Processing(processing) => Some(processing.to_string()),
            TimerState::Status(_) => None,
        });
        let (paused, ruled): (Vec<RuleResult>, Vec<RuleResult>) =
            entry.effects.rules.iter().cloned().partition(|ruling| ruling.outcome == RuleOutcome::Paused);
        let claims = matches!(
            entry.verdict(),
            Some(CallbackOutcome::Pending | CallbackOutcome::Stale | CallbackOutcome::Unconfirmed)
        );
        Self {
            said: entry.effects.saw.clone().filter(|_| claims).map(ClaimResponse::new),
            number: entry.number,
            at: moment(entry.at),
            source: entry.kind.name(),
            verdict: entry.verdict(),
            from,
            to,
            after: due.map(DueTimer::after),
            processing,
            backlog: due.is_some_and(|due| due.backlog),
            rule_set: entry.effects.set.as_deref().map(str::to_owned),
            repeats: entry.effects.repeats,
            note: entry.effects.note.as_deref().map(str::to_owned),
            rules: ruled.into_iter().map(RuleResultResponse::new).collect(),
            paused: paused
                .iter()
                .map(|ruling| PausedRule { id: ruling.id.to_string(), why: ruling.reason() })
                .collect(),
        }
    }
}

#[derive(Serialize)]
pub struct JobResponse {
    id: String,
    customer: CustomerId,
    rule: String,
    /// `email`, `webhook` or `chat`.
    action: &'static str,
    /// The name of the template, target or room.
    name: String,
    /// The recipient: `customer`, an address, or a configured target.
    to: String,
    state: &'static str,
    attempts: u32,
    next_at: Option<String>,
    last_error: Option<String>,
    reason: Option<String>,
    problem: Option<&'static str>,
    ordered_at: String,
    ended_at: Option<String>,
}

impl JobResponse {
    pub fn new(customer: &CustomerId, job: &Job) -> Self {
        let (order, fate) = (&job.order, &job.fate);
        let text = |text: &Option<Box<str>>| text.as_deref().map(str::to_owned);
        Self {
            id: order.id.to_string(),
            customer: customer.clone(),
            rule: order.rule.to_string(),
            action: order.action.kind(),
            name: order.action.name().to_owned(),
            to: order.action.recipient(),
            state: fate.state.name(),
            attempts: fate.attempts,
            next_at: (!fate.state.is_final()).then(|| moment(fate.next_at)),
            last_error: text(&fate.last_error),
            reason: text(&fate.reason),
            problem: fate.trouble.map(|trouble| trouble.name()),
            ordered_at: moment(order.at),
            ended_at: fate.ended_at.map(moment),
        }
    }
}

impl JobResponse {
    /// Sets this reason if the job has none of its own.
    pub fn or_because(mut self, reason: impl FnOnce() -> Option<String>) -> Self {
        self.reason = self.reason.or_else(reason);
        self
    }
}

/// A customer in a list.
#[derive(Serialize)]
pub struct CustomerRow {
    id: CustomerId,
    status: Option<Status>,
    tags: Codes,
    contact: Option<Contact>,
}

impl CustomerRow {
    pub fn new(id: CustomerId, case: &CustomerState) -> Self {
        let status = case.customer.as_ref().map(|customer| customer.status.clone());
        Self { id, status, tags: case.tags.clone(), contact: case.contact.clone() }
    }
}
