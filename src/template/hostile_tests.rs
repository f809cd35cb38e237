//! Tests with templates that could end the process: too deep for the stack, or too large for the memory.

use std::time::{Duration, Instant};

use super::*;

fn compiled(body: &str, layout: &str) -> Result<Templates, Vec<Diagnostic>> {
    let text = format!("Subject: x\n\n{body}\n");
    let files = [("templates/a.en.md", text.as_str()), ("templates/layout.html", layout)];
    let files: Files = files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect();
    Templates::compile(&files, &TemplateOptions { brand: &Brand::default(), default_locale: "en", attributes: &[] })
}

/// The distinct error messages for a body.
fn said(body: &str) -> Vec<String> {
    match compiled(body, "{{ content }}") {
        Ok(_) => Vec::new(),
        Err(wrong) => wrong.into_iter().map(|one| one.message).collect(),
    }
}

#[test]
fn deeply_nested_code_is_rejected_before_it_is_parsed() {
    const MANY: usize = 6_000;
    let around = |open: &str, inner: &str, close: &str, times: usize| {
        format!("{}{inner}{}", open.repeat(times), close.repeat(times))
    };
    let mut bodies = Vec::new();
    for unit in [
        "-",
        "- ",
        "not ",
        "1 ~ ",
        "1 + ",
        "1 and ",
        "1 or ",
        "1 ** ",
        "1 * ",
        "1 // ",
        "1 == ",
        "1 if 1 else ",
        "1 in ",
    ] {
        bodies.push(format!("{{{{ {}1 }}}}", unit.repeat(MANY)));
        bodies.push(format!("{{% if {}1 %}}x{{% endif %}}", unit.repeat(MANY)));
    }
    for unit in [".a", "[0]", "|d", "()", " is odd", "|d(1)", " is eq 1", "[1:2]", ".0"] {
        bodies.push(format!("{{{{ customer{} }}}}", unit.repeat(MANY)));
    }
    for (open, close) in
        [("(", ")"), ("[", "]"), ("{1:", "}"), ("range(", ")"), ("(1,", ")"), ("dict(a=", ")"), ("[-(", ")]")]
    {
        bodies.push(format!("{{{{ {} }}}}", around(open, "1", close, MANY)));
    }
    for (open, close) in [
        ("{% if 1 %}", "{% endif %}"),
        ("{% for a in [1] %}", "{% endfor %}"),
        ("{% with a = 1 %}", "{% endwith %}"),
        ("{% set a %}", "{% endset %}"),
        ("{% filter upper %}", "{% endfilter %}"),
        ("{% if 1 %}{% else %}", "{% endif %}"),
        ("{% macro a() %}", "{% endmacro %}"),
    ] {
        bodies.push(around(open, "x", close, MANY));
        bodies.push(open.repeat(MANY));
    }
    bodies.push(format!("{{% if 0 %}}{}{{% endif %}}", "{% elif 0 %}".repeat(1_883)));
    bodies.push("{{ 'a' ~ 'b' }}".repeat(15_000));
    for body in bodies {
        let wrong = compiled(&body, "{{ content }}").map(|_| ()).expect_err(&body[..body.len().min(60)]);
        let found = wrong.iter().all(|one| one.span.as_ref().is_some_and(|span| !span.is_empty()));
        assert!(found, "{:.60}: {wrong:?}", body);
        assert!(compiled("x", &format!("{body}{{{{ content }}}}")).is_err(), "{body:.60}");
        let mut templates = Templates::default();
        assert_eq!(templates.add_text(&body, &[]).len(), 1, "{body:.60}");
    }
}

#[test]
fn unbounded_growth_runs_out_of_fuel() {
    let looped = |first: &str, step: &str, last: &str| {
        format!(
            "{{% set n = namespace(x={first}) %}}{{% for i in range(200) %}}{{% set n.x = {step} %}}{{% endfor %}}{last}"
        )
    };
    let straight = |first: &str, step: &str, last: &str| {
        format!("{{% set x = {first} %}}{}{last}", format!("{{% set x = {step} %}}").repeat(100))
    };
    let mut bodies = Vec::new();
    for (step, last) in [
        ("X + X", "{{ X | length }}"),
        ("X + X", "{% for y in X %}{{ y }}{% endfor %}"),
        ("X * 1000", "{{ X | length }}"),
        ("X | chain(X)", "{{ X | length }}"),
        ("[X, X]", "{{ X | length }}"),
        ("[X, X]", "{{ '' ~ X }}"),
        ("[X, X]", "{{ X | string }}"),
        ("[X, X]", "{{ X == [X, X] }}"),
        ("(X, X)", "{{ X | join }}"),
        ("{1: X, 2: X}", "{{ X | string }}"),
        ("[X] * 100000", "{{ X | string }}"),
        ("dict(a=X, b=X)", "{{ X | string }}"),
        ("[X] | zip([X]) | list", "{{ X | string }}"),
        ("[X, X] | batch(1) | list", "{{ X | string }}"),
        ("range(2) | map(attribute='no') | map('default', X) | list", "{{ X | string }}"),
    ] {
        for shape in [
            looped("[1]", &step.replace('X', "n.x"), &last.replace('X', "n.x")),
            straight("[1]", &step.replace('X', "x"), &last.replace('X', "x")),
        ] {
            bodies.push(shape);
        }
    }
    for step in
        ["X ~ X", "X + X", "X * 1000", "(X ~ ',') | replace(',', X)", "[X, X] | join(X)", "'%s%s' | format(X, X)"]
    {
        bodies.push(looped("'ab'", &step.replace('X', "n.x"), "{{ n.x | length }}"));
        bodies.push(straight("'ab'", &step.replace('X', "x"), "{{ x | length }}"));
    }
    for body in [
        "{% set n = namespace() %}{% set n.x = n %}{{ n.x | string }}",
        "{% set n = namespace() %}{% set n.x = [n] %}{{ [n] == [n.x] }}",
        "{{ range(100000) | join(range(100000) | join) }}",
        "{{ '' ~ (range(100000) | list * 1000) }}",
        "{{ 'a' * 100000000 }}",
        "{% for i in range(100000) %}{% for j in range(100000) %}{% endfor %}{% endfor %}",
        "{% macro m(x) %}{{ m(x ~ x) }}{% endmacro %}{{ m('a') }}",
        "{% macro m(x) %}{{ caller() }}{% endmacro %}{% macro k() %}{% call m(1) %}{{ k() }}{% endcall %}{% endmacro %}{{ k() }}",
        "{% for x in [[1]] recursive %}{{ loop([[x]]) }}{% endfor %}",
        "{% set x %}{{ 'a' * 100000 }}{% endset %}{% set y %}{{ x ~ x ~ x ~ x ~ x ~ x ~ x ~ x }}{% endset %}{{ y ~ y ~ y ~ y }}",
        "{% set x %}{{ brand.name or 'a' * 60000 }}{% endset %}{% for i in range(9000) %}{{ x }}{% endfor %}",
        "{{ range(100000) | sort | unique | reverse | list | length }}",
        "{{ ('a,' * 1000000) | split(',') | length }}",
        "{{ 9 ** 9 ** 9 }}",
    ] {
        bodies.push(body.to_owned());
    }
    for body in bodies {
        let began = Instant::now();
        let wrong = said(&body);
        assert!(!wrong.is_empty(), "{body:.200}");
        assert!(began.elapsed() < Duration::from_secs(60), "{body:.200}: {:?}", began.elapsed());
    }
}

#[test]
fn deep_markdown_is_rejected() {
    for body in [
        ">".repeat(100_000),
        "- ".repeat(50_000) + "x",
        "> - 1. ".repeat(20_000),
        "{% for i in range(40) %}> {% endfor %}x".to_owned(),
        "[![".repeat(60_000),
    ] {
        let wrong = said(&body);
        assert!(
            body.starts_with('[') || wrong == ["lists and quotes are nested more than 32 deep"],
            "{body:.20}: {wrong:?}"
        );
    }
    let quotes = format!("{}x", "> ".repeat(20));
    assert_eq!(said(&quotes), [""; 0]);
}

#[test]
fn guards_do_not_change_usual_templates() {
    for (body, html) in [
        ("{% set n = namespace(k=0) %}{% for i in range(3) %}{% set n.k = n.k + i %}{% endfor %}{{ n.k }}", "3"),
        ("{% for a in ['x', 'y'] + ['z'] %}{{ a }}{{ ', ' if not loop.last }}{% endfor %}", "x, y, z"),
        ("{% set m = {'a': [1, 2], 'b': {'c': 'd'}} %}{{ m.a[1] }}{{ m['b'].c }}{{ m.b | items | length }}", "2d1"),
        (
            "{% macro hi(who, greeting='Hi') %}{{ greeting }} {{ who }}{% endmacro %}{{ hi('Bo') }}, {{ hi('Al', greeting='Ho') }}",
            "Hi Bo, Ho Al",
        ),
        ("{% macro box() %}({{ caller('in') }}){% endmacro %}{% call(word) box() %}{{ word }}{% endcall %}", "(in)"),
        ("{% with a = [1, 2], b = a | length %}{{ a | join('-') }}{{ b }}{% endwith %}", "1-22"),
        ("{% with (a, b) = (1, 2) %}{{ a }}{{ b }}{% endwith %}", "12"),
        ("{% for a, (b, c) in [(1, (2, 3))] if a is odd %}{{ a }}{{ b }}{{ c }}{% endfor %}", "123"),
        ("{% for x in [1, [2, 3]] recursive %}{{ loop(x) if x is sequence else x }}{% endfor %}", "123"),
        ("{% set x | upper %}a{% endset %}{{ x }}{% filter upper | replace('B', 'c') %}b{% endfilter %}", "Ac"),
        ("{{ undefined_thing is defined }}", ""),
        ("{{ 'a' if 'x' in ['x', 'y'] and not step is odd else 'b' }}", "a"),
        ("{{ [3, 1, 2] | sort | map('string') | join }}{{ range(1, 4)[1:] | list | last }}", "1233"),
        ("{{ 'a' 'b' ~ 1.5 ~ 2 ** 3 ~ -step }}", "ab1.580"),
        ("{{ dict(a=1)['a'] }}{{ (1, 2) | first }}{{ {} is mapping and 'm' }}", "11m"),
        ("{% do namespace(a=[1]) %}{{ '%s-%s' | format('a', 2) }}", "a-2"),
    ] {
        if html.is_empty() {
            assert_eq!(said(body), ["there is no `undefined_thing` in templates"]);
            continue;
        }
        let templates = compiled(body, "{{ content }}").unwrap_or_else(|wrong| panic!("{body}: {wrong:?}"));
        let mail = templates.render_mail("a", None, &TemplateFacts::default()).expect("renders");
        assert_eq!(mail.html, format!("<p>{html}</p>\n"), "{body}");
    }
}

#[test]
fn a_panic_of_the_engine_is_an_error_of_the_template() {
    // `-step` for the smallest integer, which minijinja does not check.
    const LEAST: &str = "{{ [1, 2, 3][::-9223372036854775807 - visit] | length }}";
    let when = "{% if message == 'boom' %}{{ [1, 2, 3][::-9223372036854775807 - visit] | length }}{% endif %}x";
    let templates = compiled(when, "{{ content }}").expect("no sample has the message boom");
    let facts = TemplateFacts { message: "boom".into(), visit: 1, ..TemplateFacts::default() };
    assert!(templates.render_mail("a", None, &TemplateFacts::default()).is_ok());
    if cfg!(debug_assertions) {
        let error = templates.render_mail("a", None, &facts).expect_err("panicked").to_string();
        assert!(error.contains("rendering panicked"), "{error}");
        let wrong = compiled(LEAST, "{{ content }}").expect_err("panicked");
        assert_eq!(wrong[0].file, "templates/a.en.md");
        assert!(wrong[0].message.contains("rendering panicked"), "{wrong:?}");
        let wrong =
            compiled("x", "{{ content }}{{ [1, 2, 3][::-9223372036854775808] | length }}").expect_err("panicked");
        assert_eq!(wrong[0].file, "templates/layout.html");
    }
}

#[test]
fn each_depth_limit_is_as_documented_and_named_in_its_message() {
    for (open, close) in [
        ("{% for a in [1] %}", "{% endfor %}"),
        ("{% with a = 1 %}", "{% endwith %}"),
        ("{% if 1 %}", "{% endif %}"),
        ("{% set a %}", "{% endset %}"),
        ("{% filter upper %}", "{% endfilter %}"),
    ] {
        let nested = |depth: usize| format!("y{}x{}", open.repeat(depth), close.repeat(depth));
        assert_eq!(said(&nested(32)), [""; 0], "{open}");
        assert_eq!(said(&nested(33)), ["statements are nested more than 32 deep"], "{open}");
    }
    for (open, close) in [("{'a': ", "}"), ("[", "]")] {
        let nested = |depth: usize| format!("{{{{ ({}1{}) | length }}}}", open.repeat(depth), close.repeat(depth));
        assert_eq!(said(&nested(8)), [""; 0], "{open}");
        assert_eq!(said(&nested(30)), ["lists and maps are nested more than 8 deep"], "{open}");
    }
}

#[test]
fn templates_that_are_too_large_together_are_rejected() {
    let text = format!("Subject: x\n\n{}\n", "word ".repeat(50_000));
    let many: Files = (0..17).map(|nth| (format!("templates/t{nth}.en.md"), text.clone())).collect();
    let options = TemplateOptions { brand: &Brand::default(), default_locale: "en", attributes: &[] };
    let wrong = Templates::compile(&many, &options).expect_err("too large");
    assert_eq!(wrong.len(), 1);
    assert_eq!(wrong[0].message, "the templates together have more than 4 MB");
}
