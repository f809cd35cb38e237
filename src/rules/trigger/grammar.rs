//! The parser of `when`.
//!
//! ```text
//! trigger = ["processing"] names "->" names | ["processing"] names "for" duration {"," duration}
//! names   = name {"|" name}
//! ```

use crate::{
    domain::{Processing, Status},
    yaml::{Duration, Node, Report},
};

use crate::rules::{
    LeftSide, ProcessingSide, RightSide, Trigger,
    context::RuleNames,
    trigger::tokens::{ByteSpan, TriggerToken, tokens},
};

const MAX_BYTES: usize = 4096;

/// Maximum number of durations in one trigger.
const MAX_STEPS: usize = 16;

/// A name in a trigger, before the parser knows its side.
#[derive(Clone, Debug, PartialEq)]
enum SideName<T> {
    Any,
    New,
    Is(T),
    /// An unknown name. It has been reported; parsing continues, so that names on the other side are checked, too.
    Unknown,
}

/// Parses one trigger; adds its errors to the report.
pub(in crate::rules) fn read(node: &Node<'_>, names: &RuleNames<'_>, report: &mut Report<'_>) -> Option<Trigger> {
    let text = node.text("`when`", report)?;
    if text.len() > MAX_BYTES {
        report.error("trigger", node.span.clone(), format!("a trigger has at most {MAX_BYTES} bytes"));
        return None;
    }
    TriggerGrammar { tokens: tokens(text), at: 0, node, names, report, end: text.len() }.trigger()
}

pub(in crate::rules) struct TriggerGrammar<'g, 't, 'r> {
    tokens: Vec<(TriggerToken<'g>, ByteSpan)>,
    at: usize,
    pub node: &'g Node<'t>,
    pub names: &'g RuleNames<'g>,
    pub report: &'g mut Report<'r>,
    /// Length of the trigger's text, in bytes.
    pub end: usize,
}

impl<'g> TriggerGrammar<'g, '_, '_> {
    fn trigger(mut self) -> Option<Trigger> {
        if self.word() == Some("processing")
            && matches!(self.tokens.get(1), Some((TriggerToken::Word(word), _)) if *word != "for")
        {
            self.at += 1;
            return self.processing();
        }
        let left = self.side(RuleNames::status, "status")?;
        match self.next() {
            Some((TriggerToken::Arrow, _)) => {
                let right = self.side(RuleNames::status, "status")?;
                self.ended()?;
                self.moves(left, right)
            }
            Some((TriggerToken::Word("for"), _)) => {
                let after = self.durations()?;
                let statuses = self.stays(left)?;
                Some(Trigger::Stay { statuses, after })
            }
            None if !is_known(&left) => None,
            other => self.neither_status_nor_processing(other),
        }
    }

    fn processing(mut self) -> Option<Trigger> {
        let left = self.side(RuleNames::processing_status, "processing status")?;
        match self.next() {
            Some((TriggerToken::Arrow, _)) => {
                let right = self.side(RuleNames::processing_status, "processing status")?;
                self.ended()?;
                let [from, to] = [left, right].map(|side| self.processing_side(side));
                let (from, to) = (from?, to?);
                if let ([ProcessingSide::Processing(one)], [ProcessingSide::Processing(other)]) = (&from[..], &to[..])
                    && one == other
                {
                    let message = "both sides name the same processing status, so it never changes";
                    self.error(0..self.end, message, Some(format!("for a stay, write `processing {one} for 1h`")));
                    return None;
                }
                Some(Trigger::ProcessingMove { from, to })
            }
            Some((TriggerToken::Word("for"), _)) => {
                let after = self.durations()?;
                let statuses = self.stays(left)?;
                Some(Trigger::ProcessingStay { statuses, after })
            }
            None if !is_known(&left) => None,
            other => self.neither_status_nor_processing(other),
        }
    }

    fn moves(
        &mut self,
        left: Vec<(SideName<Status>, ByteSpan)>,
        right: Vec<(SideName<Status>, ByteSpan)>,
    ) -> Option<Trigger> {
        let mut from = Vec::new();
        for (name, _) in left {
            from.push(match name {
                SideName::Any => LeftSide::Any,
                SideName::New => LeftSide::New,
                SideName::Is(status) => LeftSide::Status(status),
                SideName::Unknown => return None,
            });
        }
        let mut to = Vec::new();
        for (name, spot) in right {
            to.push(match name {
                SideName::Any => RightSide::Any,
                SideName::Is(status) => RightSide::Status(status),
                SideName::Unknown => return None,
                SideName::New => {
                    self.error(spot, "`new` is allowed only left of the arrow: no customer becomes new again", None);
                    return None;
                }
            });
        }
        Some(match (&from[..], &to[..]) {
            ([LeftSide::Status(one)], [RightSide::Status(other)]) if one == other => {
                Trigger::Same { statuses: vec![one.clone()] }
            }
            _ => Trigger::Move { from, to },
        })
    }

    fn processing_side(&mut self, side: Vec<(SideName<Processing>, ByteSpan)>) -> Option<Vec<ProcessingSide>> {
        let mut sides = Vec::new();
        for (name, spot) in side {
            sides.push(match name {
                SideName::Any => ProcessingSide::Any,
                SideName::Is(status) => ProcessingSide::Processing(status),
                SideName::Unknown => return None,
                SideName::New => {
                    self.error(
                        spot,
                        "`new` is not a processing status",
                        Some("for a new customer, write `none`".to_owned()),
                    );
                    return None;
                }
            });
        }
        Some(sides)
    }

    fn stays<T>(&mut self, side: Vec<(SideName<T>, ByteSpan)>) -> Option<Vec<T>> {
        let mut statuses = Vec::new();
        for (name, spot) in side {
            match name {
                SideName::Is(status) => statuses.push(status),
                SideName::Unknown => return None,
                SideName::Any | SideName::New => {
                    let message = "`for` needs the names of statuses, not `any` or `new`";
                    self.error(spot, message, Some("write, for example, `A | B for 48h`".to_owned()));
                    return None;
                }
            }
        }
        Some(statuses)
    }

    /// Parses names separated by `|`. `any` replaces the other names; a repeated name counts once.
    fn side<T: Clone + PartialEq>(
        &mut self,
        known: impl Fn(&RuleNames<'g>, &str) -> Option<T>,
        what: &'static str,
    ) -> Option<Vec<(SideName<T>, ByteSpan)>> {
        let mut side: Vec<(SideName<T>, ByteSpan)> = Vec::new();
        loop {
            let (word, spot) = match self.next() {
                Some((TriggerToken::Word(word), spot)) if word != "for" => (word, spot),
                other => {
                    let spot = other.map_or(self.end..self.end, |(_, spot)| spot);
                    self.error(spot, format!("a {what} is missing here"), Some("write a name, or `any`".to_owned()));
                    return None;
                }
            };
            match word {
                "any" => side.push((SideName::Any, spot)),
                "new" => side.push((SideName::New, spot)),
                _ => match known(self.names, word) {
                    Some(status) => side.push((SideName::Is(status), spot)),
                    None => {
                        self.unknown(word, spot.clone(), what);
                        // A lone duration has no other side to check.
                        if word.parse::<Duration>().is_ok() {
                            return None;
                        }
                        side.push((SideName::Unknown, spot));
                    }
                },
            }
            match self.tokens.get(self.at) {
                Some((TriggerToken::Bar, _)) => self.at += 1,
                _ => break,
            }
        }
        if let Some((_, spot)) = side.iter().find(|(name, _)| *name == SideName::Any).cloned()
            && side.len() > 1
            && is_known(&side)
        {
            let place = self.node.part(spot.clone(), self.report);
            self.report.warning("trigger", place, "`any` already includes the other names").label("write `any` alone");
            return Some(vec![(SideName::Any, spot)]);
        }
        let mut once: Vec<(SideName<T>, ByteSpan)> = Vec::new();
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
                Some((TriggerToken::Word(word), spot)) => (word, spot),
                other => {
                    let spot = other.map_or(self.end..self.end, |(_, spot)| spot);
                    self.error(
                        spot,
                        "a duration is missing here",
                        Some("write, for example, `48h` or `5d`".to_owned()),
                    );
                    return None;
                }
            };
            match text.parse::<Duration>() {
                Ok(duration) if after.last().is_some_and(|before| *before >= duration) => {
                    self.error(
                        spot,
                        "the durations must increase",
                        Some("each duration counts from the start of the stay".to_owned()),
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
                    self.error(0..self.end, format!("a trigger has at most {MAX_STEPS} durations"), None);
                    return None;
                }
                Some((TriggerToken::Comma, _)) => {}
                Some((_, spot)) => {
                    self.error(
                        spot,
                        "a comma must separate the durations",
                        Some("write, for example, `A for 48h, 5d`".to_owned()),
                    );
                    return None;
                }
            }
        }
    }

    pub fn next(&mut self) -> Option<(TriggerToken<'g>, ByteSpan)> {
        let token = self.tokens.get(self.at).cloned();
        self.at += 1;
        token
    }

    fn word(&self) -> Option<&'g str> {
        match self.tokens.get(self.at) {
            Some((TriggerToken::Word(word), _)) => Some(word),
            _ => None,
        }
    }
}

/// Whether all names are known. Unknown names have been reported already.
fn is_known<T: PartialEq>(side: &[(SideName<T>, ByteSpan)]) -> bool {
    side.iter().all(|(name, _)| *name != SideName::Unknown)
}
