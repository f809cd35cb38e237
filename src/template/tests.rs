//! Tests with templates that merchants may write, and values that attackers may send.

use super::*;

fn brand() -> Brand {
    Brand { name: "Example & Shop".into(), support: "support@example.com".into(), url: "https://shop.example/".into() }
}

fn files(pairs: &[(&str, &str)]) -> Files {
    pairs.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect()
}

fn compiled(pairs: &[(&str, &str)]) -> Result<Templates, Vec<Diagnostic>> {
    let attributes = ["plan".to_owned()];
    Templates::compile(
        &files(pairs),
        &TemplateOptions { brand: &brand(), default_locale: "en", attributes: &attributes },
    )
}

fn mail(text: &str, facts: &TemplateFacts) -> RenderedMail {
    let templates = compiled(&[
        ("templates/a.en.md", text),
        ("templates/layout.html", "{{ content }}"),
        ("labels/en.yaml", "PASSPORT: pass*port*\nSELFIE: selfie"),
    ])
    .unwrap_or_else(|wrong| panic!("{text}: {wrong:?}"));
    templates.render_mail("a", None, facts).expect("renders")
}

fn saying(message: &str) -> TemplateFacts {
    TemplateFacts { message: message.into(), to: "SOFT_KYC_FAILED".into(), ..TemplateFacts::default() }
}

#[test]
fn a_message_stays_text_in_both_parts_and_in_the_subject() {
    for (message, text, html) in [
        ("[x](http://evil)", "[x](http://evil)", "[x](http://evil)"),
        ("![x](http://evil)", "![x](http://evil)", "![x](http://evil)"),
        ("<script>alert(1)</script>", "<script>alert(1)</script>", "&lt;script&gt;alert(1)&lt;/script&gt;"),
        ("<http://evil>", "<http://evil>", "&lt;http://evil&gt;"),
        ("<a@evil.example>", "<a@evil.example>", "&lt;a@evil.example&gt;"),
        ("https://evil.example/?a=1&b=2", "https://evil.example/?a=1&b=2", "https://evil.example/?a=1&amp;b=2"),
        ("www.evil.com", "www.evil.com", "www.evil.com"),
        ("{{ 7*7 }} {% if x %}", "{{ 7*7 }} {% if x %}", "{{ 7*7 }} {% if x %}"),
        ("**b** _i_ `c` ~~s~~", "**b** _i_ `c` ~~s~~", "**b** _i_ `c` ~~s~~"),
        ("a\n# head\r\n\r\n- item\n1. one\n> q", "a # head - item 1. one > q", "a # head - item 1. one &gt; q"),
        ("a\u{2028}b\u{85}c\td\u{0}e", "a b c d e", "a b c d e"),
        ("&amp; &#42; & \\*", "&amp; &#42; & \\*", "&amp;amp; &amp;#42; &amp; \\*"),
        ("[x]: http://evil", "[x]: http://evil", "[x]: http://evil"),
        ("| a | b |", "| a | b |", "| a | b |"),
        ("👩‍👩‍👧 Grüße 漢字", "👩‍👩‍👧 Grüße 漢字", "👩‍👩‍👧 Grüße 漢字"),
        ("\u{202E}txet\u{2066} \u{200F}שלום", "txet \u{200F}שלום", "txet \u{200F}שלום"),
        ("\u{F0000}\u{10FFFD}x", "x", "x"),
    ] {
        for (template, shape) in [
            ("Said: {{ message or 1 }}.", "<p>Said: {}.</p>\n"),
            ("Said:\n{{ message or 1 }}", "<p>Said:\n{}</p>\n"),
            ("{{ message or 1 }}", "<p>{}</p>\n"),
            ("**{{ message or 1 }}**", "<p><strong>{}</strong></p>\n"),
            ("> {{ message or 1 }}", "<blockquote>\n<p>{}</p>\n</blockquote>\n"),
            ("- {{ message or 1 }}", "<ul>\n<li>{}</li>\n</ul>\n"),
            ("# {{ message or 1 }}", "<h1>{}</h1>\n"),
            ("`{{ message or 1 }}`", "<p><code>{}</code></p>\n"),
            ("[{{ message or 1 }}]({{ brand.url }})", "<p><a href=\"https://shop.example\">{}</a></p>\n"),
            ("{% set x %}{{ message or 1 }}{% endset %}{{ x }}", "<p>{}</p>\n"),
            ("{% set x %}{{ message or 1 }}{% endset %}{{ (x ~ '')|trim }}", "<p>{}</p>\n"),
            ("{% macro m(x) %}{{ x }}{% endmacro %}{{ m(message or 1) }}", "<p>{}</p>\n"),
        ] {
            let mail = mail(&format!("Subject: {{{{ message or 1 }}}}\n\n{template}\n"), &saying(message));
            assert_eq!(mail.html, shape.replace("{}", html), "{template}");
            assert!(mail.text.contains(text), "{template}: {}", mail.text);
            assert_eq!(mail.subject, text, "{template}");
        }
    }
}

#[test]
fn a_long_message_and_a_name_with_markup_are_printed_whole() {
    let message = "*a* ".repeat(125);
    let mut facts = saying(&message);
    facts.customer.name = Some("<b>Ada</b>\r\nBcc: eve@evil.example".into());
    let mail = mail(
        "Subject: Hi {{ customer.name or \"you\" }}\n\nHi {{ customer.name or \"you\" }}: {{ message }}\n",
        &facts,
    );
    assert_eq!(mail.subject, "Hi <b>Ada</b> Bcc: eve@evil.example");
    assert_eq!(mail.text.trim_end(), format!("Hi <b>Ada</b> Bcc: eve@evil.example: {}", message.trim_end()));
    assert!(mail.html.starts_with("<p>Hi &lt;b&gt;Ada&lt;/b&gt; Bcc:"));
}

#[test]
fn values_in_addresses_are_percent_encoded_except_the_merchants_addresses() {
    let mut facts = saying("");
    facts.customer.id = "a/b?c&d) \"x\"@evil".into();
    let mail = mail(
        "Subject: x\n\n[Go]({{ brand.url }}/kyc?id={{ customer.id }}) or [write](mailto:{{ brand.support }}) or see {{ brand.url }}.\n",
        &facts,
    );
    assert!(
        mail.html.contains("href=\"https://shop.example/kyc?id=a%2Fb%3Fc%26d%29%20%22x%22%40evil\""),
        "{}",
        mail.html
    );
    assert!(mail.html.contains("href=\"mailto:support@example.com\""), "{}", mail.html);
    assert!(mail.text.contains("write <support@example.com> or see https://shop.example."), "{}", mail.text);
}

#[test]
fn statements_on_lines_of_their_own_leave_no_blank_lines() {
    let mut facts = saying("");
    facts.missing_docs = vec!["PASSPORT".into(), "SELFIE".into(), "UTILITY_BILL".into()];
    let mail = mail(
        "Subject: {{ missing_docs | words or \"x\" }}\n\nSend:\n\n{% for doc in missing_docs %}\n- {{ doc | words }}\n{% endfor %}\n\n  {% if customer.name %}\nHi\n  {% else %}\nHello {% if visit %}x{% endif %}\nyou\n{% endif %}\n\nBye\n",
        &facts,
    );
    assert_eq!(mail.subject, "pass*port*, selfie and utility bill");
    assert_eq!(mail.text, "Send:\n\n- pass*port*\n- selfie\n- utility bill\n\nHello you\n\nBye\n");
    assert!(mail.html.contains("<li>pass*port*</li>\n<li>selfie</li>"), "{}", mail.html);
}

#[test]
fn the_nearest_language_is_used_and_labels_are_in_the_mails_language() {
    let templates = compiled(&[
        ("templates/a.en.md", "Subject: en\n\n{{ missing_docs | words }}.\n"),
        ("templates/a.de.md", "Subject: de\n\n{{ missing_docs | words }}, {{ stay.entered_at | date }}.\n"),
        ("templates/a.de-AT.md", "Subject: at\n\n{{ to | words }}.\n"),
        ("labels/en.yaml", "PASSPORT: passport"),
        ("labels/de.yaml", "PASSPORT: Reisepass\nSELFIE: Selfie"),
    ])
    .expect("right");
    let mut facts = saying("");
    facts.missing_docs = vec!["PASSPORT".into(), "SELFIE".into()];
    facts.stay.entered_at = "2026-03-03T21:30:00Z".into();
    for (locale, subject, text) in [
        (Some("de-AT"), "at", "soft kyc failed.\n"),
        (Some("de-CH"), "de", "Reisepass und Selfie, 3. März 2026.\n"),
        (Some("fr"), "en", "passport and selfie.\n"),
        (None, "en", "passport and selfie.\n"),
    ] {
        let mail = templates.render_mail("a", locale, &facts).expect("renders");
        assert_eq!((&*mail.subject, &*mail.text), (subject, text), "{locale:?}");
        assert!(mail.html.contains(&format!("lang=\"{}\"", mail.locale)));
    }
    assert_eq!(templates.locales("a").collect::<Vec<_>>(), ["de", "de-AT", "en"]);
    assert!(templates.has("a") && !templates.has("b"));
    assert_eq!(templates.label_codes().len(), 2);
    assert!(templates.render_mail("b", None, &facts).is_err());
}

#[test]
fn errors_are_found_at_load_with_their_place() {
    for (body, at, message, label) in [
        ("Hi {{ customer.nmae }}!", "customer.nmae", "`customer` has no `nmae`", Some("did you mean `customer.name`?")),
        (
            "{% if step == 7 %}{{ mesage }}{% endif %}",
            "mesage",
            "there is no `mesage` in templates",
            Some("did you mean `message`?"),
        ),
        (
            "{% if customer.nmae %}x{% endif %}y",
            "customer.nmae",
            "`customer` has no `nmae`",
            Some("did you mean `customer.name`?"),
        ),
        (
            "{{ customer.attributes.plna }}",
            "customer.attributes.plna",
            "the attribute `plna` is not declared in `directory.attributes`",
            Some("did you mean `customer.attributes.plan`?"),
        ),
        (
            "Hé Hi {{ customer.name }}!",
            "customer.name",
            "`customer.name` may be missing",
            Some("write `{{ customer.name or \"…\" }}`"),
        ),
        (
            "Hi {{ customer.name | upper }}!",
            "customer.name",
            "`customer.name` may be missing",
            Some("write `{{ customer.name or \"…\" }}`"),
        ),
        (
            "{{ customer.attributes.plan }}",
            "customer.attributes.plan",
            "`customer.attributes.plan` may be missing",
            Some("write `{{ customer.attributes.plan or \"…\" }}`"),
        ),
        ("a\n\n{{ missing_docs }}", "missing_docs", "a list is printed without a filter", None),
        ("{{ none }}", "none", "`none` is printed", None),
        ("{{ missing_docs | word }}", "word", "there is no filter `word` in templates", Some("did you mean `words`?")),
        ("{{ message | safe }}", "safe", "there is no filter `safe` in templates", None),
        ("{% if step is od %}a{% endif %}b", "od", "there is no test `od` in templates", Some("did you mean `odd`?")),
        (
            "{% include 'b.en.md' %}",
            "include",
            "`include` is not available: a template cannot use other templates",
            None,
        ),
        (
            "{% autoescape false %}{{ message }}{% endautoescape %}",
            "autoescape",
            "`autoescape` is not available: values are always inserted as text",
            None,
        ),
        (
            "a {% for i in range(10000) %}{% for j in range(10000) %}{{ j }}{% endfor %}{% endfor %}",
            "",
            "the template takes too much work to render",
            None,
        ),
        ("{% if step %}a", "", "", None),
        ("{{ message + }}", "", "", None),
        (
            "{% if message %}x{% endif %}",
            "{% if message %}x{% endif %}",
            "the text is empty for one of the sample customers",
            None,
        ),
        ("a <b>x</b>", "<b>", "HTML is not allowed in a template's Markdown", None),
        ("[x](/kyc)", "/kyc", "a link in a mail needs an absolute address", None),
        ("[x]({{ message or 'a' }})", "", "a link in a mail needs an absolute address", None),
        (
            "{{ missing_docs.length }}",
            "missing_docs.length",
            "`missing_docs` has no fields",
            Some("did you mean `missing_docs | length`?"),
        ),
        ("{{ debug() }}", "debug", "there is no `debug` in templates", None),
    ] {
        for line_end in ["\n", "\r\n"] {
            let text = format!(
                "Subject: Überprüfung{line_end}{line_end}Zeile eins{line_end}{{% if true %}}{line_end}{{% endif %}}{line_end}{body}{line_end}"
            );
            // The template that renders to an empty text contains no other text.
            let text = if message.starts_with("the text is empty") { format!("Subject: x\n\n{body}\n") } else { text };
            let wrong = compiled(&[("templates/a.en.md", &text)]).expect_err(body);
            let first = &wrong[0];
            assert_eq!(first.file, "templates/a.en.md");
            assert!(first.message.starts_with(message), "{body}: {}", first.message);
            let span = first.span.clone().expect("a place");
            if at.is_empty() {
                assert!(*text[span.clone()].trim() == text[span.clone()] && !text[span].is_empty(), "{body}");
            } else {
                assert_eq!(&text[span], at, "{body}");
            }
            if let Some(label) = label {
                assert_eq!(first.label.as_deref(), Some(label), "{body}");
            }
        }
    }
}

#[test]
fn all_errors_are_reported_at_once() {
    let wrong = compiled(&[
        ("templates/a.en.md", "Subject: {{ nam }}\n\n{{ x }} {{ customer.y }}"),
        ("templates/b.de.md", "Subject: x\n\ny"),
        ("templates/c.md", "Subject: x\n\ny"),
        ("templates/layout.html", "<html>{{ contnt }}"),
        ("labels/en.yaml", "- x"),
    ])
    .expect_err("wrong");
    let said: Vec<_> = wrong.iter().map(|one| (&*one.file, &*one.message)).collect();
    assert_eq!(
        said,
        [
            ("labels/en.yaml", "only a code and its words are allowed here"),
            ("templates/layout.html", "there is no `contnt` in templates"),
            ("templates/a.en.md", "there is no `nam` in templates"),
            ("templates/a.en.md", "there is no `x` in templates"),
            ("templates/a.en.md", "`customer` has no `y`"),
            ("templates/c.md", "c.md is not named like a template"),
            ("templates/b.de.md", "the template b is missing in the default language, en"),
        ]
    );
}

#[test]
fn the_layout_surrounds_the_mail_and_must_include_it() {
    let page = |layout: &str| {
        compiled(&[("templates/a.en.md", "Subject: a < b\n\nx"), ("templates/layout.html", layout)])
            .map(|templates| templates.render_mail("a", None, &saying("")).expect("renders").html)
    };
    assert_eq!(
        page("{{ locale }}|{{ subject }}|{{ brand.name }}|{{ brand.url }}|{{ content }}").expect("right"),
        "en|a &lt; b|Example &amp; Shop|https://shop.example|<p>x</p>\n"
    );
    assert_eq!(page("<p>hello").expect_err("wrong")[0].message, "the layout does not include the mail's text");
}

#[test]
fn a_text_in_a_rule_is_checked_and_its_values_are_kept_apart() {
    let mut templates = compiled(&[("labels/en.yaml", "PASSPORT: passport")]).expect("right");
    assert_eq!(templates.add_text("<https://x|{{ customer.id }}> {{ missing_docs | words }}", &[]), []);
    let text = "é {{ customer.nmae }} {{ customer.name }}";
    let wrong = templates.add_text(text, &[]);
    assert_eq!(&text[wrong[0].span.clone().expect("a place")], "customer.nmae");
    for (text, message) in [
        ("{{ customer.name }}", "`customer.name` may be missing"),
        (
            "{% for i in range(100000) %}{{ i }}{% endfor %}",
            "a list or map has more than 10,000 entries, counting those of nested lists and maps",
        ),
        (" {{ message }} ", "the text is empty for one of the sample customers"),
    ] {
        assert_eq!(templates.add_text(text, &[])[0].message, message, "{text}");
    }
    assert_eq!(templates.add_text("{% if", &[]).len(), 1);

    let mut facts = saying("<!channel> *now*");
    facts.missing_docs = vec!["PASSPORT".into()];
    let text = "*{{ message }}* <{{ missing_docs | words }}>.";
    assert!(templates.render_text(text, &facts).is_err(), "it was not added");
    templates.add_text(&format!("{text}{{{{ visit }}}}"), &[]);
    assert_eq!(templates.add_text(&format!("x{text}"), &[]), []);
    let said = templates.render_text(&format!("x{text}"), &facts);
    assert_eq!(said, Ok(Phrase::of(["x*", "<!channel> *now*", "* <", "passport", ">."])));
}

#[test]
fn templates_can_be_shared_by_threads() {
    fn shared<T: Send + Sync + 'static>() {}
    shared::<Templates>();
}

#[test]
fn facts_can_be_stored_and_read_again() {
    let facts = saying("Grüße");
    let json = serde_json::to_string(&facts).expect("JSON");
    assert_eq!(serde_json::from_str::<TemplateFacts>(&json).expect("facts"), facts);
}

proptest::proptest! {
    #[test]
    fn no_template_and_no_message_causes_a_panic(
        body in r#"([a-zé {}%#|."'\\\[\]()<>*_`\n-]|\{\{ message \}\}|\{% if to %\}|\{% endif %\}|customer\.name| words ){0,40}"#,
        message in r"(\PC|\n){0,60}",
    ) {
        let text = format!("Subject: x\n\n{body}\n");
        match compiled(&[("templates/a.en.md", &text)]) {
            Ok(templates) => { templates.render_mail("a", None, &saying(&message)).expect("was tried"); }
            Err(wrong) => for one in wrong {
                let span = one.span.expect("a place");
                proptest::prop_assert!(text.get(span).is_some());
            }
        }
    }
}
