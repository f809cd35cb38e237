//! The little language of `when`.
//!
//! ```text
//! trigger = ["processing"] names "->" names | ["processing"] names "for" duration {"," duration}
//! names   = name {"|" name}
//! ```

use std::ops::Range;

use crate::{
    kyc::{Processing, Status},
    source::{Duration, Node, Report, did_you_mean, one_of},
};

use super::{Left, ProcessingSide, Right, Trigger, context::Names};

/// More steps than this in one trigger are a slip.
const MAX_STEPS: usize = 16;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Token<'w> {
    Word(&'w str),
    Arrow,
    Bar,
    Comma,
    /// `=>`, `→` and the like.
    OddArrow,
}

/// One side's name, before it is known which side it stands on.
#[derive(Clone, Debug, PartialEq)]
enum Name<T> {
    Any,
    New,
    Is(T),
}

type Spot = Range<usize>;

/// Reads one trigger; what is wrong with it stands in the report.
pub(super) fn read(node: &Node<'_>, names: &Names<'_>, report: &mut Report<'_>) -> Option<Trigger> {
    let text = node.text("`when`", report)?;
    Grammar { tokens: tokens(text), at: 0, node, names, report, end: text.len() }.trigger()
}

fn tokens(text: &str) -> Vec<(Token<'_>, Spot)> {
    const SIGNS: &[(&str, Token<'static>)] = &[
        ("->", Token::Arrow),
        ("|", Token::Bar),
        (",", Token::Comma),
        ("=>", Token::OddArrow),
        ("→", Token::OddArrow),
        ("-->", Token::OddArrow),
    ];
    let sign = |rest: &str| SIGNS.iter().find(|(sign, _)| rest.starts_with(sign));
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(first) = text[at..].chars().next() {
        if first.is_whitespace() {
            at += first.len_utf8();
        } else if let Some((written, token)) = sign(&text[at..]) {
            found.push((*token, at..at + written.len()));
            at += written.len();
        } else {
            let ends = |(n, c): &(usize, char)| c.is_whitespace() || sign(&text[at + n..]).is_some();
            let end = text[at..].char_indices().find(ends).map_or(text.len(), |(n, _)| at + n);
            found.push((Token::Word(&text[at..end]), at..end));
            at = end;
        }
    }
    found
}

struct Grammar<'g, 't, 'r> {
    tokens: Vec<(Token<'g>, Spot)>,
    at: usize,
    node: &'g Node<'t>,
    names: &'g Names<'g>,
    report: &'g mut Report<'r>,
    end: usize,
}

impl<'g> Grammar<'g, '_, '_> {
    fn trigger(mut self) -> Option<Trigger> {
        if self.word() == Some("processing")
            && matches!(self.tokens.get(1), Some((Token::Word(word), _)) if *word != "for")
        {
            self.at += 1;
            return self.processing();
        }
        let left = self.side(Names::status, "status")?;
        match self.next() {
            Some((Token::Arrow, _)) => {
                let right = self.side(Names::status, "status")?;
                self.ended()?;
                self.moves(left, right)
            }
            Some((Token::Word("for"), _)) => {
                let after = self.durations()?;
                let statuses = self.stays(left)?;
                Some(Trigger::Stay { statuses, after })
            }
            other => self.neither(other),
        }
    }

    fn processing(mut self) -> Option<Trigger> {
        let left = self.side(Names::processing_status, "processing status")?;
        match self.next() {
            Some((Token::Arrow, _)) => {
                let right = self.side(Names::processing_status, "processing status")?;
                self.ended()?;
                let [from, to] = [left, right].map(|side| self.processing_side(side));
                let (from, to) = (from?, to?);
                if let ([ProcessingSide::Processing(one)], [ProcessingSide::Processing(other)]) = (&from[..], &to[..])
                    && one == other
                {
                    let message = "a processing status that stays the same moves nothing";
                    self.error(0..self.end, message, Some(format!("for a stay write `processing {one} for 1h`")));
                    return None;
                }
                Some(Trigger::ProcessingMove { from, to })
            }
            Some((Token::Word("for"), _)) => {
                let after = self.durations()?;
                let statuses = self.stays(left)?;
                Some(Trigger::ProcessingStay { statuses, after })
            }
            other => self.neither(other),
        }
    }

    fn moves(&mut self, left: Vec<(Name<Status>, Spot)>, right: Vec<(Name<Status>, Spot)>) -> Option<Trigger> {
        let mut from = Vec::new();
        for (name, _) in left {
            from.push(match name {
                Name::Any => Left::Any,
                Name::New => Left::New,
                Name::Is(status) => Left::Status(status),
            });
        }
        let mut to = Vec::new();
        for (name, spot) in right {
            to.push(match name {
                Name::Any => Right::Any,
                Name::Is(status) => Right::Status(status),
                Name::New => {
                    self.error(spot, "`new` stands only left of the arrow: nobody becomes new again", None);
                    return None;
                }
            });
        }
        Some(match (&from[..], &to[..]) {
            ([Left::Status(one)], [Right::Status(other)]) if one == other => {
                Trigger::Same { statuses: vec![one.clone()] }
            }
            _ => Trigger::Move { from, to },
        })
    }

    fn processing_side(&mut self, side: Vec<(Name<Processing>, Spot)>) -> Option<Vec<ProcessingSide>> {
        let mut sides = Vec::new();
        for (name, spot) in side {
            sides.push(match name {
                Name::Any => ProcessingSide::Any,
                Name::Is(status) => ProcessingSide::Processing(status),
                Name::New => {
                    self.error(spot, "`new` is no processing status", Some("a new customer's was `none`".to_owned()));
                    return None;
                }
            });
        }
        Some(sides)
    }

    fn stays<T>(&mut self, side: Vec<(Name<T>, Spot)>) -> Option<Vec<T>> {
        let mut statuses = Vec::new();
        for (name, spot) in side {
            match name {
                Name::Is(status) => statuses.push(status),
                Name::Any | Name::New => {
                    let message = "`for` needs the names of the statuses: a stay is in one of them";
                    self.error(spot, message, Some("write as `A | B for 48h`".to_owned()));
                    return None;
                }
            }
        }
        Some(statuses)
    }

    /// Names with `|` between them. `any` covers the rest; a name said twice counts once.
    fn side<T: Clone + PartialEq>(
        &mut self,
        known: impl Fn(&Names<'g>, &str) -> Option<T>,
        what: &'static str,
    ) -> Option<Vec<(Name<T>, Spot)>> {
        let mut side: Vec<(Name<T>, Spot)> = Vec::new();
        let mut complete = true;
        loop {
            let (word, spot) = match self.next() {
                Some((Token::Word(word), spot)) if word != "for" => (word, spot),
                other => {
                    let spot = other.map_or(self.end..self.end, |(_, spot)| spot);
                    self.error(spot, format!("a {what} is missing here"), Some("write a name, or `any`".to_owned()));
                    return None;
                }
            };
            match word {
                "any" => side.push((Name::Any, spot)),
                "new" => side.push((Name::New, spot)),
                _ => match known(self.names, word) {
                    Some(status) => side.push((Name::Is(status), spot)),
                    None => {
                        complete = false;
                        self.unknown(word, spot, what);
                    }
                },
            }
            match self.tokens.get(self.at) {
                Some((Token::Bar, _)) => self.at += 1,
                _ => break,
            }
        }
        if !complete {
            return None;
        }
        if let Some((_, spot)) = side.iter().find(|(name, _)| *name == Name::Any).cloned()
            && side.len() > 1
        {
            let place = self.node.part(spot.clone(), self.report);
            self.report.warning("trigger", place, "`any` covers every name beside it").label("write it alone");
            return Some(vec![(Name::Any, spot)]);
        }
        let mut once: Vec<(Name<T>, Spot)> = Vec::new();
        for (name, spot) in side {
            if !once.iter().any(|(have, _)| *have == name) {
                once.push((name, spot));
            }
        }
        Some(once)
    }

    fn durations(&mut self) -> Option<Vec<Duration>> {
        let mut after: Vec<Duration> = Vec::new();
        loop {
            let (text, spot) = match self.next() {
                Some((Token::Word(word), spot)) => (word, spot),
                other => {
                    let spot = other.map_or(self.end..self.end, |(_, spot)| spot);
                    self.error(spot, "a duration is missing here", Some("write as `48h` or `5d`".to_owned()));
                    return None;
                }
            };
            match text.parse::<Duration>() {
                Ok(duration) if after.last().is_some_and(|before| *before >= duration) => {
                    self.error(
                        spot,
                        "the durations have to rise",
                        Some("each is counted from entering the status".to_owned()),
                    );
                    return None;
                }
                Ok(duration) => after.push(duration),
                Err(why) => {
                    self.error(spot, format!("`{text}` {why}"), None);
                    return None;
                }
            }
            match self.next() {
                None if after.len() <= MAX_STEPS => return Some(after),
                None => {
                    self.error(0..self.end, format!("more than {MAX_STEPS} durations"), None);
                    return None;
                }
                Some((Token::Comma, _)) => {}
                Some((_, spot)) => {
                    self.error(spot, "between durations stands a comma", Some("write as `A for 48h, 5d`".to_owned()));
                    return None;
                }
            }
        }
    }

    /// After the names stood neither an arrow nor `for`.
    fn neither<T>(&mut self, found: Option<(Token<'g>, Spot)>) -> Option<T> {
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

    fn unknown(&mut self, word: &str, spot: Spot, what: &'static str) {
        if word == "*" {
            self.error(spot, "`*` is no name", Some("write `any`".to_owned()));
            return;
        }
        if word.parse::<Duration>().is_ok() {
            let label = "put quotes around the whole trigger: \"A for 48h, 5d\"".to_owned();
            self.error(spot, "a duration without its status: in `[…]` a comma begins another entry", Some(label));
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
                let list = if what == "status" { "statuses" } else { "processing" };
                let known = one_of(names.iter().copied());
                note.help(format!("known are {known}; a new one is declared in the configuration, under `{list}:`"))
            }
        };
    }

    /// Nothing may follow.
    fn ended(&mut self) -> Option<()> {
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

    fn next(&mut self) -> Option<(Token<'g>, Spot)> {
        let token = self.tokens.get(self.at).cloned();
        self.at += 1;
        token
    }

    fn word(&self) -> Option<&'g str> {
        match self.tokens.get(self.at) {
            Some((Token::Word(word), _)) => Some(word),
            _ => None,
        }
    }

    fn error(&mut self, spot: Spot, message: impl Into<String>, label: Option<String>) {
        let place = self.node.part(spot, self.report);
        self.report.error("trigger", place, message).maybe_label(label);
    }
}
