//! The reason why a customer's callbacks or timers wait for the provider's API: shown in `problems`, in `customers
//! show` and in the log.

use super::{AnswerFailure, ConfirmationWorker};
use crate::{
    decide::{Confirmation, CustomerState},
    directory::ContactFetcher,
    domain::CustomerId,
};

/// Returns the last error about this customer, or the trouble of a service, or the state of the open question.
pub fn cause(
    asker: Option<&ConfirmationWorker>,
    lookups: Option<&ContactFetcher>,
    customer: &CustomerId,
    case: Option<&CustomerState>,
) -> AnswerFailure {
    let question = case.and_then(|case| case.question.as_ref());
    let said = asker.and_then(|asker| asker.last_error(customer));
    let trouble = || asker.and_then(ConfirmationWorker::trouble).map(AnswerFailure::from);
    let contact = || {
        question.filter(|question| question.contact)?;
        lookups?.trouble().map(|trouble| format!("the shop's API: {}", trouble.text).into())
    };
    said.or_else(trouble).or_else(contact).unwrap_or_else(|| {
        let knows = case.is_some_and(|case| case.customer.is_some());
        undecided(question, knows).into()
    })
}

/// Returns the reason if no request has failed. `knows`: an earlier answer about this customer exists, and the API may
/// be repeating it.
fn undecided(question: Option<&Confirmation>, knows: bool) -> String {
    match question {
        Some(Confirmation { asked: 1.., next_at, .. }) if knows => {
            format!(
                "the provider's API repeats the known status or does not know the customer; it is asked again at {next_at}"
            )
        }
        Some(Confirmation { asked: 1.., next_at, .. }) => {
            format!("the provider's API does not know the customer; it is asked again at {next_at}")
        }
        _ => "there has been no answer since the service started".to_owned(),
    }
}
