//! The shipped rules, templates and labels, which `demo` runs and `init` writes.
//!
//! Contains every file of `rules/`, byte for byte; a test finds missing files.

use crate::yaml::Files;

macro_rules! shipped {
    ($($path:literal),+ $(,)?) => {
        /// Path below `rules/` and text of each file.
        const FILES: &[(&str, &str)] = &[$(($path, include_str!(concat!("../rules/", $path)))),+];
    };
}

shipped![
    "kyc.test.yaml",
    "kyc.yaml",
    "labels/de.yaml",
    "labels/en.yaml",
    "labels/es.yaml",
    "labels/fr.yaml",
    "labels/it.yaml",
    "reminders.test.yaml",
    "templates/action-needed.de.md",
    "templates/action-needed.en.md",
    "templates/action-needed.es.md",
    "templates/action-needed.fr.md",
    "templates/action-needed.it.md",
    "templates/checked-again.de.md",
    "templates/checked-again.en.md",
    "templates/checked-again.es.md",
    "templates/checked-again.fr.md",
    "templates/checked-again.it.md",
    "templates/correct-your-data.de.md",
    "templates/correct-your-data.en.md",
    "templates/correct-your-data.es.md",
    "templates/correct-your-data.fr.md",
    "templates/correct-your-data.it.md",
    "templates/documents-needed.de.md",
    "templates/documents-needed.en.md",
    "templates/documents-needed.es.md",
    "templates/documents-needed.fr.md",
    "templates/documents-needed.it.md",
    "templates/in-review.de.md",
    "templates/in-review.en.md",
    "templates/in-review.es.md",
    "templates/in-review.fr.md",
    "templates/in-review.it.md",
    "templates/layout.html",
    "templates/missing-documents.de.md",
    "templates/missing-documents.en.md",
    "templates/missing-documents.es.md",
    "templates/missing-documents.fr.md",
    "templates/missing-documents.it.md",
    "templates/personal-help.de.md",
    "templates/personal-help.en.md",
    "templates/personal-help.es.md",
    "templates/personal-help.fr.md",
    "templates/personal-help.it.md",
    "templates/remind-continue.de.md",
    "templates/remind-continue.en.md",
    "templates/remind-continue.es.md",
    "templates/remind-continue.fr.md",
    "templates/remind-continue.it.md",
    "templates/remind-documents.de.md",
    "templates/remind-documents.en.md",
    "templates/remind-documents.es.md",
    "templates/remind-documents.fr.md",
    "templates/remind-documents.it.md",
    "templates/remind-start.de.md",
    "templates/remind-start.en.md",
    "templates/remind-start.es.md",
    "templates/remind-start.fr.md",
    "templates/remind-start.it.md",
    "templates/start-verification.de.md",
    "templates/start-verification.en.md",
    "templates/start-verification.es.md",
    "templates/start-verification.fr.md",
    "templates/start-verification.it.md",
    "templates/takes-longer.de.md",
    "templates/takes-longer.en.md",
    "templates/takes-longer.es.md",
    "templates/takes-longer.fr.md",
    "templates/takes-longer.it.md",
    "templates/verification-stopped.de.md",
    "templates/verification-stopped.en.md",
    "templates/verification-stopped.es.md",
    "templates/verification-stopped.fr.md",
    "templates/verification-stopped.it.md",
    "templates/verified.de.md",
    "templates/verified.en.md",
    "templates/verified.es.md",
    "templates/verified.fr.md",
    "templates/verified.it.md",
];

/// Returns all shipped files.
pub fn files() -> Files {
    FILES.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs, path::Path};

    use super::*;
    use crate::template::{Brand, CustomerFacts, RenderedMail, StayFacts, TemplateFacts, TemplateOptions, Templates};

    fn paths(below: &Path, root: &Path, found: &mut BTreeSet<String>) {
        for entry in fs::read_dir(below).expect("a directory") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                paths(&path, root, found);
            } else {
                found.insert(path.strip_prefix(root).expect("below").to_string_lossy().replace('\\', "/"));
            }
        }
    }

    #[test]
    fn every_file_of_the_rules_directory_is_shipped() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("rules");
        let mut there = BTreeSet::new();
        paths(&root, &root, &mut there);
        let here: BTreeSet<String> = FILES.iter().map(|(path, _)| (*path).to_owned()).collect();
        assert_eq!(here, there);
    }

    fn brand() -> Brand {
        Brand { name: "Example Shop".into(), support: "support@example.com".into(), url: "https://shop.example".into() }
    }

    fn templates(brand: &Brand) -> Templates {
        Templates::compile(&files(), &TemplateOptions { brand, default_locale: "en", attributes: &[] })
            .unwrap_or_else(|wrong| panic!("{wrong:#?}"))
    }

    /// Sample customers: with all details, with none, and with one detail each; for a first mail and for reminders.
    fn customers() -> Vec<TemplateFacts> {
        let texts = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        let bare = TemplateFacts {
            customer: CustomerFacts { id: "C-1".into(), ..CustomerFacts::default() },
            to: "SOFT_KYC_FAILED".into(),
            visit: 1,
            stay: StayFacts { entered_at: "2026-03-03T21:30:00Z".into(), days: 0, hours: 0 },
            now: "2026-03-03T21:30:00Z".into(),
            ..TemplateFacts::default()
        };
        let mut full = bare.clone();
        full.customer.name = Some("Ada Lovelace".into());
        full.from = Some("FULL_USER".into());
        full.missing_docs = texts(&["PASSPORT", "SELFIE", "UTILITY_BILL"]);
        full.reject_labels = texts(&["BAD_PASSPORT", "BAD_SELFIE", "SOMETHING_NEW"]);
        full.message = "Enter your *date of birth* exactly".into();
        full.tags = texts(&["kyc-reversed"]);
        let docs = TemplateFacts { missing_docs: full.missing_docs.clone(), ..bare.clone() };
        let labels = TemplateFacts { reject_labels: full.reject_labels.clone(), ..bare.clone() };
        let message = TemplateFacts { message: full.message.clone(), ..bare.clone() };
        let waiting = TemplateFacts { to: "KYC_PENDING".into(), step: 1, ..bare.clone() };
        let reminded = TemplateFacts { step: 2, ..full.clone() };
        let reminded_again = TemplateFacts { step: 3, ..bare.clone() };
        vec![bare, full, docs, labels, message, waiting, reminded, reminded_again]
    }

    const LOCALES: [&str; 5] = ["en", "de", "fr", "es", "it"];

    fn all(brand: &Brand, mut look: impl FnMut(&str, &TemplateFacts, RenderedMail)) {
        let templates = templates(brand);
        for name in templates.names() {
            for locale in LOCALES {
                for facts in customers() {
                    let mail = templates.render_mail(name, Some(locale), &facts).expect("renders");
                    assert_eq!(mail.locale, locale, "{name} exists in every language");
                    look(name, &facts, mail);
                }
            }
        }
    }

    #[test]
    fn every_shipped_mail_is_well_formed_in_every_language_for_every_customer() {
        all(&brand(), |name, facts, mail| {
            let text = &mail.text;
            for mark in
                ["**", "](", "\\", "{{", "{%", "None", "none", "undefined", "&amp;", "[]", "\n\n\n", " \n", " ,", " ."]
            {
                assert!(!text.contains(mark), "{mark:?} in {name}: {text}");
            }
            assert!(!text.lines().any(|line| line.trim() == "-"), "{name}: {text}");
            assert!(!mail.html.contains("<li></li>") && !mail.html.contains("<p></p>"), "{name}: {}", mail.html);
            assert!(
                !mail.html.contains("src=") && !mail.html.contains("@import"),
                "the mail must not load external content: {name}"
            );
            assert!(mail.html.contains(&format!("<html lang=\"{}\">", mail.locale)), "{name}");
            assert!(!mail.subject.is_empty() && mail.subject.chars().count() <= 70, "{name}: {}", mail.subject);
            assert!(mail.text.contains("Example Shop") && mail.text.contains("support@example.com"), "{name}: {text}");
            assert_eq!(text.contains("Ada Lovelace"), facts.customer.name.is_some(), "{name}: {text}");
        });
    }

    #[test]
    fn a_brand_without_url_or_support_leaves_no_empty_places() {
        let bare = Brand { name: "Example Shop".into(), ..Brand::default() };
        all(&bare, |name, _, mail| {
            assert!(!mail.text.contains("<>") && !mail.html.contains("href"), "{name}: {}", mail.text);
        });
    }

    #[test]
    fn codes_of_documents_and_labels_are_written_as_words() {
        let templates = templates(&brand());
        let facts = &customers()[1];
        for (locale, words) in [
            ("en", ["- passport\n", "- your selfie could not be used\n", "had already been confirmed"]),
            ("de", ["- Reisepass\n", "- Ihr Selfie war nicht verwendbar\n", "bereits bestätigt"]),
            ("fr", ["- passeport\n", "- votre selfie n’a pas pu être utilisé\n", "avait déjà été confirmée"]),
            ("es", ["- pasaporte\n", "- su selfi no se ha podido usar\n", "ya estaba confirmada"]),
            ("it", ["- passaporto\n", "- il Suo selfie non era utilizzabile\n", "era già stata confermata"]),
        ] {
            let mail = templates.render_mail("missing-documents", Some(locale), facts).expect("renders");
            for word in words.iter().chain(&["- utility bill\n", "    Enter your *date of birth* exactly\n"]) {
                assert!(mail.text.contains(word), "{word:?} in {}", mail.text);
            }
        }
    }

    #[test]
    fn every_language_has_words_for_all_codes() {
        let templates = templates(&brand());
        for code in templates.label_codes() {
            let readable = code.replace('_', " ").to_lowercase();
            for locale in ["de", "fr", "es", "it"] {
                let words = templates.words(Some(locale), code);
                assert!(
                    words == "selfie" || words == "Selfie" || words != templates.words(Some("en"), code),
                    "{locale} {code}"
                );
                assert!(words == "selfie" || words != readable, "{locale} {code}");
            }
        }
    }
}
