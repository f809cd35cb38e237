//! Valid and invalid requests of all forms.

use kyc_rules::http::AddressFilter;

use super::peer::{CAP, Server, patient};

#[tokio::test]
async fn a_request_is_answered_and_the_connection_stays_open() {
    let server = Server::start(patient()).await;
    let mut peer = server.connect().await;
    for _ in 0..3 {
        let answer = peer.post("abc").await;
        assert_eq!((answer.status, answer.body.as_str()), (200, r#"{"bytes":3}"#));
        assert!(answer.head.contains("cache-control: no-store"), "{answer:?}");
        assert!(!answer.head.contains("server:"), "{answer:?}");
    }
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let server = Server::start(patient()).await;
    let mut peer = server.connect().await;
    let requests: String = (0..40)
        .map(|n| format!("POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: {n}\r\n\r\n{}", "x".repeat(n)))
        .collect();
    peer.say(&requests).await;
    for n in 0..40 {
        assert_eq!(peer.answer().await.body, format!(r#"{{"bytes":{n}}}"#));
    }
}

#[tokio::test]
async fn a_chunked_body_within_the_cap_is_read() {
    let server = Server::start(patient()).await;
    let mut peer = server.connect().await;
    peer.say("POST /echo HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n").await;
    peer.say("4\r\ndefg\r\n0\r\n\r\n").await;
    assert_eq!(peer.answer().await.body, r#"{"bytes":7}"#);
    assert_eq!(peer.post("again").await.status, 200, "the connection stays open");
}

#[tokio::test]
async fn a_chunked_body_over_the_cap_is_refused_before_its_end() {
    let server = Server::start(patient()).await;
    let mut peer = server.connect().await;
    peer.say("POST /echo HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n").await;
    let chunk = format!("{CAP:x}\r\n{}\r\n", "x".repeat(CAP));
    peer.say(&chunk).await;
    peer.say(&chunk).await;
    peer.answer().await.is_problem(413);
}

#[tokio::test]
async fn a_declared_length_over_the_cap_is_refused_before_the_body() {
    let server = Server::start(patient()).await;
    let mut peer = server.connect().await;
    peer.say("POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 1001\r\n\r\n").await;
    let answer = peer.answer().await;
    answer.is_problem(413);
    assert!(answer.head.contains("connection: close"), "{answer:?}");
}

#[tokio::test]
async fn a_peer_that_sends_far_too_much_can_still_read_the_response() {
    let server = Server::start(patient()).await;
    let mut peer = server.connect().await;
    let body = "x".repeat(4 * 1024 * 1024);
    peer.post(&body).await.is_problem(413);
}

#[tokio::test]
async fn a_body_of_exactly_the_cap_is_read() {
    let server = Server::start(patient()).await;
    assert_eq!(server.connect().await.post(&"x".repeat(CAP)).await.body, r#"{"bytes":1000}"#);
}

#[tokio::test]
async fn http_1_0_is_answered_and_closed() {
    let server = Server::start(patient()).await;
    let mut peer = server.connect().await;
    peer.say("POST /echo HTTP/1.0\r\ncontent-length: 2\r\n\r\nab").await;
    let answer = peer.answer().await;
    assert_eq!((answer.status, answer.body.as_str()), (200, r#"{"bytes":2}"#));
    assert_eq!(peer.closed().await, "");
}

#[tokio::test]
async fn expect_continue_is_answered_with_100() {
    let server = Server::start(patient()).await;
    let mut peer = server.connect().await;
    peer.say("POST /echo HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n").await;
    assert_eq!(peer.answer().await.status, 100);
    peer.say("ab").await;
    assert_eq!(peer.answer().await.body, r#"{"bytes":2}"#);
}

#[tokio::test]
async fn a_peer_that_closes_its_side_after_the_request_is_answered() {
    let server = Server::start(patient()).await;
    let mut peer = server.connect().await;
    peer.say("GET /slow/100 HTTP/1.1\r\nhost: x\r\n\r\n").await;
    tokio::io::AsyncWriteExt::shutdown(&mut peer.0).await.expect("closed");
    assert_eq!(peer.answer().await.status, 200);
}

#[tokio::test]
async fn a_request_that_no_route_accepts_is_a_problem() {
    let server = Server::start(patient()).await;
    let mut peer = server.connect().await;
    peer.get("/nothing").await.is_problem(404);
    let answer = peer.get("/echo").await;
    answer.is_problem(405);
    assert!(answer.head.contains("allow: get, post"), "{answer:?}");
}

#[tokio::test]
async fn a_panic_is_a_500_and_the_connection_stays_open() {
    let server = Server::start(patient()).await;
    let mut peer = server.connect().await;
    for _ in 0..3 {
        peer.get("/panic").await.is_problem(500);
    }
    assert_eq!(peer.post("still here").await.status, 200);
}

#[tokio::test]
async fn input_that_is_not_http_is_refused() {
    let server = Server::start(patient()).await;
    for (text, status) in [
        ("NONSENSE\r\n\r\n".to_owned(), 400),
        ("\u{16}\u{3}\u{1}\0\u{5}hello\r\n\r\n".to_owned(), 400),
        ("POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n".to_owned(), 400),
        (format!("GET / HTTP/1.1\r\nhost: x\r\nx: {}\r\n\r\n", "y".repeat(20_000)), 431),
        (format!("GET / HTTP/1.1\r\nhost: x\r\n{}\r\n", "a: b\r\n".repeat(200)), 431),
    ] {
        let mut peer = server.connect().await;
        peer.say(&text).await;
        assert_eq!(peer.answer().await.status, status, "{text:.60}");
        assert_eq!(peer.closed().await, "");
    }
    assert_eq!(server.connect().await.post("fine").await.status, 200);
}

#[tokio::test]
async fn broken_chunks_are_malformed() {
    let server = Server::start(patient()).await;
    let mut peer = server.connect().await;
    peer.say("POST /echo HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n").await;
    peer.answer().await.is_problem(400);
}

#[tokio::test]
async fn addresses_that_are_not_allowed_are_refused() {
    let nets = |text: &str| vec![text.parse().expect("net")];
    let access = AddressFilter { allow_from: nets("203.0.113.0/24"), trusted_proxies: vec![] };
    let server = Server::with(patient(), None, access.clone()).await;
    server.connect().await.get("/who").await.is_problem(403);

    let server = Server::with(patient(), None, AddressFilter { trusted_proxies: nets("127.0.0.0/8"), ..access }).await;
    for (forwarded, status) in [("203.0.113.9", 200), ("203.0.113.9, 198.51.100.1", 403), ("nobody", 403)] {
        let mut peer = server.connect().await;
        peer.say(&format!("GET /who HTTP/1.1\r\nhost: x\r\nx-forwarded-for: {forwarded}\r\n\r\n")).await;
        let answer = peer.answer().await;
        assert_eq!(answer.status, status, "{forwarded}");
        assert!(status != 200 || answer.body.contains("203.0.113.9"), "{answer:?}");
    }
}

#[tokio::test]
async fn routes_can_see_the_address_of_the_peer() {
    let server = Server::start(patient()).await;
    let mut peer = server.connect().await;
    let port = peer.0.local_addr().expect("address").port();
    assert_eq!(peer.get("/who").await.body, format!(r#"{{"client":"127.0.0.1","port":{port}}}"#));
}
