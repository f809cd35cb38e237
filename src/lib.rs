pub mod clock;
pub mod kyc;
pub mod source;
