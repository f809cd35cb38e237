//! Converts the state of the server, its customers and its jobs to the responses of the admin API.

use super::{AdminContext, brakes::MostWaiting};
use crate::{
    api::{
        customers::{
            ClaimResponse, ContactInfo, CustomerResponse, CustomerRow, EntryResponse, PausedRule, PendingInfo,
            RuleResultResponse,
        },
        jobs::JobResponse,
        status::{
            AdminStatus, BrakeStatus, CallbackCounts, DirectoryStatus, JobCounts, PauseInfo, ProviderStatus,
            RefusalInfo, RoundInfo, RulesError, RulesStatus, StatusResponse, StoreStatus,
        },
    },
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

impl PauseInfo {
    fn new(standing: &GlobalState) -> Self {
        Self {
            rules: standing.paused_rules().map(|(rule, since)| (rule.to_string(), moment(since))).collect(),
            channels: standing.paused_channels().map(|(channel, since)| (channel.to_string(), moment(since))).collect(),
        }
    }
}

impl RoundInfo {
    fn new(ReconcileRound { settled, ended_at, answered, unknown, failed }: ReconcileRound) -> Self {
        Self { r#final: settled, at: moment(ended_at), answered, unknown, failed }
    }
}

impl StatusResponse {
    pub(super) fn new(admin: &AdminContext, store: &Store, loaded: &LoadedRules, most_waiting: &MostWaiting) -> Self {
        let StoreFigures { customers, bytes, queued, held, running, problem, durable, behind, asked_about, .. } =
            store.figures();
        let provider = admin.services.asker().and_then(|asker| asker.trouble());
        let rounds = admin.services.asker().map(|asker| asker.rounds()).unwrap_or_default();
        let directory = admin.services.lookups().and_then(|lookups| lookups.trouble());
        let error = loaded.error.as_ref().map(|(at, text)| RulesError { at: moment(*at), text: text.clone() });
        Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            uptime_s: admin.clock.now().since_ms(admin.started_at) / 1000,
            rules: RulesStatus {
                hash: loaded.hash.clone(),
                loaded_at: moment(loaded.loaded_at),
                count: loaded.count,
                error,
            },
            store: StoreStatus {
                engine: store.engine().to_owned(),
                customers,
                bytes,
                records: durable,
                view_behind: behind,
            },
            jobs: JobCounts { queued, held, running, problem },
            callbacks: Some(CallbackCounts::new(&admin.metrics, &admin.refused.public)),
            admin: AdminStatus { refused: RefusalInfo::all(&admin.refused.admin) },
            provider: ProviderStatus {
                confirm: admin.policy.confirms,
                questions: asked_about,
                unanswered: admin.count_unanswered(store),
                unanswered_timers: admin.count_late_timers(),
                patience: Duration::text_of(admin.patience_ms),
                reconcile: rounds.into_iter().map(RoundInfo::new).collect(),
                again_in_s: provider.as_ref().map(|trouble| trouble.again_in_s),
                code: provider.as_ref().and_then(|trouble| trouble.code.as_deref()).map(str::to_owned),
                error: provider.map(|trouble| trouble.text),
            },
            directory: DirectoryStatus {
                lookup: admin.services.lookups().is_some(),
                again_in_s: directory.as_ref().map(|trouble| trouble.again_in_s),
                error: directory.map(|trouble| trouble.text),
            },
            paused: PauseInfo::new(&store.global_state().borrow()),
            brakes: BrakeStatus::all(&store.global_state().borrow(), most_waiting),
            relays: admin.relays_down(),
            clock_in_doubt: admin.clock.is_in_doubt(),
            config_changed: (admin.config_changed)(),
            ready: admin.services.not_ready().is_none(),
        }
    }
}

/// The provider's name of a status; `None` for its null.
fn wire(status: &Status) -> Option<String> {
    status.as_wire().map(str::to_owned)
}

fn processing_wire(processing: &Processing) -> Option<String> {
    processing.as_wire().map(str::to_owned)
}

fn listed(codes: &Codes) -> Vec<String> {
    codes.iter().map(str::to_owned).collect()
}

impl ContactInfo {
    pub(super) fn new(contact: &Contact) -> Self {
        let Contact { email, name, locale, timezone, country, attributes } = contact.clone();
        Self { email, name, locale, timezone, country, attributes }
    }
}

impl ClaimResponse {
    fn new(saw: Observation) -> Self {
        let Observation { status, processing, missing_docs, reject_labels, message, .. } = saw;
        Self {
            status: wire(&status),
            processing: processing.as_ref().and_then(processing_wire),
            missing_docs: missing_docs.as_ref().map(listed).unwrap_or_default(),
            reject_labels: reject_labels.as_ref().map(listed).unwrap_or_default(),
            message: message.filter(|message| !message.is_empty()).map(Into::into),
        }
    }
}

fn unsaid(customer: &Customer) -> Vec<String> {
    let said = [
        ("processing", customer.processing.is_some()),
        ("missing_docs", customer.missing_docs.is_some()),
        ("reject_labels", customer.reject_labels.is_some()),
        ("message", customer.message.is_some()),
    ];
    said.into_iter().filter(|(_, said)| !said).map(|(name, _)| name.to_owned()).collect()
}

impl RuleResultResponse {
    fn new(ruling: RuleResult) -> Self {
        Self { id: ruling.id.to_string(), outcome: ruling.outcome.name().to_owned(), why: ruling.reason() }
    }
}

impl CustomerResponse {
    pub(super) fn new(
        id: &CustomerId,
        case: &CustomerState,
        pending: Option<PendingInfo>,
        timeline: Page<TimelineEntry, u64>,
        jobs: Vec<JobResponse>,
    ) -> Self {
        let customer = case.customer.as_ref();
        let timeline = settled(timeline);
        let events =
            timeline.rows.into_iter().filter(|entry| entry.verdict().is_some() || entry.effects.came_due.is_some());
        Self {
            id: id.to_string(),
            status: customer.and_then(|customer| wire(&customer.status)),
            processing: customer.and_then(|customer| customer.processing.as_ref()).and_then(processing_wire),
            missing_docs: customer.and_then(|customer| customer.missing_docs.as_ref()).map(listed).unwrap_or_default(),
            reject_labels: customer
                .and_then(|customer| customer.reject_labels.as_ref())
                .map(listed)
                .unwrap_or_default(),
            message: customer
                .and_then(|customer| customer.message.as_deref())
                .filter(|message| !message.is_empty())
                .map(str::to_owned),
            unsaid: customer.map(unsaid).unwrap_or_default(),
            visit: customer.map_or(0, |customer| customer.visit()),
            entered_at: customer.map(|customer| moment(customer.entered_at)),
            tags: listed(&case.tags),
            contact: case.contact.as_ref().map(ContactInfo::new),
            pending,
            timeline: events.map(EntryResponse::new).collect(),
            next: timeline.next,
            jobs,
        }
    }
}

impl EntryResponse {
    fn new(entry: TimelineEntry) -> Self {
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
            source: entry.kind.name().to_owned(),
            verdict: entry.verdict().map(|verdict| verdict.name().to_owned()),
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

impl JobResponse {
    pub(super) fn new(customer: &CustomerId, job: &Job) -> Self {
        let (order, fate) = (&job.order, &job.fate);
        let text = |text: &Option<Box<str>>| text.as_deref().map(str::to_owned);
        Self {
            id: order.id.to_string(),
            customer: customer.to_string(),
            rule: order.rule.to_string(),
            action: order.action.kind().to_owned(),
            name: order.action.name().to_owned(),
            to: order.action.recipient(),
            state: fate.state.name().to_owned(),
            attempts: fate.attempts,
            next_at: (!fate.state.is_final()).then(|| moment(fate.next_at)),
            last_error: text(&fate.last_error),
            reason: text(&fate.reason),
            problem: fate.trouble.map(|trouble| trouble.name().to_owned()),
            ordered_at: moment(order.at),
            ended_at: fate.ended_at.map(moment),
        }
    }

    /// Sets this reason if the job has none of its own.
    pub(super) fn or_because(mut self, reason: impl FnOnce() -> Option<String>) -> Self {
        self.reason = self.reason.or_else(reason);
        self
    }
}

impl CustomerRow {
    pub(super) fn new(id: &CustomerId, case: &CustomerState) -> Self {
        Self {
            id: id.to_string(),
            status: case.customer.as_ref().and_then(|customer| wire(&customer.status)),
            tags: listed(&case.tags),
            contact: case.contact.as_ref().map(ContactInfo::new),
        }
    }
}
