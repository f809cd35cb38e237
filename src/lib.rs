pub mod clock;
pub mod kyc;
pub mod rules;
pub mod source;
