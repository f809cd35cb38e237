//! Tests of the drawings of a set with all rule forms, and of hostile rules.
//!
//! The approved drawings are in `tests/cases/graph`. `UPDATE=1` rewrites them; look at the pictures before a commit.

use std::{fs, path::Path};

use super::*;
use crate::{
    rules::{Environment, RuleSet},
    yaml::Files,
};

const CASES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cases/graph");

pub(super) fn graph(rules: &str) -> RuleGraph {
    let files: Files = [("kyc.yaml", rules), ("templates/mail.en.md", "Subject: x\n\nx\n")]
        .into_iter()
        .map(|(path, text)| (path.to_owned(), text.to_owned()))
        .collect();
    let names = |name: &str| vec![name.to_owned()];
    let context = Environment {
        statuses: names("SUSPENDED"),
        webhooks: names("shop"),
        chats: names("kyc-ops"),
        locale: "en".to_owned(),
        email: true,
        ..Environment::default()
    };
    let compiled = RuleSet::compile(&files, &context);
    let set = compiled.set.unwrap_or_else(|| panic!("{:#?}", compiled.diagnostics));
    RuleGraph::of(set.rules(), &context.statuses, &[])
}

fn everything() -> RuleGraph {
    graph(&fs::read_to_string(Path::new(CASES).join("rules.yaml")).expect("readable"))
}

#[test]
fn every_format_equals_its_approved_file() {
    let graph = everything();
    for (name, drawn) in [("rules.svg", svg(&graph)), ("rules.mmd", mermaid(&graph)), ("rules.dot", dot(&graph))] {
        let approved = Path::new(CASES).join(name);
        if std::env::var_os("UPDATE").is_some() {
            fs::write(&approved, &drawn).expect("written");
        }
        assert!(fs::read_to_string(&approved).unwrap_or_default() == drawn, "{name} is different:\n{drawn}");
    }
}

/// Returns `from>to` and the rule ids of each edge.
fn edges(graph: &RuleGraph, diagram: &Diagram) -> Vec<String> {
    let name = |place: Place| match place {
        Place::Any => "any",
        Place::New => "new",
        Place::Node(nth) => &diagram.nodes[nth],
    };
    let shown = |edge: &Edge| {
        let ids: Vec<&str> = graph.labelled(&edge.rules).map(|label| &*label.id).collect();
        format!("{}>{} {}", name(edge.from), name(edge.to), ids.join(","))
    };
    diagram.edges.iter().map(shown).collect()
}

#[test]
fn rules_with_the_same_edge_share_it_and_any_is_one_place() {
    let graph = everything();
    assert_eq!(
        edges(&graph, &graph.statuses),
        [
            "any>any all",
            "new>any first-sight",
            "FULL_USER>any reversal",
            "any>PENDING_KYC_DATA documents-needed",
            "PENDING_KYC_DATA>PENDING_KYC_DATA remind",
            "any>SOFT_KYC_FAILED third-rejection,missing-documents",
            "SOFT_KYC_FAILED>SOFT_KYC_FAILED docs-changed",
            "FULL_USER>SOFT_KYC_FAILED back-and-forth",
            "SUSPENDED>SOFT_KYC_FAILED back-and-forth",
            "FULL_USER>SUSPENDED back-and-forth",
        ]
    );
    assert_eq!(graph.statuses.nodes.last().map(String::as_str), Some("SUSPENDED"), "declared statuses come last");
    assert_eq!(
        graph.processing.nodes,
        ["none", "DOCUMENT_UPLOAD_IN_PROGRESS", "VERIFICATION_IN_PROGRESS"],
        "only statuses that rules mention"
    );
}

#[test]
fn hostile_rules_are_drawn_as_text() {
    let rules = "format: 1\nrules:\n  - id: a\n    about: '</title><script>alert(1)</script> ]]> &lt;'\n    \
                 when: any -> FULL_USER\n    do:\n      - tag: '\"]; evil [label=\"'\n      - tag: '</text><script>x'\n      \
                 - tag: 'a --> b: c; %%{init}%% <br/>'\n";
    let graph = graph(rules);
    let (svg, dot, mermaid) = (svg(&graph), dot(&graph), mermaid(&graph));
    assert!(!svg.contains("<script") && svg.contains("&lt;/title&gt;&lt;script&gt;"), "{svg}");
    assert_eq!(svg.matches("<title").count(), svg.matches("</title>").count());
    assert!(dot.contains(r#"tag \"]; evil [label=\""#), "{dot}");
    let label = mermaid.lines().find(|line| line.contains("s_any -->")).expect("an edge");
    assert_eq!(label.matches("-->").count(), 1, "{label}");
    assert!(!label.contains("%%") && label.matches("<br/>").count() == 1, "{label}");
}

#[test]
fn without_rules_only_the_statuses_are_drawn() {
    let graph = graph("format: 1\nrules: []\n");
    assert!(svg(&graph).contains(">FULL_USER</text>"));
    assert!(dot(&graph).contains("[label=\"FULL_USER\"]") && mermaid(&graph).contains("\"FULL_USER\""));
    assert!(!svg(&graph).contains("Processing status"));
}
