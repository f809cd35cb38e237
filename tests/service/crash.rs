//! Kills the server at random moments under a load of callbacks. Every acknowledged callback is stored exactly once,
//! and completely.
//!
//! A long run: `KYC_RULES_CRASH_ROUNDS=10000 cargo test --test service crash:: -- --nocapture`. `KYC_RULES_CRASH_SEED`
//! repeats a run.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use proptest::prelude::Rng;
use serde_json::{Value, json};

use crate::support::{
    seed::{number, seeded},
    service::{Service, Shop, is_there, signal, signed},
};

const RULES: &str = "  - {id: sorry, when: any -> SOFT_KYC_FAILED, do: [{email: sorry}]}\n  \
                     - {id: bye, when: any -> FULL_USER, do: [{email: {template: bye, to: audit@shop.example}}]}\n";
const STATUSES: [&str; 3] = ["KYC_PENDING", "SOFT_KYC_FAILED", "FULL_USER"];

/// The state of a customer's one writer: the number of acknowledged steps, and whether one step is unacknowledged.
#[derive(Default)]
struct Sent {
    answered: u64,
    in_doubt: bool,
}

#[tokio::test(flavor = "multi_thread")]
async fn every_acknowledged_callback_survives_every_kill_exactly_once() {
    let rounds = number("KYC_RULES_CRASH_ROUNDS").unwrap_or(if std::env::var_os("CI").is_some() { 100 } else { 20 });
    let seed = number("KYC_RULES_CRASH_SEED").unwrap_or_else(|| u64::from(std::process::id()));
    println!("KYC_RULES_CRASH_SEED={seed}, {rounds} rounds");
    let mut random = seeded(seed);

    let mut shop = Shop::new(RULES);
    // The load exceeds any useful limit.
    shop.email = ", brake: off".to_owned();
    // Each customer's number of acknowledged steps; the next step may be stored too.
    let sent: Arc<Mutex<BTreeMap<String, Sent>>> = Arc::default();
    let started = AtomicU64::new(0);
    for round in 0..rounds {
        let service = Arc::new(shop.start().ready().await);
        let until_kill = Duration::from_micros(500 + random.next_u64() % 60_000);
        let writers: Vec<_> = (0..8)
            .map(|writer| {
                let (service, sent) = (Arc::clone(&service), Arc::clone(&sent));
                tokio::spawn(async move {
                    for nth in 0.. {
                        let customer = format!("C-{writer}-{}", nth % 3);
                        let step = {
                            let mut sent = sent.lock().expect("sent");
                            let sent = sent.entry(customer.clone()).or_default();
                            sent.in_doubt = true;
                            sent.answered
                        };
                        let body = signed(&customer, STATUSES[(step % 3) as usize], json!({}));
                        match service.post(body.to_string()).await {
                            Ok((200, _)) => {
                                let mut sent = sent.lock().expect("sent");
                                let sent = sent.get_mut(&customer).expect("sent");
                                sent.answered += 1;
                                sent.in_doubt = false;
                            }
                            // Killed, or no longer ready. The provider would retry, and so does the next round.
                            _ => return,
                        }
                    }
                })
            })
            .collect();
        tokio::time::sleep(until_kill).await;
        signal(service.pid(), "KILL");
        for writer in writers {
            writer.await.expect("no panic");
        }
        started.fetch_add(1, Ordering::Relaxed);
        if round % 10 == 9 || round + 1 == rounds {
            check(&shop, &sent.lock().expect("sent"), round);
        }
    }
    let service = shop.start().ready().await;
    let answered: Vec<(String, u64, bool)> =
        sent.lock().expect("sent").iter().map(|(who, sent)| (who.clone(), sent.answered, sent.in_doubt)).collect();
    for (who, steps, in_doubt) in answered {
        let customer = service.get(&format!("customers/{who}")).await;
        let of = |steps: u64| json!(STATUSES[((steps + 2) % 3) as usize]);
        let is = &customer["status"];
        assert!(
            steps > 0 && *is == of(steps) || in_doubt && *is == of(steps + 1),
            "seed {seed}: {who} got {steps} responses and has status {is}"
        );
    }
    // All ordered jobs end without further callbacks.
    service.until("status", |status| status["jobs"]["queued"] == 0 && status["jobs"]["running"] == 0).await;
    let total: u64 = sent.lock().expect("sent").values().map(|sent| sent.answered).sum();
    println!("{total} callbacks were answered over {rounds} kills");
    assert!(total > rounds, "the load was too low");
}

/// Compares the journal with the acknowledged callbacks.
fn check(shop: &Shop, sent: &BTreeMap<String, Sent>, round: u64) {
    let mut moves: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    let mut jobs: BTreeSet<String> = BTreeSet::new();
    let mut orders: BTreeMap<String, u64> = BTreeMap::new();
    let records = journal_as_far_as_whole(shop);
    for record in &records {
        if record["k"] != "callback" || record["verdict"] != "moved" {
            continue;
        }
        let who = sent.keys().find(|who| record["who"] == **who).expect("a customer of this test");
        moves.entry(who).or_default().push(record["now"]["status"].as_str().expect("a status").to_owned());
        for job in record["jobs"].as_array().into_iter().flatten() {
            assert!(jobs.insert(job["id"].to_string()), "round {round}: a job was ordered twice: {job}");
            *orders.entry(who.clone()).or_default() += 1;
        }
    }
    for (who, sent) in sent {
        let steps = moves.get(who.as_str()).map_or(&[][..], Vec::as_slice);
        let count = steps.len() as u64;
        assert!(
            count == sent.answered || sent.in_doubt && count == sent.answered + 1,
            "round {round}: {who} got {} responses, and the journal has {count}",
            sent.answered
        );
        let expected: Vec<&str> = (0..count).map(|step| STATUSES[(step % 3) as usize]).collect();
        assert_eq!(steps, expected, "round {round}: {who}");
        let ordered = expected.iter().filter(|status| **status != "KYC_PENDING").count() as u64;
        assert_eq!(orders.get(who).copied().unwrap_or_default(), ordered, "round {round}: {who}");
    }
}

/// The records up to the first invalid line: later bytes were never acknowledged.
fn journal_as_far_as_whole(shop: &Shop) -> Vec<Value> {
    let mut files: Vec<_> = std::fs::read_dir(shop.path("data/journal"))
        .expect("journal")
        .map(|entry| entry.expect("entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "jsonl"))
        .collect();
    files.sort();
    let mut records = Vec::new();
    for file in files {
        let bytes = std::fs::read(file).expect("bytes");
        for line in bytes.split(|byte| *byte == b'\n').take_while(|line| !line.is_empty()) {
            match kyc_rules::store::record::verify(line) {
                Ok(_) => records.push(serde_json::from_slice(line).expect("JSON")),
                Err(_) => return records,
            }
        }
    }
    records
}

#[tokio::test(flavor = "multi_thread")]
async fn the_journal_is_synced_between_the_request_and_its_response() {
    if !is_there("strace") {
        return;
    }
    let shop = Shop::new(RULES);
    let trace = shop.path("trace");
    let plain = shop.command();
    let mut command = std::process::Command::new("strace");
    command
        .args(["-f", "-y", "-s", "64", "-e", "trace=pwrite64,fdatasync,recvfrom,read,sendto,write,writev", "-o"])
        .arg(&trace)
        .arg(plain.get_program())
        .args(plain.get_args());
    let service = Service::start(command).ready().await;
    service.callback("C-1", "FULL_USER", json!({})).await;
    // strace ends when the traced program does.
    let children = format!("/proc/{0}/task/{0}/children", service.pid());
    let traced = std::fs::read_to_string(children).expect("children");
    signal(traced.trim().parse().expect("one child"), "TERM");
    service.ended();
    let text = std::fs::read_to_string(trace).expect("a trace");
    let lines: Vec<&str> = text.lines().collect();
    let find = |from: usize, what: &dyn Fn(&str) -> bool| {
        lines.iter().skip(from).position(|line| what(line)).map(|at| at + from)
    };
    let read = find(0, &|line| line.contains("POST /callbacks/kyc")).expect("the request is read");
    let written =
        find(read, &|line| line.contains("pwrite64") && line.contains(".jsonl")).expect("a record is written");
    let synced = find(written, &|line| line.contains("fdatasync(") && line.contains(".jsonl")).expect("it is synced");
    let answered = find(read, &|line| line.contains("HTTP/1.1 200 OK") && !line.contains("read")).expect("a response");
    assert!(synced < answered, "read in line {read}, synced in {synced}, responded in {answered}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_ends_the_process_or_refuses_callbacks_but_loses_nothing() {
    // Without root, a test can limit the size of files, but not of a disk: two segments fit under this limit, and the
    // third does not.
    let shop = Shop::new(RULES);
    let inner = shop.command();
    let mut command = std::process::Command::new("bash");
    command
        .arg("-c")
        .arg("trap '' XFSZ; ulimit -f 3000; exec \"$@\"")
        .arg("bash")
        .arg(inner.get_program())
        .args(inner.get_args());
    let service = Service::start(command).ready().await;
    let mut answered = Vec::new();
    let mut refused = 0;
    for nth in 0..8_000 {
        let customer = format!("C-{nth}");
        match service.post(signed(&customer, "FULL_USER", json!({})).to_string()).await {
            Ok((200, _)) => answered.push(customer),
            Ok((503, problem)) => {
                // The view's file may reach the limit before the journal's next segment does.
                let why = problem["detail"].as_str().expect("why");
                assert!(why.contains("free space") || why.contains("not ready"), "{problem}");
                refused += 1;
                if refused > 20 {
                    break;
                }
            }
            Ok(other) => panic!("{other:?}"),
            Err(_) => break,
        }
    }
    assert!(refused > 0, "the disk was full, and no callback was refused: {}", service.log());
    assert!(!answered.is_empty());
    service.kill();
    let service = shop.start().ready().await;
    assert_eq!(service.get("status").await["store"]["customers"].as_u64(), Some(answered.len() as u64));
    let last = answered.last().expect("one");
    assert_eq!(service.get(&format!("customers/{last}")).await["status"], "FULL_USER");
    service.callback("C-new", "FULL_USER", json!({})).await;
}
