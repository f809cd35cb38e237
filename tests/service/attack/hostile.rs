//! Sends hostile requests over raw sockets, mutated from a seed that is printed. `KYC_RULES_SEED=N` repeats a run, and
//! `KYC_RULES_ROUNDS=N` sets its length.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{RULES, refused::sent};
use crate::support::{
    seed::{Dice, number},
    service::{SECRET, Shop, signed},
};

impl Dice {
    /// Returns the right text nine times in ten, otherwise a wrong one.
    fn mostly<'t>(&mut self, right: &'t str, wrong: &[&'t str]) -> &'t str {
        if self.below(10) > 0 { right } else { wrong[self.below(wrong.len())] }
    }
}

const METHODS: &[&str] = &["GET", "PUT", "CONNECT", "OPTIONS", "PRI", "p\u{f6}st", ""];
const TARGETS: &[&str] = &[
    "/callbacks/kyc?x=%zz",
    "/callbacks//kyc",
    "//",
    "*",
    "x:1",
    "http://x/callbacks/kyc",
    "http://y/",
    "/%00%ff/../..",
    "",
];
const VERSIONS: &[&str] = &["HTTP/1.0", "HTTP/2.0", "HTTP/9", ""];
const HEADERS: &[&str] = &[
    "Host: x",
    "Host: y",
    "Host: a b",
    "Transfer-Encoding: chunked",
    "Transfer-Encoding: gzip, chunked",
    "Transfer-Encoding: gzip",
    "Content-Length: 5",
    "Content-Length: 99999999999",
    "Content-Length: -1",
    "Content-Length: 18446744073709551616",
    "Expect: 100-continue",
    "Connection: close",
    "Connection: upgrade\r\nUpgrade: h2c",
    "X-Forwarded-For: 1.2.3.4",
    "Folded: a\r\n b",
    "\u{0}: \u{0}",
    ": x",
];

/// Returns a callback of the provider, often mutated.
fn body(dice: &mut Dice) -> Vec<u8> {
    let kyc = signed("C-hostile", "SOFT_KYC_FAILED", json!({"docsMissing": ["SELFIE"]}));
    let mut body = match dice.below(5) {
        0 => std::fs::read("tests/cases/provider/other-transaction.json").expect("a body"),
        1 => signed("C-hostile", "SOFT_KYC_FAILED", json!({"hash": null})).to_string().into_bytes(),
        2 => vec![*b"[{\"0 ".get(dice.below(5)).unwrap_or(&b'['); dice.below(70_000)],
        _ => kyc.to_string().into_bytes(),
    };
    for _ in 0..dice.below(2) {
        mutate(&mut body, dice);
    }
    body
}

fn mutate(bytes: &mut Vec<u8>, dice: &mut Dice) {
    if bytes.is_empty() {
        return;
    }
    let (from, to) = (dice.below(bytes.len()), dice.below(bytes.len()));
    let range = from.min(to)..from.max(to);
    match dice.below(6) {
        0 => bytes[from] = u8::try_from(dice.below(256)).expect("a byte"),
        1 => bytes[from] ^= 1 << dice.below(8),
        2 => drop(bytes.drain(range)),
        3 => {
            let again: Vec<u8> = bytes[range].to_vec();
            bytes.splice(from..from, again);
        }
        4 => bytes.truncate(from),
        _ => drop(bytes.splice(from..from, dice.next().to_le_bytes())),
    }
}

fn chunked(body: &[u8], dice: &mut Dice) -> Vec<u8> {
    let mut bytes = Vec::new();
    for piece in body.chunks(dice.below(900) + 1) {
        let size = if dice.below(20) == 0 { dice.next() } else { piece.len() as u64 };
        bytes.extend_from_slice(format!("{size:x}\r\n").as_bytes());
        bytes.extend_from_slice(piece);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"0\r\n\r\n");
    bytes
}

fn request(dice: &mut Dice) -> Vec<u8> {
    let body = body(dice);
    let method = dice.mostly("POST", METHODS);
    let target = dice.mostly("/callbacks/kyc", TARGETS);
    let mut head = format!("{method} {target} {}\r\n", dice.mostly("HTTP/1.1", VERSIONS));
    for _ in 0..2 {
        let header = dice.mostly("Accept: */*", HEADERS);
        head.push_str(&format!("{header}\r\n"));
    }
    head.push_str(dice.mostly("Host: x\r\n", &[""]));
    let body = if dice.below(3) == 0 {
        head.push_str("Transfer-Encoding: chunked\r\n");
        chunked(&body, dice)
    } else {
        head.push_str(&format!("Content-Length: {}\r\n", body.len()));
        body
    };
    let mut bytes = [head.as_bytes(), b"\r\n", &body].concat();
    if dice.below(4) == 0 {
        mutate(&mut bytes, dice);
    }
    bytes
}

/// Parses the responses: the status of each, and whether hyper sent it by itself, without a body.
fn answers(text: &str) -> Vec<(u16, bool)> {
    // `HTTP/1.1 200`, or `HTTP/1.0 200` for a request of that version.
    let texts = text.split("HTTP/1.").skip(1).filter_map(|answer| Some((answer.get(2..5)?.parse().ok()?, answer)));
    let all = texts.map(|(status, answer)| (status, status >= 400 && !answer.contains("application/problem+json")));
    all.filter(|(status, _)| *status != 100).collect()
}

/// The kinds of refusals that hyper may answer itself.
const BY_HYPER: &[&str] = &["not_http", "headers_too_large"];

/// Returns the numbers of requests that were refused by this program and by hyper.
fn counts(status: &Value) -> (u64, u64) {
    let kinds = status["callbacks"]["refused"].as_array().expect("kinds");
    let sum = |by_hyper: bool| {
        let of = |one: &&Value| one["kind"].as_str().is_some_and(|kind| BY_HYPER.contains(&kind)) == by_hyper;
        kinds.iter().filter(of).map(|one| one["count"].as_u64().expect("a count")).sum()
    };
    (sum(false), sum(true))
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_requests_are_refused_and_counted_while_valid_ones_are_answered() {
    let now = std::time::UNIX_EPOCH.elapsed().expect("after 1970").as_nanos();
    let seed = number("KYC_RULES_SEED").unwrap_or(u64::try_from(now & 0xffff_ffff).expect("small") | 1);
    let rounds = number("KYC_RULES_ROUNDS").unwrap_or(600);
    eprintln!("KYC_RULES_SEED={seed}");
    let mut dice = Dice(seed);
    let shop = Shop::new(RULES);
    let service = shop.start().ready().await;
    let (mut taken, mut refused, mut by_hyper) = (0, 0, 0);
    let mut by_status = BTreeMap::new();
    for round in 0..rounds {
        let bytes = request(&mut dice);
        let public = service.public;
        let text = tokio::task::spawn_blocking(move || sent(public, &bytes)).await.expect("ends");
        for (status, is_hypers) in answers(&text) {
            assert!(!matches!(status, 500 | 503), "seed {seed}, round {round}: {text}");
            *by_status.entry(status).or_insert(0) += 1;
            match status {
                ..400 => taken += 1,
                _ if is_hypers => by_hyper += 1,
                _ => refused += 1,
            }
        }
        if round % 20 == 0 {
            let outcome = service.callback(&format!("honest-{round}"), "FULL_USER", json!({})).await;
            assert_eq!(outcome, "accepted", "seed {seed}, round {round}");
            taken += 1;
        }
    }
    // hyper's refusals are counted when the connection ends, slightly after the response; some have no response.
    let status = service.until("status", |status| counts(status).1 >= by_hyper).await;
    let callbacks = &status["callbacks"];
    assert_eq!(counts(&status).0, refused, "seed {seed}: {by_status:?} {callbacks:#}");
    let counted = |name: &str| callbacks[name].as_u64().expect("a count");
    assert_eq!(counted("accepted") + counted("duplicate"), taken, "seed {seed}: {callbacks:#}");
    assert!(refused > rounds / 8 && taken > rounds / 15, "seed {seed}: too few of a kind: {callbacks:#}");
    let (ended, log) = service.stop();
    assert!(ended.success() && !log.contains("panicked"), "seed {seed}: {log}");
    assert!(!log.contains("C-hostile") && !log.contains(SECRET), "seed {seed}: {log}");
    assert!(log.lines().count() < 200, "seed {seed}: {log}");
}
