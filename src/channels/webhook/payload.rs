//! The body of a webhook: `{type, timestamp, data}`, with the values at the time of the decision.

use serde::Serialize;

use crate::{
    clock::Timestamp,
    domain::{Codes, CustomerId, Detail},
    outbox::{Job, MAX_ORDERS, Payload},
    rules::Action,
};

#[derive(Serialize)]
struct WebhookBody<'a> {
    r#type: &'a str,
    timestamp: String,
    data: Data<'a>,
}

#[derive(Serialize)]
struct Data<'a> {
    /// The same in every attempt.
    id: String,
    /// Increases from one webhook about a customer to the next, so that a receiver detects late and repeated
    /// webhooks.
    sequence: u64,
    decided_at: String,
    customer: BodyCustomer<'a>,
    /// `"new"`: the customer had no status before. `null` is the provider's null.
    from: Option<&'a str>,
    to: Option<&'a str>,
    visit: u32,
    missing_docs: &'a Codes,
    reject_labels: &'a Codes,
    message: Option<&'a str>,
    processing: Option<&'a str>,
    tags: &'a Codes,
    changed: Vec<&'static str>,
    /// 1, 2, … for the durations of a timer, else 0.
    step: u32,
    stay: BodyStay<'a>,
    rule: &'a str,
    rule_set: &'a str,
}

#[derive(Serialize)]
struct BodyCustomer<'a> {
    id: &'a str,
}

/// The stay in the status, or in the processing status if the rule is about that.
#[derive(Serialize)]
struct BodyStay<'a> {
    of: &'static str,
    name: Option<&'a str>,
    entered_at: String,
    /// Whole days and hours since `entered_at` at the time of the decision.
    days: i64,
    hours: i64,
}

/// Returns the body; `None` if the job is no webhook.
pub fn payload(customer: &CustomerId, job: &Job) -> Option<Vec<u8>> {
    let order = &job.order;
    let (Action::Webhook { event, .. }, Some(Payload::Facts(told))) = (&order.action, order.said.as_deref()) else {
        return None;
    };
    let (of, name, entered_at) = match &order.processing_stay {
        Some(stay) => ("processing", stay.processing.as_wire(), stay.since),
        None => ("status", order.to.as_wire(), told.entered_at),
    };
    let lasted_ms = order.at.since_ms(entered_at);
    let moment = |at: Timestamp| at.to_string();
    let data = Data {
        id: order.id.to_string(),
        sequence: order.number.saturating_mul(MAX_ORDERS as u64).saturating_add(order.index.into()),
        decided_at: moment(order.at),
        customer: BodyCustomer { id: customer.as_str() },
        from: order.from.as_ref().map_or(Some("new"), |status| status.as_wire()),
        to: order.to.as_wire(),
        visit: order.visit,
        missing_docs: &told.missing_docs,
        reject_labels: &told.reject_labels,
        message: Some(&*told.message).filter(|message| !message.is_empty()),
        processing: told.processing.as_ref().and_then(|processing| processing.as_wire()),
        tags: &told.tags,
        changed: Detail::ALL
            .iter()
            .filter(|(_, detail)| order.changed.contains(*detail))
            .map(|(name, _)| *name)
            .collect(),
        step: order.step,
        stay: BodyStay {
            of,
            name,
            entered_at: moment(entered_at),
            days: lasted_ms / 86_400_000,
            hours: lasted_ms / 3_600_000,
        },
        rule: order.rule.as_str(),
        rule_set: &told.set,
    };
    serde_json::to_vec(&WebhookBody { r#type: event, timestamp: moment(order.at), data }).ok()
}
