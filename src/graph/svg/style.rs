//! Colours and fonts for light and dark mode.

/// The kind of an edge. Each kind has its own colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Tone {
    /// A move from any other status.
    Enter,
    /// The first observation.
    First,
    /// A move from certain statuses.
    From,
    Same,
    Stay,
    /// A move to any other status.
    Leave,
}

impl Tone {
    pub const fn class(self) -> &'static str {
        match self {
            Self::Enter => "enter",
            Self::First => "first",
            Self::From => "from",
            Self::Same => "same",
            Self::Stay => "stay",
            Self::Leave => "leave",
        }
    }

    /// Path of an icon of 11 by 11 before the caption, starting at the middle of its left edge.
    pub const fn icon(self) -> Option<&'static str> {
        match self {
            // An open circle with an arrowhead.
            Self::Same => Some("m9.6 -2.4a5 5 0 1 0 .4 3.6m.4 -6.6v3.2h-3.2"),
            // A clock.
            Self::Stay => Some("a5.2 5.2 0 1 0 10.4 0a5.2 5.2 0 1 0 -10.4 0m5.2 -3.2v3.2l2.2 1.4"),
            Self::Enter | Self::First | Self::From | Self::Leave => None,
        }
    }
}

/// Class and colours: light, dark.
const TONES: &[(Tone, &str, &str)] = &[
    (Tone::Enter, "#2563c9", "#7fb0ff"),
    (Tone::First, "#0b7a55", "#58d0a3"),
    (Tone::From, "#7440c4", "#bd9dff"),
    (Tone::Same, "#0c6f86", "#5cc8dc"),
    (Tone::Stay, "#a4540a", "#f0b662"),
    (Tone::Leave, "#b3264f", "#ff8fab"),
];

struct Palette {
    ground: &'static str,
    text: &'static str,
    muted: &'static str,
    card: &'static str,
    border: &'static str,
    node: &'static str,
    node_border: &'static str,
    idle: &'static str,
}

const LIGHT: Palette = Palette {
    ground: "#f7f8fa",
    text: "#1b2430",
    muted: "#56616f",
    card: "#ffffff",
    border: "#d5dbe3",
    node: "#e3eaf4",
    node_border: "#8fa3bd",
    idle: "#8a939e",
};

const DARK: Palette = Palette {
    ground: "#10151c",
    text: "#e7ecf3",
    muted: "#a3aebb",
    card: "#18202a",
    border: "#303b48",
    node: "#223043",
    node_border: "#56708f",
    idle: "#7d8896",
};

const SHAPES: &str = "\
text{font-family:system-ui,-apple-system,'Segoe UI',Roboto,'Helvetica Neue',Arial,sans-serif}
.name,.id{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace;font-weight:600}
.title{font-size:20px;font-weight:650}
.subtitle,.box-title{font-size:13px}
.box-title{font-weight:650}
.name{font-size:13px;text-anchor:middle}
.id{font-size:12.5px}
.caption{font-size:11px;font-weight:600}
.does,.note{font-size:11px}
.note{font-style:italic}
.pill-text{font-size:10px;text-anchor:middle}
.place-text{font-size:12px;text-anchor:middle;font-weight:600}
.line,.halo,.rule-off,.group{fill:none;stroke-linecap:round;stroke-linejoin:round}
.line{stroke-width:1.7}
.halo{stroke-width:6}
.card,.node,.place,.box,.rule-off{stroke-width:1}
.place{stroke-dasharray:4 3}
.line.idle,.card.idle{stroke-dasharray:5 4}
.group{stroke-width:2.5}
";

impl Palette {
    fn rules(&self, tones: impl Iterator<Item = (Tone, &'static str)>) -> String {
        let Self { ground, text, muted, card, border, node, node_border, idle } = self;
        let mut rules = format!(
            "text{{fill:{text}}}\n.ground{{fill:{ground}}}\n.halo{{stroke:{ground}}}\n\
             .subtitle,.does,.note,.pill-text,.quiet{{fill:{muted}}}\n\
             .card{{fill:{card};stroke:{border}}}\n.box{{fill:none;stroke:{border}}}\n.rule-off{{stroke:{border}}}\n\
             .group{{stroke:{border}}}\n.node{{fill:{node};stroke:{node_border}}}\n.place{{fill:{card};stroke:{node_border}}}\n\
             .node.still{{fill:{card};stroke:{border}}}\n.pill{{fill:{ground};stroke:{border}}}\n"
        );
        for (tone, colour) in tones {
            let class = tone.class();
            rules.push_str(&format!(".line.{class}{{stroke:{colour}}}\n.ink.{class}{{fill:{colour}}}\n"));
        }
        rules.push_str(&format!(".idle text,.ink.idle{{fill:{idle}}}\n.line.idle{{stroke:{idle}}}\n"));
        rules
    }
}

/// Returns the whole style sheet.
pub(super) fn sheet() -> String {
    let light = LIGHT.rules(TONES.iter().map(|(tone, light, _)| (*tone, *light)));
    let dark = DARK.rules(TONES.iter().map(|(tone, _, dark)| (*tone, *dark)));
    format!("{SHAPES}{light}@media (prefers-color-scheme:dark){{\n{dark}}}\n")
}
