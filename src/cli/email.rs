//! The `email test` command: sends one real mail through the configured transport.

use std::path::Path;

use clap::{Args, Subcommand};
use serde_json::json;

use super::{Exit, Failure, Output, settings};
use crate::{
    actions::email::{Class, Envelope, Party},
    clock::Clock,
    config::Config,
    ways,
};

#[derive(Debug, Subcommand)]
pub enum Email {
    /// Send a test mail, and print the relay's reply.
    Test(Test),
}

#[derive(Debug, Args)]
pub struct Test {
    /// The recipient, as an address or as `Name <address>`.
    address: String,
}

impl Email {
    pub fn run(self, given: Option<&Path>, output: &mut Output) -> Result<(), Failure> {
        let Self::Test(test) = self;
        test.run(given, output)
    }
}

impl Test {
    fn run(self, given: Option<&Path>, output: &mut Output) -> Result<(), Failure> {
        let to = Party::parse(&self.address)
            .map_err(|why| Failure::new(Exit::Usage, format_args!("{}: {why}", self.address)))?;
        let config = settings::load(given)?;
        let post = config.email.as_ref().map(|email| ways::post(email, &[])).transpose();
        let post = post.map_err(|error| Failure::new(Exit::Config, error))?.flatten();
        let post = post.ok_or_else(|| Failure::new(Exit::Config, "the configuration has no email.transport"))?;
        let envelope = mail(&config, post.from, to, post.reply_to)?;
        let sent = settings::block_on(async { Ok(post.mailer.send(&envelope).await) })?;
        match sent {
            Ok(sent) => {
                let shape = json!({"sent": true, "said": sent.answer, "message_id": envelope.message_id});
                output.either(&shape, format_args!("sent, as {}: {}", envelope.message_id, sent.answer));
                Ok(())
            }
            Err(error) => {
                let lasts = if error.class == Class::Permanent { "" } else { " (a later attempt may succeed)" };
                Err(Failure::new(Exit::Unavailable, format_args!("not sent: {error}{lasts}")))
            }
        }
    }
}

fn mail(config: &Config, from: Party, to: Party, reply_to: Option<Party>) -> Result<Envelope, Failure> {
    let mut random = [0; 12];
    getrandom::fill(&mut random).map_err(Failure::io("generating a message id"))?;
    let id: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
    let domain = from.email.rsplit('@').next().unwrap_or("localhost").to_owned();
    let name = match config.brand.name.as_str() {
        "" => "kyc-rules",
        name => name,
    };
    let text =
        "This is a test mail of kyc-rules. It arrived, so the mail transport works. You do not have to do anything.";
    Ok(Envelope {
        from,
        to,
        reply_to,
        subject: format!("A test mail of {name}"),
        text: format!("{text}\n"),
        html: format!("<p>{text}</p>\n"),
        message_id: format!("<test-{id}@{domain}>"),
        date: Clock::default().now(),
    })
}
