//! Runs work whose depth depends on a file on a thread with a large stack.
//!
//! A stack overflow ends the process, and tokio workers, test threads and the main thread have stacks of different
//! sizes. The depth of rules and templates is checked before they are parsed (`yaml/tree.rs`, `template/bounds.rs`),
//! and [`with_deep_stack`] gives this bounded work the same stack in every command and thread.

use std::{
    any::Any,
    cell::Cell,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    thread,
};

/// Far more than the bounded depth needs, also in a debug build. The kernel allocates memory only for used pages.
const STACK_BYTES: usize = 64 << 20;

thread_local! {
    static IS_DEEP: Cell<bool> = const { Cell::new(false) };
    /// How many nested calls of [`caught`] this thread runs.
    static CATCHING: Cell<usize> = const { Cell::new(0) };
}

/// Runs the work on a thread with the large stack, and waits for it. On a thread that has the large stack, runs it
/// directly.
///
/// A panic of the work propagates to the caller. If the system cannot create a thread, the caller runs the work.
pub fn with_deep_stack<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    if IS_DEEP.get() {
        return work();
    }
    let mut waiting = Some(work);
    let done = thread::scope(|scope| {
        let run = || {
            IS_DEEP.set(true);
            waiting.take().map(|work| work())
        };
        let spawned = thread::Builder::new().name("deep".to_owned()).stack_size(STACK_BYTES).spawn_scoped(scope, run);
        spawned.ok().and_then(|thread| thread.join().unwrap_or_else(|panic| resume_unwind(panic)))
    });
    match (done, waiting) {
        (Some(done), _) => done,
        (None, Some(work)) => work(),
        (None, None) => unreachable!("the work was taken, so the thread has returned its result or panicked"),
    }
}

/// Like [`with_deep_stack`], for work that runs library code on a merchant's text: a panic becomes an error with the
/// name of the work.
pub fn catch_panic<T: Send>(name: &str, work: impl FnOnce() -> T + Send) -> Result<T, String> {
    with_deep_stack(|| {
        CATCHING.set(CATCHING.get() + 1);
        let done = catch_unwind(AssertUnwindSafe(work));
        CATCHING.set(CATCHING.get() - 1);
        done.map_err(|panic| {
            format!("{name} panicked; this is a fault of the template engine or of this program: {}", literal(&*panic))
        })
    })
}

/// Whether a panic on this thread becomes an error of [`catch_panic`].
pub fn is_caught() -> bool {
    CATCHING.get() > 0
}

/// The message of a panic if it is a literal in the source. Any other message may contain a customer's data.
pub fn literal(panic: &(dyn Any + Send)) -> &'static str {
    panic.downcast_ref::<&'static str>().copied().unwrap_or("(not shown: it may contain data)")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Uses at least one kilobyte of stack per call.
    fn dive(depth: usize) -> u64 {
        let room = std::hint::black_box([depth as u8; 1024]);
        if depth == 0 { u64::from(room[0]) } else { dive(depth - 1) + u64::from(room[512] & 1) }
    }

    #[test]
    fn work_that_needs_megabytes_of_stack_runs_and_can_be_nested() {
        let small = thread::Builder::new()
            .stack_size(128 << 10)
            .spawn(|| with_deep_stack(|| with_deep_stack(|| dive(20_000))))
            .expect("spawned");
        assert_eq!(small.join().expect("no overflow"), 10_000);
        assert!(!IS_DEEP.get());
    }

    #[test]
    fn a_panic_reaches_the_caller() {
        let caught = std::panic::catch_unwind(|| with_deep_stack(|| -> u8 { panic!("as said") }));
        assert_eq!(caught.expect_err("panicked").downcast_ref::<&str>(), Some(&"as said"));
    }

    #[test]
    fn a_caught_panic_is_an_error_that_names_the_work_and_shows_no_data() {
        assert_eq!(catch_panic("adding", || 1 + 1), Ok(2));
        let said = catch_panic("reading", || -> u8 { panic!("as said") }).expect_err("panicked");
        assert!(said.starts_with("reading panicked") && said.ends_with(": as said"), "{said}");
        let customer = String::from("C-77");
        let said = catch_panic("reading", || -> u8 { panic!("{customer}") }).expect_err("panicked");
        assert!(said.ends_with("(not shown: it may contain data)"), "{said}");
        assert!(!is_caught());
    }
}
