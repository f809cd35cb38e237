//! Finds the ends of the operands in a template's expressions that may be a list or a map.
//!
//! This follows minijinja's grammar as far as needed: an operand is a name, a literal or a pair of brackets, with its
//! attributes, items, calls, filters and tests. Names that are assigned (`set x`, `for x in`, parameters) are not
//! operands.

use std::collections::BTreeSet;

use super::tokens::{TemplateBlock, TemplateToken, TokenKind};

/// The names that every rendering has; none of their values is large.
const GIVEN: &[&str] = &[
    "brand",
    "content",
    "customer",
    "from",
    "locale",
    "loop",
    "message",
    "missing_docs",
    "now",
    "reject_labels",
    "rule",
    "stay",
    "step",
    "subject",
    "tags",
    "to",
    "visit",
];
const CONSTANTS: &[&str] = &["true", "True", "false", "False", "none", "None"];
/// Filters whose result is a text or a number.
const SCALAR_FILTERS: &[&str] = &[
    "abs",
    "bool",
    "capitalize",
    "count",
    "date",
    "float",
    "indent",
    "int",
    "join",
    "length",
    "lower",
    "replace",
    "round",
    "string",
    "title",
    "trim",
    "upper",
    "words",
];

/// The ends of these operands, in ascending order.
pub(super) fn places(blocks: &[TemplateBlock<'_>]) -> Vec<usize> {
    const BINDING: &[&str] = &["set", "for", "with", "macro", "call"];
    // A block may only read some of these names. Guarding a small value as well costs little.
    let bound = blocks.iter().filter(|block| block.tag().is_some_and(|tag| BINDING.contains(&tag)));
    let bound: BTreeSet<&str> = bound
        .flat_map(|block| &block.tokens)
        .filter(|token| token.kind == TokenKind::Name)
        .map(|token| token.text)
        .collect();
    let mut places = Vec::new();
    for block in blocks {
        let scan = Scan { bound: &bound, places: &mut places, levels: vec![Level::default()], next: Next::Any };
        scan.block(block);
    }
    places
}

/// The state of one pair of brackets, or of the code outside all brackets.
#[derive(Default)]
struct Level {
    /// `Some` while an operand is read; whether it may be large.
    operand: Option<bool>,
    /// The end of the operand as read so far.
    end: usize,
    /// Names here are assigned, up to `=` or `in`.
    binds: bool,
    /// After a comma, names are assigned again.
    is_parameters: bool,
    /// The operand before the brackets together with them may be large.
    is_large: bool,
}

/// The meaning of the next token.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Next {
    Any,
    /// An attribute or an item after a dot.
    Item,
    FilterName,
    TestName,
}

struct Scan<'s, 't> {
    bound: &'s BTreeSet<&'t str>,
    places: &'s mut Vec<usize>,
    levels: Vec<Level>,
    next: Next,
}

impl Scan<'_, '_> {
    fn block(mut self, block: &TemplateBlock<'_>) {
        let tokens = &*block.tokens;
        let mut skip = 0;
        let tag = block.tag();
        match tag {
            None if block.is_statement => return,
            None => {}
            Some("if" | "elif" | "do") => skip = 1,
            Some("for" | "set" | "with") => {
                skip = 1;
                self.top().binds = true;
                self.top().is_parameters = tag == Some("with");
            }
            Some("macro") => skip = 2,
            Some("call") => skip = 1,
            Some("filter") => {
                skip = 1;
                self.next = Next::FilterName;
            }
            Some(_) => return,
        }
        let takes_parameters =
            matches!(tag, Some("macro" | "call")) && tokens.get(skip).is_some_and(|token| token.text == "(");
        for (nth, token) in tokens.iter().enumerate().skip(skip) {
            if takes_parameters && nth == skip {
                self.levels.push(Level { binds: true, is_parameters: true, ..Level::default() });
            } else {
                self.take(token, tag);
            }
        }
        // A call block and `do` end with a call, and no filter is allowed after that.
        if !matches!(tag, Some("call" | "do")) {
            self.finish();
        }
    }

    fn top(&mut self) -> &mut Level {
        if self.levels.is_empty() {
            self.levels.push(Level::default());
        }
        let last = self.levels.len() - 1;
        &mut self.levels[last]
    }

    /// Ends the current operand.
    fn finish(&mut self) {
        let level = self.top();
        let end = level.end;
        if level.operand.take() == Some(true) {
            self.places.push(end);
        }
    }

    fn take(&mut self, token: &TemplateToken<'_>, tag: Option<&str>) {
        if self.top().binds {
            return self.bind(token, tag);
        }
        match (std::mem::replace(&mut self.next, Next::Any), token.kind) {
            (Next::FilterName, TokenKind::Name) => return self.operand(!SCALAR_FILTERS.contains(&token.text), token),
            (Next::TestName, TokenKind::Name) if token.text == "not" => {
                self.next = Next::TestName;
                return;
            }
            (Next::TestName, TokenKind::Name) => return self.operand(false, token),
            (Next::Item, TokenKind::Name | TokenKind::Literal) => {
                self.top().end = token.end();
                return;
            }
            _ => {}
        }
        match token.kind {
            TokenKind::Name => self.name(token, tag),
            TokenKind::Literal => {
                // Adjacent strings are one operand.
                let is_large = self.top().operand.unwrap_or(false);
                self.operand(is_large, token);
            }
            TokenKind::Sign => self.sign(token),
        }
    }

    fn operand(&mut self, is_large: bool, token: &TemplateToken<'_>) {
        let level = self.top();
        level.operand = Some(is_large);
        level.end = token.end();
    }

    fn bind(&mut self, token: &TemplateToken<'_>, tag: Option<&str>) {
        let is_outside = self.levels.len() == 1;
        match token.text {
            "=" => self.top().binds = false,
            "in" if is_outside && tag == Some("for") => self.top().binds = false,
            "|" if is_outside && tag == Some("set") => {
                self.top().binds = false;
                self.next = Next::FilterName;
            }
            "(" => self.levels.push(Level { binds: true, ..Level::default() }),
            ")" => self.close(token, false),
            _ => {}
        }
    }

    fn name(&mut self, token: &TemplateToken<'_>, tag: Option<&str>) {
        match token.text {
            "and" | "or" | "not" | "in" | "if" | "else" => self.finish(),
            "recursive" if tag == Some("for") && self.top().operand.is_some() => self.finish(),
            "is" => {
                self.finish();
                self.next = Next::TestName;
            }
            name => {
                self.finish();
                let is_given = GIVEN.contains(&name) && !self.bound.contains(name);
                self.operand(!is_given && !CONSTANTS.contains(&name), token);
            }
        }
    }

    fn sign(&mut self, token: &TemplateToken<'_>) {
        match token.text {
            "(" | "[" | "{" => {
                // After a small operand, the brackets are its arguments or its item. Otherwise they are a group, a list
                // or a map.
                let is_large = self.top().operand != Some(false);
                self.levels.push(Level { is_large, ..Level::default() });
            }
            ")" | "]" | "}" => {
                self.finish();
                self.close(token, true);
            }
            "," => {
                self.finish();
                let level = self.top();
                level.binds = level.is_parameters;
            }
            // The token before is the name of an argument.
            "=" => self.top().operand = None,
            "." => self.next = Next::Item,
            "|" => {
                self.finish();
                self.next = Next::FilterName;
            }
            _ => self.finish(),
        }
    }

    fn close(&mut self, token: &TemplateToken<'_>, is_operand: bool) {
        if self.levels.len() > 1
            && let Some(inner) = self.levels.pop()
            && is_operand
        {
            self.operand(inner.is_large, token);
        }
    }
}
