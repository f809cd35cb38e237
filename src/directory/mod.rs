//! The merchant's own directory, over HTTP: asked whom to write to when somebody wants to know, and only then.
//!
//! [`Shop`] asks one question. [`Lookups`] brings answers to the mails, callbacks and timers that wait for them: one question a
//! customer at a time, at a pace that all share, and none while the shop is in trouble. The [`Settler`] decides callbacks that wait
//! for the directory alone. What an answer means is `decide`'s, and what has been said is in the store: nothing in here has to last.

mod lookups;
mod settler;
mod shop;

pub use lookups::{Lookups, Told};
pub use settler::Settler;
pub use shop::{Answer, Shop};
