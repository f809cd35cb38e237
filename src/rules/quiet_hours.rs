//! The daily hours in which customers get no mail.

use std::{fmt, str::FromStr};

use jiff::tz::TimeZone;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::clock::Timestamp;

const MINUTE_MS: i64 = 60_000;
const DAY_MS: i64 = 24 * 60 * MINUTE_MS;

/// Maximum number of clock changes (daylight saving time) considered in one period. No zone has this many in a day.
const MAX_TRANSITIONS: usize = 16;

/// The hours in which the customer gets no mail, in the customer's time zone. `20:00-09:00` spans midnight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct QuietHours {
    /// Minutes since midnight, below 1440; never equal to `until`.
    pub from: u16,
    /// The first minute that is not quiet. Minutes since midnight.
    pub until: u16,
}

impl QuietHours {
    /// Whether this minute of the day is in the quiet hours.
    pub const fn holds_at(self, minute: u16) -> bool {
        if self.from < self.until {
            self.from <= minute && minute < self.until
        } else {
            minute >= self.from || minute < self.until
        }
    }

    /// Returns the first instant after `now` that is not in the quiet hours of this zone; `None` if `now` is not in
    /// them. Local time can show the end of the hours twice when clocks go back, and can skip it when clocks go
    /// forward.
    pub fn end(self, now: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let mut at = now;
        for _ in 0..MAX_TRANSITIONS {
            let shown_ms = ms_of_day(zone, at);
            if !self.holds_at(u16::try_from(shown_ms / MINUTE_MS).unwrap_or_default()) {
                break;
            }
            // Local time is linear until the next transition.
            let end = at.plus_ms((i64::from(self.until) * MINUTE_MS - shown_ms).rem_euclid(DAY_MS));
            let transition = zone.following(at.to_jiff()).next().map(|next| Timestamp::from(next.timestamp()));
            match transition.filter(|transition| *transition > at && *transition <= end) {
                Some(transition) => at = transition,
                None => return Some(end),
            }
        }
        (at > now).then_some(at)
    }
}

/// The local time of day in this zone, in milliseconds since midnight.
fn ms_of_day(zone: &TimeZone, at: Timestamp) -> i64 {
    let time = zone.to_datetime(at.to_jiff()).time();
    let seconds = (i64::from(time.hour()) * 60 + i64::from(time.minute())) * 60 + i64::from(time.second());
    seconds * 1_000 + i64::from(time.millisecond())
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
        let form = || format!("`{text}` is not a time range; write start and end, for example \"20:00-09:00\"");
        let (from, until) = text.split_once(['-', '–']).ok_or_else(form)?;
        let (from, until) = (minute_of_day(from).ok_or_else(form)?, minute_of_day(until).ok_or_else(form)?);
        if from == until {
            return Err(format!("`{text}` starts and ends at the same time; write, for example, \"20:00-09:00\""));
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
    use proptest::prelude::*;

    use super::*;
    use crate::zone;

    fn at(text: &str) -> Timestamp {
        text.parse::<jiff::Timestamp>().expect("an instant").into()
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

    #[test]
    fn they_end_at_the_first_instant_outside_the_hours() {
        for (hours, name, now, end) in [
            // Local time is 02:30 at 00:30Z and again at 01:30Z.
            ("22:00-02:30", "Europe/Berlin", "2026-10-25T01:10:00Z", Some("2026-10-25T01:30:00Z")),
            ("22:00-02:30", "Europe/Berlin", "2026-10-24T22:00:00Z", Some("2026-10-25T00:30:00Z")),
            ("22:00-02:30", "Europe/Berlin", "2026-10-25T00:40:00Z", None),
            // Clocks go back from inside the hours to before them.
            ("02:30-04:00", "Europe/Berlin", "2026-10-25T00:45:00Z", Some("2026-10-25T01:00:00Z")),
            ("02:30-04:00", "Europe/Berlin", "2026-10-25T01:30:00Z", Some("2026-10-25T03:00:00Z")),
            // Local time never is 02:30.
            ("22:00-02:30", "Europe/Berlin", "2026-03-29T00:10:00Z", Some("2026-03-29T01:00:00Z")),
            ("02:30-05:00", "Europe/Berlin", "2026-03-29T01:00:00Z", Some("2026-03-29T03:00:00Z")),
            ("02:10-02:50", "Europe/Berlin", "2026-03-29T01:00:00Z", None),
            // Clocks go forward by half an hour, and back by half an hour.
            ("20:00-02:15", "Australia/Lord_Howe", "2026-10-03T15:00:00Z", Some("2026-10-03T15:30:00Z")),
            ("20:00-01:45", "Australia/Lord_Howe", "2026-04-04T15:05:00Z", Some("2026-04-04T15:15:00Z")),
            // 30 December did not exist.
            ("20:00-00:00", "Pacific/Apia", "2011-12-30T08:00:00Z", Some("2011-12-30T10:00:00Z")),
        ] {
            let hours: QuietHours = hours.parse().expect("hours");
            let zone = zone::named(name).expect("a zone");
            assert_eq!(hours.end(at(now), &zone), end.map(at), "{hours} {name} {now}");
        }
    }

    const NIGHTS: [(&str, &str); 8] = [
        ("Europe/Berlin", "2026-10-25T01:00:00Z"),
        ("Europe/Berlin", "2026-03-29T01:00:00Z"),
        ("Australia/Lord_Howe", "2026-10-03T15:30:00Z"),
        ("Australia/Lord_Howe", "2026-04-04T15:00:00Z"),
        ("Pacific/Apia", "2011-12-30T10:00:00Z"),
        ("America/New_York", "2026-11-01T06:00:00Z"),
        ("Africa/Casablanca", "2026-02-15T02:00:00Z"),
        ("Asia/Kathmandu", "2026-06-01T00:00:00Z"),
    ];

    proptest! {
        #[test]
        fn they_end_at_the_minute_that_a_search_by_minutes_finds(
            night in 0..NIGHTS.len(), before in -2_000_i64..2_000, ms in 0..MINUTE_MS, from in 0_u16..1_440, length in 1_u16..1_440,
        ) {
            let (name, change) = NIGHTS[night];
            let zone = zone::named(name).expect("a zone");
            let hours = QuietHours { from, until: (from + length) % 1_440 };
            let minute = at(change).plus_ms(before * MINUTE_MS);
            let is_quiet = |at: Timestamp| hours.holds_at(u16::try_from(ms_of_day(&zone, at) / MINUTE_MS).expect("a minute"));
            let mut walk = minute;
            while is_quiet(walk) {
                walk = walk.plus_ms(MINUTE_MS);
            }
            prop_assert_eq!(hours.end(minute.plus_ms(ms), &zone), (walk > minute).then_some(walk));
        }
    }
}
