//! The two statuses of a customer at the provider: KYC status and processing status.
//!
//! Unknown names are stored as received, because the provider adds names without notice. JSON `null` is `none`. Known
//! names: the provider's documentation of the KYC callback.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::yaml::did_you_mean;

/// The maximum length of a name, in bytes; the provider's longest has 30.
const MAX_NAME_BYTES: usize = 64;

/// The reason why a name cannot be stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NameError {
    Empty,
    Blank,
    TooLong,
    Control,
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("is empty"),
            Self::Blank => f.write_str("is only white space"),
            Self::TooLong => write!(f, "is longer than {MAX_NAME_BYTES} bytes"),
            Self::Control => f.write_str("has control characters"),
        }
    }
}

impl std::error::Error for NameError {}

fn checked(name: &str) -> Result<Box<str>, NameError> {
    if name.is_empty() {
        Err(NameError::Empty)
    } else if name.len() > MAX_NAME_BYTES {
        Err(NameError::TooLong)
    } else if name.chars().any(char::is_control) {
        Err(NameError::Control)
    } else {
        Ok(name.into())
    }
}

macro_rules! names {
    ($(#[$doc:meta])* $kind:ident { $($variant:ident = $wire:literal $(| $alias:literal)*),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $kind {
            /// The provider's `null`.
            None,
            $($variant,)+
            /// A name that the provider had not documented when this was written.
            Other(Box<str>),
        }

        impl $kind {
            /// The documented names, in the usual order of a customer's progress.
            pub const KNOWN: &[&str] = &[$($wire),+];

            /// Parses a name from the wire, or `null`. Another spelling of a documented name becomes that name, from
            /// every source.
            pub fn from_wire(name: Option<&str>) -> Result<Self, NameError> {
                match name {
                    Some(name) if !name.is_empty() && name.trim().is_empty() => Err(NameError::Blank),
                    name => Self::recorded(name),
                }
            }

            /// Parses a stored name, also one stored by an earlier version with fewer checks: a record must stay
            /// readable.
            fn recorded(name: Option<&str>) -> Result<Self, NameError> {
                match name {
                    None => Ok(Self::None),
                    $(Some($wire $(| $alias)*) => Ok(Self::$variant),)+
                    Some(other) => checked(other).map(Self::Other),
                }
            }

            /// Parses a name that an operator wrote: `none` is the provider's null. An unknown name is accepted,
            /// because the provider adds names; a name that resembles a documented one is rejected as a typing error.
            pub fn parse(name: &str) -> Result<Self, String> {
                if name == "none" {
                    return Ok(Self::None);
                }
                let slip = || did_you_mean(name, Self::KNOWN.iter().copied());
                match Self::from_wire(Some(name)) {
                    Ok(Self::Other(_)) if let Some(meant) = slip() => {
                        Err(format!("{name:?} is no status; did you mean {meant}?"))
                    }
                    Ok(status) => Ok(status),
                    Err(why) => Err(format!("{name:?} {why}")),
                }
            }

            /// Returns the status with this name if it is documented, declared in the configuration, or `none` for the
            /// provider's null.
            pub fn known(name: &str, declared: &[String]) -> Option<Self> {
                if name == "none" {
                    return Some(Self::None);
                }
                let is_known = Self::KNOWN.contains(&name) || declared.iter().any(|declared| declared == name);
                is_known.then(|| Self::from_wire(Some(name)).ok()).flatten()
            }

            pub fn as_wire(&self) -> Option<&str> {
                match self {
                    Self::None => None,
                    $(Self::$variant => Some($wire),)+
                    Self::Other(name) => Some(name),
                }
            }

            /// Returns the name as written in rules; `none` for the provider's `null`.
            pub fn name(&self) -> &str {
                self.as_wire().unwrap_or("none")
            }
        }

        impl fmt::Display for $kind {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.name())
            }
        }

        impl Serialize for $kind {
            fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                self.as_wire().serialize(to)
            }
        }

        impl<'de> Deserialize<'de> for $kind {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                let name = Option::<std::borrow::Cow<'de, str>>::deserialize(from)?;
                Self::recorded(name.as_deref()).map_err(serde::de::Error::custom)
            }
        }
    };
}

names! {
    /// The KYC status of a customer.
    Status {
        Created = "CREATED",
        KycNeeded = "KYC_NEEDED",
        PendingKycData = "PENDING_KYC_DATA",
        KycPending = "KYC_PENDING",
        SoftKycFailed = "SOFT_KYC_FAILED",
        HardKycFailed = "HARD_KYC_FAILED",
        // One page of the provider's documentation writes it with the prefix.
        FullUser = "FULL_USER" | "KYC_FULL_USER",
    }
}

names! {
    /// The provider's present activity for a customer; `none`: no activity.
    Processing {
        UserCreationInProgress = "USER_CREATION_IN_PROGRESS",
        ApplicantCreationInProgress = "APPLICANT_CREATION_IN_PROGRESS",
        DocumentUploadInProgress = "DOCUMENT_UPLOAD_IN_PROGRESS",
        VerificationInProgress = "VERIFICATION_IN_PROGRESS",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_names_unknown_names_and_null_round_trip() {
        for (json, status) in [
            ("null", Status::None),
            ("\"FULL_USER\"", Status::FullUser),
            ("\"SUSPENDED\"", Status::Other("SUSPENDED".into())),
            ("\"none\"", Status::Other("none".into())),
        ] {
            assert_eq!(serde_json::from_str::<Status>(json).expect(json), status);
            assert_eq!(serde_json::to_string(&status).expect(json), json);
        }
    }

    #[test]
    fn another_spelling_becomes_the_documented_name() {
        assert_eq!(Status::from_wire(Some("KYC_FULL_USER")), Ok(Status::FullUser));
        assert_eq!(serde_json::from_str::<Status>("\"KYC_FULL_USER\"").expect("a record"), Status::FullUser);
        assert_eq!(Status::known("KYC_FULL_USER", &[]), None, "rules use the documented name");
        assert_eq!(Status::known("KYC_FULL_USER", &["KYC_FULL_USER".to_owned()]), Some(Status::FullUser));
    }

    #[test]
    fn a_known_name_is_documented_declared_or_none() {
        let declared = ["SUSPENDED".to_owned()];
        for (name, status) in [
            ("FULL_USER", Some(Status::FullUser)),
            ("SUSPENDED", Some(Status::Other("SUSPENDED".into()))),
            ("none", Some(Status::None)),
            ("null", None),
            ("suspended", None),
            ("", None),
        ] {
            assert_eq!(Status::known(name, &declared), status, "{name}");
        }
    }

    #[test]
    fn a_harmful_name_is_rejected() {
        assert_eq!(Status::from_wire(Some("")), Err(NameError::Empty));
        for blank in [" ", "\u{a0}\u{2003}", "\t"] {
            assert_eq!(Status::from_wire(Some(blank)), Err(NameError::Blank), "{blank:?}");
            assert_eq!(Processing::from_wire(Some(blank)), Err(NameError::Blank), "{blank:?}");
        }
        let recorded = serde_json::from_str::<Status>("\" \"").expect("a record of a version that accepted it");
        assert_eq!(recorded, Status::Other(" ".into()));
        assert_eq!(Status::from_wire(Some("A\r\nB")), Err(NameError::Control));
        assert_eq!(Processing::from_wire(Some(&"X".repeat(65))), Err(NameError::TooLong));
    }
}
