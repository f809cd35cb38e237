//! One connection, from the accept to its end: TLS, HTTP/1, and the code around each request.
//!
//! The input of a peer can end only its own connection; a panic in a handler does not end even that. Refused requests
//! are counted and logged through [`Refusals`] only.

use std::{
    convert::Infallible, net::SocketAddr, panic::AssertUnwindSafe, pin::Pin, sync::Arc, task::Poll, time::Duration,
};

use futures_util::FutureExt;
use http::{
    HeaderValue, Request,
    header::{CACHE_CONTROL, TRANSFER_ENCODING},
};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use warp::reply::Response;

use super::{
    access::{AddressFilter, Peer},
    activity::{ConnectionActivity, ConnectionGuard, ConnectionPhase},
    framing,
    limits::ListenerLimits,
    reply::{ErrorKind, ProblemDetails},
    tls::TlsConfig,
    tracked_io::{ChunkSizes, RequestBody, ResponseBody, TrackedIo},
};
use crate::telemetry::{Refusal, Refusals};

/// The largest piece of a body that is read at once, in bytes. A whole callback fits.
const READ_BYTES: usize = 64 * 1024;
/// The first byte of a TLS connection.
const TLS_HANDSHAKE: [u8; 1] = [22];

/// A service that serves requests: `warp::service(…)`, or any other service with the same types.
pub(super) trait Routes:
    tower::Service<Request<RequestBody>, Response = Response, Error = Infallible, Future: Send>
    + Clone
    + Send
    + Sync
    + 'static
{
}

impl<S> Routes for S where
    S: tower::Service<Request<RequestBody>, Response = Response, Error = Infallible, Future: Send>
        + Clone
        + Send
        + Sync
        + 'static
{
}

/// The state that all connections of a listener share.
pub(super) struct ListenerShared<S> {
    http: http1::Builder,
    tls: Option<TlsConfig>,
    pub(super) access: AddressFilter,
    pub(super) refusals: Arc<Refusals>,
    routes: S,
}

impl<S> ListenerShared<S> {
    pub(super) fn new(
        limits: &ListenerLimits,
        tls: Option<TlsConfig>,
        access: AddressFilter,
        refusals: Arc<Refusals>,
        routes: S,
    ) -> Self {
        let mut http = http1::Builder::new();
        // The listener's sweep replaces this timeout, without a timer for each request.
        http.header_read_timeout(None)
            .half_close(true)
            .max_header_size(limits.max_header_bytes)
            .max_buf_size(READ_BYTES.max(limits.max_header_bytes * 2));
        Self { http, tls, access, refusals, routes }
    }
}

pub(super) async fn run<S: Routes>(
    stream: TcpStream,
    socket: SocketAddr,
    presence: ConnectionGuard,
    shared: Arc<ListenerShared<S>>,
) {
    let activity = &presence.0;
    // If this fails, responses are only slower.
    let _ = stream.set_nodelay(true);
    // No buffers and no HTTP state are allocated before the peer has sent a byte.
    let mut first = [0];
    let Some(Ok(1)) = activity.unless_closed(stream.peek(&mut first)).await else {
        if activity.is_late() {
            shared.refusals.note(Refusal::head_timeout, "connection", "received no data");
        }
        return;
    };
    let Some(tls) = &shared.tls else { return Box::pin(serve(stream, socket, activity, &shared)).await };
    if first != TLS_HANDSHAKE {
        shared.refusals.note(Refusal::no_tls, "connection", "does not begin with a TLS handshake");
        let problem = ProblemDetails::new(ErrorKind::Malformed).detail("this port requires HTTPS");
        activity.leave_unread();
        return write_raw(&mut TrackedIo::new(stream, activity.clone()), &problem).await;
    }
    match activity.unless_closed(Box::pin(tls.acceptor().accept(stream))).await {
        Some(Ok(stream)) => Box::pin(serve(stream, socket, activity, &shared)).await,
        Some(Err(error)) => shared.refusals.note(Refusal::tls, "handshake", error),
        None if activity.is_late() => shared.refusals.note(Refusal::tls, "handshake", "took too long"),
        None => {}
    }
}

/// Writes a problem to a stream that is not served by hyper.
async fn write_raw<T: AsyncRead + AsyncWrite + Unpin>(stream: &mut T, problem: &ProblemDetails) {
    let answer = problem.raw_response();
    let said = async {
        stream.write_all(answer.as_bytes()).await?;
        stream.shutdown().await
    };
    // This has its own timeout, because the sweep may have closed the connection already. The write is then abandoned.
    let _ = timeout(Duration::from_secs(1), said).await;
}

async fn serve<S, T>(stream: T, socket: SocketAddr, activity: &Arc<ConnectionActivity>, shared: &ListenerShared<S>)
where
    S: Routes,
    T: AsyncRead + AsyncWrite + Unpin,
{
    // Cloned once for each connection, not for each request.
    let routes = std::cell::RefCell::new(shared.routes.clone());
    let (access, refusals) = (&shared.access, &*shared.refusals);
    let service = service_fn(move |request: Request<Incoming>| {
        // A filter may panic both when it is called and when it is polled.
        let called = receive(request, socket, activity, access, refusals)
            .map(|request| std::panic::catch_unwind(AssertUnwindSafe(|| routes.borrow_mut().call(request))));
        let activity = activity.clone();
        async move {
            let mut response = match called {
                Err(problem) => problem.response(),
                Ok(Err(_)) => after_panic(refusals),
                Ok(Ok(response)) => match AssertUnwindSafe(response).catch_unwind().await {
                    Ok(Ok(response)) => response,
                    Ok(Err(never)) => match never {},
                    Err(_) => after_panic(refusals),
                },
            };
            response.headers_mut().entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
            Ok::<_, Infallible>(response.map(|body| ResponseBody::new(body, activity)))
        }
    });
    let io = TokioIo::new(TrackedIo::new(stream, activity.clone()));
    let mut connection = shared.http.serve_connection(io, service);
    let mut told = false;
    let ended = std::future::poll_fn(|cx| {
        activity.signalled(cx);
        if let Poll::Ready(ended) = connection.poll_unpin(cx) {
            return Poll::Ready(Some(ended));
        }
        if activity.is_closing() {
            return Poll::Ready(None);
        }
        if activity.is_draining() && !told {
            told = true;
            Pin::new(&mut connection).graceful_shutdown();
            return connection.poll_unpin(cx).map(Some);
        }
        Poll::Pending
    });
    match ended.await {
        Some(Ok(())) => {}
        Some(Err(error)) if error.is_parse_too_large() => {
            refusals.note(Refusal::headers_too_large, "head", "is too large");
        }
        Some(Err(error)) if error.is_parse() => refusals.note(Refusal::not_http, "head", error),
        // The peer has closed the connection during a request or a response.
        Some(Err(_)) => {}
        None if activity.is_late() && activity.phase() == ConnectionPhase::Head => {
            refusals.note(Refusal::head_timeout, "head", "took too long");
            let problem =
                ProblemDetails::new(ErrorKind::Timeout).detail("the request's headers did not arrive in time");
            write_raw(connection.into_parts().io.inner_mut(), &problem).await;
        }
        None => {}
    }
}

/// Returns the request for the routes, or the problem for a request that the routes must not see.
fn receive(
    request: Request<Incoming>,
    socket: SocketAddr,
    activity: &Arc<ConnectionActivity>,
    access: &AddressFilter,
    refusals: &Refusals,
) -> Result<Request<RequestBody>, ProblemDetails> {
    let mut request = request.map(|body| RequestBody::new(body, activity.clone()));
    let client = access.client(socket.ip(), request.headers());
    if !access.allows(client) {
        refusals.note(Refusal::forbidden, "address", "is not allowed");
        return Err(ProblemDetails::new(ErrorKind::Forbidden).detail("this address may not connect"));
    }
    let has_length = activity.seen().is_some_and(|seen| seen.has_length);
    if let Some((refusal, field, reason, problem)) = framing::framing_error(&request, has_length) {
        refusals.note(refusal, field, reason);
        return Err(problem);
    }
    if request.headers().contains_key(TRANSFER_ENCODING) {
        request.extensions_mut().insert(ChunkSizes(activity.clone()));
    }
    request.extensions_mut().insert(Peer { socket, client });
    Ok(request)
}

/// The panic hook has logged the location. The panic message is not logged, because it may contain a customer's data.
fn after_panic(refusals: &Refusals) -> Response {
    refusals.note(Refusal::panic, "handler", "panicked");
    ProblemDetails::new(ErrorKind::Internal).response()
}
