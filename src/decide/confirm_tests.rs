//! Tests of confirmation: an API that is right, outdated, unavailable or without data, and callbacks in every order.

use super::{
    tests::{DAY, HOUR, TestWorld},
    *,
};
use crate::domain::{CallbackOutcome, Codes, Observation, Processing, Source, Status};

const RULES: &str = "
  - {id: pending, when: any -> PENDING_KYC_DATA, do: [{email: {template: reminder, settle: 1s}}]}
  - {id: failed, when: any -> SOFT_KYC_FAILED, do: [{email: {template: sorry, settle: 1s}}]}
  - {id: done, when: any -> FULL_USER, do: [{email: {template: hello, settle: 1s}}]}
  - {id: waits, when: 'SOFT_KYC_FAILED for 1h', do: [{tag: waited}]}
";

fn said(status: &str, docs: &[&str]) -> ApiAnswer {
    ApiAnswer::Known(Observation {
        source: Source::Api,
        status: Status::from_wire(Some(status)).expect("status"),
        processing: None,
        missing_docs: Some(Codes::new(docs.iter().copied()).expect("docs")),
        reject_labels: None,
        message: Some("".into()),
    })
}

fn world() -> TestWorld {
    let mut world = TestWorld::new(RULES);
    world.policy.confirms = true;
    world
}

impl TestWorld {
    fn answer_to(&mut self, up_to: u64, answer: ApiAnswer) -> Receipt {
        let receipt = self.submit(&Command::Answer { customer: Self::who(), up_to, answer });
        self.act();
        receipt
    }

    fn answer(&mut self, answer: ApiAnswer) -> Receipt {
        self.answer_to(self.case.last, answer)
    }

    fn status(&self) -> &str {
        self.case.customer.as_ref().map_or("new", |customer| customer.status.name())
    }

    fn waiting(&self) -> usize {
        self.case.question.as_ref().map_or(0, |question| question.waiting.len())
    }
}

#[test]
fn a_callback_is_not_decided_before_the_api_was_asked() {
    let mut world = world();
    assert_eq!(
        world.comes("SOFT_KYC_FAILED", Some("VERIFICATION_IN_PROGRESS"), &["SELFIE"]),
        Receipt::Seen(CallbackOutcome::Pending)
    );
    world.wait(DAY).sent(&[]);
    assert_eq!(world.status(), "new");
    let came_at = world.case.question.as_ref().expect("open").waiting[0].at;
    assert_eq!(world.answer(said("SOFT_KYC_FAILED", &["SELFIE"])), Receipt::Seen(CallbackOutcome::Moved));
    let customer = world.case.customer.clone().expect("known");
    assert_eq!(customer.entered_at, came_at, "the stay began when the callback came");
    assert_eq!(customer.processing, Some(Processing::VerificationInProgress), "the API has no processing status");
    world.wait(HOUR).sent(&["failed 0 24h"]);
    assert!(world.case.tags.contains("waited"), "an hour had passed since the callback");
    assert_eq!(
        world.comes("SOFT_KYC_FAILED", Some("VERIFICATION_IN_PROGRESS"), &["SELFIE"]),
        Receipt::Seen(CallbackOutcome::Duplicate)
    );
    assert_eq!(world.waiting(), 0, "a callback that repeats the memory causes no request");
}

#[test]
fn a_callback_that_the_api_does_not_confirm_changes_nothing() {
    let mut world = world();
    world.comes("FULL_USER", None, &[]);
    world.answer(said("FULL_USER", &[]));
    world.comes("HARD_KYC_FAILED", None, &[]);
    for lag_ms in [5_000, 30_000, 120_000] {
        assert_eq!(world.answer(said("FULL_USER", &[])), Receipt::NotNow, "the API may be outdated");
        assert_eq!(world.case.question.as_ref().expect("open").next_at, world.now.plus_ms(lag_ms));
        world.wait(lag_ms);
    }
    world.answer(said("FULL_USER", &[]));
    assert_eq!((world.status(), world.waiting()), ("FULL_USER", 0));
    world.wait(DAY).sent(&["done 0 0h"]);
}

#[test]
fn an_outdated_api_is_asked_again() {
    let mut world = world();
    world.comes("PENDING_KYC_DATA", None, &[]);
    world.answer(said("PENDING_KYC_DATA", &[]));
    world.comes("SOFT_KYC_FAILED", None, &[]);
    assert_eq!(world.answer(said("PENDING_KYC_DATA", &[])), Receipt::NotNow);
    world.wait(5_000);
    assert_eq!(world.answer(said("SOFT_KYC_FAILED", &[])), Receipt::Seen(CallbackOutcome::Moved));
    world.wait(60_000).sent(&["failed 0 0h"]);
}

#[test]
fn an_api_that_lacks_one_of_two_callbacks_is_asked_again() {
    for (then, mails) in [("HARD_KYC_FAILED", &[][..]), ("FULL_USER", &["done 0 0h"])] {
        let mut world = world();
        world.comes("KYC_PENDING", None, &[]);
        world.answer(said("KYC_PENDING", &[]));
        world.comes("FULL_USER", None, &[]);
        world.comes("HARD_KYC_FAILED", None, &[]);
        assert_eq!(world.answer(said("FULL_USER", &[])), Receipt::Seen(CallbackOutcome::Moved));
        assert_eq!((world.status(), world.waiting()), ("FULL_USER", 1), "the newer callback may still be confirmed");
        let mut lags_ms = Vec::new();
        while let Some(question) = &world.case.question {
            let lag_ms = question.next_at.since_ms(world.now);
            lags_ms.push(lag_ms);
            world.wait(lag_ms).sent(&[]);
            world.answer(said(then, &[]));
        }
        assert_eq!(lags_ms, if then == "FULL_USER" { &[5_000, 30_000, 120_000][..] } else { &[5_000] });
        assert_eq!(world.status(), then);
        world.wait(DAY).sent(mails);
    }
}

#[test]
fn a_burst_of_callbacks_and_early_requests_do_not_use_up_the_delays() {
    let mut world = world();
    world.comes("KYC_PENDING", None, &[]);
    world.answer(said("KYC_PENDING", &[]));
    for status in ["PENDING_KYC_DATA", "SOFT_KYC_FAILED", "HARD_KYC_FAILED", "FULL_USER"] {
        world.comes(status, None, &[]);
        // Each callback has caused a request, and the answers arrive together.
        for _ in 0..5 {
            world.answer(said("KYC_PENDING", &[]));
        }
        world.wait(50);
    }
    assert_eq!(world.waiting(), 4, "no callback becomes stale early");
    world.wait(5_000);
    assert_eq!(world.answer(said("FULL_USER", &[])), Receipt::Seen(CallbackOutcome::Moved));
    assert_eq!((world.status(), world.waiting()), ("FULL_USER", 0));
}

#[test]
fn an_unknown_customer_is_asked_about_again_and_then_unconfirmed() {
    let mut world = world();
    world.comes("FULL_USER", None, &[]);
    for lag_ms in [5_000, 30_000, 120_000] {
        assert_eq!(world.answer(ApiAnswer::Unknown), Receipt::NotNow);
        world.wait(lag_ms);
    }
    assert_eq!(world.answer(ApiAnswer::Unknown), Receipt::Seen(CallbackOutcome::Unconfirmed));
    assert_eq!((world.status(), world.waiting()), ("new", 0));
    world.wait(DAY).sent(&[]);
}

#[test]
fn an_unknown_customer_has_status_none_only_if_a_callback_has_null() {
    let null = |world: &mut TestWorld| {
        let saw = Observation {
            source: Source::Callback,
            status: Status::None,
            processing: Some(Processing::UserCreationInProgress),
            missing_docs: Some(Codes::EMPTY),
            reject_labels: Some(Codes::EMPTY),
            message: Some("".into()),
        };
        world.submit(&Command::Observe { customer: TestWorld::who(), saw })
    };
    let mut world = world();
    null(&mut world);
    world.comes("CREATED", None, &[]);
    assert_eq!(world.answer(ApiAnswer::Unknown), Receipt::Seen(CallbackOutcome::Moved));
    let customer = world.case.customer.clone().expect("known");
    assert_eq!((customer.status, customer.processing), (Status::None, Some(Processing::UserCreationInProgress)));
    assert_eq!((customer.missing_docs, customer.message.as_deref()), (Some(Codes::EMPTY), Some("")));
    assert_eq!(world.waiting(), 1, "the later callback may still be confirmed");
    for lag_ms in [5_000, 30_000, 120_000] {
        world.wait(lag_ms);
        world.answer(ApiAnswer::Unknown);
    }
    assert_eq!((world.status(), world.waiting()), ("none", 0));
    // A customer who has a status keeps it when the API does not know the customer.
    world.comes("FULL_USER", None, &[]);
    world.answer(said("FULL_USER", &[]));
    let before = world.case.last;
    assert_eq!(world.answer(ApiAnswer::Unknown), Receipt::Unchanged, "reconciling");
    assert_eq!((world.status(), world.case.last), ("FULL_USER", before));
    null(&mut world);
    assert_eq!(world.answer(ApiAnswer::Unknown), Receipt::Seen(CallbackOutcome::Moved));
    assert_eq!(world.status(), "none");
}

#[test]
fn a_field_absent_from_the_answer_is_empty_only_if_the_callback_says_so() {
    let says_nothing = |status: &str| {
        let ApiAnswer::Known(said) = said(status, &[]) else { panic!("known") };
        ApiAnswer::Known(Observation { missing_docs: None, message: None, ..said })
    };
    let mut world = world();
    world.comes("CREATED", None, &[]);
    world.answer(says_nothing("CREATED"));
    let customer = world.case.customer.clone().expect("known");
    assert_eq!((customer.missing_docs, customer.message.as_deref()), (Some(Codes::EMPTY), Some("")));
    world.comes("SOFT_KYC_FAILED", None, &["SELFIE"]);
    world.answer(says_nothing("SOFT_KYC_FAILED"));
    assert_eq!(world.case.customer.as_ref().expect("known").missing_docs, None, "only the callback contains it");
    world.answer(said("SOFT_KYC_FAILED", &["PASSPORT"]));
    world.comes("SOFT_KYC_FAILED", None, &[]);
    world.answer(says_nothing("SOFT_KYC_FAILED"));
    let docs = world.case.customer.as_ref().expect("known").missing_docs.clone();
    assert_eq!(docs, Some(Codes::new(["PASSPORT"]).expect("codes")), "an absent field keeps its value");
}

#[test]
fn an_answer_settles_only_callbacks_before_its_request() {
    let mut world = world();
    world.comes("PENDING_KYC_DATA", None, &[]);
    let asked = world.case.last;
    world.comes("FULL_USER", None, &[]);
    world.answer_to(asked, said("PENDING_KYC_DATA", &[]));
    assert_eq!((world.status(), world.waiting()), ("PENDING_KYC_DATA", 1));
    world.wait(DAY).sent(&[]);
    world.answer(said("FULL_USER", &[]));
    assert_eq!((world.status(), world.waiting()), ("FULL_USER", 0));
    world.wait(DAY).sent(&["done 0 24h"]);
}

#[test]
fn no_mail_is_sent_while_a_question_is_open() {
    let mut world = world();
    world.comes("SOFT_KYC_FAILED", None, &[]);
    world.answer(said("SOFT_KYC_FAILED", &[]));
    world.comes("FULL_USER", None, &[]);
    world.wait(HOUR / 2).sent(&[]);
    world.answer(said("FULL_USER", &[]));
    world.wait(HOUR).sent(&["done 0 0h"]);
}

#[test]
fn an_answer_has_no_processing_or_labels_until_a_callback_agrees() {
    let mut world = world();
    world.comes("SOFT_KYC_FAILED", Some("VERIFICATION_IN_PROGRESS"), &["SELFIE"]);
    assert_eq!(world.answer(said("KYC_PENDING", &[])), Receipt::Seen(CallbackOutcome::Moved));
    let customer = world.case.customer.clone().expect("known");
    assert_eq!((customer.status.name(), customer.processing, customer.reject_labels), ("KYC_PENDING", None, None));
    world.comes("KYC_PENDING", Some("VERIFICATION_IN_PROGRESS"), &[]);
    assert_eq!(world.answer(said("KYC_PENDING", &[])), Receipt::Seen(CallbackOutcome::Updated));
    let customer = world.case.customer.clone().expect("known");
    assert_eq!(customer.processing, Some(Processing::VerificationInProgress));
}

#[test]
fn reconciling_finds_missed_changes_and_records_nothing_else() {
    let mut world = world();
    world.comes("FULL_USER", None, &[]);
    world.answer(said("FULL_USER", &[]));
    let before = world.case.last;
    assert_eq!(world.answer(said("FULL_USER", &[])), Receipt::Unchanged);
    assert_eq!(world.answer(ApiAnswer::Unknown), Receipt::Unchanged);
    assert_eq!(world.case.last, before, "nothing is written");
    assert_eq!(world.answer(said("SOFT_KYC_FAILED", &["PASSPORT"])), Receipt::Seen(CallbackOutcome::Moved));
    world.wait(60_000).sent(&["failed 0 0h"]);
}

#[test]
fn an_operator_may_decide_in_place_of_the_api() {
    let mut world = world();
    world.comes("PENDING_KYC_DATA", None, &[]);
    world.comes("FULL_USER", None, &[]);
    let believe = Command::Believe { customer: TestWorld::who() };
    assert_eq!(world.submit(&believe), Receipt::Seen(CallbackOutcome::Moved));
    assert_eq!((world.status(), world.waiting()), ("FULL_USER", 0));
    assert_eq!(world.submit(&believe), Receipt::Unchanged);
}

#[test]
fn a_timer_is_not_decided_before_the_api_was_asked() {
    let mut world = world();
    world.comes("SOFT_KYC_FAILED", None, &[]);
    world.answer(said("SOFT_KYC_FAILED", &[]));
    world.now = world.now.plus_ms(2 * HOUR);
    let timer = |confirmed| Command::Timer { customer: TestWorld::who(), confirmed };
    assert_eq!(world.submit(&timer(false)), Receipt::AskFirst);
    world.submit(&Command::Answer {
        customer: TestWorld::who(),
        up_to: world.case.last,
        answer: said("FULL_USER", &[]),
    });
    assert_eq!(world.submit(&timer(true)), Receipt::NotNow, "the customer has left");
    assert!(!world.case.tags.contains("waited"));
}

#[test]
fn callbacks_that_wait_are_bounded_and_a_repeated_one_waits_once() {
    let mut world = world();
    let began = world.now;
    for nth in 0..50 {
        let doc = format!("DOC_{nth}");
        assert_eq!(world.comes("SOFT_KYC_FAILED", None, &[&doc]), Receipt::Seen(CallbackOutcome::Pending));
        world.now = world.now.plus_ms(1_000);
    }
    assert_eq!(world.waiting(), 16);
    let since = world.case.question.as_ref().map(|question| question.since());
    assert_eq!(since, Some(began), "frequent callbacks do not hide how long the first has waited");
    assert_eq!(world.comes("SOFT_KYC_FAILED", None, &["DOC_49"]), Receipt::Seen(CallbackOutcome::Duplicate));
    assert_eq!(world.waiting(), 16);
}

/// Tests every order of up to six callbacks, each status at most twice, with the true status changing at every possible
/// moment. In every case the customer ends in the status that the API returns, and no sent mail contradicts it.
#[test]
fn every_order_and_duplication_of_callbacks_ends_in_the_api_s_state() {
    const LIFE: [&str; 3] = ["PENDING_KYC_DATA", "SOFT_KYC_FAILED", "FULL_USER"];
    let mut stories: Vec<Vec<usize>> = vec![Vec::new()];
    let mut checked = 0;
    while let Some(story) = stories.pop() {
        if !story.is_empty() {
            for truth_moves_at in 0..=story.len() {
                checked += 1;
                check(&LIFE, &story, truth_moves_at);
            }
        }
        if story.len() < 6 {
            // Each of the three occurs at most twice.
            let next = (0..LIFE.len()).filter(|nth| story.iter().filter(|have| have == &nth).count() < 2);
            stories.extend(next.map(|nth| [&story[..], &[nth]].concat()));
        }
    }
    assert!(checked > 1_500, "{checked}");
}

/// The true status is SOFT_KYC_FAILED until this many callbacks have arrived, then FULL_USER.
fn check(life: &[&str], story: &[usize], truth_moves_at: usize) {
    let truth = |came: usize| if came >= truth_moves_at { "FULL_USER" } else { "SOFT_KYC_FAILED" };
    let mut world = world();
    let mut asked: Option<(u64, &str)> = None;
    for (nth, which) in story.iter().enumerate() {
        world.comes(life[*which], None, &[]);
        world.wait(500);
        // The answer to a request that was sent before this callback arrives now.
        if let Some((up_to, status)) = asked.take() {
            world.answer_to(up_to, said(status, &[]));
        }
        if world.case.question.is_some() {
            asked = Some((world.case.last, truth(nth + 1)));
        }
    }
    for _ in 0..12 {
        if let Some((up_to, status)) = asked.take() {
            world.answer_to(up_to, said(status, &[]));
        }
        world.wait(200_000);
        if world.case.question.is_some() {
            asked = Some((world.case.last, truth(story.len())));
        }
    }
    // Reconciling finds the change where the status changed and no callback arrived.
    world.answer(said(truth(story.len()), &[]));
    world.wait(DAY);
    assert_eq!((world.status(), world.waiting()), (truth(story.len()), 0), "{story:?}, moves at {truth_moves_at}");
    assert!(world.sent.iter().all(|mail| !mail.starts_with("pending")), "never true: {:?} {story:?}", world.sent);
    if let Some(last) = world.sent.last() {
        let rule = if truth(story.len()) == "FULL_USER" { "done" } else { "failed" };
        assert!(last.starts_with(rule), "{last} {story:?}, moves at {truth_moves_at}");
    }
    let done = world.sent.iter().filter(|mail| mail.starts_with("done")).count();
    assert!(done <= 1, "{:?} {story:?}", world.sent);
}
