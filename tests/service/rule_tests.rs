//! Tests of rules from the merchant's view: the command that runs them, and rules that are rejected because their tests
//! fail.

use std::{fs, process::Command};

use serde_json::{Value, json};

use crate::support::service::Shop;

const RULES: &str = "  - {id: greet, when: any -> FULL_USER, do: [tag: TAG, email: hello]}
  - {id: idle, when: any -> CREATED, do: record}
";

/// They expect that FULL_USER sets the tag `first`.
const TESTS: &str = "format: 1
tests:
  - name: a verified customer is greeted
    start: 2026-03-03T21:30[Europe/Lisbon]
    steps:
      - callback: {status: FULL_USER}
      - expect: [{rule: greet, tag: first}, {rule: greet, email: hello, contains: Dear customer}]

  - name: once is enough
    steps:
      - callback: {status: FULL_USER}
      - callback: {status: FULL_USER}
      - wait: 30d
      - expect: [{rule: greet, tag: first}, {rule: greet, email: hello}]
";

fn shop(tag: &str) -> Shop {
    let shop = Shop::new(&RULES.replace("TAG", tag));
    shop.write("rules/kyc.test.yaml", TESTS);
    shop
}

#[test]
fn the_command_reports_passed_tests_differences_and_untested_rules() {
    let shop = shop("first");
    let (status, said, errors) = shop.run(&["test"]);
    assert_eq!((status.code(), &*said, &*errors), (Some(0), "2 tests passed\nno test fires idle\n", ""));

    shop.rules(&RULES.replace("TAG", "other"));
    let (status, said, _) = shop.run(&["test"]);
    assert_eq!(status.code(), Some(1), "{said}");
    let dir = shop.path("rules").display().to_string();
    let differs = format!(
        "FAILED {dir}/kyc.test.yaml:3: a verified customer is greeted
  line 7, 2026-03-03T21:30 (Europe/Lisbon):
    expected: tag first by greet
    got:      nothing; greet only has: tag other, email hello
    expected: nothing
    got:      tag other by greet, at 2026-03-03T21:30

"
    );
    assert!(said.starts_with(&differs), "{said}");
    assert!(said.contains("\n2 tests: 2 failed\n"), "{said}");

    let (status, said, _) = shop.run(&["test", "ONCE"]);
    assert_eq!(status.code(), Some(1), "{said}");
    assert!(said.ends_with("\n1 test: 1 failed\n") && !said.contains("greeted"), "{said}");
    let (status, _, errors) = shop.run(&["test", "twice"]);
    assert_eq!(status.code(), Some(1));
    assert!(errors.contains("no test has \"twice\" in its name (of 2)"), "{errors}");

    let (status, said, _) = shop.run(&["test", "--json"]);
    assert_eq!(status.code(), Some(1));
    let said: Value = serde_json::from_str(&said).expect("JSON");
    assert_eq!((&said["passed"], &said["failed"], &said["untested"]), (&json!(0), &json!(2), &json!(["idle"])));
    let test = &said["tests"][0];
    assert_eq!((&test["name"], &test["line"]), (&json!("a verified customer is greeted"), &json!(3)));
    assert_eq!(test["file"], json!(format!("{dir}/kyc.test.yaml")));
    assert_eq!(test["failures"][0]["line"], json!(7));
    assert_eq!(test["failures"][0]["differences"][0]["expected"], json!("tag first by greet"));
    assert_eq!(test["failures"][0]["differences"][1]["got"], json!("tag other by greet, at 2026-03-03T21:30"));
}

#[test]
fn tests_that_cannot_be_read_are_not_run() {
    let shop = shop("first");
    let wrong = TESTS.replace("rule: greet, tag", "rule: great, tag");
    shop.write("rules/kyc.test.yaml", &wrong);
    for command in ["test", "check"] {
        let (status, said, _) = shop.run(&[command]);
        assert_eq!(status.code(), Some(78), "{command}: {said}");
        assert!(said.contains("error[rule]: there is no rule great"), "{said}");
        assert!(said.contains("kyc.test.yaml:7:25") && said.contains("did you mean greet?"), "{said}");
    }
    let (status, said, _) = shop.run(&["test", "--json"]);
    assert_eq!(status.code(), Some(78));
    let first: Value = serde_json::from_str(said.lines().next().expect("a line")).expect("JSON");
    assert_eq!((&first["code"], &first["line"]), (&json!("rule"), &json!(7)));
}

#[test]
fn rules_that_no_test_fires_give_a_warning() {
    let shop = shop("first");
    let (status, said, _) = shop.run(&["check"]);
    assert_eq!(status.code(), Some(0), "{said}");
    assert!(said.contains("warning[untested]: no test fires idle") && said.contains("kyc.yaml:4:10"), "{said}");
    assert!(!said.contains("fires greet"), "{said}");
    fs::remove_file(shop.path("rules/kyc.test.yaml")).expect("removed");
    let (_, said, _) = shop.run(&["check"]);
    assert!(said.contains("warning[untested]: no test fires any rule here (2): there are no tests"), "{said}");
    let (status, said, _) = shop.run(&["test"]);
    assert_eq!(status.code(), Some(0));
    assert!(said.contains("there are no tests"), "{said}");
}

#[test]
fn it_works_without_a_configuration_and_without_its_secrets() {
    let mut shop = shop("first");
    let program = || {
        let mut program = Command::new(env!("CARGO_BIN_EXE_kyc-rules"));
        program.env_remove("KYC_RULES_CONFIG").current_dir("/");
        program
    };
    let output = program().args(["test", "--rules"]).arg(shop.path("rules")).output().expect("runs");
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stdout));
    let output = program().arg("test").output().expect("runs");
    assert_eq!(output.status.code(), Some(78));
    let missing = program().args(["test", "--rules", "/nowhere-at-all"]).output().expect("runs");
    assert_eq!(missing.status.code(), Some(78));

    "chats: {ops: {kind: slack, url: \"${A_SECRET_THAT_NOBODY_HAS_SET}\"}}\n".clone_into(&mut shop.more);
    let (status, said, errors) = shop.run(&["test"]);
    assert_eq!(status.code(), Some(0), "{said}{errors}");
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_whose_tests_fail_are_not_loaded() {
    let shop = shop("first");
    let service = shop.start().ready().await;
    let hash = service.get("status").await["rules"]["hash"].clone();
    for (rules, tests, part) in [
        (RULES.replace("TAG", "other"), TESTS.to_owned(), "expected: tag first by greet"),
        (RULES.replace("TAG", "first"), TESTS.replace("wait: 30d", "wait: long"), "error[duration]"),
        (RULES.replace("TAG", "first"), TESTS.replace("wait: 30d", "wait: 30d\n      - expect: nothing"), "FAILED"),
    ] {
        shop.rules(&rules);
        shop.write("rules/kyc.test.yaml", &tests);
        let (status, problem) = service.ask("POST", "reload", None).await;
        assert_eq!(status, 422, "{problem}");
        assert!(problem["detail"].as_str().expect("why").contains(part), "{problem}");
        let status = service.get("status").await;
        assert_eq!(status["rules"]["hash"], hash);
        assert!(status["rules"]["error"]["text"].as_str().expect("why").contains(part), "{status}");
        service.logs(part).await;
    }
    service.callback("C-1", "FULL_USER", json!({})).await;
    assert_eq!(service.get("customers/C-1").await["tags"], json!(["first"]), "the last valid set stays active");

    // After a restart, the last valid set is active, and a warning is logged.
    service.kill();
    let service = shop.start().ready().await;
    assert_eq!(service.get("status").await["rules"]["hash"], hash);
    service.logs("the last good set stays active").await;

    shop.rules(&RULES.replace("TAG", "other"));
    shop.write("rules/kyc.test.yaml", &TESTS.replace("first", "other"));
    service.until("status", |status| status["rules"]["hash"] != hash).await;
    assert_eq!(service.get("status").await["rules"]["error"], json!(null));
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_with_failing_tests_are_loaded_with_a_warning_if_configured() {
    let mut shop = shop("other");
    "reload: {tests: warn}\n".clone_into(&mut shop.more);
    let service = shop.start().ready().await;
    assert_eq!(service.get("status").await["rules"]["error"], json!(null));
    service.callback("C-1", "FULL_USER", json!({})).await;
    assert_eq!(service.get("customers/C-1").await["tags"], json!(["other"]));
    service.logs("2 tests: 2 failed").await;
    shop.write("rules/kyc.test.yaml", &TESTS.replace("wait: 30d", "wait: long"));
    let (status, said) = service.ask("POST", "reload", None).await;
    assert_eq!(status, 200, "{said}");
    service.logs("error[duration]").await;
}

#[test]
fn a_first_start_with_failing_tests_is_rejected() {
    let shop = shop("other");
    let (status, _, errors) = shop.run(&["serve"]);
    assert_eq!(status.code(), Some(78), "{errors}");
    assert!(errors.contains("the rules are wrong, and there are no earlier ones to run"), "{errors}");
    assert!(errors.contains("FAILED") && errors.contains("2 tests: 2 failed"), "{errors}");
}

#[test]
fn in_tests_and_explain_callbacks_count_as_confirmed_and_contacts_as_looked_up() {
    let mut shop = shop("first");
    shop.more = "provider: {api_key: 0123456789abcdef}\n\
                 directory: {lookup: {url: \"https://shop.example/customers/{id}\", cache: 1h}}\n"
        .to_owned();
    let (status, said, wrong) = shop.run(&["test"]);
    assert!(status.code() == Some(0) && said.contains("2 tests passed"), "{said}{wrong}");
    let (status, said, wrong) = shop.run(&["explain", "--from", "CREATED", "--to", "FULL_USER"]);
    assert!(status.code() == Some(0) && said.contains("greet  fired"), "{said}{wrong}");
}

#[test]
fn the_shipped_rules_pass_their_tests_and_each_rule_is_tested() {
    let dir = tempfile::tempdir().expect("a directory");
    let output = Command::new(env!("CARGO_BIN_EXE_kyc-rules"))
        .args(["test", "--rules", concat!(env!("CARGO_MANIFEST_DIR"), "/rules")])
        .current_dir(dir.path())
        .env_remove("KYC_RULES_CONFIG")
        .output()
        .expect("runs");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.ends_with(" tests passed\n"), "{said}");
}
