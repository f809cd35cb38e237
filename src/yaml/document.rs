//! YAML, read so that every value knows its place.
//!
//! ```
//! use kyc_rules::yaml::{Document, MapFields, Report};
//!
//! let text = "listen: 0.0.0.0:8080\ntimeout: 10m\nallow: [10.0.0.0/8]\n";
//! let mut report = Report::new("kyc-rules.yaml", text);
//! if let Some(document) = Document::read(&mut report)
//!     && let Some(fields) = MapFields::of(&document.root, "`callback`", &["listen", "timeout", "allow"], &mut report)
//! {
//!     let listen = fields.need("listen", &mut report).and_then(|node| node.text("`listen`", &mut report));
//!     let timeout = fields.get("timeout").and_then(|node| node.duration("`timeout`", &mut report));
//!     let allow = fields.get("allow").and_then(|node| node.texts("`allow`", &mut report));
//!     assert_eq!((listen, timeout.map(|t| t.ms()), allow), (Some("0.0.0.0:8080"), Some(600_000), Some(vec!["10.0.0.0/8"])));
//! }
//! assert!(!report.has_errors()); // else: report.into_diagnostics()
//! ```
//!
//! The events of saphyr-parser are checked first: this pass rejects YAML features that rules do not need (anchors,
//! aliases, tags, several documents, nesting beyond 32, keys that are not texts) and errors that other parsers accept
//! (duplicate keys). serde_yaml decides the type of a plain scalar. It parses only single scalars, because its parser
//! takes seconds for deep nesting. Parsing takes linear time, and a text of more than 256 KiB is rejected.

use saphyr_parser::{Event, Parser};

use super::{Node, Report, conflicts, syntax, tree::Tree};

pub const MAX_FILE_BYTES: usize = 256 * 1024;

/// A parsed text. Errors are in the report, and the tree exists nevertheless: for a text that could not be parsed to
/// its end (see [`Report::is_cut`]), it has the parts that were complete before that place. Therefore check
/// [`Report::has_errors`] at the end.
#[derive(Debug)]
pub struct Document<'t> {
    pub root: Node<'t>,
}

impl<'t> Document<'t> {
    pub fn read(report: &mut Report<'t>) -> Option<Self> {
        let text = report.text();
        if text.len() > MAX_FILE_BYTES {
            let kib = text.len().div_ceil(1024);
            report
                .error("size", 0..0, format!("this file has {kib} KiB; at most {} are read", MAX_FILE_BYTES / 1024))
                .help("split it into several files");
            return None;
        }
        let conflicts = conflicts(report.file(), text);
        if !conflicts.is_empty() {
            for conflict in conflicts {
                report.add(conflict);
            }
            return None;
        }
        let mut tree = Tree::new(report);
        let mut parser = Parser::new_from_str(text);
        let mut documents = 0;
        while let Some(event) = parser.next_event() {
            let (event, span) = match event {
                Ok(event) => event,
                Err(error) => {
                    let at = tree.offsets.byte(error.marker().index());
                    syntax::explain(at, error.info(), tree.report);
                    return Some(Self { root: tree.salvage() });
                }
            };
            if let Event::DocumentStart(_) = event {
                documents += 1;
                if documents > 1 {
                    let span = tree.offsets.range(span);
                    tree.report
                        .error("yaml", span, "a second document begins here")
                        .label("write one document in each file");
                    return Some(Self { root: tree.root() });
                }
            }
            if tree.take(event, span).is_none() {
                return Some(Self { root: tree.salvage() });
            }
        }
        Some(Self { root: tree.root() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::yaml::Value;

    fn read(text: &str) -> (Option<Node<'_>>, Vec<(String, String)>) {
        let mut report = Report::new("a.yaml", text);
        let root = Document::read(&mut report).map(|document| document.root);
        let found = report.into_diagnostics();
        let at =
            |found: &crate::yaml::Diagnostic| found.span.clone().and_then(|span| text.get(span)).map(str::to_owned);
        (root, found.iter().map(|found| (at(found).unwrap_or_default(), found.message.clone())).collect())
    }

    #[test]
    fn every_value_has_its_span() {
        let text = "ä: \"ö\"\r\nlist: [1, {b: \u{1f600}}]\r\nblock: >\n  one\n  two\nlast:\n";
        let (root, found) = read(text);
        assert_eq!(found, []);
        let root = root.expect("read");
        let at = |node: &Node<'_>| text[node.span.clone()].to_owned();
        assert_eq!(at(root.get("ä").expect("ä")), "\"ö\"");
        let list = root.get("list").expect("list");
        assert_eq!(at(list), "[1, {b: \u{1f600}}]");
        assert_eq!(at(&list.items()[1]), "{b: \u{1f600}}");
        assert_eq!(at(root.get("block").expect("block")), "one\n  two");
        assert!(root.get("last").expect("last").is_null());
        let Value::Map(entries) = &root.value else { panic!("a map") };
        assert_eq!(&text[entries[1].key_span.clone()], "list");
    }

    #[test]
    fn words_that_yaml_1_1_converts_are_texts() {
        let (root, _) = read("[NO, no, on, 22:00, 22:00-07:00, 1_000, 5d, 007]");
        for item in root.expect("read").items() {
            assert!(matches!(item.value, Value::Text(_)), "{item:?}");
        }
        let (root, _) = read("[1, -1.5, 0x1f]");
        assert!(root.expect("read").items().iter().all(|item| matches!(item.value, Value::Number(..))));
        let (root, _) = read("[~, null, '']");
        assert_eq!(root.expect("read").items().iter().filter(|item| item.is_null()).count(), 2);
    }

    #[test]
    fn rejected_features_are_reported_at_their_place_and_the_rest_is_read() {
        let (root, found) = read("a: &x 1\nb: *x\nc: !!str 5\na: 2\nd: &y\n  e: 1\n  e: 2\n");
        let places: Vec<&str> = found.iter().map(|(at, _)| at.as_str()).collect();
        assert_eq!(places, ["&x", "*x", "!!str", "&y", "e", "a"]);
        assert!(matches!(root.expect("read").get("a").expect("a").value, Value::Number(..)));
    }

    #[test]
    fn the_complete_parts_before_a_syntax_error_are_kept() {
        let text = "format: 1\nlist:\n  - {a: 1}\n  - {b: 2}\n  - c: * x\n";
        let mut report = Report::new("a.yaml", text);
        let root = Document::read(&mut report).expect("a tree").root;
        assert!(report.is_cut() && report.has_errors());
        let list = root.get("list").expect("list").items();
        assert!(list[0].get("a").is_some() && list[1].get("b").is_some());
        assert!(matches!(list[2].value, Value::Refused));
    }

    #[test]
    fn deep_nesting_and_large_files_are_rejected() {
        for bomb in
            ["[".repeat(60_000), "- ".repeat(30_000), "{a: ".repeat(15_000), "? ".repeat(30_000), "a: [".repeat(15_000)]
        {
            let (root, found) = read(&bomb);
            let refused = Value::Refused;
            assert!(root.is_some_and(|root| std::mem::discriminant(&root.value) == std::mem::discriminant(&refused)
                || root.items().len() < 2));
            assert_eq!(found.len(), 1);
            assert!(found[0].1.contains("nested"), "{found:?}");
        }
        assert!(read(&"a".repeat(MAX_FILE_BYTES + 1)).1[0].1.contains("257 KiB"));
        let deep = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        assert_eq!((read(&deep(32)).1.len(), read(&deep(33)).1.len()), (0, 1));
    }
}
