//! The texts of a directory in memory. A rule set is compiled from them, and the store keeps them under their hash.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Maps the relative path (with `/`) to the text, in the order of the paths.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Files(BTreeMap<String, String>);

impl Files {
    pub fn insert(&mut self, path: impl Into<String>, text: impl Into<String>) {
        self.0.insert(path.into(), text.into());
    }

    pub fn get(&self, path: &str) -> Option<&str> {
        self.0.get(path).map(String::as_str)
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(path, text)| (path.as_str(), text.as_str()))
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The first 12 hexadecimal digits of a SHA-256 of every path and text. It identifies the content.
    pub fn hash(&self) -> String {
        let mut sha = Sha256::new();
        for (path, text) in &self.0 {
            for part in [path, text] {
                sha.update((part.len() as u64).to_be_bytes());
                sha.update(part.as_bytes());
            }
        }
        sha.finalize().iter().take(6).map(|byte| format!("{byte:02x}")).collect()
    }
}

impl FromIterator<(String, String)> for Files {
    fn from_iter<T: IntoIterator<Item = (String, String)>>(files: T) -> Self {
        Self(files.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_covers_paths_and_texts_with_their_bounds() {
        let files = |pairs: &[(&str, &str)]| -> Files {
            pairs.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect()
        };
        assert_eq!(files(&[("a", "b")]).hash().len(), 12);
        assert_ne!(files(&[("a", "bc")]).hash(), files(&[("ab", "c")]).hash());
        assert_eq!(files(&[("a", "1"), ("b", "2")]).hash(), files(&[("b", "2"), ("a", "1")]).hash());
    }
}
