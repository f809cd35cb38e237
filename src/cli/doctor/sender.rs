//! Checks the SPF and DMARC records of the sender's domain, by which receivers judge its mails.
//!
//! The SPF record (RFC 7208) is checked by itself: includes are not followed, and no address is checked, because
//! receivers see the address of the relay. A DMARC record (RFC 7489) is searched at the domain and then at its parent
//! domains. DKIM is not checked, because only the relay knows the selector of its key.

use std::net::SocketAddr;

use super::{
    CheckResult, CheckStatus,
    dns::{DnsClient, TxtRecords},
};
use crate::{channels::email::Transport, config::Config};

/// The maximum number of characters of a record that are printed.
const SHOWN_CHARS: usize = 160;

/// The maximum number of domains that are searched for DMARC, from the sender's domain upwards.
const DOMAINS: usize = 8;

/// Returns the domain of the sender's address, or `None` if mails are not sent.
pub fn domain(config: &Config) -> Option<String> {
    let email = config.email.as_ref()?;
    email.transport.as_ref().filter(|transport| !matches!(transport, Transport::File(_)))?;
    let (_, domain) = email.from.email.rsplit_once('@')?;
    idna::domain_to_ascii(domain).ok()
}

pub async fn spf(domain: &str, server: Option<SocketAddr>) -> CheckResult {
    let texts = async { DnsClient::new(server)?.texts(domain).await };
    match texts.await {
        Ok(TxtRecords::Of(texts)) => judged_spf(domain, &texts),
        Ok(TxtRecords::NoName) => CheckResult::fail(
            "spf",
            format!("the domain {domain} does not exist in DNS: receivers refuse mails from it"),
        ),
        Err(error) => unanswered("spf", &error),
    }
}

pub async fn dmarc(domain: &str, server: Option<SocketAddr>) -> CheckResult {
    let looked = async {
        let dns = DnsClient::new(server)?;
        for at in upwards(domain) {
            if let TxtRecords::Of(texts) = dns.texts(&format!("_dmarc.{at}")).await?
                && let Some(found) = judged_dmarc(domain, at, &texts)
            {
                return Ok(found);
            }
        }
        Ok(no_dmarc(domain))
    };
    looked.await.unwrap_or_else(|error: String| unanswered("dmarc", &error))
}

/// Returns the domain and its parents, without the top-level domain.
fn upwards(domain: &str) -> impl Iterator<Item = &str> {
    let parents = std::iter::successors(Some(domain), |at| at.split_once('.').map(|(_, above)| above));
    parents.enumerate().filter(|(nth, at)| *nth == 0 || at.contains('.')).map(|(_, at)| at).take(DOMAINS)
}

fn unanswered(what: &str, error: &str) -> CheckResult {
    CheckResult::warn(what, format!("DNS does not answer, so this cannot be checked: {error}"))
}

fn judged_spf(domain: &str, texts: &[String]) -> CheckResult {
    let records: Vec<&String> = texts.iter().filter(|text| is_spf(text)).collect();
    let record = match *records {
        [] => {
            let said = format!("{domain} has no SPF record (TXT, `v=spf1 …`): many receivers treat its mails as spam");
            return CheckResult::warn("spf", said);
        }
        [record] => record.to_ascii_lowercase(),
        _ => {
            let said = format!("{domain} has {} SPF records, but receivers accept only one: join them", records.len());
            return CheckResult::fail("spf", said);
        }
    };
    let shown = shown(&record);
    let terms: Vec<&str> = record.split_ascii_whitespace().skip(1).collect();
    let all = terms.iter().position(|term| term.trim_start_matches(['+', '-', '~', '?']) == "all");
    let redirected = terms.iter().any(|term| term.starts_with("redirect="));
    let (health, said) = match all.map(|at| (at, terms[at])) {
        Some((_, "all" | "+all")) => {
            (CheckStatus::Fail, format!("every server may send in the name of {domain}: {shown}"))
        }
        Some((0, "-all" | "~all")) => {
            (CheckStatus::Fail, format!("no server may send in the name of {domain}: {shown}"))
        }
        Some((_, "-all" | "~all")) => (CheckStatus::Ok, format!("{domain}: {shown}")),
        None if redirected => (CheckStatus::Ok, format!("{domain}: {shown}")),
        Some(_) | None => {
            let said =
                format!("{domain} does not exclude other servers; end the SPF record with `~all` or `-all`: {shown}");
            (CheckStatus::Warn, said)
        }
    };
    CheckResult::new("spf", health, said)
}

/// Returns `true` if the first term of the record is `v=spf1`.
fn is_spf(text: &str) -> bool {
    text.split_ascii_whitespace().next().is_some_and(|word| word.eq_ignore_ascii_case("v=spf1"))
        && !text.starts_with(' ')
}

/// Checks the DMARC records at domain `at` for mails of `domain`. Returns `None` if there are none.
fn judged_dmarc(domain: &str, at: &str, texts: &[String]) -> Option<CheckResult> {
    let records: Vec<&String> = texts.iter().filter(|text| tag(text, "v").is_some_and(|v| v == "DMARC1")).collect();
    let record = match *records {
        [] => return None,
        [record] => record,
        _ => {
            let said = format!("_dmarc.{at} has {} records, so receivers ignore all of them: join them", records.len());
            return Some(CheckResult::fail("dmarc", said));
        }
    };
    let shown = shown(record);
    let policy = tag(record, "p").map(str::to_ascii_lowercase);
    if !matches!(policy.as_deref(), Some("none" | "quarantine" | "reject")) {
        let said = format!("the record at _dmarc.{at} has no `p=none`, `p=quarantine` or `p=reject`: {shown}");
        return Some(CheckResult::warn("dmarc", said));
    }
    let from_above = if at == domain { "" } else { ", which has no record of its own" };
    Some(CheckResult::ok("dmarc", format!("{domain}{from_above}: _dmarc.{at} has {shown}")))
}

fn no_dmarc(domain: &str) -> CheckResult {
    let said = format!(
        "{domain} has no DMARC record (TXT at _dmarc.{domain}): large receivers require one; `v=DMARC1; p=none` is the minimum"
    );
    CheckResult::warn("dmarc", said)
}

/// Returns a tag's value from `v=DMARC1; p=none; …`. The version must be the first tag.
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
    fn an_spf_record_allows_some_servers_but_not_all() {
        for (records, health, word) in [
            (&["v=spf1 include:mail.example -all"][..], CheckStatus::Ok, "include:mail.example"),
            (&["google-site-verification=x", "V=SPF1 mx ~ALL"], CheckStatus::Ok, "mx ~all"),
            (&["v=spf1 redirect=_spf.mail.example"], CheckStatus::Ok, "redirect"),
            (&["v=spf1 mx"], CheckStatus::Warn, "does not exclude"),
            (&["v=spf1 mx ?all"], CheckStatus::Warn, "does not exclude"),
            (&["v=spf1"], CheckStatus::Warn, "does not exclude"),
            (&["v=spf1 mx +all"], CheckStatus::Fail, "every server"),
            (&["v=spf1 all"], CheckStatus::Fail, "every server"),
            (&["v=spf1 -all"], CheckStatus::Fail, "no server"),
            (&["v=spf1 mx -all", "v=spf1 a -all"], CheckStatus::Fail, "2 SPF records"),
            (&["v=spf10 mx -all", " v=spf1 mx -all", "spf1"], CheckStatus::Warn, "no SPF record"),
            (&[], CheckStatus::Warn, "no SPF record"),
        ] {
            let found = judged_spf("shop.example", &texts(records));
            assert_eq!(found.health, health, "{records:?}: {}", found.said);
            assert!(found.said.contains(word), "{records:?}: {}", found.said);
        }
    }

    #[test]
    fn a_dmarc_record_must_have_a_policy() {
        let judged = |records: &[&str]| judged_dmarc("shop.example", "shop.example", &texts(records));
        for (records, health, word) in [
            (&["v=DMARC1; p=none"][..], CheckStatus::Ok, "p=none"),
            (&["other", "v = DMARC1 ;P = Reject; rua=mailto:x@shop.example"], CheckStatus::Ok, "Reject"),
            (&["v=DMARC1; rua=mailto:x@shop.example"], CheckStatus::Warn, "has no `p=none`"),
            (&["v=DMARC1; p=all"], CheckStatus::Warn, "has no `p=none`"),
            (&["v=DMARC1; p=none", "v=DMARC1; p=reject"], CheckStatus::Fail, "2 records"),
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
    fn dmarc_is_searched_at_parents_but_not_at_the_top_level() {
        assert_eq!(
            upwards("a.kyc.shop.example").collect::<Vec<_>>(),
            ["a.kyc.shop.example", "kyc.shop.example", "shop.example"]
        );
        assert_eq!(upwards("localhost").collect::<Vec<_>>(), ["localhost"]);
    }

    #[test]
    fn long_records_are_cut_at_a_character_boundary() {
        assert_eq!(shown(&"ä".repeat(161)), format!("{}…", "ä".repeat(160)));
        assert_eq!(shown("v=spf1"), "v=spf1");
    }
}
