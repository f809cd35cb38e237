//! Tests of the schemas that `schema` prints and `init` writes.

use super::*;

fn run(directory: &Path, arguments: &[&str]) -> (i32, String, String) {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_kyc-rules"))
        .args(arguments)
        .current_dir(directory)
        .env_remove("KYC_RULES_CONFIG")
        .output()
        .expect("runs");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    (output.status.code().unwrap_or(-1), text(output.stdout), text(output.stderr))
}

#[test]
fn files_written_by_init_name_their_schemas_and_match_them() {
    let dir = tempfile::tempdir().expect("a directory");
    assert_eq!(run(dir.path(), &["init", "."]).0, 0);
    for file in ["kyc-rules.yaml", "rules/kyc.yaml"] {
        let path = dir.path().join(file);
        let text = fs::read_to_string(&path).expect("written");
        let line = text.lines().next().expect("a line");
        let schema = line.strip_prefix("# yaml-language-server: $schema=").expect("a line for editors");
        let schema = fs::read_to_string(path.parent().expect("a parent").join(schema)).expect("a schema beside it");
        assert_passes(&validator(&serde_json::from_str(&schema).expect("JSON")), &text);
    }
    let tests = fs::read_to_string(dir.path().join(".schema/tests.json")).expect("written");
    validator(&serde_json::from_str(&tests).expect("JSON"));
}

#[test]
fn the_command_includes_names_from_configuration_and_rules() {
    let dir = tempfile::tempdir().expect("a directory");
    let (code, alone, _) = run(dir.path(), &["schema", "rules"]);
    assert!(
        code == 0 && alone.contains("any -> FULL_USER") && !alone.contains("SUSPENDED"),
        "it needs no configuration"
    );
    assert_eq!(run(dir.path(), &["init", "."]).0, 0);
    let config = "callback: {secrets: \"${NOT_SET}\"}\nstatuses: [SUSPENDED]\n\
                  webhooks: {shop: {url: https://shop.example, secret: \"${NOT_SET}\"}}\n";
    fs::write(dir.path().join("kyc-rules.yaml"), config).expect("written");
    let (code, rules, notes) = run(dir.path(), &["--json", "schema", "rules"]);
    assert_eq!(code, 0, "{notes}");
    assert!(notes.contains("NOT_SET is not set; the value stays unfilled"), "{notes}");
    let rules: Value = serde_json::from_str(&rules).expect("JSON in one line");
    let action = &rules["definitions"]["action"]["properties"];
    assert_eq!(action["webhook"]["properties"]["to"]["enum"], serde_json::json!(["shop"]));
    assert!(action["email"]["anyOf"][0]["enum"].to_string().contains("missing-documents"));
    assert!(rules["definitions"]["trigger"]["pattern"].to_string().contains("SUSPENDED"));
    let (code, tests, _) = run(dir.path(), &["schema", "tests"]);
    assert!(code == 0 && tests.contains("third-rejection"), "{tests}");
    fs::write(dir.path().join("kyc-rules.yaml"), "callbak: {}\n").expect("written");
    let (code, _, said) = run(dir.path(), &["schema", "rules"]);
    assert!(code == 78 && said.contains("unknown key `callbak`"), "{said}");
    assert_eq!(run(dir.path(), &["schema", "config"]).0, 0, "it needs neither configuration nor rules");
    assert_eq!(run(dir.path(), &["schema", "rules", "--rules", "nowhere"]).0, 78);
}
