//! Measures how much a dead target slows down other targets: the time from the callback's response 200 to the arrival
//! of its webhook at a prompt target, next to a target that responds and next to one that accepts every connection and
//! never responds.
//!
//! `cargo bench --bench channels`. Rules, load and number of jobs are the same in both cases; the rounds are
//! interleaved, and only the ratio is meaningful. Options: `-- --callbacks 300 --each-second 50 --rounds 3`.

#![allow(clippy::print_stdout, clippy::unwrap_used)]

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use kyc_rules::{
    app::{App, AppOptions},
    channels::webhook::WebhookConfig,
    config::Config,
    providers::xgateway::{Secret, hash_of},
};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
};

const SECRET: &str = "a-secret-for-the-benchmark-alone";
const RULES: &str = "format: 1\nrules:\n  - id: told\n    when: any -> any\n    \
                     do: [{webhook: {to: beside, event: a}}, {webhook: {to: prompt, event: a}}]\n";

struct Plan {
    callbacks: usize,
    each_second: u32,
    rounds: usize,
}

/// The arrival of the webhook about each customer.
#[derive(Clone, Default)]
struct Arrivals(Arc<Mutex<HashMap<String, Instant>>>);

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let number = |name: &str, default: usize| {
        let given = arguments.iter().position(|argument| argument == name).and_then(|at| arguments.get(at + 1));
        given.map_or(default, |text| text.parse().expect(name))
    };
    let plan = Plan {
        callbacks: number("--callbacks", 300),
        each_second: u32::try_from(number("--each-second", 50)).unwrap(),
        rounds: number("--rounds", 3),
    };
    println!("{} callbacks, {} a second, {} rounds", plan.callbacks, plan.each_second, plan.rounds);
    println!("{:<18} {:>6} {:>10} {:>10}", "next to a target", "round", "p50 ms", "p99 ms");
    let mut ratios = Vec::new();
    for round in 1..=plan.rounds {
        let mut medians = Vec::new();
        for (name, answers) in [("that responds", true), ("that is dead", false)] {
            let delays = delays(&plan, answers).await;
            let at = |part: f64| delays[((delays.len() - 1) as f64 * part) as usize];
            println!("{name:<18} {round:>6} {:>10.2} {:>10.2}", at(0.5), at(0.99));
            medians.push(at(0.5));
        }
        ratios.push(medians[1] / medians[0]);
    }
    ratios.sort_by(f64::total_cmp);
    println!("ratio of the two p50, median of {}: {:.2}", ratios.len(), ratios[ratios.len() / 2]);
}

/// The delay of each webhook to the prompt target, in milliseconds, sorted.
async fn delays(plan: &Plan, answers: bool) -> Vec<f64> {
    let dir = tempfile::Builder::new().prefix("kyc-rules-bench-").tempdir().unwrap();
    std::fs::create_dir(dir.path().join("rules")).unwrap();
    std::fs::write(dir.path().join("rules/kyc.yaml"), RULES).unwrap();
    let arrivals = Arrivals::default();
    let (prompt, beside) = (target(true, arrivals.clone()).await, target(answers, Arrivals::default()).await);
    let mut config = Config::demo(dir.path(), Secret::new(SECRET));
    for (name, address) in [("prompt", prompt), ("beside", beside)] {
        let webhook = WebhookConfig {
            url: format!("http://{address}/"),
            secrets: vec![SECRET.into()],
            private: true,
            brake: None,
        };
        config.webhooks.insert(name.to_owned(), webhook);
    }
    let app = App::bind(config, AppOptions::default()).await.unwrap();
    let (url, services) = (format!("http://{}/callbacks/kyc", app.public_addr()), app.services());
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let served = tokio::spawn(app.run(async move {
        let _ = stopped.await;
    }));
    while services.not_ready().is_some() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let accepted = call_back(plan, &url).await;
    while arrivals.0.lock().unwrap().len() < plan.callbacks {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let mut delays: Vec<f64> = {
        let arrived = arrivals.0.lock().unwrap();
        accepted
            .iter()
            .map(|(customer, at)| arrived[customer].saturating_duration_since(*at).as_secs_f64() * 1e3)
            .collect()
    };
    delays.sort_by(f64::total_cmp);
    stop.send(()).unwrap();
    served.await.unwrap().unwrap();
    delays
}

/// Sends the callbacks at a constant rate. Returns the time of each response.
async fn call_back(plan: &Plan, url: &str) -> HashMap<String, Instant> {
    let (client, secret) = (reqwest::Client::builder().no_proxy().build().unwrap(), Secret::new(SECRET));
    let mut pace = tokio::time::interval(Duration::from_secs(1) / plan.each_second);
    let mut accepted = HashMap::new();
    for nth in 0..plan.callbacks {
        pace.tick().await;
        let customer = format!("C-{nth}");
        let hash = hash_of(&customer, &secret);
        let body =
            serde_json::json!({"callbackType": "kyc", "customerId": customer, "status": "KYC_PENDING", "hash": hash});
        let answer = client.post(url).body(body.to_string()).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        accepted.insert(customer, Instant::now());
    }
    accepted
}

/// A server that records each customer it receives, and responds 204 or never.
async fn target(answers: bool, arrivals: Arrivals) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(take(stream, answers, arrivals.clone()));
        }
    });
    address
}

async fn take(stream: TcpStream, answers: bool, arrivals: Arrivals) -> Option<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let mut length = 0;
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line).await.ok()? == 0 {
                return None;
            }
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().ok()?;
            }
            if line == "\r\n" {
                break;
            }
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await.ok()?;
        let at = Instant::now();
        let body: serde_json::Value = serde_json::from_slice(&body).ok()?;
        arrivals.0.lock().unwrap().entry(body["data"]["customer"]["id"].as_str()?.to_owned()).or_insert(at);
        if answers {
            stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.ok()?;
        }
    }
}
