//! Why a mail was not taken, in words for a person, and whether another attempt may help.

use std::{error::Error as _, fmt, io, time::Duration};

use lettre::transport::smtp;

use super::Envelope;
use crate::{actions::one_line, outbound::tls};

const MAX_CHARS: usize = 400;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// May go well later: 4xx, no connection, no answer, TLS.
    Retry,
    /// Will not go well by itself: 5xx, or a mail that can't be.
    Permanent,
}

/// A failed attempt. The text names the host and what it said, and has no addresses in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SendError {
    pub class: Class,
    pub text: String,
    /// The server has answered, and the conversation may go on.
    pub(super) is_answer: bool,
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for SendError {}

/// What was being done when it failed, as it ends "… while …".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Connect,
    Tls,
    LogIn,
    Sender,
    Recipient,
    Announce,
    Content,
}

impl Step {
    fn to_what(self) -> &'static str {
        match self {
            Self::Connect => "to the connection",
            Self::Tls => "to STARTTLS",
            Self::LogIn => "to the login",
            Self::Sender => "to the sender",
            Self::Recipient => "to the recipient",
            Self::Announce | Self::Content => "to the mail",
        }
    }
}

/// What nobody knows when the answer to a whole mail is missing.
const IN_DOUBT: &str = "it may have arrived, and goes again under the same Message-ID";

impl SendError {
    pub(super) fn new(class: Class, text: impl Into<String>) -> Self {
        Self { class, text: text.into(), is_answer: false }
    }

    pub(super) fn retry(text: impl Into<String>) -> Self {
        Self::new(Class::Retry, text)
    }

    pub(super) fn timed_out(server: &str, step: Step, after: Duration) -> Self {
        let what = match step {
            Step::Connect => "no connection".to_owned(),
            step => format!("no answer {}", step.to_what()),
        };
        let text = format!("{server}: {what} within {after:?}");
        Self::retry(if step == Step::Content { format!("{text}; {IN_DOUBT}") } else { text })
    }

    pub(super) fn from_smtp(server: &str, step: Step, error: &smtp::Error) -> Self {
        if let Some(code) = error.status() {
            let class = if error.is_permanent() { Class::Permanent } else { Class::Retry };
            let said = error.source().map(|said| said.to_string()).unwrap_or_default();
            let text = format!("{server} said {}: {code} {said}", step.to_what());
            // 421: it hangs up.
            let is_answer = u16::from(code) != 421;
            return Self { class, text: one_line(&text, MAX_CHARS), is_answer };
        }
        let text = match cause(error) {
            Some(cause) => cause,
            None if step == Step::LogIn && error.is_client() => {
                "the server offers no way to log in that is known here (PLAIN, LOGIN); it may want TLS".into()
            }
            None if step == Step::Tls && error.is_client() => {
                "the server offers no STARTTLS, and nothing is sent without TLS (smtps:// or another port, perhaps)"
                    .into()
            }
            None if error.is_response() => "the connection was closed, or the answer was no SMTP".into(),
            None => error.to_string(),
        };
        let text = one_line(&format!("{server}: {text}"), MAX_CHARS);
        Self::retry(if step == Step::Content { format!("{text}; {IN_DOUBT}") } else { text })
    }

    /// The same without the addresses that servers like to repeat.
    pub(super) fn without(mut self, envelope: &Envelope) -> Self {
        for (address, instead) in [(&envelope.to.email, "the recipient"), (&envelope.from.email, "the sender")] {
            let lower = self.text.to_ascii_lowercase();
            let address = address.to_ascii_lowercase();
            if !address.is_empty() && lower.contains(&address) {
                let mut text = String::new();
                let mut at = 0;
                for (found, _) in lower.match_indices(&address) {
                    text.push_str(&self.text[at..found]);
                    text.push_str(instead);
                    at = found + address.len();
                }
                text.push_str(&self.text[at..]);
                self.text = text;
            }
        }
        let words = self.text.split(' ');
        self.text =
            words.map(|word| if word.contains('@') { "(an address)" } else { word }).collect::<Vec<_>>().join(" ");
        self
    }
}

/// What lies at the bottom, where it can be said better than the libraries say it.
fn cause(error: &smtp::Error) -> Option<String> {
    let mut next = error.source();
    while let Some(error) = next {
        if let Some(io) = error.downcast_ref::<io::Error>() {
            if let Some(tls) = io.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
                return Some(tls_cause(tls));
            }
            return Some(match io.kind() {
                io::ErrorKind::ConnectionRefused => "nothing answers on this port".into(),
                io::ErrorKind::TimedOut => "no connection in time".into(),
                io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe | io::ErrorKind::UnexpectedEof => {
                    "the connection was closed midway".into()
                }
                _ => io.to_string(),
            });
        }
        if let Some(tls) = error.downcast_ref::<rustls::Error>() {
            return Some(tls_cause(tls));
        }
        next = error.source();
    }
    None
}

fn tls_cause(error: &rustls::Error) -> String {
    match error {
        rustls::Error::InvalidMessage(_) => {
            "the server does not speak TLS here (smtp:// instead of smtps://, perhaps)".into()
        }
        other => tls::why(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_a_server_repeats_are_taken_out() {
        let envelope = crate::actions::email::message::tests::envelope();
        let said = "x said to the recipient: 550 <ADA@example.com>: unknown (for KYC@shop.example, bcc z@y.example)";
        let error = SendError::retry(said).without(&envelope);
        assert_eq!(
            error.text,
            "x said to the recipient: 550 <the recipient>: unknown (for the sender, bcc (an address)"
        );
    }

    #[test]
    fn an_endless_answer_is_cut() {
        assert_eq!(one_line("a\r\n  b\u{7}c", MAX_CHARS), "a b c");
        assert_eq!(one_line(&"ä".repeat(1000), MAX_CHARS).chars().count(), MAX_CHARS + 1);
    }
}
