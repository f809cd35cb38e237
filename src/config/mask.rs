//! Masks the secrets in the configuration's text, because diagnostics that show it are written to logs and CI output.
//!
//! `${VAR}` and `${file:PATH}` are not secrets and stay. The text keeps its length, so that offsets stay valid.

use std::ops::Range;

use crate::yaml::{Node, Value};

pub(super) fn without_secrets(text: &str, root: &Node<'_>) -> String {
    let mut shown = text.as_bytes().to_vec();
    for range in secrets(text, root) {
        redact(&mut shown, text, range);
    }
    String::from_utf8(shown).unwrap_or_default()
}

fn secrets(text: &str, root: &Node<'_>) -> Vec<Range<usize>> {
    let at = |section: &str, key: &str| root.get(section).and_then(|section| section.get(key));
    let mut whole: Vec<&Node<'_>> = Vec::new();
    for (section, key) in [("callback", "secrets"), ("callback", "secret"), ("admin", "token"), ("provider", "api_key")]
    {
        whole.extend(at(section, key).into_iter().flat_map(Node::items));
    }
    for (section, keys) in [("webhooks", ["secret", "secrets"]), ("chats", ["url", "url"])] {
        let Some(Value::Map(entries)) = root.get(section).map(|section| &section.value) else { continue };
        for entry in entries {
            whole.extend(keys.iter().filter_map(|key| entry.value.get(key)).flat_map(Node::items));
        }
    }
    whole.extend(at("directory", "lookup").and_then(|lookup| lookup.get("header")));
    let with_password = [root.get("data"), at("email", "transport")].into_iter().flatten();
    let spans = whole.into_iter().filter(|node| node.scalar().is_some()).map(|node| node.span.clone());
    spans.chain(with_password.filter_map(|node| password(text, node.span.clone()))).collect()
}

/// The span between the colon after the user and the last `@` of a URL.
fn password(text: &str, span: Range<usize>) -> Option<Range<usize>> {
    let url = text.get(span.clone())?;
    let start = url.find("://")? + 3;
    let end = url.rfind('@').filter(|end| *end > start)?;
    let colon = start + url[start..end].find(':')? + 1;
    Some(span.start + colon..span.start + end)
}

fn redact(shown: &mut [u8], text: &str, range: Range<usize>) {
    let Some(secret) = text.get(range.clone()) else { return };
    let mut open = false;
    for (at, byte) in secret.bytes().enumerate() {
        open = open || secret[..].as_bytes()[at..].starts_with(b"${");
        let kept = open || matches!(byte, b'"' | b'\'' | b'\n' | b'\r' | b' ');
        if open && byte == b'}' {
            open = false;
        }
        if !kept {
            shown[range.start + at] = b'*';
        }
    }
}
