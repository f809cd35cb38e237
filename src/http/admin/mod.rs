//! The admin side: health, metrics, and the API with which operators and the command line control a running server.
//!
//! All paths except `/healthz` and `/readyz` require the token. Every request must name one of the configured hosts, so
//! that web pages of other sites cannot reach the admin side. Requests and responses are JSON; errors follow RFC 9457.

/// Makes a handler for `then`: passes the parts of a filter and the admin side to `$answer`, and converts a problem to
/// a response.
macro_rules! answered {
    ($admin:expr, |$this:ident $(, $part:ident : $kind:ty)*| $answer:expr) => {{
        let admin = Arc::clone($admin);
        move |$($part: $kind),*| {
            let $this = Arc::clone(&admin);
            async move { let answer: AdminResult = $answer.await; answer.unwrap_or_else(|problem| problem.response()) }
        }
    }};
}

mod brakes;
mod channels;
mod confirm;
mod explain;
mod history;
mod jobs;
mod names;
mod pause;
mod relays;
mod responses;
mod traffic;
mod unanswered;
mod waiting;

use std::{convert::Infallible, str::FromStr, sync::Arc};

use bytes::Bytes;
use futures_util::future::join_all;
use http::{HeaderMap, StatusCode, Uri};
use percent_encoding::percent_decode_str;
use serde::{Deserialize, Serialize};
use warp::{Filter, Rejection, reply::Response};

use super::{
    body::capped_body,
    query::query,
    reply::{ErrorKind, ProblemDetails, answer, json},
    token::{AdminToken, AllowedHosts},
};
use crate::{
    api::{
        controls::ReloadResponse,
        customers::{
            ContactInfo, ContactResponse, CustomerList, CustomerResponse, CustomerRow, ImportResponse, TagResponse,
        },
        status::StatusResponse,
    },
    channels::email::CircuitBreaker,
    clock::{Clock, Timestamp},
    contacts,
    decide::{Command, Policy, Receipt},
    domain::{CustomerId, is_tag},
    outbox::Channel,
    rulebook::{ReloadResult, Rulebook},
    services::Services,
    store::{JobFilter, Refused, Store, StoreError, StoreFigures},
    telemetry::{ListenerRefusals, Metrics, Refusal},
};

const METHODS: &str = "GET, POST, PUT, DELETE";

/// The maximum body of a request about one customer or job, in bytes.
const MAX_BODY_BYTES: usize = 16 * 1024;

/// The maximum body of an import, in bytes; enough for a thousand contacts.
const MAX_IMPORT_BYTES: usize = 4 * 1024 * 1024;

/// The maximum number of rows on a page.
const MAX_PAGE: usize = 1_000;

/// The default number of timeline entries or jobs on a page.
const PAGE: usize = 100;

/// The state of the admin side.
pub struct AdminContext {
    pub services: Arc<Services>,
    pub metrics: Arc<Metrics>,
    pub refused: ListenerRefusals,
    pub token: AdminToken,
    pub hosts: AllowedHosts,
    pub clock: Clock,
    pub started_at: Timestamp,
    /// The customer attributes that the configuration declares.
    pub attributes: Vec<String>,
    /// The statuses that the configuration declares in addition to the documented ones.
    pub statuses: Vec<String>,
    /// The settings for decisions.
    pub policy: Policy,
    /// The configured channels.
    pub channels: Vec<Channel>,
    /// The circuit breakers of the channels that send through a mail relay.
    pub relays: Vec<(Channel, Arc<CircuitBreaker>)>,
    /// How long a callback may wait for a decision before it is the problem `unanswered`, in milliseconds.
    pub patience_ms: i64,
    /// Returns whether the configuration file has changed since it was read.
    pub config_changed: Box<dyn Fn() -> bool + Send + Sync>,
}

type AdminResult = Result<Response, ProblemDetails>;

/// A segment of a path, percent-decoded.
struct PathPart(String);

impl FromStr for PathPart {
    type Err = std::str::Utf8Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self(percent_decode_str(text).decode_utf8()?.into_owned()))
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PageQuery {
    /// Only for the list: returns this customer's details. For ids that cannot be a segment of a path.
    id: Option<String>,
    before: Option<u64>,
    cursor: Option<String>,
    limit: Option<usize>,
}

/// The body of an import. All contacts are validated before the first is stored.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ImportBody {
    contacts: Vec<Named>,
}

#[derive(Deserialize)]
struct Named {
    id: CustomerId,
    #[serde(flatten)]
    contact: contacts::RawContact,
}

/// The routes of the admin side.
pub fn routes(admin: &Arc<AdminContext>) -> impl Filter<Extract = (Response,), Error = Infallible> + Clone + use<> {
    let open = health(admin);
    let metrics = {
        let admin = Arc::clone(admin);
        warp::path!("metrics").and(warp::get()).map(move || admin.metrics_text())
    };
    let api = warp::path!("api" / "v1" / ..).and(
        reads(admin)
            .or(acts(admin))
            .unify()
            .or(pause::routes(admin))
            .unify()
            .or(explain::routes(admin))
            .unify()
            .or(history::routes(admin))
            .unify()
            .or(channels::routes(admin))
            .unify()
            .or(confirm::routes(admin))
            .unify()
            .or(unanswered::routes(admin))
            .unify()
            .or(jobs::routes(admin))
            .unify(),
    );
    let guarded = guard(admin).and(metrics.or(api).unify());
    require_host(admin)
        .and(open.or(guarded).unify())
        .recover(|rejection| std::future::ready(Ok::<_, Infallible>(answer(&rejection, METHODS))))
        .unify()
}

/// Rejects a request that does not name an allowed host.
fn require_host(admin: &Arc<AdminContext>) -> impl Filter<Extract = (), Error = Rejection> + Clone + use<> {
    let admin = Arc::clone(admin);
    warp::header::headers_cloned()
        .and_then(move |headers: HeaderMap| {
            // If the target names a host, too, the listener has already checked that both are equal.
            let allowed = admin.hosts.allow(&Uri::default(), &headers);
            if !allowed {
                admin.refused.admin.note(Refusal::wrong_host, "Host", "is not in `admin.hosts`");
            }
            std::future::ready(if allowed { Ok(()) } else { Err(ProblemDetails::new(ErrorKind::Misdirected).reject()) })
        })
        .untuple_one()
}

fn guard(admin: &Arc<AdminContext>) -> impl Filter<Extract = (), Error = Rejection> + Clone + use<> {
    let admin = Arc::clone(admin);
    warp::header::headers_cloned()
        .and_then(move |headers: HeaderMap| {
            let allowed = admin.token.is_in(&headers);
            if !allowed {
                admin.refused.admin.note(Refusal::wrong_token, "Authorization", "is wrong or missing");
            }
            std::future::ready(if allowed {
                Ok(())
            } else {
                Err(ProblemDetails::new(ErrorKind::Unauthorized).bearer().reject())
            })
        })
        .untuple_one()
}

fn health(admin: &Arc<AdminContext>) -> impl Filter<Extract = (Response,), Error = Rejection> + Clone + use<> {
    let ready = Arc::clone(admin);
    let asked = || warp::get().or(warp::head()).unify();
    let healthz =
        warp::path!("healthz").and(asked()).map(|| json(StatusCode::OK, &serde_json::json!({"status": "ok"})));
    let query = warp::query::raw().or(warp::any().map(String::new)).unify();
    let readyz = warp::path!("readyz").and(asked()).and(query).map(move |query: String| {
        let deep = query.split('&').any(|part| part == "deep" || part.starts_with("deep="));
        match if deep { ready.services.not_ready_deep() } else { ready.services.not_ready() } {
            None => json(StatusCode::OK, &serde_json::json!({"status": "ready"})),
            Some(why) => ProblemDetails::new(ErrorKind::Unavailable).detail(why).response(),
        }
    });
    healthz.or(readyz).unify()
}

fn reads(admin: &Arc<AdminContext>) -> impl Filter<Extract = (Response,), Error = Rejection> + Clone + use<> {
    let status = warp::path!("status").and(warp::get()).then(answered!(admin, |this| this.status()));
    let customers = warp::path!("customers")
        .and(warp::get())
        .and(query())
        .then(answered!(admin, |this, query: PageQuery| this.customers(query)));
    let customer = warp::path!("customers" / PathPart)
        .and(warp::get())
        .and(query())
        .then(answered!(admin, |this, id: PathPart, query: PageQuery| this.customer(id, query)));
    status.or(customers).unify().or(customer).unify()
}

fn acts(admin: &Arc<AdminContext>) -> impl Filter<Extract = (Response,), Error = Rejection> + Clone + use<> {
    let contact = warp::path!("customers" / PathPart / "contact")
        .and(warp::put())
        .and(capped_body(MAX_BODY_BYTES))
        .then(answered!(admin, |this, id: PathPart, body: Bytes| this.contact(id, body)));
    let import = warp::path!("customers" / "import")
        .and(warp::post())
        .and(capped_body(MAX_IMPORT_BYTES))
        .then(answered!(admin, |this, body: Bytes| this.import(body)));
    let tag = warp::path!("customers" / PathPart / "tags" / PathPart)
        .and(warp::post())
        .then(answered!(admin, |this, id: PathPart, name: PathPart| this.tag(id, name, true)));
    let untag = warp::path!("customers" / PathPart / "tags" / PathPart)
        .and(warp::delete())
        .then(answered!(admin, |this, id: PathPart, name: PathPart| this.tag(id, name, false)));
    let reload = warp::path!("reload").and(warp::post()).then(answered!(admin, |this| this.reload()));
    contact.or(import).unify().or(tag).unify().or(untag).unify().or(reload).unify()
}

impl AdminContext {
    fn store(&self) -> Result<&Store, ProblemDetails> {
        let not_ready =
            || ProblemDetails::new(ErrorKind::Unavailable).detail(self.services.not_ready().unwrap_or_default());
        self.services.store().ok_or_else(not_ready)
    }

    fn rulebook(&self) -> Result<&Arc<Rulebook>, ProblemDetails> {
        self.services.rulebook().ok_or_else(|| ProblemDetails::new(ErrorKind::Unavailable))
    }

    fn metrics_text(&self) -> Response {
        let figures = self
            .services
            .store()
            .map(|store| StoreFigures { unanswered: self.count_unanswered(store), ..store.figures() });
        self.metrics.key_refused(self.services.wrong_key().is_some());
        self.metrics.timers_unanswered(self.count_late_timers());
        for (channel, breaker) in &self.relays {
            self.metrics.relay_is_down(&channel.to_string(), breaker.outage().is_some());
        }
        let refused = [&*self.refused.public, &*self.refused.admin];
        let mut response = Response::new(self.metrics.text(figures.as_ref(), &refused).into());
        let kind = http::HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
        response.headers_mut().insert(http::header::CONTENT_TYPE, kind);
        response
    }

    async fn status(&self) -> AdminResult {
        let store = self.store()?;
        let shape = StatusResponse::new(self, store, &self.rulebook()?.loaded(), &self.most_waiting().await?);
        Ok(json(StatusCode::OK, &shape))
    }

    async fn customers(&self, query: PageQuery) -> AdminResult {
        if let Some(id) = query.id {
            return self.customer(PathPart(id), PageQuery { id: None, ..query }).await;
        }
        let after = query.cursor.as_deref().map(customer_id).transpose()?;
        let store = self.store()?;
        let max = query.limit.unwrap_or(PAGE).clamp(1, MAX_PAGE);
        let page = store.customers(after.as_ref(), max).await.map_err(unreadable)?;
        let mut rows = Vec::with_capacity(page.rows.len());
        for id in page.rows {
            if let Some(case) = store.customer(&id).map_err(unreadable)? {
                rows.push(CustomerRow::new(&id, &case));
            }
        }
        Ok(sorted(&CustomerList { customers: rows, next: page.next.map(|id| id.to_string()) }))
    }

    async fn customer(&self, PathPart(id): PathPart, query: PageQuery) -> AdminResult {
        let (store, id) = (self.store()?, customer_id(&id)?);
        let Some(case) = store.customer(&id).map_err(unreadable)? else {
            return Err(
                ProblemDetails::new(ErrorKind::NotFound).detail("this customer has no callback, import or contact")
            );
        };
        let timeline = store.timeline(&id, query.before, PAGE).map_err(unreadable)?;
        let filter = JobFilter { customer: Some(id.clone()), ..JobFilter::default() };
        let (jobs, waiting) = (store.jobs(&filter, None, PAGE).await.map_err(unreadable)?, self.waiting().await?);
        let jobs = jobs.rows.iter().map(|(who, job)| waiting.shape(who, job)).collect();
        let pending = self.pending(&id, &case);
        Ok(json(StatusCode::OK, &CustomerResponse::new(&id, &case, pending, timeline, jobs)))
    }

    async fn contact(&self, PathPart(id): PathPart, body: Bytes) -> AdminResult {
        let customer = customer_id(&id)?;
        let contact: contacts::RawContact = object(&body, r#"{"email": "ada@customer.example"}"#)?;
        if contact.has_memory() {
            return Err(unprocessable("status, since and tags are for `customers import`".to_owned()));
        }
        let contact = contact.checked(&self.attributes).map_err(unprocessable)?;
        let stored = ContactInfo::new(&contact);
        let receipt = self.store()?.submit(Command::Contact { customer, contact }).await.map_err(refused)?;
        Ok(sorted(&ContactResponse { contact: stored, changed: receipt != Receipt::Unchanged }))
    }

    /// Imports contacts. All of them are validated before the first is stored.
    async fn import(&self, body: Bytes) -> AdminResult {
        let ImportBody { contacts } = object(&body, r#"{"contacts": […]}"#)?;
        if contacts.len() > MAX_PAGE {
            return Err(unprocessable(format!("one request may contain at most {MAX_PAGE} contacts")));
        }
        let terms =
            contacts::ImportChecks { attributes: &self.attributes, statuses: &self.statuses, now: self.clock.now() };
        let mut commands = Vec::with_capacity(contacts.len());
        for Named { id: customer, contact } in contacts {
            let named = format!("{customer:?}");
            let command = contact.command(customer, terms);
            commands.push(command.map_err(|problem| unprocessable(format!("{named}: {problem}")))?);
        }
        let (store, all) = (self.store()?, commands.len());
        let mut changed = 0;
        for answer in join_all(commands.into_iter().map(|command| store.submit(command))).await {
            changed += usize::from(answer.map_err(refused)? != Receipt::Unchanged);
        }
        Ok(sorted(&ImportResponse { contacts: all, changed }))
    }

    async fn tag(&self, PathPart(id): PathPart, PathPart(name): PathPart, add: bool) -> AdminResult {
        let (customer, name) = (customer_id(&id)?, name.into_boxed_str());
        let known = self.store()?.customer(&customer).map_err(unreadable)?.is_some();
        if !known {
            return Err(ProblemDetails::new(ErrorKind::NotFound).detail("this customer is unknown"));
        }
        if add && !is_tag(&name) {
            let text = "a tag must have 1 to 64 bytes, without commas and control characters, as in `tag: NAME`";
            return Err(unprocessable(text.to_owned()));
        }
        let command = if add { Command::Tag { customer, name } } else { Command::Untag { customer, name } };
        match self.store()?.submit(command).await.map_err(refused)? {
            Receipt::Gone => Err(unprocessable("a customer can have at most 32 tags".to_owned())),
            receipt => Ok(sorted(&TagResponse { changed: receipt != Receipt::Unchanged })),
        }
    }

    async fn reload(&self) -> AdminResult {
        let rulebook = self.rulebook()?;
        match rulebook.reload().await {
            ReloadResult::Loaded { hash, rules } => {
                Ok(sorted(&ReloadResponse { result: "loaded".to_owned(), hash, count: rules }))
            }
            ReloadResult::Unchanged => {
                let loaded = rulebook.loaded();
                let (hash, count) = (loaded.hash.clone(), loaded.count);
                Ok(sorted(&ReloadResponse { result: "unchanged".to_owned(), hash, count }))
            }
            ReloadResult::Refused { text } => Err(unprocessable(text)),
            ReloadResult::Waits { text } => Err(ProblemDetails::new(ErrorKind::Conflict).detail(text)),
            ReloadResult::Failed(why) => Err(refused(why)),
        }
    }
}

/// A response whose fields are in alphabetical order at every level.
fn sorted(value: &impl Serialize) -> Response {
    json(StatusCode::OK, &serde_json::json!(value))
}

/// Parses a body that must be a JSON object. serde_json would also accept an array, or name Rust types in its error.
fn object<T: serde::de::DeserializeOwned>(body: &[u8], form: &str) -> Result<T, ProblemDetails> {
    if body.trim_ascii_start().first() != Some(&b'{') {
        return Err(malformed(format!("the body must be a JSON object such as {form}")));
    }
    serde_json::from_slice(body).map_err(|error| malformed(error.to_string()))
}

fn malformed(detail: String) -> ProblemDetails {
    ProblemDetails::new(ErrorKind::Malformed).detail(detail)
}

fn unprocessable(detail: String) -> ProblemDetails {
    ProblemDetails::new(ErrorKind::Unprocessable).detail(detail)
}

fn refused(refused: Refused) -> ProblemDetails {
    match refused {
        Refused::Failed => ProblemDetails::new(ErrorKind::Internal),
        other => ProblemDetails::new(ErrorKind::Unavailable).detail(other.to_string()),
    }
}

fn unreadable(error: StoreError) -> ProblemDetails {
    tracing::error!(%error, "the store could not be read");
    ProblemDetails::new(ErrorKind::Unavailable).detail(error.to_string())
}

fn customer_id(text: &str) -> Result<CustomerId, ProblemDetails> {
    CustomerId::new(text).map_err(|error| malformed(error.to_string()))
}
