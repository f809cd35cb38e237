//! Finds the conflict markers that git writes into a file when it cannot merge two versions.
//!
//! In a template, these lines would become text of a mail. Therefore every file of the rules directory is searched for
//! them before it is parsed.

use super::Diagnostic;

const CODE: &str = "conflict";

const OPENS: &str = "<<<<<<<";
const CLOSES: &str = ">>>>>>>";

/// Starts of lines that occur only in a conflict.
const MARKERS: [&str; 3] = [OPENS, "|||||||", CLOSES];

/// Returns an error for each conflict, at its first marker. `=======` does not count: alone it underlines a heading in
/// Markdown, and in a conflict another marker comes before it.
pub fn conflicts(path: &str, text: &str) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    // Fast path: nearly every file has no marker.
    if !MARKERS.iter().any(|marker| text.contains(marker)) {
        return found;
    }
    let mut is_inside = false;
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        let written = line.trim_end_matches(['\r', '\n']);
        if let Some(marker) = MARKERS.iter().find(|marker| is_marker(written, marker)) {
            if !is_inside || *marker == OPENS {
                let error = Diagnostic::error(CODE, path, "git has left a conflict here: the file holds two versions");
                let help =
                    "keep one version, and remove the lines that begin with <<<<<<<, |||||||, ======= and >>>>>>>";
                found.push(error.at(at..at + written.len()).help(help));
            }
            is_inside = *marker != CLOSES;
        }
        at += line.len();
    }
    found
}

/// Maximum indentation of a marker, in spaces; with more, the line is code in Markdown.
const MAX_INDENT: usize = 3;

/// Whether the line is the marker, alone or followed by a space and a name.
fn is_marker(line: &str, marker: &str) -> bool {
    let written = line.trim_start_matches(' ');
    let indent = line.len() - written.len();
    written
        .strip_prefix(marker)
        .filter(|_| indent <= MAX_INDENT)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_conflict_is_reported_at_its_first_marker() {
        let text =
            "é\r\n<<<<<<< HEAD\r\na\n||||||| base\nb\n=======\nc\n>>>>>>> topic/x\nd\n=======\n>>>>>>> lone\n<<<<<<< x";
        let at: Vec<&str> =
            conflicts("a.yaml", text).iter().map(|one| &text[one.span.clone().expect("a place")]).collect();
        assert_eq!(at, ["<<<<<<< HEAD", ">>>>>>> lone", "<<<<<<< x"]);
    }

    #[test]
    fn similar_lines_are_not_markers() {
        for text in [
            "Heading\n=======\n",
            "    <<<<<<< HEAD\n",
            "a >>>>>>> b\n",
            "<<<<<<<<<\n",
            "<<<<<<<a\n",
            "======= x\n",
            "",
        ] {
            assert_eq!(conflicts("a.md", text), [], "{text}");
        }
        for text in [">>>>>>>\n", "  <<<<<<< HEAD\n", "   ||||||| base"] {
            assert_eq!(conflicts("a.md", text).len(), 1, "{text}");
        }
    }
}
