//! Durations as merchants write them: `48h`, `5d`, `30m`, `10s`, `500ms`.

use std::{fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

const UNITS: &[(&str, i64)] = &[("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

/// Maximum duration in milliseconds: about ten years. A longer one is taken for a mistake.
const MAX_MS: i64 = 3_660 * 86_400_000;

/// A positive duration in milliseconds, with the text from which it was parsed. A day is 24 hours.
///
/// Compared by length: `48h` equals `2d`. Serialised as its text.
#[derive(Clone, Debug)]
pub struct Duration {
    ms: i64,
    text: Arc<str>,
}

/// The reason a text is not a duration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DurationError {
    /// A number without a unit.
    NoUnit,
    /// Any other form, such as `1h30m`, `1 hour` or `P1D`.
    Unreadable,
    Zero,
    TooLong,
}

impl fmt::Display for DurationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoUnit => "has no unit; write as `30s`, `10m`, `48h` or `5d`",
            Self::Unreadable => "is not a duration; write one number and one unit, as `30s`, `10m`, `48h` or `5d`",
            Self::Zero => "is zero; write as `10m` or `48h`",
            Self::TooLong => "is longer than ten years",
        })
    }
}

impl std::error::Error for DurationError {}

impl Duration {
    pub fn ms(&self) -> i64 {
        self.ms
    }

    /// Formats milliseconds in the largest unit that divides them; one day is `24h`.
    pub fn text_of(ms: i64) -> String {
        const DAY_MS: i64 = 86_400_000;
        let fits = UNITS.iter().rev().find(|(_, unit)| ms != 0 && ms % unit == 0 && !(ms == DAY_MS && *unit == DAY_MS));
        fits.map_or_else(|| format!("{ms}ms"), |(name, unit)| format!("{}{name}", ms / unit))
    }

    pub fn as_std(&self) -> std::time::Duration {
        std::time::Duration::from_millis(self.ms.unsigned_abs())
    }
}

impl FromStr for Duration {
    type Err = DurationError;

    fn from_str(text: &str) -> Result<Self, DurationError> {
        let text = text.trim();
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at(digits);
        if number.is_empty() {
            return Err(DurationError::Unreadable);
        }
        if unit.is_empty() {
            return Err(if number.bytes().all(|b| b == b'0') { DurationError::Zero } else { DurationError::NoUnit });
        }
        let Some((_, ms)) = UNITS.iter().find(|(name, _)| *name == unit.trim_start()) else {
            return Err(DurationError::Unreadable);
        };
        let ms = number.parse::<i64>().ok().and_then(|number| number.checked_mul(*ms)).ok_or(DurationError::TooLong)?;
        match ms {
            0 => Err(DurationError::Zero),
            MAX_MS.. => Err(DurationError::TooLong),
            _ => Ok(Self { ms, text: text.into() }),
        }
    }
}

impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

impl PartialEq for Duration {
    fn eq(&self, other: &Self) -> bool {
        self.ms == other.ms
    }
}

impl Eq for Duration {}

impl PartialOrd for Duration {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Duration {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.ms.cmp(&other.ms)
    }
}

impl std::hash::Hash for Duration {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.ms.hash(state);
    }
}

impl Serialize for Duration {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for Duration {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(from)?;
        text.parse().map_err(|why| serde::de::Error::custom(format!("`{text}` {why}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_one_number_and_one_unit() {
        for (text, ms) in [
            ("48h", Ok(172_800_000)),
            ("5d", Ok(432_000_000)),
            ("30m", Ok(1_800_000)),
            ("10s", Ok(10_000)),
            ("250ms", Ok(250)),
            (" 2 h ", Ok(7_200_000)),
            ("10", Err(DurationError::NoUnit)),
            ("0h", Err(DurationError::Zero)),
            ("1h30m", Err(DurationError::Unreadable)),
            ("-1h", Err(DurationError::Unreadable)),
            ("5 days", Err(DurationError::Unreadable)),
            ("", Err(DurationError::Unreadable)),
            ("99999999999999999999d", Err(DurationError::TooLong)),
            ("4000d", Err(DurationError::TooLong)),
        ] {
            assert_eq!(text.parse::<Duration>().map(|d| d.ms()), ms, "{text}");
        }
        let (days, hours): (Duration, Duration) = ("2d".parse().expect("days"), "48h".parse().expect("hours"));
        assert_eq!(days, hours);
        assert_eq!((days.to_string(), hours.to_string()), ("2d".to_owned(), "48h".to_owned()));
    }
}
