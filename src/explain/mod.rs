//! Explains the outcome of each rule for an event, also of rules whose trigger did not match.
//!
//! For a past event, the record has the outcome of the rules whose trigger matched; the outcome of the others follows
//! from the change and the rule set. A made-up event goes through the same `decide` as a real one. Nothing is written
//! or sent.

mod recorded;

pub use recorded::{event_in_words, of_event};

use serde::{Deserialize, Serialize};

use crate::{
    clock::Timestamp,
    decide::{self, Changes, Command, CustomerState, DecisionContext, DueTimer, GlobalState, Policy, RuleResult},
    domain::{Codes, Contact, Customer, CustomerId, Observation, Processing, Source, Status},
    outbox::{Job, JobKey},
    rules::{RuleMode, RuleSet, TimerState, Trigger},
    yaml::Duration,
};

/// The largest accepted visit number of a made-up event.
pub const MAX_VISIT: u32 = 1_000;

/// A made-up event.
#[derive(Clone, Debug)]
pub struct HypotheticalEvent {
    /// `None`: a new customer.
    pub from: Option<Status>,
    pub to: Status,
    /// Number of the visit to `to`, from 1.
    pub visit: u32,
    pub missing_docs: Codes,
    pub reject_labels: Codes,
    pub message: String,
    pub processing: Processing,
    pub tags: Codes,
    pub contact: Option<Contact>,
    /// Length of the stay, for a timer event. `None`: a move or an update.
    pub lasted: Option<Duration>,
}

/// A made-up event as text, before it is parsed.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventInput {
    /// `new`: a new customer; `none`: the provider's null.
    pub from: String,
    pub to: String,
    #[serde(default)]
    pub visit: Option<u32>,
    #[serde(default)]
    pub docs: Vec<String>,
    #[serde(default)]
    pub labels: Vec<String>,
    #[serde(default)]
    pub message: String,
    #[serde(default)]
    pub processing: Option<String>,
    #[serde(default)]
    pub tags: Vec<String>,
    #[serde(default)]
    pub contact: Option<Contact>,
    /// Length of the stay in `to`, for example `48h`.
    #[serde(default, rename = "for")]
    pub lasted: Option<String>,
}

impl EventInput {
    pub fn question(self) -> Result<HypotheticalEvent, String> {
        let codes = |what: &str, list: &[String]| {
            Codes::new(list.iter().map(String::as_str)).map_err(|why| format!("{what} {why}"))
        };
        let status = |what: &str, name: &str| Status::parse(name).map_err(|why| format!("{what}: {why}"));
        let processing = self.processing.as_deref().unwrap_or("none");
        let lasted = |text: &str| text.parse::<Duration>().map_err(|why| format!("for: `{text}` {why}"));
        Ok(HypotheticalEvent {
            from: if self.from == "new" { None } else { Some(status("from", &self.from)?) },
            to: status("to", &self.to)?,
            visit: self.visit.unwrap_or(1),
            missing_docs: codes("docs", &self.docs)?,
            reject_labels: codes("labels", &self.labels)?,
            message: self.message,
            processing: Processing::parse(processing).map_err(|why| format!("processing: {why}"))?,
            tags: codes("tags", &self.tags)?,
            contact: self.contact.map(|contact| contact.checked().map_err(|error| error.to_string())).transpose()?,
            lasted: self.lasted.as_deref().map(lasted).transpose()?,
        })
    }
}

/// Outcome of one rule for one event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RuleExplanation {
    pub rule: String,
    /// `fired`, `no`, `undecidable`, `shadow`, `limited`, `paused`, `untriggered`, or `unrecorded` if the record has no
    /// outcome.
    pub outcome: &'static str,
    pub why: Option<String>,
}

/// The result of a made-up event.
#[derive(Clone, Debug)]
pub struct Explanation {
    /// The event as text.
    pub event: String,
    pub rules: Vec<RuleExplanation>,
    /// The jobs that would be ordered.
    pub jobs: Vec<Job>,
    /// The tags after the event, if they change.
    pub tags: Option<Codes>,
}

/// Evaluates a made-up event. `standing` contains the rules that operators have paused.
pub fn ask(
    rules: &RuleSet,
    policy: &Policy,
    standing: &GlobalState,
    now: Timestamp,
    question: &HypotheticalEvent,
) -> Result<Explanation, String> {
    let policy = policy.for_simulation();
    let mut stage = ExplainStage::new(&policy, standing, now);
    stage.set_up(question)?;
    let before = stage.case.customer.clone();
    let effects = match &question.lasted {
        None => stage.submit(rules, stage.observe(&question.to, Some(question))),
        Some(lasted) => {
            stage.submit(&RuleSet::empty(), stage.observe(&question.to, Some(question)));
            stage.now = now.plus_ms(lasted.ms());
            stage.last_timer(rules, lasted)
        }
    };
    let Some(effects) = effects else {
        let event = format!("{} again without a change: a duplicate", question.to);
        let rules = rules.rules().iter().map(|rule| RuleExplanation {
            rule: rule.id.to_string(),
            outcome: "untriggered",
            why: Some(waits_for(&rule.triggers)),
        });
        return Ok(Explanation { event, rules: rules.collect(), jobs: Vec::new(), tags: None });
    };
    let after = stage.case.customer.as_ref();
    let event = match &question.lasted {
        None => changed_in_words(before.as_ref(), after),
        Some(lasted) => format!("{} for {lasted}", question.to),
    };
    Ok(Explanation {
        rules: of_event(rules, &effects, before.as_ref()),
        event,
        jobs: effects.ordered(0, stage.now).collect(),
        tags: effects.tags,
    })
}

fn waits_for(triggers: &[Trigger]) -> String {
    format!("waits for {}", triggers.iter().map(ToString::to_string).collect::<Vec<_>>().join(", or "))
}

fn changed_in_words(before: Option<&Customer>, after: Option<&Customer>) -> String {
    let Some(after) = after else { return String::new() };
    let from = before.map_or("new", |before| before.status.name());
    let edge = format!("{from} -> {}", after.status);
    let was = before.and_then(|before| before.processing.clone()).unwrap_or(Processing::None);
    match after.processing.clone().unwrap_or(Processing::None) {
        now if now == was => edge,
        now => format!("{edge} and processing {was} -> {now}"),
    }
}

/// The state of one made-up customer before and after the event.
struct ExplainStage<'a> {
    case: CustomerState,
    policy: &'a Policy,
    standing: &'a GlobalState,
    now: Timestamp,
    number: u64,
}

impl<'a> ExplainStage<'a> {
    fn new(policy: &'a Policy, standing: &'a GlobalState, now: Timestamp) -> Self {
        Self { case: CustomerState::default(), policy, standing, now, number: 0 }
    }

    fn describe_customer() -> Option<CustomerId> {
        CustomerId::new("example").ok()
    }

    /// Moves the customer to the state before the event.
    fn set_up(&mut self, question: &HypotheticalEvent) -> Result<(), String> {
        let HypotheticalEvent { from, to, visit, tags, contact, .. } = question;
        if *visit == 0 || *visit > MAX_VISIT {
            return Err(format!("the visit must be from 1 to {MAX_VISIT}, not {visit}"));
        }
        self.case.tags = tags.clone();
        self.case.contact = contact.clone();
        let same = from.as_ref() == Some(to);
        match from {
            None if *visit > 1 => {
                return Err(
                    "the visit of a new customer is 1; for another visit, set the status before (`from`)".to_owned()
                );
            }
            None => return Ok(()),
            Some(from) => {
                // Another status than `to`, so that each return to `to` counts as a visit.
                let elsewhere = if *to == Status::KycPending { Status::Created } else { Status::KycPending };
                let between = if same { &elsewhere } else { from };
                for _ in 1..*visit {
                    self.apply_event(between);
                    self.apply_event(to);
                }
                if !same {
                    self.apply_event(from);
                } else {
                    self.apply_event(between);
                    self.apply_event(to);
                }
            }
        }
        Ok(())
    }

    fn apply_event(&mut self, status: &Status) {
        self.submit(&RuleSet::empty(), self.observe(status, None));
    }

    fn observe(&self, status: &Status, question: Option<&HypotheticalEvent>) -> Option<Command> {
        let saw = Observation {
            source: Source::Callback,
            status: status.clone(),
            processing: Some(question.map_or(Processing::None, |question| question.processing.clone())),
            missing_docs: Some(question.map_or(Codes::EMPTY, |question| question.missing_docs.clone())),
            reject_labels: Some(question.map_or(Codes::EMPTY, |question| question.reject_labels.clone())),
            message: Some(question.map_or("".into(), |question| question.message.as_str().into())),
        };
        Some(Command::Observe { customer: Self::describe_customer()?, saw })
    }

    /// Decides and applies a command. Returns `None` if there is nothing to record: a duplicate, or no timer is due.
    fn submit(&mut self, rules: &RuleSet, command: Option<Command>) -> Option<Changes> {
        let standing = self.standing.for_explain(rules);
        let given = DecisionContext {
            now: self.now,
            number: self.number + 1,
            rules,
            policy: self.policy,
            key: &JobKey::new(&[0; 32]),
            standing: &standing,
            clock_in_doubt: false,
            duplicate_at: Some(self.now),
        };
        let effects = decide::decide(&self.case, &command?, given).effects?;
        self.number += 1;
        self.case.apply(self.number, self.now, &effects);
        Some(effects)
    }

    /// Returns the event of the timer with exactly this duration. Applies the timers that are due before it.
    fn last_timer(&mut self, rules: &RuleSet, lasted: &Duration) -> Option<Changes> {
        let is_it = |due: &DueTimer| due.after_ms == lasted.ms() && matches!(due.stay, TimerState::Status(_));
        loop {
            let Some(effects) = self
                .submit(rules, Self::describe_customer().map(|customer| Command::Timer { customer, confirmed: true }))
            else {
                return Some(self.only_paused(rules, lasted));
            };
            if effects.came_due.as_ref().is_some_and(is_it) {
                return Some(effects);
            }
        }
    }

    /// Returns changes with the paused rules that have this duration. Used if no other rule has it, because then
    /// nothing is recorded.
    fn only_paused(&self, rules: &RuleSet, lasted: &Duration) -> Changes {
        let status = self.case.customer.as_ref().map(|customer| TimerState::Status(customer.status.clone()));
        let timers = status.iter().flat_map(|stay| rules.timers_of(stay));
        let timers = timers.filter(|timer| timer.after.ms() == lasted.ms());
        let paused = timers
            .filter_map(|timer| rules.rules().get(timer.index))
            .filter(|rule| self.standing.mode(rule) == RuleMode::Paused)
            .map(|rule| RuleResult::paused(&rule.id, self.standing.paused_since(&rule.id)));
        Changes { rules: paused.collect(), ..Changes::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{rules::Environment, yaml::Files};

    const RULES: &str = "
  - {id: third, group: g, when: any -> SOFT_KYC_FAILED, if: {visit: '>= 3'}, do: [{email: mail}]}
  - {id: docs, group: g, when: any -> SOFT_KYC_FAILED, if: {missing_docs: [SELFIE]}, do: [{email: mail}, {tag: asked}]}
  - {id: german, when: any -> SOFT_KYC_FAILED, if: {customer.locale: de}, do: record}
  - {id: changed, when: SOFT_KYC_FAILED -> SOFT_KYC_FAILED, do: record}
  - {id: remind, when: 'SOFT_KYC_FAILED for 48h, 5d', do: [{email: mail}]}
  - {id: stuck, when: processing none -> VERIFICATION_IN_PROGRESS, do: record}
  - {id: off, mode: paused, when: any -> any, do: record}
";

    fn ask_of(asked: EventInput) -> Explanation {
        let mut files = Files::default();
        files.insert("kyc.yaml".to_owned(), format!("format: 1\nrules:{RULES}"));
        files.insert("templates/mail.en.md".to_owned(), "Subject: Hello\n\nHello.\n".to_owned());
        let compiled = RuleSet::compile(&files, &Environment::assumed_by(&files));
        let rules = compiled.set.unwrap_or_else(|| panic!("{:#?}", compiled.diagnostics));
        let question = asked.question().expect("a question");
        ask(&rules, &Policy::default(), &GlobalState::default(), Timestamp(1_795_419_000_000), &question)
            .expect("an answer")
    }

    fn move_to(from: &str, to: &str) -> EventInput {
        EventInput { from: from.to_owned(), to: to.to_owned(), ..EventInput::default() }
    }

    fn said(answer: &Explanation) -> Vec<String> {
        let of = |one: &RuleExplanation| format!("{} {}", one.outcome, one.why.as_deref().unwrap_or_default());
        answer.rules.iter().map(of).map(|line| line.trim_end().to_owned()).collect()
    }

    #[test]
    fn every_rule_has_an_outcome_and_a_reason() {
        let docs = vec!["SELFIE".to_owned()];
        let answer = ask_of(EventInput { docs, ..move_to("KYC_PENDING", "SOFT_KYC_FAILED") });
        assert_eq!(answer.event, "KYC_PENDING -> SOFT_KYC_FAILED");
        assert_eq!(
            said(&answer),
            [
                "no visit >= 3: is 1",
                "fired",
                "undecidable customer.locale: not known",
                "untriggered waits for SOFT_KYC_FAILED -> SOFT_KYC_FAILED",
                "untriggered waits for SOFT_KYC_FAILED for 48h, 5d",
                "untriggered waits for processing none -> VERIFICATION_IN_PROGRESS",
                "paused by `mode: paused` in its file",
            ]
        );
        assert_eq!(answer.jobs.len(), 1);
        assert_eq!(answer.tags.expect("changed").to_string(), "asked");
    }

    #[test]
    fn a_made_up_event_can_have_visits_processing_details_and_time() {
        let third = ask_of(EventInput { visit: Some(3), ..move_to("KYC_PENDING", "SOFT_KYC_FAILED") });
        assert_eq!(said(&third)[..2], ["fired", "no group g: third has acted"]);
        let processing = Some("VERIFICATION_IN_PROGRESS".to_owned());
        let both = ask_of(EventInput { processing, ..move_to("new", "SOFT_KYC_FAILED") });
        assert_eq!(both.event, "new -> SOFT_KYC_FAILED and processing none -> VERIFICATION_IN_PROGRESS");
        assert_eq!(said(&both)[5], "fired");
        let docs = vec!["PASSPORT".to_owned()];
        let same = ask_of(EventInput { docs, ..move_to("SOFT_KYC_FAILED", "SOFT_KYC_FAILED") });
        assert_eq!(said(&same)[3], "fired");
        for (lasted, outcome) in
            [("48h", "fired"), ("5d", "fired"), ("3d", "untriggered waits for SOFT_KYC_FAILED for 48h, 5d")]
        {
            let lasted = Some(lasted.to_owned());
            let answer = ask_of(EventInput { lasted, ..move_to("KYC_PENDING", "SOFT_KYC_FAILED") });
            assert_eq!(said(&answer)[4], outcome);
        }
        let nothing = ask_of(move_to("SOFT_KYC_FAILED", "SOFT_KYC_FAILED"));
        assert!(nothing.event.ends_with("a duplicate") && nothing.jobs.is_empty());
    }

    #[test]
    fn wrong_values_are_rejected() {
        for (asked, problem) in [
            (move_to("new", "FULL_USR"), "did you mean FULL_USER?"),
            (EventInput { lasted: Some("2 days".to_owned()), ..move_to("new", "FULL_USER") }, "for: `2 days`"),
            (EventInput { processing: Some("VERIFICATION".to_owned()), ..move_to("new", "X\n") }, "control characters"),
        ] {
            let error = asked.question().expect_err("refused");
            assert!(error.contains(problem), "{error}");
        }
    }
}
