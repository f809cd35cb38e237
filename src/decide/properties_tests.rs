//! Properties of every sequence of events: interruptions change nothing, a rule that never matches changes nothing, and
//! nothing panics or loops forever.

use proptest::prelude::*;

use super::{
    tests::{DAY, TestWorld},
    *,
};
use crate::clock::Timestamp;

const STATUSES: [&str; 5] = ["PENDING_KYC_DATA", "KYC_PENDING", "SOFT_KYC_FAILED", "FULL_USER", "SUSPENDED"];

/// Rules of every kind that depend on time or limits.
const RULES: &str = "
  - {id: remind, when: 'PENDING_KYC_DATA for 20h, 3d', do: [{email: {template: reminder, quiet_hours: '20:00-09:00'}}]}
  - {id: sorry, group: g, when: any -> SOFT_KYC_FAILED, if: {visit: '>= 2'}, do: [{email: {template: sorry, settle: 2m, limit: 1 per 36h}}]}
  - {id: first, group: g, when: any -> SOFT_KYC_FAILED, do: [{email: {template: hello, settle: 2m}}, {tag: seen}]}
  - {id: stuck, when: processing VERIFICATION_IN_PROGRESS for 5h, if: {tags: [seen]}, do: [{email: sorry}]}
  - {id: same, when: SOFT_KYC_FAILED -> SOFT_KYC_FAILED, if: {changed: [missing_docs]}, do: [{email: {template: reminder, limit: 2 per 12h}}]}
";

#[derive(Clone, Debug)]
enum Happening {
    Callback { status: usize, verifying: bool, docs: usize },
    Wait { minutes: i64 },
}

fn story() -> impl Strategy<Value = Vec<Happening>> {
    let callback = (0..STATUSES.len(), any::<bool>(), 0..3_usize)
        .prop_map(|(status, verifying, docs)| Happening::Callback { status, verifying, docs });
    let wait = (1..4_000_i64).prop_map(|minutes| Happening::Wait { minutes });
    prop::collection::vec(prop_oneof![callback, wait], 1..25)
}

/// A disturbance of the service that must not change the result.
#[derive(Clone, Copy, Debug)]
enum Disturbance {
    Restart,
    /// A saved edit of an unrelated rule.
    Reload,
    /// The clock jumps, the jump is not accepted, and the clock is set back to the right time.
    Jump(i64),
    Nothing,
}

fn disturbances() -> impl Strategy<Value = Vec<Disturbance>> {
    let jump = (-30 * DAY..30 * DAY).prop_map(Disturbance::Jump);
    let one = prop_oneof![Just(Disturbance::Restart), Just(Disturbance::Reload), jump, Just(Disturbance::Nothing)];
    prop::collection::vec(one, 60)
}

fn callback(world: &mut TestWorld, happens: &Happening) -> bool {
    let Happening::Callback { status, verifying, docs } = happens else { return false };
    let processing = verifying.then_some("VERIFICATION_IN_PROGRESS");
    world.callback_with(STATUSES[*status], processing, &["PASSPORT", "SELFIE"][..*docs]);
    true
}

fn straight(rules: &str, story: &[Happening]) -> Vec<String> {
    let mut world = TestWorld::new(rules);
    for happens in story {
        if let Happening::Wait { minutes } = happens {
            world.wait(minutes * 60_000);
        } else {
            callback(&mut world, happens);
        }
    }
    world.wait(10 * DAY);
    world.sent
}

fn disturb(world: &mut TestWorld, disturbed: Disturbance, nth: usize) {
    match disturbed {
        Disturbance::Nothing => {}
        Disturbance::Restart => {
            world.restart();
        }
        Disturbance::Reload => {
            world.reload(&format!("{RULES}  - {{id: edit-{nth}, when: new -> CREATED, do: record}}\n"));
        }
        Disturbance::Jump(ms) => {
            let right = world.now;
            (world.now, world.clock_in_doubt) = (right.plus_ms(ms), true);
            let receipt = world.submit(&Command::Timer { customer: TestWorld::who(), confirmed: true });
            assert_eq!(receipt, Receipt::NotNow);
            (world.now, world.clock_in_doubt) = (right, false);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn interruptions_do_not_change_which_jobs_are_sent(story in story(), disturbances in disturbances()) {
        let mut world = TestWorld::new(RULES);
        let mut disturbances = disturbances.into_iter().cycle().enumerate();
        for happens in &story {
            if callback(&mut world, happens) {
                continue;
            }
            let Happening::Wait { minutes } = happens else { continue };
            // The wait is split into three parts with a disturbance after each.
            for piece in [minutes / 3, minutes / 3, minutes - 2 * (minutes / 3)] {
                world.wait(piece * 60_000);
                if let Some((nth, disturbed)) = disturbances.next() {
                    disturb(&mut world, disturbed, nth);
                }
            }
        }
        world.wait(10 * DAY);
        prop_assert_eq!(world.sent, straight(RULES, &story));
    }

    #[test]
    fn a_rule_that_never_matches_changes_nothing(story in story()) {
        let never = "  - {id: never, group: g, when: any -> any, if: {visit: '>= 1000'}, do: [{email: hello}, {tag: vip}]}
  - {id: never-either, when: 'CREATED for 1h', do: [{email: hello}]}\n";
        // Before and after the other rules: the file order decides within the group.
        prop_assert_eq!(straight(&format!("{never}{}", RULES.trim_start_matches('\n')), &story), straight(RULES, &story));
    }

    #[test]
    fn no_combination_of_rules_and_events_panics_or_loops(
        triggers in prop::collection::vec(0..TRIGGERS.len(), 1..8),
        conditions in prop::collection::vec(0..CONDITIONS.len(), 8),
        actions in prop::collection::vec(0..ACTIONS.len(), 8),
        modes in prop::collection::vec(0..3_usize, 8),
        story in story(),
    ) {
        let rules: String = triggers
            .iter()
            .enumerate()
            .map(|(nth, trigger)| {
                let group = if nth % 2 == 0 { ", group: g" } else { "" };
                let mode = ["", ", mode: shadow", ", mode: paused"][modes[nth]];
                let (when, condition) = (TRIGGERS[*trigger], CONDITIONS[conditions[nth]]);
                format!("  - {{id: r{nth}, when: '{when}'{condition}{group}{mode}, do: [{}]}}\n", ACTIONS[actions[nth]])
            })
            .collect();
        straight(&rules, &story);
    }
}

const TRIGGERS: [&str; 10] = [
    "any -> any",
    "new -> any",
    "any -> SOFT_KYC_FAILED",
    "PENDING_KYC_DATA | KYC_PENDING -> KYC_PENDING | FULL_USER",
    "SOFT_KYC_FAILED -> SOFT_KYC_FAILED",
    "processing any -> any",
    "processing none -> VERIFICATION_IN_PROGRESS",
    "PENDING_KYC_DATA | KYC_PENDING for 1s, 1h, 30d",
    "processing VERIFICATION_IN_PROGRESS for 10m",
    "processing none for 1h",
];

const CONDITIONS: [&str; 6] = [
    "",
    ", if: {visit: '>= 2'}",
    ", if: {not: {tags: [seen]}}",
    ", if: {customer.country: DE}",
    ", if: {missing_docs: {only: [PASSPORT]}, changed: [missing_docs]}",
    ", if: {processing: VERIFICATION_IN_PROGRESS}",
];

const ACTIONS: [&str; 6] = [
    "record",
    "{tag: seen}, {untag: seen}",
    "{email: hello}, {email: sorry}",
    "{email: {template: hello, settle: 1h, limit: 1 per 1h}}",
    "{email: {template: sorry, quiet_hours: '00:00-23:59'}}",
    "{email: {template: sorry, to: ops@shop.example}}, {tag: seen}",
];

#[test]
fn quiet_hours_hold_across_clock_changes_and_skipped_days() {
    let rules =
        "  - {id: sorry, when: any -> CREATED, do: [{email: {template: sorry, quiet_hours: \"20:00-09:00\"}}]}\n";
    let at = |text: &str| Timestamp::from(text.parse::<jiff::ZonedDateTime>().expect("a time").timestamp());
    for (zone, now, sent) in [
        // The night in which clocks go forward has 23 hours, the night in which they go back 25.
        ("Europe/Berlin", "2026-03-28T22:00[Europe/Berlin]", "2026-03-29T09:00[Europe/Berlin]"),
        ("Europe/Berlin", "2026-10-24T22:00[Europe/Berlin]", "2026-10-25T09:00[Europe/Berlin]"),
        // Samoa skipped 30 December 2011.
        ("Pacific/Apia", "2011-12-29T22:00[Pacific/Apia]", "2011-12-31T09:00[Pacific/Apia]"),
        ("America/New_York", "2026-03-07T19:59[America/New_York]", "2026-03-07T19:59[America/New_York]"),
        ("Asia/Kathmandu", "2026-06-01T08:59[Asia/Kathmandu]", "2026-06-01T09:00[Asia/Kathmandu]"),
    ] {
        let mut world = TestWorld::new(rules);
        world.now = at(now);
        world.contact(zone);
        world.callback("CREATED");
        let waited_ms = at(sent).since_ms(at(now));
        if waited_ms > 0 {
            world.wait(waited_ms - 1).sent(&[]);
            world.wait(1);
        }
        assert_eq!(world.sent.len(), 1, "{zone} {now}");
    }
}
