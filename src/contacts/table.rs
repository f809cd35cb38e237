//! Contacts as CSV of any country and system, with cells that no spreadsheet evaluates as formulas.

use std::collections::BTreeMap;

use super::{
    Attribute, BadLine, COLUMNS, RawContact, Row,
    memory::{self, RawImportedState},
    undeclared,
};

/// Returns every row after the first line, with the number of the line in which it begins.
pub(super) fn csv_rows(text: &str, declared: &[String]) -> Result<Vec<Row>, Vec<BadLine>> {
    let first = text.lines().next().unwrap_or_default();
    // The delimiter of a spreadsheet depends on its country setting.
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
            bad.push(BadLine { line: 1, problem: format!("the column {name:?} occurs twice") });
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
    let mut lines = RowLines { text: text.as_bytes(), at: 0, line: 1 };
    for record in reader.records() {
        rows.push(match record {
            Ok(record) => (lines.of(record.position()), Ok(csv_row(&names, &record))),
            Err(error) => (lines.of(error.position()), Err(csv_problem(&error))),
        });
    }
    Ok(rows)
}

/// Finds the line in which a row begins. The CSV reader only knows where the previous row ended: within a CRLF that is
/// between the two bytes, and empty lines still follow.
struct RowLines<'t> {
    text: &'t [u8],
    at: usize,
    /// The line that contains `at`, from 1.
    line: u64,
}

impl RowLines<'_> {
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

/// Whether this is the last byte of `
/// `, `\r
/// ` or `\r`.
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
            format!(
                "the number of fields is {len}, and {expected_len} in the first line; put fields with commas in quotes"
            )
        }
        csv::ErrorKind::Utf8 { .. } => "is not UTF-8".to_owned(),
        _ => error.to_string(),
    }
}

fn csv_row(names: &[String], record: &csv::StringRecord) -> RawContact {
    let mut raw = RawContact {
        id: String::new(),
        email: String::new(),
        name: None,
        locale: None,
        timezone: None,
        country: None,
        attributes: BTreeMap::new(),
        memory: RawImportedState::default(),
        beside: BTreeMap::new(),
    };
    for (name, cell) in names.iter().zip(record) {
        let cell = unescape_formula(cell).to_owned();
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

/// Whether a spreadsheet would treat the cell as a formula.
fn is_formula(cell: &str) -> bool {
    cell.starts_with(['=', '+', '-', '@'])
}

/// Returns the cell as written: with an apostrophe before a formula, and before a formula that already has apostrophes,
/// so that reading restores the original.
pub(super) fn escape_formula(cell: &str) -> String {
    if is_formula(cell.trim_start_matches('\'')) { format!("'{cell}") } else { cell.to_owned() }
}

fn unescape_formula(cell: &str) -> &str {
    match cell.strip_prefix('\'') {
        Some(rest) if is_formula(rest.trim_start_matches('\'')) => rest,
        _ => cell,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_of_a_row_is_the_line_in_an_editor() {
        let rows = ["id,email", "C-1,a", "\"C\n2\",b", "", "C-3", "C-4,d"];
        for end in ["\n", "\r\n", "\r"] {
            let text = rows.map(|row| row.replace('\n', end)).join(end);
            let lines: Vec<(u64, bool)> =
                csv_rows(&text, &[]).expect("rows").into_iter().map(|(line, row)| (line, row.is_ok())).collect();
            assert_eq!(lines, [(2, true), (3, true), (6, false), (7, true)], "{end:?}");
        }
    }
}
