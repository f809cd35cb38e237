//! The `refresh --all` command, for all customers whose callbacks have waited longer than `provider.patience`: queries
//! the provider's API about each customer again, or accepts the newest waiting callback of each. Prints the number of
//! customers and asks for confirmation first.

use std::path::Path;

use serde_json::json;

use super::{CommandError, Exit, Output, client::Original, jobs::waiting, settings};
use crate::api::refresh::{RefreshAllPage, RefreshAllPreview, RefreshAllRequest, StillWaiting};

const PATH: &str = "customers/refresh";

pub fn run(config: Option<&Path>, believe: bool, yes: bool, output: &mut Output) -> Result<(), CommandError> {
    let dry = RefreshAllRequest { believe, dry: true, until: None, cursor: None };
    let found: Original<RefreshAllPreview> =
        settings::block_on(async { settings::client(config)?.post_json(PATH, &dry).await })?;
    let RefreshAllPreview { count, patience, until, .. } = &*found;
    let count = *count;
    if count == 0 {
        output.json_or_text(&found, format_args!("no callback has waited longer than {patience}"));
        return Ok(());
    }
    if !output.is_json() {
        show(&found, output);
    }
    if !yes && !output.asks(question(believe, count))? {
        output.json_or_text(&found, "nothing was done");
        return Ok(());
    }
    let mut acted = settings::block_on(act(config, believe, until))?;
    acted.complete(count);
    let text = format!("callbacks of {} are decided{}", customers(acted.done), acted.rest());
    let shape = json!({
        "count": acted.count, "done": acted.done, "meanwhile": acted.meanwhile, "waiting": acted.waiting(), "dry": false,
        "stopped": acted.stopped, "examples": acted.examples,
    });
    output.json_or_text(&shape, text);
    match acted.stopped {
        Some(why) => {
            Err(CommandError::new(Exit::Unavailable, format_args!("stopped; the other callbacks still wait: {why}")))
        }
        None if acted.done == 0 && acted.waiting() > 0 => Err(CommandError::new(Exit::Failed, "")),
        None => Ok(()),
    }
}

fn question(believe: bool, count: u64) -> String {
    match believe {
        true => {
            format!(
                "Accept the newest waiting callback of {} as right, regardless of the provider's API?",
                customers(count)
            )
        }
        false => format!("Query the provider's API about {} now?", customers(count)),
    }
}

fn customers(count: u64) -> String {
    if count == 1 { "1 customer".to_owned() } else { format!("{count} customers") }
}

/// Prints the number of customers and some examples.
fn show(found: &RefreshAllPreview, output: &mut Output) {
    let RefreshAllPreview { count, patience, examples, .. } = found;
    output.line(format_args!(
        "callbacks of {} have waited longer than {patience}:\n\n{}",
        customers(*count),
        waiting(examples)
    ));
    let more = count.saturating_sub(examples.len() as u64);
    if more > 0 {
        output.line(format_args!("and {more} more"));
    }
    output.line("");
}

/// The result of all pages, in customers. `count` is the sum of `done`, `meanwhile` and the customers that still wait.
#[derive(Default)]
struct RefreshTotals {
    count: u64,
    done: u64,
    /// Customers decided by the service itself, between the count and the request.
    meanwhile: u64,
    /// The reason the remaining customers were not tried.
    stopped: Option<String>,
    /// Examples of customers that still wait, with the reason.
    examples: Vec<Original<StillWaiting>>,
}

impl RefreshTotals {
    /// Adds the customers that were counted but on no page. If all pages were read, the service has decided them
    /// meanwhile.
    fn complete(&mut self, counted: u64) {
        let left_out = counted.saturating_sub(self.count);
        self.count += left_out;
        if self.stopped.is_none() {
            self.meanwhile += left_out;
        }
    }

    fn waiting(&self) -> u64 {
        self.count.saturating_sub(self.done).saturating_sub(self.meanwhile)
    }

    fn rest(&self) -> String {
        let meanwhile = match self.meanwhile {
            0 => String::new(),
            count => format!("; those of {} were decided meanwhile", customers(count)),
        };
        let why = self.examples.first().map(|one| &one.reason);
        let waiting = match (self.waiting(), why) {
            (0, _) => String::new(),
            (left, None) => format!("; those of {} still wait", customers(left)),
            (left, Some(why)) => format!("; those of {} still wait: {why}", customers(left)),
        };
        meanwhile + &waiting
    }
}

/// Sends one request per page, so that no request takes long.
async fn act(config: Option<&Path>, believe: bool, until: &str) -> Result<RefreshTotals, CommandError> {
    let client = settings::client(config)?;
    let mut acted = RefreshTotals::default();
    let mut cursor = None;
    loop {
        let body = RefreshAllRequest { believe, dry: false, until: Some(until.to_owned()), cursor };
        let page: Original<RefreshAllPage<Original<StillWaiting>>> = client.post_json(PATH, &body).await?;
        acted.count += page.count;
        acted.done += page.done;
        acted.meanwhile += page.meanwhile;
        acted.examples.extend(page.examples.iter().cloned());
        acted.examples.truncate(5);
        acted.stopped.clone_from(&page.stopped);
        cursor = page.next.clone();
        if cursor.is_none() {
            return Ok(acted);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_result_adds_up_to_the_customers_that_were_counted() {
        let acted = |count, done, stopped: Option<&str>| {
            let mut acted =
                RefreshTotals { count, done, stopped: stopped.map(str::to_owned), ..RefreshTotals::default() };
            acted.complete(60);
            (acted.rest(), acted.count, acted.done + acted.meanwhile + acted.waiting())
        };
        assert_eq!(acted(50, 50, None), ("; those of 10 customers were decided meanwhile".to_owned(), 60, 60));
        let both = "; those of 10 customers were decided meanwhile; those of 1 customer still wait".to_owned();
        assert_eq!(acted(50, 49, None), (both, 60, 60));
        assert_eq!(acted(50, 20, Some("429")), ("; those of 40 customers still wait".to_owned(), 60, 60));
        assert_eq!(acted(60, 60, None), (String::new(), 60, 60));
    }
}
