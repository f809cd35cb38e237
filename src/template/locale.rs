//! Language tags, and the order of the fallbacks for a language.

/// Returns a language tag in its usual case (`de`, `de-AT`, `zh-Hant-TW`); `None` if the text is not a language tag.
pub fn canonical(tag: &str) -> Option<String> {
    let mut parts = tag.split(['-', '_']);
    let language = parts.next()?;
    if !(2..=3).contains(&language.len()) || !language.bytes().all(|b| b.is_ascii_alphabetic()) {
        return None;
    }
    let mut canonical = language.to_ascii_lowercase();
    for part in parts {
        if !(2..=8).contains(&part.len()) || !part.bytes().all(|b| b.is_ascii_alphanumeric()) {
            return None;
        }
        canonical.push('-');
        match part.len() {
            2 => canonical.push_str(&part.to_ascii_uppercase()),
            4 if part.bytes().all(|b| b.is_ascii_alphabetic()) => {
                canonical.push_str(&part[..1].to_ascii_uppercase());
                canonical.push_str(&part[1..].to_ascii_lowercase());
            }
            _ => canonical.push_str(&part.to_ascii_lowercase()),
        }
    }
    Some(canonical)
}

/// The language of a tag: `de` for `de-AT`.
pub fn language(tag: &str) -> &str {
    tag.split('-').next().unwrap_or(tag)
}

/// The tags to try, in order: `de-AT`, `de`, then the same for the default.
pub fn chain(wanted: Option<&str>, default: &str) -> Vec<String> {
    let mut chain: Vec<String> = Vec::new();
    for tag in wanted.into_iter().chain([default]) {
        let Some(mut tag) = canonical(tag) else { continue };
        loop {
            if !chain.contains(&tag) {
                chain.push(tag.clone());
            }
            match tag.rfind('-') {
                Some(cut) => tag.truncate(cut),
                None => break,
            }
        }
    }
    chain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fallbacks_drop_the_region_then_use_the_default() {
        assert_eq!(chain(Some("de_at"), "en"), ["de-AT", "de", "en"]);
        assert_eq!(chain(Some("en"), "en"), ["en"]);
        assert_eq!(chain(None, "en-GB"), ["en-GB", "en"]);
        assert_eq!(chain(Some("Klingonese!"), "en"), ["en"]);
        assert_eq!(chain(Some("zh-hant-tw"), "en"), ["zh-Hant-TW", "zh-Hant", "zh", "en"]);
    }

    #[test]
    fn a_text_that_is_not_a_tag_is_rejected() {
        for (tag, expected) in
            [("EN", Some("en")), ("pt-br", Some("pt-BR")), ("english", None), ("", None), ("d", None), ("de-", None)]
        {
            assert_eq!(canonical(tag).as_deref(), expected, "{tag}");
        }
    }
}
