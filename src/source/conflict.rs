//! The lines that git writes into a file when it can't merge two versions.
//!
//! Such a file is neither version. In a template the lines would be text of a mail, so every file of the rules directory is looked
//! through for them before anything else reads it.

use super::Diagnostic;

const CODE: &str = "conflict";

const OPENS: &str = "<<<<<<<";
const CLOSES: &str = ">>>>>>>";

/// Beginnings of lines that nothing but a conflict has.
const MARKERS: [&str; 3] = [OPENS, "|||||||", CLOSES];

/// An error for each conflict, at its first marker. `=======` is none of them: alone it underlines a heading in Markdown, and in a
/// conflict it has another marker before it.
pub fn conflicts(path: &str, text: &str) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    // Nearly every file ends here.
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

/// How far a marker may be indented: beyond that it is code in Markdown.
const MAX_INDENT: usize = 3;

/// Seven signs, and then nothing or a space before a name.
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
    fn each_conflict_is_shown_at_its_first_marker() {
        let text =
            "é\r\n<<<<<<< HEAD\r\na\n||||||| base\nb\n=======\nc\n>>>>>>> topic/x\nd\n=======\n>>>>>>> lone\n<<<<<<< x";
        let at: Vec<&str> =
            conflicts("a.yaml", text).iter().map(|one| &text[one.span.clone().expect("a place")]).collect();
        assert_eq!(at, ["<<<<<<< HEAD", ">>>>>>> lone", "<<<<<<< x"]);
    }

    #[test]
    fn what_only_looks_like_a_marker_is_none() {
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
