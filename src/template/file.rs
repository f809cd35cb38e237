//! Reads one file of `templates/`: its name, subject and body, and the offset of each in the file.

use std::ops::Range;

use super::{labels::is_scratch, locale, values::is_mark};
use crate::yaml::Diagnostic;

pub(super) const CODE: &str = "template";
pub(super) const LAYOUT: &str = "templates/layout.html";
const MAX_BYTES: usize = 256 * 1024;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TemplateFile<'t> {
    pub path: &'t str,
    pub name: &'t str,
    pub locale: String,
    pub subject: TemplatePart<'t>,
    pub body: TemplatePart<'t>,
}

/// A part of a file that is a template by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TemplatePart<'t> {
    pub path: &'t str,
    /// The text of the whole file.
    pub file: &'t str,
    /// The offset of this part in the file, in bytes.
    pub offset: usize,
    pub source: &'t str,
}

impl TemplatePart<'_> {
    /// The span of this part in the file, without the white space around it.
    pub fn whole(&self) -> Range<usize> {
        let start = self.offset + self.source.len() - self.source.trim_start().len();
        start..start + self.source.trim().len()
    }
}

/// Whether this path is a mail template, which is read.
pub(super) fn is_mail(path: &str) -> bool {
    let name = path.strip_prefix("templates/").filter(|name| !is_scratch(name));
    path != LAYOUT && name.is_some_and(|name| name.ends_with(".md") || name.ends_with(".html"))
}

/// Parses a mail template; `None` if the path is not one.
pub(super) fn read<'t>(path: &'t str, text: &'t str) -> Result<Option<TemplateFile<'t>>, Box<Diagnostic>> {
    let Some(file_name) = path.strip_prefix("templates/").filter(|_| is_mail(path)) else { return Ok(None) };
    let wrong = |message: String| Box::new(Diagnostic::error(CODE, path, message));
    let Some((name, locale)) = name_of(file_name) else {
        return Err(Box::new(
            wrong(format!("{file_name} is not named like a template"))
                .help("name a template by its purpose and its language: missing-documents.en.md"),
        ));
    };
    if text.len() > MAX_BYTES {
        return Err(wrong("is larger than 256 KB".into()));
    }
    if let Some((at, c)) = text.char_indices().find(|(_, c)| is_mark(*c)) {
        let message = format!("the character U+{:X} is not allowed in a template", u32::from(c));
        return Err(Box::new(wrong(message).at(at..at + c.len_utf8())));
    }
    let (subject, body) = split(path, text)?;
    Ok(Some(TemplateFile { path, name, locale, subject, body }))
}

pub(super) fn name_of(file_name: &str) -> Option<(&str, String)> {
    let (name, tag) = file_name.strip_suffix(".md")?.rsplit_once('.')?;
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    (!name.is_empty() && name.chars().all(fits)).then_some(())?;
    Some((name, locale::canonical(tag)?))
}

fn split<'t>(path: &'t str, file: &'t str) -> Result<(TemplatePart<'t>, TemplatePart<'t>), Box<Diagnostic>> {
    let start = if file.starts_with('\u{FEFF}') { '\u{FEFF}'.len_utf8() } else { 0 };
    let end = file[start..].find('\n').map_or(file.len(), |at| start + at);
    let line = file[start..end].trim_end();
    let span = start..start + line.len();
    let Some(subject) = line.strip_prefix("Subject:") else {
        return Err(Box::new(
            Diagnostic::error(CODE, path, "the first line is not `Subject: …`")
                .at(span)
                .help("write the mail's subject on the first line, then a blank line, then the text"),
        ));
    };
    if subject.trim().is_empty() {
        return Err(Box::new(Diagnostic::error(CODE, path, "the subject is empty").at(span)));
    }
    let body = file.get(end + 1..).unwrap_or_default();
    let second = body.lines().next().unwrap_or_default();
    if body.trim().is_empty() {
        return Err(Box::new(Diagnostic::error(CODE, path, "there is no text below the subject").at(span)));
    }
    if !second.trim().is_empty() {
        return Err(Box::new(
            Diagnostic::error(CODE, path, "a blank line is missing between the subject and the text")
                .at(end + 1..end + 1 + second.len()),
        ));
    }
    let offset = span.end - subject.len();
    let lead = subject.len() - subject.trim_start().len();
    let subject = TemplatePart { path, file, offset: offset + lead, source: subject.trim_start() };
    Ok((subject, TemplatePart { path, file, offset: end + 1, source: body }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_a_name_a_language_a_subject_and_a_body() {
        for text in ["Subject: Hé {{ to }}\n\nBody\n", "\u{FEFF}Subject:Hé {{ to }} \r\n\r\nBody\r\n"] {
            let file = read("templates/missing-docs.de-at.md", text).expect("right").expect("ours");
            assert_eq!((file.name, &*file.locale, file.subject.source), ("missing-docs", "de-AT", "Hé {{ to }}"));
            assert!(text[file.subject.offset..].starts_with("Hé"));
            assert_eq!(file.body.source.trim(), "Body");
            assert!(text[file.body.offset..].starts_with(file.body.source));
        }
    }

    #[test]
    fn a_file_that_is_not_a_mail_is_reported() {
        for (path, text, message) in [
            ("templates/a.md", "Subject: x\n\ny", "a.md is not named like a template"),
            ("templates/a.english.md", "Subject: x\n\ny", "a.english.md is not named like a template"),
            ("templates/a b.en.md", "Subject: x\n\ny", "a b.en.md is not named like a template"),
            ("templates/a.en.html", "Subject: x\n\ny", "a.en.html is not named like a template"),
            ("templates/a.en.md", "Hello\n", "the first line is not `Subject: …`"),
            ("templates/a.en.md", "", "the first line is not `Subject: …`"),
            ("templates/a.en.md", "Subject: \n\ny", "the subject is empty"),
            ("templates/a.en.md", "Subject: x\n\n \n", "there is no text below the subject"),
            ("templates/a.en.md", "Subject: x", "there is no text below the subject"),
            ("templates/a.en.md", "Subject: x\ny", "a blank line is missing between the subject and the text"),
            ("templates/a.en.md", "Subject: x\n\n\u{F0000}", "the character U+F0000 is not allowed in a template"),
        ] {
            assert_eq!(read(path, text).expect_err(text).message, message, "{text}");
        }
        for path in ["templates/.a.en.md.swp", "templates/a.en.md~", "templates/#a.en.md", "rules/a.md", LAYOUT] {
            assert_eq!(read(path, "x"), Ok(None), "{path}");
        }
    }
}
