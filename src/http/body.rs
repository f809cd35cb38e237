//! Reads the body of a request, up to a cap.
//!
//! Handles bodies with a declared length and chunked bodies, buffers at most the cap, and copies nothing if the body
//! arrives in one piece. A length or a chunk size beyond the cap is refused before the data is read. This module has no
//! timer: the listener ends a body that exceeds its timeout, and the reader gets an error.

use std::{error::Error, fmt, future::poll_fn, pin::pin, task::Poll};

use bytes::{Buf, Bytes, BytesMut};
use futures_util::{Stream, StreamExt};
use warp::{Filter, Rejection};

use super::{
    reply::{ErrorKind, ProblemDetails},
    tracked_io::{BodyTimeout, ChunkSizes},
};

/// The reason why a body could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyError {
    TooLarge {
        /// In bytes.
        max: usize,
    },
    Late,
    /// The connection ended, or the chunks were malformed.
    Broken,
}

impl fmt::Display for BodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge { max } => write!(f, "the body is larger than {max} bytes"),
            Self::Late => f.write_str("the body did not arrive in time"),
            Self::Broken => f.write_str("the body is incomplete or malformed"),
        }
    }
}

impl Error for BodyError {}

impl From<BodyError> for ProblemDetails {
    fn from(error: BodyError) -> Self {
        let kind = match error {
            BodyError::TooLarge { .. } => ErrorKind::TooLarge,
            BodyError::Late => ErrorKind::Timeout,
            BodyError::Broken => ErrorKind::Malformed,
        };
        Self::new(kind).detail(error.to_string())
    }
}

/// Returns the body of the request, of at most `max` bytes; otherwise rejects with 408, 413 or 400.
pub fn capped_body(max: usize) -> impl Filter<Extract = (Bytes,), Error = Rejection> + Clone {
    warp::header::optional::<u64>("content-length")
        .and(warp::ext::optional::<ChunkSizes>())
        .and(warp::body::stream())
        .and_then(move |declared: Option<u64>, announced: Option<ChunkSizes>, body| async move {
            let mut read = pin!(read_capped(body, declared, max));
            let beyond = || announced.as_ref().is_some_and(|announced| announced.bytes() > max as u64);
            let read = poll_fn(|cx| match read.as_mut().poll(cx) {
                Poll::Pending | Poll::Ready(Err(BodyError::Broken)) if beyond() => {
                    Poll::Ready(Err(BodyError::TooLarge { max }))
                }
                polled => polled,
            });
            read.await.map_err(|error| ProblemDetails::from(error).reject())
        })
}

/// Reads a body. `declared` is its length in bytes, if known.
pub async fn read_capped<S, B, E>(body: S, declared: Option<u64>, max: usize) -> Result<Bytes, BodyError>
where
    S: Stream<Item = Result<B, E>>,
    B: Buf,
    E: Error + 'static,
{
    let too_large = BodyError::TooLarge { max };
    if declared.is_some_and(|length| length > max as u64) {
        return Err(too_large);
    }
    let mut body = pin!(body);
    let mut next = async || match body.next().await {
        Some(Ok(piece)) => Ok(Some(piece)),
        Some(Err(error)) if is_late(&error) => Err(BodyError::Late),
        Some(Err(_)) => Err(BodyError::Broken),
        None => Ok(None),
    };
    let mut piece = async || match next().await? {
        Some(mut piece) if piece.remaining() <= max => Ok(Some(piece.copy_to_bytes(piece.remaining()))),
        Some(_) => Err(too_large),
        None => Ok(None),
    };
    let Some(first) = piece().await? else { return Ok(Bytes::new()) };
    let Some(second) = piece().await? else { return Ok(first) };
    let expected = declared.and_then(|length| usize::try_from(length).ok()).unwrap_or(first.len() + second.len());
    let mut whole = BytesMut::with_capacity(expected.min(max));
    whole.extend_from_slice(&first);
    let mut following = Some(second);
    while let Some(bytes) = following {
        if whole.len() + bytes.len() > max {
            return Err(too_large);
        }
        whole.extend_from_slice(&bytes);
        following = piece().await?;
    }
    Ok(whole.freeze())
}

/// Whether the listener ended this body because of its timeout. warp and hyper wrap that error in their own.
fn is_late(error: &(dyn Error + 'static)) -> bool {
    error.is::<BodyTimeout>() || error.source().is_some_and(is_late)
}

#[cfg(test)]
mod tests {
    use std::{convert::Infallible, io};

    use super::*;

    async fn read(pieces: &[&'static str], declared: Option<u64>, max: usize) -> Result<Bytes, BodyError> {
        let pieces = pieces.iter().map(|piece| Ok::<_, Infallible>(Bytes::from_static(piece.as_bytes())));
        read_capped(futures_util::stream::iter(pieces), declared, max).await
    }

    #[tokio::test]
    async fn a_body_is_read_up_to_the_cap() {
        let too_large = Err(BodyError::TooLarge { max: 6 });
        assert_eq!(read(&[], None, 6).await, Ok(Bytes::new()));
        assert_eq!(read(&["abc", "", "def"], None, 6).await, Ok(Bytes::from("abcdef")));
        assert_eq!(read(&["abc", "d", "efg"], None, 6).await, too_large);
        assert_eq!(read(&["abcdefg"], None, 6).await, too_large);
        assert_eq!(read(&[], Some(7), 6).await, too_large);
        assert_eq!(read(&["a", "b"], Some(u64::MAX), 6).await, too_large);
    }

    #[tokio::test]
    async fn a_body_in_one_piece_is_not_copied() {
        let piece = Bytes::from(vec![7; 100]);
        let stream = futures_util::stream::iter([Ok::<_, Infallible>(piece.clone())]);
        assert_eq!(read_capped(stream, Some(100), 100).await.expect("read").as_ptr(), piece.as_ptr());
    }

    #[tokio::test]
    async fn a_timeout_and_a_broken_body_are_different_errors() {
        let late = futures_util::stream::iter([Err::<Bytes, _>(BodyTimeout)]);
        assert_eq!(read_capped(late, None, 9).await, Err(BodyError::Late));
        let broken = futures_util::stream::iter([Err::<Bytes, _>(io::Error::other("reset"))]);
        assert_eq!(read_capped(broken, None, 9).await, Err(BodyError::Broken));
    }
}
