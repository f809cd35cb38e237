//! Writes mails as files into a directory, for demonstrations and for a check before going live.
//!
//! There is one file for each `Message-ID`, however often it is sent: `20260303T213000Z-ID.eml`, so that a listing is
//! in the order of time. A file is readable by its owner only, and is written atomically.

use std::{
    fs,
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use sha2::{Digest, Sha256};

use super::{AcceptedMail, MailerError, OutgoingMail, SendError};

const MAX_ID_CHARS: usize = 80;

#[derive(Clone, Debug)]
pub(super) struct EmlDirectory {
    path: PathBuf,
}

impl EmlDirectory {
    pub fn new(path: PathBuf) -> Result<Self, MailerError> {
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(&path);
        made.map_err(|error| MailerError(format!("the directory {} cannot be created: {error}", path.display())))?;
        Ok(Self { path })
    }

    pub fn probe(&self) -> Result<String, SendError> {
        let path = self.path.display();
        let unwritable = |error: io::Error| SendError::retry(format!("mails cannot be written to {path}: {error}"));
        let temporary = self.path.join(".probe.tmp");
        fs::write(&temporary, []).and_then(|()| fs::remove_file(&temporary)).map_err(unwritable)?;
        Ok(format!("mails are written to files in {path} and not sent"))
    }

    pub async fn write(&self, envelope: &OutgoingMail, content: Vec<u8>) -> Result<AcceptedMail, SendError> {
        let (path, id) = (self.path.clone(), file_id(&envelope.message_id));
        let time = envelope.date.to_jiff().strftime("%Y%m%dT%H%M%SZ").to_string();
        let written = tokio::task::spawn_blocking(move || write(&path, &time, &id, &content)).await;
        match written {
            Ok(Ok(answer)) => Ok(AcceptedMail { answer }),
            Ok(Err(error)) => {
                Err(SendError::retry(format!("the mail cannot be written to {}: {error}", self.path.display())))
            }
            Err(error) => Err(SendError::retry(format!("writing the mail was aborted: {error}"))),
        }
    }
}

/// The local part of a Message-ID if it is a safe file name, otherwise a hash of the whole id.
fn file_id(message_id: &str) -> String {
    let id = message_id.trim_start_matches('<').trim_end_matches('>');
    let local = id.split('@').next().unwrap_or(id);
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if !local.is_empty() && local.len() <= MAX_ID_CHARS && local.chars().all(fits) && !local.starts_with('.') {
        return local.to_owned();
    }
    Sha256::digest(id).iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

fn write(directory: &Path, time: &str, id: &str, content: &[u8]) -> io::Result<String> {
    let ending = format!("-{id}.eml");
    for entry in fs::read_dir(directory)? {
        if let Some(name) = entry?.file_name().to_str().filter(|name| is_of(name, &ending)) {
            return Ok(name.to_owned());
        }
    }
    let name = format!("{time}{ending}");
    let temporary = directory.join(format!(".{id}.tmp"));
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&temporary, directory.join(&name))?;
    fs::File::open(directory)?.sync_all()?;
    Ok(name)
}

/// Whether a file name is a time followed by exactly this ending.
fn is_of(name: &str, ending: &str) -> bool {
    name.strip_suffix(ending).is_some_and(|time| time.len() == "20260303T213000Z".len() && !time.contains('-'))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::{
        channels::email::{Mailer, MailerConfig, Transport, message::tests::envelope},
        clock::Timestamp,
    };

    #[tokio::test]
    async fn a_mail_is_one_private_file_however_often_it_is_sent() {
        let root = tempfile::tempdir().expect("a directory");
        let path = root.path().join("mail");
        let mailer = Mailer::new(MailerConfig::new(Transport::File(path.clone()))).expect("a mailer");
        let mut envelope = envelope();
        let first = mailer.send(&envelope).await.expect("sent");
        envelope.date = Timestamp(envelope.date.millis() + 60_000);
        assert_eq!(mailer.send(&envelope).await.expect("sent"), first);
        assert_eq!(first.answer, "20260303T213000Z-3f9c.eml");
        envelope.message_id = "c@kyc-rules.example".into();
        mailer.send(&envelope).await.expect("sent");
        let names: Vec<_> =
            fs::read_dir(&path).expect("there").map(|entry| entry.expect("an entry").file_name()).collect();
        assert_eq!(names.len(), 2, "{names:?}");
        let mode = |path: &Path| fs::metadata(path).expect("there").permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(&path.join(&first.answer))), (0o700, 0o600));
    }

    #[test]
    fn a_file_name_is_the_safe_local_part_or_a_hash() {
        assert_eq!(file_id("<a-b_1@host>"), "a-b_1");
        for id in ["../../etc/passwd@x", ".hidden@x", "", "é@x", &"a".repeat(200)] {
            assert_eq!(file_id(id).len(), 32, "{id}");
        }
    }
}
