//! The customers that the demo simulates, and the callbacks that the provider sends about each, in order.

/// One simulated customer, with the steps to play.
pub struct DemoCustomer {
    pub title: &'static str,
    pub id: &'static str,
    /// Name, mail address and locale. `None`: no contact is known.
    pub contact: Option<(&'static str, &'static str, &'static str)>,
    pub steps: Vec<DemoStep>,
}

/// One step of a simulated customer.
pub enum DemoStep {
    /// The provider sends a callback.
    Callback(DemoCallback),
    /// The last callback is sent again this many times, as a retry or a replay attack does.
    Again(usize),
    /// A callback with a wrong hash.
    Forged(DemoCallback),
    /// A callback of a type that the provider does not document.
    UnknownType,
    /// This many minutes pass.
    Minutes(i64),
    /// The shop stores a contact: name, mail address and locale.
    Contact(&'static str, &'static str, &'static str),
}

/// The content of a callback.
#[derive(Clone, Copy, Default)]
pub struct DemoCallback {
    /// `None` is the provider's null.
    pub status: Option<&'static str>,
    pub processing: Option<&'static str>,
    pub docs: &'static [&'static str],
    pub labels: &'static str,
    pub message: Option<&'static str>,
}

fn says(status: &'static str) -> DemoStep {
    DemoStep::Callback(DemoCallback { status: Some(status), ..DemoCallback::default() })
}

/// A callback with a processing status.
fn checks(status: &'static str, processing: &'static str) -> DemoStep {
    DemoStep::Callback(DemoCallback { status: Some(status), processing: Some(processing), ..DemoCallback::default() })
}

fn fails(docs: &'static [&'static str], labels: &'static str, message: Option<&'static str>) -> DemoStep {
    DemoStep::Callback(DemoCallback {
        status: Some("SOFT_KYC_FAILED"),
        docs,
        labels,
        message,
        ..DemoCallback::default()
    })
}

/// Longer than the `settle` of every shipped mail.
const A_WHILE: DemoStep = DemoStep::Minutes(5);
const A_DAY: DemoStep = DemoStep::Minutes(25 * 60);

pub fn all() -> Vec<DemoCustomer> {
    use DemoStep::{Again, Callback, Contact, Forged, UnknownType};
    vec![
        DemoCustomer {
            title: "verified at the first attempt",
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
        DemoCustomer {
            title: "a bad selfie, then verified",
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
        DemoCustomer {
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
        DemoCustomer {
            title: "rejected for good",
            id: "dmitri",
            contact: Some(("Dmitri", "dmitri@customer.example", "es")),
            steps: vec![says("KYC_PENDING"), says("HARD_KYC_FAILED"), A_WHILE],
        },
        DemoCustomer {
            title: "verified, then revoked",
            id: "elena",
            contact: Some(("Elena", "elena@customer.example", "it")),
            steps: vec![
                says("FULL_USER"),
                A_DAY,
                Callback(DemoCallback {
                    status: Some("PENDING_KYC_DATA"),
                    docs: &["RESIDENCE_PERMIT"],
                    message: Some("The document has expired."),
                    ..DemoCallback::default()
                }),
                A_WHILE,
            ],
        },
        DemoCustomer {
            title: "the provider retries a callback three times",
            id: "finn",
            contact: Some(("Finn", "finn@customer.example", "de-AT")),
            steps: vec![says("PENDING_KYC_DATA"), Again(3), A_WHILE],
        },
        DemoCustomer {
            title: "rejected, but in review again before the mail is sent",
            id: "greta",
            contact: Some(("Greta", "greta@customer.example", "en")),
            steps: vec![
                fails(&["PASSPORT"], "BAD_PASSPORT", None),
                DemoStep::Minutes(1),
                checks("KYC_PENDING", "VERIFICATION_IN_PROGRESS"),
                A_WHILE,
            ],
        },
        DemoCustomer {
            title: "an unknown status",
            id: "hana",
            contact: Some(("Hana", "hana@customer.example", "en")),
            steps: vec![
                Callback(DemoCallback { processing: Some("USER_CREATION_IN_PROGRESS"), ..DemoCallback::default() }),
                says("SUSPENDED"),
                A_WHILE,
            ],
        },
        DemoCustomer {
            title: "no mail address, until the shop stores one",
            id: "ivan",
            contact: None,
            steps: vec![says("KYC_NEEDED"), A_WHILE, Contact("Ivan", "ivan@customer.example", "en"), A_WHILE],
        },
        DemoCustomer {
            title: "a forged callback, and one of an unknown type",
            id: "mallory",
            contact: None,
            steps: vec![Forged(DemoCallback { status: Some("FULL_USER"), ..DemoCallback::default() }), UnknownType],
        },
    ]
}
