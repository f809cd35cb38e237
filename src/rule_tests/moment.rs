//! Times in tests, as read and shown: `2026-03-03T21:30`, with or without a zone.

use jiff::{
    ZonedDateTime,
    civil::DateTime,
    fmt::temporal::{Pieces, TimeZoneAnnotationKind},
    tz::TimeZone,
};

use super::test::{TestStart, TimeExpression};
use crate::{
    clock::Timestamp,
    yaml::{Node, Report, did_you_mean},
    zone,
};

const WRITE_AS: &str = "write as `2026-03-03T21:30[Europe/Lisbon]`, `2026-03-03T21:30` or `2026-03-03T21:30Z`";

/// The default start of a test: noon on a Monday.
const NOON: DateTime = DateTime::constant(2026, 1, 5, 12, 0, 0, 0);

enum Written {
    Clocks(DateTime),
    Zoned(ZonedDateTime),
}

/// Reads the `start` of a test. Without a zone it is UTC.
pub(super) fn start(node: Option<&Node<'_>>, report: &mut Report<'_>) -> Option<TestStart> {
    let written = match node {
        None => Written::Clocks(NOON),
        Some(node) => read(node, "`start`", report)?,
    };
    let zoned = match written {
        Written::Zoned(zoned) => zoned,
        Written::Clocks(clocks) => clocks.to_zoned_datetime(TimeZone::UTC).ok()?,
    };
    Some(TestStart { at: zoned.timestamp().into(), zone: zoned.time_zone().clone() })
}

/// Reads the `at` of an expectation.
pub(super) fn at(node: &Node<'_>, report: &mut Report<'_>) -> Option<TimeExpression> {
    Some(match read(node, "`at`", report)? {
        Written::Clocks(clocks) => TimeExpression::Clocks(clocks),
        Written::Zoned(zoned) => TimeExpression::Instant(zoned.timestamp().into()),
    })
}

fn read(node: &Node<'_>, what: &str, report: &mut Report<'_>) -> Option<Written> {
    let text = node.text(what, report)?.trim();
    let pieces = Pieces::parse(text).ok().filter(|pieces| pieces.time().is_some());
    if let Some(name) = pieces.as_ref().and_then(unknown_zone) {
        let at = text.find(&name).map_or(node.span.clone(), |at| node.part(at..at + name.len(), report));
        let known = zone::names();
        let note = report.error("time", at, format!("{what}: `{name}` is not a time zone"));
        match did_you_mean(&name, known.iter().map(String::as_str)) {
            Some(meant) => note.label(format!("did you mean {meant}?")),
            None => note.label("write a name such as Europe/Lisbon"),
        };
        return None;
    }
    let read = pieces.and_then(|pieces| match (named_zone(&pieces), pieces.to_numeric_offset()) {
        // `zone::parse` rejects an offset that the zone does not have at this time.
        (Some(name), Some(_)) => zone::parse(text, name).map(Written::Zoned),
        (Some(name), None) => zoned(&pieces, name).map(Written::Zoned),
        _ if pieces.time_zone_annotation().is_some() => text.parse().ok().map(Written::Zoned),
        (None, Some(offset)) => {
            let zone = TimeZone::fixed(offset);
            text.parse().ok().map(|at: jiff::Timestamp| Written::Zoned(at.to_zoned_datetime(zone)))
        }
        (None, None) => text.parse().ok().map(Written::Clocks),
    });
    if let (None, Some((clocks, zone))) = (&read, conflicting_zone(text)) {
        let message = format!("{what}: {zone} does not have this offset from UTC at {clocks}");
        report.error("time", node.span.clone(), message).label("leave the offset out");
    } else if read.is_none() {
        report.error("time", node.span.clone(), format!("{what}: `{text}` is not a date and time")).label(WRITE_AS);
    }
    read
}

/// The local time and the zone of a text that would be valid without its offset.
fn conflicting_zone(text: &str) -> Option<(DateTime, String)> {
    let pieces = Pieces::parse(text).ok()?;
    pieces.to_numeric_offset()?;
    let zone = zone::named(named_zone(&pieces)?)?;
    Some((pieces.date().to_datetime(pieces.time()?), zone.iana_name()?.to_owned()))
}

/// The first instant at which the zone has this local time.
fn zoned(pieces: &Pieces<'_>, name: &str) -> Option<ZonedDateTime> {
    let zone = zone::named(name)?;
    let instant = zone::first_instant(&zone, pieces.date().to_datetime(pieces.time()?))?;
    Some(instant.to_zoned_datetime(zone))
}

fn named_zone<'n>(pieces: &'n Pieces<'_>) -> Option<&'n str> {
    match pieces.time_zone_annotation()?.kind() {
        TimeZoneAnnotationKind::Named(name) => Some(name.as_str()),
        _ => None,
    }
}

fn unknown_zone(pieces: &Pieces<'_>) -> Option<String> {
    named_zone(pieces).filter(|name| zone::named(name).is_none()).map(str::to_owned)
}

impl TestStart {
    /// The local time of the test's zone at this instant.
    pub fn clocks(&self, at: Timestamp) -> DateTime {
        self.zone.to_datetime(at.to_jiff())
    }

    /// Formats the time as in a test: to the minute if that is exact.
    pub fn shown(&self, at: Timestamp) -> String {
        shown(self.clocks(at))
    }

    /// The name of the zone, or its offset.
    pub fn zone_name(&self) -> String {
        match self.zone.iana_name() {
            Some(name) => name.to_owned(),
            None => self.zone.to_offset(self.at.to_jiff()).to_string(),
        }
    }

    pub fn is(&self, moment: &TimeExpression, at: Timestamp) -> bool {
        match moment {
            TimeExpression::Clocks(clocks) => self.clocks(at) == *clocks,
            TimeExpression::Instant(instant) => at == *instant,
        }
    }

    pub fn shown_moment(&self, moment: &TimeExpression) -> String {
        match moment {
            TimeExpression::Clocks(clocks) => shown(*clocks),
            TimeExpression::Instant(at) => self.shown(*at),
        }
    }
}

fn shown(clocks: DateTime) -> String {
    let text = clocks.to_string();
    text.strip_suffix(":00").unwrap_or(&text).to_owned()
}
