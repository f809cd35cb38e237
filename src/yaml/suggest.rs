//! Suggestions for misspelt names: "did you mean …?".

/// Returns the name that was probably meant: the same in another case, or at a small edit distance. `None` if no name
/// is near.
pub fn did_you_mean<'n>(written: &str, names: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
    const LONGEST: usize = 80;
    if written.is_empty() || written.len() > LONGEST {
        return None;
    }
    let folded = fold(written);
    let mut best: Option<(usize, &str)> = None;
    for name in names {
        let other = fold(name);
        if name.len() > LONGEST || name == written {
            continue;
        }
        let distance = if other == folded { 0 } else { strsim::osa_distance(&folded, &other) };
        let allowed = (other.chars().count().max(folded.chars().count()) / 3).clamp(1, 5);
        // A shortened or extended name, for example SOFT_KYC for SOFT_KYC_FAILED.
        let related =
            folded.len() >= 4 && (other.starts_with(&folded) || folded.starts_with(&other) && other.len() >= 4);
        if (distance <= allowed || related) && best.is_none_or(|(least, _)| distance < least) {
            best = Some((distance, name));
        }
    }
    best.map(|(_, name)| name)
}

/// Ignores case and the choice of `-`, `_`, `.` or space, which are often confused.
fn fold(name: &str) -> String {
    name.chars().map(|c| if matches!(c, '-' | ' ' | '.') { '_' } else { c }).flat_map(char::to_lowercase).collect()
}

/// Formats `a, b or c`, with at most twelve names.
pub fn one_of<'n>(names: impl IntoIterator<Item = &'n str>) -> String {
    const SHOWN: usize = 12;
    let names: Vec<&str> = names.into_iter().collect();
    if names.len() > SHOWN {
        return format!("{} and {} more", names[..SHOWN].join(", "), names.len() - SHOWN);
    }
    match names.split_last() {
        None => "nothing".to_owned(),
        Some((last, [])) => (*last).to_owned(),
        Some((last, before)) => format!("{} or {last}", before.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_suggested_and_no_distant_name() {
        let names =
            ["KYC_NEEDED", "FULL_USER", "KYC_PENDING", "PENDING_KYC_DATA", "SOFT_KYC_FAILED", "HARD_KYC_FAILED", "any"];
        for (written, meant) in [
            ("SOFT_KYC_FAIL", Some("SOFT_KYC_FAILED")),
            ("soft_kyc_failed", Some("SOFT_KYC_FAILED")),
            ("SOFT-KYC-FAILED", Some("SOFT_KYC_FAILED")),
            ("KYC_PENDIGN", Some("KYC_PENDING")),
            ("KYC_FULL_USER", Some("FULL_USER")),
            ("PENDING_KYC", Some("PENDING_KYC_DATA")),
            ("Any", Some("any")),
            ("BANANA", None),
            ("", None),
        ] {
            assert_eq!(did_you_mean(written, names), meant, "{written}");
        }
        assert_eq!(one_of(["a", "b", "c"]), "a, b or c");
    }
}
