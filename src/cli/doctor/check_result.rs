//! The result of one check.

/// Result of one check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CheckStatus {
    Ok,
    Warn,
    Fail,
}

impl CheckStatus {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "fail",
        }
    }
}

/// Name, result and text of one check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct CheckResult {
    pub(super) what: String,
    pub(super) health: CheckStatus,
    pub(super) said: String,
}

impl CheckResult {
    pub(super) fn new(what: impl Into<String>, health: CheckStatus, said: impl Into<String>) -> Self {
        Self { what: what.into(), health, said: said.into() }
    }

    pub(super) fn ok(what: impl Into<String>, said: impl Into<String>) -> Self {
        Self::new(what, CheckStatus::Ok, said)
    }

    pub(super) fn warn(what: impl Into<String>, said: impl Into<String>) -> Self {
        Self::new(what, CheckStatus::Warn, said)
    }

    pub(super) fn fail(what: impl Into<String>, said: impl Into<String>) -> Self {
        Self::new(what, CheckStatus::Fail, said)
    }
}
