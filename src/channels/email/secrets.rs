//! Removes a login from replies in which a server repeats it.

use base64::{Engine, prelude::BASE64_STANDARD_NO_PAD};
use secrecy::{ExposeSecret, SecretString};

/// The texts that must not be shown: the password, and its forms on the wire.
#[derive(Default)]
pub(super) struct RedactedSecrets(Vec<SecretString>);

impl RedactedSecrets {
    pub fn of(login: Option<&(String, SecretString)>) -> Self {
        let Some((user, password)) = login else { return Self::default() };
        let password = password.expose_secret();
        // Without the trailing `=`, which are not needed to find it.
        let encoded = |text: &str| BASE64_STANDARD_NO_PAD.encode(text);
        let mut forms = vec![
            encoded(&format!("\0{user}\0{password}")),
            encoded(&format!("{user}\0{user}\0{password}")),
            encoded(password),
            password.to_owned(),
            ascii(password),
        ];
        // The longest first: a short password may be a part of the other forms.
        forms.sort_by_key(|form| std::cmp::Reverse(form.len()));
        Self(forms.into_iter().map(SecretString::from).collect())
    }

    pub fn redacted(&self, said: &str) -> String {
        self.0.iter().fold(said.to_owned(), |said, secret| said.replace(secret.expose_secret(), "…"))
    }
}

/// The password in the form in which replies are kept.
fn ascii(password: &str) -> String {
    password.bytes().map(|byte| if byte.is_ascii() { char::from(byte) } else { '?' }).collect()
}

#[cfg(test)]
mod tests {
    use base64::prelude::BASE64_STANDARD;

    use super::*;

    #[test]
    fn a_login_is_removed_in_all_its_forms() {
        for password in ["p", "pass", "pässword", "aGVsbG8", "a long one, with spaces = and more"] {
            let secrets = RedactedSecrets::of(Some(&("user".to_owned(), SecretString::from(password))));
            for form in [
                password.to_owned(),
                BASE64_STANDARD.encode(format!("\0user\0{password}")),
                BASE64_STANDARD.encode(format!("user\0user\0{password}")),
                BASE64_STANDARD.encode(password),
                ascii(password),
            ] {
                let said = secrets.redacted(&format!("550: {form}."));
                assert!(!said.contains(form.trim_end_matches('=')), "{said}");
                assert!(said.starts_with("550: …"), "{said}");
            }
        }
        assert_eq!(RedactedSecrets::of(None).redacted("as it is"), "as it is");
    }
}
