//! Hints for names of rules or channels that do not exist, with suggestions.

use super::{AdminContext, ProblemDetails};
use crate::{outbox::Channel, rules::RuleSet, store::JobFilter, yaml::did_you_mean};

impl AdminContext {
    /// Returns what may be wrong with a filter that matches no job. An unknown name alone is not an error, because a
    /// deleted rule or channel may still have jobs.
    pub(super) fn did_you_mean(&self, filter: &JobFilter) -> Result<Option<String>, ProblemDetails> {
        let set = self.rulebook()?.current();
        let rule = filter.rule.as_ref().filter(|rule| set.rule(rule.as_str()).is_none());
        let rule = rule.map(|rule| no_rule(&set, rule.as_str()));
        let channel = filter.channel.as_ref().filter(|channel| !self.channels.contains(channel));
        let hints: Vec<String> = rule.into_iter().chain(channel.map(|channel| self.no_channel(channel))).collect();
        Ok((!hints.is_empty()).then(|| hints.join("\n")))
    }

    fn no_channel(&self, channel: &Channel) -> String {
        let (name, known) = (channel.to_string(), self.channels.iter().map(Channel::to_string).collect::<Vec<_>>());
        let rest = match did_you_mean(&name, known.iter().map(String::as_str)) {
            Some(meant) => format!("did you mean {meant}?"),
            None if known.is_empty() => "no channel is configured".to_owned(),
            None => format!("configured channels: {}", known.join(", ")),
        };
        format!("there is no channel {name:?}; {rest}")
    }
}

pub(super) fn no_rule(set: &RuleSet, id: &str) -> String {
    let meant = did_you_mean(id, set.rules().iter().map(|rule| rule.id.as_str()));
    let hint = meant.map(|meant| format!("; did you mean {meant}?")).unwrap_or_default();
    format!("there is no rule {id:?}{hint}")
}
