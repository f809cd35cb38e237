//! The facts about a customer with which mails and chat messages are rendered.

use super::{CustomerState, DecisionContext};
use crate::{
    clock::Timestamp,
    domain::{Codes, Contact, Customer, CustomerId, Status},
    outbox::Order,
    rules::RuleId,
    template::{CustomerFacts, StayFacts, TemplateFacts},
    zone,
};

/// The customer and the event that facts are collected about.
pub(super) struct FactsInput<'a> {
    pub who: &'a CustomerId,
    pub customer: &'a Customer,
    pub contact: Option<&'a Contact>,
    pub tags: &'a Codes,
    pub from: Option<&'a Status>,
    pub to: &'a Status,
    pub visit: u32,
    pub step: u32,
    pub rule: &'a RuleId,
}

impl<'a> FactsInput<'a> {
    /// Combines the order's data with the present data of the customer. `None`: no observation of the customer exists.
    pub fn order(case: &'a CustomerState, who: &'a CustomerId, order: &'a Order) -> Option<Self> {
        Some(Self {
            who,
            customer: case.customer.as_ref()?,
            contact: case.contact.as_ref(),
            tags: &case.tags,
            from: order.from.as_ref(),
            to: &order.to,
            visit: order.visit,
            step: order.step,
            rule: &order.rule,
        })
    }

    pub fn facts(&self, given: DecisionContext<'_>) -> TemplateFacts {
        let Self { customer, contact, .. } = *self;
        let zone = contact
            .and_then(|contact| contact.timezone.as_deref())
            .and_then(zone::named)
            .unwrap_or_else(|| given.policy.timezone.clone());
        let local = |at: Timestamp| at.to_jiff().to_zoned_datetime(zone.clone()).to_string();
        let lasted_ms = given.now.since_ms(customer.entered_at);
        let strings = |codes: &Option<Codes>| -> Vec<String> {
            codes.iter().flat_map(|codes| codes.iter()).map(str::to_owned).collect()
        };
        TemplateFacts {
            customer: CustomerFacts {
                id: self.who.to_string(),
                name: contact.and_then(|contact| contact.name.clone()),
                locale: contact.and_then(|contact| contact.locale.clone()),
                country: contact.and_then(|contact| contact.country.clone()),
                attributes: given
                    .policy
                    .attributes
                    .iter()
                    .map(|name| (name.clone(), contact.and_then(|contact| contact.attributes.get(name)).cloned()))
                    .collect(),
            },
            from: self.from.map(|status| status.name().to_owned()),
            to: self.to.name().to_owned(),
            missing_docs: strings(&customer.missing_docs),
            reject_labels: strings(&customer.reject_labels),
            message: customer.message.as_deref().unwrap_or_default().to_owned(),
            visit: self.visit,
            step: self.step,
            stay: StayFacts {
                entered_at: local(customer.entered_at),
                days: lasted_ms / 86_400_000,
                hours: lasted_ms / 3_600_000,
            },
            tags: self.tags.iter().map(str::to_owned).collect(),
            rule: self.rule.to_string(),
            now: local(given.now),
        }
    }
}
