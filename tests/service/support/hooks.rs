//! An HTTP server for webhooks and chat rooms, on a socket in this process, with scripted responses.
//!
//! It records every call. The script's replies are used once, in order; after the script has ended, every response is
//! 204.

use std::{
    collections::VecDeque,
    io::Write,
    net::SocketAddr,
    process::{Command, Stdio},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use serde_json::Value;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};
use tokio_rustls::TlsAcceptor;

use super::smtp::Certificate;

/// A received request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    pub method: String,
    pub path: String,
    headers: Vec<(String, String)>,
    pub body: String,
    /// The time at which the request was complete.
    pub at: Instant,
}

impl Call {
    pub fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(have, _)| have.eq_ignore_ascii_case(name));
        found.map_or("", |(_, value)| value)
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).expect("JSON")
    }

    /// Whether the call has a signature of each of these secrets, in this order, according to another implementation.
    pub fn is_signed_with(&self, secrets: &[&str]) -> bool {
        const CHECK: &str = "import sys, json, hmac, hashlib, base64\n\
            given = json.load(sys.stdin)\n\
            def key(text):\n\
            \x20   return base64.b64decode(text[6:]) if text.startswith('whsec_') else text.encode()\n\
            def sign(text):\n\
            \x20   said = given['id'] + '.' + given['timestamp'] + '.' + given['body']\n\
            \x20   return 'v1,' + base64.b64encode(hmac.new(key(text), said.encode(), hashlib.sha256).digest()).decode()\n\
            sys.exit(given['signature'] != ' '.join(sign(text) for text in given['secrets']))\n";
        self.passes(CHECK, secrets)
    }

    /// Whether a receiver accepts the call with this secret. `recipe` is Python that defines `is_ours`.
    pub fn is_believed(&self, recipe: &str, secret: &str) -> bool {
        const CHECK: &str = "\nimport sys, json\n\
            given = json.load(sys.stdin)\n\
            headers = {'webhook-' + name: given[name] for name in ['id', 'timestamp', 'signature']}\n\
            sys.exit(not is_ours(given['secrets'][0], headers, given['body'].encode()))\n";
        self.passes(&format!("{recipe}{CHECK}"), &[secret])
    }

    /// Whether a Python program that reads this call from standard input exits with 0.
    fn passes(&self, program: &str, secrets: &[&str]) -> bool {
        let given = serde_json::json!({
            "id": self.header("webhook-id"),
            "timestamp": self.header("webhook-timestamp"),
            "signature": self.header("webhook-signature"),
            "body": self.body,
            "secrets": secrets,
        });
        let mut python = Command::new("python3")
            .args(["-c", program])
            .stdin(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("python3 runs");
        python.stdin.take().expect("piped").write_all(given.to_string().as_bytes()).expect("taken");
        python.wait().expect("ended").success()
    }
}

/// A response.
#[derive(Clone, Debug)]
pub enum Reply {
    Status(u16),
    /// A response with these header lines and this body.
    Say(u16, String, String),
    /// Sends nothing and keeps the connection open.
    Hang,
    /// Closes the connection without a response.
    Drop,
    /// Sends the beginning of a longer body, then closes the connection.
    DropMidBody(u16),
    /// Sends a body that does not end.
    Endless(u16),
}

#[derive(Default)]
struct Records {
    calls: Vec<Call>,
    connections: usize,
    script: VecDeque<Reply>,
    otherwise: Option<Reply>,
}

pub struct HookServer {
    pub address: SocketAddr,
    scheme: &'static str,
    records: Arc<Mutex<Records>>,
    task: JoinHandle<()>,
}

impl Drop for HookServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl HookServer {
    pub async fn start() -> Self {
        Self::with(&[], None).await
    }

    /// Starts a server with this script.
    pub async fn scripted(script: &[Reply]) -> Self {
        Self::with(script, None).await
    }

    /// Starts a server that always sends this reply.
    pub async fn always(reply: Reply) -> Self {
        let server = Self::start().await;
        server.records.lock().expect("records").otherwise = Some(reply);
        server
    }

    pub async fn with(script: &[Reply], certificate: Option<&Certificate>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let records = Arc::new(Mutex::new(Records { script: script.iter().cloned().collect(), ..Records::default() }));
        let (shared, tls) = (Arc::clone(&records), certificate.map(Certificate::acceptor));
        let scheme = if tls.is_some() { "https" } else { "http" };
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                shared.lock().expect("records").connections += 1;
                tokio::spawn(encrypted(stream, tls.clone(), Arc::clone(&shared)));
            }
        });
        Self { address, scheme, records, task }
    }

    pub fn url(&self, path: &str) -> String {
        format!("{}://{}{path}", self.scheme, self.address)
    }

    pub fn calls(&self) -> Vec<Call> {
        self.records.lock().expect("records").calls.clone()
    }

    pub fn connections(&self) -> usize {
        self.records.lock().expect("records").connections
    }

    /// Returns the calls once there are `count` of them; panics after ten seconds.
    pub async fn wait_for(&self, count: usize) -> Vec<Call> {
        for _ in 0..1000 {
            let calls = self.calls();
            if calls.len() >= count {
                return calls;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{} calls came, not {count}", self.calls().len());
    }
}

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

async fn encrypted(stream: TcpStream, tls: Option<TlsAcceptor>, records: Arc<Mutex<Records>>) -> Option<()> {
    match tls {
        None => talk(Box::new(stream), records).await,
        Some(tls) => talk(Box::new(tls.accept(stream).await.ok()?), records).await,
    }
}

/// Serves a connection until it ends.
async fn talk(mut stream: Box<dyn Stream>, records: Arc<Mutex<Records>>) -> Option<()> {
    let mut buffer = Vec::new();
    loop {
        let call = read(&mut stream, &mut buffer).await?;
        let reply = {
            let mut records = records.lock().expect("records");
            records.calls.push(call);
            records.script.pop_front().or_else(|| records.otherwise.clone()).unwrap_or(Reply::Status(204))
        };
        let head = |status: u16, length: usize| format!("HTTP/1.1 {status} Said\r\nContent-Length: {length}\r\n\r\n");
        let said = match reply {
            Reply::Status(204) => "HTTP/1.1 204 Said\r\n\r\n".to_owned(),
            Reply::Status(status) => head(status, 0),
            Reply::Say(status, headers, body) => {
                format!("HTTP/1.1 {status} Said\r\n{headers}Content-Length: {}\r\n\r\n{body}", body.len())
            }
            Reply::Hang => std::future::pending().await,
            Reply::Drop => return None,
            Reply::DropMidBody(status) => {
                stream.write_all(format!("{}begun", head(status, 1000)).as_bytes()).await.ok()?;
                stream.flush().await.ok()?;
                return None;
            }
            Reply::Endless(status) => {
                stream.write_all(head(status, 1 << 40).as_bytes()).await.ok()?;
                loop {
                    stream.write_all(&[b'x'; 16 * 1024]).await.ok()?;
                }
            }
        };
        stream.write_all(said.as_bytes()).await.ok()?;
        stream.flush().await.ok()?;
    }
}

async fn read(stream: &mut Box<dyn Stream>, buffer: &mut Vec<u8>) -> Option<Call> {
    let head = loop {
        if let Some(at) = buffer.windows(4).position(|four| four == b"\r\n\r\n") {
            break String::from_utf8(buffer.drain(..at + 4).collect()).ok()?;
        }
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    };
    let mut lines = head.lines();
    let mut first = lines.next()?.split(' ');
    let (method, path) = (first.next()?.to_owned(), first.next()?.to_owned());
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
        .collect();
    let length = headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    let length: usize = length.map_or(Some(0), |(_, value)| value.parse().ok())?;
    while buffer.len() < length {
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    }
    let body = String::from_utf8(buffer.drain(..length).collect()).ok()?;
    Some(Call { method, path, headers, body, at: Instant::now() })
}
