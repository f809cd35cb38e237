//! The `limit` of an action: how often it may be ordered for one customer.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::yaml::Duration;

/// `1 per 24h`: the maximum number of orders of one action for one customer in a rolling window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Limit {
    /// 1 to 100.
    pub count: u32,
    /// Length of the window, in milliseconds.
    #[serde(rename = "ms")]
    pub window_ms: i64,
}

impl FromStr for Limit {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let form = || format!("`{text}` is not a limit; write, for example, `1 per 24h`");
        let (count, window) = text.split_once(" per ").ok_or_else(form)?;
        let count: u32 = count.trim().parse().map_err(|_| form())?;
        if !(1..=100).contains(&count) {
            return Err(format!("a limit is 1 to 100 orders, not {count}; to stop a rule, write `mode: paused`"));
        }
        let window = window.trim();
        let window: Duration = window.parse().map_err(|why| format!("limit: `{window}` {why}"))?;
        Ok(Self { count, window_ms: window.ms() })
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} per {}", self.count, Duration::text_of(self.window_ms))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_a_count_and_a_window() {
        assert_eq!("1 per 24h".parse(), Ok(Limit { count: 1, window_ms: 86_400_000 }));
        for wrong in ["1/24h", "0 per 1h", "101 per 1h", "one per day", "1 per 24", "1 per  "] {
            assert!(wrong.parse::<Limit>().is_err(), "{wrong}");
        }
    }
}
