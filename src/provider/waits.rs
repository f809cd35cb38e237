//! Why a customer's callbacks or timers wait for the provider's API: the reason in `problems`, in `customers show` and in the log.

use super::{Asker, Cause};
use crate::{
    decide::{Case, Question},
    directory::Lookups,
    kyc::CustomerId,
};

/// The last error about this customer, or the trouble of a service, or what the open question says.
pub fn cause(asker: Option<&Asker>, lookups: Option<&Lookups>, customer: &CustomerId, case: Option<&Case>) -> Cause {
    let question = case.and_then(|case| case.question.as_ref());
    let said = asker.and_then(|asker| asker.last_error(customer));
    let trouble = || asker.and_then(Asker::trouble).map(Cause::from);
    let contact = || {
        question.filter(|question| question.contact)?;
        lookups?.trouble().map(|trouble| format!("the shop's API: {}", trouble.text).into())
    };
    said.or_else(trouble).or_else(contact).unwrap_or_else(|| {
        let knows = case.is_some_and(|case| case.customer.is_some());
        undecided(question, knows).into()
    })
}

/// What is so where nothing has failed. `knows`: the API has said something of this customer before, and may repeat it.
fn undecided(question: Option<&Question>, knows: bool) -> String {
    match question {
        Some(Question { asked: 1.., next_at, .. }) if knows => {
            format!(
                "the provider's API repeats what is remembered or does not know the customer; it is asked again at {next_at}"
            )
        }
        Some(Question { asked: 1.., next_at, .. }) => {
            format!("the provider's API does not know the customer; it is asked again at {next_at}")
        }
        _ => "there is no answer yet since the service was started".to_owned(),
    }
}
