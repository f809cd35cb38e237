//! The reason a mail was not accepted, as a text for the operator, and whether another attempt may help.

use std::{fmt, io, time::Duration};

use super::{
    FailureScope, MailAddress, RelayCause, ReplyCode, TlsMode,
    conversation::{NoReply, SmtpReply},
    scope::scope_of,
    steps::{SmtpStep, SmtpSteps},
    streak::fingerprint,
};
use crate::{channels::one_line, outbound::tls};

const MAX_CHARS: usize = 400;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureClass {
    /// May succeed later: 4xx, no connection, no reply, TLS.
    Retry,
    /// Retries do not help: 5xx, or a mail that cannot be built.
    Permanent,
}

/// A failed attempt. The text names the host and quotes its reply, without mail addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SendError {
    pub class: FailureClass,
    pub text: String,
    /// The same without the text of the server's reply: a reply may repeat subjects, names and addresses, and more
    /// people read the log.
    pub log: String,
    /// Whether it is about this mail or about every mail.
    pub scope: FailureScope,
    /// The code of the relay's refusal.
    pub code: Option<ReplyCode>,
    /// Equal for two mails that were refused for the same reason. Empty without a refusal.
    pub fingerprint: String,
    /// The mail may have arrived.
    pub is_in_doubt: bool,
    pub(super) step: Option<SmtpStep>,
    /// The server has replied, and the conversation may continue.
    pub(super) is_answer: bool,
    /// The connection had ended, or was about to end, before any text of the mail was sent.
    pub(super) is_stale: bool,
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for SendError {}

/// The reply to a complete mail is missing, so that its delivery is unknown.
const IN_DOUBT: &str = "it may have arrived";

const CLOSED: &str = "the connection was closed during the conversation";

/// A server that expects TLS at once sends no greeting, and neither does this client send anything in plain text.
const EXPECTS_TLS: &str = "try smtps:// instead of smtp://: port 465 usually expects it";

impl SendError {
    pub(super) fn new(class: FailureClass, text: impl Into<String>) -> Self {
        let text = text.into();
        Self {
            class,
            log: text.clone(),
            text,
            scope: FailureScope::Message,
            code: None,
            fingerprint: String::new(),
            is_in_doubt: false,
            step: None,
            is_answer: false,
            is_stale: false,
        }
    }

    pub(super) fn retry(text: impl Into<String>) -> Self {
        Self::new(FailureClass::Retry, text)
    }

    /// No reply was received, or none that could be parsed.
    fn unanswered(steps: &SmtpSteps, step: SmtpStep, what: &str) -> Self {
        let hint = match (step, steps.security) {
            (SmtpStep::Greeting, TlsMode::StartTls) => format!(" ({EXPECTS_TLS})"),
            _ => String::new(),
        };
        let is_in_doubt = step == SmtpStep::Content;
        let doubt = if is_in_doubt { format!("; {IN_DOUBT}") } else { String::new() };
        let text = one_line(&format!("{}: {what}{hint}{doubt}", steps.server), MAX_CHARS);
        // All commands up to the sender are the same for every mail.
        let scope = match step {
            SmtpStep::Sender => FailureScope::Relay(RelayCause::Unavailable),
            step if step < SmtpStep::Sender => FailureScope::Relay(RelayCause::Unreachable),
            _ => FailureScope::Message,
        };
        Self { scope, is_in_doubt, step: Some(step), ..Self::retry(text) }
    }

    pub(super) fn timed_out(steps: &SmtpSteps, step: SmtpStep, after: Duration) -> Self {
        let what = match step {
            SmtpStep::Connect => format!("no connection within {after:?}"),
            SmtpStep::Tls => {
                format!("connected, but no TLS within {after:?} (try smtp:// instead of smtps://)")
            }
            SmtpStep::Greeting => format!("connected, but received no greeting within {after:?}"),
            SmtpStep::Upgrade => format!("the server accepted STARTTLS, but there was no TLS within {after:?}"),
            step => format!("no reply {} within {after:?}", step.to_what()),
        };
        Self::unanswered(steps, step, &what)
    }

    pub(super) fn connection_lost(steps: &SmtpSteps, step: SmtpStep, broken: &NoReply) -> Self {
        let what = match broken {
            NoReply::Io(error) if step == SmtpStep::Connect && error.kind() == io::ErrorKind::TimedOut => {
                return Self::timed_out(steps, step, steps.patience);
            }
            NoReply::Io(error) => cause(step, error),
            NoReply::NoSmtp => format!("the reply {} was not SMTP", step.to_what()),
            NoReply::Unasked if step == SmtpStep::Upgrade => {
                "the server sent more than its reply to STARTTLS: a machine on the path may be injecting data"
                    .to_owned()
            }
            // Both are detected before anything more is sent, so that no mail can have arrived.
            NoReply::Unasked | NoReply::HungUp if step == SmtpStep::Content => {
                return Self::connection_lost(steps, SmtpStep::Announce, broken);
            }
            NoReply::Unasked => "the server sent data that was not requested".to_owned(),
            NoReply::HungUp => CLOSED.to_owned(),
        };
        Self { is_stale: step.is_before_content(), ..Self::unanswered(steps, step, &what) }
    }

    pub(super) fn missing_capability(steps: &SmtpSteps, what: &str, cause: RelayCause) -> Self {
        Self { scope: FailureScope::Relay(cause), ..Self::retry(format!("{}: {what}", steps.server)) }
    }

    /// A reply that is not the one with which the step continues.
    pub(super) fn from_reply(steps: &SmtpSteps, step: SmtpStep, reply: &SmtpReply) -> Self {
        let code = reply.code;
        let log = format!("{} replied {}: {code}", steps.server, step.to_what());
        let text = one_line(&format!("{log} {}", steps.describe(reply)), MAX_CHARS);
        let scope = scope_of(step, reply);
        // After such a reply the connection ends, or its replies are out of step.
        let is_stale = step.is_before_content() && (code == 421 || !(400..600).contains(&code));
        if !(400..600).contains(&code) {
            let is_in_doubt = step == SmtpStep::Content;
            let doubt = if is_in_doubt { format!("; {IN_DOUBT}") } else { String::new() };
            let odd = |said: &str| format!("{said}, which is not a valid reply there{doubt}");
            return Self { log: odd(&log), scope, is_in_doubt, is_stale, step: Some(step), ..Self::retry(odd(&text)) };
        }
        let class = if code >= 500 { FailureClass::Permanent } else { FailureClass::Retry };
        let code = Some(ReplyCode::of(reply));
        // After 421 the server closes the connection.
        Self { log, scope, code, is_stale, step: Some(step), is_answer: reply.code != 421, ..Self::new(class, text) }
    }

    /// The attempt failed before the mail, so that a connection without a mail shows whether the outage is over.
    pub fn is_before_mails(&self) -> bool {
        self.step.is_none_or(|step| step < SmtpStep::Sender)
    }

    /// The relay had accepted the sender.
    pub fn is_after_sender(&self) -> bool {
        self.step.is_some_and(|step| step > SmtpStep::Sender)
    }

    /// The relay sent no reply, or no valid one.
    pub fn is_unanswered(&self) -> bool {
        self.step.is_some() && self.code.is_none()
    }

    /// For tests: a failure at the recipient.
    #[cfg(test)]
    pub fn for_test(class: FailureClass, scope: FailureScope, code: Option<ReplyCode>, text: &str) -> Self {
        let fingerprint = text.to_owned();
        Self { scope, code, fingerprint, step: Some(SmtpStep::Recipient), ..Self::new(class, text) }
    }

    /// The text for the log and the pages, with the enhanced code.
    pub(super) fn coded_log(&self) -> String {
        match self.code.and_then(|code| code.enhanced) {
            Some((class, subject, detail)) => format!("{} {class}.{subject}.{detail}", self.log),
            None => self.log.clone(),
        }
    }

    /// Removes mail addresses, which servers often repeat.
    pub(super) fn without(mut self, from: &MailAddress, to: &MailAddress) -> Self {
        for (address, instead) in [(&to.email, "the recipient"), (&from.email, "the sender")] {
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
        if self.code.is_some() {
            self.fingerprint = fingerprint(&self.text, &to.email);
        }
        self
    }
}

/// Describes the innermost error where that is clearer than the libraries' text.
fn cause(step: SmtpStep, error: &io::Error) -> String {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        Some(rustls::Error::InvalidMessage(_)) if step == SmtpStep::Upgrade => {
            return "the server accepted STARTTLS, but what followed was not TLS".to_owned();
        }
        Some(rustls::Error::InvalidMessage(_)) if step == SmtpStep::Tls => {
            return "the server does not use TLS on this port (try smtp:// instead of smtps://)".to_owned();
        }
        Some(tls) => return tls::explain(tls),
        None => {}
    }
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "nothing answers on this port".to_owned(),
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe | io::ErrorKind::UnexpectedEof => CLOSED.to_owned(),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_a_server_repeats_are_removed() {
        let envelope = crate::channels::email::message::tests::envelope();
        let said = "x replied to RCPT TO: 550 <ADA@example.com>: unknown (for KYC@shop.example, bcc z@y.example)";
        let error = SendError::retry(said).without(&envelope.from, &envelope.to);
        assert_eq!(error.text, "x replied to RCPT TO: 550 <the recipient>: unknown (for the sender, bcc (an address)");
    }

    #[test]
    fn an_endless_answer_is_cut() {
        assert_eq!(one_line("a\r\n  b\u{7}c", MAX_CHARS), "a b c");
        assert_eq!(one_line(&"ä".repeat(1000), MAX_CHARS).chars().count(), MAX_CHARS + 1);
    }
}
