//! Measures how deep a JSON text is nested, from its bytes alone.
//!
//! serde_json limits the depth of values that it builds, not of values that it skips: an unknown field may be as deep
//! as the body is long. The check is one pass without allocation; for an ordinary body it only counts brackets.

/// The maximum nesting depth of arrays and objects; the provider's own bodies have a depth of three.
pub(super) const MAX_DEPTH: usize = 64;

/// Whether the text is nested deeper than [`MAX_DEPTH`]. The result is arbitrary if the text is not JSON.
pub(super) fn is_too_deep(json: &[u8]) -> bool {
    let opening = |byte: &u8| matches!(byte, b'[' | b'{');
    if json.iter().filter(|byte| opening(byte)).count() <= MAX_DEPTH {
        return false;
    }
    let (mut depth, mut quoted, mut escaped) = (0_usize, false, false);
    for byte in json {
        match (quoted, byte) {
            (true, _) if escaped => escaped = false,
            (true, b'\\') => escaped = true,
            (_, b'"') => quoted = !quoted,
            (false, b'[' | b'{') => depth += 1,
            (false, b']' | b'}') => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > MAX_DEPTH {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brackets_count_if_nested_and_not_in_strings() {
        let deep = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(!is_too_deep(deep(64).as_bytes()) && is_too_deep(deep(65).as_bytes()));
        assert!(is_too_deep("{\"a\":".repeat(65).as_bytes()));
        assert!(!is_too_deep(format!("[{}]", "{},".repeat(1_000)).as_bytes()), "not nested");
        for text in [r#"\""#, r"\\\\", r#"\\\""#, "ä"] {
            assert!(!is_too_deep(format!("\"{text}{}\"", "[".repeat(100)).as_bytes()), "{text}");
            assert!(is_too_deep(format!("[\"{text}\",{}", deep(64)).as_bytes()), "{text}");
        }
    }
}
