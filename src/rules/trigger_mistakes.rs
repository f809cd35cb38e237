//! What merchants are told when a trigger can't be read.

use std::ops::Range;

use crate::source::{Duration, did_you_mean, one_of};

use super::{
    trigger_grammar::Grammar,
    trigger_words::{Spot, Token},
};

impl<'g> Grammar<'g, '_, '_> {
    /// After the names stood neither an arrow nor `for`.
    pub fn neither<T>(&mut self, found: Option<(Token<'g>, Spot)>) -> Option<T> {
        let written =
            |range: Range<usize>| self.node.scalar().and_then(|text| text.get(range)).unwrap_or_default().trim();
        match found {
            Some((Token::OddArrow, spot)) => self.error(spot, "this is no arrow", Some("write `->`".to_owned())),
            Some((Token::Comma, spot)) => {
                self.error(spot, "between names stands `|`, not a comma", Some("write as `A | B -> C`".to_owned()));
            }
            Some((_, spot)) => {
                let label = format!("write `{} -> …` or `{0} for 48h`", written(0..spot.start));
                self.error(spot, "`->` or `for` is missing here", Some(label));
            }
            None => {
                let label = format!("write `any -> {}`", written(0..self.end));
                self.error(0..self.end, "a trigger has an arrow or `for`", Some(label));
            }
        }
        None
    }

    pub fn unknown(&mut self, word: &str, spot: Spot, what: &'static str) {
        if word == "*" {
            self.error(spot, "`*` is no name", Some("write `any`".to_owned()));
            return;
        }
        if word.parse::<Duration>().is_ok() {
            let label = "put quotes around the whole trigger: \"A for 48h, 5d\"".to_owned();
            self.error(spot, "a duration without its status: in `[…]` a comma begins another entry", Some(label));
            return;
        }
        if matches!(word, "null" | "Null" | "NULL" | "~") {
            let place = self.node.part(spot, self.report);
            self.report.error("status", place, format!("unknown {what} {word}")).label("write `none`");
            return;
        }
        let names: Vec<&str> =
            if what == "status" { self.names.statuses().collect() } else { self.names.processing().collect() };
        let meant = did_you_mean(word, names.iter().copied().chain(["any", "new", "none"]));
        let place = self.node.part(spot, self.report);
        let note = self.report.error("status", place, format!("unknown {what} {word}"));
        match meant {
            Some(meant) => note.label(format!("did you mean {meant}?")),
            None => {
                let known = one_of(names.iter().copied());
                note.help(format!("known are {known}; a new one is declared in the configuration, under `statuses:`"))
            }
        };
    }

    /// Nothing may follow.
    pub fn ended(&mut self) -> Option<()> {
        match self.next() {
            None => Some(()),
            Some((Token::Word("for"), spot)) => {
                self.error(
                    spot,
                    "a move happens at once, and `for` is of a stay",
                    Some("write as `B for 48h`".to_owned()),
                );
                None
            }
            Some((Token::Arrow | Token::OddArrow, spot)) => {
                let help = "write each move as a rule of its own, or as a list: `when: [A -> B, B -> C]`";
                self.error(spot, "a second arrow", Some(help.to_owned()));
                None
            }
            Some((Token::Comma, spot)) => {
                self.error(spot, "between names stands `|`, not a comma", Some("write as `A -> B | C`".to_owned()));
                None
            }
            Some((_, spot)) => {
                self.error(spot, "between names stands `|`", Some("write as `A -> B | C`".to_owned()));
                None
            }
        }
    }

    pub fn error(&mut self, spot: Spot, message: impl Into<String>, label: Option<String>) {
        let place = self.node.part(spot, self.report);
        self.report.error("trigger", place, message).maybe_label(label);
    }
}
