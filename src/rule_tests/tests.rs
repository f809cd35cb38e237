//! Table-driven tests: what must be sent, the differences that are reported, and the reasons.

use super::*;
use crate::rules::RuleId;
use crate::yaml::{Severity, Sources, render};

const RULES: &str = r#"
  - {id: welcome, when: new -> CREATED, do: [email: {template: hello, limit: 1 per 24h}]}
  - id: sorry
    when: [any -> SOFT_KYC_FAILED, SOFT_KYC_FAILED -> SOFT_KYC_FAILED]
    if: {missing_docs: {exists: true}}
    do:
      - email: {template: sorry, settle: 2m, quiet_hours: "20:00-09:00"}
  - {id: vip, when: any -> FULL_USER, if: {customer.country: DE}, do: [tag: vip, untag: trial, email: {template: hello, to: ops@shop.example}]}
  - {id: third, when: any -> SOFT_KYC_FAILED, if: {visit: ">= 3"}, do: [tag: needs-person]}
  - {id: trial, mode: shadow, when: any -> FULL_USER, do: [email: {template: hello, limit: 1 per 24h}, tag: tried]}
  - {id: off, mode: paused, when: any -> CREATED, do: [email: hello]}
  - id: remind
    when: PENDING_KYC_DATA for 48h, 5d
    do: [email: {template: sorry, quiet_hours: "20:00-09:00"}]
  - {id: stuck, when: processing VERIFICATION_IN_PROGRESS for 1h, do: [tag: stuck]}
  - id: reversal
    when: FULL_USER -> HARD_KYC_FAILED
    do:
      - webhook: {to: shop, event: kyc.reversed}
      - chat: {to: ops, text: "{{ customer.name or customer.id }} is no longer verified, lacks {{ missing_docs | words or 'nothing' }}, was {{ from }}", limit: 1 per 24h}
  - {id: record, when: any -> HARD_KYC_FAILED, do: record}
  - {id: marked, when: any -> KYC_PENDING, if: {tags: [vip], customer.attributes.plan: pro}, do: [email: hello]}
"#;

fn context() -> Environment {
    Environment {
        locale: "en".to_owned(),
        email: true,
        directory: true,
        api_key: true,
        attributes: vec!["plan".to_owned()],
        webhooks: vec!["shop".to_owned()],
        chats: vec!["ops".to_owned()],
        ..Environment::default()
    }
}

fn files(tests: &str) -> Files {
    [
        ("kyc.yaml", format!("format: 1\nrules:\n{RULES}")),
        ("kyc.test.yaml", format!("format: 1\ntests:\n{tests}")),
        ("templates/hello.en.md", "Subject: Hello {{ customer.name or \"you\" }}\n\nWelcome.\n".to_owned()),
        ("templates/sorry.en.md", "Subject: One more\n\nPlease send your\n{{ missing_docs | words }}.\n".to_owned()),
        ("templates/sorry.de.md", "Subject: Noch etwas\n\nEs fehlt {{ missing_docs | words }}.\n".to_owned()),
        ("labels/en.yaml", "SELFIE: selfie\nPASSPORT: passport\n".to_owned()),
        ("labels/de.yaml", "SELFIE: Selfie\nPASSPORT: Reisepass\n".to_owned()),
    ]
    .into_iter()
    .map(|(path, text)| (path.to_owned(), text))
    .collect()
}

fn results(tests: &str) -> TestResults {
    let files = files(tests);
    let compiled = RuleSet::compile(&files, &context());
    let shown = |found: &[Diagnostic]| render(found, &Sources::default().directory("rules", &files), false);
    let rules = compiled.set.unwrap_or_else(|| panic!("{}", shown(&compiled.diagnostics)));
    let (tests, found) = RuleTests::read(&files, Some(&rules), &context());
    let tests = tests.unwrap_or_else(|| panic!("{}", shown(&found)));
    let policy = Policy { attributes: context().attributes.into(), ..Policy::default() };
    tests.run(&rules, &policy)
}

/// A test with these lines below its name.
fn story(lines: &str) -> String {
    let lines: Vec<String> = lines.lines().map(|line| format!("    {line}\n")).collect();
    format!("  - name: a story\n{}", lines.concat())
}

/// A test with these steps that begins on a Tuesday evening.
fn steps(steps: &str) -> String {
    let steps: Vec<String> = steps.lines().map(|line| format!("  - {line}\n")).collect();
    story(&format!("start: 2026-03-03T18:00\nsteps:\n{}", steps.concat()))
}

#[test]
fn expected_actions_are_sent() {
    for lines in [
        // Each kind of step, and of expectation.
        "callback: {status: CREATED}\nexpect: [{rule: welcome, email: hello}]",
        "callback: {status: CREATED}\nexpect: {rule: welcome, email: hello, at: 2026-03-03T18:00, to: customer@example.com, subject: Hello you, contains: Welcome}",
        "callback: {status: FULL_USER}\nexpect: nothing",
        "tag: trial\ncontact: {country: DE}\ncallback: {status: FULL_USER}\nexpect: [{rule: vip, untag: trial}, {rule: vip, email: hello, to: ops@shop.example}, {rule: vip, tag: vip}]",
        // A customer who has the tag already is not tagged again.
        "tag: vip\ncontact: {country: DE}\ncallback: {status: FULL_USER}\nexpect: [{rule: vip, email: hello}]",
        "tag: trial\nuntag: trial\ncontact: {country: DE}\ncallback: {status: FULL_USER}\nexpect: [{rule: vip, tag: vip}, {rule: vip, email: hello}]",
        "tag: vip\ncontact: {attributes: {plan: pro}}\ncallback: {status: KYC_PENDING}\nexpect: [{rule: marked, email: hello}]",
        // A mail waits, and its text may contain line breaks anywhere.
        "callback: {status: SOFT_KYC_FAILED, docsMissing: [SELFIE, {docType: PASSPORT}]}\nexpect: nothing\nwait: 2m\nexpect: [{rule: sorry, email: sorry, at: 2026-03-03T18:02, contains: your passport}]",
        "wait: 3h\ncallback: {status: SOFT_KYC_FAILED, docsMissing: [SELFIE]}\nwait: 11h\nexpect: nothing\nwait: 1h\nexpect: [{rule: sorry, email: sorry, at: 2026-03-04T09:00}]",
        // A waiting mail is cancelled when its stay ends.
        "callback: {status: SOFT_KYC_FAILED, docsMissing: [SELFIE]}\ncallback: {status: KYC_PENDING}\nwait: 10d\nexpect: nothing",
        // The customer's language and time zone.
        "contact: {locale: de, timezone: Asia/Tokyo}\ncallback: {status: SOFT_KYC_FAILED, docsMissing: [PASSPORT]}\nwait: 8h\nexpect: [{rule: sorry, email: sorry, at: '2026-03-04T09:00[Asia/Tokyo]', subject: Noch etwas, contains: [Reisepass, fehlt]}]",
        "callback: {status: FULL_USER}\ncallback: {status: HARD_KYC_FAILED}\nexpect: [{rule: reversal, chat: ops, contains: no longer}, {rule: reversal, webhook: shop, event: kyc.reversed, at: 2026-03-03T18:00}]",
        // A chat has the values from the time of its order, in the default language, and respects its limit.
        "contact: {name: Ada, locale: de}\ncallback: {status: FULL_USER}\ncallback: {status: HARD_KYC_FAILED, docsMissing: [SELFIE]}\nexpect: [{rule: reversal, chat: ops, contains: ['Ada is', lacks selfie, was FULL_USER]}, {rule: reversal, webhook: shop}]\ncallback: {status: FULL_USER}\ncallback: {status: HARD_KYC_FAILED}\nexpect: [{rule: reversal, webhook: shop}]",
        // A duplicate does nothing.
        "callback: {status: CREATED}\ncallback: {status: CREATED}\nexpect: [{rule: welcome, email: hello}]",
        // Null, and unknown names.
        "callback: {status: null}\ncallback: {status: SUSPENDED, kycProcessingStatus: null, docsMissing: null}\nexpect: nothing",
        // Stays that last, with each duration once.
        "wait: 210m\ncontact: {timezone: Europe/Lisbon, locale: de}\ncallback: {status: PENDING_KYC_DATA, docsMissing: [PASSPORT]}\nwait: 2d\nexpect: nothing\nwait: 12h\nexpect: [{rule: remind, email: sorry, at: 2026-03-06T09:00, contains: Reisepass}]\nwait: 30d\nexpect: [{rule: remind, email: sorry, at: 2026-03-09T09:00}]",
        "callback: {status: PENDING_KYC_DATA}\nwait: 2d\ncallback: {status: KYC_PENDING}\nwait: 10d\nexpect: [{rule: remind, email: sorry, at: 2026-03-05T18:00}]",
        "callback: {status: PENDING_KYC_DATA}\nwait: 47h\ncallback: {status: KYC_PENDING}\nwait: 10d\nexpect: nothing",
        "callback: {status: KYC_PENDING, kycProcessingStatus: VERIFICATION_IN_PROGRESS}\nwait: 2h\nexpect: [{rule: stuck, tag: stuck, at: 2026-03-03T19:00}]",
        // Actions in shadow, only if the expectation asks for them.
        "callback: {status: FULL_USER}\nexpect: [{rule: trial, email: hello, shadow: true, to: customer@example.com}]",
        "callback: {status: FULL_USER}\nexpect: [{rule: trial, tag: tried, shadow: true}, {rule: trial, email: hello, shadow: true}]",
        "callback: {status: FULL_USER}\ncallback: {status: CREATED}\ncallback: {status: FULL_USER}\nexpect: [{rule: trial, tag: tried, shadow: true}, {rule: trial, tag: tried, shadow: true}, {rule: trial, email: hello, shadow: true}]",
    ] {
        let results = results(&steps(lines));
        assert_eq!(results.failed(), 0, "{lines}\n{}", results.text());
    }
}

#[test]
fn a_test_has_a_customer_a_start_and_rules() {
    for lines in [
        "start: 2026-03-03T18:00[Europe/Lisbon]\nsteps:\n- callback: {status: CREATED}\n- expect: [{rule: welcome, email: hello, at: 2026-03-03T18:00Z}]",
        "start: 2026-07-03T18:00[Europe/Lisbon]\nsteps:\n- callback: {status: CREATED}\n- expect: [{rule: welcome, email: hello, at: 2026-07-03T18:00}]",
        "start: 2026-07-03T18:00+03:00\nsteps:\n- callback: {status: CREATED}\n- expect: [{rule: welcome, email: hello, at: 2026-07-03T15:00Z}]",
        "steps:\n- callback: {status: CREATED}\n- expect: [{rule: welcome, email: hello, at: 2026-01-05T12:00Z}]",
        // A local time that occurs twice also matches the second time.
        "start: 2026-10-25T00:30[Europe/Berlin]\nsteps:\n- wait: 3h\n- callback: {status: CREATED}\n- expect: [{rule: welcome, email: hello, at: 2026-10-25T02:30}]",
        "customer: {id: C-9, email: ada@shop.example, name: Ada}\nsteps:\n- callback: {status: CREATED}\n- expect: [{rule: welcome, email: hello, to: ada@shop.example, subject: Hello Ada}]",
        // Without an address no mail is sent; it is sent when the address comes, in the known language.
        "customer: {email: none, locale: de}\nsteps:\n- callback: {status: SOFT_KYC_FAILED, docsMissing: [PASSPORT]}\n- wait: 10m\n- expect: nothing\n- contact: {email: ada@shop.example}\n- expect: [{rule: sorry, email: sorry, to: ada@shop.example, contains: Reisepass}]",
        "rules: [trial]\nsteps:\n- callback: {status: CREATED}\n- expect: nothing",
        "rules: third\ncustomer: {attributes: {plan: pro}}\nsteps:\n- callback: {status: SOFT_KYC_FAILED, docsMissing: [SELFIE]}\n- callback: {status: CREATED}\n- callback: {status: SOFT_KYC_FAILED}\n- callback: {status: CREATED}\n- expect: nothing\n- callback: {status: SOFT_KYC_FAILED}\n- expect: {rule: third, tag: needs-person}",
    ] {
        let results = results(&story(lines));
        assert_eq!(results.failed(), 0, "{lines}\n{}", results.text());
    }
}

/// The output between the first line and the total.
fn told(lines: &str) -> String {
    let text = results(&steps(lines)).shown_in("./rules/").text();
    let text = text.strip_prefix("FAILED rules/kyc.test.yaml:3: a story\n").unwrap_or_else(|| panic!("{text}"));
    text.strip_suffix("\n1 test: 1 failed\n").unwrap_or_else(|| panic!("{text}")).to_owned()
}

#[test]
fn differences_are_reported() {
    for (lines, expected) in [
        (
            "callback: {status: CREATED}\nexpect: nothing",
            "  line 7, 2026-03-03T18:00 (UTC):
    expected: nothing
    got:      email hello by welcome, to customer@example.com, at 2026-03-03T18:00
",
        ),
        (
            "callback: {status: CREATED}\nwait: 90s\nexpect: [{rule: welcome, email: hello, at: 2026-03-03T19:00, to: x@y.example, contains: [Welcome, Bye], subject: Bye}]",
            "  line 8, 2026-03-03T18:01:30 (UTC):
    expected: email hello by welcome, at 2026-03-03T19:00, to x@y.example, subject \"Bye\", containing \"Welcome\", containing \"Bye\"
    got:      email hello by welcome, at 2026-03-03T18:00, to customer@example.com, subject \"Hello you\", without \"Bye\"
              | Welcome.
",
        ),
        // The same expectation twice: one action is missing.
        (
            "callback: {status: CREATED}\nexpect: [{rule: welcome, email: hello}, {rule: welcome, email: hello}]",
            "  line 7, 2026-03-03T18:00 (UTC):
    expected: email hello by welcome
    got:      nothing; the rule fired at 2026-03-03T18:00, and nothing more was sent
",
        ),
        // Each `expect` that is not met is reported.
        (
            "callback: {status: FULL_USER}\nexpect: [{rule: vip, tag: vip}]\nwait: 1h\nexpect: [{rule: third, tag: needs-person}]",
            "  line 7, 2026-03-03T18:00 (UTC):
    expected: tag vip by vip
    got:      nothing; the rule could not be decided at 2026-03-03T18:00: customer.country: not known
  line 9, 2026-03-03T19:00 (UTC):
    expected: tag needs-person by third
    got:      nothing; no event since line 7 matched `any -> SOFT_KYC_FAILED`
",
        ),
        (
            "callback: {status: SOFT_KYC_FAILED}\nexpect: [{rule: sorry, email: sorry}, {rule: third, tag: needs-person}]",
            "  line 7, 2026-03-03T18:00 (UTC):
    expected: email sorry by sorry
    got:      nothing; the rule did not fire at 2026-03-03T18:00: missing_docs exists: is empty
    expected: tag needs-person by third
    got:      nothing; the rule did not fire at 2026-03-03T18:00: visit >= 3: is 1
",
        ),
    ] {
        assert_eq!(told(lines), expected, "{lines}");
    }
}

#[test]
fn the_most_specific_reason_is_reported() {
    for (lines, reason) in [
        (
            "callback: {status: SOFT_KYC_FAILED, docsMissing: [SELFIE]}\nexpect: [{rule: sorry, email: sorry}]",
            "it was ordered at 2026-03-03T18:00 and waits until 2026-03-03T18:02",
        ),
        (
            "callback: {status: SOFT_KYC_FAILED, docsMissing: [SELFIE]}\nwait: 1m\ncallback: {status: CREATED}\nwait: 1h\nexpect: [{rule: sorry, email: sorry}]",
            "it was cancelled at 2026-03-03T18:01: the customer has left SOFT_KYC_FAILED and is now in CREATED",
        ),
        ("callback: {status: CREATED}\nexpect: [{rule: off, email: hello}]", "off is paused"),
        (
            "callback: {status: FULL_USER}\nexpect: [{rule: trial, email: hello}]",
            "trial is in shadow; add `shadow: true` to compare what it would have ordered",
        ),
        (
            "callback: {status: CREATED}\nexpect: [{rule: welcome, email: hello, shadow: true}]",
            "welcome is live, not in shadow",
        ),
        (
            "callback: {status: CREATED}\nexpect: [{rule: welcome, email: helo}]",
            "welcome only has: email hello; did you mean hello?",
        ),
        ("callback: {status: HARD_KYC_FAILED}\nexpect: [{rule: record, tag: x}]", "record only has: record"),
        (
            "tag: vip\ncontact: {country: DE}\ncallback: {status: FULL_USER}\nexpect: [{rule: vip, tag: vip}]",
            "the rule fired at 2026-03-03T18:00, and the customer's tags were already as it sets them",
        ),
        (
            "callback: {status: PENDING_KYC_DATA}\nwait: 1d\nexpect: [{rule: remind, email: sorry}]",
            "`PENDING_KYC_DATA for 48h` is due at 2026-03-05T18:00",
        ),
        (
            "callback: {status: FULL_USER}\nexpect: [{rule: welcome, email: hello}]",
            "no event since the start at 2026-03-03T18:00 matched `new -> CREATED`",
        ),
        (
            "callback: {status: FULL_USER}\ncallback: {status: CREATED}\ncallback: {status: FULL_USER}\nexpect: [{rule: trial, email: hello, shadow: true}, {rule: trial, email: hello, shadow: true}]",
            "at 2026-03-03T18:00 the rule would have ordered: tag tried, email hello dropped: limit 1 per 24h",
        ),
    ] {
        let told = told(lines);
        assert!(told.contains(&format!("got:      nothing; {reason}\n")), "{lines}\n{told}");
    }
    // Without an address.
    let lines =
        "customer: {email: none}\nsteps:\n- callback: {status: CREATED}\n- expect: [{rule: welcome, email: hello}]";
    let told = results(&story(lines)).text();
    assert!(told.contains("waits: the address of this customer is unknown"), "{told}");
}

#[test]
fn as_many_expectations_as_possible_are_met() {
    // Either mail meets the first expectation; only the first mail meets the second.
    let lines = "rules: [sorry]\nstart: 2026-03-03T18:00\nsteps:
- callback: {status: SOFT_KYC_FAILED, docsMissing: [SELFIE]}
- wait: 5m
- callback: {status: SOFT_KYC_FAILED, docsMissing: [PASSPORT]}
- wait: 5m
- expect: [{rule: sorry, email: sorry}, {rule: sorry, email: sorry, contains: selfie}]";
    let results = results(&story(lines));
    assert_eq!(results.failed(), 0, "{}", results.text());
}

#[test]
fn rules_that_no_test_fires_are_reported() {
    let tests = steps(
        "callback: {status: CREATED}\nexpect: [{rule: welcome, email: hello}]\ncallback: {status: FULL_USER}\ncallback: {status: HARD_KYC_FAILED}\nexpect: nothing",
    );
    let results = results(&tests);
    let ids: Vec<&str> = results.untested.iter().map(RuleId::as_str).collect();
    // `off` is paused and cannot fire; `trial` would have acted, and `record` has acted.
    assert_eq!(ids, ["sorry", "vip", "third", "remind", "stuck", "marked"]);
    let files = files(&tests);
    let rules = RuleSet::compile(&files, &context()).set.expect("rules");
    let warnings = untested(&results.untested, &rules);
    assert_eq!(warnings.len(), 6);
    assert!(warnings.iter().all(|one| (one.severity, one.code) == (Severity::Warning, "untested")));
    let text = files.get("kyc.yaml").expect("rules");
    assert_eq!(&text[warnings[0].span.clone().expect("a place")], "sorry");
}

#[test]
fn tests_are_selected_by_name() {
    let files =
        files(&format!("{}{}", steps("callback: {status: CREATED}\nexpect: [{rule: welcome, email: hello}]"), {
            "  - {name: Another, steps: [callback: {status: FULL_USER}, expect: nothing]}\n"
        }));
    let rules = RuleSet::compile(&files, &context()).set.expect("rules");
    let tests = || RuleTests::read(&files, Some(&rules), &context()).0.expect("tests");
    assert_eq!((tests().len(), tests().named("another").len(), tests().named("STORY").len()), (2, 1, 1));
    assert!(tests().named("nobody").is_empty());
}

#[test]
fn a_thousand_tests_take_about_a_second() {
    let one = |nth: usize| {
        steps("callback: {status: SOFT_KYC_FAILED, docsMissing: [SELFIE]}\nwait: 2m\nexpect: [{rule: sorry, email: sorry, contains: selfie}]\ncallback: {status: FULL_USER}\nwait: 30d\nexpect: nothing")
            .replace("a story", &format!("story {nth}"))
    };
    let tests: Vec<String> = (0..500).map(one).collect();
    let mut files = files(&tests.concat());
    let second = files.get("kyc.test.yaml").expect("tests").to_owned();
    files.insert("more.test.yaml", second);
    let rules = RuleSet::compile(&files, &context()).set.expect("rules");
    let began = std::time::Instant::now();
    let (tests, _) = RuleTests::read(&files, Some(&rules), &context());
    let results = tests.expect("tests").run(&rules, &Policy::default());
    // The limit is for an unoptimised build on a busy machine.
    assert!(began.elapsed().as_secs() < 10, "{:?}", began.elapsed());
    assert_eq!((results.tests.len(), results.failed()), (1000, 0));
}

#[test]
fn tests_that_need_too_much_work_are_stopped() {
    let one = steps(
        "callback: {status: SOFT_KYC_FAILED, docsMissing: [SELFIE]}\nwait: 2m\ncallback: {status: FULL_USER}\nwait: 1m\nexpect: nothing",
    );
    let stories: Vec<String> = (0..500).map(|nth| one.replace("a story", &format!("story {nth}"))).collect();
    let mut files = files(&stories.concat());
    let text = files.get("kyc.test.yaml").expect("tests").to_owned();
    for nth in 0..5 {
        files.insert(format!("more-{nth}.test.yaml"), text.clone());
    }
    let rules = RuleSet::compile(&files, &context()).set.expect("rules");
    let results = RuleTests::read(&files, Some(&rules), &context()).0.expect("tests").run(&rules, &Policy::default());
    let last = results.tests.last().and_then(|test| test.failures.last()).expect("it was not run");
    assert!(last.differences[0].why.as_deref().is_some_and(|why| why.contains("are stopped")), "{last:?}");
}

#[test]
fn no_text_causes_a_panic() {
    let whole = files(&steps(
        "callback: {status: CREATED, docsMissing: [SELFIE]}\nwait: 2d\nexpect: [{rule: welcome, email: hello, at: 2026-03-03T18:00}]",
    ));
    let text = whole.get("kyc.test.yaml").expect("tests");
    let rules = RuleSet::compile(&whole, &context()).set.expect("rules");
    for end in (0..text.len()).filter(|end| text.is_char_boundary(*end)) {
        for more in ["", ": {", "[", "\n- x", "]", " {}"] {
            let cut: Files = [("kyc.test.yaml".to_owned(), format!("{}{more}", &text[..end]))].into_iter().collect();
            let (tests, found) = RuleTests::read(&cut, Some(&rules), &context());
            assert!(tests.is_some() || found.iter().any(|one| one.severity == Severity::Error), "{end}{more}");
            let _ = tests.map(|tests| tests.run(&rules, &Policy::default()));
        }
    }
}
