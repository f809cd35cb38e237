//! The filter `date`: formats the date of a time in the language of the mail.

use jiff::{civil::Date, fmt::temporal::Pieces};

use super::locale;

const MONTHS: &[(&str, [&str; 12])] = &[
    (
        "en",
        [
            "January",
            "February",
            "March",
            "April",
            "May",
            "June",
            "July",
            "August",
            "September",
            "October",
            "November",
            "December",
        ],
    ),
    (
        "de",
        [
            "Januar",
            "Februar",
            "März",
            "April",
            "Mai",
            "Juni",
            "Juli",
            "August",
            "September",
            "Oktober",
            "November",
            "Dezember",
        ],
    ),
    (
        "fr",
        [
            "janvier",
            "février",
            "mars",
            "avril",
            "mai",
            "juin",
            "juillet",
            "août",
            "septembre",
            "octobre",
            "novembre",
            "décembre",
        ],
    ),
    (
        "es",
        [
            "enero",
            "febrero",
            "marzo",
            "abril",
            "mayo",
            "junio",
            "julio",
            "agosto",
            "septiembre",
            "octubre",
            "noviembre",
            "diciembre",
        ],
    ),
    (
        "it",
        [
            "gennaio",
            "febbraio",
            "marzo",
            "aprile",
            "maggio",
            "giugno",
            "luglio",
            "agosto",
            "settembre",
            "ottobre",
            "novembre",
            "dicembre",
        ],
    ),
];

/// Returns `3. März 2026`, or `2026-03-03` in a language that is not in [`MONTHS`]. `None`: the text is not a time.
pub(super) fn date(time: &str, tag: &str) -> Option<String> {
    let date = day(time)?;
    let language = locale::language(tag);
    let Some((_, months)) = MONTHS.iter().find(|(known, _)| *known == language) else {
        return Some(date.to_string());
    };
    let month = months.get(usize::try_from(date.month()).ok()?.checked_sub(1)?)?;
    let (day, year) = (date.day(), date.year());
    Some(match language {
        "de" => format!("{day}. {month} {year}"),
        "fr" if day == 1 => format!("1er {month} {year}"),
        "es" => format!("{day} de {month} de {year}"),
        _ => format!("{day} {month} {year}"),
    })
}

/// The date as written in the text, in the zone or offset of the text.
fn day(time: &str) -> Option<Date> {
    Pieces::parse(time).ok().map(|pieces| pieces.date())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_is_written_in_the_language_and_in_the_zone_of_the_text() {
        for (time, tag, written) in [
            ("2026-03-03T21:30:00Z", "en", "3 March 2026"),
            ("2026-03-03T21:30:00Z", "de-AT", "3. März 2026"),
            ("2026-03-01T21:30:00Z", "fr", "1er mars 2026"),
            ("2026-03-03T00:30:00+01:00[Europe/Vienna]", "es", "3 de marzo de 2026"),
            ("2026-03-03T00:30:00+01:00", "it", "3 marzo 2026"),
            ("2026-03-03", "pl", "2026-03-03"),
        ] {
            assert_eq!(date(time, tag).as_deref(), Some(written));
        }
        assert_eq!(date("yesterday", "en"), None);
    }
}
