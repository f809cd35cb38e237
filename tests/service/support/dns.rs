//! A DNS server that knows a few TXT records.

use std::{collections::BTreeMap, net::SocketAddr};

use hickory_proto::{
    op::{Message, ResponseCode},
    rr::{RData, Record, rdata::TXT},
};
use tokio::{net::UdpSocket, task::JoinHandle};

pub struct NameServer {
    pub address: SocketAddr,
    task: JoinHandle<()>,
}

impl NameServer {
    /// Serves these names with their TXT records. A text longer than 255 bytes is split. All other names do not exist.
    pub async fn knowing(names: &[(&str, &[&str])]) -> Self {
        let names: BTreeMap<String, Vec<String>> = names
            .iter()
            .map(|(name, texts)| (format!("{name}."), texts.iter().map(|&text| text.to_owned()).collect()))
            .collect();
        let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a port");
        let address = socket.local_addr().expect("an address");
        let task = tokio::spawn(async move {
            let mut buffer = [0; 4096];
            loop {
                let (length, from) = socket.recv_from(&mut buffer).await.expect("received");
                let answer = answer(&Message::from_vec(&buffer[..length]).expect("a question"), &names);
                socket.send_to(&answer.to_vec().expect("encoded"), from).await.expect("sent");
            }
        });
        Self { address, task }
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn answer(question: &Message, names: &BTreeMap<String, Vec<String>>) -> Message {
    let mut answer = question.clone().into_response();
    let name = question.queries[0].name().clone();
    match names.get(&name.to_ascii().to_ascii_lowercase()) {
        None => answer.metadata.response_code = ResponseCode::NXDomain,
        Some(texts) => {
            for text in texts {
                let parts = text.as_bytes().chunks(255).collect();
                answer.add_answer(Record::from_rdata(name.clone(), 60, RData::TXT(TXT::from_bytes(parts))));
            }
        }
    }
    answer
}
