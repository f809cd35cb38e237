//! What holds an action back: how often, and at which hours.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::source::Duration;

/// `1 per 24h`: so many orders of one action to one customer in a rolling window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Limit {
    /// 1 to 100.
    pub count: u32,
    #[serde(rename = "ms")]
    pub window_ms: i64,
}

impl FromStr for Limit {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let form = || format!("`{text}` is no limit; write as `1 per 24h`");
        let (count, window) = text.split_once(" per ").ok_or_else(form)?;
        let count: u32 = count.trim().parse().map_err(|_| form())?;
        if !(1..=100).contains(&count) {
            return Err(format!("a limit is 1 to 100 in a time, not {count}; `mode: paused` stops a rule"));
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

/// The hours at which no mail goes to a customer, by the customer's clock; `20:00-09:00` spans midnight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct QuietHours {
    /// Minutes since midnight, below 1440; never equal to `until`.
    pub from: u16,
    /// The first minute at which mails go again.
    pub until: u16,
}

impl QuietHours {
    /// Whether this minute of the day is quiet.
    pub const fn holds_at(self, minute: u16) -> bool {
        if self.from < self.until {
            self.from <= minute && minute < self.until
        } else {
            minute >= self.from || minute < self.until
        }
    }
}

fn minute_of_day(text: &str) -> Option<u16> {
    let (hour, minute) = text.trim().split_once(':')?;
    let number = |text: &str| (matches!(text.len(), 1..=2)).then(|| text.parse::<u16>().ok()).flatten();
    let (hour, minute) = (number(hour)?, number(minute).filter(|_| minute.len() == 2)?);
    (hour < 24 && minute < 60).then_some(hour * 60 + minute)
}

impl FromStr for QuietHours {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let form = || format!("`{text}` are no hours; write from and to, as \"20:00-09:00\"");
        let (from, until) = text.split_once(['-', '–']).ok_or_else(form)?;
        let (from, until) = (minute_of_day(from).ok_or_else(form)?, minute_of_day(until).ok_or_else(form)?);
        if from == until {
            return Err(format!("`{text}` begins when it ends; write as \"20:00-09:00\""));
        }
        Ok(Self { from, until })
    }
}

impl fmt::Display for QuietHours {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}:{:02}-{:02}:{:02}", self.from / 60, self.from % 60, self.until / 60, self.until % 60)
    }
}

impl Serialize for QuietHours {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for QuietHours {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(from)?;
        text.parse().map_err(serde::de::Error::custom)
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

    #[test]
    fn quiet_hours_may_span_midnight() {
        let night: QuietHours = "20:00-09:00".parse().expect("hours");
        let hours = |hour: u16| night.holds_at(hour * 60);
        assert!(hours(20) && hours(23) && hours(0) && hours(8));
        assert!(!hours(9) && !hours(12) && !hours(19));
        let noon: QuietHours = "9:30 - 12:00".parse().expect("hours");
        assert!(noon.holds_at(570) && !noon.holds_at(720) && !noon.holds_at(0));
        assert_eq!(noon.to_string(), "09:30-12:00");
        for wrong in ["22:00", "24:00-09:00", "20-9", "20:00-20:00", "20:0-09:00", "1320"] {
            assert!(wrong.parse::<QuietHours>().is_err(), "{wrong}");
        }
    }
}
