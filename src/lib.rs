pub mod clock;
pub mod decide;
pub mod kyc;
pub mod outbox;
pub mod rules;
pub mod source;
pub mod store;
pub mod template;
