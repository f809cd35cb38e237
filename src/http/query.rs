//! Parses the query of a request, and reports which part of it is invalid.

use std::future::ready;

use serde::de::DeserializeOwned;
use warp::{Filter, Rejection};

use super::reply::{ErrorKind, ProblemDetails};

/// Only use this after the token has been checked, because the error repeats names and values of the request.
pub fn query<T: DeserializeOwned + Send>() -> impl Filter<Extract = (T,), Error = Rejection> + Copy {
    let none = || warp::any().map(String::new);
    let raw = warp::query::raw().or(none()).unify();
    raw.and_then(|raw: String| {
        ready(read(&raw).map_err(|detail| ProblemDetails::new(ErrorKind::Malformed).detail(detail).reject()))
    })
}

fn read<T: DeserializeOwned>(raw: &str) -> Result<T, String> {
    let pairs = serde_urlencoded::Deserializer::new(form_urlencoded::parse(raw.as_bytes()));
    serde_path_to_error::deserialize(pairs).map_err(|error: serde_path_to_error::Error<serde_urlencoded::de::Error>| {
        let path = error.path().to_string();
        let why = error.inner().to_string().replacen("field", "parameter", 1);
        if path == "." || why.contains(" parameter `") {
            format!("the query cannot be read: {why}")
        } else {
            format!("the query cannot be read: {path}: {why}")
        }
    })
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize, PartialEq, Eq)]
    #[serde(deny_unknown_fields)]
    struct QueryPairs {
        customer: Option<String>,
        limit: Option<usize>,
    }

    #[test]
    fn the_error_names_the_part_that_is_invalid() {
        let asked = QueryPairs { customer: Some("C 1".into()), limit: Some(7) };
        assert_eq!(read("customer=C%201&limit=7"), Ok(asked));
        assert_eq!(read(""), Ok(QueryPairs { customer: None, limit: None }));
        for (raw, said) in [
            ("max=7", "unknown parameter `max`, expected `customer` or `limit`"),
            ("limit=many", "limit: invalid digit"),
            ("limit=1&limit=2", "duplicate parameter `limit`"),
        ] {
            let why = read::<QueryPairs>(raw).expect_err(raw);
            assert!(why.contains(said), "{raw}: {why}");
        }
    }
}
