//! Time zones by name, and conversion from local times to instants.
//!
//! A name is looked up in the system's database first, because operating systems update it between releases of this
//! program. Otherwise it is looked up in the copy inside the binary, so that a machine without `/usr/share/zoneinfo`,
//! or with only a part of it, knows every zone.

use std::collections::BTreeSet;

use jiff::{
    Timestamp, ZonedDateTime,
    civil::DateTime,
    fmt::temporal::DateTimeParser,
    tz::{AmbiguousOffset, TimeZone, TimeZoneDatabase},
};

/// The zone with this name, such as `Europe/Berlin`. `None`: neither database has it.
pub fn named(name: &str) -> Option<TimeZone> {
    TimeZone::get(name).or_else(|_| TimeZoneDatabase::bundled().get(name)).ok()
}

/// All names that [`named`] accepts, sorted.
pub fn names() -> Vec<String> {
    let bundled = TimeZoneDatabase::bundled();
    let names = jiff::tz::db().available().chain(bundled.available()).map(|name| name.to_string());
    names.collect::<BTreeSet<String>>().into_iter().collect()
}

/// Parses a time with an offset and the name of a zone, such as `2026-03-03T21:30+00:00[Europe/Lisbon]`. Returns `None`
/// for an offset that the zone does not have at that time.
pub fn parse(text: &str, name: &str) -> Option<ZonedDateTime> {
    let parser = DateTimeParser::new();
    let system = jiff::tz::db();
    match system.get(name) {
        Ok(_) => parser.parse_zoned_datetime_with(system, text).ok(),
        Err(_) => parser.parse_zoned_datetime_with(&TimeZoneDatabase::bundled(), text).ok(),
    }
}

/// The first instant at which the local time in the zone is `clocks`. For a local time that is skipped: the first
/// instant after the gap.
pub fn first_instant(zone: &TimeZone, clocks: DateTime) -> Option<Timestamp> {
    // For a local time that occurs twice this is the first instant; for a skipped one it lies behind the gap.
    let ambiguous = zone.to_ambiguous_timestamp(clocks);
    let skipped = matches!(ambiguous.offset(), AmbiguousOffset::Gap { .. });
    let instant = ambiguous.compatible().ok()?;
    if !skipped {
        return Some(instant);
    }
    let after = instant.checked_add(jiff::SignedDuration::from_nanos(1)).ok()?;
    zone.preceding(after).next().map(|transition| transition.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_binary_contains_the_zones_that_the_system_may_lack() {
        for name in ["UTC", "Europe/Berlin", "Australia/Lord_Howe", "America/Argentina/Buenos_Aires"] {
            assert!(TimeZoneDatabase::bundled().get(name).is_ok() && named(name).is_some(), "{name}");
        }
        assert!(named("Europe/Atlantis").is_none());
        assert!(names().iter().any(|name| name == "Europe/Berlin"));
    }

    #[test]
    fn a_repeated_time_is_the_first_instant_and_a_skipped_time_the_end_of_the_gap() {
        for (zone, clocks, instant) in [
            ("Europe/Berlin", "2026-07-01T12:00", "2026-07-01T10:00:00Z"),
            ("Europe/Berlin", "2026-10-25T02:30", "2026-10-25T00:30:00Z"),
            ("Europe/Berlin", "2026-03-29T02:30", "2026-03-29T01:00:00Z"),
            // Half an hour is skipped there.
            ("Australia/Lord_Howe", "2026-10-04T02:15", "2026-10-03T15:30:00Z"),
            // This day did not exist there.
            ("Pacific/Apia", "2011-12-30T09:00", "2011-12-30T10:00:00Z"),
        ] {
            let clocks: DateTime = clocks.parse().expect("a time");
            let instant: Timestamp = instant.parse().expect("an instant");
            assert_eq!(first_instant(&named(zone).expect("a zone"), clocks), Some(instant), "{zone} {clocks}");
        }
    }
}
