//! The listener with TLS.

use std::sync::Arc;

use kyc_rules::http::{AddressFilter, ListenerLimits, TlsConfig};
use rustls::{ClientConfig, RootCertStore, pki_types::ServerName};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::peer::{Peer, Server, ms, patient};

async fn secure(limits: ListenerLimits) -> (Server, TlsConnector) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("certificate");
    let dir = tempfile::tempdir().expect("directory");
    let (certificate, key) = (dir.path().join("c.pem"), dir.path().join("k.pem"));
    std::fs::write(&certificate, made.cert.pem()).expect("written");
    std::fs::write(&key, made.signing_key.serialize_pem()).expect("written");
    let tls = TlsConfig::load(&certificate, &key).expect("loaded");

    let mut roots = RootCertStore::empty();
    roots.add(made.cert.der().clone()).expect("root");
    let mut client = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    client.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    (Server::with(limits, Some(tls), AddressFilter::default()).await, TlsConnector::from(Arc::new(client)))
}

async fn connect(server: &Server, connector: &TlsConnector) -> Peer<TlsStream<TcpStream>> {
    let name = ServerName::try_from("localhost").expect("name");
    Peer(connector.connect(name, server.connect().await.0).await.expect("handshake"))
}

#[tokio::test]
async fn requests_are_served_over_tls() {
    let (server, connector) = secure(patient()).await;
    let mut peer = connect(&server, &connector).await;
    assert_eq!(peer.0.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
    for _ in 0..2 {
        assert_eq!(peer.post("secret").await.body, r#"{"bytes":6}"#);
    }
    peer.post(&"x".repeat(100_000)).await.is_problem(413);
}

#[tokio::test]
async fn plain_http_on_a_tls_port_is_answered_with_a_hint() {
    let (server, _) = secure(patient()).await;
    let mut peer = server.connect().await;
    let answer = peer.get("/who").await;
    answer.is_problem(400);
    assert!(answer.body.contains("HTTPS"), "{answer:?}");
}

#[tokio::test]
async fn a_stalled_handshake_is_closed() {
    let (server, connector) = secure(ListenerLimits { header_timeout: ms(300), ..patient() }).await;
    let mut silent = server.connect().await;
    let mut begun = server.connect().await;
    begun.say("\u{16}\u{3}\u{1}").await;
    assert_eq!(silent.closed().await, "");
    assert_eq!(begun.closed().await, "");
    let mut late = connect(&server, &connector).await;
    late.say("POST /echo HTTP/1.1\r\n").await;
    late.answer().await.is_problem(408);
}
