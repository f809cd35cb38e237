//! Slow peers and timeouts.

use std::time::Duration;

use kyc_rules::http::ListenerLimits;
use tokio::time::{interval, sleep};

use super::peer::{Server, ms, patient};

#[tokio::test]
async fn a_silent_connection_is_closed() {
    let server = Server::start(ListenerLimits { header_timeout: ms(200), ..patient() }).await;
    assert_eq!(server.connect().await.closed().await, "");
}

#[tokio::test]
async fn slow_headers_are_closed_with_a_408() {
    let server = Server::start(ListenerLimits { header_timeout: ms(300), ..patient() }).await;
    let mut peer = server.connect().await;
    peer.say("POST /echo HTTP/1.1\r\nhost: x\r\n").await;
    peer.answer().await.is_problem(408);
    assert_eq!(peer.closed().await, "");
}

#[tokio::test]
async fn sending_headers_byte_by_byte_does_not_extend_the_timeout() {
    let server = Server::start(ListenerLimits { header_timeout: ms(300), ..patient() }).await;
    let (mut read, mut write) = tokio::io::split(server.connect().await.0);
    let drip = tokio::spawn(async move {
        let mut drops = interval(ms(20));
        loop {
            drops.tick().await;
            if tokio::io::AsyncWriteExt::write_all(&mut write, b"x").await.is_err() {
                break;
            }
        }
    });
    let mut heard = Vec::new();
    let ended =
        tokio::time::timeout(super::peer::PATIENCE, tokio::io::AsyncReadExt::read_to_end(&mut read, &mut heard));
    assert!(ended.await.is_ok(), "closed although bytes arrive");
    drip.abort();
}

#[tokio::test]
async fn slow_headers_of_a_later_request_are_closed_too() {
    let server = Server::start(ListenerLimits { header_timeout: ms(300), ..patient() }).await;
    let mut peer = server.connect().await;
    assert_eq!(peer.post("first").await.status, 200);
    sleep(ms(700)).await;
    assert_eq!(peer.post("idle is not slow").await.status, 200);
    peer.say("POST /echo HT").await;
    peer.answer().await.is_problem(408);
}

#[tokio::test]
async fn a_slow_body_is_a_408() {
    let server = Server::start(ListenerLimits { body_timeout: ms(300), ..patient() }).await;
    for start in ["content-length: 10\r\n\r\nabc", "transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n"] {
        let mut peer = server.connect().await;
        peer.say(&format!("POST /echo HTTP/1.1\r\nhost: x\r\n{start}")).await;
        peer.answer().await.is_problem(408);
        assert_eq!(peer.closed().await, "");
    }
}

#[tokio::test]
async fn a_slow_handler_does_not_count_as_a_slow_peer() {
    let short = ms(100);
    let limits = ListenerLimits { header_timeout: short, body_timeout: short, idle_timeout: short, ..patient() };
    let server = Server::start(limits).await;
    assert_eq!(server.connect().await.get("/slow/800").await.status, 200);
}

#[tokio::test]
async fn idle_connections_are_closed_after_the_timeout() {
    let server = Server::start(ListenerLimits { idle_timeout: ms(300), ..patient() }).await;
    let mut peer = server.connect().await;
    assert_eq!(peer.post("once").await.status, 200);
    assert_eq!(peer.closed().await, "");
}

#[tokio::test]
async fn a_connection_with_an_early_response_does_not_delay_the_shutdown() {
    let server = Server::start(ListenerLimits { drain: Duration::from_secs(15), ..patient() }).await;
    let mut peer = server.connect().await;
    peer.say("POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 5000\r\n\r\nabc").await;
    peer.answer().await.is_problem(413);
    // The peer neither sends the rest nor closes; the server does not wait for it.
    let started = std::time::Instant::now();
    server.stop().await.expect("stopped");
    assert!(started.elapsed() < Duration::from_secs(12));
}
