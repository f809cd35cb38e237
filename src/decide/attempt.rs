//! The gates before an attempt, and the consequences of an attempt's outcome.

use super::{
    Changes, CustomerState, Decision, DecisionContext, JobUpdate, Receipt, RecordKind, StartedAttempt, advance::ended,
    contact_lookup, mail_snapshot::mail_snapshot_for,
};
use crate::{
    clock::Timestamp,
    domain::CustomerId,
    outbox::{AttemptOutcome, Job, JobId, JobState, JobStatus, MailSnapshot, ProblemKind, TRYING_MS, pause_after},
    rules::{Action, ConditionFacts, ConditionResult, RuleMode},
    untrusted, zone,
};

/// The longest time for which a job waits for its rule to be live again.
const HELD_MS: i64 = 24 * 3_600_000;

/// The interval at which a held job checks whether its rule is live; a reload of the rules checks at once.
const HELD_AGAIN_MS: i64 = 60_000;

/// The longest time after its order for which a webhook waits for earlier webhooks to the same target.
const IN_ORDER_MS: i64 = 15 * 60_000;

/// The result of the gates for a mail to a customer.
enum GateResult {
    Open,
    /// Not before this time.
    Until(Timestamp),
    Held(String),
    Cancelled(String),
    NoContact,
    /// Not before the merchant's directory has been asked about the customer.
    LookUp,
    /// Not before the provider's API has been asked about the customer.
    Asked,
}

/// The reason why a queued job waits, besides its due time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JobWait {
    /// Its channel is paused.
    Channel,
    /// Earlier jobs to the same target have not ended; this job waits at most until the given time.
    Turn(Timestamp),
    /// The provider's API must be asked about the customer.
    Question,
    /// The merchant's directory must be asked about the customer.
    LookUp,
    /// The reason why its rule does not act.
    Rule(String),
    QuietHours(Timestamp),
}

/// Returns what a queued job would wait for if its attempt began now. Ignores whether the job is due.
pub fn wait(case: &CustomerState, job: &Job, given: DecisionContext<'_>) -> Option<JobWait> {
    if given.standing.is_paused(&job.order.channel()) {
        return Some(JobWait::Channel);
    }
    if let Some(until) = in_order(case, job, given) {
        return Some(JobWait::Turn(until));
    }
    if !job.order.is_mail_to_customer() {
        return None;
    }
    match gate(case, job, given) {
        GateResult::Asked => Some(JobWait::Question),
        GateResult::LookUp => Some(JobWait::LookUp),
        GateResult::Held(why) => Some(JobWait::Rule(why)),
        GateResult::Until(end) => Some(JobWait::QuietHours(end)),
        GateResult::Open | GateResult::Cancelled(_) | GateResult::NoContact => None,
    }
}

pub fn begin(case: &CustomerState, who: &CustomerId, id: JobId, given: DecisionContext<'_>) -> Decision {
    let Some(job) = case.job(id) else { return Decision::nothing(Receipt::Gone) };
    let may_begin = match job.fate.state {
        JobState::Queued => job.fate.next_at <= given.now,
        // Its rule may be live again at any time.
        JobState::Held => true,
        JobState::Running | JobState::Done | JobState::Cancelled | JobState::Problem => false,
    };
    if !may_begin {
        return Decision::nothing(Receipt::NotNow);
    }
    if let Some(until) = in_order(case, job, given) {
        return Decision::nothing(Receipt::NotBefore(until));
    }
    let gate = if job.order.is_mail_to_customer() { gate(case, job, given) } else { GateResult::Open };
    let fate = match gate {
        GateResult::Open => return start(case, who, job, given),
        GateResult::Until(at) => job.fate.standing_still(at).queued(at),
        GateResult::Cancelled(reason) => job.fate.cancelled(given.now, reason),
        // The record of the answer checks the job again.
        GateResult::Asked => return Decision::nothing(Receipt::NotNow),
        GateResult::LookUp => return Decision::nothing(Receipt::LookUp),
        GateResult::NoContact => {
            let missing = case.looked.as_ref().and_then(|looked| looked.missing.as_deref());
            job.fate.problem(ProblemKind::NoContact, contact_lookup::no_contact(missing))
        }
        GateResult::Held(reason) => JobStatus {
            state: JobState::Held,
            reason: Some(reason.into()),
            held_since: job.fate.held_since.or(Some(given.now)),
            next_at: given.now.plus_ms(HELD_AGAIN_MS),
            ..job.fate.clone()
        },
    };
    let stays_held = fate.state == JobState::Held && job.fate.state == JobState::Held && fate.reason == job.fate.reason;
    if stays_held {
        return Decision::nothing(Receipt::NotNow);
    }
    // While the contact is missing, the directory is asked repeatedly.
    let asks = given.policy.looks_up.is_some() && fate.trouble == Some(ProblemKind::NoContact);
    settle(who, RecordKind::Attempt, id, fate, None, if asks { Receipt::LookUp } else { Receipt::NotNow })
}

fn start(case: &CustomerState, who: &CustomerId, job: &Job, given: DecisionContext<'_>) -> Decision {
    let is_mail = matches!(job.order.action, Action::Email { .. });
    let letter =
        (is_mail && !has_snapshot(case, job)).then(|| mail_snapshot_for(case, who, job, given)).flatten().map(Box::new);
    let waited = job.fate.standing_still(given.now);
    let fate = JobStatus {
        state: JobState::Running,
        attempts: job.fate.attempts.saturating_add(1),
        first_attempt_at: waited.first_attempt_at.or(Some(given.now)),
        next_at: given.now,
        held_since: None,
        reason: None,
        ..waited
    };
    let begun =
        Job { order: job.order.clone(), fate: fate.clone(), letter: letter.clone().or_else(|| job.letter.clone()) };
    let go = Receipt::Go(Box::new(StartedAttempt { customer: who.clone(), job: begun }));
    settle(who, RecordKind::Attempt, job.id(), fate, letter, go)
}

/// The content of a mail is fixed by its first attempt. It is built again after a manual retry, and if its address is
/// no longer the customer's.
fn has_snapshot(case: &CustomerState, job: &Job) -> bool {
    let Some(letter) = &job.letter else { return false };
    let is_theirs = case.contact.as_ref().is_none_or(|contact| *contact.email == *letter.address);
    job.fate.first_attempt_at.is_some() && (is_theirs || !job.order.is_mail_to_customer())
}

/// Returns the time until which a webhook waits, so that its target receives events in order; `None`: it may be sent.
/// Nothing is recorded: the webhook waits while an earlier one is queued or running.
fn in_order(case: &CustomerState, job: &Job, given: DecisionContext<'_>) -> Option<Timestamp> {
    let until = job.order.at.plus_ms(IN_ORDER_MS);
    if !job.order.channel().kind().properties().in_order || given.now >= until {
        return None;
    }
    let is_before = |other: &Job| {
        other.place() < job.place()
            && matches!(other.fate.state, JobState::Queued | JobState::Running)
            && other.order.channel() == job.order.channel()
    };
    case.open.iter().any(|other| is_before(other)).then_some(until)
}

/// Checks all conditions for a mail to a customer, before every attempt.
fn gate(case: &CustomerState, job: &Job, given: DecisionContext<'_>) -> GateResult {
    let order = &job.order;
    if case.question.is_some() {
        return GateResult::Asked;
    }
    let Some(customer) = &case.customer else { return GateResult::Cancelled("the customer is no longer known".into()) };
    if let Some(reason) = ended(order, customer) {
        return GateResult::Cancelled(reason);
    }
    let rule = given.rules.rule(order.rule.as_str());
    let live = match rule.map(|rule| given.standing.mode(rule)) {
        Some(RuleMode::Live) => Ok(()),
        Some(RuleMode::Shadow) => Err("in shadow"),
        Some(RuleMode::Paused) => Err("paused"),
        None => Err("no longer in the rules"),
    };
    if let Err(why) = live {
        let since = job.fate.held_since.unwrap_or(given.now);
        return if given.now.since_ms(since) >= HELD_MS {
            GateResult::Cancelled(format!("rule {} was {why} for 24 hours", order.rule))
        } else {
            GateResult::Held(format!("rule {} is {why}", order.rule))
        };
    }
    if job.is_untried() && contact_lookup::is_wanted(case, given) {
        return GateResult::LookUp;
    }
    if let Some(rule) = rule {
        let facts = ConditionFacts {
            customer,
            tags: &case.tags,
            contact: case.contact.as_ref(),
            visit: order.visit,
            changed: order.changed,
        };
        match rule.condition.check(&facts) {
            ConditionResult::Yes => {}
            ConditionResult::No(line) | ConditionResult::Undecidable(line) => {
                let why = rule.condition.why(line, &facts);
                return GateResult::Cancelled(format!("the rule's condition no longer holds: {why}"));
            }
        }
    }
    let Some(contact) = &case.contact else { return GateResult::NoContact };
    if let Some(quiet) = order.action.quiet_hours() {
        let zone = contact.timezone.as_deref().and_then(zone::named);
        if let Some(end) = quiet.end(given.now, zone.as_ref().unwrap_or(&given.policy.timezone)) {
            return GateResult::Until(end);
        }
    }
    GateResult::Open
}

pub fn end(
    case: &CustomerState,
    who: &CustomerId,
    id: JobId,
    attempt: u32,
    outcome: &AttemptOutcome,
    given: DecisionContext<'_>,
) -> Decision {
    let Some(job) = case.job(id) else { return Decision::nothing(Receipt::Gone) };
    if job.fate.state != JobState::Running || job.fate.attempts != attempt {
        return Decision::nothing(Receipt::Gone);
    }
    let mut receipt = Receipt::Recorded;
    let fate = match outcome {
        AttemptOutcome::Done => JobStatus {
            state: JobState::Done,
            ended_at: Some(given.now),
            last_error: None,
            reason: None,
            trouble: None,
            ..job.fate.clone()
        },
        AttemptOutcome::Failed { trouble, error } => {
            let fate = JobStatus { last_error: Some(shorten(error)), ..job.fate.clone() };
            fate.problem(*trouble, shorten(error))
        }
        AttemptOutcome::Deferred { error } => {
            JobStatus { last_error: Some(shorten(error)), ..job.fate.unattempted(given.now) }
        }
        AttemptOutcome::Retry { error, after_ms } => {
            let fate = JobStatus { last_error: Some(shorten(error)), ..job.fate.clone() };
            let since = job.fate.first_attempt_at.unwrap_or(given.now);
            let (pause_ms, left_ms) = (pause_after(id, attempt), TRYING_MS - given.now.since_ms(since));
            if pause_ms > left_ms {
                receipt = Receipt::GaveUp;
                fate.problem(
                    ProblemKind::Exhausted,
                    format!("gave up after {attempt} attempts in 24 hours: {}", shorten(error)),
                )
            } else {
                // Whatever delay the server requests, the job is tried once more before the 24 hours end.
                fate.queued(given.now.plus_ms(pause_ms.max(after_ms.unwrap_or(0)).min(left_ms)))
            }
        }
    };
    settle(who, RecordKind::Outcome, id, fate, None, receipt)
}

/// Queues a job again whose refusal turned out to concern every job of the channel.
pub fn recall(case: &CustomerState, who: &CustomerId, id: JobId, given: DecisionContext<'_>) -> Decision {
    let Some(job) = case.job(id) else { return Decision::nothing(Receipt::Gone) };
    if job.fate.state != JobState::Problem || job.fate.trouble != Some(ProblemKind::Refused) {
        return Decision::nothing(Receipt::Unchanged);
    }
    settle(who, RecordKind::Outcome, id, job.fate.unattempted(given.now), None, Receipt::Recorded)
}

/// Repeats an attempt whose outcome is unknown: the receiver recognizes the repetition by the id.
pub fn mark_in_doubt(case: &CustomerState, who: &CustomerId, id: JobId, given: DecisionContext<'_>) -> Decision {
    let Some(job) = case.job(id) else { return Decision::nothing(Receipt::Gone) };
    if job.fate.state != JobState::Running {
        return Decision::nothing(Receipt::Unchanged);
    }
    let error = "the process ended during an attempt: the message may have arrived; it is sent again with the same id";
    let fate = JobStatus { last_error: Some(error.into()), ..job.fate.queued(given.now) };
    settle(who, RecordKind::InDoubt, id, fate, None, Receipt::Recorded)
}

/// Records the new status of one job.
fn settle(
    who: &CustomerId,
    kind: RecordKind,
    id: JobId,
    fate: JobStatus,
    letter: Option<Box<MailSnapshot>>,
    receipt: Receipt,
) -> Decision {
    let mut effects = Changes::of(kind, who);
    effects.fates.push(JobUpdate { id, fate, letter });
    Decision::record(effects, receipt)
}

/// Shortens a server's error text to what an operator reads.
fn shorten(error: &str) -> Box<str> {
    const CHARS: usize = 300;
    untrusted::excerpt(error, CHARS).into()
}
