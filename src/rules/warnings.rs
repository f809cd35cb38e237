//! Warnings: rules that are valid but probably not intended.
//!
//! They are computed only if there is no error. The number of warnings of each kind and the number of rules that a rule
//! is compared with are bounded, so that 100,000 rules are checked in reasonable time.

use std::collections::BTreeMap;

use crate::{
    domain::Status,
    yaml::{Diagnostic, did_you_mean, one_of},
};

use super::{
    LeftSide, RightSide, Rule, RuleMode, Trigger,
    condition::line::{LineTest, Subject, ValueTest},
    context::RuleNames,
    overlap::{reacts_to, rule_covers, rules_meet},
    rule::parse::RuleDraft,
};

/// Maximum number of warnings of one kind.
const TOLD: usize = 50;

/// Maximum number of rules that one rule is compared with.
const COMPARED: usize = 64;

pub(super) fn find(drafts: &[RuleDraft], names: &RuleNames<'_>, into: &mut Vec<Diagnostic>) {
    if drafts.is_empty() {
        let help = "put files that end in .yaml directly into the rules directory";
        into.push(Diagnostic::warning("rules", "", "there are no rules").help(help));
    }
    let groups = groups(drafts);
    into.extend(groups.values().flat_map(|group| shadowed(group)).take(TOLD));
    into.extend(apart(&groups).take(TOLD));
    into.extend(drafts.iter().flat_map(impossible).take(TOLD));
    into.extend(drafts.iter().flat_map(narrow).take(TOLD));
    double_mails(drafts, into);
    unanswered(drafts, names, into);
    surroundings(drafts, names, into);
}

/// The rules of each group, in file order.
fn groups(drafts: &[RuleDraft]) -> BTreeMap<&str, Vec<&RuleDraft>> {
    let mut groups: BTreeMap<&str, Vec<&RuleDraft>> = BTreeMap::new();
    for draft in drafts {
        if let Some(group) = &draft.rule.group {
            groups.entry(group).or_default().push(draft);
        }
    }
    groups
}

fn warning(draft: &RuleDraft, code: &'static str, at: &std::ops::Range<usize>, message: String) -> Diagnostic {
    Diagnostic::warning(code, &*draft.rule.file, message).at(at.clone())
}

/// Warns about a rule whose every event is taken by an earlier live rule of its group.
fn shadowed<'d>(group: &'d [&'d RuleDraft]) -> impl Iterator<Item = Diagnostic> + 'd {
    group.iter().enumerate().filter_map(|(nth, draft)| {
        let rule = &draft.rule;
        let before = group[..nth].iter().filter(|earlier| earlier.rule.mode == RuleMode::Live).take(COMPARED);
        let winner = before
            .map(|earlier| &earlier.rule)
            .find(|earlier| rule_covers(earlier, rule) && earlier.condition.is_part_of(&rule.condition))?;
        let message =
            format!("{} can never act: {}, above it in the same group, always acts first", rule.id, winner.id);
        Some(warning(draft, "never", &draft.id_at, message).help("put the rule with more conditions first"))
    })
}

/// Warns about a group of which no two rules can match the same event.
fn apart<'d>(groups: &'d BTreeMap<&'d str, Vec<&'d RuleDraft>>) -> impl Iterator<Item = Diagnostic> + 'd {
    groups.iter().filter_map(|(name, group)| {
        let first = group.first()?;
        if group.len() == 1 {
            let meant = did_you_mean(name, groups.keys().copied())?;
            let message = format!("the group {name} has only one rule");
            return Some(warning(first, "group", &first.group_at, message).label(format!("did you mean {meant}?")));
        }
        let few = &group[..group.len().min(COMPARED)];
        let meets =
            few.iter().enumerate().any(|(nth, one)| few[..nth].iter().any(|other| rules_meet(&one.rule, &other.rule)));
        if meets || group.len() > COMPARED {
            return None;
        }
        let message = format!("no event can match two rules of the group {name}");
        Some(
            warning(first, "group", &first.group_at, message)
                .help("in a group only the first matching rule acts; without a group every matching rule acts"),
        )
    })
}

/// Warns about a condition that can never hold when the rule's triggers fire.
fn impossible(draft: &RuleDraft) -> Option<Diagnostic> {
    let rule = &draft.rule;
    let place = draft.triggers_at.first()?;
    let new_only =
        rule.triggers.iter().all(|trigger| matches!(trigger, Trigger::Move { from, .. } if *from == [LeftSide::New]));
    let stays = rule.triggers.iter().all(Trigger::is_stay);
    for line in &rule.condition.lines {
        let LineTest::Of(subject, tests) = line else { continue };
        let later =
            |test: &ValueTest| matches!(test, ValueTest::Counts(counts) if counts.iter().all(|count| count.least > 1));
        let why = match subject {
            Subject::Visit if new_only && tests.iter().any(later) => "a new customer's visit is always 1",
            Subject::Changed
                if stays
                    && !tests.iter().all(|test| matches!(test, ValueTest::NoneOf(_) | ValueTest::Exists(false))) =>
            {
                "a timer changes nothing, so `changed` is empty"
            }
            _ if contradicts(subject, tests) => "its condition contradicts itself",
            _ => continue,
        };
        return Some(warning(draft, "never", place, format!("{} can never fire: {why}", rule.id)));
    }
    None
}

fn contradicts(subject: &Subject, tests: &[ValueTest]) -> bool {
    tests.iter().any(|this| tests.iter().any(|that| this.excludes(that, subject)))
}

/// Warns that `KYC_PENDING -> X` misses customers whose callback for KYC_PENDING was lost.
fn narrow(draft: &RuleDraft) -> Option<Diagnostic> {
    const PASSING: &[Status] = &[Status::Created, Status::KycNeeded, Status::PendingKycData, Status::KycPending];
    if draft.rule.mode == RuleMode::Paused {
        return None;
    }
    let passing = |left: &LeftSide| matches!(left, LeftSide::Status(status) if PASSING.contains(status));
    let (trigger, place) = draft.rule.triggers.iter().zip(&draft.triggers_at).find(|(trigger, _)| match trigger {
        Trigger::Move { from, to } => {
            // Only moves to a final status: for a move to a passing status, the previous status may matter.
            let end = |right: &RightSide| matches!(right, RightSide::Status(status) if !PASSING.contains(status));
            from.iter().all(passing) && to.iter().all(end)
        }
        _ => false,
    })?;
    let Trigger::Move { from, to } = trigger else { return None };
    let right = super::trigger::JoinedNames(to, " | ");
    let left = super::trigger::JoinedNames(from, " | ");
    let message = format!("{trigger} misses customers whose callback for {left} was lost");
    Some(warning(draft, "narrow", place, message).label(format!("`any -> {right}` would catch them too")))
}

/// Warns about two live rules that mail the customer on the same move and are not in one group.
fn double_mails(drafts: &[RuleDraft], into: &mut Vec<Diagnostic>) {
    let mut told = 0;
    let mut earlier: BTreeMap<Option<&Status>, Vec<&RuleDraft>> = BTreeMap::new();
    for draft in drafts.iter().filter(|draft| draft.rule.mode == RuleMode::Live && draft.rule.mails_customer()) {
        let ends = ends(&draft.rule);
        let everywhere = ends.contains(&None);
        let rivals: Vec<&RuleDraft> = if everywhere {
            earlier.values().flatten().take(COMPARED).copied().collect()
        } else {
            let lists = ends.iter().copied().chain([None]).filter_map(|end| earlier.get(&end));
            lists.flat_map(|list| list.iter().take(COMPARED)).copied().collect()
        };
        if let Some(rival) = rivals.iter().find(|rival| collide(&rival.rule, &draft.rule))
            && told < TOLD
        {
            told += 1;
            let at = draft.rule.actions.iter().position(super::Action::mails_customer);
            let place = at.and_then(|at| draft.actions_at.get(at)).unwrap_or(&draft.id_at);
            let message =
                format!("{} and {} can both mail the customer on the same move", rival.rule.id, draft.rule.id);
            into.push(
                warning(draft, "twice", place, message)
                    .help("put both into one `group`, so that only the first match acts"),
            );
        }
        for end in ends {
            earlier.entry(end).or_default().push(draft);
        }
    }
}

/// The statuses in which a rule's moves end; `None` means any status.
fn ends(rule: &Rule) -> Vec<Option<&Status>> {
    let mut ends: Vec<Option<&Status>> = Vec::new();
    for trigger in &rule.triggers {
        match trigger {
            Trigger::Move { to, .. } => ends.extend(to.iter().map(|to| match to {
                RightSide::Any => None,
                RightSide::Status(status) => Some(status),
            })),
            Trigger::Same { statuses } => ends.extend(statuses.iter().map(Some)),
            Trigger::ProcessingMove { .. } | Trigger::Stay { .. } | Trigger::ProcessingStay { .. } => {}
        }
    }
    ends.sort();
    ends.dedup();
    ends
}

fn collide(one: &Rule, other: &Rule) -> bool {
    let moves = |rule: &Rule| !rule.triggers.iter().any(|trigger| matches!(trigger, Trigger::ProcessingMove { .. }));
    (one.group.is_none() || one.group != other.group)
        && moves(one)
        && moves(other)
        && rules_meet(one, other)
        && !one.condition.excludes(&other.condition)
}

/// Warns about statuses to which no live rule reacts.
fn unanswered(drafts: &[RuleDraft], names: &RuleNames<'_>, into: &mut Vec<Diagnostic>) {
    let live = || drafts.iter().filter(|draft| draft.rule.mode == RuleMode::Live);
    let Some(first) = drafts.first() else { return };
    let silent: Vec<&str> = names
        .statuses()
        .filter(|name| {
            names.status(name).is_some_and(|status| {
                !live().any(|draft| draft.rule.triggers.iter().any(|trigger| reacts_to(trigger, &status)))
            })
        })
        .collect();
    if !silent.is_empty() {
        let message = format!("no live rule reacts to {}", one_of(silent.iter().copied()));
        let help =
            format!("if this is intended, add a rule with `when: any -> {}` and `do: record`", silent.join(" | "));
        into.push(Diagnostic::warning("unanswered", &*first.rule.file, message).help(help));
    }
}

/// Warns about what these rules need and the configuration lacks.
fn surroundings(drafts: &[RuleDraft], names: &RuleNames<'_>, into: &mut Vec<Diagnostic>) {
    let context = names.context;
    let mailing = drafts.iter().find(|draft| draft.rule.mails_customer());
    if let Some(draft) = mailing
        && !context.directory
    {
        let at = draft.rule.actions.iter().position(super::Action::mails_customer);
        let place = at.and_then(|at| draft.actions_at.get(at)).unwrap_or(&draft.id_at);
        let message = "this rule mails customers, but no source of their addresses is configured".to_owned();
        into.push(
            warning(draft, "directory", place, message)
                .help("configure `directory.lookup`, or import contacts with `kyc-rules customers import`"),
        );
    }
    let about = |code: &'static str, message: &str| Diagnostic::warning(code, &*context.configuration, message);
    if !context.api_key {
        into.push(
            about("api_key", "without `provider.api_key`, callbacks are not confirmed by the provider's API").help(
                "a late, repeated or forged callback can move a customer back; with a key, each callback is confirmed",
            ),
        );
    }
    into.extend(context.secret_warnings.iter().map(|warning| about("secret", warning)));
}

#[cfg(test)]
mod tests {
    use crate::{
        rules::{Environment, RuleSet},
        yaml::{Files, Severity},
    };

    /// The warning codes for these rules with a complete configuration.
    fn told(rules: &str) -> Vec<&'static str> {
        let files: Files = [
            ("a.yaml".to_owned(), format!("format: 1\nrules:\n  - {{id: all, when: any -> any, do: record}}\n{rules}")),
            ("templates/m.en.md".to_owned(), "Subject: x\n\nx\n".to_owned()),
        ]
        .into_iter()
        .collect();
        let context = Environment {
            locale: "en".to_owned(),
            email: true,
            directory: true,
            api_key: true,
            ..Environment::default()
        };
        let compiled = RuleSet::compile(&files, &context);
        assert!(
            compiled.diagnostics.iter().all(|found| found.severity == Severity::Warning),
            "{:?}",
            compiled.diagnostics
        );
        compiled.diagnostics.iter().map(|found| found.code).collect()
    }

    #[test]
    fn probable_mistakes_get_a_warning_and_valid_uses_do_not() {
        let mail = "do: [email: m]";
        for (rules, codes) in [
            ("  - {id: a, when: FULL_USER for 2d, if: {changed: message}, do: record}\n".to_owned(), &["never"][..]),
            ("  - {id: a, when: FULL_USER for 2d, if: {visit: 2}, do: record}\n".to_owned(), &[]),
            // The first rule takes the event at 1d; the second still has the event at 2d.
            (
                "  - {id: a, group: g, when: CREATED for 1d, do: record}\n  - {id: b, group: g, when: 'CREATED for 1d, 2d', do: record}\n"
                    .to_owned(),
                &[],
            ),
            (
                "  - {id: a, group: g, when: 'CREATED for 1d, 2d', do: record}\n  - {id: b, group: g, when: CREATED for 2d, do: record}\n"
                    .to_owned(),
                &["never"],
            ),
            // A shadow rule does not keep the rules below it from acting.
            (
                "  - {id: a, group: g, mode: shadow, when: any -> CREATED, do: record}\n  - {id: b, group: g, when: any -> CREATED, do: record}\n"
                    .to_owned(),
                &[],
            ),
            (format!("  - {{id: a, when: any -> CREATED, {mail}}}\n  - {{id: b, when: new -> CREATED, {mail}}}\n"), &["twice"]),
            (format!("  - {{id: a, when: any -> CREATED, {mail}}}\n  - {{id: b, mode: shadow, when: any -> CREATED, {mail}}}\n"), &[]),
            (format!("  - {{id: a, when: FULL_USER -> any, {mail}}}\n  - {{id: b, when: any -> FULL_USER, {mail}}}\n"), &[]),
            (
                format!("  - {{id: a, when: any -> CREATED, if: {{visit: 1}}, {mail}}}\n  - {{id: b, when: any -> CREATED, if: {{visit: '>= 2'}}, {mail}}}\n"),
                &[],
            ),
            (format!("  - {{id: a, group: g, when: any -> CREATED, if: {{visit: 1}}, {mail}}}\n  - {{id: b, group: g, when: any -> CREATED, {mail}}}\n"), &[]),
            ("  - {id: a, when: KYC_PENDING -> FULL_USER, do: record}\n".to_owned(), &["narrow"]),
            ("  - {id: a, when: FULL_USER -> SOFT_KYC_FAILED, do: record}\n".to_owned(), &[]),
            ("  - {id: a, when: SOFT_KYC_FAILED -> FULL_USER, do: record}\n".to_owned(), &[]),
        ] {
            assert_eq!(told(&rules), codes, "{rules}");
        }
    }
}
