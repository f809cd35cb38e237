//! The shutdown of a listener.

use std::time::{Duration, Instant};

use kyc_rules::http::ListenerLimits;
use tokio::{net::TcpStream, time::sleep};

use super::peer::{Server, ms, patient};

#[tokio::test]
async fn a_running_request_finishes_and_no_new_connection_is_accepted() {
    let server = Server::start(patient()).await;
    let address = server.address;
    let (mut idle, mut fresh, mut busy) = (server.connect().await, server.connect().await, server.connect().await);
    assert_eq!(idle.post("once").await.status, 200);
    busy.say("GET /slow/500 HTTP/1.1\r\nhost: x\r\n\r\n").await;
    sleep(ms(100)).await;

    let served = server.stop();
    assert_eq!(idle.closed().await, "");
    assert_eq!(fresh.closed().await, "");
    assert!(TcpStream::connect(address).await.is_err());
    let answer = busy.answer().await;
    assert_eq!(answer.status, 200);
    assert!(answer.head.contains("connection: close"), "{answer:?}");
    served.await.expect("served");
}

#[tokio::test]
async fn a_connection_that_hangs_is_closed_at_the_deadline() {
    let server = Server::start(ListenerLimits { drain: ms(300), ..patient() }).await;
    let mut hung = server.connect().await;
    hung.say("GET /slow/3600000 HTTP/1.1\r\nhost: x\r\n\r\n").await;
    sleep(ms(100)).await;
    let started = Instant::now();
    server.stop().await.expect("served");
    assert!(started.elapsed() < Duration::from_secs(10));
    assert_eq!(hung.closed().await, "");
}

#[tokio::test]
async fn without_connections_it_ends_at_once() {
    let server = Server::start(patient()).await;
    let started = Instant::now();
    server.stop().await.expect("served");
    assert!(started.elapsed() < Duration::from_secs(3));
}
