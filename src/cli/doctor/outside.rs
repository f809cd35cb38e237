//! Checks of other machines: the mail relay, the provider's API, the shop's API, webhook targets and chat rooms. The
//! clock of this machine is compared with the time in an HTTP response of such a machine.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, header::DATE};
use secrecy::{ExposeSecret, SecretString};

use super::CheckResult;
use crate::{
    channel_setup,
    channels::email::{FailureClass, FailureScope, Mailer, MailerConfig, SendError, Transport},
    clock::{Clock, Timestamp},
    config::Config,
    decide::ApiAnswer,
    directory,
    domain::CustomerId,
    outbound::{ClientOptions, HttpClient, HttpRequest, TargetUrl},
    provider::{AskError, ProviderApi},
};

/// A customer id that does not exist.
const MADE_UP: &str = "kyc-rules-doctor";

/// Difference to another machine's clock from which the check warns, and from which it fails.
const NOTED_MS: i64 = 30_000;
const WRONG_MS: i64 = 5 * 60_000;

pub async fn mail(config: &Config) -> CheckResult {
    let Some(email) = &config.email else {
        return CheckResult::warn("mail", "the configuration has no `email`: no mail is sent");
    };
    let Some(transport) = email.transport.clone() else {
        return CheckResult::warn("mail", "the configuration has no `email.transport`: no mail is sent");
    };
    let is_file = matches!(transport, Transport::File(_));
    let step_timeout = Duration::from_secs(10);
    let hello = email.hello.clone();
    let mailer = match Mailer::new(MailerConfig { step_timeout, hello, ..MailerConfig::new(transport) }) {
        Ok(mailer) => mailer,
        Err(error) => return CheckResult::fail("mail", error.to_string()),
    };
    match mailer.probe_sender(&email.from).await {
        Ok(said) if is_file => CheckResult::warn("mail", said),
        Ok(said) => CheckResult::ok("mail", said),
        Err(SendError { text, scope: FailureScope::Relay(cause), .. }) => {
            CheckResult::fail("mail", format!("{text}; {}", cause.advice()))
        }
        // The relay may accept other recipients: perhaps it only has no mailbox for this address.
        Err(SendError { text, scope: FailureScope::Recipient, .. }) => CheckResult::warn(
            "mail",
            format!("{text}: the sender's own address accepts no mail, so bounces and replies are lost"),
        ),
        Err(SendError { text, class: FailureClass::Retry, .. }) => CheckResult::warn(
            "mail",
            format!("{text}, for a mail from the sender to itself; a later attempt may succeed"),
        ),
        Err(SendError { text, .. }) => {
            CheckResult::fail("mail", format!("{text}, for a mail from the sender to itself"))
        }
    }
}

pub async fn provider(config: &Config) -> CheckResult {
    let api = &config.provider.api;
    let Some(key) = &config.provider.api_key else {
        let said = "without provider.api_key callbacks are believed: wrong order and forgery cannot be detected";
        return CheckResult::warn("provider", said);
    };
    let asked = async {
        let api = ProviderApi::new(api.clone(), key).map_err(|why| AskError::Odd(why.into()))?;
        let customer = CustomerId::new(MADE_UP).map_err(|error| AskError::Odd(error.to_string().into()))?;
        api.ask(&customer).await
    };
    match asked.await {
        Ok(ApiAnswer::Unknown) => CheckResult::ok("provider", format!("{api} accepts the key")),
        Ok(ApiAnswer::Known(_)) => CheckResult::warn(
            "provider",
            format!("{api} accepts the key, but returns a status for the made-up customer {MADE_UP}"),
        ),
        Err(error) => CheckResult::fail("provider", error.cause().full()),
    }
}

pub async fn directory(config: &Config) -> CheckResult {
    let shop = match channel_setup::shop(config, &[]) {
        Ok(Some((shop, _))) => shop,
        Ok(None) => return CheckResult::ok("directory", "no lookup is configured"),
        Err(error) => return CheckResult::fail("directory", error),
    };
    let Ok(customer) = CustomerId::new(MADE_UP) else { return CheckResult::fail("directory", "cannot be queried") };
    match shop.ask(&customer).await {
        Ok(directory::ShopAnswer::Unknown) => {
            CheckResult::ok("directory", "the shop answers, and returns 404 for a made-up customer")
        }
        Ok(directory::ShopAnswer::Known(_)) => {
            CheckResult::warn("directory", format!("the shop returns an address for the made-up customer {MADE_UP}"))
        }
        Ok(directory::ShopAnswer::Odd(why)) => {
            CheckResult::warn("directory", format!("the shop's answer for a made-up customer should be 404, but {why}"))
        }
        Err(error) => CheckResult::fail("directory", error.text),
    }
}

/// Returns every target and room: its name, its URL, and whether its address may be private.
pub fn targets(config: &Config) -> Vec<(String, SecretString, bool)> {
    let channels = config.channels().into_iter();
    channels
        .filter_map(|(channel, config)| {
            let (url, private) = config.probed_url()?;
            Some((channel.to_string(), url, private))
        })
        .collect()
}

/// Checks that a connection to the target can be opened. Sends no request.
pub async fn target(name: String, url: SecretString, private: bool) -> CheckResult {
    let (client, target) = match (client(private), TargetUrl::parse(url.expose_secret())) {
        (Ok(client), Ok(target)) => (client, target),
        (Err(error), _) | (_, Err(error)) => return CheckResult::fail(name, error),
    };
    match client.connect(&target).await {
        Ok(()) => CheckResult::ok(name, format!("connected to {target}")),
        Err(failure) => CheckResult::fail(name, failure.text),
    }
}

/// Timeout for the clock check. A server that does not answer is reported by its own check.
const CLOCK_TIMEOUT: Duration = Duration::from_secs(5);

fn client(private: bool) -> Result<HttpClient, String> {
    HttpClient::new(ClientOptions { private, ..ClientOptions::default() }).map_err(|error| error.to_string())
}

/// Compares this machine's clock with that of the provider's API or of the shop's API.
pub async fn clock(config: &Config) -> CheckResult {
    let now = Clock::default().now();
    let Some((theirs, whose)) = date_elsewhere(config).await else {
        return CheckResult::ok("clock", format!("it is {now}; no other clock to compare with"));
    };
    let apart_ms = now.millis().saturating_sub(theirs.millis());
    // The `Date` header has whole seconds.
    let said = format!("it is {now}, {} s apart from the clock of {whose}", apart_ms.abs() / 1_000);
    match apart_ms.abs() {
        0..NOTED_MS => CheckResult::ok("clock", said),
        NOTED_MS..WRONG_MS => CheckResult::warn("clock", said),
        _ => CheckResult::fail("clock", format!("{said}: reminders would be sent at the wrong time")),
    }
}

/// Returns the time of the first server that answers: the provider's API, then the shop's API.
async fn date_elsewhere(config: &Config) -> Option<(Timestamp, TargetUrl)> {
    let provider = config.provider.api_key.as_ref().map(|_| (config.provider.api.clone(), true));
    let shop = config.directory.lookup.as_ref().map(|lookup| (lookup.url.replace("{id}", MADE_UP), lookup.private));
    for (url, private) in provider.into_iter().chain(shop) {
        if let Some(found) = date_of(&url, private).await {
            return Some(found);
        }
    }
    None
}

async fn date_of(url: &str, private: bool) -> Option<(Timestamp, TargetUrl)> {
    let target = TargetUrl::parse(url).ok()?;
    let request = HttpRequest { method: Method::HEAD, headers: HeaderMap::new(), body: Bytes::new() };
    let reach =
        ClientOptions { private, connect_timeout: CLOCK_TIMEOUT, timeout: CLOCK_TIMEOUT, ..ClientOptions::default() };
    let answer = HttpClient::new(reach).ok()?.send(&target, request).await.ok()?;
    let date = httpdate::parse_http_date(answer.headers.get(DATE)?.to_str().ok()?).ok()?;
    let since_1970 = date.duration_since(std::time::UNIX_EPOCH).ok()?;
    Some((Timestamp(i64::try_from(since_1970.as_millis()).ok()?), target))
}
