//! A made-up channel: pages over a TCP connection, one line for a job and one line back.
//!
//! `busy N` refuses the page for N milliseconds, `ok` accepts it, and any other line refuses it.

use std::{io, net::SocketAddr};

use futures_util::future::BoxFuture;
use kyc_rules::{
    channels::{
        answer::AttemptEnd,
        sender::{ChannelConfig, DeliveryResult, SendRequest, Sender},
    },
    decide::Brake,
    outbox::{AttemptOutcome, Payload, ProblemKind},
};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufStream},
    net::TcpStream,
};

pub struct PagerConfig {
    pub address: SocketAddr,
}

impl ChannelConfig for PagerConfig {
    fn brake(&self) -> Option<Brake> {
        None
    }

    fn sender(&self, name: &str, _extra_roots: &[Vec<u8>]) -> Result<Option<Box<dyn Sender>>, String> {
        Ok(Some(Box::new(Pager { address: self.address, name: name.to_owned() })))
    }
}

struct Pager {
    address: SocketAddr,
    name: String,
}

impl Pager {
    async fn page(&self, line: &str) -> io::Result<String> {
        let mut stream = BufStream::new(TcpStream::connect(self.address).await?);
        stream.write_all(line.as_bytes()).await?;
        stream.flush().await?;
        let mut answer = String::new();
        stream.read_line(&mut answer).await?;
        Ok(answer.trim_end().to_owned())
    }
}

impl Sender for Pager {
    fn send<'a>(&'a self, request: SendRequest<'a>) -> BoxFuture<'a, DeliveryResult> {
        Box::pin(async move {
            let order = &request.job.order;
            let Some(Payload::Text(text)) = order.said.as_deref() else {
                return DeliveryResult::unfit(&order.action, "it has no text");
            };
            let page = format!("{} {} {}: {}\n", self.name, order.id, request.customer, text.plain());
            let retry = |error: String, after_ms| {
                let outcome = AttemptOutcome::Retry { error: error.clone(), after_ms };
                DeliveryResult::from(AttemptEnd { outcome, log: error })
            };
            match self.page(&page).await {
                Ok(answer) if answer == "ok" => AttemptEnd::done().into(),
                Ok(answer) => match answer.strip_prefix("busy ") {
                    Some(ms) => retry(answer.clone(), ms.parse().ok()),
                    None => AttemptEnd::failed(ProblemKind::Refused, answer).into(),
                },
                Err(error) => retry(error.to_string(), None),
            }
        })
    }
}
