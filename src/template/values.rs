//! Keeps values from outside as text: they never become markup.
//!
//! A value that a template prints is not passed to the Markdown parser. It is stored in a [`PrintedValues`], and one character
//! from a private-use plane of Unicode marks its place in the text. After the Markdown has been parsed, each mark is
//! replaced by its value: as text in text, percent-encoded in addresses. Therefore a value cannot open a link, a tag, a
//! list or another `{{`, and filters work on the original value. Templates must not contain such characters, and they
//! are removed from values.

use std::{borrow::Cow, fmt, sync::Arc};

use minijinja::{
    Error, ErrorKind, Output, State, Value,
    value::{Object, ObjectRepr, ValueKind},
};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::Phrase;

const FIRST: u32 = 0xF_0000;
/// Maximum number of values that one mail can print.
const MAX: usize = 10_000;
/// Maximum size of all values together, and of a text with its values, in bytes.
pub(super) const MAX_BYTES: usize = 1 << 20;

const IN_ADDRESS: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
const IN_MAILTO: &AsciiSet = &IN_ADDRESS.remove(b'@');

/// Whether a character is in the range of the marks.
pub(super) fn is_mark(c: char) -> bool {
    u32::from(c) >= FIRST
}

/// An address from the merchant's configuration: a link may begin with it.
#[derive(Debug)]
pub(super) struct AllowedAddress(pub String);

impl Object for AllowedAddress {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn is_true(self: &Arc<Self>) -> bool {
        !self.0.is_empty()
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The values that one rendering has printed, in the order of their marks.
#[derive(Clone, Debug, Default)]
pub(super) struct PrintedValues(Vec<Printed>);

#[derive(Clone, Debug)]
struct Printed {
    text: String,
    is_address: bool,
}

impl PrintedValues {
    fn mark(&mut self, text: String, is_address: bool) -> Result<char, Error> {
        let code = u32::try_from(self.0.len()).ok().filter(|_| self.0.len() < MAX).map(|nth| FIRST + nth);
        let mark = code
            .and_then(char::from_u32)
            .ok_or_else(|| Error::new(ErrorKind::OutOfFuel, format!("the template prints more than {MAX} values")))?;
        if self.0.iter().map(|printed| printed.text.len()).sum::<usize>() + text.len() > MAX_BYTES {
            return Err(too_long());
        }
        self.0.push(Printed { text, is_address });
        Ok(mark)
    }

    /// The length of the text with its values, in bytes.
    pub fn length_of(&self, text: &str) -> usize {
        if !text.contains(is_mark) {
            return text.len();
        }
        text.chars()
            .map(|c| if is_mark(c) { self.get(c).map_or(0, |printed| printed.text.len()) } else { c.len_utf8() })
            .sum()
    }

    fn get(&self, mark: char) -> Option<&Printed> {
        usize::try_from(u32::from(mark).checked_sub(FIRST)?).ok().and_then(|nth| self.0.get(nth))
    }

    fn replace<'t>(&self, text: &'t str, with: impl Fn(&Printed) -> Cow<'_, str>) -> Cow<'t, str> {
        if !text.contains(is_mark) {
            return Cow::Borrowed(text);
        }
        let mut whole = String::with_capacity(text.len() + 32);
        for c in text.chars() {
            if !is_mark(c) {
                whole.push(c);
            } else if let Some(printed) = self.get(c) {
                whole.push_str(&with(printed));
            }
        }
        Cow::Owned(whole)
    }

    /// The text with its values inserted.
    pub fn in_text<'t>(&self, text: &'t str) -> Cow<'t, str> {
        self.replace(text, |printed| Cow::Borrowed(&printed.text))
    }

    /// The text with its values kept apart from the merchant's text.
    pub fn phrase(&self, text: &str) -> Phrase {
        let mut pieces = Vec::new();
        let mut written = 0;
        for (at, mark) in text.char_indices().filter(|(_, c)| is_mark(*c)) {
            pieces.push(&text[written..at]);
            pieces.push(self.get(mark).map_or("", |printed| &printed.text));
            written = at + mark.len_utf8();
        }
        pieces.push(&text[written..]);
        Phrase::of(pieces)
    }

    /// The address with its values inserted, each percent-encoded, except the merchant's own addresses.
    pub fn in_address<'t>(&self, address: &'t str) -> Cow<'t, str> {
        let set = if address.starts_with("mailto:") { IN_MAILTO } else { IN_ADDRESS };
        self.replace(address, |printed| match printed.is_address {
            true => Cow::Borrowed(&printed.text),
            false => utf8_percent_encode(&printed.text, set).into(),
        })
    }
}

pub(super) fn too_long() -> Error {
    Error::new(ErrorKind::OutOfFuel, "the text is too long")
}

/// Returns the text on one line, without control characters and without characters that change the writing direction,
/// which could affect the text around it.
pub(super) fn tidy(text: &str) -> String {
    let mut tidy = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            c if c.is_whitespace() || c.is_control() => {
                if !tidy.ends_with(' ') {
                    tidy.push(' ');
                }
            }
            '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}' | '\u{FEFF}' => {}
            c if is_mark(c) => {}
            c => tidy.push(c),
        }
    }
    tidy
}

/// Checks that a template may print this value: a text or a number. Other types have no readable form.
pub(super) fn printable(value: &Value) -> Result<(), Error> {
    let wrong = |text: &'static str| Err(Error::new(ErrorKind::InvalidOperation, text));
    match value.kind() {
        ValueKind::String | ValueKind::Number | ValueKind::Undefined => Ok(()),
        ValueKind::Plain if value.downcast_object_ref::<AllowedAddress>().is_some() => Ok(()),
        ValueKind::None => wrong("`none` is printed"),
        ValueKind::Bool => wrong("true or false is printed, which a customer cannot understand"),
        ValueKind::Seq | ValueKind::Iterable => wrong("a list is printed without a filter"),
        _ => wrong("a value that is not a text is printed"),
    }
}

/// The formatter of minijinja for mails.
pub(super) fn print(out: &mut Output<'_>, state: &mut State<'_, '_>, value: &Value) -> Result<(), Error> {
    printable(value)?;
    if let Some(text) = value.as_str().filter(|_| value.is_safe()) {
        return Ok(out.write_str(text)?);
    }
    let is_address = value.downcast_object_ref::<AllowedAddress>().is_some();
    let values = state.get_or_insert_extension(PrintedValues::default());
    let text = value.to_string();
    if values.length_of(&text) > MAX_BYTES {
        return Err(too_long());
    }
    let text = tidy(&values.in_text(&text));
    if text.is_empty() {
        return Ok(());
    }
    let mark = values.mark(text, is_address)?;
    Ok(out.write_str(mark.encode_utf8(&mut [0; 4]))?)
}
