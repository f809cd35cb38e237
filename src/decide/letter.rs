//! What a mail will say: taken together once, at the first attempt, so that a repeated attempt says the same.

use super::{Case, Given};
use crate::{
    kyc::{Contact, Customer, CustomerId},
    outbox::{Job, Letter},
    rules::{Action, Recipient},
    template::{CustomerFacts, Facts, Stay},
};

/// The letter of a job that is a mail; `None` where there is nobody to write to.
pub fn letter_for(case: &Case, who: &CustomerId, job: &Job, given: Given<'_>) -> Option<Letter> {
    let Action::Email { to, .. } = &job.order.action else { return None };
    let contact = case.contact.as_ref();
    let address = match to {
        Recipient::Customer => contact?.email.clone(),
        Recipient::Address(address) => address.clone(),
    };
    let to_customer = matches!(to, Recipient::Customer);
    let locale = contact.and_then(|contact| contact.locale.clone());
    Some(Letter {
        set: given.rules.hash().into(),
        address: address.into(),
        name: contact.filter(|_| to_customer).and_then(|contact| contact.name.as_deref()).map(Into::into),
        locale: locale.filter(|_| to_customer).map(Into::into),
        facts: facts(case.customer.as_ref()?, contact, who, case, job, given),
    })
}

fn facts(
    customer: &Customer,
    contact: Option<&Contact>,
    who: &CustomerId,
    case: &Case,
    job: &Job,
    given: Given<'_>,
) -> Facts {
    let zone = contact
        .and_then(|contact| contact.timezone.as_deref())
        .and_then(|name| jiff::tz::TimeZone::get(name).ok())
        .unwrap_or_else(|| given.policy.timezone.clone());
    let local = |at: crate::clock::Timestamp| at.to_jiff().to_zoned_datetime(zone.clone()).to_string();
    let lasted_ms = given.now.since_ms(customer.entered_at);
    let order = &job.order;
    let strings = |codes: &Option<crate::kyc::Codes>| -> Vec<String> {
        codes.iter().flat_map(|codes| codes.iter()).map(str::to_owned).collect()
    };
    Facts {
        customer: CustomerFacts {
            id: who.to_string(),
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
        from: order.from.as_ref().map(|status| status.name().to_owned()),
        to: order.to.name().to_owned(),
        missing_docs: strings(&customer.missing_docs),
        reject_labels: strings(&customer.reject_labels),
        message: customer.message.as_deref().unwrap_or_default().to_owned(),
        visit: order.visit,
        step: order.step,
        stay: Stay {
            entered_at: local(customer.entered_at),
            days: lasted_ms / 86_400_000,
            hours: lasted_ms / 3_600_000,
        },
        tags: case.tags.iter().map(str::to_owned).collect(),
        rule: order.rule.to_string(),
        now: local(given.now),
    }
}
