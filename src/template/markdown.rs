//! Converts one Markdown text to the HTML part and the plain text part of a mail.
//!
//! Values are inserted here, after the Markdown has been parsed (see `values.rs`). HTML in a template is written as
//! text, although a template with HTML is already rejected when it is loaded.

use pulldown_cmark::{CowStr, Event, LinkType, Parser, Tag, TagEnd};

use super::values::PrintedValues;

const CODE_INDENT: &str = "    ";
const RULE: &str = "────────";

fn events<'t>(markdown: &'t str, values: &'t PrintedValues) -> impl Iterator<Item = Event<'t>> {
    let text = |t: CowStr<'t>| CowStr::from(values.in_text(&t).into_owned());
    let address = |t: CowStr<'t>| CowStr::from(values.in_address(&t).into_owned());
    Parser::new(markdown).map(move |event| match event {
        Event::Text(t) | Event::Html(t) | Event::InlineHtml(t) => Event::Text(text(t)),
        Event::Code(t) => Event::Code(text(t)),
        Event::Start(Tag::HtmlBlock) => Event::Start(Tag::Paragraph),
        Event::End(TagEnd::HtmlBlock) => Event::End(TagEnd::Paragraph),
        Event::Start(Tag::Link { link_type, dest_url, title, id }) => {
            // The address of an email autolink has no scheme.
            let (link_type, dest_url) = match link_type {
                LinkType::Email => (LinkType::Inline, format!("mailto:{dest_url}").into()),
                other => (other, dest_url),
            };
            Event::Start(Tag::Link { link_type, dest_url: address(dest_url), title: text(title), id })
        }
        Event::Start(Tag::Image { link_type, dest_url, title, id }) => {
            Event::Start(Tag::Image { link_type, dest_url: address(dest_url), title: text(title), id })
        }
        other => other,
    })
}

/// The HTML part, without the layout around it.
pub(super) fn html(markdown: &str, values: &PrintedValues) -> String {
    let mut html = String::with_capacity(markdown.len() * 2);
    pulldown_cmark::html::push_html(&mut html, events(markdown, values));
    html
}

/// The plain text part, without Markdown marks.
pub(super) fn text(markdown: &str, values: &PrintedValues) -> String {
    let mut writer = Writer { blocks: vec![Block::new(Shape::Plain)], links: Vec::new() };
    for event in events(markdown, values) {
        writer.take(event);
    }
    while writer.blocks.len() > 1 {
        writer.close();
    }
    let text = writer.blocks.pop().map(|root| root.text).unwrap_or_default();
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    format!("{}\n", lines.join("\n").trim_end())
}

/// Maximum depth of nested lists, quotes and similar blocks; each level copies its content once.
const MAX_DEPTH: usize = 32;

/// Whether the blocks are nested deeper than [`MAX_DEPTH`].
pub(super) fn is_too_deep(markdown: &str) -> bool {
    let mut depth = 0_usize;
    Parser::new(markdown).any(|event| {
        match event {
            Event::Start(_) => depth += 1,
            Event::End(_) => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth > MAX_DEPTH
    })
}

/// Finds what is not allowed in the Markdown of a mail: the piece of text, and the kind of fault.
pub(super) fn faults(markdown: &str, values: &PrintedValues) -> Vec<(String, Fault)> {
    if is_too_deep(markdown) {
        return vec![(String::new(), Fault::Depth)];
    }
    let mut faults = Vec::new();
    for event in Parser::new(markdown) {
        match event {
            Event::Html(t) | Event::InlineHtml(t) => faults.push((t.trim().to_owned(), Fault::Html)),
            Event::Start(Tag::Link { link_type, dest_url, .. }) if link_type != LinkType::Email => {
                let address = values.in_address(&dest_url);
                let known = ["https://", "http://", "mailto:", "tel:"];
                if !known.iter().any(|scheme| address.len() > scheme.len() && address.starts_with(scheme)) {
                    faults.push((address.into_owned(), Fault::Address));
                }
            }
            _ => {}
        }
    }
    faults
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    Html,
    Address,
    Depth,
}

enum Shape {
    Plain,
    Quote,
    Code,
    /// The number of the next item, if the list is numbered.
    List(Option<u64>),
    Item,
}

struct Block {
    shape: Shape,
    text: String,
    /// Whether its parts are separated by blank lines.
    loose: bool,
}

impl Block {
    fn new(shape: Shape) -> Self {
        let loose = !matches!(shape, Shape::List(_) | Shape::Item);
        Self { shape, text: String::new(), loose }
    }
}

struct Writer {
    blocks: Vec<Block>,
    /// The address of each open link, and the offset at which its text begins.
    links: Vec<(String, usize)>,
}

impl Writer {
    fn take(&mut self, event: Event<'_>) {
        match event {
            Event::Text(t) | Event::Code(t) => self.write(&t),
            Event::SoftBreak => self.write(" "),
            Event::HardBreak => self.write("\n"),
            Event::Rule => self.append(RULE),
            Event::Start(tag) => self.open(tag),
            Event::End(TagEnd::Link | TagEnd::Image) => self.end_link(),
            Event::End(
                TagEnd::Paragraph
                | TagEnd::Heading(_)
                | TagEnd::BlockQuote(_)
                | TagEnd::CodeBlock
                | TagEnd::List(_)
                | TagEnd::Item,
            ) => self.close(),
            _ => {}
        }
    }

    fn open(&mut self, tag: Tag<'_>) {
        let shape = match tag {
            Tag::Paragraph => {
                if let [.., list, item] = &mut *self.blocks
                    && matches!(item.shape, Shape::Item)
                {
                    item.loose = true;
                    list.loose = true;
                }
                Shape::Plain
            }
            Tag::Heading { .. } => Shape::Plain,
            Tag::BlockQuote(_) => Shape::Quote,
            Tag::CodeBlock(_) => Shape::Code,
            Tag::List(first) => Shape::List(first),
            Tag::Item => Shape::Item,
            Tag::Link { dest_url, .. } => return self.links.push((dest_url.into_string(), self.position())),
            // An image is written as its alternative text.
            Tag::Image { .. } => return self.links.push((String::new(), self.position())),
            _ => return,
        };
        self.blocks.push(Block::new(shape));
    }

    fn position(&self) -> usize {
        self.blocks.last().map_or(0, |block| block.text.len())
    }

    fn write(&mut self, text: &str) {
        if let Some(block) = self.blocks.last_mut() {
            block.text.push_str(text);
        }
    }

    fn end_link(&mut self) {
        let Some((address, start)) = self.links.pop() else { return };
        let Some(block) = self.blocks.last_mut() else { return };
        let said = block.text.get(start..).unwrap_or_default();
        let address = address.strip_prefix("mailto:").unwrap_or(&address);
        let bare = |text: &str| text.trim_start_matches("https://").trim_end_matches('/').to_owned();
        if !address.is_empty() && bare(said) != bare(address) {
            let address = format!(" <{address}>");
            block.text.push_str(&address);
        }
    }

    /// Appends the text to the last open block, with the separator of that block.
    fn append(&mut self, text: &str) {
        let Some(below) = self.blocks.last_mut() else { return };
        if !below.text.is_empty() {
            below.text.push_str(if below.loose { "\n\n" } else { "\n" });
        }
        below.text.push_str(text);
    }

    fn close(&mut self) {
        if self.blocks.len() < 2 {
            return;
        }
        let Some(block) = self.blocks.pop() else { return };
        let text = match block.shape {
            Shape::Plain | Shape::List(_) => block.text.trim_end().to_owned(),
            Shape::Quote | Shape::Code => indented(block.text.trim_end(), CODE_INDENT, CODE_INDENT),
            Shape::Item => {
                let mark = match self.blocks.last_mut().map(|list| &mut list.shape) {
                    Some(Shape::List(Some(number))) => {
                        let mark = format!("{number}. ");
                        *number += 1;
                        mark
                    }
                    _ => "- ".to_owned(),
                };
                indented(block.text.trim_end(), &mark, &" ".repeat(mark.len()))
            }
        };
        if !text.trim().is_empty() {
            self.append(&text);
        }
    }
}

fn indented(text: &str, first: &str, rest: &str) -> String {
    let mut indented = String::with_capacity(text.len() + 16);
    for (nth, line) in text.lines().enumerate() {
        if nth > 0 {
            indented.push('\n');
        }
        if nth == 0 || !line.is_empty() {
            indented.push_str(if nth == 0 { first } else { rest });
        }
        indented.push_str(line);
    }
    indented
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(markdown: &str) -> String {
        text(markdown, &PrintedValues::default())
    }

    #[test]
    fn markdown_becomes_plain_text() {
        for (markdown, expected) in [
            ("# Hello\n\nThis is *very* **nice**,\nisn't it?\n", "Hello\n\nThis is very nice, isn't it?\n"),
            ("[Log in](https://shop.example/kyc) now", "Log in <https://shop.example/kyc> now\n"),
            ("[https://shop.example](https://shop.example/)", "https://shop.example\n"),
            ("<https://shop.example> <a@b.example>", "https://shop.example a@b.example\n"),
            ("[Write to us](mailto:a@b.example)", "Write to us <a@b.example>\n"),
            (
                "Steps:\n\n1. one\n2. two\n   - deep\n   - er\n\nEnd",
                "Steps:\n\n1. one\n2. two\n   - deep\n   - er\n\nEnd\n",
            ),
            ("- one\n\n- two\n  more\n\n  para\n", "- one\n\n- two more\n\n  para\n"),
            ("> quoted\n> on\n\nafter", "    quoted on\n\nafter\n"),
            ("a\\\nb  \nc", "a\nb\nc\n"),
            ("1\\. not a list \\* at \\_all\\_", "1. not a list * at _all_\n"),
            ("a\n\n---\n\nb", "a\n\n────────\n\nb\n"),
            ("```\nlet x;\n```", "    let x;\n"),
            ("![a picture](https://x.example/p.png)", "a picture\n"),
            ("a &amp; b", "a & b\n"),
        ] {
            assert_eq!(plain(markdown), expected, "{markdown}");
        }
    }

    #[test]
    fn html_in_a_template_stays_text_and_is_reported() {
        let markdown = "<div>\n<b>x</b>\n</div>\n\na <script>alert(1)</script>";
        let page = html(markdown, &PrintedValues::default());
        assert!(!page.contains("<div") && !page.contains("<script"), "{page}");
        assert!(page.contains("&lt;script&gt;"), "{page}");
        let faults = faults(markdown, &PrintedValues::default());
        assert!(faults.iter().all(|(_, fault)| *fault == Fault::Html) && !faults.is_empty());
    }

    #[test]
    fn a_link_needs_an_absolute_address() {
        for (markdown, wrong) in [
            ("[a](/kyc)", true),
            ("[a](javascript:alert(1))", true),
            ("[a](https://x.example)", false),
            ("[a](mailto:x@y.example)", false),
            ("<https://x.example>", false),
        ] {
            assert_eq!(!faults(markdown, &PrintedValues::default()).is_empty(), wrong, "{markdown}");
        }
    }
}
