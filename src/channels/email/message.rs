//! Builds a mail with its headers.
//!
//! Every value is checked before it becomes a header: a line break in it is an error and never starts a new header.

use std::{
    fmt,
    time::{Duration, UNIX_EPOCH},
};

use lettre::{
    Address, Message,
    message::{
        Mailbox, MessageBuilder, MultiPart,
        header::{HeaderName, HeaderValue},
    },
};

use super::{FailureClass, SendError, encoded};
use crate::{clock::Timestamp, domain::mail_address};

/// A sender or a recipient.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MailAddress {
    pub name: Option<String>,
    pub email: String,
}

/// The contents of a mail, its sender and its recipient.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutgoingMail {
    pub from: MailAddress,
    pub to: MailAddress,
    pub reply_to: Option<MailAddress>,
    pub subject: String,
    pub text: String,
    pub html: String,
    /// `id@host`, with or without `<>`; the same in every attempt.
    pub message_id: String,
    pub date: Timestamp,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MailAddressError(String);

impl fmt::Display for MailAddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for MailAddressError {}

impl MailAddress {
    pub fn new(name: Option<&str>, email: &str) -> Self {
        Self { name: name.map(str::to_owned), email: email.to_owned() }
    }

    /// Parses `kyc@shop.example` or `Example Shop <kyc@shop.example>`.
    pub fn parse(text: &str) -> Result<Self, MailAddressError> {
        let text = text.trim();
        let mut party = match text.strip_suffix('>').and_then(|rest| rest.rsplit_once('<')) {
            Some((name, email)) => {
                let name = name.trim().trim_matches('"').trim();
                Self::new((!name.is_empty()).then_some(name), email.trim())
            }
            None => Self::new(None, text),
        };
        party.email = mail_address(&party.email).map_err(|error| MailAddressError(error.problem))?;
        party.mailbox().map_err(MailAddressError)?;
        Ok(party)
    }

    pub(super) fn mailbox(&self) -> Result<Mailbox, String> {
        if let Some(name) = &self.name
            && name.chars().any(char::is_control)
        {
            return Err("the name has control characters (a line break, perhaps)".into());
        }
        if self.email.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return Err("the address has spaces or control characters".into());
        }
        let address = self.email.parse::<Address>().map_err(|_| "the address is not a mail address".to_owned())?;
        Ok(Mailbox::new(self.name.clone(), address))
    }
}

/// Returns `<id@host>` if the text has this form.
fn message_id(text: &str) -> Option<String> {
    let id = text.trim_start_matches('<').trim_end_matches('>');
    let (local, host) = id.split_once('@')?;
    let fits = |part: &str| {
        !part.is_empty() && part.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'<' | b'>' | b'@' | b'"'))
    };
    (fits(local) && fits(host)).then(|| format!("<{id}>"))
}

/// Returns the header of a mailbox whose name could be read as an encoded word. lettre puts such a name into quotes,
/// but some mail programs decode words inside quotes.
fn literal_mailbox(header: &'static str, mailbox: &Mailbox) -> Option<HeaderValue> {
    let name = mailbox.name.as_deref().filter(|name| encoded::looks_encoded(name))?;
    let literal = format!("{}\r\n <{}>", encoded::encode(name), mailbox.email);
    let header = HeaderName::new_from_ascii_str(header);
    Some(HeaderValue::dangerous_new_pre_encoded(header, mailbox.to_string(), literal))
}

pub(super) fn build(envelope: &OutgoingMail) -> Result<Message, SendError> {
    let wrong = |what: &str, why: &str| SendError::new(FailureClass::Permanent, format!("{what}: {why}"));
    let party = |what: &str, party: &MailAddress| party.mailbox().map_err(|why| wrong(what, &why));
    let id = message_id(&envelope.message_id).ok_or_else(|| wrong("message id", "is not of the form id@host"))?;
    if envelope.subject.chars().any(char::is_control) {
        return Err(wrong("subject", "has control characters (a line break, perhaps)"));
    }
    let since_1970 = Duration::from_millis(u64::try_from(envelope.date.millis()).unwrap_or(0));
    let mut parties = vec![("From", party("sender", &envelope.from)?), ("To", party("recipient", &envelope.to)?)];
    if let Some(reply_to) = &envelope.reply_to {
        parties.push(("Reply-To", party("reply address", reply_to)?));
    }
    let mut message = Message::builder()
        .subject(&envelope.subject)
        .date(UNIX_EPOCH + since_1970)
        .message_id(Some(id))
        .raw_header(HeaderValue::new(HeaderName::new_from_ascii_str("Auto-Submitted"), "auto-generated".into()));
    for (header, mailbox) in parties {
        let literal = literal_mailbox(header, &mailbox);
        message = match header {
            "From" => message.from(mailbox),
            "To" => message.to(mailbox),
            _ => message.reply_to(mailbox),
        };
        message = literal.into_iter().fold(message, MessageBuilder::raw_header);
    }
    if encoded::looks_encoded(&envelope.subject) {
        let (name, text) = (HeaderName::new_from_ascii_str("Subject"), envelope.subject.clone());
        let literal = encoded::encode(&text);
        message = message.raw_header(HeaderValue::dangerous_new_pre_encoded(name, text, literal));
    }
    let parts = MultiPart::alternative_plain_html(envelope.text.clone(), envelope.html.clone());
    message.multipart(parts).map_err(|error| wrong("mail", &error.to_string()))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub fn envelope() -> OutgoingMail {
        OutgoingMail {
            from: MailAddress::new(Some("Example Shop"), "kyc@shop.example"),
            to: MailAddress::new(Some("Ädä Lövelace, Ph.D."), "ada@example.com"),
            reply_to: Some(MailAddress::new(None, "support@shop.example")),
            subject: "Prüfung: bitte Reisepass hochladen".into(),
            text: "Grüße\n".into(),
            html: "<p>Grüße</p>\n".into(),
            message_id: "3f9c@kyc-rules.example".into(),
            date: Timestamp(1_772_573_400_000),
        }
    }

    #[test]
    fn a_mail_has_both_parts_its_id_and_the_header_of_automatic_mails() {
        let message = String::from_utf8(build(&envelope()).expect("right").formatted()).expect("ASCII");
        assert!(message.is_ascii(), "{message}");
        for line in [
            "Message-ID: <3f9c@kyc-rules.example>\r\n",
            "Auto-Submitted: auto-generated\r\n",
            "Date: Tue, 03 Mar 2026 21:30:00 +0000\r\n",
            "From: \"Example Shop\" <kyc@shop.example>\r\n",
            "Reply-To: support@shop.example\r\n",
            "Subject: =?utf-8?b?",
            "Content-Type: multipart/alternative;",
            "Content-Type: text/plain; charset=utf-8\r\n",
            "Content-Type: text/html; charset=utf-8\r\n",
        ] {
            assert!(message.contains(line), "{line} in {message}");
        }
        assert!(message.find("text/plain") < message.find("text/html"), "the richer part comes last");
    }

    #[test]
    fn a_text_that_looks_encoded_is_shown_literally() {
        let (subject, name) = ("Prüfung =?utf-8?q?You=20won?= today ", "=?utf-8?q?Your_bank?= Ada");
        let to = MailAddress::new(Some(name), "ada@example.com");
        let built = build(&OutgoingMail { subject: subject.into(), to, ..envelope() }).expect("right");
        assert_eq!(built.envelope().to()[0].to_string(), "ada@example.com");
        let message = String::from_utf8(built.formatted()).expect("ASCII").replace("\r\n ", " ");
        let header = |name: &str| {
            let mut lines = message.lines().filter_map(|line| line.strip_prefix(name));
            let value = lines.next().unwrap_or_else(|| panic!("{name} in {message}"));
            assert_eq!(lines.next(), None, "{name} occurs once");
            crate::channels::email::encoded::tests::decoded(value)
        };
        assert_eq!(header("Subject: "), subject);
        assert_eq!(header("To: "), format!("{name} <ada@example.com>"));
    }

    #[test]
    fn a_line_break_is_an_error_and_never_a_header() {
        type Injection = fn(&mut OutgoingMail);
        let cases: [(&str, Injection); 7] = [
            ("recipient: the name", |e| e.to.name = Some("Ada\r\nBcc: eve@evil.example".into())),
            ("recipient: the address", |e| e.to.email = "ada@example.com\r\nBcc: eve@evil.example".into()),
            ("recipient: the address is not", |e| e.to.email = "ada".into()),
            ("sender: the name", |e| e.from.name = Some("Shop\n".into())),
            ("subject:", |e| e.subject = "Hi\r\nBcc: eve@evil.example".into()),
            ("message id:", |e| e.message_id = "a@b>\r\nBcc: <eve@evil.example".into()),
            ("reply address:", |e| e.reply_to = Some(MailAddress::new(None, "a b@c.example"))),
        ];
        for (said, change) in cases {
            let mut envelope = envelope();
            change(&mut envelope);
            let error = build(&envelope).expect_err(said);
            assert!(error.text.starts_with(said), "{said}: {}", error.text);
            assert_eq!(error.class, FailureClass::Permanent);
            assert!(!error.text.contains("evil"), "{}", error.text);
        }
    }

    #[test]
    fn a_sender_is_parsed_in_its_usual_forms() {
        for (text, name, email) in [
            ("kyc@shop.example", None, "kyc@shop.example"),
            ("Example Shop <kyc@shop.example>", Some("Example Shop"), "kyc@shop.example"),
            ("\"Shop, Inc.\" <kyc@shop.example>", Some("Shop, Inc."), "kyc@shop.example"),
            ("<kyc@shop.example>", None, "kyc@shop.example"),
            ("Bücher <kyc@bücher.example>", Some("Bücher"), "kyc@xn--bcher-kva.example"),
        ] {
            assert_eq!(MailAddress::parse(text), Ok(MailAddress::new(name, email)), "{text}");
        }
        for text in
            ["", "shop", "Shop <kyc>", "jörg@shop.example", "Jörg ‹kyc@shop.example>", "Sh\nop <kyc@shop.example>"]
        {
            assert!(MailAddress::parse(text).is_err(), "{text}");
        }
    }
}
