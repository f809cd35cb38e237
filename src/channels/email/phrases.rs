//! Known phrases in the text of a relay's reply, for cases where its code does not show what the reply is about.
//!
//! Pure: lower-case text in, a cause out. Operators write these texts themselves, so that no list of phrases is
//! complete; `streak.rs` and the contradictions in `refusals.rs` handle the rest.

use std::net::IpAddr;

use super::scope::{RelayCause, ReplyCode};

const HELLO: &[&str] = &["helo command rejected", "ehlo command rejected", "invalid helo", "bad helo", "helo/ehlo"];

const LOGIN_MISSING: &[&str] = &[
    "authentication required",
    "authentication is required",
    "authentication needed",
    "auth required",
    "not authenticated",
    "unauthenticated",
    "must authenticate",
    "please authenticate",
    "authenticate first",
    "log in first",
    "login required",
    "starttls command first",
    "must issue a starttls",
    "auth is required",
    "must be authenticated",
    "requires authentication",
    "encryption needed",
    "encryption required",
];

const SENDER: &[&str] = &[
    "sender address rejected",
    "sender rejected",
    "sender denied",
    "sender verify failed",
    "not owned by user",
    "send as this sender",
    "sendasdenied",
];

const CLIENT: &[&str] = &[
    "client host",
    "client was not",
    "relay access denied",
    "relaying denied",
    "relay denied",
    "relaying not",
    "relay not permitted",
    "not permitted to relay",
    "not allowed to relay",
    "unable to relay",
    "unsolicited mail originating from your ip",
    "your ip address",
    "your host",
    "sending ip",
    "reverse dns",
    "reverse hostname",
    "ptr record",
    "host rejected",
    "rcpthosts",
];

/// About this machine only if the text also contains an IP address.
const BLOCK_LISTS: &[&str] =
    &["blacklist", "black list", "blocklist", "block list", "blocked", "denylist", "dnsbl", "listed in", "listed at"];

const NO_RECIPIENT: &[&str] = &[
    "no such user",
    "no such recipient",
    "no such mailbox",
    "unknown user",
    "user unknown",
    "unknown recipient",
    "recipient unknown",
    "user not found",
    "mailbox unavailable",
    "mailbox not found",
    "unrouteable address",
    "unroutable address",
    "does not exist",
    "doesn't exist",
    "recipient rejected",
];

const CONTENT: &[&str] = &["message contains", "mail contains", " url ", "urls", "links", "attachment", "content"];

/// Limits of a mailbox, of a mail's size or of its number of recipients: no limits of the relay.
const OTHER_LIMITS: &[&str] = &["mailbox", "inbox", "size", "too large", "too big", "over quota", "user's quota"];

const TOO_MUCH: &[&str] = &[
    "sending paused",
    "too much mail",
    "too many messages",
    "too many recipients from",
    "throttl",
    "rate limited",
    "rate-limited",
];

/// Whether the text says that the recipient does not exist.
pub(super) fn names_unknown_recipient(text: &str) -> bool {
    contains_phrase(text, NO_RECIPIENT)
}

/// Whether the code or the text is about the content of the mail.
pub(super) fn is_about_content(code: ReplyCode, text: &str) -> bool {
    code.detail().0 == 6 || (contains_phrase(text, CONTENT) && (is_limit(text) || contains_phrase(text, BLOCK_LISTS)))
}

pub(super) fn by_text(code: ReplyCode, text: &str) -> Option<RelayCause> {
    let known = [
        (HELLO, RelayCause::Hello),
        (LOGIN_MISSING, RelayCause::LoginMissing),
        (SENDER, RelayCause::Sender),
        (CLIENT, RelayCause::Client),
    ];
    if let Some((_, cause)) = known.iter().find(|(phrases, _)| contains_phrase(text, phrases)) {
        return Some(*cause);
    }
    if text.contains("your account") && contains_phrase(text, &["suspended", "disabled", "locked", "blocked", "closed"])
    {
        return Some(RelayCause::Login);
    }
    if contains_phrase(text, BLOCK_LISTS) && names_address(text) {
        return Some(RelayCause::Client);
    }
    let is_other =
        code.basic == 552 || matches!(code.detail(), (2, _) | (3, 4) | (5, 3)) || contains_phrase(text, OTHER_LIMITS);
    ((is_limit(text) || contains_phrase(text, TOO_MUCH)) && !is_other).then_some(RelayCause::Limit)
}

fn contains_phrase(text: &str, phrases: &[&str]) -> bool {
    phrases.iter().any(|phrase| text.contains(phrase))
}

fn is_limit(text: &str) -> bool {
    contains_phrase(text, &["limit", "quota", "credit", "per minute", "per hour", "per day"])
        && contains_phrase(text, &["exceed", "reached", "out of", "no more"])
}

/// Whether the text contains an IP address.
fn names_address(text: &str) -> bool {
    let is_edge = |c: char| !c.is_ascii_hexdigit() && c != ':';
    text.split_whitespace().any(|word| word.trim_matches(is_edge).trim_end_matches(':').parse::<IpAddr>().is_ok())
}
