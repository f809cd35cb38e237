//! The content of a mail: collected once, at the first attempt, so that a repeated attempt sends the same content.

use super::{CustomerState, DecisionContext, facts::FactsInput};
use crate::{
    domain::CustomerId,
    outbox::{Job, MailSnapshot},
    rules::{Action, Recipient},
};

/// Returns the content of a mail job; `None`: the job is not a mail, or the address is unknown.
pub fn mail_snapshot_for(
    case: &CustomerState,
    who: &CustomerId,
    job: &Job,
    given: DecisionContext<'_>,
) -> Option<MailSnapshot> {
    let Action::Email { to, .. } = &job.order.action else { return None };
    let contact = case.contact.as_ref();
    let address = match to {
        Recipient::Customer => contact?.email.clone(),
        Recipient::Address(address) => address.clone(),
    };
    let to_customer = matches!(to, Recipient::Customer);
    let locale = contact.and_then(|contact| contact.locale.clone());
    Some(MailSnapshot {
        set: given.rules.hash().into(),
        address: address.into(),
        name: contact.filter(|_| to_customer).and_then(|contact| contact.name.as_deref()).map(Into::into),
        locale: locale.filter(|_| to_customer).map(Into::into),
        facts: FactsInput::order(case, who, &job.order)?.facts(given),
    })
}
