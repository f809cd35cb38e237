//! Whether other people's servers will believe the mails: what the sender's domain says in DNS about who may send in its name.
//!
//! SPF (RFC 7208) is looked at where it stands; what it includes is not followed, and no address is held against it: the one
//! that the world sees is the relay's. DMARC (RFC 7489) is looked for at the domain, then at those above it. DKIM can't be
//! looked at from here, since only the relay knows under which selector it signs.

use std::net::SocketAddr;

use super::{
    Found, Health,
    dns::{Dns, Texts},
};
use crate::{actions::email::Transport, config::Config};

/// The longest record that is shown whole.
const SHOWN_CHARS: usize = 160;

/// How many domains DMARC is looked for at, from the sender's own upwards.
const DOMAINS: usize = 8;

/// The domain in whose name mails leave, if they leave at all.
pub fn domain(config: &Config) -> Option<String> {
    let email = config.email.as_ref()?;
    email.transport.as_ref().filter(|transport| !matches!(transport, Transport::File(_)))?;
    let (_, domain) = email.from.email.rsplit_once('@')?;
    idna::domain_to_ascii(domain).ok()
}

pub async fn spf(domain: &str, server: Option<SocketAddr>) -> Found {
    let texts = async { Dns::new(server)?.texts(domain).await };
    match texts.await {
        Ok(Texts::Of(texts)) => judged_spf(domain, &texts),
        Ok(Texts::NoName) => {
            Found::fail("spf", format!("DNS knows no domain {domain}: receivers refuse mails that come from it"))
        }
        Err(error) => unanswered("spf", &error),
    }
}

pub async fn dmarc(domain: &str, server: Option<SocketAddr>) -> Found {
    let looked = async {
        let dns = Dns::new(server)?;
        for at in upwards(domain) {
            if let Texts::Of(texts) = dns.texts(&format!("_dmarc.{at}")).await?
                && let Some(found) = judged_dmarc(domain, at, &texts)
            {
                return Ok(found);
            }
        }
        Ok(no_dmarc(domain))
    };
    looked.await.unwrap_or_else(|error: String| unanswered("dmarc", &error))
}

/// The domain and those above it, but for the top.
fn upwards(domain: &str) -> impl Iterator<Item = &str> {
    let parents = std::iter::successors(Some(domain), |at| at.split_once('.').map(|(_, above)| above));
    parents.enumerate().filter(|(nth, at)| *nth == 0 || at.contains('.')).map(|(_, at)| at).take(DOMAINS)
}

fn unanswered(what: &str, error: &str) -> Found {
    Found::warn(what, format!("DNS does not answer, so this can't be looked at: {error}"))
}

fn judged_spf(domain: &str, texts: &[String]) -> Found {
    let records: Vec<&String> = texts.iter().filter(|text| is_spf(text)).collect();
    let record = match *records {
        [] => {
            let said = format!("{domain} has no SPF record (TXT, `v=spf1 …`): many receivers take its mails for spam");
            return Found::warn("spf", said);
        }
        [record] => record.to_ascii_lowercase(),
        _ => {
            let said = format!("{domain} has {} SPF records, and receivers obey one only: join them", records.len());
            return Found::fail("spf", said);
        }
    };
    let shown = shown(&record);
    let terms: Vec<&str> = record.split_ascii_whitespace().skip(1).collect();
    let all = terms.iter().position(|term| term.trim_start_matches(['+', '-', '~', '?']) == "all");
    let redirected = terms.iter().any(|term| term.starts_with("redirect="));
    let (health, said) = match all.map(|at| (at, terms[at])) {
        Some((_, "all" | "+all")) => (Health::Fail, format!("everybody may send in the name of {domain}: {shown}")),
        Some((0, "-all" | "~all")) => (Health::Fail, format!("nobody may send in the name of {domain}: {shown}")),
        Some((_, "-all" | "~all")) => (Health::Ok, format!("{domain}: {shown}")),
        None if redirected => (Health::Ok, format!("{domain}: {shown}")),
        Some(_) | None => {
            let said =
                format!("{domain} leaves open who else may send; `~all` or `-all` at the end would say it: {shown}");
            (Health::Warn, said)
        }
    };
    Found::new("spf", health, said)
}

/// `v=spf1` is a word of its own.
fn is_spf(text: &str) -> bool {
    text.split_ascii_whitespace().next().is_some_and(|word| word.eq_ignore_ascii_case("v=spf1"))
        && !text.starts_with(' ')
}

/// What the records at one domain say about the mails of `domain`, unless there are none.
fn judged_dmarc(domain: &str, at: &str, texts: &[String]) -> Option<Found> {
    let records: Vec<&String> = texts.iter().filter(|text| tag(text, "v").is_some_and(|v| v == "DMARC1")).collect();
    let record = match *records {
        [] => return None,
        [record] => record,
        _ => {
            let said = format!("_dmarc.{at} has {} records, so receivers obey none: join them", records.len());
            return Some(Found::fail("dmarc", said));
        }
    };
    let shown = shown(record);
    let policy = tag(record, "p").map(str::to_ascii_lowercase);
    if !matches!(policy.as_deref(), Some("none" | "quarantine" | "reject")) {
        let said = format!("the record at _dmarc.{at} says no `p=none`, `p=quarantine` or `p=reject`: {shown}");
        return Some(Found::warn("dmarc", said));
    }
    let from_above = if at == domain { "" } else { ", which has no record of its own" };
    Some(Found::ok("dmarc", format!("{domain}{from_above}: _dmarc.{at} says {shown}")))
}

fn no_dmarc(domain: &str) -> Found {
    let said = format!(
        "{domain} has no DMARC record (TXT at _dmarc.{domain}): large receivers ask for one; `v=DMARC1; p=none` is the least"
    );
    Found::warn("dmarc", said)
}

/// A tag's value in `v=DMARC1; p=none; …`. The version counts only where it comes first.
fn tag<'a>(record: &'a str, name: &str) -> Option<&'a str> {
    let mut tags = record.split(';').filter_map(|tag| tag.split_once('='));
    let (key, value) = match name {
        "v" => tags.next().filter(|(key, _)| key.trim() == name),
        _ => tags.find(|(key, _)| key.trim().eq_ignore_ascii_case(name)),
    }?;
    Some(value.trim()).filter(|_| !key.is_empty())
}

fn shown(record: &str) -> String {
    match record.char_indices().nth(SHOWN_CHARS) {
        Some((at, _)) => format!("{}…", &record[..at]),
        None => record.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(records: &[&str]) -> Vec<String> {
        records.iter().map(|&record| record.to_owned()).collect()
    }

    #[test]
    fn an_spf_record_lets_somebody_send_and_not_everybody() {
        for (records, health, word) in [
            (&["v=spf1 include:mail.example -all"][..], Health::Ok, "include:mail.example"),
            (&["google-site-verification=x", "V=SPF1 mx ~ALL"], Health::Ok, "mx ~all"),
            (&["v=spf1 redirect=_spf.mail.example"], Health::Ok, "redirect"),
            (&["v=spf1 mx"], Health::Warn, "leaves open"),
            (&["v=spf1 mx ?all"], Health::Warn, "leaves open"),
            (&["v=spf1"], Health::Warn, "leaves open"),
            (&["v=spf1 mx +all"], Health::Fail, "everybody"),
            (&["v=spf1 all"], Health::Fail, "everybody"),
            (&["v=spf1 -all"], Health::Fail, "nobody"),
            (&["v=spf1 mx -all", "v=spf1 a -all"], Health::Fail, "2 SPF records"),
            (&["v=spf10 mx -all", " v=spf1 mx -all", "spf1"], Health::Warn, "no SPF record"),
            (&[], Health::Warn, "no SPF record"),
        ] {
            let found = judged_spf("shop.example", &texts(records));
            assert_eq!(found.health, health, "{records:?}: {}", found.said);
            assert!(found.said.contains(word), "{records:?}: {}", found.said);
        }
    }

    #[test]
    fn a_dmarc_record_has_a_policy() {
        let judged = |records: &[&str]| judged_dmarc("shop.example", "shop.example", &texts(records));
        for (records, health, word) in [
            (&["v=DMARC1; p=none"][..], Health::Ok, "p=none"),
            (&["other", "v = DMARC1 ;P = Reject; rua=mailto:x@shop.example"], Health::Ok, "Reject"),
            (&["v=DMARC1; rua=mailto:x@shop.example"], Health::Warn, "says no `p=none`"),
            (&["v=DMARC1; p=all"], Health::Warn, "says no `p=none`"),
            (&["v=DMARC1; p=none", "v=DMARC1; p=reject"], Health::Fail, "2 records"),
        ] {
            let found = judged(records).expect("a record");
            assert_eq!(found.health, health, "{records:?}: {}", found.said);
            assert!(found.said.contains(word), "{records:?}: {}", found.said);
        }
        for none in [&[][..], &["v=DMARC2; p=none"], &["p=none; v=DMARC1"], &["v=dmarc1; p=none"], &["DMARC1"]] {
            assert_eq!(judged(none), None, "{none:?}");
        }
        let above = judged_dmarc("kyc.shop.example", "shop.example", &texts(&["v=DMARC1; p=none"])).expect("a record");
        assert!(
            above.said.starts_with("kyc.shop.example, which has no record of its own: _dmarc.shop.example"),
            "{above:?}"
        );
    }

    #[test]
    fn dmarc_is_looked_for_upwards_and_not_at_the_top() {
        assert_eq!(
            upwards("a.kyc.shop.example").collect::<Vec<_>>(),
            ["a.kyc.shop.example", "kyc.shop.example", "shop.example"]
        );
        assert_eq!(upwards("localhost").collect::<Vec<_>>(), ["localhost"]);
    }

    #[test]
    fn long_records_are_cut_where_a_character_ends() {
        assert_eq!(shown(&"ä".repeat(161)), format!("{}…", "ä".repeat(160)));
        assert_eq!(shown("v=spf1"), "v=spf1");
    }
}
