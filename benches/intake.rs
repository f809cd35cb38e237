//! Measures how much of a bare server's throughput is left when every callback is verified, decided and durable before
//! its response.
//!
//! `cargo bench --bench intake` starts two servers in turn, each as a separate process, and loads both over the
//! loopback in interleaved rounds of one run: the intake with the shipped rules and a fresh store on this disk, and the
//! same listener with a route that reads the body and responds 200. Only the ratio is meaningful: machines differ, and
//! so does one machine over time.
//!
//! Options: `-- --connections 64 --seconds 10 --rounds 3 --customers 0 --data DIR`. With `--customers N` the callbacks
//! are about N customers in turn; with 0, each callback is about a new customer.

#![allow(clippy::print_stdout, clippy::print_stderr, clippy::unwrap_used)]

use std::{
    io::{BufRead, BufReader, Write},
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use kyc_rules::{
    app::{App, AppOptions},
    config::Config,
    http::{AddressFilter, Listener, ListenerLimits, capped_body, fixed_json, refused},
    providers::xgateway::{MAX_BODY_BYTES, Secret, hash_of},
    shipped,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use warp::Filter;

const SECRET: &str = "a-secret-for-the-benchmark-alone";

#[derive(Clone, Debug)]
struct Plan {
    connections: usize,
    seconds: u64,
    rounds: usize,
    customers: u64,
    data: PathBuf,
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let value = |name: &str| {
        arguments.iter().position(|argument| argument == name).and_then(|at| arguments.get(at + 1)).cloned()
    };
    let number = |name: &str, default: u64| value(name).map_or(default, |text| text.parse().expect(name));
    let _ = rustls::crypto::ring::default_provider().install_default();
    match value("--serve").as_deref() {
        Some("empty") => serve_empty(),
        Some("intake") => serve_intake(&PathBuf::from(value("--data").expect("--data"))),
        Some(other) => panic!("--serve {other}"),
        None => compare(&Plan {
            connections: usize::try_from(number("--connections", 64)).unwrap(),
            seconds: number("--seconds", 10),
            rounds: usize::try_from(number("--rounds", 3)).unwrap(),
            customers: number("--customers", 0),
            data: value("--data").map_or_else(std::env::temp_dir, PathBuf::from),
        }),
    }
}

fn runtime(threads: usize) -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(threads).enable_all().build().unwrap()
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(2, usize::from)
}

fn say_where(address: SocketAddr) {
    println!("{address}");
    std::io::stdout().flush().unwrap();
}

/// Returns when the parent process ends.
async fn parent_gone() {
    let _ = tokio::task::spawn_blocking(|| std::io::stdin().read_line(&mut String::new())).await;
}

fn serve_empty() {
    runtime(cores()).block_on(async {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let listener =
            Listener::bind(address, ListenerLimits::default(), None, AddressFilter::default()).await.unwrap();
        say_where(listener.local_addr());
        let routes = warp::path!("callbacks" / "kyc")
            .and(warp::post())
            .and(capped_body(MAX_BODY_BYTES))
            .map(|_| fixed_json(http::StatusCode::OK, r#"{"outcome":"accepted"}"#))
            .recover(refused("POST"))
            .unify();
        listener.serve(routes, parent_gone()).await;
    });
}

fn serve_intake(dir: &std::path::Path) {
    kyc_rules::telemetry::start_log(kyc_rules::telemetry::LogFormat::Text, "warn");
    for (path, text) in shipped::files().iter() {
        let path = dir.join("rules").join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    runtime(cores()).block_on(async {
        let mut config = Config::demo(dir, Secret::new(SECRET));
        // The load exceeds any useful limit.
        config.email.as_mut().unwrap().brake = None;
        let app = App::bind(config, AppOptions::default()).await.unwrap();
        let (address, services) = (app.public_addr(), app.services());
        let said = async {
            while services.not_ready().is_some() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            say_where(address);
            std::future::pending::<()>().await;
        };
        tokio::select! {
            served = app.run(parent_gone()) => served.unwrap(),
            () = said => {}
        }
    });
}

/// A server in a separate process.
struct Server {
    child: Child,
    address: SocketAddr,
}

impl Server {
    fn start(kind: &str, data: &std::path::Path) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--serve", kind, "--data"])
            .arg(data)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Self { child, address: line.trim().parse().unwrap() }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

/// The results of one round against one server.
struct Figures {
    per_second: f64,
    p50_ms: f64,
    p99_ms: f64,
    refused: u64,
}

fn compare(plan: &Plan) {
    let dir = tempfile::Builder::new().prefix("kyc-rules-bench-").tempdir_in(&plan.data).unwrap();
    println!(
        "{} connections, {} s a round, {} rounds; the store is in {}",
        plan.connections,
        plan.seconds,
        plan.rounds,
        dir.path().display()
    );
    println!("{:<8} {:>6} {:>14} {:>10} {:>10} {:>8}", "server", "round", "callbacks/s", "p50 ms", "p99 ms", "refused");
    let mut ratios = Vec::new();
    let mut next_customer = 0;
    for round in 1..=plan.rounds {
        let mut rates = Vec::new();
        for kind in ["empty", "intake"] {
            let data = dir.path().join(format!("{kind}-{round}"));
            std::fs::create_dir_all(&data).unwrap();
            let server = Server::start(kind, &data);
            let figures = load(server.address, plan, &mut next_customer);
            println!(
                "{kind:<8} {round:>6} {:>14.0} {:>10.2} {:>10.2} {:>8}",
                figures.per_second, figures.p50_ms, figures.p99_ms, figures.refused
            );
            rates.push(figures.per_second);
        }
        ratios.push(rates[1] / rates[0]);
    }
    ratios.sort_by(f64::total_cmp);
    println!("ratio of the intake to the empty server, median of {}: {:.3}", ratios.len(), ratios[ratios.len() / 2]);
}

/// One thread that sends one request at a time on every connection.
fn load(address: SocketAddr, plan: &Plan, next_customer: &mut u64) -> Figures {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (first, plan) = (*next_customer, plan.clone());
    let (latencies, refused, seconds, used) = runtime.block_on(async move {
        let shared = std::rc::Rc::new(std::cell::Cell::new(first));
        let local = tokio::task::LocalSet::new();
        let began = Instant::now();
        let until = began + Duration::from_secs(plan.seconds);
        let tasks: Vec<_> = (0..plan.connections)
            .map(|_| local.spawn_local(connection(address, until, std::rc::Rc::clone(&shared), plan.customers)))
            .collect();
        let mut latencies = Vec::new();
        let mut refused = 0;
        local
            .run_until(async {
                for task in tasks {
                    let (some, not) = task.await.unwrap();
                    latencies.extend(some);
                    refused += not;
                }
            })
            .await;
        (latencies, refused, began.elapsed().as_secs_f64(), shared.get())
    });
    *next_customer = used;
    let mut sorted: Vec<u32> = latencies;
    sorted.sort_unstable();
    let at = |part: f64| f64::from(sorted[((sorted.len() - 1) as f64 * part) as usize]) / 1000.0;
    Figures { per_second: sorted.len() as f64 / seconds, p50_ms: at(0.5), p99_ms: at(0.99), refused }
}

/// Returns the latencies in microseconds, and the number of responses that were not 200.
async fn connection(
    address: SocketAddr,
    until: Instant,
    next: std::rc::Rc<std::cell::Cell<u64>>,
    customers: u64,
) -> (Vec<u32>, u64) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let secret = Secret::new(SECRET);
    let (mut latencies, mut refused) = (Vec::new(), 0);
    let mut answer = [0; 1024];
    while Instant::now() < until {
        let number = next.get();
        next.set(number + 1);
        let request = request(number, customers, &secret);
        let began = Instant::now();
        stream.write_all(&request).await.unwrap();
        // Each response is small and arrives in one piece.
        let length = stream.read(&mut answer).await.unwrap();
        if answer[..length].starts_with(b"HTTP/1.1 200") {
            latencies.push(u32::try_from(began.elapsed().as_micros()).unwrap_or(u32::MAX));
        } else {
            refused += 1;
            assert!(length > 0, "the server closed the connection");
        }
    }
    (latencies, refused)
}

/// The nth callback: the documented body, signed.
fn request(number: u64, customers: u64, secret: &Secret) -> Vec<u8> {
    let (customer, status) = match number.checked_rem(customers) {
        None => (number, "SOFT_KYC_FAILED"),
        Some(customer) => {
            (customer, ["KYC_PENDING", "SOFT_KYC_FAILED", "FULL_USER"][(number / customers) as usize % 3])
        }
    };
    let customer = format!("customer-{customer}");
    let hash = hash_of(&customer, secret);
    let body = format!(
        r#"{{"callbackType":"kyc","customerId":"{customer}","docsMissing":["SELFIE","PASSPORT"],"hash":"{hash}","kycRejectLabel":"BAD_SELFIE, BAD_PASSPORT","kycEndUserErrorMessage":null,"status":"{status}","kycProcessingStatus":null}}"#
    );
    let head = format!(
        "POST /callbacks/kyc HTTP/1.1\r\nHost: shop.example\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body.as_bytes()].concat()
}
