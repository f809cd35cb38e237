//! Why a mail was not taken, in words for a person, and whether another attempt may help.

use std::{fmt, io, time::Duration};

use super::{
    Envelope, Security,
    conversation::{Broken, Reply},
    steps::{Step, Steps},
};
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
    /// The same without a word of the server's: it may repeat subjects, names, addresses, and the log is read by others.
    pub log: String,
    /// It failed before any mail came into it: the same happens to all.
    pub is_of_relay: bool,
    /// Nobody knows whether the mail has arrived.
    pub is_in_doubt: bool,
    /// The server has answered, and the conversation may go on.
    pub(super) is_answer: bool,
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for SendError {}

/// What nobody knows when the answer to a whole mail is missing.
const IN_DOUBT: &str = "it may have arrived";

/// Where TLS is expected at once, nobody says the first word in the open.
const EXPECTS_TLS: &str = "smtps:// instead of smtp://, perhaps: port 465 usually wants it";

impl SendError {
    pub(super) fn new(class: Class, text: impl Into<String>) -> Self {
        let text = text.into();
        Self { class, log: text.clone(), text, is_of_relay: false, is_in_doubt: false, is_answer: false }
    }

    pub(super) fn retry(text: impl Into<String>) -> Self {
        Self::new(Class::Retry, text)
    }

    /// Nothing was said, or nothing that is an answer.
    fn unanswered(steps: &Steps, step: Step, what: &str) -> Self {
        let hint = match (step, steps.security) {
            (Step::Greeting, Security::StartTls) => format!(" ({EXPECTS_TLS})"),
            _ => String::new(),
        };
        let is_in_doubt = step == Step::Content;
        let doubt = if is_in_doubt { format!("; {IN_DOUBT}") } else { String::new() };
        let text = one_line(&format!("{}: {what}{hint}{doubt}", steps.server), MAX_CHARS);
        Self { is_of_relay: step.is_before_mails(), is_in_doubt, ..Self::retry(text) }
    }

    pub(super) fn timed_out(steps: &Steps, step: Step, after: Duration) -> Self {
        let what = match step {
            Step::Connect => format!("no connection within {after:?}"),
            Step::Tls => {
                format!("connected, but no TLS within {after:?} (smtp:// instead of smtps://, perhaps)")
            }
            Step::Greeting => format!("connected, but no greeting came within {after:?}"),
            Step::Upgrade => format!("the server has agreed to STARTTLS, but there was no TLS within {after:?}"),
            step => format!("no answer {} within {after:?}", step.to_what()),
        };
        Self::unanswered(steps, step, &what)
    }

    pub(super) fn broken(steps: &Steps, step: Step, broken: &Broken) -> Self {
        let what = match broken {
            Broken::Io(error) if step == Step::Connect && error.kind() == io::ErrorKind::TimedOut => {
                return Self::timed_out(steps, step, steps.patience);
            }
            Broken::Io(error) => cause(step, error),
            Broken::NoSmtp => format!("what came as an answer {} was no SMTP", step.to_what()),
            Broken::Unasked if step == Step::Upgrade => {
                "more came with the go-ahead to STARTTLS than that: somebody on the way may be writing into the connection"
                    .to_owned()
            }
            // It is looked for before anything more is said, so that no mail can have arrived.
            Broken::Unasked if step == Step::Content => return Self::broken(steps, Step::Announce, broken),
            Broken::Unasked => "more came than was asked for".to_owned(),
        };
        Self::unanswered(steps, step, &what)
    }

    pub(super) fn lacking(steps: &Steps, what: &str) -> Self {
        Self { is_of_relay: true, ..Self::retry(format!("{}: {what}", steps.server)) }
    }

    /// An answer that is not the one the step goes on with.
    pub(super) fn said(steps: &Steps, step: Step, reply: &Reply) -> Self {
        let code = reply.code;
        let log = format!("{} said {}: {code}", steps.server, step.to_what());
        let text = one_line(&format!("{log} {}", steps.told(reply)), MAX_CHARS);
        let is_of_relay = step.is_before_mails();
        if !(400..600).contains(&code) {
            let is_in_doubt = step == Step::Content;
            let doubt = if is_in_doubt { format!("; {IN_DOUBT}") } else { String::new() };
            let odd = |said: &str| format!("{said}, which makes no sense there{doubt}");
            return Self { log: odd(&log), is_of_relay, is_in_doubt, ..Self::retry(odd(&text)) };
        }
        let class = if code >= 500 { Class::Permanent } else { Class::Retry };
        // 421: it hangs up.
        Self { log, is_of_relay, is_answer: code != 421, ..Self::new(class, text) }
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
fn cause(step: Step, error: &io::Error) -> String {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        Some(rustls::Error::InvalidMessage(_)) if step == Step::Upgrade => {
            return "the server has agreed to STARTTLS, but what came then was no TLS".to_owned();
        }
        Some(rustls::Error::InvalidMessage(_)) if step == Step::Tls => {
            return "the server does not speak TLS here (smtp:// instead of smtps://, perhaps)".to_owned();
        }
        Some(tls) => return tls::why(tls),
        None => {}
    }
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "nothing answers on this port".to_owned(),
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe | io::ErrorKind::UnexpectedEof => {
            "the connection was closed midway".to_owned()
        }
        _ => error.to_string(),
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
