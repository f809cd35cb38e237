//! Logs panics: the location, at once and then at most once a minute for each location.
//!
//! A panic's message may contain any data, including a customer's, so the message is logged only if it is a literal of
//! the source. The standard hook would write every message each time.

use std::{
    backtrace::{Backtrace, BacktraceStatus},
    collections::HashMap,
    panic::{PanicHookInfo, set_hook},
    sync::{Mutex, PoisonError},
    thread,
};

use super::LogThrottle;
use crate::stack::literal;

/// From then on, panics are logged.
pub fn log_panics() {
    // At most one entry for each location in the source that panics.
    let places: Mutex<HashMap<(String, u32, u32), LogThrottle>> = Mutex::default();
    set_hook(Box::new(move |panic| {
        let place = panic.location().map_or((String::new(), 0, 0), |at| (at.file().to_owned(), at.line(), at.column()));
        let passed = {
            let mut places = places.lock().unwrap_or_else(PoisonError::into_inner);
            places.entry(place.clone()).or_default().pass()
        };
        if let Some(left_out) = passed {
            log(panic, &place, left_out);
        }
    }));
}

fn log(panic: &PanicHookInfo<'_>, (file, line, column): &(String, u32, u32), left_out: u64) {
    let message = literal(panic.payload());
    let thread = thread::current();
    let thread = thread.name().unwrap_or("unnamed");
    let backtrace = Backtrace::capture();
    if backtrace.status() == BacktraceStatus::Captured {
        tracing::error!(at = %format_args!("{file}:{line}:{column}"), thread, left_out, "panicked: {message}\n{backtrace}");
    } else {
        tracing::error!(at = %format_args!("{file}:{line}:{column}"), thread, left_out, "panicked: {message}");
    }
}

#[cfg(test)]
mod tests {
    use std::{any::Any, panic::catch_unwind};

    use super::*;

    #[test]
    fn only_a_literal_of_the_source_is_logged() {
        let of = |payload: Box<dyn Any + Send>| literal(&*payload);
        let customer = String::from("C-77");
        assert_eq!(of(catch_unwind(|| panic!("a literal")).expect_err("panics")), "a literal");
        let formatted = catch_unwind(|| panic!("{customer} is unknown")).expect_err("panics");
        assert_eq!(of(formatted), "(not shown: it may contain data)");
    }
}
