//! Builds the tree of nodes from the parser's events.
//!
//! At most [`MAX_DEPTH`] lists and maps are open at the same time. A value that is not allowed is reported at its
//! place, and building continues, so that later errors are reported too.

use std::{borrow::Cow, collections::HashSet, ops::Range};

use saphyr_parser::{Event, ScalarStyle, Span};

use super::{MapEntry, Node, Report, Value, syntax};

const MAX_DEPTH: usize = 32;

/// Converts character offsets to byte offsets.
pub(super) struct ByteOffsets(Option<Vec<u32>>, usize);

impl ByteOffsets {
    fn of(text: &str) -> Self {
        let table = || text.char_indices().filter_map(|(at, _)| u32::try_from(at).ok()).collect();
        Self((!text.is_ascii()).then(table), text.len())
    }

    pub(super) fn byte(&self, index: usize) -> usize {
        match &self.0 {
            None => index.min(self.1),
            Some(table) => table.get(index).map_or(self.1, |at| *at as usize),
        }
    }

    pub(super) fn range(&self, span: Span) -> Range<usize> {
        let start = self.byte(span.start.index());
        start..self.byte(span.end.index()).max(start)
    }
}

/// A list or map whose end has not been read yet.
enum OpenNode<'t> {
    List(Vec<Node<'t>>, usize),
    Map(OpenMap<'t>),
}

#[derive(Default)]
struct OpenMap<'t> {
    entries: Vec<MapEntry<'t>>,
    start: usize,
    /// The key whose value has not been read yet.
    waiting: Option<Key<'t>>,
    /// The map has an invalid key, which has been reported, so that missing keys in it are not reported.
    refused: bool,
}

/// `None` in place of an invalid key; its value is dropped.
type Key<'t> = (Option<Cow<'t, str>>, Range<usize>);

pub(super) struct Tree<'r, 't> {
    pub(super) report: &'r mut Report<'t>,
    pub(super) offsets: ByteOffsets,
    open: Vec<OpenNode<'t>>,
    root: Option<Node<'t>>,
}

impl<'r, 't> Tree<'r, 't> {
    pub(super) fn new(report: &'r mut Report<'t>) -> Self {
        Self { offsets: ByteOffsets::of(report.text()), report, open: Vec::new(), root: None }
    }

    /// The whole tree; a text without a value gives null.
    pub(super) fn root(self) -> Node<'t> {
        self.root.unwrap_or(Node { value: Value::Null, span: 0..0, plain: true })
    }

    /// The parts that were complete when parsing stopped. An open map is [`Value::Refused`], except the outermost.
    pub(super) fn salvage(mut self) -> Node<'t> {
        self.report.cut();
        while let Some(open) = self.open.pop() {
            let (value, start) = match open {
                OpenNode::List(items, start) => (Value::List(items), start),
                OpenNode::Map(map) if self.open.is_empty() && !map.refused => (Value::Map(map.entries), map.start),
                OpenNode::Map(map) => (Value::Refused, map.start),
            };
            let node = Node { value, span: start..start, plain: true };
            match self.open.last_mut() {
                None => self.root = Some(node),
                Some(OpenNode::List(items, _)) => items.push(node),
                Some(OpenNode::Map(map)) => {
                    if let Some((Some(key), key_span)) = map.waiting.take() {
                        map.entries.push(MapEntry { key, key_span, value: node });
                    }
                }
            }
        }
        self.root.unwrap_or(Node { value: Value::Refused, span: 0..0, plain: true })
    }

    /// Processes an event. `None`: parsing must stop.
    pub(super) fn take(&mut self, event: Event<'t>, span: Span) -> Option<()> {
        let span = self.offsets.range(span);
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let span = self.refuse(anchor != 0, tag.is_some(), span);
                let plain = style == ScalarStyle::Plain;
                let span = if plain && text.is_empty() { span.start..span.start } else { self.trimmed(span) };
                let value = if plain { resolve(text) } else { Value::Text(text) };
                self.put(Node { value, span, plain });
            }
            Event::SequenceStart(anchor, tag) => {
                let span = self.refuse(anchor != 0, tag.is_some(), span);
                self.open(OpenNode::List(Vec::new(), span.start), span)?;
            }
            Event::MappingStart(anchor, tag) => {
                let span = self.refuse(anchor != 0, tag.is_some(), span);
                self.open(OpenNode::Map(OpenMap { start: span.start, ..OpenMap::default() }), span)?;
            }
            Event::SequenceEnd | Event::MappingEnd => {
                let (value, start, last) = match self.open.pop()? {
                    OpenNode::List(items, start) => {
                        let last = items.last().map_or(start, |item| item.span.end);
                        (Value::List(items), start, last)
                    }
                    OpenNode::Map(OpenMap { mut entries, start, refused, .. }) => {
                        drop_repeated(&mut entries, self.report);
                        let last = entries.last().map_or(start, |entry| entry.value.span.end.max(entry.key_span.end));
                        (if refused { Value::Refused } else { Value::Map(entries) }, start, last)
                    }
                };
                // A flow collection ends with its bracket, a block collection with its last entry.
                let bracket = matches!(self.report.text().as_bytes().get(span.start), Some(b']' | b'}'));
                let end = if bracket { span.start + 1 } else { last };
                self.put(Node { value, span: start..end.max(start), plain: true });
            }
            Event::Alias(_) => {
                self.report.error("yaml", span.clone(), "aliases (`*name`) are not supported").label("write it out");
                self.put(Node { value: Value::Refused, span, plain: true });
            }
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentStart(_) | Event::DocumentEnd => {}
        }
        Some(())
    }

    fn open(&mut self, open: OpenNode<'t>, span: Range<usize>) -> Option<()> {
        if self.open.len() == MAX_DEPTH {
            syntax::too_deep(span.start, self.report);
            return None;
        }
        self.open.push(open);
        Some(())
    }

    /// Reports an anchor or tag, and returns the span of the value after it.
    fn refuse(&mut self, anchor: bool, tag: bool, span: Range<usize>) -> Range<usize> {
        if !anchor && !tag {
            return span;
        }
        let text = self.report.text();
        // For a block, the span does not contain its anchor, which is before it.
        let marked = |at: &usize| matches!(text.as_bytes().get(*at), Some(b'&' | b'!'));
        let start = Some(span.start).filter(marked).or_else(|| text.get(..span.start)?.rfind(['&', '!']));
        let start = start.unwrap_or(span.start);
        let word = |from: usize| {
            let rest = text.get(from..).unwrap_or_default();
            from..from + rest.find([' ', '\t', '\r', '\n', ',', ']', '}']).unwrap_or(rest.len())
        };
        let mut at = word(start);
        if anchor {
            self.report.error("yaml", at.clone(), "anchors (`&name`) are not supported").label("remove it");
        }
        if tag {
            self.report
                .error("yaml", at.clone(), "tags (`!name`) are not supported")
                .label("remove it; put quotes around the value to make it a text");
        }
        while marked(&at.start) {
            let next = text.get(at.end..).unwrap_or_default();
            let skipped = next.len() - next.trim_start_matches([' ', '\t']).len();
            at = word(at.end + skipped);
        }
        at.start.max(span.start)..span.end.max(at.start)
    }

    /// The span of a block scalar extends to the next token; it is cut after the last character.
    fn trimmed(&self, span: Range<usize>) -> Range<usize> {
        let kept = self.report.text().get(span.clone()).map_or(0, |text| text.trim_end().len());
        span.start..span.start + kept
    }

    fn put(&mut self, node: Node<'t>) {
        match self.open.last_mut() {
            None => self.root = Some(node),
            Some(OpenNode::List(items, _)) => items.push(node),
            Some(OpenNode::Map(map)) => match map.waiting.take() {
                Some((Some(key), key_span)) => map.entries.push(MapEntry { key, key_span, value: node }),
                Some((None, _)) => map.refused = true,
                None => map.waiting = Some(key(node, self.report)),
            },
        }
    }
}

fn key<'t>(node: Node<'t>, report: &mut Report<'t>) -> Key<'t> {
    let span = node.span;
    let text = match node.value {
        Value::Text(text) if text == "<<" && node.plain => {
            report.error("yaml", span.clone(), "merge keys (`<<`) are not supported").label("write them out");
            None
        }
        Value::Text(text) | Value::Number(_, text) => Some(text),
        Value::Bool(value) => Some(Cow::Borrowed(if value { "true" } else { "false" })),
        Value::Null => {
            report.error("yaml", span.clone(), "a key is missing before the `:`");
            None
        }
        Value::Refused => None,
        Value::List(_) | Value::Map(_) => {
            syntax::not_a_key(span.clone(), report);
            None
        }
    };
    (text, span)
}

/// Reports duplicate keys and keeps the first of them.
fn drop_repeated<'t>(entries: &mut Vec<MapEntry<'t>>, report: &mut Report<'t>) {
    const FEW: usize = 12;
    let none =
        entries.len() <= FEW && entries.iter().enumerate().all(|(n, e)| entries[..n].iter().all(|o| o.key != e.key));
    if none {
        return;
    }
    let mut seen: HashSet<Cow<'t, str>> = HashSet::with_capacity(entries.len());
    entries.retain(|entry| {
        let first = seen.insert(entry.key.clone());
        if !first {
            report
                .error("duplicate", entry.key_span.clone(), format!("the key `{}` appears twice here", entry.key))
                .label("remove one of them");
        }
        first
    });
}

/// Determines the type of an unquoted scalar. serde_yaml parses it only if it may be a number, null or a boolean.
fn resolve(text: Cow<'_, str>) -> Value<'_> {
    let word =
        matches!(&*text, "" | "~" | "null" | "Null" | "NULL" | "true" | "True" | "TRUE" | "false" | "False" | "FALSE");
    if !word && !text.starts_with(|first: char| first.is_ascii_digit() || matches!(first, '+' | '-' | '.')) {
        return Value::Text(text);
    }
    // A scalar with any other character is not a number in any notation, and may be a YAML document of its own.
    if !text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.' | b'_' | b'~')) {
        return Value::Text(text);
    }
    match serde_yaml::from_str::<serde_yaml::Value>(&text) {
        Ok(serde_yaml::Value::Null) => Value::Null,
        Ok(serde_yaml::Value::Bool(value)) => Value::Bool(value),
        Ok(serde_yaml::Value::Number(number)) => Value::Number(number, text),
        _ => Value::Text(text),
    }
}
