//! The stream and the bodies of a connection; each records its progress in the [`ConnectionActivity`].
//!
//! This module does not buffer, box or set timers.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{
    activity::{ConnectionActivity, ConnectionPhase},
    scan::HeadScan,
};

/// The maximum number of bytes that a peer may still send after a response that did not wait for its request's end.
const LINGER_BYTES: usize = 16 * 1024 * 1024;

/// A stream that records reads and blocked writes, and that closes without losing the response.
pub(super) struct TrackedIo<T> {
    io: T,
    activity: Arc<ConnectionActivity>,
    scan: HeadScan,
    closing: Closing,
}

enum Closing {
    Open,
    Lingering { left: usize },
    Closed,
}

impl<T> TrackedIo<T> {
    pub(super) fn new(io: T, activity: Arc<ConnectionActivity>) -> Self {
        Self { io, activity, scan: HeadScan::default(), closing: Closing::Open }
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for TrackedIo<T> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.io).poll_read(cx, buf);
        if buf.filled().len() > before {
            if self.activity.bytes_read() {
                self.scan = HeadScan::default();
            }
            if let Some(seen) = self.scan.read(&buf.filled()[before..]) {
                self.activity.bytes_written(seen);
            }
        }
        polled
    }
}

impl<T> TrackedIo<T> {
    fn note<O>(&self, polled: Poll<O>) -> Poll<O> {
        match &polled {
            Poll::Pending => self.activity.stalled(),
            Poll::Ready(_) => self.activity.unstalled(),
        }
        polled
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> TrackedIo<T> {
    /// Reads and discards data until the peer closes, `left` bytes have arrived, or the sweep ends the connection.
    /// Closing a socket with unread data would reset the connection, and the peer might never see the response.
    fn poll_linger(&mut self, cx: &mut Context<'_>, mut left: usize) -> Poll<()> {
        let mut waste = [0; 8 * 1024];
        while left > 0 {
            let mut buf = ReadBuf::new(&mut waste);
            match Pin::new(&mut self.io).poll_read(cx, &mut buf) {
                Poll::Ready(Ok(())) if !buf.filled().is_empty() => left = left.saturating_sub(buf.filled().len()),
                Poll::Ready(_) => return Poll::Ready(()),
                Poll::Pending => {
                    self.closing = Closing::Lingering { left };
                    return Poll::Pending;
                }
            }
        }
        Poll::Ready(())
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncWrite for TrackedIo<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.io).poll_write(cx, buf);
        self.note(polled)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.io).poll_write_vectored(cx, bufs);
        self.note(polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.io).poll_flush(cx);
        self.note(polled)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if matches!(self.closing, Closing::Open) {
            ready!(Pin::new(&mut self.io).poll_shutdown(cx))?;
            let unread = self.activity.has_unread() || self.activity.phase() == ConnectionPhase::Head;
            self.closing = if unread { Closing::Lingering { left: LINGER_BYTES } } else { Closing::Closed };
            self.activity.enter(ConnectionPhase::Linger);
        }
        if let Closing::Lingering { left } = self.closing {
            ready!(self.poll_linger(cx, left));
            self.closing = Closing::Closed;
        }
        Poll::Ready(Ok(()))
    }
}

/// The body of a request: records its end, and fails with [`BodyTimeout`] if the listener says that it exceeded its timeout.
pub(super) struct RequestBody {
    body: Incoming,
    activity: Arc<ConnectionActivity>,
    ended: bool,
}

/// The body did not arrive in time.
#[derive(Debug)]
pub(super) struct BodyTimeout;

impl std::fmt::Display for BodyTimeout {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the body did not arrive in time")
    }
}

impl std::error::Error for BodyTimeout {}

impl RequestBody {
    pub(super) fn new(body: Incoming, activity: Arc<ConnectionActivity>) -> Self {
        let ended = body.is_end_stream();
        activity.begin(ended);
        Self { body, activity, ended }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let frame = match Pin::new(&mut self.body).poll_frame(cx) {
            Poll::Ready(frame) => frame,
            Poll::Pending if self.activity.is_body_late() => return Poll::Ready(Some(Err(BodyTimeout.into()))),
            Poll::Pending => return Poll::Pending,
        };
        if !self.ended && (frame.is_none() || self.body.is_end_stream()) {
            self.ended = true;
            self.activity.complete();
        }
        Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        if !self.ended {
            self.activity.leave_unread();
            self.activity.complete();
        }
    }
}

/// The sum of a body's announced chunk sizes; an extension of requests with a chunked body.
#[derive(Clone)]
pub(super) struct ChunkSizes(pub(super) Arc<ConnectionActivity>);

impl ChunkSizes {
    /// In bytes, as far as the chunk sizes are known.
    pub(super) fn bytes(&self) -> u64 {
        self.0.seen().map_or(0, |seen| seen.announced)
    }
}

/// The body of a response. When it is dropped, the connection becomes idle.
pub(super) struct ResponseBody<B> {
    body: B,
    activity: Arc<ConnectionActivity>,
}

impl<B> ResponseBody<B> {
    pub(super) fn new(body: B, activity: Arc<ConnectionActivity>) -> Self {
        Self { body, activity }
    }
}

impl<B: Body + Unpin> Body for ResponseBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl<B> Drop for ResponseBody<B> {
    fn drop(&mut self) {
        self.activity.enter(ConnectionPhase::Idle);
    }
}
