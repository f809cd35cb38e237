//! More connections than the limit allows.

use kyc_rules::http::ListenerLimits;

use super::peer::{Server, ms, patient};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_are_answered_despite_many_silent_connections() {
    let server = Server::start(ListenerLimits { connections: 1000, ..patient() }).await;
    let mut crowd = Vec::new();
    for n in 0..1500 {
        crowd.push(server.connect().await);
        if n % 50 == 0 {
            assert_eq!(server.connect().await.post("honest").await.status, 200, "beside {n}");
        }
    }
    for _ in 0..20 {
        assert_eq!(server.connect().await.post("honest").await.status, 200);
    }
    assert_eq!(crowd[0].closed().await, "", "the oldest connection was closed first");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_slow_heads_and_bodies_do_not_block_other_requests() {
    let server = Server::start(ListenerLimits { connections: 100, ..patient() }).await;
    let mut crowd = Vec::new();
    for n in 0..300 {
        let mut peer = server.connect().await;
        let start = if n % 2 == 0 { "" } else { "content-length: 10\r\n\r\na" };
        peer.say(&format!("POST /echo HTTP/1.1\r\nhost: x\r\n{start}")).await;
        crowd.push(peer);
    }
    for _ in 0..20 {
        assert_eq!(server.connect().await.post("honest").await.status, 200);
    }
}

#[tokio::test]
async fn a_connection_that_is_being_served_is_not_closed() {
    let server = Server::start(ListenerLimits { connections: 4, ..patient() }).await;
    let mut served = server.connect().await;
    served.say("GET /slow/500 HTTP/1.1\r\nhost: x\r\n\r\n").await;
    tokio::time::sleep(ms(50)).await;
    let mut crowd = Vec::new();
    for _ in 0..20 {
        crowd.push(server.connect().await);
    }
    assert_eq!(served.answer().await.status, 200);
}

#[tokio::test]
async fn new_connections_wait_while_all_others_are_being_served() {
    let server = Server::start(ListenerLimits { connections: 2, ..patient() }).await;
    let mut peers = Vec::new();
    for _ in 0..6 {
        let mut peer = server.connect().await;
        peer.say("GET /slow/100 HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
        peers.push(peer);
    }
    for mut peer in peers {
        assert_eq!(peer.answer().await.status, 200);
    }
}

#[tokio::test]
async fn idle_connections_are_closed_sooner_near_the_limit() {
    let server = Server::start(ListenerLimits { connections: 4, ..patient() }).await;
    let mut crowd = Vec::new();
    for _ in 0..4 {
        let mut peer = server.connect().await;
        assert_eq!(peer.post("once").await.status, 200);
        crowd.push(peer);
    }
    // Their idle timeout is a minute, which is longer than PATIENCE. After the first has closed, the number is below
    // the threshold.
    assert_eq!(crowd[0].closed().await, "");
}
