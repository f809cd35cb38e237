//! Decides what a relay's reply is about: one mail, one recipient, or every mail.
//!
//! Many relays that accept nothing from a client reject it only at `RCPT TO` (Postfix with `smtpd_delay_reject`, its
//! default). If such a reply counted as a reply about the recipient, every mail would become a problem. Pure: a code,
//! a text and a step in, a scope out.
//!
//! What is *not* here: replies without a known code or phrase. `streak.rs` counts those.

use std::fmt;

use super::{
    conversation::SmtpReply,
    phrases::{by_text, is_about_content, names_unknown_recipient},
    steps::SmtpStep,
};

/// What a failed attempt is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureScope {
    /// This mail, or a reply that does not show what it is about.
    Message,
    /// The recipient: the address does not exist or accepts no mail.
    Recipient,
    /// Every mail through this relay.
    Relay(RelayCause),
}

/// The reason a relay accepts no mail at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RelayCause {
    /// No connection, no TLS, no greeting, or no reply.
    Unreachable,
    /// A temporary failure for every client: 421, or no storage.
    Unavailable,
    /// The relay rejects the name in EHLO.
    Hello,
    /// The relay rejects the user or the password, or has suspended the account.
    Login,
    /// The relay requires a login or TLS, and got none.
    LoginMissing,
    /// The relay rejects this machine, or does not relay for it.
    Client,
    /// The relay rejects the sender's address or domain.
    Sender,
    /// A limit of the account or of the client is reached.
    Limit,
    /// The relay has refused several different recipients in a row with the same text.
    Everyone,
}

impl RelayCause {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unreachable => "unreachable",
            Self::Unavailable => "unavailable",
            Self::Hello => "hello",
            Self::Login => "login",
            Self::LoginMissing => "login_missing",
            Self::Client => "client",
            Self::Sender => "sender",
            Self::Limit => "limit",
            Self::Everyone => "everyone",
        }
    }

    /// The meaning of the cause and what the operator can do, without text of the relay.
    pub const fn advice(self) -> &'static str {
        match self {
            Self::Unreachable => "the relay is unreachable, or its replies cannot be used",
            Self::Unavailable => "the relay accepts no mail at present",
            Self::Hello => "the relay rejects the name in EHLO: set `email.hello` to this machine's full name",
            Self::Login => "the relay rejects the login in `email.transport`, or has closed the account",
            Self::LoginMissing => "the relay requires a login or TLS: `email.transport` needs a user and a password",
            Self::Client => "the relay rejects this machine: it must allow the machine's address, or requires a login",
            Self::Sender => "the relay rejects the sender's address in `email.from`",
            Self::Limit => "a limit of the relay is reached: wait, or have the limit raised",
            Self::Everyone => {
                "the relay rejects all recipients with the same reply; `last_error` of the jobs has its text"
            }
        }
    }
}

/// A reply code: `550`, or `550 5.1.1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplyCode {
    pub basic: u16,
    /// RFC 3463: class, subject, detail.
    pub enhanced: Option<(u16, u16, u16)>,
}

impl fmt::Display for ReplyCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.basic)?;
        match self.enhanced {
            Some((class, subject, detail)) => write!(f, " {class}.{subject}.{detail}"),
            None => Ok(()),
        }
    }
}

impl ReplyCode {
    pub(super) fn of(reply: &SmtpReply) -> Self {
        let mut words = reply.text.split_whitespace();
        let first = words.next().and_then(enhanced);
        // qmail and its derivatives end the text with `(#5.7.1)`.
        let in_text = || words.find_map(|word| enhanced(word.strip_prefix("(#")?.trim_end_matches(['.', ')'])));
        Self { basic: reply.code, enhanced: first.or_else(in_text) }
    }

    pub(super) fn detail(self) -> (u16, u16) {
        self.enhanced.map_or((0, 0), |(_, subject, detail)| (subject, detail))
    }
}

/// Parses `5.7.1`: three parts with up to three digits each.
pub(super) fn enhanced(word: &str) -> Option<(u16, u16, u16)> {
    let mut parts = word.split('.').map(|part| match part.len() {
        1..=3 if part.bytes().all(|byte| byte.is_ascii_digit()) => part.parse().ok(),
        _ => None,
    });
    let code = (parts.next()??, parts.next()??, parts.next()??);
    (parts.next().is_none() && matches!(code.0, 2 | 4 | 5)).then_some(code)
}

/// What a refusal at this step is about.
pub(super) fn scope_of(step: SmtpStep, reply: &SmtpReply) -> FailureScope {
    let is_temporary = reply.code < 500;
    match step {
        SmtpStep::Connect | SmtpStep::Tls | SmtpStep::Greeting => {
            FailureScope::Relay(if is_temporary { RelayCause::Unavailable } else { RelayCause::Client })
        }
        SmtpStep::Hello | SmtpStep::StartTls | SmtpStep::Upgrade => {
            FailureScope::Relay(if is_temporary { RelayCause::Unavailable } else { RelayCause::Hello })
        }
        SmtpStep::LogIn => FailureScope::Relay(RelayCause::Login),
        SmtpStep::Sender | SmtpStep::Recipient | SmtpStep::Announce | SmtpStep::Content => in_a_mail(step, reply),
    }
}

fn in_a_mail(step: SmtpStep, reply: &SmtpReply) -> FailureScope {
    let (code, text) = (ReplyCode::of(reply), reply.text.to_ascii_lowercase());
    if !(400..600).contains(&code.basic) {
        return FailureScope::Message;
    }
    // The sender is the same in every mail.
    if step == SmtpStep::Sender {
        return FailureScope::Relay(by_code(code).or_else(|| by_text(code, &text)).unwrap_or(RelayCause::Sender));
    }
    if is_about_recipient(code) {
        return FailureScope::Recipient;
    }
    if text.contains("recipient address rejected") {
        return FailureScope::Message;
    }
    if let Some(cause) = by_code(code) {
        return FailureScope::Relay(cause);
    }
    if is_about_content(code, &text) {
        return FailureScope::Message;
    }
    match by_text(code, &text) {
        Some(cause) => FailureScope::Relay(cause),
        None if code.detail() == (0, 0) && names_unknown_recipient(&text) => FailureScope::Recipient,
        None => FailureScope::Message,
    }
}

/// Whether the code says that an address is wrong, accepts no mail, or accepts none from this sender (Microsoft's
/// groups and mailboxes with a list of senders).
const fn is_about_recipient(code: ReplyCode) -> bool {
    matches!(code.enhanced, Some((_, 1, 1 | 2 | 3 | 6 | 10) | (_, 2, 1) | (_, 7, 124 | 129 | 133..=136)))
}

fn by_code(code: ReplyCode) -> Option<RelayCause> {
    Some(match (code.basic, code.detail()) {
        (421, _) | (_, (3, 1 | 2)) => RelayCause::Unavailable,
        (504, _) => RelayCause::Hello,
        (523 | 530 | 538, _) | (_, (7, 10 | 11 | 57)) => RelayCause::LoginMissing,
        (534 | 535, _) | (_, (7, 8 | 9 | 13 | 139)) => RelayCause::Login,
        // Google; Microsoft's limits of an account.
        (_, (4, 5) | (1, 90) | (7, 705)) => RelayCause::Limit,
        (_, (1, 7 | 8) | (7, 20..=24 | 26 | 27 | 60)) => RelayCause::Sender,
        // The address has no host name, or is on a block list of Microsoft.
        (_, (7, 25 | 501..=503 | 511 | 606..=649 | 708 | 750)) => RelayCause::Client,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope(step: SmtpStep, said: &str) -> FailureScope {
        let (code, text) = said.split_at(3);
        scope_of(step, &SmtpReply { code: code.parse().expect("a code"), text: text.trim().to_owned() })
    }

    #[test]
    fn a_reply_to_every_client_is_distinguished_from_one_about_a_mail() {
        use RelayCause::{Client, Hello, Limit, Login, LoginMissing, Sender, Unavailable};
        for (step, said, cause) in [
            (SmtpStep::Greeting, "554 5.7.1 no SMTP service here", Client),
            (SmtpStep::Greeting, "421 4.7.0 host Error: too many connections from 192.0.2.1", Unavailable),
            (SmtpStep::Hello, "550 5.7.1 who are you", Hello),
            (SmtpStep::LogIn, "535 5.7.8 no", Login),
            (SmtpStep::Sender, "550 5.7.1 no", Sender),
            (SmtpStep::Sender, "450 4.7.1 Error: too much mail from 192.0.2.1", Limit),
            (SmtpStep::Sender, "530 5.7.0 Must issue a STARTTLS command first", LoginMissing),
            (SmtpStep::Recipient, "554 5.7.1 <unknown[192.0.2.1]>: Client host rejected: Access denied", Client),
            (SmtpStep::Recipient, "450 4.7.25 Client host rejected: cannot find your hostname, [192.0.2.1]", Client),
            (
                SmtpStep::Recipient,
                "554 5.7.1 Service unavailable; Client host [192.0.2.1] blocked using zen.example",
                Client,
            ),
            (SmtpStep::Recipient, "554 5.7.1 <ada@customer.example>: Relay access denied", Client),
            (SmtpStep::Recipient, "550 5.7.1 <ada@customer.example>... Relaying denied", Client),
            (SmtpStep::Recipient, "504 5.5.2 <vm>: Helo command rejected: need fully-qualified hostname", Hello),
            (SmtpStep::Recipient, "450 4.7.1 <vm>: Helo command rejected: Host not found", Hello),
            (SmtpStep::Recipient, "530 5.7.0 Authentication required", LoginMissing),
            (SmtpStep::Recipient, "553 5.7.1 <kyc@shop.example>: Sender address rejected: not logged in", Sender),
            (SmtpStep::Recipient, "450 4.1.8 <kyc@shop.example>: domain not found", Sender),
            (SmtpStep::Recipient, "450 4.7.1 Error: too many recipients from 192.0.2.1", Limit),
            (SmtpStep::Recipient, "550 5.4.5 Daily user sending limit exceeded. For more information", Limit),
            (SmtpStep::Content, "554 5.7.0 Your sending quota for today is exceeded", Limit),
            (SmtpStep::Content, "454 Throttling failure: Daily message quota exceeded.", Limit),
            (SmtpStep::Announce, "451 4.3.1 Insufficient system storage", Unavailable),
            (SmtpStep::Recipient, "421 4.7.0 host Error: too many errors", Unavailable),
            (
                SmtpStep::Content,
                "550 Domain shop.example has exceeded the max emails per hour (150/150 (100%)) allowed. Message discarded.",
                Limit,
            ),
            (SmtpStep::Recipient, "550 SMTP AUTH is required for message submission on port 587", LoginMissing),
            (SmtpStep::Recipient, "553 sorry, that domain isn't in my list of allowed rcpthosts (#5.7.1)", Client),
            (SmtpStep::Recipient, "554 5.7.1 Access denied - IP 192.0.2.1 is blacklisted", Client),
            (
                SmtpStep::Sender,
                "550 5.7.1 Unfortunately, messages from [192.0.2.1] weren't sent. Please contact your Internet service \
                 provider since part of their network is on our block list (S3150).",
                Client,
            ),
            (SmtpStep::Content, "554 5.7.1 Connection from 2001:db8::1 refused: listed in a DNSBL", Client),
            (SmtpStep::Content, "554 Message rejected: Sending paused for this account", Limit),
            (SmtpStep::Sender, "550 5.7.10 Encryption needed", LoginMissing),
            (SmtpStep::Sender, "550 5.7.0 Your account is suspended", Login),
            (SmtpStep::Recipient, "550 5.7.0 Your account has been disabled", Login),
            (SmtpStep::Recipient, "550 unknown user, and relaying denied", Client),
            (SmtpStep::Content, "550 5.7.26 unauthenticated mail from shop.example is not accepted", Sender),
        ] {
            assert_eq!(scope(step, said), FailureScope::Relay(cause), "{step:?} {said}");
        }
        for said in [
            "550 5.1.1 <ada@customer.example>: Recipient address rejected: User unknown in local recipient table",
            "550 5.1.10 RESOLVER.ADR.RecipientNotFound",
            "450 4.2.1 the user is receiving mail too quickly",
            "550 5.2.1 The email account that you tried to reach is disabled",
            "550 No such user here",
            "550 unknown user",
            "550 User unknown",
            "550 Requested action not taken: mailbox unavailable",
            "550 Unrouteable address",
            "550 The account ada does not exist",
            "553 recipient rejected",
            "550 5.0.0 no such user",
            "550 sorry, no mailbox here by that name (#5.1.1)",
            "550 5.7.133 RESOLVER.RST.SenderNotAuthenticatedForGroup; authentication required",
        ] {
            assert_eq!(scope(SmtpStep::Recipient, said), FailureScope::Recipient, "{said}");
        }
        for (step, said) in [
            (SmtpStep::Recipient, "554 5.7.1 <ada@customer.example>: Recipient address rejected: Access denied"),
            (SmtpStep::Recipient, "504 5.5.2 <ada>: Recipient address rejected: need fully-qualified address"),
            (SmtpStep::Recipient, "552 5.2.2 mailbox quota exceeded"),
            (SmtpStep::Recipient, "452 4.2.2 The recipient's inbox is out of storage space and over quota"),
            (SmtpStep::Recipient, "450 4.2.0 greylisted"),
            (SmtpStep::Recipient, "451 4.3.0 come back later"),
            (SmtpStep::Content, "552 5.3.4 Message size exceeds fixed limit"),
            (SmtpStep::Content, "550 5.7.1 spam"),
            (SmtpStep::Content, "554 5.6.0 Message contains too many URLs, limit exceeded"),
            (SmtpStep::Content, "554 too many links in the message, limit exceeded"),
            (SmtpStep::Content, "554 5.7.1 The message contains a URL of 192.0.2.1, which is on a block list"),
            (SmtpStep::Content, "354 go on"),
        ] {
            assert_eq!(scope(step, said), FailureScope::Message, "{said}");
        }
    }

    #[test]
    fn an_enhanced_code_has_three_short_numbers() {
        for (word, code) in [
            ("5.7.1", Some((5, 7, 1))),
            ("4.7.650", Some((4, 7, 650))),
            ("5.7", None),
            ("5.7.1.2", None),
            ("192.0.2", None),
            ("5.7.1234", None),
            ("5.x.1", None),
            ("", None),
        ] {
            assert_eq!(enhanced(word), code, "{word}");
        }
        let reply = SmtpReply { code: 554, text: "5.7.1 no".to_owned() };
        assert_eq!(ReplyCode::of(&reply).to_string(), "554 5.7.1");
    }
}
