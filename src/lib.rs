pub mod actions;
pub mod clock;
pub mod kyc;
pub mod shipped;
pub mod source;
pub mod template;
