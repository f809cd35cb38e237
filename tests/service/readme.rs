//! Runs the shell blocks of README.md in order and in one directory, and checks the rules and links in the docs.

use std::{fs, net::TcpListener, path::Path, process::Command};

use crate::support::{repository, service::is_there};

fn blocks(text: &str, language: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if line.trim() == format!("```{language}") {
            let block: Vec<&str> = lines.by_ref().take_while(|line| line.trim() != "```").collect();
            found.push(block.join("\n"));
        }
    }
    found
}

fn read(file: &str) -> String {
    fs::read_to_string(repository::path(file)).expect("a file of the repository")
}

/// Cargo commands that this test does not run: the tests run already, the demo has its own test, and benchmarks need an
/// idle machine.
const CARGO: &[&str] = &["cargo run --release -- demo", "cargo test", "cargo bench --bench intake"];

#[test]
fn every_shell_block_works_as_typed() {
    if !is_there("curl") {
        return;
    }
    let dir = tempfile::tempdir().expect("directory");
    let program = Path::new(env!("CARGO_BIN_EXE_kyc-rules"));
    let free =
        || TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a port").port().to_string();
    let (public, admin) = (free(), free());
    let mut script = String::from("set -euo pipefail\ntrap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n");
    for block in blocks(&read("README.md"), "sh") {
        if block.lines().any(|line| line.starts_with("cargo ")) {
            for line in block.lines() {
                assert!(CARGO.contains(&line), "nothing runs {line:?}");
            }
            continue;
        }
        // Tests must not bind fixed ports.
        script.push_str(&block.replace("8080", &public).replace("8081", &admin));
        if block.contains("init shop") {
            script.push_str(&format!(
                "\nsed -i 's/0.0.0.0:8080/127.0.0.1:{public}/; s/127.0.0.1:8081/127.0.0.1:{admin}/' kyc-rules.yaml"
            ));
        }
        if block.contains("serve &") {
            script.push_str(&format!("\nfor i in $(seq 200); do curl -sf http://127.0.0.1:{admin}/readyz >/dev/null && break; sleep 0.05; done"));
        }
        script.push('\n');
    }
    let path = format!("{}:{}", program.parent().expect("a directory").display(), std::env::var("PATH").expect("PATH"));
    let output = Command::new("bash")
        .arg("-c")
        .arg(&script)
        .current_dir(dir.path())
        .env("PATH", path)
        .env_remove("KYC_RULES_CONFIG")
        .output()
        .expect("bash runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (said, errors) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{script}\n{said}\n{errors}");
    assert!(said.contains(r#"{"outcome":"accepted"}"#), "{said}");
    assert!(said.contains("missing-documents fired"), "{said}");
}

/// Creates a directory with these rules and the shipped templates and labels, but without the shipped tests.
fn rules_dir(rules: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("directory");
    for (path, text) in kyc_rules::shipped::files().iter().filter(|(path, _)| path.contains('/')) {
        let path = dir.path().join(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("made");
        fs::write(path, text).expect("written");
    }
    fs::write(dir.path().join("kyc.yaml"), rules).expect("written");
    dir
}

/// A configuration with the names that the rules in the docs use.
const CONFIG: &str = "callback: {secrets: [a-secret-of-more-than-24-bytes]}\n\
    email: {from: kyc@shop.example, transport: \"file:./mail\"}\n\
    webhooks: {shop: {url: https://shop.example/hooks, secret: a-secret-of-more-than-24-bytes}}\n\
    chats: {kyc-ops: {kind: slack, url: https://hooks.slack.example/services/x}}\n";

/// Runs `check` or `test` on a directory, asserts success, and returns the output.
fn passes(command: &str, dir: &Path) -> String {
    let config = tempfile::NamedTempFile::new().expect("a file");
    fs::write(config.path(), CONFIG).expect("written");
    let output = Command::new(env!("CARGO_BIN_EXE_kyc-rules"))
        .arg("--config")
        .arg(config.path())
        .args([command, "--rules"])
        .arg(dir)
        .current_dir(dir)
        .env_remove("KYC_RULES_CONFIG")
        .output()
        .expect("runs");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}");
    said
}

#[test]
fn every_rule_in_the_docs_passes_the_check() {
    for file in ["README.md", "docs/RULES.md"] {
        for block in blocks(&read(file), "yaml").iter().filter(|block| block.contains("\nrules:\n")) {
            passes("check", rules_dir(block).path());
        }
    }
}

#[test]
fn every_test_in_the_docs_passes() {
    let blocks = blocks(&read("docs/RULES.md"), "yaml");
    let tests: Vec<&String> = blocks.iter().filter(|block| block.contains("\ntests:\n")).collect();
    assert!(!tests.is_empty());
    for test in tests {
        // A test in the docs is run with the last block of rules that defines the first rule named in the test.
        let named = test.split("rule: ").nth(1).and_then(|rest| rest.split(',').next()).expect("a rule");
        let rules = blocks.iter().rfind(|block| block.contains(&format!("- id: {named}\n"))).expect("its rules");
        let dir = rules_dir(rules);
        fs::write(dir.path().join("kyc.test.yaml"), test).expect("written");
        assert!(passes("test", dir.path()).contains(" passed"), "{test}");
    }
}

#[test]
fn the_demo_prints_the_events_of_all_customers() {
    let dir = tempfile::tempdir().expect("directory");
    let output = Command::new(env!("CARGO_BIN_EXE_kyc-rules"))
        .args(["demo", "--once", "--dir"])
        .arg(dir.path().join("demo"))
        .output()
        .expect("runs");
    let said = String::from_utf8(output.stdout).expect("text");
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    for part in [
        "verified fires",
        "SOFT_KYC_FAILED; missing SELFIE, PASSPORT",
        "third-rejection fires",
        "hard-failure fires",
        "reversal fires",
        "200 duplicate",
        "is cancelled: the customer has left SOFT_KYC_FAILED",
        "none -> SUSPENDED",
        "is a problem: the address of this customer is unknown",
        "401",
        "422",
        "0 problems",
    ] {
        assert!(said.contains(part), "{part:?} is missing in:\n{said}");
    }
    let mails = fs::read_dir(dir.path().join("demo/mail")).expect("mails").count();
    assert!(said.contains(&format!("{mails} sent")), "{mails} mails, and:\n{said}");
}

#[test]
fn links_in_the_docs_point_to_existing_files() {
    for file in ["README.md", "docs/ARCHITECTURE.md", "docs/RULES.md", "docs/OPERATIONS.md", "CHANGELOG.md"] {
        let text = read(file);
        let here = repository::path(file);
        for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let path = target.split('#').next().unwrap_or_default();
            if path.is_empty() || path.contains("://") {
                continue;
            }
            assert!(here.parent().expect("a parent").join(path).exists(), "{file} links to {target}");
        }
    }
}
