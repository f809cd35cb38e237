//! Tests of half-written files, of files that end the process, and of equal verdicts from every command.

use std::{
    fs,
    io::Write,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use kyc_rules::rules_dir;
use serde_json::{Value, json};

use crate::support::service::{Service, Shop, signal};

const PATIENCE: Duration = Duration::from_secs(60);

fn tags(name: &str) -> String {
    format!("  - {{id: mark, when: any -> FULL_USER, do: [{{tag: {name}}}]}}\n")
}

fn whole(rules: &str) -> String {
    format!("format: 1\nrules:\n{rules}")
}

/// The first half of a rules file. The second half, [`REST`], restricts the rule.
const HALF: &str = "  - id: mark\n    when: any -> FULL_USER\n    do: [{tag: half}]\n";
const REST: &str = "    if: {visit: '>= 1000'}\n";

fn hash_of_files(shop: &Shop) -> String {
    rules_dir::read(&shop.path("rules")).expect("readable").hash()
}

/// Sends callbacks of new customers for this time, and returns all tags that they got.
async fn tagged_meanwhile(service: &Service, prefix: &str, so_long: Duration) -> Vec<Value> {
    let began = Instant::now();
    let mut tags = Vec::new();
    for nth in 0.. {
        if began.elapsed() > so_long {
            break;
        }
        let customer = format!("{prefix}-{nth}");
        service.callback(&customer, "FULL_USER", json!({})).await;
        tags.extend(service.get(&format!("customers/{customer}")).await["tags"].as_array().expect("tags").clone());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    tags.sort_by_key(Value::to_string);
    tags.dedup();
    tags
}

#[tokio::test(flavor = "multi_thread")]
async fn half_a_save_is_never_active() {
    let shop = Shop::new(&tags("old"));
    let service = shop.start().ready().await;
    let old = service.get("status").await["rules"]["hash"].clone();

    // An editor that writes in two steps, with the file closed in between.
    let saves = async {
        for _ in 0..3 {
            shop.rules(HALF);
            tokio::time::sleep(Duration::from_millis(120)).await;
            shop.rules(&format!("{HALF}{REST}"));
            tokio::time::sleep(Duration::from_millis(120)).await;
        }
    };
    let ((), seen) = tokio::join!(saves, tagged_meanwhile(&service, "steps", Duration::from_secs(2)));
    assert!(!seen.contains(&json!("half")), "{seen:?}");
    service.until("status", |status| status["rules"]["hash"] != old).await;

    // A program that keeps the file open between two writes.
    let mut file = fs::File::create(shop.path("rules/kyc.yaml")).expect("opened");
    file.write_all(whole(HALF).as_bytes()).expect("written");
    let (status, problem) = service.ask("POST", "reload", None).await;
    assert_eq!(status, 409, "{problem}");
    assert!(problem["detail"].as_str().expect("why").contains("kyc.yaml is open for writing"), "{problem}");
    let seen = tagged_meanwhile(&service, "open", Duration::from_millis(2_500)).await;
    assert_eq!(seen, [""; 0], "the complete rules stay active");
    file.write_all(REST.replace("1000", "1").as_bytes()).expect("written");
    drop(file);
    until_tagged(&service, "half").await;

    // A checkout deletes and writes files while git holds its lock.
    fs::create_dir(shop.path(".git")).expect("made");
    shop.write(".git/index.lock", "");
    fs::remove_file(shop.path("rules/kyc.yaml")).expect("removed");
    shop.write("rules/part.yaml", &whole(&tags("part")));
    let seen = tagged_meanwhile(&service, "git", Duration::from_millis(2_500)).await;
    assert_eq!(seen, ["half"], "no part of the checkout is active");
    assert_eq!(service.get("status").await["rules"]["error"], json!(null));
    shop.write("rules/part.yaml", &whole(&tags("pulled")));
    fs::remove_file(shop.path(".git/index.lock")).expect("removed");
    until_tagged(&service, "pulled").await;
}

async fn until_tagged(service: &Service, name: &str) {
    let began = Instant::now();
    for nth in 0.. {
        let customer = format!("until-{name}-{nth}");
        service.callback(&customer, "FULL_USER", json!({})).await;
        if service.get(&format!("customers/{customer}")).await["tags"] == json!([name]) {
            return;
        }
        assert!(began.elapsed() < PATIENCE, "no customer is tagged {name}: {}", service.log());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_names_a_file_that_stays_open_for_writing() {
    let shop = Shop::new(&tags("old"));
    let service = shop.start().ready().await;
    let mut file = fs::File::create(shop.path("rules/kyc.yaml")).expect("opened");
    file.write_all(b"format: 1\n").expect("written");
    let began = Instant::now();
    while !service.log().contains("rules/kyc.yaml is open for writing") {
        assert!(
            began.elapsed() < Duration::from_secs(30) + PATIENCE,
            "the log does not name the file: {}",
            service.log()
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(service.get("status").await["rules"]["error"], json!(null), "nothing was checked");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_git_conflict_is_refused_and_reported() {
    let shop = Shop::new(&tags("first"));
    let service = shop.start().ready().await;
    let text = fs::read_to_string(shop.path("rules/templates/hello.en.md")).expect("text");
    let conflict = format!("{text}\n<<<<<<< HEAD\nWe\n=======\nYou\n>>>>>>> topic\n");
    shop.write("rules/templates/hello.en.md", &conflict);
    let status = service.until("status", |status| status["rules"]["error"] != json!(null)).await;
    let why = status["rules"]["error"]["text"].as_str().expect("why").to_owned();
    assert!(why.contains("error[conflict]") && why.contains("hello.en.md:") && why.contains("<<<<<<< HEAD"), "{why}");
    let (status, said, _) = shop.run(&["check"]);
    assert_eq!(status.code(), Some(78), "{said}");
    assert!(said.contains("error[conflict]") && said.contains("1 error,"), "{said}");
}

fn marker(shop: &Shop) -> Option<String> {
    fs::read_to_string(shop.path("data/judging")).ok().map(|text| text.trim().to_owned())
}

/// Writes so many rules that the test can kill the process while it checks them.
fn many_rules(shop: &Shop) {
    let many: String = (0..2_500)
        .map(|nth| format!("  - {{id: r{nth}, when: any -> FULL_USER, if: {{tags: [t{nth}]}}, do: [tag: many]}}\n"))
        .collect();
    for nth in 0..12 {
        let rules = many.replace("id: r", &format!("id: r{nth}-"));
        shop.write(&format!("rules/more-{nth}.yaml"), &whole(&rules));
    }
}

/// Runs a command against the running service. Returns its exit code, and its standard output and error together.
fn check(shop: &Shop, service: &Service, arguments: &[&str]) -> (Option<i32>, String) {
    let config = fs::read_to_string(shop.path("kyc-rules.yaml")).expect("text");
    let here = format!("admin: {{listen: \"{}\"", service.admin);
    shop.write("client.yaml", &config.replace("admin: {listen: \"127.0.0.1:0\"", &here));
    let output = Command::new(env!("CARGO_BIN_EXE_kyc-rules"))
        .arg("--config")
        .arg(shop.path("client.yaml"))
        .args(arguments)
        .output()
        .expect("runs");
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    (output.status.code(), said.into_owned())
}

/// Waits until the process checks the rules.
fn judges(shop: &Shop, log: impl Fn() -> String) {
    let began = Instant::now();
    while !shop.path("data/judging").exists() {
        assert!(began.elapsed() < PATIENCE, "the process does not check the rules: {}", log());
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_set_that_ended_the_process_does_not_end_the_restart() {
    let shop = Shop::new(&tags("good"));
    let service = shop.start().ready().await;
    let good = service.get("status").await["rules"]["hash"].clone();
    assert!(!shop.path("data/judging").exists(), "the check is over");

    many_rules(&shop);
    judges(&shop, || service.log());
    let hash = hash_of_files(&shop);
    assert_eq!(marker(&shop).as_deref(), Some(&*format!("{hash} 1")));
    service.kill();
    assert!(shop.path("data/judging").exists(), "the process was killed too late");

    for _ in 0..2 {
        let service = shop.start().ready().await;
        let status = service.get("status").await;
        assert_eq!(status["rules"]["hash"], good, "the last good set is active");
        let why = status["rules"]["error"]["text"].as_str().expect("why").to_owned();
        assert!(why.contains(&hash) && why.contains("change a file"), "{why}");
        service.logs("the last good set stays active").await;
        let (status, problem) = service.ask("POST", "reload", None).await;
        assert_eq!(status, 422, "{problem}");
        // Each command reports the same as the service, or warns.
        let (code, said) = check(&shop, &service, &["check", "--against-running"]);
        assert_eq!(code, Some(78), "{said}");
        assert!(said.contains("error[judging]") && said.contains(&hash), "{said}");
        let (_, said) = check(&shop, &service, &["--json", "doctor"]);
        assert!(said.contains("error[judging]"), "{said}");
        let (code, said) = check(&shop, &service, &["check"]);
        assert_eq!(code, Some(0), "{said}");
        assert!(said.contains("warning[judging]"), "{said}");
        let (status, log) = service.stop();
        assert!(status.success(), "{log}");
    }

    // Any change makes another set.
    let service = shop.start().ready().await;
    for nth in 0..12 {
        fs::remove_file(shop.path(&format!("rules/more-{nth}.yaml"))).expect("removed");
    }
    shop.rules(&tags("changed"));
    until_tagged(&service, "changed").await;
    assert!(!shop.path("data/judging").exists());
    assert_eq!(service.get("status").await["rules"]["error"], json!(null));
}

#[test]
fn a_stop_during_the_first_check_does_not_refuse_the_files() {
    let shop = Shop::new(&tags("first"));
    many_rules(&shop);
    let mut child = shop.command().arg("serve").stderr(Stdio::null()).spawn().expect("starts");
    judges(&shop, String::new);
    signal(child.id(), "TERM");
    assert!(child.wait().expect("ended").success());
    assert_eq!(marker(&shop), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn active_files_are_not_refused_after_a_kill() {
    let shop = Shop::new(&tags("good"));
    let service = shop.start().ready().await;
    let hash = service.get("status").await["rules"]["hash"].clone();
    service.kill();
    shop.write("data/judging", &format!("{} 1\n", hash_of_files(&shop)));
    let service = shop.start().ready().await;
    let status = service.get("status").await;
    assert_eq!((&status["rules"]["hash"], &status["rules"]["error"]), (&hash, &json!(null)));
    assert_eq!(marker(&shop), None);
    assert_eq!(service.ask("POST", "reload", None).await.0, 200);
}

#[test]
fn a_first_start_with_files_that_ended_the_process_is_refused_with_advice() {
    let shop = Shop::new(&tags("first"));
    fs::create_dir_all(shop.path("data")).expect("made");
    // A power cut may have ended the first check, so the second start tries once more. A stop does not count.
    shop.write("data/judging", &format!("{} 2\n", hash_of_files(&shop)));
    let (status, _, errors) = shop.run(&["serve"]);
    assert_eq!(status.code(), Some(78), "{errors}");
    assert!(errors.contains("the process ended while it was checking these files"), "{errors}");
    shop.write("data/judging", &format!("{} 1\n", hash_of_files(&shop)));
    let mut child = shop.command().arg("serve").stderr(Stdio::null()).spawn().expect("starts");
    let began = Instant::now();
    while shop.path("data/rule-sets").read_dir().map_or(0, Iterator::count) == 0 {
        assert_eq!(child.try_wait().expect("status"), None, "the service ended");
        assert!(began.elapsed() < PATIENCE, "the service does not open its store");
        std::thread::sleep(Duration::from_millis(10));
    }
    signal(child.id(), "TERM");
    assert!(child.wait().expect("ended").success());
    assert!(!shop.path("data/judging").exists());
}

/// Runs the program with at most two gigabytes of address space.
fn bounded(arguments: &[&str]) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -v 2000000 && exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_kyc-rules")]);
    command.args(arguments).env_remove("KYC_RULES_CONFIG");
    command
}

#[test]
fn files_that_ended_the_process_are_refused_by_every_command() {
    let shop = Shop::new(&tags("first"));
    let deep = format!("Subject: x\n\n{{{{ {}1 }}}}\n", "-".repeat(6_000));
    let large = "Subject: x\n\n{% set n = namespace(l=[1]) %}{% for i in range(60) %}{% set n.l = n.l + n.l %}{% endfor %}{{ n.l | length }}\n";
    let branches = format!("Subject: x\n\n{{% if 0 %}}{}{{% endif %}}x\n", "{% elif 0 %}".repeat(1_883));
    let chat = format!(
        "  - {{id: deep, when: any -> CREATED, do: [{{chat: {{to: ops, text: \"{{{{ {}1 }}}}\"}}}}]}}\n",
        "not ".repeat(6_000)
    );
    let dir = shop.path("rules").display().to_string();
    for (path, text) in [
        ("rules/templates/hostile.en.md", deep.as_str()),
        ("rules/templates/hostile.en.md", large),
        ("rules/templates/hostile.en.md", &branches),
        ("rules/templates/layout.html", &deep),
        ("rules/hostile.yaml", &whole(&chat)),
    ] {
        shop.write(path, text);
        for arguments in [
            &["check", "--rules", &dir][..],
            &["test", "--rules", &dir],
            &["explain", "--to", "FULL_USER", "--rules", &dir],
            &["graph", "--rules", &dir],
        ] {
            let output = bounded(arguments).output().expect("runs");
            let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(78), "{arguments:?} {text:.60}: {said}");
            assert!(said.contains("error[template]"), "{arguments:?} {text:.60}: {said}");
        }
        fs::remove_file(shop.path(path)).expect("removed");
    }
}

const TESTS: &str = "format: 1
tests:
  - name: a verified customer is marked
    steps:
      - callback: {status: FULL_USER}
      - expect: [{rule: mark, tag: first}]
";

#[tokio::test(flavor = "multi_thread")]
async fn every_command_gives_the_same_verdict() {
    let mut shop = Shop::new(&tags("first"));
    shop.write("rules/kyc.test.yaml", TESTS);
    let service = shop.start().ready().await;
    let doctor_of_rules = |shop: &Shop| {
        let (_, said, _) = shop.run(&["--json", "doctor"]);
        let said: Value = serde_json::from_str(&said).expect("JSON");
        let checks = said["checks"].as_array().expect("checks").clone();
        checks.into_iter().find(|check| check["check"] == "rules").expect("rules")["result"].clone()
    };
    let check = |shop: &Shop, arguments: &[&str]| check(shop, &service, arguments);
    assert_eq!(doctor_of_rules(&shop), "ok");
    assert_eq!(check(&shop, &["check", "--against-running"]).0, Some(0));

    // The rules are valid, but a test fails.
    shop.rules(&tags("other"));
    let (status, problem) = service.ask("POST", "reload", None).await;
    assert_eq!(status, 422, "{problem}");
    for arguments in [&["check"][..], &["check", "--against-running"]] {
        let (status, said) = check(&shop, arguments);
        assert_eq!(status, Some(78), "{said}");
        assert!(said.contains("error[test]: this test fails: a verified customer is marked"), "{said}");
        assert!(said.contains("kyc.test.yaml:3:") && said.contains("expects tag first by mark"), "{said}");
        assert!(said.contains("1 error,"), "{said}");
    }
    assert_eq!(doctor_of_rules(&shop), "fail");
    let (status, problem) = service.ask("POST", "impact", Some(json!({}))).await;
    assert_eq!(status, 422, "{problem}");
    assert!(problem["detail"].as_str().expect("why").contains("FAILED"), "{problem}");
    service.kill();

    // The configuration asks for a warning only.
    "reload: {tests: warn}\n".clone_into(&mut shop.more);
    let (status, said, _) = shop.run(&["check"]);
    assert_eq!(status.code(), Some(0), "{said}");
    assert!(said.contains("warning[test]: this test fails"), "{said}");
    assert_eq!(doctor_of_rules(&shop), "warn");
    let service = shop.start().ready().await;
    assert_eq!(service.get("status").await["rules"]["error"], json!(null));
    until_tagged(&service, "other").await;
}
