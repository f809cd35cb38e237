//! Messages to chat rooms through real sockets: the payload of each kind, hostile texts, and the responses of a busy
//! service.

use std::time::Duration;

use kyc_rules::{
    channels::chat::{ChatKind, ChatRoom},
    clock::Timestamp,
    outbound::{ClientOptions, HttpClient, TargetUrl},
    outbox::{AttemptOutcome, ProblemKind},
    template::Phrase,
};
use serde_json::{Value, json};

use crate::support::{
    hooks::{HookServer, Reply},
    service::Shop,
};

const HOSTILE: &str = "<!channel> @everyone **now** [pay](https://evil.example) {{ 7 * 7 }} & _x_ \"q\"\r\n# big";

#[tokio::test(flavor = "multi_thread")]
async fn each_kind_of_room_gets_its_own_payload_and_hostile_text_stays_text() {
    let server = HookServer::start().await;
    let mut shop = Shop::new(
        "  - id: told\n    when: any -> SOFT_KYC_FAILED\n    do:\n      \
         - chat: {to: slack, text: \"*{{ customer.id }}*: {{ message }} ({{ missing_docs | words }}, {{ visit }})\"}\n      \
         - chat: {to: mattermost, text: \"**{{ customer.id }}**: {{ message }}\"}\n      \
         - chat: {to: teams, text: \"**{{ customer.id }}**: {{ message }}\"}\n      \
         - chat: {to: discord, text: \"**{{ customer.id }}**: {{ message }}\"}\n",
    );
    let room = |kind: &str| {
        format!("  {kind}: {{kind: {kind}, url: \"{}\", private: true}}\n", server.url(&format!("/{kind}/T0SECRET")))
    };
    shop.more = format!("chats:\n{}", ["slack", "mattermost", "teams", "discord"].map(room).concat());
    let service = shop.start().ready().await;
    let failed = json!({"docsMissing": ["SELFIE", "PASSPORT"], "kycEndUserErrorMessage": HOSTILE});
    service.callback("C_7-7", "SOFT_KYC_FAILED", failed).await;
    service.until_jobs("C_7-7", &["done", "done", "done", "done"]).await;
    let calls = server.wait_for(4).await;
    let said = |kind: &str| -> Value {
        let call = calls.iter().find(|call| call.path == format!("/{kind}/T0SECRET")).expect(kind);
        assert_eq!((&*call.method, call.header("content-type")), ("POST", "application/json"));
        call.json()
    };
    assert_eq!(
        said("slack"),
        json!({
            "text": "*C_7-7*: &lt;!channel&gt; @everyone **now** [pay](https://evil.example) {{ 7 * 7 }} &amp; _x_ \"q\" # big \
                     (passport and selfie, 1)",
            "unfurl_links": false, "unfurl_media": false,
        })
    );
    let escaped = "**C_7-7**: \\<!channel\\> @\u{200B}everyone \\*\\*now\\*\\* \\[pay\\](https://evil.example) \
                   {\u{200B}{ 7 \\* 7 }} & \\_x\\_ \"q\" \\# big";
    assert_eq!(said("mattermost"), json!({"text": escaped}));
    assert_eq!(said("discord"), json!({"content": escaped, "allowed_mentions": {"parse": []}, "flags": 4}));
    let card = &said("teams")["attachments"][0];
    assert_eq!(card["contentType"], "application/vnd.microsoft.card.adaptive");
    assert_eq!(card["content"]["body"], json!([{"type": "TextBlock", "text": escaped, "wrap": true}]));
    let everything = format!("{}{}", service.log(), service.get("jobs").await);
    assert!(!everything.contains("T0SECRET"), "a room's URL is its secret");
}

async fn answered(kind: ChatKind, reply: Reply) -> AttemptOutcome {
    let server = HookServer::scripted(&[reply]).await;
    let chat = ChatRoom {
        kind,
        client: HttpClient::new(ClientOptions {
            private: true,
            timeout: Duration::from_secs(2),
            ..ClientOptions::default()
        })
        .expect("a client"),
        target: TargetUrl::parse(&server.url("/services/T0SECRET")).expect("a target"),
    };
    chat.post(&Phrase::of(["hello"]), Timestamp(1_795_419_000_000)).await.outcome
}

#[tokio::test]
async fn the_delay_of_each_kind_of_busy_service_is_read() {
    let say = |status: u16, headers: &str, body: &str| Reply::Say(status, headers.to_owned(), body.to_owned());
    assert_eq!(answered(ChatKind::Slack, say(200, "", "ok")).await, AttemptOutcome::Done);
    assert_eq!(answered(ChatKind::Discord, Reply::Status(204)).await, AttemptOutcome::Done);
    assert_eq!(answered(ChatKind::Teams, Reply::Status(202)).await, AttemptOutcome::Done);
    for (kind, reply, ms) in [
        (ChatKind::Slack, say(429, "Retry-After: 30\r\n", "rate_limited"), Some(30_000)),
        (ChatKind::Discord, say(429, "Retry-After: 1\r\n", r#"{"retry_after": 1.205, "global": false}"#), Some(1_205)),
        (ChatKind::Discord, say(429, "Retry-After: 9\r\n", r#"{"retry_after": 1.205}"#), Some(9_000)),
        (
            ChatKind::Teams,
            say(200, "", "Webhook message delivery failed with error: ... returned HTTP error 429"),
            None,
        ),
        (ChatKind::Mattermost, Reply::Status(502), None),
    ] {
        let outcome = answered(kind, reply).await;
        assert!(matches!(outcome, AttemptOutcome::Retry { after_ms, .. } if after_ms == ms), "{kind:?}: {outcome:?}");
    }
    let AttemptOutcome::Failed { trouble, error } =
        answered(ChatKind::Slack, say(404, "", "no_service for T0SECRET")).await
    else {
        panic!("refused")
    };
    assert_eq!(trouble, ProblemKind::Refused);
    assert!(error.ends_with("answered 404 Not Found: no_service for …"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_stays_as_it_was_decided() {
    let server = HookServer::scripted(&[Reply::Hang]).await;
    let mut shop = Shop::new(
        "  - {id: told, when: any -> any, do: [{chat: {to: ops, text: \"{{ customer.id }} is {{ to }}, {{ missing_docs | words }}\"}}]}\n",
    );
    shop.more = format!("chats: {{ops: {{kind: slack, url: \"{}\", private: true}}}}\n", server.url("/"));
    let service = shop.start().ready().await;
    service.callback("C-1", "SOFT_KYC_FAILED", json!({"docsMissing": ["SELFIE"]})).await;
    server.wait_for(1).await;
    service.kill();
    shop.write("rules/labels/en.yaml", "SELFIE: something else\n");
    shop.rules("  - {id: other, when: FULL_USER -> any, do: record}\n");
    let service = shop.start().ready().await;
    service.callback("C-1", "FULL_USER", json!({})).await;
    service.until_jobs("C-1", &["done"]).await;
    let calls = server.calls();
    assert_eq!(calls[0].json()["text"], "C-1 is SOFT_KYC_FAILED, selfie");
    assert_eq!(calls[0].body, calls[1].body);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_that_cannot_be_rendered_is_a_problem_of_that_job_alone() {
    let server = HookServer::start().await;
    let mut shop = Shop::new(
        "  - id: told\n    when: any -> any\n    do:\n      \
         - chat: {to: ops, text: \"{% if customer.id == 'C-9' %}{% for i in range(9999) %}{% for i in range(9999) %}{% endfor %}{% endfor %}{% endif %}{{ customer.id }}\"}\n      \
         - chat: {to: ops, text: \"{{ customer.id }} plain\"}\n",
    );
    shop.more = format!("chats: {{ops: {{kind: slack, url: \"{}\", private: true}}}}\n", server.url("/"));
    let service = shop.start().ready().await;
    for customer in ["C-1", "C-9"] {
        service.callback(customer, "CREATED", json!({})).await;
    }
    service.until_jobs("C-1", &["done", "done"]).await;
    let jobs = service.until_jobs("C-9", &["problem", "done"]).await;
    assert_eq!((&jobs[0]["problem"], &jobs[0]["attempts"]), (&json!("unrenderable"), &json!(0)));
    let texts: Vec<Value> = server.calls().iter().map(|call| call.json()["text"].clone()).collect();
    assert!(texts.contains(&json!("C-9 plain")) && !texts.contains(&json!("C-9")), "{texts:?}");
    // A retry cannot render it either.
    let id = jobs[0]["id"].as_str().expect("id");
    service.ask("POST", &format!("jobs/{id}/retry"), None).await;
    let jobs = service.until_jobs("C-9", &["problem", "done"]).await;
    assert_eq!(jobs[0]["problem"], "unrenderable");
}
