//! Requests that two programs could interpret differently, targets that are not paths, and bodies with a declared size
//! beyond the cap.

use kyc_rules::telemetry::Refusal;

use super::peer::{Answer, Server, patient};

/// Returns the first response to these bytes, and the data after it until the server closed.
async fn sent(server: &Server, text: &str) -> (Answer, String) {
    let mut peer = server.connect().await;
    peer.say(text).await;
    let answer = peer.answer().await;
    (answer, peer.closed().await)
}

#[tokio::test]
async fn a_target_that_is_not_a_path_is_refused_before_the_routes() {
    let server = Server::start(patient()).await;
    let targets = [
        "CONNECT x:1 HTTP/1.1\r\nHost: x:1",
        "CONNECT /echo HTTP/1.1\r\nHost: x",
        "POST x:1 HTTP/1.1\r\nHost: x:1",
        "GET x HTTP/1.1\r\nHost: x",
        "GET * HTTP/1.1\r\nHost: x",
        "GET ftp://x/who HTTP/1.1\r\nHost: x",
        "GET http://other/who HTTP/1.1\r\nHost: x",
        "CONNECT x:1 HTTP/1.0",
    ];
    for target in targets {
        let (answer, after) = sent(&server, &format!("{target}\r\n\r\n")).await;
        answer.is_problem(400);
        assert!(answer.body.contains("target: "), "{target}: {answer:?}");
        assert_eq!(after, "", "{target}");
    }
    assert_eq!(server.refused(Refusal::bad_request), targets.len() as u64);
    assert_eq!(server.refused(Refusal::panic), 0);
    let mut peer = server.connect().await;
    peer.say("GET http://x/who HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert_eq!(peer.answer().await.status, 200, "a complete URL is a valid target");
    peer.say("OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert_eq!(peer.answer().await.status, 404);
}

#[tokio::test]
async fn a_request_must_have_exactly_one_host() {
    let server = Server::start(patient()).await;
    for headers in ["", "Host: x\r\nHost: x\r\n", "Host: x\r\nhost: y\r\n", "Host: a b\r\n", "Host: u@x\r\n"] {
        let (answer, after) = sent(&server, &format!("GET /who HTTP/1.1\r\n{headers}\r\n")).await;
        answer.is_problem(400);
        assert!(answer.head.contains("connection: close"), "{answer:?}");
        assert_eq!(after, "", "{headers}");
    }
    let (answer, _) = sent(&server, "GET /who HTTP/1.0\r\n\r\n").await;
    assert_eq!(answer.status, 200, "HTTP/1.0 has no Host");
    let (answer, _) = sent(&server, "GET /who HTTP/1.0\r\nHost: x\r\nHost: x\r\n\r\n").await;
    answer.is_problem(400);
    let mut peer = server.connect().await;
    peer.say("GET /who HTTP/1.1\r\nHost:\r\n\r\n").await;
    assert_eq!(peer.answer().await.status, 200, "a Host may be empty");
}

#[tokio::test]
async fn a_transfer_coding_other_than_chunked_is_not_implemented() {
    let server = Server::start(patient()).await;
    let headers = [
        "Transfer-Encoding: gzip, chunked\r\n",
        "Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked, chunked\r\n",
        "Transfer-Encoding: identity, chunked\r\n",
        "Transfer-Encoding: xchunked, chunked\r\n",
    ];
    for header in headers {
        let request = format!("POST /echo HTTP/1.1\r\nHost: x\r\n{header}\r\n3\r\nabc\r\n0\r\n\r\n");
        let (answer, after) = sent(&server, &request).await;
        answer.is_problem(501);
        assert_eq!(after, "", "{header}");
    }
    assert_eq!(server.refused(Refusal::transfer_coding), headers.len() as u64);
    for header in ["Transfer-Encoding: gzip\r\n", "Transfer-Encoding: chunked, gzip\r\n", "Transfer-Encoding:\r\n"] {
        let (answer, _) = sent(&server, &format!("POST /echo HTTP/1.1\r\nHost: x\r\n{header}\r\n")).await;
        assert_eq!(answer.status, 400, "refused by hyper: {header}");
    }
}

#[tokio::test]
async fn a_length_next_to_a_transfer_coding_is_refused() {
    let server = Server::start(patient()).await;
    let smuggled = "GET /who HTTP/1.1\r\nHost: x\r\n\r\n";
    for headers in [
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
        "content-length: 5\r\nHost: x\r\ntransfer-encoding: chunked\r\ncontent-length: 5\r\n",
    ] {
        let host = if headers.contains("Host") { "" } else { "Host: x\r\n" };
        let request = format!("POST /echo HTTP/1.1\r\n{host}{headers}\r\n0\r\n\r\n{smuggled}");
        let (answer, after) = sent(&server, &request).await;
        answer.is_problem(400);
        assert!(answer.body.contains("Content-Length"), "{answer:?}");
        assert_eq!(after, "", "the following bytes are not read as a request: {headers}");
    }
    // For pipelined requests, hyper's rule applies: only the coding counts, and the connection ends after the response.
    let mut peer = server.connect().await;
    let both = "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    peer.say(&format!("{smuggled}{both}{smuggled}")).await;
    assert_eq!(peer.answer().await.status, 200);
    assert!(matches!(peer.answer().await.status, 200 | 400));
    assert_eq!(peer.closed().await, "", "the following bytes are not read as a request");
    // On a persistent connection, each request is scanned again.
    let mut peer = server.connect().await;
    for _ in 0..3 {
        assert_eq!(peer.post("abc").await.status, 200);
        peer.say("POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n").await;
        assert_eq!(peer.answer().await.status, 200);
    }
    peer.say(both).await;
    peer.answer().await.is_problem(400);
}

#[tokio::test]
async fn a_chunk_beyond_the_cap_is_refused_before_its_data_arrives() {
    let server = Server::start(patient()).await;
    let head = "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
    for chunks in [
        "3e9\r\n",
        "ffffffffffffffff\r\n",
        "10000000000000000\r\n",
        "FFFFFFFF;name=value\r\n{",
        "3\r\nabc\r\n3e6\r\n",
        "3e8\r\nabc",
    ] {
        let mut peer = server.connect().await;
        peer.say(head).await;
        peer.say(chunks).await;
        if chunks == "3e8\r\nabc" {
            // Exactly the cap: the server waits for the rest.
            peer.say(&format!("{}\r\n0\r\n\r\n", "x".repeat(997))).await;
            assert_eq!(peer.answer().await.body, r#"{"bytes":1000}"#);
            continue;
        }
        // The body timeout is a minute, and the peer sends nothing more.
        peer.answer().await.is_problem(413);
    }
    let mut peer = server.connect().await;
    for _ in 0..2 {
        peer.say(head).await;
        peer.say("3\r\nabc\r\n0\r\n\r\n").await;
        assert_eq!(peer.answer().await.body, r#"{"bytes":3}"#);
    }
    peer.say(head).await;
    peer.say("3e9\r\n").await;
    peer.answer().await.is_problem(413);
    let (answer, _) =
        sent(&server, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 18446744073709551613\r\n\r\n").await;
    answer.is_problem(413);
}

#[tokio::test]
async fn contradictory_lengths_and_folded_lines_are_refused() {
    let server = Server::start(patient()).await;
    for headers in [
        "Content-Length: 3\r\nContent-Length: 4\r\n",
        "Content-Length: 3, 3\r\n",
        "Content-Length: +3\r\n",
        "Content-Length: 0x3\r\n",
        "Content-Length: 99999999999999999999999\r\n",
        "X: a\r\n b\r\n",
        "X : a\r\n",
        "X\0: a\r\n",
        "X: a\0b\r\n",
    ] {
        let (answer, after) = sent(&server, &format!("POST /echo HTTP/1.1\r\nHost: x\r\n{headers}\r\nabc")).await;
        assert_eq!((answer.status, &*after), (400, ""), "{headers:?}");
    }
    let mut peer = server.connect().await;
    peer.say("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
    assert_eq!(peer.closed().await, "", "HTTP/2 is not supported");
    server.until_refused(Refusal::not_http, 10).await;
    let (answer, _) = sent(&server, &format!("GET / HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n", "y".repeat(20_000))).await;
    assert_eq!(answer.status, 431);
    server.until_refused(Refusal::headers_too_large, 1).await;
}
