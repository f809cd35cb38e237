//! The responses to hostile and malformed input, and to every callback shape that the provider documents.

mod hostile;
mod other_types;
mod refused;

use std::{
    io::{Read, Write},
    net::TcpStream,
};

use base64::{
    Engine,
    engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD},
};
use serde_json::{Value, json};

use crate::support::service::{SECRET, Service, Shop, TOKEN, signed};

const RULES: &str = "  - {id: sorry, when: any -> SOFT_KYC_FAILED, do: [{email: sorry}]}\n";
const PROVIDERS_KEY: &str = "sepa-secure-demo-key";

async fn shop_of_the_provider() -> (Shop, Service) {
    let shop = Shop::shipped();
    let mut command = shop.command();
    let config = std::fs::read_to_string(shop.path("kyc-rules.yaml")).expect("text");
    shop.write("kyc-rules.yaml", &config.replace(SECRET, PROVIDERS_KEY));
    command.env_remove("KYC_RULES_SECRET");
    (shop, Service::start(command).ready().await)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_documented_shape_is_accepted() {
    let (_shop, service) = shop_of_the_provider().await;
    let expected = [
        ("created", "CREATED", json!([])),
        ("docs-with-sides", "SOFT_KYC_FAILED", json!(["ID_CARD", "SELFIE", "UTILITY_BILL"])),
        ("docs-as-objects", "SOFT_KYC_FAILED", json!(["ID_CARD", "SELFIE"])),
        ("documented-example", "SOFT_KYC_FAILED", json!(["PASSPORT", "SELFIE"])),
        ("full-user", "FULL_USER", json!([])),
        ("pending", "KYC_PENDING", json!([])),
        ("status-null", "none", json!([])),
        ("unknown-status-and-extra-field", "SUSPENDED", json!([])),
    ];
    for (name, status, docs) in expected {
        let body = std::fs::read(format!("tests/cases/provider/{name}.json")).expect("a body");
        let (code, answer) = service.post(body).await.expect("an answer");
        assert_eq!((code, &answer), (200, &json!({"outcome": "accepted"})), "{name}");
        let customer = service.get("customers/demo_customer_id").await;
        let is = if customer["status"].is_null() { "none" } else { customer["status"].as_str().expect("status") };
        assert_eq!((is, &customer["missing_docs"]), (status, &docs), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_hash_is_refused_in_every_form_and_nothing_is_stored() {
    let shop = Shop::new(RULES);
    let service = shop.start().ready().await;
    let right = signed("C-1", "FULL_USER", json!({}));
    let hash = right["hash"].as_str().expect("hash");
    let bytes = STANDARD.decode(hash).expect("base64");
    let mut flipped = bytes.clone();
    flipped[63] ^= 1;
    let wrong = [
        json!(null),
        json!(""),
        json!("AAAA"),
        json!(hash[..40]),
        json!(format!("{hash}{hash}")),
        json!(STANDARD.encode(&flipped)),
        signed("C-2", "FULL_USER", json!({}))["hash"].clone(),
        json!("=".repeat(88)),
        json!("ü".repeat(44)),
    ];
    for hash in wrong {
        let (code, problem) =
            service.post(signed("C-1", "FULL_USER", json!({"hash": hash})).to_string()).await.expect("an answer");
        assert_eq!(code, 401, "{hash}");
        assert_eq!(problem["detail"], Value::Null, "the response does not say which check failed");
    }
    let mut without = right.clone();
    without.as_object_mut().expect("object").remove("hash");
    assert_eq!(service.post(without.to_string()).await.expect("an answer").0, 401);
    assert_eq!(service.ask("GET", "customers/C-1", None).await.0, 404);
    assert_eq!(service.get("status").await["store"]["customers"], 0);
    for (nth, text) in [
        STANDARD.encode(&bytes),
        STANDARD_NO_PAD.encode(&bytes),
        URL_SAFE.encode(&bytes),
        URL_SAFE_NO_PAD.encode(&bytes),
    ]
    .into_iter()
    .enumerate()
    {
        let outcome = service.callback("C-1", "FULL_USER", json!({"hash": text})).await;
        assert_eq!(outcome, if nth == 0 { "accepted" } else { "duplicate" });
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_can_be_rotated_without_refusing_callbacks() {
    let shop = Shop::new(RULES);
    let command = shop.command();
    let config = std::fs::read_to_string(shop.path("kyc-rules.yaml")).expect("text");
    shop.write(
        "kyc-rules.yaml",
        &config.replace(&format!("[\"{SECRET}\"]"), &format!("[a-new-secret-of-24-bytes-or-so, \"{SECRET}\"]")),
    );
    let service = Service::start(command).ready().await;
    service.callback("C-1", "FULL_USER", json!({})).await;
    let new = kyc_rules::providers::xgateway::hash_of(
        "C-1",
        &kyc_rules::providers::xgateway::Secret::new("a-new-secret-of-24-bytes-or-so"),
    );
    assert_eq!(service.callback("C-1", "FULL_USER", json!({"hash": new})).await, "duplicate");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_response_describes_why_a_body_is_not_a_callback() {
    let shop = Shop::new(RULES);
    let service = shop.start().ready().await;
    let good = signed("C-1", "FULL_USER", json!({}));
    let long_id = "x".repeat(257);
    let cases: Vec<(String, u16, &str)> = vec![
        (String::new(), 400, "not a JSON object"),
        ("[1]".into(), 400, "not a JSON object"),
        (format!("[{good}]"), 400, "not a JSON object"),
        ("{".into(), 400, "EOF"),
        (good.to_string().replacen('{', r#"{"customerId":"C-9","#, 1), 400, "duplicate field"),
        (signed("C-1", "FULL_USER", json!({"status": 7})).to_string(), 400, "invalid type"),
        (signed("C-1", "FULL_USER", json!({"docsMissing": "SELFIE"})).to_string(), 400, "invalid type"),
        (signed("", "FULL_USER", json!({})).to_string(), 400, "customerId"),
        (signed(&long_id, "FULL_USER", json!({})).to_string(), 400, "longer than 256 bytes"),
        (signed("a\nb", "FULL_USER", json!({})).to_string(), 400, "control characters"),
        (format!("{{\"callbackType\":\"kyc\",\"x\":{}", "[".repeat(60_000)), 400, "nested more than 64 deep"),
        (signed("C-1", "FULL_USER", json!({"callbackType": "iban"})).to_string(), 422, "callbackType"),
        (signed("C-1", "FULL_USER", json!({"callbackType": "transaction"})).to_string(), 400, "missing field"),
        (json!({"callbackType": "bank-account", "status": {"a": 1}}).to_string(), 422, "callbackType"),
    ];
    for (body, status, part) in cases {
        let (code, problem) = service.post(body.clone()).await.expect("an answer");
        assert_eq!(code, status, "{body:.100}: {problem}");
        assert_eq!(problem["status"], json!(status));
        assert!(problem["title"].is_string() && problem["type"].is_string(), "{problem}");
        assert!(problem["detail"].as_str().expect("a detail").contains(part), "{body:.100}: {problem}");
    }
    let (code, _) = service.post("x".repeat(70_000)).await.expect("an answer");
    assert_eq!(code, 413);
    let client = reqwest::Client::new();
    let at = |path: &str| format!("http://{}{path}", service.public);
    assert_eq!(client.get(at("/callbacks/kyc")).send().await.expect("an answer").status(), 405);
    assert_eq!(client.post(at("/")).send().await.expect("an answer").status(), 404);
    assert_eq!(
        client.get(at("/healthz")).send().await.expect("an answer").status(),
        404,
        "the public side has one route"
    );
    assert_eq!(service.get("status").await["store"]["customers"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn chunked_bodies_are_accepted_up_to_the_limit() {
    let shop = Shop::new(RULES);
    let service = shop.start().ready().await;
    let send = |body: &[u8]| {
        let mut stream = TcpStream::connect(service.public).expect("connected");
        stream
            .write_all(
                b"POST /callbacks/kyc HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n",
            )
            .expect("sent");
        for piece in body.chunks(1000) {
            // The server may close the connection before everything is sent.
            let sent = write!(stream, "{:x}\r\n", piece.len())
                .and_then(|()| stream.write_all(piece))
                .and_then(|()| stream.write_all(b"\r\n"));
            if sent.is_err() {
                break;
            }
        }
        let _ = stream.write_all(b"0\r\n\r\n");
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer);
        answer
    };
    assert!(send(signed("C-1", "FULL_USER", json!({})).to_string().as_bytes()).starts_with("HTTP/1.1 200"));
    assert!(send(&vec![b'x'; 200_000]).starts_with("HTTP/1.1 413"));
}

#[tokio::test(flavor = "multi_thread")]
async fn unusual_ids_are_opaque() {
    let shop = Shop::new(RULES);
    let service = shop.start().ready().await;
    for id in [
        "../../etc/passwd",
        "%2e%2e",
        "a/b",
        "a b",
        "müller-漢字",
        "\u{202E}evil",
        &"😀".repeat(64),
        "C?x=1#y",
        "import",
    ] {
        service.callback(id, "FULL_USER", json!({})).await;
        let encoded: String = id.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let customer = service.get(&format!("customers/{encoded}")).await;
        assert_eq!(customer["id"], id);
        let (status, shown, errors) = {
            // The command line connects to the address in the configuration.
            let config = std::fs::read_to_string(shop.path("kyc-rules.yaml")).expect("text");
            let config =
                config.replace("admin: {listen: \"127.0.0.1:0\"", &format!("admin: {{listen: \"{}\"", service.admin));
            shop.write("client.yaml", &config);
            let output = std::process::Command::new(env!("CARGO_BIN_EXE_kyc-rules"))
                .args(["--json", "--config"])
                .arg(shop.path("client.yaml"))
                .args(["customers", "show", "--", id])
                .output()
                .expect("runs");
            (
                output.status,
                String::from_utf8(output.stdout).expect("text"),
                String::from_utf8(output.stderr).expect("text"),
            )
        };
        assert!(status.success(), "{id:?}: {errors}");
        assert_eq!(serde_json::from_str::<Value>(&shown).expect("JSON")["id"], id);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_is_treated_as_plain_text() {
    let shop = Shop::new(RULES);
    let service = shop.start().ready().await;
    let hostile = "[pay here](https://evil.example) <script>alert(1)</script> {{ 7*7 }} **bold**\n# head\n- item";
    for (customer, message) in [("C-1", hostile.to_owned()), ("C-2", "ä".repeat(20_000))] {
        service.contact(customer, "ada@customer.example").await;
        service.callback(customer, "SOFT_KYC_FAILED", json!({"kycEndUserErrorMessage": message})).await;
        service.until_jobs(customer, &["done"]).await;
    }
    let mails = shop.mails();
    let mail = mails.iter().find(|mail| mail.contains("evil")).expect("the hostile one");
    let html = mail.split("Content-Type: text/html").nth(1).expect("HTML").replace("=\r\n", "").replace("=3D", "=");
    assert!(html.contains("pay here"), "{html}");
    for structure in ["<script>", "href=\"https://evil.example", "<h1>head", "<strong>bold", "<li>item", ">49<"] {
        assert!(!html.contains(structure), "{structure} in {html}");
    }
    let customer = service.get("customers/C-2").await;
    assert_eq!(customer["message"].as_str().expect("a message").chars().count(), 500);
}

#[tokio::test(flavor = "multi_thread")]
async fn line_breaks_never_reach_a_header() {
    let shop = Shop::new(RULES);
    let service = shop.start().ready().await;
    for contact in [
        json!({"email": "a@b.example\r\nBcc: eve@evil.example"}),
        json!({"email": "a@b.example", "name": "Ada\r\nBcc: eve@evil.example"}),
        json!({"email": "a@b.example", "attributes": {"plan": "x"}}),
        json!({"email": "nobody"}),
        json!({"emial": "a@b.example"}),
    ] {
        let (status, problem) = service.ask("PUT", "customers/C-1/contact", Some(contact.clone())).await;
        assert_eq!(status, 422, "{contact}: {problem}");
    }
    assert_eq!(service.ask("GET", "customers/C-1", None).await.0, 404, "none of it was stored");
}

#[tokio::test(flavor = "multi_thread")]
async fn replaying_a_captured_callback_adds_almost_no_records() {
    let shop = Shop::new(RULES);
    let service = shop.start().ready().await;
    service.callback("C-1", "FULL_USER", json!({})).await;
    for _ in 0..3_000 {
        assert_eq!(service.callback("C-1", "FULL_USER", json!({})).await, "duplicate");
    }
    let (status, _) = service.stop();
    assert!(status.success());
    let about: Vec<Value> = shop.journal().into_iter().filter(|record| record["who"] == "C-1").collect();
    assert!(about.len() <= 4, "{} records", about.len());
    let counted: u64 = about.iter().map(|record| record["repeats"].as_u64().unwrap_or_default()).sum();
    let recorded = about.iter().filter(|record| record["verdict"] == "duplicate").count() as u64;
    assert!(counted + recorded <= 3_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_admin_side_requires_its_token_and_an_allowed_host() {
    let shop = Shop::new(RULES);
    let service = shop.start().ready().await;
    let client = reqwest::Client::new();
    let at = |path: &str| format!("http://{}{path}", service.admin);
    let status = async |request: reqwest::RequestBuilder| request.send().await.expect("an answer").status().as_u16();
    for path in ["/api/v1/status", "/metrics", "/api/v1/customers/C-1", "/api/v1/jobs", "/"] {
        assert_eq!(status(client.get(at(path))).await, 401, "{path}");
        assert_eq!(status(client.get(at(path)).bearer_auth("wrong")).await, 401, "{path}");
        let rebound = client.get(at(path)).bearer_auth(TOKEN).header("Host", "evil.example");
        assert_eq!(status(rebound).await, 421, "{path}");
    }
    assert_eq!(status(client.get(at("/api/v1/status")).bearer_auth(TOKEN)).await, 200);
    assert_eq!(status(client.get(at("/metrics")).bearer_auth(TOKEN)).await, 200);
    assert_eq!(status(client.get(at("/healthz"))).await, 200);
    assert_eq!(status(client.get(at("/readyz"))).await, 200);
    assert_eq!(status(client.post(at("/api/v1/status")).bearer_auth(TOKEN)).await, 405);
    assert_eq!(status(client.get(at("/api/v1/nonsense")).bearer_auth(TOKEN)).await, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn unusual_labels_and_documents_are_truncated_and_stored() {
    let shop = Shop::new(RULES);
    let service = shop.start().ready().await;
    let many: Vec<String> = (0..200).map(|nth| format!("DOCUMENT_{nth:03}")).collect();
    let odd =
        json!({"kycRejectLabel": format!("BAD_SELFIE, {}, line\nbreak\u{7}", "é".repeat(90)), "docsMissing": many});
    assert_eq!(service.callback("C-1", "SOFT_KYC_FAILED", odd.clone()).await, "accepted");
    assert_eq!(service.callback("C-1", "SOFT_KYC_FAILED", odd).await, "duplicate");
    let customer = service.get("customers/C-1").await;
    assert_eq!(customer["reject_labels"], json!(["BAD_SELFIE", "line break", "é".repeat(32)]));
    assert_eq!(customer["missing_docs"].as_array().map(Vec::len), Some(32));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_status_or_too_deep_nesting_is_refused() {
    let shop = Shop::new(RULES);
    let service = shop.start().ready().await;
    let mut unsaid = signed("C-1", "FULL_USER", json!({}));
    unsaid.as_object_mut().expect("an object").remove("status");
    let (code, problem) = service.post(unsaid.to_string()).await.expect("an answer");
    assert_eq!(code, 400);
    assert!(problem["detail"].as_str().is_some_and(|detail| detail.contains("status is missing")), "{problem}");
    let deep = |depth: usize| {
        let body = signed("C-1", "FULL_USER", json!({"more": "HERE"})).to_string();
        body.replace("\"HERE\"", &format!("{}{}", "[".repeat(depth), "]".repeat(depth)))
    };
    assert_eq!(service.post(deep(63)).await.expect("an answer").0, 200);
    for depth in [64, 200, 30_000] {
        assert_eq!(service.post(deep(depth)).await.expect("an answer").0, 400, "{depth}");
    }
}
