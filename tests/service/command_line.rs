//! Output and exit codes of the command line, with real processes.

use std::{
    fs,
    process::{Command, Stdio},
};

use serde_json::{Value, json};

use crate::support::service::{SECRET, Service, Shop, TOKEN};

const RULES: &str = "  - {id: sorry, when: any -> SOFT_KYC_FAILED, do: [{email: {template: sorry, settle: 1h}}]}\n";

/// Runs a command with its standard output redirected to this file. Returns the exit code and standard error.
fn into(file: &str, mut command: Command) -> (Option<i32>, String) {
    let output = fs::OpenOptions::new().write(true).open(file).expect("opens");
    let done = command.stdout(output).stderr(Stdio::piped()).output().expect("runs");
    (done.status.code(), String::from_utf8(done.stderr).expect("text"))
}

#[test]
fn unwritable_output_is_an_error_but_a_closed_pipe_is_not() {
    let shop = Shop::new(RULES);
    let secret = ["sign", "C-1", "--secret", SECRET];
    let cases: [&[&str]; 8] = [
        &["check"],
        &secret,
        &["man"],
        &["completions", "bash"],
        &["customers", "export"],
        &["init", "new"],
        &["--help"],
        &["demo", "--once"],
    ];
    for arguments in cases {
        let mut command = shop.command();
        command.current_dir(shop.dir.path()).args(arguments);
        let (code, said) = into("/dev/full", command);
        assert_eq!(code, Some(74), "{arguments:?}: {said}");
        assert!(said.contains("writing the output"), "{arguments:?}: {said}");
    }
    for arguments in [&["man"][..], &["completions", "bash"]] {
        let mut child = shop.command().args(arguments).stdout(Stdio::piped()).spawn().expect("runs");
        drop(child.stdout.take());
        assert_eq!(child.wait().expect("ended").code(), Some(0), "{arguments:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn control_characters_are_escaped_in_the_output() {
    let shop = Shop::new(RULES);
    let service = shop.start().ready().await;
    let id = "C\u{202e}-1";
    let message = json!({"kycEndUserErrorMessage": "first\nsecond \u{9b}2J", "docsMissing": ["A\u{2066}B"]});
    service.callback(id, "SOFT_KYC_FAILED", message).await;
    for arguments in [&["customers", "show", id][..], &["jobs"], &["explain", id]] {
        let (code, said, _) = service.command(&shop, arguments);
        assert_eq!(code, Some(0), "{said}");
        let harmless = |c: char| c == '\n' || !c.is_control() && !matches!(c, '\u{202e}' | '\u{2066}');
        assert!(said.chars().all(harmless), "{said:?}");
    }
    let (_, shown, _) = service.command(&shop, &["customers", "show", id]);
    assert!(shown.contains("C\\u{202e}-1") && shown.contains("  message     first second  2J"), "{shown}");
    let (_, shown, _) = service.command(&shop, &["--json", "customers", "show", id]);
    assert_eq!(serde_json::from_str::<Value>(&shown).expect("JSON")["id"], id);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_id_can_be_shown_but_an_empty_id_is_a_usage_error() {
    let shop = Shop::new(RULES);
    let service = shop.start().ready().await;
    for id in [".", "..", "a/b"] {
        service.callback(id, "FULL_USER", json!({})).await;
        let (code, shown, said) = service.command(&shop, &["--json", "customers", "show", id]);
        assert_eq!(code, Some(0), "{id}: {said}");
        let shown: Value = serde_json::from_str(&shown).expect("JSON");
        assert_eq!((&shown["id"], &shown["status"]), (&json!(id), &json!("FULL_USER")));
    }
    for arguments in
        [&["customers", "show", ""][..], &["customers", "tag", "..", "vip"], &["customers", "tag", "", "x"]]
    {
        let (code, _, said) = service.command(&shop, arguments);
        assert_eq!(code, Some(2), "{arguments:?}: {said}");
    }
    let (status, _) = service.ask("GET", "customers?id=nobody", None).await;
    assert_eq!(status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_command_needs_no_secret_of_the_server_except_the_token() {
    let shop = Shop::new(RULES);
    let service = shop.start().ready().await;
    let run = |token: &str, arguments: &[&str]| {
        let config = format!(
            "callback: {{secrets: [\"${{NOT_SET_HERE}}\"]}}\nadmin: {{listen: \"{}\", token: \"{token}\"}}\n\
             email: {{from: a@shop.example, transport: \"smtps://u:${{NOT_SET_HERE}}@mail.shop.example\"}}\n",
            service.admin
        );
        shop.write("operator.yaml", &config);
        let mut command = Command::new(env!("CARGO_BIN_EXE_kyc-rules"));
        let done = command.arg("--config").arg(shop.path("operator.yaml")).args(arguments).output().expect("runs");
        (done.status.code(), String::from_utf8(done.stderr).expect("text"))
    };
    for arguments in [&["status"][..], &["jobs"], &["problems"], &["reload"], &["pause", "sorry"], &["resume", "sorry"]]
    {
        assert_eq!(run(TOKEN, arguments), (Some(0), String::new()), "{arguments:?}");
    }
    let file = shop.path("contacts.csv");
    fs::write(&file, "id,email\nC-1,ada@customer.example\n").expect("written");
    let (code, said) = run("a-token-that-is-not-asked-for", &["customers", "import", &file.display().to_string()]);
    assert_eq!(code, Some(1), "the server does not accept this token: {said}");
    let (code, said) = run("${NOT_SET_HERE}", &["status"]);
    assert!(code == Some(78) && said.contains("`admin.token` names a variable"), "{said}");
    assert_eq!(run(TOKEN, &["serve"]).0, Some(78));
}

fn json_of(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn output_and_errors_are_json_with_the_json_flag() {
    let shop = Shop::new(RULES);
    let service = shop.start().ready().await;
    service.contact("C-1", "ada@customer.example").await;
    let file = shop.path("out.csv").display().to_string();
    let (code, said, noted) = service.command(&shop, &["--json", "customers", "export", &file]);
    assert_eq!(code, Some(0), "{noted}");
    assert_eq!((json_of(&said), &*noted), (json!({"contacts": 1, "file": file}), ""));
    let (code, said, failed) = service.command(&shop, &["--json", "customers", "export"]);
    assert_eq!(code, Some(0), "{failed}");
    assert_eq!(json_of(&said)["email"], "ada@customer.example");
    let new = shop.path("new").display().to_string();
    let (code, said, failed) = service.command(&shop, &["--json", "init", &new]);
    assert_eq!(code, Some(0), "{failed}");
    assert!(json_of(&said)["config"].as_str().is_some_and(|path| path.ends_with("kyc-rules.yaml")), "{said}");
    for (arguments, exit) in [
        (&["--json", "customers", "show", "nobody"][..], 1),
        (&["--json", "customers", "show", ""], 2),
        (&["--json", "nonsense"], 2),
    ] {
        let (code, said, failed) = service.command(&shop, arguments);
        assert_eq!((code, &*said), (Some(exit), ""), "{arguments:?}");
        let failed = json_of(&failed);
        assert!(failed["error"].as_str().is_some_and(|text| !text.is_empty()) && failed["exit"] == exit, "{failed}");
    }
}

#[test]
fn sign_prints_the_same_callback_as_the_provider() {
    let shop = Shop::new(RULES);
    let (_, said, _) = shop.run(&[
        "sign",
        "C-1",
        "--status",
        "none",
        "--processing",
        "none",
        "--docs",
        "SELFIE, PASSPORT",
        "--labels",
        "A, ,B",
    ]);
    let body = json_of(&said);
    assert_eq!((&body["status"], &body["kycProcessingStatus"]), (&Value::Null, &Value::Null));
    assert_eq!((&body["docsMissing"], &body["kycRejectLabel"]), (&json!(["SELFIE", "PASSPORT"]), &json!("A, B")));
}

#[tokio::test(flavor = "multi_thread")]
async fn health_endpoints_answer_head_requests() {
    let shop = Shop::new(RULES);
    let service = shop.start().ready().await;
    for path in ["healthz", "readyz"] {
        let answer =
            reqwest::Client::new().head(format!("http://{}/{path}", service.admin)).send().await.expect("answer");
        assert_eq!(answer.status(), 200, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_are_paged_and_a_contact_must_be_an_object() {
    let shop = Shop::new(RULES);
    let service: Service = shop.start().ready().await;
    for nth in 0..3 {
        service.callback(&format!("C-{nth}"), "SOFT_KYC_FAILED", json!({})).await;
    }
    let page = service.get("jobs?limit=2").await;
    assert_eq!(page["jobs"].as_array().map(Vec::len), Some(2));
    let rest = service.get(&format!("jobs?limit=2&cursor={}", page["next"].as_str().expect("a cursor"))).await;
    assert_eq!((rest["jobs"].as_array().map(Vec::len), &rest["next"]), (Some(1), &Value::Null));
    for path in ["customers/C-1/contact", "customers/import"] {
        let method = if path.ends_with("import") { "POST" } else { "PUT" };
        let (status, problem) = service.ask(method, path, Some(json!([]))).await;
        assert_eq!(status, 400);
        assert!(problem["detail"].as_str().is_some_and(|detail| detail.contains("must be a JSON object")), "{problem}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_malformed_query_is_rejected_with_the_reason() {
    let shop = Shop::new(RULES);
    let service = shop.start().ready().await;
    for (path, said) in [
        ("jobs?max=1000", "unknown parameter `max`, expected one of `state`"),
        ("jobs?limit=all", "the query cannot be read: limit: "),
        ("customers?max=1", "unknown parameter `max`"),
        ("customers/C-1?limit=-1", "limit: "),
        ("records?from=x", "from: "),
        ("explain", "missing parameter `customer`"),
        ("problems?max=1000", "the query cannot be read"),
    ] {
        let (status, problem) = service.ask("GET", path, None).await;
        let detail = problem["detail"].as_str().unwrap_or_default();
        assert!(status == 400 && detail.contains(said), "{path}: {status} {problem}");
    }
}

#[test]
fn check_reports_an_unusable_certificate() {
    let shop = Shop::new(RULES);
    let mut command = shop.command();
    shop.write("shop.key", "no key");
    let config = fs::read_to_string(shop.path("kyc-rules.yaml")).expect("text");
    let tls = config.replace("callback: {", "callback: {tls: {certificate: gone.crt, key: shop.key}, ");
    shop.write("kyc-rules.yaml", &tls);
    let done = command.arg("check").output().expect("runs");
    let said = String::from_utf8(done.stdout).expect("text");
    assert_eq!(done.status.code(), Some(78), "{said}");
    assert!(said.contains("error[tls]: cannot be read") && said.contains("gone.crt"), "{said}");
}

#[test]
fn rules_are_checked_without_a_configuration() {
    let shop = Shop::new(
        "  - {id: told, when: any -> any, if: {customer.attributes.plan: pro}, \
         do: [{webhook: {to: shop, event: a}}, {chat: {to: ops, text: hello}}]}\n",
    );
    let mut command = Command::new(env!("CARGO_BIN_EXE_kyc-rules"));
    command.env_remove("KYC_RULES_CONFIG").current_dir(shop.path("rules")).args(["check", "--rules", "."]);
    let done = command.output().expect("runs");
    let said = String::from_utf8(done.stdout).expect("text");
    assert_eq!(done.status.code(), Some(0), "{said}");
    assert!(said.contains("1 rule: 0 errors") && said.contains("without a configuration"), "{said}");
    shop.rules("  - {id: told, when: any -> SOFT_KYC_FAIL, do: [{email: gone}]}\n");
    let said = String::from_utf8(command.output().expect("runs").stdout).expect("text");
    assert!(said.contains("did you mean SOFT_KYC_FAILED") && said.contains("unknown template gone"), "{said}");
    assert_eq!(shop.run(&["check"]).0.code(), Some(78));
}
