//! Acts as the provider: sends one signed callback to a running server, using only the library.
//!
//! ```sh
//! KYC_RULES_SECRET=sepa-secure-demo-key cargo run --example provider -- http://127.0.0.1:8080/callbacks/kyc C-77 SOFT_KYC_FAILED
//! ```
#![allow(clippy::print_stdout, reason = "an example prints its result")]

use std::{env, error::Error};

use kyc_rules::providers::xgateway::{Secret, hash_of};
use serde_json::json;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let (Some(url), Some(customer), Some(status)) = (arguments.next(), arguments.next(), arguments.next()) else {
        return Err("usage: provider URL CUSTOMER STATUS, with the shared key in KYC_RULES_SECRET".into());
    };
    let secret = Secret::new(&env::var("KYC_RULES_SECRET")?);
    let body = json!({
        "callbackType": "kyc",
        "customerId": customer,
        "hash": hash_of(&customer, &secret),
        "docsMissing": ["SELFIE", "PASSPORT"],
        "kycRejectLabel": "BAD_SELFIE, BAD_PASSPORT",
        "kycEndUserErrorMessage": null,
        "status": status,
        "kycProcessingStatus": null,
    });
    // The program uses a single TLS provider, also here.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let answer = reqwest::Client::new().post(url).body(body.to_string()).send().await?;
    println!("{}: {}", answer.status(), answer.text().await?);
    Ok(())
}
