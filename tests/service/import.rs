//! `customers import` and `export`, through a running server and directly on the data directory.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    time::SystemTime,
};

use serde_json::json;

use crate::support::{
    hooks::HookServer,
    service::{Shop, signed},
};

const RULES: &str = "  - {id: sorry, when: any -> SOFT_KYC_FAILED, do: [{email: sorry}]}\n";

/// A file as Excel writes it, with an error in every second row.
const WRONG: &str = "id,email,status,since,tags\r\nC-1,a@x.example,FULL_USER,2026-01-01,\"vip, old\"\r\n\
                     C-2 ,a@x.example,,,\r\nC-3,a@x.example,none,,\r\nC-4,a@x.example,VERIFIED,,\r\n\
                     C-5,a@x.example,SUSPENDED,,\r\nC-6,a@x.example,none,2999-01-01,\r\n\
                     C-7,a@x.example,none,,\r\nC-8,a@x.example,none,,a;b\r\n";

fn shop() -> Shop {
    let mut shop = Shop::new(RULES);
    shop.more = "statuses: [SUSPENDED]\n".to_owned();
    shop
}

fn import(shop: &Shop, config: &str, text: &str) -> (Option<i32>, String, String) {
    shop.write("customers.csv", text);
    let mut command = shop.command();
    if !config.is_empty() {
        let written = fs::read_to_string(shop.path("kyc-rules.yaml")).expect("text");
        shop.write(
            "kyc-rules.yaml",
            &written.replace("admin: {listen: \"127.0.0.1:0\"", &format!("admin: {{listen: \"{config}\"")),
        );
    }
    let output = command.args(["customers", "import"]).arg(shop.path("customers.csv")).output().expect("runs");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[tokio::test(flavor = "multi_thread")]
async fn all_errors_of_a_file_are_reported_with_spreadsheet_rows_and_nothing_is_imported() {
    let shop = shop();
    let service = shop.start().ready().await;
    let (code, said, wrong) = import(&shop, &service.admin.to_string(), WRONG);
    assert_eq!((code, &*said), (Some(1), ""));
    let lines: Vec<&str> = wrong.lines().skip(1).collect();
    for (line, said) in lines.iter().zip([
        "  line 3: id: \"C-2 \" has white space at its ends",
        "  line 5: status: \"VERIFIED\" is no status",
        "  line 7: since: \"2999-01-01\" is in the future",
        "  line 9: tags: \"a;b\" must have commas between",
    ]) {
        assert!(line.starts_with(said), "{wrong}");
    }
    assert_eq!(lines.len(), 4, "{wrong}");
    assert!(lines[1].contains("SUSPENDED and none; others are declared under `statuses:`"), "{wrong}");
    assert_eq!(service.get("customers").await["customers"], json!([]));

    let right = WRONG.replace("C-2 ", "C-2").replace("VERIFIED", "none").replace("2999", "2026").replace("a;b", "a");
    let (code, said, wrong) = import(&shop, &service.admin.to_string(), &right);
    assert!(code == Some(0) && said.starts_with("8 contacts imported by the running server"), "{said}{wrong}");
    let customer = service.get("customers/C-5").await;
    assert_eq!((&customer["status"], &customer["tags"]), (&json!("SUSPENDED"), &json!([])));
    let customer = service.get("customers/C-1").await;
    assert_eq!(customer["entered_at"].as_str().map(|at| &at[..10]), Some("2026-01-01"));
    assert_eq!(customer["tags"], json!(["old", "vip"]));
}

#[test]
fn the_same_errors_are_reported_without_a_server() {
    let shop = shop();
    let (code, _, wrong) = import(&shop, "", WRONG);
    assert!(code == Some(1) && wrong.contains("line 9: tags:") && wrong.contains("line 5: status:"), "{wrong}");
    let (code, said, wrong) = import(&shop, "", "id,email,status\nC-5,a@x.example,SUSPENDED\n");
    assert!(code == Some(0) && said.contains("into the data directory"), "{said}{wrong}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_admin_api_rejects_the_same_contacts_as_the_import_of_a_file() {
    let shop = shop();
    let service = shop.start().ready().await;
    for (contact, said) in [
        (json!({"id": "C-1 ", "email": "a@x.example"}), "white space at its ends"),
        (json!({"id": "C-1", "email": "a@x.example", "status": "VERIFIED"}), "\"VERIFIED\" is no status"),
        (json!({"id": "C-1", "email": "a@x.example", "status": "none", "since": "2999-01-01"}), "in the future"),
        (json!({"id": "C-1", "email": "a@x.example", "status": "none", "since": "1969-01-01"}), "before 1970"),
        (json!({"id": "C-1", "email": "a@x.example", "status": "none", "tags": ["a,b"]}), "is not a valid tag"),
    ] {
        let contacts = json!([{"id": "C-0", "email": "a@x.example"}, contact]);
        let (status, problem) = service.ask("POST", "customers/import", Some(json!({"contacts": contacts}))).await;
        assert_eq!(status, 422, "{contact}: {problem}");
        assert!(problem["detail"].as_str().is_some_and(|detail| detail.contains(said)), "{contact}: {problem}");
    }
    assert_eq!(service.get("customers").await["customers"], json!([]));
    // In callbacks, white space at the ends of an id is accepted, but a blank status is rejected.
    service.callback("C-1 ", "VERIFIED", json!({})).await;
    for (status, more) in [("  ", json!({})), ("none", json!({"kycProcessingStatus": " "}))] {
        let (code, problem) = service.post(signed("C-1 ", status, more).to_string()).await.expect("an answer");
        assert_eq!(code, 400, "{problem}");
    }
}

/// Returns the bytes, the mode and the modification time of every file and directory below this directory.
fn tree(dir: &Path) -> BTreeMap<PathBuf, (Vec<u8>, u32, SystemTime)> {
    let mut found = BTreeMap::new();
    let mut dirs = vec![dir.to_owned()];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(&dir).expect("readable") {
            let path = entry.expect("entry").path();
            let about = fs::metadata(&path).expect("metadata");
            let bytes = if about.is_dir() { Vec::new() } else { fs::read(&path).expect("read") };
            if about.is_dir() {
                dirs.push(path.clone());
            }
            found.insert(path, (bytes, about.permissions().mode(), about.modified().expect("a time")));
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_without_a_server_does_not_change_the_store() {
    let shop = shop();
    let (status, said, wrong) = shop.run(&["customers", "export"]);
    assert!(
        status.success() && said.starts_with("id,email") && wrong.contains("there is no store in"),
        "{said}{wrong}"
    );
    assert!(!shop.path("data").exists(), "a read-only command must not create the directory");
    let service = shop.start().ready().await;
    service.contact("C-1", "ada@customer.example").await;
    service.callback("C-1", "SOFT_KYC_FAILED", json!({})).await;
    service.until_jobs("C-1", &["done"]).await;
    service.contact("C-2", "old@customer.example").await;
    service.contact("C-2", "eve@customer.example").await;
    // After an unclean end, opening the store would rewrite a segment and correct the modes of files.
    service.kill();
    let set =
        fs::read_dir(shop.path("data/rule-sets")).expect("readable").next().expect("a set").expect("entry").path();
    fs::set_permissions(&set, fs::Permissions::from_mode(0o644)).expect("changed");
    let before = tree(&shop.path("data"));
    let (status, said, wrong) = shop.run(&["customers", "export"]);
    assert_eq!(status.code(), Some(0), "{wrong}");
    assert_eq!(said.lines().filter(|line| line.starts_with("C-")).count(), 2, "{said}");
    assert!(said.contains("C-1,ada@customer.example") && said.contains("C-2,eve@customer.example"), "{said}");
    let (status, _, wrong) = shop.run(&["backtest", "--since", "1h"]);
    assert_eq!(status.code(), Some(0), "{wrong}");
    let after = tree(&shop.path("data"));
    let changed: Vec<_> =
        after.iter().filter(|(path, is)| before.get(*path) != Some(is)).map(|(path, _)| path).collect();
    assert!(changed.is_empty() && before.len() == after.len(), "{changed:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_contact_imported_without_a_server_is_as_fresh_as_one_from_a_lookup() {
    let server = HookServer::start().await;
    let mut shop = shop();
    let url = server.url("/customers/{id}");
    shop.more = format!("directory: {{lookup: {{url: \"{url}\", cache: 1h, private: true}}}}\n");
    let (code, said, wrong) = import(&shop, "", "id,email\nC-1,ada@customer.example\n");
    assert!(code == Some(0) && said.contains("into the data directory"), "{said}{wrong}");
    let service = shop.start().ready().await;
    service.callback("C-1", "SOFT_KYC_FAILED", json!({})).await;
    service.until_jobs("C-1", &["done"]).await;
    assert!(server.calls().is_empty(), "{:?}", server.calls().len());
}
