//! Time zones by name, and the instants at which the clocks in a zone show a time.
//!
//! A name is looked up in the system's database first, because operating systems update it between releases of this program.
//! A name that the system does not know is looked up in the copy inside the binary, so a machine with no `/usr/share/zoneinfo`,
//! or with a part of it, knows each zone.

use std::collections::BTreeSet;

use jiff::{
    Timestamp, ZonedDateTime,
    civil::DateTime,
    fmt::temporal::DateTimeParser,
    tz::{AmbiguousOffset, TimeZone, TimeZoneDatabase},
};

/// The zone of this name, as `Europe/Berlin`. `None`: neither database knows it.
pub fn named(name: &str) -> Option<TimeZone> {
    TimeZone::get(name).or_else(|_| TimeZoneDatabase::bundled().get(name)).ok()
}

/// Each name that [`named`] knows, sorted.
pub fn names() -> Vec<String> {
    let bundled = TimeZoneDatabase::bundled();
    let names = jiff::tz::db().available().chain(bundled.available()).map(|name| name.to_string());
    names.collect::<BTreeSet<String>>().into_iter().collect()
}

/// Reads a time with an offset and the name of a zone, as `2026-03-03T21:30+00:00[Europe/Lisbon]`. An offset that the zone
/// does not have at that time is an error.
pub fn parse(text: &str, name: &str) -> Option<ZonedDateTime> {
    let parser = DateTimeParser::new();
    let system = jiff::tz::db();
    match system.get(name) {
        Ok(_) => parser.parse_zoned_datetime_with(system, text).ok(),
        Err(_) => parser.parse_zoned_datetime_with(&TimeZoneDatabase::bundled(), text).ok(),
    }
}

/// The first instant at which the clocks in the zone show this time. Where they are set forward over it: the first instant
/// after the gap.
pub fn first_instant(zone: &TimeZone, clocks: DateTime) -> Option<Timestamp> {
    // Of a time that comes twice this is the first one; of one that is skipped it lies behind the gap.
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
    fn a_zone_that_the_system_does_not_know_is_in_the_binary() {
        for name in ["UTC", "Europe/Berlin", "Australia/Lord_Howe", "America/Argentina/Buenos_Aires"] {
            assert!(TimeZoneDatabase::bundled().get(name).is_ok() && named(name).is_some(), "{name}");
        }
        assert!(named("Europe/Atlantis").is_none());
        assert!(names().iter().any(|name| name == "Europe/Berlin"));
    }

    #[test]
    fn a_time_that_comes_twice_is_the_first_and_a_skipped_one_ends_the_gap() {
        for (zone, clocks, instant) in [
            ("Europe/Berlin", "2026-07-01T12:00", "2026-07-01T10:00:00Z"),
            ("Europe/Berlin", "2026-10-25T02:30", "2026-10-25T00:30:00Z"),
            ("Europe/Berlin", "2026-03-29T02:30", "2026-03-29T01:00:00Z"),
            // Half an hour is skipped there.
            ("Australia/Lord_Howe", "2026-10-04T02:15", "2026-10-03T15:30:00Z"),
            // There was no such day.
            ("Pacific/Apia", "2011-12-30T09:00", "2011-12-30T10:00:00Z"),
        ] {
            let clocks: DateTime = clocks.parse().expect("a time");
            let instant: Timestamp = instant.parse().expect("an instant");
            assert_eq!(first_instant(&named(zone).expect("a zone"), clocks), Some(instant), "{zone} {clocks}");
        }
    }
}
