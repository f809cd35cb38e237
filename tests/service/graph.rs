//! The `graph` command: with and without a configuration, into a file, and with wrong rules.

use std::{fs, path::Path, process::Command};

fn run(directory: &Path, arguments: &[&str]) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_kyc-rules"))
        .arg("graph")
        .args(arguments)
        .current_dir(directory)
        .env_remove("KYC_RULES_CONFIG")
        .output()
        .expect("runs");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    (output.status.code().unwrap_or(-1), text(output.stdout), text(output.stderr))
}

const SHIPPED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/rules");

#[test]
fn the_shipped_rules_are_drawn_without_a_configuration() {
    let dir = tempfile::tempdir().expect("a directory");
    let (code, svg, said) = run(dir.path(), &["--rules", SHIPPED]);
    assert!(code == 0 && said.is_empty(), "{said}");
    assert!(svg.starts_with("<svg xmlns=") && svg.ends_with("</svg>\n") && svg.contains(">third-rejection</text>"));
    assert!(
        !svg.contains("<script") && !svg.contains("href") && !svg.contains("url("),
        "the picture must be self-contained"
    );
    let (code, mermaid, _) = run(dir.path(), &["--rules", SHIPPED, "--format", "mermaid"]);
    assert!(code == 0 && mermaid.starts_with("stateDiagram-v2\n") && mermaid.contains("s_any --> "), "{mermaid}");
    let (code, dot, _) = run(dir.path(), &["--rules", SHIPPED, "--format", "dot"]);
    assert!(code == 0 && dot.starts_with("digraph rules {\n"), "{dot}");
    let (code, json, _) = run(dir.path(), &["--rules", SHIPPED, "--format", "dot", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert!(code == 0 && json["format"] == "dot" && json["text"] == dot);
}

#[test]
fn the_configured_rules_are_drawn_with_the_declared_names() {
    let dir = tempfile::tempdir().expect("a directory");
    let (code, _, said) = run(dir.path(), &[]);
    assert!(code == 78 && said.contains("there is no configuration"), "{said}");
    let config = format!(
        "callback: {{secrets: \"${{NOT_SET}}\"}}\nrules: {SHIPPED}\nstatuses: [SUSPENDED]\n\
                          email: {{from: kyc@shop.example, transport: \"file:./mail\"}}\n"
    );
    fs::write(dir.path().join("kyc-rules.yaml"), config).expect("written");
    let (code, out, said) = run(dir.path(), &["-o", "rules.svg"]);
    assert!(code == 0 && out.is_empty() && said.contains("NOT_SET"), "{said}");
    assert!(fs::read_to_string(dir.path().join("rules.svg")).expect("a file").contains(">SUSPENDED</text>"));
    assert_eq!(run(dir.path(), &["-o", "no/such/directory.svg"]).0, 74);
}

#[test]
fn wrong_rules_are_not_drawn_and_the_error_has_the_reason() {
    let dir = tempfile::tempdir().expect("a directory");
    fs::write(dir.path().join("a.yaml"), "format: 1\nrules:\n  - {id: a, when: any -> FULL_USR, do: record}\n")
        .expect("written");
    let (code, out, said) = run(dir.path(), &["--rules", "."]);
    assert!(code == 78 && out.is_empty() && said.contains("did you mean FULL_USER?"), "{said}");
}
