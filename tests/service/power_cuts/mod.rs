//! Power failures and failing system calls. After each of them, everything that was acknowledged, or read after
//! opening, must be present.
//!
//! A store writes through a recorder. At a random moment the process ends or the power fails. From the operations up to
//! then, the test builds a disk that may result, opens it, and compares it with the acknowledged commands. Several such
//! runs follow on the same disk. The operations of sled are not recorded: the view is present, missing, or an old copy.
//!
//! For a long run: `KYC_RULES_POWER_CUT_ROUNDS=10000 cargo test --test service power_cuts:: -- --nocapture`.
//! `KYC_RULES_POWER_CUT_SEED` repeats the random choices (threads may still interleave differently).

mod life;
mod model;
mod recorder;

use std::path::Path;

use proptest::{
    prelude::{Rng, RngExt},
    test_runner::TestRng,
};

use self::{
    life::{Disk, End, Plan},
    model::Model,
    recorder::Fault,
};
use crate::support::{
    repository::data_of_version_0_1,
    seed::{number, seeded},
};

/// Runs this many rounds, each with its own seed, and reports the seed of a round that fails.
#[expect(clippy::print_stdout, reason = "a long run prints how much it has tested")]
async fn rounds(name: &str, few: u64, round: impl AsyncFn(&mut TestRng) -> Result<u64, String>) {
    let rounds = number("KYC_RULES_POWER_CUT_ROUNDS").unwrap_or(few);
    let first = number("KYC_RULES_POWER_CUT_SEED").unwrap_or_else(|| u64::from(std::process::id()) << 20);
    let mut answered = 0;
    for seed in first..first + rounds {
        match round(&mut seeded(seed)).await {
            Ok(count) => answered += count,
            Err(error) => panic!("{name}: KYC_RULES_POWER_CUT_SEED={seed} KYC_RULES_POWER_CUT_ROUNDS=1: {error}"),
        }
    }
    println!("{name}: {answered} observations acknowledged in {rounds} rounds from KYC_RULES_POWER_CUT_SEED={first}");
    assert!(answered > rounds, "too few observations were acknowledged");
}

fn version_0_1() -> Model {
    let mut model = Model::new();
    for (path, bytes) in data_of_version_0_1() {
        model.put(&Path::new(life::DATA).join(path), &bytes);
    }
    model
}

fn begin(random: &mut TestRng) -> Disk {
    match random.random_bool(0.2) {
        true => Disk::of(version_0_1(), 12),
        false => Disk::of(Model::new(), 0),
    }
}

fn end(random: &mut TestRng) -> End {
    match random.next_u32() % 8 {
        0 => End::Closed,
        1 | 2 => End::Killed,
        3 => End::ClosedAndCut,
        _ => End::Cut,
    }
}

async fn cuts(random: &mut TestRng) -> Result<u64, String> {
    let mut disk = begin(random);
    for _ in 0..4 {
        let plan = Plan { steps: 1 + random.next_u64() % 30, fault: None, end: end(random) };
        disk.live(plan, random).await?;
    }
    disk.check(random).await
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_was_acknowledged_is_lost_in_a_power_cut() {
    rounds("power cuts", 25, cuts).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_was_acknowledged_is_lost_when_a_system_call_fails() {
    rounds("failing system calls", 25, async |random| {
        let mut disk = begin(random);
        for _ in 0..4 {
            let full = random.random_bool(0.3);
            let fault = Fault {
                nth: 1 + random.next_u64() % 120,
                count: if full { 1 + random.next_u64() % 3 } else { 1 },
                kind: if full { std::io::ErrorKind::StorageFull } else { std::io::Error::from_raw_os_error(5).kind() },
            };
            let plan = Plan { steps: 1 + random.next_u64() % 30, fault: Some(fault), end: end(random) };
            disk.live(plan, random).await?;
        }
        disk.check(random).await
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_ignores_syncs_is_detected() {
    let mut random = seeded(1);
    for _ in 0..200 {
        let mut disk = Disk::of(Model::forgetful(), 0);
        for _ in 0..4 {
            let plan = Plan { steps: 10, fault: None, end: End::Cut };
            if disk.live(plan, &mut random).await.is_err() {
                return;
            }
        }
    }
    panic!("this test would not detect a journal that is never synced");
}
