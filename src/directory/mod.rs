//! The merchant's own directory, over HTTP: asked for a customer's contact only when a contact is needed.
//!
//! [`ShopApi`] sends one request. [`ContactFetcher`] fetches contacts for waiting mails, callbacks and timers: one request per
//! customer at a time, at a shared rate, and none while the shop is in trouble. The [`WaitingCallbacksWorker`] decides callbacks that
//! wait only for the directory. The `decide` module interprets the answers, and the store keeps them: this module has
//! no state that must persist.

mod contact_fetcher;
mod shop;
mod waiting_callbacks;

pub use contact_fetcher::ContactFetcher;
pub use shop::{ShopAnswer, ShopApi};
pub use waiting_callbacks::WaitingCallbacksWorker;
