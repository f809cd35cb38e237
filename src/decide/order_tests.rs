//! Tests of webhooks and chat messages: their content is fixed at the decision, and a target receives them in order.

use super::{tests::TestWorld, *};
use crate::outbox::{AttemptOutcome, Job, JobState, Payload, ProblemKind, TRYING_MS};

const RULES: &str = "
  - {id: told, when: any -> any, do: [{webhook: {to: shop, event: kyc.changed}}]}
";
const MINUTE: i64 = 60_000;

fn tried(world: &mut TestWorld, nth: usize) -> Receipt {
    let job = world.open()[nth].id();
    world.submit(&Command::Attempt { customer: TestWorld::who(), job })
}

fn ended(world: &mut TestWorld, nth: usize, outcome: AttemptOutcome) {
    let (job, attempt) = (world.open()[nth].id(), world.open()[nth].fate.attempts);
    world.submit(&Command::Finish { customer: TestWorld::who(), job, attempt, outcome });
}

fn later() -> AttemptOutcome {
    AttemptOutcome::Retry { error: "503".to_owned(), after_ms: None }
}

#[test]
fn a_webhook_waits_for_the_previous_one_for_at_most_15_minutes() {
    let mut world = TestWorld::new(RULES);
    world.comes("CREATED", None, &[]);
    world.now = world.now.plus_ms(MINUTE);
    let ordered_at = world.now;
    world.comes("KYC_PENDING", None, &[]);
    let waits = Receipt::NotBefore(ordered_at.plus_ms(15 * MINUTE));
    assert_eq!(tried(&mut world, 1), waits, "the first job is queued");
    assert!(matches!(tried(&mut world, 0), Receipt::Go(_)));
    assert_eq!(tried(&mut world, 1), waits, "the first job is running");
    ended(&mut world, 0, later());
    assert_eq!(tried(&mut world, 1), waits, "the first job waits for its next attempt");
    world.now = ordered_at.plus_ms(15 * MINUTE - 1);
    assert_eq!(tried(&mut world, 1), waits);
    world.now = ordered_at.plus_ms(15 * MINUTE);
    assert!(matches!(tried(&mut world, 1), Receipt::Go(_)), "the longest wait is over");
}

#[test]
fn a_job_that_has_ended_or_is_a_problem_delays_no_other_job() {
    let refused = AttemptOutcome::Failed { trouble: ProblemKind::Refused, error: "410".to_owned() };
    for (outcome, nth) in [(AttemptOutcome::Done, 0), (refused, 1)] {
        let mut world = TestWorld::new(RULES);
        world.comes("CREATED", None, &[]);
        world.comes("KYC_PENDING", None, &[]);
        tried(&mut world, 0);
        ended(&mut world, 0, outcome);
        assert!(matches!(tried(&mut world, nth), Receipt::Go(_)));
    }
    let mut world = TestWorld::new(RULES);
    world.comes("CREATED", None, &[]);
    world.comes("KYC_PENDING", None, &[]);
    let first = world.open()[0].id();
    world.submit(&Command::Drop { customer: TestWorld::who(), job: first });
    assert!(matches!(tried(&mut world, 0), Receipt::Go(_)));
}

#[test]
fn only_webhooks_to_the_same_target_wait_for_each_other() {
    let mut world = TestWorld::new(
        "
  - {id: told, when: any -> CREATED, do: [webhook: {to: shop, event: a}, webhook: {to: other, event: a}, chat: {to: ops, text: one}, email: {template: hello, to: ops@shop.example}]}
  - {id: again, when: any -> CREATED, do: [chat: {to: ops, text: two}, email: {template: hello, to: ops@shop.example}, webhook: {to: shop, event: b}]}
",
    );
    world.comes("CREATED", None, &[]);
    let goes: Vec<bool> = (0..7).map(|nth| matches!(tried(&mut world, nth), Receipt::Go(_))).collect();
    assert_eq!(goes, [true, true, true, true, true, true, false]);
}

#[test]
fn a_message_contains_the_facts_of_its_decision() {
    let mut world = TestWorld::new(
        "  - {id: told, when: any -> any, do: [webhook: {to: shop, event: a}, chat: {to: ops, text: 'lacks {{ missing_docs | words }}'}]}\n",
    );
    world.comes("SOFT_KYC_FAILED", None, &["SELFIE"]);
    world.comes("SOFT_KYC_FAILED", None, &["SELFIE", "PASSPORT"]);
    let job = |nth: usize| Job::clone(&world.open()[nth]);
    let Some(Payload::Facts(told)) = job(0).order.said.map(|said| *said) else { panic!("facts") };
    assert_eq!(told.missing_docs.to_string(), "SELFIE");
    let Some(Payload::Text(text)) = job(1).order.said.map(|said| *said) else { panic!("a text") };
    assert_eq!(text.plain(), "lacks selfie");
    let written = serde_json::to_string(&job(1)).expect("JSON");
    assert!(!written.contains("missing_docs"), "the job does not store the template: {written}");
    assert_eq!(serde_json::from_str::<Job>(&written).expect("read"), job(1));
    assert!(serde_json::to_string(&job(0)).expect("JSON").len() < 330, "a job stays small");
}

#[test]
fn a_long_text_is_cut_and_a_text_that_cannot_be_rendered_is_a_problem() {
    let mut world = TestWorld::new(
        "
  - {id: long, when: any -> CREATED, do: [chat: {to: ops, text: '{% for i in range(2000) %}{{ i }} {% endfor %}'}]}
  - {id: never, when: any -> CREATED, do: [chat: {to: ops, text: '{% if customer.id == \"C-1\" %}{{ tags }}{% endif %}x'}]}
",
    );
    world.comes("CREATED", None, &[]);
    let Some(Payload::Text(text)) = world.open()[0].order.said.as_deref() else { panic!("a text") };
    assert!(text.plain().len() <= 3_000 && text.plain().ends_with('…'));
    let fate = &world.open()[1].fate;
    assert_eq!((fate.state, fate.trouble), (JobState::Problem, Some(ProblemKind::Unrenderable)));
    assert!(fate.reason.as_deref().is_some_and(|reason| reason.contains("a list is printed")), "{fate:?}");
}

#[test]
fn a_long_retry_delay_still_leaves_one_attempt_before_the_end() {
    let mut world = TestWorld::new(RULES);
    world.comes("CREATED", None, &[]);
    tried(&mut world, 0);
    ended(&mut world, 0, AttemptOutcome::Retry { error: "it said 503".to_owned(), after_ms: Some(i64::MAX) });
    let fate = &world.open()[0].fate;
    assert_eq!((fate.state, fate.next_at), (JobState::Queued, world.now.plus_ms(TRYING_MS)));
    world.now = fate.next_at;
    tried(&mut world, 0);
    let (job, attempt) = (world.open()[0].id(), world.open()[0].fate.attempts);
    let outcome = AttemptOutcome::Retry { error: "it said 503".to_owned(), after_ms: None };
    let receipt = world.submit(&Command::Finish { customer: TestWorld::who(), job, attempt, outcome });
    assert_eq!(receipt, Receipt::GaveUp);
    assert_eq!(world.open()[0].fate.reason.as_deref(), Some("gave up after 2 attempts in 24 hours: it said 503"));
}

#[test]
fn an_attempt_that_is_deferred_or_recalled_does_not_count() {
    let mut world = TestWorld::new(RULES);
    world.comes("CREATED", None, &[]);
    let deferred = || AttemptOutcome::Deferred { error: "554 5.7.1 client host rejected".to_owned() };
    for _ in 0..50 {
        world.now = world.now.plus_ms(MINUTE);
        assert!(matches!(tried(&mut world, 0), Receipt::Go(_)));
        world.now = world.now.plus_ms(MINUTE);
        ended(&mut world, 0, deferred());
        let fate = &world.open()[0].fate;
        assert_eq!((fate.state, fate.attempts, fate.next_at), (JobState::Queued, 0, world.now));
        assert_eq!((fate.first_attempt_at, fate.last_error.as_deref()), (None, Some("554 5.7.1 client host rejected")));
    }
    // One attempt that counts; after it, time without attempts does not count towards the 24 hours.
    tried(&mut world, 0);
    ended(&mut world, 0, later());
    world.now = world.now.plus_ms(2 * TRYING_MS);
    tried(&mut world, 0);
    ended(&mut world, 0, deferred());
    let job = world.open()[0].id();
    assert_eq!((world.open()[0].fate.attempts, world.open()[0].fate.state), (1, JobState::Queued));
    tried(&mut world, 0);
    ended(&mut world, 0, AttemptOutcome::Failed { trouble: ProblemKind::Refused, error: "554".to_owned() });
    let recall = Command::Recall { customer: TestWorld::who(), job };
    assert_eq!(world.submit(&recall), Receipt::Recorded);
    let fate = &world.open()[0].fate;
    assert_eq!((fate.state, fate.attempts, fate.trouble), (JobState::Queued, 1, None));
    assert_eq!(world.submit(&recall), Receipt::Unchanged, "it is no longer a problem");
    tried(&mut world, 0);
    ended(&mut world, 0, AttemptOutcome::Failed { trouble: ProblemKind::Unrenderable, error: "no".to_owned() });
    assert_eq!(world.submit(&recall), Receipt::Unchanged, "this error concerns only this job");
}
