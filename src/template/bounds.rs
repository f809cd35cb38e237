//! Limits the depth and size of a template's code, before minijinja reads it.
//!
//! minijinja's parser, compiler and destructor recurse for each operator and each nested statement, so depth uses
//! stack. The depth counted here is never less than the depth of the parser's tree.

use std::ops::Range;

use super::tokens::{TemplateBlock, TemplateToken, TokenKind};

/// Maximum depth of nested brackets.
const MAX_BRACKETS: usize = 32;
/// Maximum number of operators, dots, filters, tests and brackets that can nest in one expression.
const MAX_OPERATORS: usize = 200;
/// Maximum depth of nested statements.
const MAX_STATEMENTS: usize = 32;
/// Maximum depth of nested statements, where each `elif` counts as one more level.
const MAX_BRANCHES: usize = 100;
/// Maximum number of tokens in all code of a template.
const MAX_TOKENS: usize = 20_000;

/// The first place at which the template is too deep or too large, with the message.
pub(super) fn excess(blocks: &[TemplateBlock<'_>]) -> Option<(Range<usize>, String)> {
    let mut tokens = 0;
    let mut open: Vec<usize> = Vec::new();
    for block in blocks {
        tokens += block.tokens.len();
        let Some(first) = block.tokens.first() else { continue };
        if tokens > MAX_TOKENS {
            return Some((first.span(), format!("the template has more than {MAX_TOKENS} tokens of code")));
        }
        if let Some(found) = too_deep(&block.tokens) {
            return Some(found);
        }
        match block.tag() {
            Some("elif") => {
                if let Some(branches) = open.last_mut() {
                    *branches += 1;
                }
            }
            Some("for" | "if" | "with" | "filter" | "macro" | "call" | "autoescape" | "block") => open.push(1),
            Some("set") if !block.tokens.iter().any(|token| token.text == "=") => open.push(1),
            Some(tag) if tag.starts_with("end") => {
                open.pop();
            }
            _ => {}
        }
        if open.len() > MAX_STATEMENTS {
            return Some((first.span(), format!("statements are nested more than {MAX_STATEMENTS} deep")));
        }
        if open.iter().sum::<usize>() > MAX_BRANCHES {
            return Some((first.span(), format!("an `if` has more than {MAX_BRANCHES} branches")));
        }
    }
    None
}

/// The count in one pair of brackets, or outside all brackets.
#[derive(Default)]
struct Level {
    /// The count since the last comma.
    here: usize,
    most: usize,
}

fn too_deep(tokens: &[TemplateToken<'_>]) -> Option<(Range<usize>, String)> {
    let mut levels = vec![Level::default()];
    let mut total = 0;
    for token in tokens {
        let adds = match (token.kind, token.text) {
            (TokenKind::Name, "and" | "or" | "not" | "in" | "if" | "else" | "is") => 1,
            (TokenKind::Name | TokenKind::Literal, _) => 0,
            (TokenKind::Sign, "," | ":" | "=" | ")" | "]" | "}") => 0,
            (TokenKind::Sign, _) => 1,
        };
        let level = levels.last_mut()?;
        level.here += adds;
        total += adds;
        match token.text {
            "(" | "[" | "{" if token.kind == TokenKind::Sign => levels.push(Level::default()),
            "," => {
                level.most = level.most.max(level.here);
                total -= level.here;
                level.here = 0;
            }
            ")" | "]" | "}" if levels.len() > 1 => {
                let inner = levels.pop()?;
                let depth = inner.most.max(inner.here);
                total += depth - inner.here;
                levels.last_mut()?.here += depth;
            }
            _ => {}
        }
        if levels.len() > MAX_BRACKETS + 1 {
            return Some((token.span(), format!("brackets are nested more than {MAX_BRACKETS} deep")));
        }
        if total > MAX_OPERATORS {
            return Some((token.span(), format!("an expression has more than {MAX_OPERATORS} operators")));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::super::tokens::blocks;
    use super::*;

    #[test]
    fn deep_code_is_found_and_long_code_is_accepted() {
        let deep = |text: &str| excess(&blocks(text)).map(|(_, why)| why);
        for unit in ["- ", "not ", "a ~ ", "a + ", "a and ", "a or ", "a ** ", "a if b else ", "a is b is "] {
            assert!(deep(&format!("{{{{ {}a }}}}", unit.repeat(300))).is_some(), "{unit}");
            assert_eq!(deep(&format!("{{{{ {}a }}}}", unit.repeat(60))), None, "{unit}");
        }
        for unit in [".a", "[0]", "|f", "()", " is odd", "|f(1)"] {
            assert!(deep(&format!("{{{{ a{} }}}}", unit.repeat(300))).is_some(), "{unit}");
        }
        for (open, close) in [("(", ")"), ("[", "]"), ("{1: ", "}"), ("f(", ")")] {
            let nested = |depth: usize| format!("{{{{ {}a{} }}}}", open.repeat(depth), close.repeat(depth));
            assert!(deep(&nested(33)).is_some(), "{open}");
            assert_eq!(deep(&nested(32)), None, "{open}");
        }
        let words: Vec<String> = (0..1_000).map(|nth| format!("'A{nth}': 'a' ~ b.c")).collect();
        assert_eq!(deep(&format!("{{% set a = {{{}}} %}}", words.join(", "))), None);
        assert!(deep(&"{{ a.b ~ c }}".repeat(5_000)).is_some());
        assert_eq!(deep(&"{% if a %}{{ b }}{% elif c %}{% else %}{% endif %}".repeat(500)), None);
        assert!(deep(&format!("{{% if a %}}{}{{% endif %}}", "{% elif a %}".repeat(101))).is_some());
        for (open, close) in
            [("{% if a %}", "{% endif %}"), ("{% set a %}", "{% endset %}"), ("{% for a in b %}", "{% endfor %}")]
        {
            assert!(deep(&format!("{}{}", open.repeat(33), close.repeat(33))).is_some(), "{open}");
        }
    }
}
