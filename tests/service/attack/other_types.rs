//! Callbacks of the provider's other types, and hashes of one type used for another type.

use kyc_rules::providers::xgateway::{Secret, hash_of_fields};
use serde_json::{Value, json};

use super::{RULES, shop_of_the_provider};
use crate::support::{
    provider::Provider,
    service::{SECRET, Service, Shop, signed},
};

fn hash(fields: &[&str]) -> String {
    hash_of_fields(fields, &Secret::new(SECRET))
}

#[tokio::test(flavor = "multi_thread")]
async fn documented_other_types_are_verified_ignored_and_counted() {
    let (_shop, service) = shop_of_the_provider().await;
    for name in ["other-bank-account", "other-transaction", "other-transaction"] {
        let body = std::fs::read_to_string(format!("tests/cases/provider/{name}.json")).expect("a body");
        let answer = service.post(body.clone()).await.expect("an answer");
        assert_eq!(answer, (200, json!({"outcome": "ignored"})), "{name}");
        // The hash covers the currency.
        let (code, problem) = service.post(body.replace("EUR", "USD")).await.expect("an answer");
        assert_eq!((code, &problem["detail"]), (401, &Value::Null), "{name}");
        let (code, _) = service.post(body.replace("\"hash\"", "\"other\"")).await.expect("an answer");
        assert_eq!(code, 401, "{name}");
    }
    let status = service.get("status").await;
    assert_eq!(status["callbacks"]["ignored"], json!({"bank_account": 1, "transaction": 2}));
    assert_eq!((&status["callbacks"]["accepted"], &status["store"]["customers"]), (&json!(0), &json!(0)));
    let metrics = service.metrics().await;
    for line in [
        r#"kyc_rules_callbacks_ignored_total{type="transaction"} 2"#,
        r#"kyc_rules_callbacks_total{answer="ignored"} 3"#,
        r#"kyc_rules_refused_total{listener="public",refused="wrong_hash"} 3"#,
        r#"kyc_rules_refused_total{listener="public",refused="no_hash"} 3"#,
    ] {
        assert!(metrics.contains(line), "{line} in {metrics}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_hash_uses_an_amount_exactly_as_written_in_the_body() {
    let service = Shop::new(RULES).start().ready().await;
    for (amount, hashed, code) in [
        ("\"25.50\"", "25.50", 200),
        ("25.50", "25.50", 200),
        ("25.50", "25.5", 401),
        ("\"25.50\"", "25.5", 401),
        ("null", "null", 400),
    ] {
        let body = format!(
            r#"{{"callbackType":"transaction","id":"T-1","customerId":"C-1","amount":{amount},"currency":"EUR","hash":"{}"}}"#,
            hash(&["T-1", "C-1", hashed, "EUR"])
        );
        assert_eq!(service.post(body).await.expect("an answer").0, code, "{amount} hashed as {hashed}");
    }
}

/// A KYC callback of a customer `C-1.EUR` whose hash is that of a `bank_account` callback of C-1.
fn dotted() -> Value {
    signed("C-1.EUR", "SOFT_KYC_FAILED", json!({"hash": hash(&["C-1", "EUR"])}))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hash_of_another_type_sends_no_mail_without_an_api_key() {
    let shop = Shop::new(RULES);
    let service = shop.start().ready().await;
    service.contact("C-1", "ada@customer.example").await;
    assert_eq!(service.post(dotted().to_string()).await.expect("an answer").0, 200);
    let jobs = service.until_jobs("C-1.EUR", &["problem"]).await;
    assert_eq!(jobs[0]["problem"], "no_contact");
    assert_eq!(shop.mails().len(), 0);
    assert_eq!(service.get("customers/C-1").await["status"], Value::Null, "the customer is unchanged");
    assert_eq!(service.get("customers/C-1.EUR").await["contact"], Value::Null);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hash_of_another_type_is_never_confirmed_with_an_api_key() {
    let provider = Provider::start().await;
    let mut shop = Shop::new(RULES);
    shop.more = provider.configuration();
    let service: Service = shop.start().ready().await;
    assert_eq!(service.post(dotted().to_string()).await.expect("an answer").0, 200);
    let customer = service
        .until("customers/C-1.EUR", |customer| {
            let verdict = &customer["timeline"][0]["verdict"];
            provider.asked().contains(&"C-1.EUR".to_owned()) && (verdict == "unconfirmed" || verdict == "pending")
        })
        .await;
    assert_eq!((&customer["status"], &customer["jobs"]), (&Value::Null, &json!([])), "{customer}");
    assert_eq!(shop.mails().len(), 0);
}
