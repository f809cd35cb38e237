//! The `email test` command: sends one real mail through the configured transport.

use std::path::Path;

use clap::{Args, Subcommand};
use serde_json::json;

use super::{CommandError, Exit, Output, settings};
use crate::{
    channels::email::{FailureClass, MailAddress, OutgoingMail},
    clock::Clock,
    config::Config,
};

#[derive(Debug, Subcommand)]
pub enum EmailCommand {
    /// Send a test mail, and print the relay's reply.
    Test(EmailTestArgs),
}

#[derive(Debug, Args)]
pub struct EmailTestArgs {
    /// The recipient, as an address or as `Name <address>`.
    address: String,
}

impl EmailCommand {
    pub fn run(self, given: Option<&Path>, output: &mut Output) -> Result<(), CommandError> {
        let Self::Test(test) = self;
        test.run(given, output)
    }
}

impl EmailTestArgs {
    fn run(self, given: Option<&Path>, output: &mut Output) -> Result<(), CommandError> {
        let to = MailAddress::parse(&self.address)
            .map_err(|why| CommandError::new(Exit::Usage, format_args!("{}: {why}", self.address)))?;
        let config = settings::load(given)?;
        let post = config.email.as_ref().map(|email| email.mail_sender(&[])).transpose();
        let post = post.map_err(|error| CommandError::new(Exit::Config, error))?.flatten();
        let post = post.ok_or_else(|| CommandError::new(Exit::Config, "the configuration has no email.transport"))?;
        let envelope = mail(&config, post.from, to, post.reply_to)?;
        let sent = settings::block_on(async { Ok(post.mailer.send(&envelope).await) })?;
        match sent {
            Ok(sent) => {
                let shape = json!({"sent": true, "said": sent.answer, "message_id": envelope.message_id});
                output.json_or_text(&shape, format_args!("sent, as {}: {}", envelope.message_id, sent.answer));
                Ok(())
            }
            Err(error) => {
                let lasts = if error.class == FailureClass::Permanent { "" } else { " (a later attempt may succeed)" };
                Err(CommandError::new(Exit::Unavailable, format_args!("not sent: {error}{lasts}")))
            }
        }
    }
}

fn mail(
    config: &Config,
    from: MailAddress,
    to: MailAddress,
    reply_to: Option<MailAddress>,
) -> Result<OutgoingMail, CommandError> {
    let mut random = [0; 12];
    getrandom::fill(&mut random).map_err(CommandError::io("generating a message id"))?;
    let id: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
    let domain = from.email.rsplit('@').next().unwrap_or("localhost").to_owned();
    let name = match config.brand.name.as_str() {
        "" => "kyc-rules",
        name => name,
    };
    let text =
        "This is a test mail of kyc-rules. It arrived, so the mail transport works. You do not have to do anything.";
    Ok(OutgoingMail {
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
