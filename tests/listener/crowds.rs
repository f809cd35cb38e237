//! More peers than there is room for.

use kyc_rules::http::Limits;

use super::peer::{Server, ms, patient};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn honest_requests_are_answered_beside_a_crowd_that_says_nothing() {
    let server = Server::start(Limits { connections: 1000, ..patient() }).await;
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
    assert_eq!(crowd[0].closed().await, "", "who came first was sent away first");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crowd_of_slow_heads_and_bodies_keeps_nobody_out() {
    let server = Server::start(Limits { connections: 100, ..patient() }).await;
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
async fn who_is_being_served_is_not_sent_away() {
    let server = Server::start(Limits { connections: 4, ..patient() }).await;
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
async fn while_all_are_being_served_newcomers_wait_their_turn() {
    let server = Server::start(Limits { connections: 2, ..patient() }).await;
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
async fn a_nearly_full_house_closes_idle_connections_sooner() {
    let server = Server::start(Limits { connections: 4, ..patient() }).await;
    let mut crowd = Vec::new();
    for _ in 0..4 {
        let mut peer = server.connect().await;
        assert_eq!(peer.post("once").await.status, 200);
        crowd.push(peer);
    }
    // Their own idle timeout is a minute, and PATIENCE ends before it. Once one is gone the house is not so full.
    assert_eq!(crowd[0].closed().await, "");
}
