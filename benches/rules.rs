//! Measures the cost of rules: loading 100,000 rules, and matching a callback against 100,000 rules and against ten.
//!
//! `cargo bench --bench rules`. On a shared machine only the ratio is meaningful; both sides are interleaved in one
//! run.
#![allow(clippy::print_stdout, reason = "a benchmark prints what it measured")]

use std::{
    fmt::Write,
    hint::black_box,
    time::{Duration, Instant},
};

use kyc_rules::{
    domain::{Change, Codes, Customer, Details, Observation, Processing, Source, Status},
    rules::{ConditionFacts, ConditionResult, Environment, EventSignature, RuleSet},
    yaml::Files,
};

const ROUNDS: usize = 9;
const LOOKS: u32 = 20_000;

/// Rules for every pair of statuses, each with a condition, in files of a realistic size.
fn files(count: usize) -> Files {
    let mut files = Files::default();
    files.insert("templates/mail.en.md".to_owned(), "Subject: Hello\n\nHello.\n".to_owned());
    let statuses = Status::KNOWN;
    for (nth, chunk) in (0..count).collect::<Vec<_>>().chunks(1_000).enumerate() {
        let mut text = "format: 1\nrules:\n".to_owned();
        for rule in chunk {
            let (from, to) = (statuses[rule % 7], statuses[(rule + 1 + rule / 7 % 6) % 7]);
            let _ = writeln!(
                text,
                "  - {{id: rule-{rule}, when: {from} -> {to}, if: {{visit: \"{}\"}}, do: [{{tag: t}}]}}",
                rule * 7919 % 900 + 1
            );
        }
        files.insert(format!("rules-{nth:03}.yaml"), text);
    }
    files
}

fn load(files: &Files) -> (RuleSet, Duration) {
    let context = Environment::assumed_by(files);
    let began = Instant::now();
    let compiled = RuleSet::compile(files, &context);
    let took = began.elapsed();
    let set = compiled.set.unwrap_or_else(|| panic!("{:?}", compiled.diagnostics.first()));
    (set, took)
}

fn observation(status: Status) -> Observation {
    Observation {
        source: Source::Callback,
        status,
        processing: Some(Processing::None),
        missing_docs: Some(Codes::EMPTY),
        reject_labels: Some(Codes::EMPTY),
        message: Some("".into()),
    }
}

/// The mean time to find and check all rules whose trigger matches a change of status, in nanoseconds, and the number
/// of these rules.
fn look(set: &RuleSet) -> (f64, usize) {
    let now = kyc_rules::clock::Timestamp(1_795_419_000_000);
    let first = observation(Status::KycPending);
    let before = Customer::after(None, &first, &Change::of(None, &first), now);
    let saw = observation(Status::SoftKycFailed);
    let change = Change::of(Some(&before), &saw);
    let after = Customer::after(Some(&before), &saw, &change, now);
    let tags = Codes::EMPTY;
    let facts = ConditionFacts { customer: &after, tags: &tags, contact: None, visit: 1, changed: Details::default() };
    let mut asked = 0;
    let began = Instant::now();
    for _ in 0..LOOKS {
        asked = 0;
        let signature = EventSignature::of(black_box(&facts));
        let mut matching = set.matching(black_box(&change));
        loop {
            matching.skip_impossible(signature);
            let Some(rule) = matching.next() else { break };
            asked += 1;
            black_box(rule.condition.check(&facts) == ConditionResult::Yes);
        }
    }
    (began.elapsed().as_nanos() as f64 / f64::from(LOOKS), asked)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn main() {
    let (few_files, many_files) = (files(10), files(100_000));
    let (few, _) = load(&few_files);
    let mut loads = Vec::new();
    let mut many = None;
    for _ in 0..3 {
        let (set, took) = load(&many_files);
        loads.push(took.as_secs_f64());
        many = Some(set);
    }
    let many = many.expect("loaded");
    let (mut few_ns, mut many_ns) = (Vec::new(), Vec::new());
    let (mut few_asked, mut many_asked) = (0, 0);
    for _ in 0..ROUNDS {
        let (ns, asked) = look(&few);
        few_ns.push(ns);
        few_asked = asked;
        let (ns, asked) = look(&many);
        many_ns.push(ns);
        many_asked = asked;
    }
    let (few_ns, many_ns) = (median(few_ns), median(many_ns));
    println!("loading 100,000 rules: {:.2} s (median of 3)", median(loads));
    println!("matching one callback, median of {ROUNDS} interleaved rounds:");
    println!("       10 rules: {few_ns:>8.0} ns, {few_asked} of them checked");
    println!("  100,000 rules: {many_ns:>8.0} ns, {many_asked} of them checked");
    println!("  ratio {:.1}", many_ns / few_ns);
}
