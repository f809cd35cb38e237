//! A listener for tests, and the client side of a connection to it.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use http::StatusCode;
use kyc_rules::{
    clock::Clock,
    http::{
        AddressFilter, Listener, ListenerLimits, Peer as PeerOf, TlsConfig, capped_body, fixed_json, json, refused,
    },
    telemetry::{Refusal, Refusals},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
    sync::oneshot,
    task::JoinHandle,
    time::timeout,
};
use warp::Filter;

/// The timeout of every wait in these tests.
pub const PATIENCE: Duration = Duration::from_secs(20);
pub const CAP: usize = 1000;

pub fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// Limits that close no connection during a test.
pub fn patient() -> ListenerLimits {
    ListenerLimits {
        header_timeout: ms(60_000),
        body_timeout: ms(60_000),
        idle_timeout: ms(60_000),
        drain: ms(5_000),
        ..ListenerLimits::default()
    }
}

pub struct Server {
    pub address: SocketAddr,
    refusals: Arc<Refusals>,
    stop: oneshot::Sender<()>,
    served: JoinHandle<()>,
}

impl Server {
    pub async fn start(limits: ListenerLimits) -> Self {
        Self::with(limits, None, AddressFilter::default()).await
    }

    pub async fn with(limits: ListenerLimits, tls: Option<TlsConfig>, access: AddressFilter) -> Self {
        let listener =
            Listener::bind("127.0.0.1:0".parse().expect("address"), limits, tls, access).await.expect("bound");
        let refusals = Arc::new(Refusals::new("public", Clock::default()));
        let listener = listener.counting(Arc::clone(&refusals));
        let address = listener.local_addr();
        let (stop, stopped) = oneshot::channel::<()>();
        let served = tokio::spawn(listener.serve(routes(), async {
            stopped.await.ok();
        }));
        Self { address, refusals, stop, served }
    }

    /// Returns how often this kind was refused.
    pub fn refused(&self, kind: Refusal) -> u64 {
        self.refusals.counts().iter().find(|counted| counted.kind == kind).map_or(0, |counted| counted.count)
    }

    /// Waits until this kind was refused `count` times, because a connection without a response is counted after it
    /// ends.
    pub async fn until_refused(&self, kind: Refusal, count: u64) {
        let counted = async {
            while self.refused(kind) < count {
                tokio::time::sleep(ms(5)).await;
            }
        };
        let counts = || self.refusals.counts();
        assert!(timeout(PATIENCE, counted).await.is_ok(), "{kind:?} was not counted {count} times: {:?}", counts());
    }

    pub async fn connect(&self) -> Peer<TcpStream> {
        Peer(TcpStream::connect(self.address).await.expect("connected"))
    }

    /// Tells the server to stop. The returned task ends when the server has stopped.
    pub fn stop(self) -> JoinHandle<()> {
        self.stop.send(()).expect("still serving");
        self.served
    }
}

fn routes() -> impl Filter<Extract: warp::Reply, Error = std::convert::Infallible> + Clone + Send + Sync + 'static {
    let echo = warp::path!("echo")
        .and(warp::post())
        .and(capped_body(CAP))
        .map(|body: bytes::Bytes| json(StatusCode::OK, &serde_json::json!({"bytes": body.len()})));
    let who = warp::path!("who").and(warp::ext::get::<PeerOf>()).map(|peer: PeerOf| {
        json(StatusCode::OK, &serde_json::json!({"client": peer.client, "port": peer.socket.port()}))
    });
    let slow = warp::path!("slow" / u64).then(|pause| async move {
        tokio::time::sleep(ms(pause)).await;
        fixed_json(StatusCode::OK, r#"{"slow":true}"#)
    });
    let panics = warp::path!("panic").map(|| -> warp::reply::Response { panic!("on purpose") });
    echo.or(who).unify().or(slow).unify().or(panics).unify().recover(refused("GET, POST"))
}

/// A received response.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Answer {
    /// Checks that the response is a problem with this status in the format of RFC 9457.
    pub fn is_problem(&self, status: u16) {
        assert_eq!(self.status, status, "{self:?}");
        assert!(self.head.contains("content-type: application/problem+json"), "{self:?}");
        let problem: serde_json::Value = serde_json::from_str(&self.body).expect("JSON");
        assert_eq!(problem["status"], status, "{self:?}");
        assert!(problem["title"].is_string() && problem["type"].is_string(), "{self:?}");
    }
}

pub struct Peer<T>(pub T);

impl<T: AsyncRead + AsyncWrite + Unpin> Peer<T> {
    pub async fn say(&mut self, text: &str) {
        self.0.write_all(text.as_bytes()).await.expect("written");
    }

    pub async fn post(&mut self, body: &str) -> Answer {
        self.say(&format!("POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n{body}", body.len())).await;
        self.answer().await
    }

    pub async fn get(&mut self, path: &str) -> Answer {
        self.say(&format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n")).await;
        self.answer().await
    }

    /// Reads the next response, which must declare its length.
    pub async fn answer(&mut self) -> Answer {
        timeout(PATIENCE, self.read_answer()).await.expect("answered in time").expect("an answer")
    }

    async fn read_answer(&mut self) -> std::io::Result<Answer> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(self.0.read_u8().await?);
        }
        let head = String::from_utf8(head).expect("text").to_ascii_lowercase();
        let status = head[9..12].parse().expect("status");
        let length = head.split("content-length: ").nth(1).and_then(|rest| rest.split("\r\n").next());
        let mut body = vec![0; length.map_or(0, |length| length.parse().expect("length"))];
        self.0.read_exact(&mut body).await?;
        Ok(Answer { status, head, body: String::from_utf8(body).expect("text") })
    }

    /// Waits until the server closes the connection. Returns the remaining data.
    pub async fn closed(&mut self) -> String {
        let mut rest = Vec::new();
        // A reset also ends the connection.
        timeout(PATIENCE, self.0.read_to_end(&mut rest)).await.expect("closed in time").ok();
        String::from_utf8_lossy(&rest).into_owned()
    }
}
