//! Going live: files of customers, taken by a running server or into the data directory, and what is not taken.

mod support;

use std::fs;

use serde_json::json;
use support::service::Shop;

const RULES: &str = "  - {id: sorry, when: any -> SOFT_KYC_FAILED, do: [{email: sorry}]}\n";

/// What Excel writes, with a mistake in every second row.
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
async fn every_mistake_of_a_file_is_named_with_the_line_that_a_spreadsheet_shows_and_nothing_is_taken() {
    let shop = shop();
    let service = shop.start().ready().await;
    let (code, said, wrong) = import(&shop, &service.admin.to_string(), WRONG);
    assert_eq!((code, &*said), (Some(1), ""));
    let lines: Vec<&str> = wrong.lines().skip(1).collect();
    for (line, said) in lines.iter().zip([
        "  line 3: id: \"C-2 \" has white space at its ends",
        "  line 5: status: \"VERIFIED\" is no status",
        "  line 7: since: \"2999-01-01\" is in the future",
        "  line 9: tags: \"a;b\" has to have commas between",
    ]) {
        assert!(line.starts_with(said), "{wrong}");
    }
    assert_eq!(lines.len(), 4, "{wrong}");
    assert!(lines[1].contains("SUSPENDED and none; others are declared under `statuses:`"), "{wrong}");
    assert_eq!(service.get("customers").await["customers"], json!([]));

    let right = WRONG.replace("C-2 ", "C-2").replace("VERIFIED", "none").replace("2999", "2026").replace("a;b", "a");
    let (code, said, wrong) = import(&shop, &service.admin.to_string(), &right);
    assert!(code == Some(0) && said.starts_with("8 contacts were taken by the running server"), "{said}{wrong}");
    let customer = service.get("customers/C-5").await;
    assert_eq!((&customer["status"], &customer["tags"]), (&json!("SUSPENDED"), &json!([])));
    let customer = service.get("customers/C-1").await;
    assert_eq!(customer["entered_at"].as_str().map(|at| &at[..10]), Some("2026-01-01"));
    assert_eq!(customer["tags"], json!(["old", "vip"]));
}

#[test]
fn without_a_server_the_same_is_refused() {
    let shop = shop();
    let (code, _, wrong) = import(&shop, "", WRONG);
    assert!(code == Some(1) && wrong.contains("line 9: tags:") && wrong.contains("line 5: status:"), "{wrong}");
    let (code, said, wrong) = import(&shop, "", "id,email,status\nC-5,a@x.example,SUSPENDED\n");
    assert!(code == Some(0) && said.contains("into the data directory"), "{said}{wrong}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_admin_api_takes_nothing_that_a_file_may_not_say() {
    let shop = shop();
    let service = shop.start().ready().await;
    for (contact, said) in [
        (json!({"id": "C-1 ", "email": "a@x.example"}), "white space at its ends"),
        (json!({"id": "C-1", "email": "a@x.example", "status": "VERIFIED"}), "\"VERIFIED\" is no status"),
        (json!({"id": "C-1", "email": "a@x.example", "status": "none", "since": "2999-01-01"}), "in the future"),
        (json!({"id": "C-1", "email": "a@x.example", "status": "none", "since": "1969-01-01"}), "before 1970"),
        (json!({"id": "C-1", "email": "a@x.example", "status": "none", "tags": ["a,b"]}), "is no tag"),
    ] {
        let contacts = json!([{"id": "C-0", "email": "a@x.example"}, contact]);
        let (status, problem) = service.ask("POST", "customers/import", Some(json!({"contacts": contacts}))).await;
        assert_eq!(status, 422, "{contact}: {problem}");
        assert!(problem["detail"].as_str().is_some_and(|detail| detail.contains(said)), "{contact}: {problem}");
    }
    assert_eq!(service.get("customers").await["customers"], json!([]));
    // Callbacks are another matter: there an id is whatever the provider says, but a status has to say something.
    service.callback("C-1 ", "VERIFIED", json!({})).await;
    for (status, more) in [("  ", json!({})), ("none", json!({"kycProcessingStatus": " "}))] {
        let (code, problem) =
            service.post(support::service::signed("C-1 ", status, more).to_string()).await.expect("an answer");
        assert_eq!(code, 400, "{problem}");
    }
}
