//! Tests of the core: callbacks arrive, time passes, rules change, and the test checks which jobs were sent.

use std::sync::Arc;

use super::*;
use crate::{
    clock::Timestamp,
    domain::{CallbackOutcome, Codes, CustomerId, Observation, Processing, Source, Status},
    outbox::{AttemptOutcome, Job, JobId, JobKey, JobState},
    rules::{Environment, RuleId, RuleSet},
    yaml::Files,
};

const START: Timestamp = Timestamp(1_795_419_000_000);
const SECOND: i64 = 1_000;
pub(super) const HOUR: i64 = 3_600_000;
pub(super) const DAY: i64 = 24 * HOUR;

fn set(rules: &str) -> RuleSet {
    let mut files = Files::default();
    files.insert("kyc.yaml".to_owned(), format!("format: 1\nrules:\n{rules}"));
    for name in ["reminder", "sorry", "hello"] {
        files.insert(format!("templates/{name}.en.md"), format!("Subject: {name}\n\n{name}.\n"));
    }
    let (webhooks, chats) = (vec!["shop".to_owned(), "other".to_owned()], vec!["ops".to_owned()]);
    let context = Environment { email: true, webhooks, chats, locale: "en".to_owned(), ..Environment::default() };
    let compiled = RuleSet::compile(&files, &context);
    compiled.set.unwrap_or_else(|| panic!("{:#?}", compiled.diagnostics))
}

/// One customer with an address, and the state around the customer.
pub(super) struct TestWorld {
    pub case: CustomerState,
    rules: RuleSet,
    standing: GlobalState,
    pub policy: Policy,
    pub now: Timestamp,
    number: u64,
    pub clock_in_doubt: bool,
    /// The sent jobs: rule, step, hours since the start.
    pub sent: Vec<String>,
}

impl TestWorld {
    pub fn new(rules: &str) -> Self {
        let rules = set(rules);
        let mut world = Self {
            standing: GlobalState::since(&rules, START),
            case: CustomerState::default(),
            rules,
            policy: Policy::default(),
            now: START,
            number: 0,
            clock_in_doubt: false,
            sent: Vec::new(),
        };
        world.contact("UTC");
        world
    }

    pub fn who() -> CustomerId {
        CustomerId::new("C-1").expect("id")
    }

    pub fn contact(&mut self, timezone: &str) {
        let contact = serde_json::json!({"email": "ada@customer.example", "timezone": timezone});
        let contact = serde_json::from_value(contact).expect("a contact");
        self.submit(&Command::Contact { customer: Self::who(), contact });
    }

    pub fn given<'a>(&'a self, key: &'a JobKey) -> DecisionContext<'a> {
        DecisionContext {
            now: self.now,
            number: self.number + 1,
            rules: &self.rules,
            policy: &self.policy,
            key,
            standing: &self.standing,
            clock_in_doubt: self.clock_in_doubt,
            duplicate_at: None,
        }
    }

    pub fn submit(&mut self, command: &Command) -> Receipt {
        let key = JobKey::new(&[7; 32]);
        let decision = decide(&self.case, command, self.given(&key));
        if let Some(effects) = decision.effects {
            self.number += 1;
            self.case.apply(self.number, self.now, &effects);
        }
        decision.receipt
    }

    pub fn callback(&mut self, status: &str) -> &mut Self {
        self.callback_with(status, None, &[])
    }

    pub fn callback_with(&mut self, status: &str, processing: Option<&str>, docs: &[&str]) -> &mut Self {
        self.comes(status, processing, docs);
        self.act();
        self
    }

    /// Submits a callback without running any worker.
    pub fn comes(&mut self, status: &str, processing: Option<&str>, docs: &[&str]) -> Receipt {
        let saw = Observation {
            source: Source::Callback,
            status: Status::from_wire(Some(status)).expect("status"),
            processing: Some(Processing::from_wire(processing).expect("status")),
            missing_docs: Some(Codes::new(docs.iter().copied()).expect("docs")),
            reject_labels: Some(Codes::EMPTY),
            message: Some("".into()),
        };
        self.submit(&Command::Observe { customer: Self::who(), saw })
    }

    /// Returns the jobs that are not final, oldest order first.
    pub fn open(&self) -> &[Arc<Job>] {
        &self.case.open
    }

    /// Does everything that is due, as workers would.
    pub fn act(&mut self) {
        while self.submit(&Command::Timer { customer: Self::who(), confirmed: true }) == Receipt::Recorded {}
        let due: Vec<JobId> = self
            .case
            .open
            .iter()
            .filter(|job| {
                job.fate.state == JobState::Held || job.fate.state == JobState::Queued && job.fate.next_at <= self.now
            })
            .map(|job| job.id())
            .collect();
        for id in due {
            if let Receipt::Go(attempt) = self.submit(&Command::Attempt { customer: Self::who(), job: id }) {
                let hours = self.now.since_ms(START) / HOUR;
                self.sent.push(format!("{} {} {hours}h", attempt.job.order.rule, attempt.job.order.step));
                let attempt = attempt.job.fate.attempts;
                let done = Command::Finish { customer: Self::who(), job: id, attempt, outcome: AttemptOutcome::Done };
                self.submit(&done);
            }
        }
    }

    /// Lets time pass; everything that comes due in it happens on time.
    pub fn wait(&mut self, ms: i64) -> &mut Self {
        let until = self.now.plus_ms(ms);
        self.act();
        loop {
            let timer = next_timer(&self.case, &self.rules, &self.standing);
            let jobs =
                self.case.open.iter().filter(|job| job.fate.state == JobState::Queued).map(|job| job.fate.next_at);
            // A job that is due and was not sent waits for something other than time.
            let next = timer.into_iter().chain(jobs).filter(|next| *next > self.now).min();
            match next.filter(|next| *next <= until) {
                Some(next) => self.now = next,
                None => break,
            }
            self.act();
            assert!(self.number < 10_000, "the simulation does not end");
        }
        self.now = until;
        self.act();
        self
    }

    /// Lets time pass while no process runs.
    fn down_for(&mut self, ms: i64) -> &mut Self {
        self.now = self.now.plus_ms(ms);
        self.act();
        self
    }

    pub fn reload(&mut self, rules: &str) -> &mut Self {
        self.rules = set(rules);
        self.standing = self.standing.with_rules(&self.rules, self.now);
        self.act();
        self
    }

    pub fn govern(&mut self, act: Control) -> &mut Self {
        self.standing = self.standing.after(&act, &self.rules, self.now).expect("something new");
        self.act();
        self
    }

    pub fn restart(&mut self) -> &mut Self {
        let written = serde_json::to_string(&self.standing).expect("written");
        self.standing = serde_json::from_str::<GlobalState>(&written).expect("read").with_rules(&self.rules, self.now);
        self
    }

    fn backlog(&mut self, rule: &str) -> Receipt {
        let rule = RuleId::new(rule).expect("id");
        let receipt = self.submit(&Command::Backlog { customer: Self::who(), rule });
        self.act();
        receipt
    }

    #[track_caller]
    pub fn sent(&mut self, expected: &[&str]) -> &mut Self {
        assert_eq!(self.sent, expected);
        self
    }
}

const REMIND: &str = "  - {id: remind, when: \"PENDING_KYC_DATA for 48h, 5d\", do: [{email: reminder}]}\n";
const STUCK: &str = "  - {id: stuck, when: processing VERIFICATION_IN_PROGRESS for 1h, do: [{email: sorry}]}\n";

#[test]
fn a_stay_that_lasts_is_noticed_once_for_each_duration() {
    TestWorld::new(REMIND).callback("PENDING_KYC_DATA").wait(60 * DAY).sent(&["remind 1 48h", "remind 2 120h"]);
}

#[test]
fn leaving_ends_the_stay_and_returning_begins_a_new_one() {
    TestWorld::new(REMIND)
        .callback("PENDING_KYC_DATA")
        .wait(47 * HOUR)
        .callback("KYC_PENDING")
        .wait(10 * DAY)
        .sent(&[])
        .callback("PENDING_KYC_DATA")
        .wait(3 * DAY)
        .sent(&["remind 1 335h"]);
}

#[test]
fn a_callback_that_only_changes_details_ends_no_stay() {
    TestWorld::new(REMIND)
        .callback("PENDING_KYC_DATA")
        .wait(24 * HOUR)
        .callback_with("PENDING_KYC_DATA", None, &["PASSPORT"])
        .wait(25 * HOUR)
        .sent(&["remind 1 48h"]);
}

#[test]
fn a_stay_in_a_processing_status_ends_with_it_and_with_the_status() {
    let in_verification = Some("VERIFICATION_IN_PROGRESS");
    TestWorld::new(STUCK)
        .callback_with("KYC_PENDING", in_verification, &[])
        .wait(30 * 60 * SECOND)
        .callback_with("KYC_NEEDED", in_verification, &[])
        .wait(45 * 60 * SECOND)
        .sent(&[])
        .wait(30 * 60 * SECOND)
        .sent(&["stuck 1 1h"])
        .callback_with("KYC_NEEDED", None, &[])
        .wait(DAY)
        .callback_with("KYC_NEEDED", in_verification, &[])
        .wait(DAY)
        .sent(&["stuck 1 1h", "stuck 1 26h"]);
}

#[test]
fn each_of_several_statuses_is_a_stay_of_its_own() {
    TestWorld::new("  - {id: idle, when: \"CREATED | KYC_NEEDED for 24h\", do: [{email: hello}]}\n")
        .callback("CREATED")
        .wait(30 * HOUR)
        .callback("KYC_NEEDED")
        .wait(30 * HOUR)
        .sent(&["idle 1 24h", "idle 1 54h"]);
}

#[test]
fn after_a_downtime_only_the_longest_duration_of_a_rule_fires() {
    TestWorld::new(REMIND)
        .callback("PENDING_KYC_DATA")
        .down_for(10 * DAY)
        .sent(&["remind 2 240h"])
        .wait(DAY)
        .sent(&["remind 2 240h"]);
}

#[test]
fn durations_due_before_the_rule_was_live_are_backlog_and_are_sent_once() {
    let mut world = TestWorld::new("  - {id: other, when: any -> FULL_USER, do: record}\n");
    world.callback("PENDING_KYC_DATA").wait(3 * DAY).reload(REMIND).wait(HOUR).sent(&[]);
    assert_eq!(world.backlog("remind"), Receipt::Recorded);
    world.sent(&["remind 1 73h"]);
    assert_eq!(world.backlog("remind"), Receipt::NotNow, "once");
    world.wait(10 * DAY).sent(&["remind 1 73h", "remind 2 120h"]);
    assert_eq!(world.backlog("remind"), Receipt::NotNow, "no backlog is left");
}

#[test]
fn reloads_restarts_and_other_edits_do_not_renew_a_timer() {
    TestWorld::new(REMIND)
        .callback("PENDING_KYC_DATA")
        .wait(47 * HOUR)
        .restart()
        .reload(&format!("{REMIND}{STUCK}"))
        .restart()
        .wait(2 * HOUR)
        .sent(&["remind 1 48h"]);
}

#[test]
fn a_new_duration_is_live_from_now_on() {
    let shorter = REMIND.replace("48h, 5d", "24h, 5d");
    TestWorld::new(REMIND)
        .callback("PENDING_KYC_DATA")
        .wait(30 * HOUR)
        .reload(&shorter)
        .wait(10 * DAY)
        .sent(&["remind 2 120h"]);
}

#[test]
fn a_rule_that_leaves_shadow_or_is_resumed_is_live_from_then_on() {
    let shadow = REMIND.replace("do:", "mode: shadow, do:");
    TestWorld::new(&shadow)
        .callback("PENDING_KYC_DATA")
        .wait(3 * DAY)
        .reload(REMIND)
        .wait(DAY)
        .sent(&[])
        .wait(2 * DAY)
        .sent(&["remind 2 120h"]);
    let remind = || RuleId::new("remind").expect("id");
    let mut world = TestWorld::new(REMIND);
    world
        .callback("PENDING_KYC_DATA")
        .govern(Control::PauseRule(remind()))
        .wait(3 * DAY)
        .restart()
        .govern(Control::ResumeRule(remind()))
        .wait(HOUR)
        .sent(&[]);
    assert_eq!(world.backlog("remind"), Receipt::Recorded);
    world.sent(&["remind 1 73h"]);
}

#[test]
fn a_rule_that_fired_before_it_was_paused_has_no_backlog() {
    let remind = || RuleId::new("remind").expect("id");
    let mut world = TestWorld::new(REMIND);
    world
        .callback("PENDING_KYC_DATA")
        .wait(3 * DAY)
        .govern(Control::PauseRule(remind()))
        .govern(Control::ResumeRule(remind()))
        .sent(&["remind 1 48h"]);
    assert_eq!(world.backlog("remind"), Receipt::NotNow);
}

#[test]
fn a_duration_is_used_up_when_due_whether_or_not_the_rule_fires() {
    let only = "  - {id: remind, when: PENDING_KYC_DATA for 48h, if: {tags: [vip]}, do: [{email: reminder}]}\n";
    let mut world = TestWorld::new(only);
    world.callback("PENDING_KYC_DATA").wait(3 * DAY);
    world.submit(&Command::Tag { customer: TestWorld::who(), name: "vip".into() });
    world.wait(DAY).sent(&[]);
    assert_eq!(world.backlog("remind"), Receipt::NotNow);
}

#[test]
fn two_durations_are_two_events_and_a_group_applies_within_one_event() {
    let rules = "  - {id: first, group: g, when: CREATED for 1h, do: [{email: hello}]}\n  \
                 - {id: second, group: g, when: \"CREATED for 1h, 2h\", do: [{email: sorry}]}\n";
    TestWorld::new(rules).callback("CREATED").wait(DAY).sent(&["first 1 1h", "second 2 2h"]);
}

#[test]
fn with_a_clock_in_doubt_no_timer_fires_and_no_limit_expires() {
    let rules = "  - {id: sorry, when: any -> SOFT_KYC_FAILED, do: [{email: {template: sorry, limit: 1 per 24h}}]}\n";
    let mut world = TestWorld::new(&format!("{REMIND}{rules}"));
    world.callback("SOFT_KYC_FAILED").callback("PENDING_KYC_DATA").sent(&["sorry 0 0h"]);
    world.clock_in_doubt = true;
    world.down_for(30 * DAY).callback("SOFT_KYC_FAILED").callback("PENDING_KYC_DATA").sent(&["sorry 0 0h"]);
    world.now = START.plus_ms(HOUR);
    world.clock_in_doubt = false;
    world.callback("SOFT_KYC_FAILED").sent(&["sorry 0 0h"]);
}

#[test]
fn a_clock_set_back_fires_nothing_twice() {
    let mut world = TestWorld::new(REMIND);
    world.callback("PENDING_KYC_DATA").wait(49 * HOUR).sent(&["remind 1 48h"]);
    world.now = START.plus_ms(-HOUR);
    world.act();
    world.wait(3 * DAY).sent(&["remind 1 48h"]);
}

#[test]
fn passed_durations_of_an_imported_customer_are_backlog() {
    let mut world = TestWorld::new(REMIND);
    world.now = START.plus_ms(3 * DAY);
    let memory = ImportedState {
        status: Status::PendingKycData,
        since: Some(START),
        tags: Codes::new(["vip"]).expect("codes"),
        missing_docs: None,
        message: None,
    };
    let import = Command::Import { customer: TestWorld::who(), contact: None, memory: Some(Box::new(memory)) };
    assert_eq!(world.submit(&import), Receipt::Seen(CallbackOutcome::Imported));
    assert_eq!(world.submit(&import), Receipt::Unchanged, "memory is set once");
    assert!(world.case.tags.contains("vip"));
    world.wait(HOUR).sent(&[]);
    assert_eq!(world.backlog("remind"), Receipt::Recorded);
    world.sent(&["remind 1 73h"]).wait(3 * DAY).sent(&["remind 1 73h", "remind 2 120h"]);
}

#[test]
fn quiet_hours_are_in_the_customer_s_time_zone() {
    let rules =
        "  - {id: sorry, when: any -> CREATED, do: [{email: {template: sorry, quiet_hours: \"20:00-09:00\"}}]}\n";
    for (zone, hours) in [("UTC", 1), ("Asia/Tokyo", 16), ("America/Los_Angeles", 9)] {
        let mut world = TestWorld::new(rules);
        // 07:30 in UTC, 16:30 in Tokyo, 23:30 in Los Angeles.
        world.contact(zone);
        world.callback("CREATED");
        let expected = if zone == "Asia/Tokyo" { 0 } else { hours };
        world.wait(2 * DAY).sent(&[&format!("sorry 0 {expected}h")]);
    }
}

#[test]
fn limits_use_a_rolling_window_and_ignore_cancelled_orders() {
    let rules = "  - {id: sorry, when: any -> SOFT_KYC_FAILED, do: [{email: {template: sorry, limit: 1 per 24h, settle: 2m}}]}\n";
    let mut world = TestWorld::new(rules);
    world.callback("SOFT_KYC_FAILED").callback("KYC_PENDING").callback("SOFT_KYC_FAILED");
    world.wait(HOUR).sent(&["sorry 0 0h"]);
    world.callback("KYC_PENDING").callback("SOFT_KYC_FAILED").wait(HOUR).sent(&["sorry 0 0h"]);
    world.wait(23 * HOUR).callback("KYC_PENDING").callback("SOFT_KYC_FAILED").wait(HOUR);
    world.sent(&["sorry 0 0h", "sorry 0 25h"]);
}

/// The callbacks arrive without a worker running in between.
#[test]
fn a_mail_to_a_fixed_address_is_never_cancelled() {
    let rule = |to: &str| format!("  - {{id: r, when: any -> any, do: [{{email: {{template: sorry, to: {to}}}}}]}}\n");
    for (to, expected) in [("ops@shop.example", 2), ("customer", 1)] {
        let mut world = TestWorld::new(&rule(to));
        world.comes("KYC_PENDING", None, &[]);
        world.comes("SOFT_KYC_FAILED", None, &[]);
        let open = world.case.open.iter().filter(|job| job.is_untried()).count();
        assert_eq!(open, expected, "{to}");
    }
}

#[test]
fn a_retry_does_not_skip_settle() {
    let mut world = TestWorld::new("  - {id: r, when: any -> any, do: [{email: {template: sorry, settle: 2h}}]}\n");
    world.callback("SOFT_KYC_FAILED");
    let job = world.case.open[0].id();
    assert_eq!(world.submit(&Command::Retry { customer: TestWorld::who(), job }), Receipt::Unchanged);
    world.act();
    assert_eq!(world.sent, [""; 0]);
    world.wait(3 * HOUR);
    assert_eq!(world.sent, ["r 0 2h"]);
}

#[test]
fn every_history_entry_names_its_rule_set() {
    let world = TestWorld::new("  - {id: r, when: any -> any, do: record}\n");
    let key = JobKey::new(&[7; 32]);
    let mut case = world.case.clone();
    for verdict in [CallbackOutcome::Moved, CallbackOutcome::Duplicate] {
        let saw = Observation {
            source: Source::Callback,
            status: Status::FullUser,
            processing: None,
            missing_docs: None,
            reject_labels: None,
            message: None,
        };
        let command = Command::Observe { customer: TestWorld::who(), saw };
        let effects = decide(&case, &command, world.given(&key)).effects.expect("a record");
        assert_eq!((effects.verdict, effects.set.as_deref()), (Some(verdict), Some(world.rules.hash())));
        case.apply(1, world.now, &effects);
    }
}
