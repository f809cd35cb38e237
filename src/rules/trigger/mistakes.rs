//! The error messages for triggers that cannot be parsed.

use std::ops::Range;

use crate::yaml::{Duration, did_you_mean, one_of};

use crate::rules::{
    trigger::grammar::TriggerGrammar,
    trigger::tokens::{ByteSpan, TriggerToken},
};

impl<'g> TriggerGrammar<'g, '_, '_> {
    /// Reports that neither an arrow nor `for` follows the names.
    pub fn neither_status_nor_processing<T>(&mut self, found: Option<(TriggerToken<'g>, ByteSpan)>) -> Option<T> {
        let written =
            |range: Range<usize>| self.node.scalar().and_then(|text| text.get(range)).unwrap_or_default().trim();
        match found {
            Some((TriggerToken::OddArrow, spot)) => {
                self.error(spot, "this is not an arrow", Some("write `->`".to_owned()))
            }
            Some((TriggerToken::Comma, spot)) => {
                self.error(
                    spot,
                    "`|` separates the names, not a comma",
                    Some("write, for example, `A | B -> C`".to_owned()),
                );
            }
            Some((_, spot)) => {
                let label = format!("write `{} -> …` or `{0} for 48h`", written(0..spot.start));
                self.error(spot, "`->` or `for` is missing here", Some(label));
            }
            None => {
                let label = format!("write `any -> {}`", written(0..self.end));
                self.error(0..self.end, "a trigger needs `->` or `for`", Some(label));
            }
        }
        None
    }

    pub fn unknown(&mut self, word: &str, spot: ByteSpan, what: &'static str) {
        if word == "*" {
            self.error(spot, "`*` is not a status name", Some("write `any`".to_owned()));
            return;
        }
        if word.parse::<Duration>().is_ok() {
            let label = "put quotes around the whole trigger: \"A for 48h, 5d\"".to_owned();
            self.error(spot, "this duration has no status: inside `[…]`, a comma starts a new entry", Some(label));
            return;
        }
        if matches!(word, "null" | "Null" | "NULL" | "~") {
            let place = self.node.part(spot, self.report);
            self.report.error("status", place, format!("unknown {what} {word}")).label("write `none`");
            return;
        }
        let (names, key): (Vec<&str>, &str) = if what == "status" {
            (self.names.statuses().collect(), "statuses")
        } else {
            (self.names.processing().collect(), "processing_statuses")
        };
        let meant = did_you_mean(word, names.iter().copied().chain(["any", "new", "none"]));
        let place = self.node.part(spot, self.report);
        let note = self.report.error("status", place, format!("unknown {what} {word}"));
        match meant {
            Some(meant) => note.label(format!("did you mean {meant}?")),
            None => {
                let known = one_of(names.iter().copied());
                note.help(format!("known names: {known}; declare others in the configuration, in `{key}`"))
            }
        };
    }

    /// Reports any token that follows a complete trigger.
    pub fn ended(&mut self) -> Option<()> {
        match self.next() {
            None => Some(()),
            Some((TriggerToken::Word("for"), spot)) => {
                self.error(
                    spot,
                    "`for` cannot follow `A -> B`: only a stay has a duration",
                    Some("write, for example, `B for 48h`".to_owned()),
                );
                None
            }
            Some((TriggerToken::Arrow | TriggerToken::OddArrow, spot)) => {
                let help = "write a rule for each change, or a list: `when: [A -> B, B -> C]`";
                self.error(spot, "a trigger has only one arrow", Some(help.to_owned()));
                None
            }
            Some((TriggerToken::Comma, spot)) => {
                self.error(
                    spot,
                    "`|` separates the names, not a comma",
                    Some("write, for example, `A -> B | C`".to_owned()),
                );
                None
            }
            Some((_, spot)) => {
                self.error(spot, "`|` must separate the names", Some("write, for example, `A -> B | C`".to_owned()));
                None
            }
        }
    }

    pub fn error(&mut self, spot: ByteSpan, message: impl Into<String>, label: Option<String>) {
        let place = self.node.part(spot, self.report);
        self.report.error("trigger", place, message).maybe_label(label);
    }
}
