//! The running service of a demo, as its narrator and its simulated provider use it.

use std::path::PathBuf;

use crate::{cli::client::AdminClient, clock::Clock, providers::xgateway::Secret};

/// The running service, with what the demo needs to use it.
pub struct DemoService {
    pub dir: PathBuf,
    pub callbacks: String,
    pub secret: Secret,
    pub secret_text: String,
    pub clock: Clock,
    pub client: AdminClient,
}
