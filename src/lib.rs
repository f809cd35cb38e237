pub mod clock;
pub mod http;
pub mod kyc;
pub mod source;
