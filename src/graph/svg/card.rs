//! A card: measures and draws the rules of one edge.

use std::fmt::Write;

use super::{
    super::{
        Label, RuleGraph,
        text::{fitted, mono_width, shortened, width, xml},
    },
    style::Tone,
};
use crate::rules::RuleMode;

const ID_SIZE: f64 = 12.5;
const LINE_SIZE: f64 = 11.0;
const CAPTION_SIZE: f64 = 11.0;
const PADDING: f64 = 14.0;
const CAPTION_HEIGHT: f64 = 25.0;
const ICON_WIDTH: f64 = 17.0;
const LEAST_WIDTH: f64 = 190.0;
const MOST_WIDTH: f64 = 340.0;
/// Maximum number of lines for a rule's actions.
const MOST_LINES: usize = 3;

pub(super) struct RuleCard<'g> {
    pub tone: Tone,
    /// For example `from any other status` or `after 48h, 5d`.
    pub caption: String,
    /// Whether no rule on the card is live.
    pub idle: bool,
    labels: Vec<&'g Label>,
}

struct Row<'c> {
    label: &'c Label,
    /// Whether this is the first rule of its group on the card.
    opens_group: bool,
    /// Whether the next rule on the card is of the same group.
    goes_on: bool,
    lines: Vec<String>,
}

impl<'g> RuleCard<'g> {
    pub fn new(graph: &'g RuleGraph, rules: &'g [usize], tone: Tone, caption: String) -> Self {
        Self { tone, caption, idle: graph.is_idle(rules), labels: graph.labelled(rules).collect() }
    }

    /// Whether the card shows exactly these rules.
    pub fn is_of(&self, graph: &'g RuleGraph, rules: &'g [usize]) -> bool {
        self.labels.iter().copied().eq(graph.labelled(rules))
    }

    /// The width of the card's texts, within bounds.
    pub fn natural_width(&self) -> f64 {
        let icon = if self.tone.icon().is_some() { ICON_WIDTH } else { 0.0 };
        let mut widest = icon + width(&self.caption) * CAPTION_SIZE;
        for label in &self.labels {
            let id = mono_width(&label.id) * ID_SIZE + pill(label).map_or(0.0, |name| pill_width(name) + 10.0);
            let lines = [group_line(label), label.does.join(" · "), condition_line(label)];
            let lines = lines.iter().map(|line| width(line) * LINE_SIZE);
            widest = lines.fold(widest.max(id), f64::max);
        }
        (widest + 2.0 * PADDING).clamp(LEAST_WIDTH, MOST_WIDTH)
    }

    pub fn height(&self, width: f64) -> f64 {
        CAPTION_HEIGHT + self.rows(width).iter().map(Row::height).sum::<f64>() + 4.0
    }

    fn rows(&self, card_width: f64) -> Vec<Row<'_>> {
        let most = (card_width - 2.0 * PADDING) / LINE_SIZE;
        let mut before: Option<&str> = None;
        let mut rows = Vec::with_capacity(self.labels.len());
        for (nth, &label) in self.labels.iter().enumerate() {
            let group = label.group.as_deref();
            let mut lines = Vec::new();
            if !label.condition.is_empty() {
                lines.push(fitted(&condition_line(label), most, width));
            }
            lines.extend(wrapped(&label.does, most));
            let next = self.labels.get(nth + 1).and_then(|next| next.group.as_deref());
            rows.push(Row { label, opens_group: group.is_some() && group != before, goes_on: group == next, lines });
            before = group;
        }
        rows
    }

    pub fn draw(&self, x: f64, y: f64, card_width: f64, out: &mut String) {
        let height = self.height(card_width);
        let idle = if self.idle { " idle" } else { "" };
        let tone = self.tone.class();
        // Writing to a `String` never fails.
        let _ = writeln!(
            out,
            r#"<rect class="card{idle}" x="{x:.1}" y="{y:.1}" width="{card_width:.1}" height="{height:.1}" rx="8"/>"#
        );
        let mut text_x = x + PADDING;
        if let Some(icon) = self.tone.icon() {
            let _ = writeln!(out, r#"<path class="line {tone}" d="M{text_x:.1} {:.1}{icon}"/>"#, y + 15.0);
            text_x += ICON_WIDTH;
        }
        let room = (card_width - 2.0 * PADDING - (text_x - x - PADDING)) / CAPTION_SIZE;
        let caption = xml(&fitted(&self.caption, room, width));
        let _ =
            writeln!(out, r#"<text class="caption ink {tone}" x="{text_x:.1}" y="{:.1}">{caption}</text>"#, y + 19.0);
        let mut row_y = y + CAPTION_HEIGHT;
        for (nth, row) in self.rows(card_width).iter().enumerate() {
            if nth > 0 {
                let (from, to) = (x + PADDING, x + card_width - PADDING);
                let _ = writeln!(out, r#"<path class="rule-off" d="M{from:.1} {row_y:.1}H{to:.1}"/>"#);
            }
            row.draw(x, row_y, card_width, out);
            row_y += row.height();
        }
    }
}

impl Row<'_> {
    fn height(&self) -> f64 {
        let group = if self.opens_group { 15.0 } else { 0.0 };
        12.0 + group + 17.0 + 15.0 * lines_height(self.lines.len())
    }

    fn draw(&self, x: f64, y: f64, width: f64, out: &mut String) {
        let label = self.label;
        let idle = if label.mode == RuleMode::Live { "" } else { " idle" };
        let _ = writeln!(out, r#"<g class="rule{idle}"><title>{}</title>"#, xml(&told(label)));
        if label.group.is_some() {
            let from = if self.opens_group { y + 5.0 } else { y };
            let to = y + self.height() - if self.goes_on { 0.0 } else { 5.0 };
            let _ = writeln!(out, r#"<path class="group" d="M{:.1} {from:.1}V{to:.1}"/>"#, x + 6.0);
        }
        let mut text_y = y + 6.0;
        let text_x = x + PADDING;
        let most = width - 2.0 * PADDING;
        if self.opens_group {
            text_y += 12.0;
            let line = xml(&fitted(&group_line(label), most / LINE_SIZE, super::super::text::width));
            let _ = writeln!(out, r#"<text class="note" x="{text_x:.1}" y="{text_y:.1}">{line}</text>"#);
            text_y += 3.0;
        }
        text_y += 14.0;
        let pill = pill(label);
        let room = most - pill.map_or(0.0, |name| pill_width(name) + 10.0);
        let id = xml(&fitted(&label.id, room / ID_SIZE, mono_width));
        let _ = writeln!(out, r#"<text class="id" x="{text_x:.1}" y="{text_y:.1}">{id}</text>"#);
        if let Some(name) = pill {
            let pill_x = x + width - PADDING - pill_width(name);
            let _ = writeln!(
                out,
                r#"<rect class="pill" x="{pill_x:.1}" y="{:.1}" width="{:.1}" height="16" rx="8"/><text class="pill-text" x="{:.1}" y="{:.1}">{name}</text>"#,
                text_y - 12.0,
                pill_width(name),
                pill_x + pill_width(name) / 2.0,
                text_y - 0.5,
            );
        }
        for line in &self.lines {
            text_y += 15.0;
            let _ = writeln!(out, r#"<text class="does" x="{text_x:.1}" y="{text_y:.1}">{}</text>"#, xml(line));
        }
        out.push_str("</g>\n");
    }
}

fn lines_height(lines: usize) -> f64 {
    f64::from(u32::try_from(lines).unwrap_or(u32::MAX))
}

fn pill(label: &Label) -> Option<&'static str> {
    (label.mode != RuleMode::Live).then(|| label.mode.name())
}

fn pill_width(name: &str) -> f64 {
    width(name) * 10.0 + 14.0
}

fn group_line(label: &Label) -> String {
    label.group.as_ref().map_or_else(String::new, |group| format!("the first match of {group} acts"))
}

fn condition_line(label: &Label) -> String {
    if label.condition.is_empty() { String::new() } else { format!("if {}", label.condition) }
}

/// The full text about a rule, shown as a tooltip.
fn told(label: &Label) -> String {
    let about = label.about.as_ref().map_or_else(String::new, |about| format!("{about} · "));
    let condition = if label.condition.is_empty() { String::new() } else { format!("if {} · ", label.condition) };
    shortened(&format!("{about}{condition}{} · {}", label.does.join(", "), label.place), 500)
}

/// Wraps the actions into lines of this width; the last line gives the number of actions that do not fit.
fn wrapped(does: &[String], most: f64) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for (nth, action) in does.iter().enumerate() {
        let joined = lines.last().map(|line| format!("{line} · {action}"));
        match joined.filter(|joined| width(joined) <= most) {
            Some(joined) => {
                lines.pop();
                lines.push(joined);
            }
            None if lines.len() == MOST_LINES => {
                let last = lines.pop().unwrap_or_default();
                let more = format!(" · {} more", does.len() - nth);
                lines.push(format!("{}{more}", fitted(&last, most - width(&more), width)));
                break;
            }
            None => lines.push(fitted(action, most, width)),
        }
    }
    lines
}
