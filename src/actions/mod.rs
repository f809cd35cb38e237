//! What leaves this program: one folder or file for each kind of action.
//!
//! An action gets a finished message, does its I/O once, and says how it went. It knows neither rules nor customers, and
//! does not try again by itself: that is the outbox's.

pub mod answer;
pub mod chat;
pub mod email;
pub mod webhook;

/// Servers say a lot; a person reads so much, in characters.
const SAID_CHARS: usize = 200;

/// One line, and not endless: a server may answer anything.
fn one_line(text: &str, chars: usize) -> String {
    let tidy: Vec<&str> = text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|w| !w.is_empty()).collect();
    let tidy = tidy.join(" ");
    match tidy.char_indices().nth(chars) {
        Some((cut, _)) => format!("{}…", &tidy[..cut]),
        None => tidy,
    }
}
