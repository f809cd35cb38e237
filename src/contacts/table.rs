//! Contacts as spreadsheets have them: CSV of any country and system, and cells that none of them calculates.

use std::collections::BTreeMap;

use super::{
    Attribute, BadLine, COLUMNS, Raw, Row,
    memory::{self, RawMemory},
    undeclared,
};

/// Every row behind the first line, with the line that it begins in.
pub(super) fn csv_rows(text: &str, declared: &[String]) -> Result<Vec<Row>, Vec<BadLine>> {
    let first = text.lines().next().unwrap_or_default();
    // What a spreadsheet writes depends on the country it stands in.
    let delimiter = [',', ';', '\t'].into_iter().max_by_key(|mark| first.matches(*mark).count()).unwrap_or(',');
    let mut reader = csv::ReaderBuilder::new()
        .delimiter(u8::try_from(delimiter).unwrap_or(b','))
        .flexible(false)
        .from_reader(text.as_bytes());
    let whole = |line, problem: String| vec![BadLine { line, problem }];
    let headings = reader.headers().map_err(|error| whole(1, error.to_string()))?.clone();
    let names: Vec<String> = headings.iter().map(|heading| heading.trim().to_owned()).collect();
    let mut bad = Vec::new();
    for name in &names {
        let known = COLUMNS.contains(&name.as_str()) || memory::COLUMNS.contains(&name.as_str());
        if !known && !declared.contains(name) {
            bad.push(BadLine { line: 1, problem: undeclared(name, declared) });
        }
        if names.iter().filter(|other| *other == name).count() > 1 {
            bad.push(BadLine { line: 1, problem: format!("the column {name:?} stands there twice") });
        }
    }
    for needed in ["id", "email"] {
        if !names.iter().any(|name| name == needed) {
            bad.push(BadLine { line: 1, problem: format!("the column {needed:?} is missing") });
        }
    }
    bad.dedup();
    if !bad.is_empty() {
        return Err(bad);
    }
    let mut rows = Vec::new();
    let mut lines = Lines { text: text.as_bytes(), at: 0, line: 1 };
    for record in reader.records() {
        rows.push(match record {
            Ok(record) => (lines.of(record.position()), Ok(csv_row(&names, &record))),
            Err(error) => (lines.of(error.position()), Err(csv_problem(&error))),
        });
    }
    Ok(rows)
}

/// Which line a row begins in. The reader knows only where the row before has ended: of a CRLF between them that is in the
/// middle, and an empty line is still ahead.
struct Lines<'t> {
    text: &'t [u8],
    at: usize,
    /// The line that `at` is in, from 1.
    line: u64,
}

impl Lines<'_> {
    fn of(&mut self, position: Option<&csv::Position>) -> u64 {
        let ended = position.and_then(|position| usize::try_from(position.byte()).ok()).unwrap_or(self.at);
        let is_break = |at: &usize| matches!(self.text.get(*at), Some(b'\r' | b'\n'));
        let begins = ended + (ended..).take_while(is_break).count();
        while self.at < begins {
            self.line += u64::from(is_line_end(self.text, self.at));
            self.at += 1;
        }
        self.line
    }
}

/// The last byte of `\n`, `\r\n` or `\r`.
fn is_line_end(text: &[u8], at: usize) -> bool {
    match text.get(at) {
        Some(b'\n') => true,
        Some(b'\r') => text.get(at + 1) != Some(&b'\n'),
        _ => false,
    }
}

fn csv_problem(error: &csv::Error) -> String {
    match error.kind() {
        csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
            format!("has {len} fields where the first line has {expected_len}; put fields with commas in quotes")
        }
        csv::ErrorKind::Utf8 { .. } => "is not UTF-8".to_owned(),
        _ => error.to_string(),
    }
}

fn csv_row(names: &[String], record: &csv::StringRecord) -> Raw {
    let mut raw = Raw {
        id: String::new(),
        email: String::new(),
        name: None,
        locale: None,
        timezone: None,
        country: None,
        attributes: BTreeMap::new(),
        memory: RawMemory::default(),
        beside: BTreeMap::new(),
    };
    for (name, cell) in names.iter().zip(record) {
        let cell = unguarded(cell).to_owned();
        match &**name {
            "id" => raw.id = cell,
            "email" => raw.email = cell,
            "name" => raw.name = Some(cell),
            "locale" => raw.locale = Some(cell),
            "timezone" => raw.timezone = Some(cell),
            "country" => raw.country = Some(cell),
            column if memory::COLUMNS.contains(&column) => raw.memory.set(column, &cell),
            _ => {
                raw.attributes.insert(name.clone(), Attribute::Text(cell));
            }
        }
    }
    raw
}

/// What a spreadsheet would take for a formula.
fn is_formula(cell: &str) -> bool {
    cell.starts_with(['=', '+', '-', '@'])
}

/// A cell as it is written: with an apostrophe before what a spreadsheet would calculate, and before what has one already
/// before such a thing, so that reading gives back what was there.
pub(super) fn guarded(cell: &str) -> String {
    if is_formula(cell.trim_start_matches('\'')) { format!("'{cell}") } else { cell.to_owned() }
}

fn unguarded(cell: &str) -> &str {
    match cell.strip_prefix('\'') {
        Some(rest) if is_formula(rest.trim_start_matches('\'')) => rest,
        _ => cell,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_s_line_is_the_one_that_an_editor_shows() {
        let rows = ["id,email", "C-1,a", "\"C\n2\",b", "", "C-3", "C-4,d"];
        for end in ["\n", "\r\n", "\r"] {
            let text = rows.map(|row| row.replace('\n', end)).join(end);
            let lines: Vec<(u64, bool)> =
                csv_rows(&text, &[]).expect("rows").into_iter().map(|(line, row)| (line, row.is_ok())).collect();
            assert_eq!(lines, [(2, true), (3, true), (6, false), (7, true)], "{end:?}");
        }
    }
}
