//! Tests of what a queued job waits for.

use super::{
    tests::{DAY, TestWorld},
    *,
};
use crate::outbox::{Channel, JobKey};

impl TestWorld {
    /// Returns what each open job waits for, the oldest first.
    fn waits(&self) -> Vec<Option<JobWait>> {
        let key = JobKey::new(&[7; 32]);
        self.open().iter().map(|job| wait(&self.case, job, self.given(&key))).collect()
    }
}

const SORRY: &str = "  - {id: sorry, when: any -> CREATED, do: [{email: {template: sorry, settle: 1h, quiet_hours: \"20:00-09:00\"}}]}\n";
const TWO_HOOKS: &str = "  - id: hooks\n    when: any -> CREATED\n    do: [{webhook: {to: shop, event: a}}, {webhook: {to: shop, event: b}}, \
                         {webhook: {to: other, event: c}}]\n";

#[test]
fn a_mail_waits_for_channel_rule_question_lookup_and_quiet_hours() {
    let mut world = TestWorld::new(SORRY);
    world.callback("CREATED");
    // The time is 07:30.
    let end = world.now.plus_ms(DAY / 16);
    assert_eq!(world.waits(), [Some(JobWait::QuietHours(end))]);
    world.contact("Asia/Tokyo");
    assert_eq!(world.waits(), [None], "only its due time");
    world.policy.looks_up = Some(DAY);
    world.case.looked = None;
    assert_eq!(world.waits(), [Some(JobWait::LookUp)]);
    world.reload("  - {id: other, when: any -> CREATED, do: record}\n");
    assert_eq!(world.waits(), [Some(JobWait::Rule("rule sorry is no longer in the rules".to_owned()))]);
    world.policy.confirms = true;
    world.comes("KYC_PENDING", None, &[]);
    assert_eq!(world.waits(), [Some(JobWait::Question)]);
    world.govern(Control::PauseChannel(Channel::email()));
    assert_eq!(world.waits(), [Some(JobWait::Channel)]);
}

#[test]
fn a_webhook_waits_for_the_one_before_it_to_the_same_target() {
    let mut world = TestWorld::new(TWO_HOOKS);
    world.comes("CREATED", None, &[]);
    let until = world.now.plus_ms(15 * 60_000);
    assert_eq!(world.waits(), [None, Some(JobWait::Turn(until)), None]);
}
