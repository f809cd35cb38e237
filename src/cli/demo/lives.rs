//! The lives that the demonstration tells: who, and what the provider says about them, in which order.

/// One customer and what happens to them.
pub struct Life {
    pub title: &'static str,
    pub id: &'static str,
    /// Name, address, language. `None`: nobody knows where to write to.
    pub contact: Option<(&'static str, &'static str, &'static str)>,
    pub steps: Vec<Step>,
}

/// What happens next.
pub enum Step {
    /// The provider sends a callback.
    Callback(Said),
    /// The same callback once more, so many times: retries, or somebody who captured it.
    Again(usize),
    /// A callback with a hash that is not the provider's.
    Forged(Said),
    /// A callback of a type that the provider does not document.
    UnknownType,
    /// So many minutes pass.
    Minutes(i64),
    /// The shop tells the customer's address.
    Contact(&'static str, &'static str, &'static str),
}

/// What a callback says.
#[derive(Clone, Copy, Default)]
pub struct Said {
    /// `None` is the provider's null.
    pub status: Option<&'static str>,
    pub processing: Option<&'static str>,
    pub docs: &'static [&'static str],
    pub labels: &'static str,
    pub message: Option<&'static str>,
}

fn says(status: &'static str) -> Step {
    Step::Callback(Said { status: Some(status), ..Said::default() })
}

/// The provider works on it.
fn checks(status: &'static str, processing: &'static str) -> Step {
    Step::Callback(Said { status: Some(status), processing: Some(processing), ..Said::default() })
}

fn fails(docs: &'static [&'static str], labels: &'static str, message: Option<&'static str>) -> Step {
    Step::Callback(Said { status: Some("SOFT_KYC_FAILED"), docs, labels, message, ..Said::default() })
}

/// Long enough for every mail that waits to be sure.
const A_WHILE: Step = Step::Minutes(5);
const A_DAY: Step = Step::Minutes(25 * 60);

pub fn all() -> Vec<Life> {
    use Step::{Again, Callback, Contact, Forged, UnknownType};
    vec![
        Life {
            title: "the straight way",
            id: "ada",
            contact: Some(("Ada", "ada@customer.example", "en")),
            steps: vec![
                checks("CREATED", "APPLICANT_CREATION_IN_PROGRESS"),
                says("KYC_NEEDED"),
                A_WHILE,
                says("PENDING_KYC_DATA"),
                A_WHILE,
                checks("KYC_PENDING", "VERIFICATION_IN_PROGRESS"),
                A_WHILE,
                says("FULL_USER"),
                A_WHILE,
            ],
        },
        Life {
            title: "a bad selfie, mended",
            id: "bruno",
            contact: Some(("Bruno", "bruno@customer.example", "de")),
            steps: vec![
                checks("KYC_PENDING", "VERIFICATION_IN_PROGRESS"),
                A_WHILE,
                fails(&["SELFIE", "PASSPORT"], "BAD_SELFIE, BAD_PASSPORT", None),
                A_WHILE,
                checks("KYC_PENDING", "VERIFICATION_IN_PROGRESS"),
                says("FULL_USER"),
                A_WHILE,
            ],
        },
        Life {
            title: "rejected for the third time",
            id: "chloe",
            contact: Some(("Chloé", "chloe@customer.example", "fr")),
            steps: vec![
                fails(&["SELFIE"], "BAD_SELFIE", None),
                A_WHILE,
                says("KYC_PENDING"),
                fails(&["SELFIE"], "BAD_SELFIE", Some("The face is not visible.")),
                A_WHILE,
                says("KYC_PENDING"),
                fails(&["SELFIE"], "BAD_SELFIE", Some("The face is not visible.")),
                A_WHILE,
            ],
        },
        Life {
            title: "stopped for good",
            id: "dmitri",
            contact: Some(("Dmitri", "dmitri@customer.example", "es")),
            steps: vec![says("KYC_PENDING"), says("HARD_KYC_FAILED"), A_WHILE],
        },
        Life {
            title: "verified, and taken back",
            id: "elena",
            contact: Some(("Elena", "elena@customer.example", "it")),
            steps: vec![
                says("FULL_USER"),
                A_DAY,
                Callback(Said {
                    status: Some("PENDING_KYC_DATA"),
                    docs: &["RESIDENCE_PERMIT"],
                    message: Some("The document has expired."),
                    ..Said::default()
                }),
                A_WHILE,
            ],
        },
        Life {
            title: "the provider retries, three times",
            id: "finn",
            contact: Some(("Finn", "finn@customer.example", "de-AT")),
            steps: vec![says("PENDING_KYC_DATA"), Again(3), A_WHILE],
        },
        Life {
            title: "out of order: what was rejected is back in review before a mail went",
            id: "greta",
            contact: Some(("Greta", "greta@customer.example", "en")),
            steps: vec![
                fails(&["PASSPORT"], "BAD_PASSPORT", None),
                Step::Minutes(1),
                checks("KYC_PENDING", "VERIFICATION_IN_PROGRESS"),
                A_WHILE,
            ],
        },
        Life {
            title: "a status never heard of",
            id: "hana",
            contact: Some(("Hana", "hana@customer.example", "en")),
            steps: vec![
                Callback(Said { processing: Some("USER_CREATION_IN_PROGRESS"), ..Said::default() }),
                says("SUSPENDED"),
                A_WHILE,
            ],
        },
        Life {
            title: "nobody knows the address, until the shop tells it",
            id: "ivan",
            contact: None,
            steps: vec![says("KYC_NEEDED"), A_WHILE, Contact("Ivan", "ivan@customer.example", "en"), A_WHILE],
        },
        Life {
            title: "not from the provider, or of an unknown type",
            id: "mallory",
            contact: None,
            steps: vec![Forged(Said { status: Some("FULL_USER"), ..Said::default() }), UnknownType],
        },
    ]
}
