//! A simulated status API of the provider. Tests set its data and its failures.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

pub const KEY: &str = "an-api-key";

/// The id in all responses of the provider, the same for every customer.
pub const NIL: &str = "00000000-0000-0000-0000-000000000000";

/// How the API responds.
#[derive(Clone, Debug)]
pub enum Manner {
    Truthful,
    /// Answers every request with this status and body.
    Says(u16, String),
    /// Answers with 429 and this `Retry-After`, in seconds.
    AsksForPatience(u32),
    /// Closes the connection without a response.
    Drops,
}

pub struct Provider {
    pub addr: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    manner: Mutex<Manner>,
    /// The content of `data`, by customer.
    known: Mutex<HashMap<String, Value>>,
    /// Fixed responses for single customers; they take precedence over `manner`.
    instead: Mutex<HashMap<String, (u16, String)>>,
    asked: Mutex<Vec<String>>,
}

impl Provider {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
        let addr = listener.local_addr().expect("an address");
        let shared = Arc::new(Shared {
            manner: Mutex::new(Manner::Truthful),
            known: Mutex::default(),
            instead: Mutex::default(),
            asked: Mutex::default(),
        });
        let serving = Arc::clone(&shared);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&serving)));
            }
        });
        Self { addr, shared }
    }

    /// The lines of a configuration that uses this API.
    pub fn configuration(&self) -> String {
        format!("provider: {{api: \"http://{}\", api_key: {KEY}}}\n", self.addr)
    }

    pub fn behaves(&self, manner: Manner) {
        *self.shared.manner.lock().expect("manner") = manner;
    }

    /// Sets the data of a customer.
    pub fn knows(&self, customer: &str, status: &str, docs: &[&str]) {
        let docs: Vec<Value> = docs.iter().map(|doc| json!({"docType": doc})).collect();
        let data = json!({"id": NIL, "status": status, "docsMissing": docs, "kycEndUserErrorMessage": null});
        self.shared.known.lock().expect("known").insert(customer.to_owned(), data);
    }

    /// Removes a customer, as if the provider has no profile of them.
    pub fn forgets(&self, customer: &str) {
        self.shared.known.lock().expect("known").remove(customer);
    }

    /// Sets a fixed response to all requests about a customer.
    pub fn says_about(&self, customer: &str, status: u16, body: &str) {
        self.shared.instead.lock().expect("instead").insert(customer.to_owned(), (status, body.to_owned()));
    }

    /// Returns the customers that were asked about, in order.
    pub fn asked(&self) -> Vec<String> {
        self.shared.asked.lock().expect("asked").clone()
    }
}

async fn serve(mut stream: TcpStream, shared: Arc<Shared>) {
    loop {
        let Some(request) = read(&mut stream).await else { return };
        let path = request.split(' ').nth(1).unwrap_or_default().to_owned();
        let customer = path
            .strip_prefix("/api/v2/customer/")
            .and_then(|rest| rest.strip_suffix("/bank-transfer/kyc"))
            .unwrap_or_default()
            .to_owned();
        shared.asked.lock().expect("asked").push(customer.clone());
        let manner = shared.manner.lock().expect("manner").clone();
        let instead = shared.instead.lock().expect("instead").get(&customer).cloned();
        let (status, body) = match instead.map_or(manner, |(status, body)| Manner::Says(status, body)) {
            Manner::Drops => return,
            Manner::AsksForPatience(seconds) => {
                let answer = format!("HTTP/1.1 429 X\r\nretry-after: {seconds}\r\ncontent-length: 0\r\n\r\n");
                if stream.write_all(answer.as_bytes()).await.is_err() {
                    return;
                }
                continue;
            }
            Manner::Says(status, body) => (status, body),
            Manner::Truthful if !request.to_lowercase().contains(&format!("x-api-key: {KEY}")) => {
                let errors = json!([{"code": "unauthorized", "message": "the key is not known"}]);
                (401, json!({"errors": errors, "success": false}).to_string())
            }
            Manner::Truthful => match shared.known.lock().expect("known").get(&customer) {
                Some(data) => (200, json!({"success": true, "data": data}).to_string()),
                None => (200, json!({"data": {"id": NIL, "status": null}, "success": true}).to_string()),
            },
        };
        let answer = format!(
            "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        if stream.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}

/// Reads the head of a request; the requests have no body.
async fn read(stream: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    String::from_utf8(head).ok()
}
