//! Texts for codes, read from `labels/LOCALE.yaml`: a flat map of `CODE: words`.

use std::collections::{BTreeMap, BTreeSet};

use saphyr_parser::{Event, Parser, Span};

use super::locale;
use crate::yaml::{Diagnostic, Files, conflicts};

const CODE: &str = "labels";
const MAX_BYTES: usize = 256 * 1024;

/// The texts by locale and code.
#[derive(Clone, Debug, Default)]
pub(super) struct Labels {
    by_locale: BTreeMap<String, BTreeMap<String, String>>,
    default: String,
}

impl Labels {
    pub fn read(files: &Files, default: &str, wrong: &mut Vec<Diagnostic>) -> Self {
        let mut labels = Self { by_locale: BTreeMap::new(), default: default.to_owned() };
        for (path, text) in files.iter() {
            let Some(name) = path.strip_prefix("labels/").filter(|name| !is_scratch(name)) else { continue };
            let tag = name.strip_suffix(".yaml").and_then(locale::canonical);
            let Some(tag) = tag else {
                wrong.push(
                    Diagnostic::error(CODE, path, format!("{name} is not a labels file"))
                        .help("name a labels file by its language: labels/en.yaml, labels/de.yaml"),
                );
                continue;
            };
            let conflicts = conflicts(path, text);
            if !conflicts.is_empty() {
                wrong.extend(conflicts);
                continue;
            }
            match parse(path, text) {
                Ok(map) => labels.by_locale.entry(tag).or_default().extend(map),
                Err(error) => wrong.push(*error),
            }
        }
        labels
    }

    /// The text for a code: in this language, otherwise in the default language, otherwise the code in lower case with
    /// spaces.
    pub fn words(&self, wanted: Option<&str>, code: &str) -> String {
        let found = locale::chain(wanted, &self.default)
            .into_iter()
            .find_map(|tag| self.by_locale.get(&tag).and_then(|map| map.get(code)).cloned());
        found.unwrap_or_else(|| code.replace('_', " ").trim().to_lowercase())
    }

    pub fn codes(&self) -> BTreeSet<&str> {
        self.by_locale.values().flat_map(|map| map.keys().map(String::as_str)).collect()
    }
}

/// Whether this is a temporary file of an editor.
pub(super) fn is_scratch(name: &str) -> bool {
    name.starts_with(['.', '#']) || name.ends_with('~')
}

/// Joins words to a list in the language: "a", "a and b", "a, b and c".
pub(super) fn joined(tag: &str, words: &[String]) -> String {
    let Some((last, rest)) = words.split_last() else { return String::new() };
    if rest.is_empty() {
        return last.clone();
    }
    let and = match locale::language(tag) {
        "de" => "und",
        "fr" => "et",
        "es" if joins_with_i(last) => "e",
        "es" => "y",
        "it" if last.to_lowercase().starts_with('e') => "ed",
        "it" | "pt" => "e",
        "nl" => "en",
        "pl" => "i",
        "da" | "nb" | "no" => "og",
        "sv" => "och",
        _ => "and",
    };
    format!("{} {and} {last}", rest.join(", "))
}

fn joins_with_i(word: &str) -> bool {
    let word = word.to_lowercase();
    let word = word.strip_prefix('h').unwrap_or(&word);
    word.starts_with(['i', 'í']) && !["ia", "ie", "io"].iter().any(|vowels| word.starts_with(vowels))
}

fn parse(path: &str, text: &str) -> Result<BTreeMap<String, String>, Box<Diagnostic>> {
    let wrong = |message: &str, span: Option<Span>| {
        let error = Diagnostic::error(CODE, path, message)
            .help("each line is a code and its words, such as `PASSPORT: passport`");
        Box::new(match span {
            Some(span) => error.at(bytes(text, span)),
            None => error,
        })
    };
    if text.len() > MAX_BYTES {
        return Err(wrong("is larger than 256 KB", None));
    }
    let mut map = BTreeMap::new();
    let mut key: Option<(String, Span)> = None;
    let mut depth = 0;
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| {
            wrong(&format!("this is not YAML: {}", error.info()), Some(Span::empty(*error.marker())))
        })?;
        match event {
            Event::MappingStart(0, None) if depth == 0 => depth = 1,
            Event::Scalar(value, _, 0, None) if depth == 1 => match key.take() {
                None if map.contains_key(&*value) => {
                    return Err(wrong(&format!("{value} appears here for the second time"), Some(span)));
                }
                None => key = Some((value.into_owned(), span)),
                Some((code, at)) if value.trim().is_empty() => {
                    return Err(wrong(&format!("{code} has no words"), Some(at)));
                }
                Some((code, _)) => {
                    map.insert(code, value.trim().to_owned());
                }
            },
            Event::Scalar(value, ..) if depth == 0 && value.trim().is_empty() => {}
            Event::StreamStart | Event::StreamEnd | Event::DocumentStart(_) | Event::DocumentEnd | Event::Nothing => {}
            Event::MappingEnd => depth = 2,
            _ => return Err(wrong("only a code and its words are allowed here", Some(span))),
        }
    }
    Ok(map)
}

/// Converts a span: the parser counts characters, a diagnostic bytes.
fn bytes(text: &str, span: Span) -> std::ops::Range<usize> {
    let byte = |chars: usize| text.char_indices().nth(chars).map_or(text.len(), |(at, _)| at);
    let start = byte(span.start.index());
    start..byte(span.end.index()).max(start)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(files: &[(&str, &str)]) -> (Labels, Vec<Diagnostic>) {
        let mut wrong = Vec::new();
        let files = files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect();
        (Labels::read(&files, "en", &mut wrong), wrong)
    }

    #[test]
    fn a_text_is_looked_up_by_language_then_default_then_the_code_is_used() {
        let (labels, wrong) = labels(&[
            ("labels/en.yaml", "PASSPORT: passport\nSELFIE: selfie # a photo\n"),
            ("labels/de.yaml", "PASSPORT: Reisepass\n"),
            ("labels/fr.yaml", "# nothing yet\n"),
        ]);
        assert_eq!(wrong, []);
        for (locale, code, words) in [
            (Some("de-AT"), "PASSPORT", "Reisepass"),
            (Some("de"), "SELFIE", "selfie"),
            (Some("fr"), "PASSPORT", "passport"),
            (None, "PASSPORT", "passport"),
            (Some("de"), "UTILITY_BILL", "utility bill"),
        ] {
            assert_eq!(labels.words(locale, code), words, "{locale:?} {code}");
        }
        assert_eq!(labels.codes().into_iter().collect::<Vec<_>>(), ["PASSPORT", "SELFIE"]);
    }

    #[test]
    fn lists_are_joined_as_in_the_language() {
        for (locale, list, said) in [
            ("en", &["passport", "selfie"][..], "passport and selfie"),
            ("en", &["a", "b", "c"], "a, b and c"),
            ("de", &["Reisepass", "Selfie"], "Reisepass und Selfie"),
            ("fr", &["passeport", "selfie"], "passeport et selfie"),
            ("es", &["pasaporte", "selfi"], "pasaporte y selfi"),
            ("es", &["pasaporte", "identificación"], "pasaporte e identificación"),
            ("es", &["agua", "hielo"], "agua y hielo"),
            ("it", &["passaporto", "selfie"], "passaporto e selfie"),
            ("en", &["one"], "one"),
            ("en", &[], ""),
        ] {
            let list: Vec<String> = list.iter().map(|word| (*word).to_owned()).collect();
            assert_eq!(joined(locale, &list), said);
        }
    }

    #[test]
    fn an_error_in_a_labels_file_is_reported_with_its_place() {
        for (path, text, message, at) in [
            ("labels/en.yaml", "é: x\nA: [b]\n", "only a code and its words are allowed here", Some("[")),
            ("labels/en.yaml", "A: b\nA: c\n", "A appears here for the second time", Some("A")),
            ("labels/en.yaml", "A:\nB: c\n", "A has no words", Some("A")),
            ("labels/en.yaml", "- a\n", "only a code and its words are allowed here", Some("-")),
            ("labels/en.yaml", "A: &x b\n", "only a code and its words are allowed here", Some("&x")),
            ("labels/en.yaml", "A: \"b\n", "this is not YAML", None),
            ("labels/english.yaml", "A: b\n", "english.yaml is not a labels file", None),
            ("labels/en.yml", "A: b\n", "en.yml is not a labels file", None),
        ] {
            let (_, wrong) = labels(&[(path, text)]);
            assert_eq!(wrong.len(), 1, "{text}: {wrong:?}");
            assert!(wrong[0].message.starts_with(message), "{text}: {}", wrong[0].message);
            if let Some(at) = at {
                let span = wrong[0].span.clone().expect("a place");
                assert!(text[span.start..].starts_with(at), "{text}: {span:?}");
            }
        }
    }
}
