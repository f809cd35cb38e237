//! Reads the step `callback`: the fields of a callback, in YAML.
//!
//! The step becomes the body of a real callback and is parsed as one, so that a test has the same limits and the same
//! shortening of long messages as the service.

use serde_json::{Value as Json, json};

use crate::rule_tests::known::KnownNames;
use crate::{
    domain::{CustomerId, Observation},
    providers::xgateway::{ReceivedCallback, Secret, Unreadable, Verified, hash_of},
    yaml::{MapFields, Node, Report, Value},
};

const KEYS: &[&str] = &["status", "docsMissing", "kycRejectLabel", "kycEndUserErrorMessage", "kycProcessingStatus"];

pub(in crate::rule_tests) fn read(
    node: &Node<'_>,
    customer: &CustomerId,
    known: &KnownNames<'_>,
    report: &mut Report<'_>,
) -> Option<Observation> {
    let fields = MapFields::of(node, "`callback`", KEYS, report)?;
    let status = fields.need("status", report).and_then(|node| known.status(node, report));
    let said = |key| fields.get(key).filter(|node| !node.is_null());
    let docs = said("docsMissing").map(|node| documents(node, known, report));
    let labels = said("kycRejectLabel").map(|node| labels(node, known, report));
    let message = said("kycEndUserErrorMessage").map(|node| node.text("`kycEndUserErrorMessage`", report));
    let processing = said("kycProcessingStatus").map(|node| known.processing(node, report));
    let all_read = !matches!(docs, Some(None))
        && !matches!(labels, Some(None))
        && !matches!(message, Some(None))
        && !matches!(processing, Some(None));
    let status = status.filter(|_| all_read)?;
    let secret = Secret::new("the secret of tests");
    let body = json!({
        "callbackType": "kyc",
        "customerId": customer.as_str(),
        "hash": hash_of(customer.as_str(), &secret),
        "status": status,
        "docsMissing": docs.flatten(),
        "kycRejectLabel": labels.flatten(),
        "kycEndUserErrorMessage": message.flatten(),
        "kycProcessingStatus": processing.flatten().flatten(),
    });
    let claim = match ReceivedCallback::read(body.to_string().as_bytes()) {
        Ok(ReceivedCallback::Kyc(claim)) => claim,
        Err(Unreadable::Malformed(problem)) => {
            report.error(
                "callback",
                node.span.clone(),
                format!("the service rejects this callback: {}", problem.detail),
            );
            return None;
        }
        Ok(ReceivedCallback::Other(_)) | Err(Unreadable::UnknownType) => return None,
    };
    Verified::check(claim, &[secret]).map(Observation::from)
}

/// Reads `[SELFIE, PASSPORT]`, or the form of the provider's API: `[{docType: SELFIE}]`.
fn documents(node: &Node<'_>, known: &KnownNames<'_>, report: &mut Report<'_>) -> Option<Vec<Json>> {
    if let Value::Map(_) = node.value {
        node.wrong("`docsMissing`", "a list such as `[SELFIE, PASSPORT]`", report);
        return None;
    }
    let mut documents = Vec::new();
    for item in node.items() {
        let item = match &item.value {
            Value::Map(_) => document(item, report)?,
            _ => item,
        };
        let code = item.text("a document", report)?;
        known.document(code, item, report);
        documents.push(Json::from(code));
    }
    Some(documents)
}

fn document<'n, 't>(node: &'n Node<'t>, report: &mut Report<'_>) -> Option<&'n Node<'t>> {
    MapFields::of(node, "a document", &["docType", "docSubtype"], report)?;
    let kind = node.get("docType");
    if kind.is_none() {
        report.error("key", node.span.clone(), "a document needs the key `docType`");
    }
    kind
}

/// Reads labels joined with commas, as the provider sends them, or a list.
fn labels(node: &Node<'_>, known: &KnownNames<'_>, report: &mut Report<'_>) -> Option<String> {
    let texts = node.texts("`kycRejectLabel`", report)?;
    for (item, text) in node.items().iter().zip(&texts) {
        for code in text.split(',').map(str::trim).filter(|code| !code.is_empty()) {
            known.label(code, item, report);
        }
    }
    Some(texts.join(","))
}
