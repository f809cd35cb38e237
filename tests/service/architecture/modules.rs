//! Reads the modules of src without their tests: which names each file defines, and which files it uses.
//!
//! It is no parser of Rust: it reads a file as words and punctuation. A use that is visible in no path (a method of a
//! type that another file defines) is not found.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// One module of the crate, with the words of its file.
pub struct Module {
    pub file: PathBuf,
    words: Vec<String>,
    /// The items defined in the file, without its child modules.
    items: BTreeSet<String>,
    imports: Vec<Import>,
}

/// One name that a `use` line brings into the module.
struct Import {
    name: String,
    path: Vec<String>,
    is_public: bool,
}

/// A public type: its name, and the file that defines it.
pub type PublicType = (String, PathBuf);

/// The modules, by the path from the root of the crate: `http::admin`.
pub struct Modules(BTreeMap<String, Module>);

impl Modules {
    pub fn read(src: &Path) -> Self {
        let mut modules = Self(BTreeMap::new());
        modules.read_module(src, &[], &src.join("lib.rs"));
        modules
    }

    /// Reads the module and the children that it declares outside tests.
    fn read_module(&mut self, src: &Path, path: &[String], file: &Path) {
        let words = without_tests(words(&fs::read_to_string(file).expect("text")));
        let dir = path.iter().fold(src.to_owned(), |dir, part| dir.join(part));
        for child in declared(&words, &["mod"], |after| after == ";") {
            let flat = dir.join(format!("{child}.rs"));
            let file = if flat.exists() { flat } else { dir.join(&child).join("mod.rs") };
            self.read_module(src, &[path, &[child]].concat(), &file);
        }
        let file = file.strip_prefix(src).expect("below src").to_owned();
        self.0.insert(path.join("::"), Module::new(file, words));
    }

    pub fn public_types(&self) -> Vec<PublicType> {
        let types = |module: &Module| -> Vec<PublicType> {
            module.public_types().into_iter().map(|name| (name, module.file.clone())).collect()
        };
        self.0.values().flat_map(types).collect()
    }

    /// For each module, the modules whose files define what it names.
    pub fn uses(&self) -> BTreeMap<String, BTreeSet<String>> {
        let uses = |(at, module): (&String, &Module)| {
            let mut used: BTreeSet<String> =
                module.paths().iter().filter_map(|path| self.definer(at, path, 0)).collect();
            used.remove(at);
            (at.clone(), used)
        };
        self.0.iter().map(uses).collect()
    }

    /// The module whose file defines the item at this path, seen from the module `at`. None if the path leads out of
    /// the crate, or names a module only.
    fn definer(&self, at: &str, path: &[String], depth: usize) -> Option<String> {
        let mut here = at.to_owned();
        let mut is_first = true;
        for (index, part) in path.iter().enumerate() {
            match &**part {
                "self" => {}
                "crate" => here.clear(),
                "super" => here = parent(&here),
                name => {
                    let module = &self.0[&here];
                    let child = if here.is_empty() { name.to_owned() } else { format!("{here}::{name}") };
                    if self.0.contains_key(&child) {
                        here = child;
                    } else if module.items.contains(name) {
                        return Some(here);
                    } else if let Some(import) = module.imports.iter().find(|import| import.name == name)
                        && depth < 20
                    {
                        let rest = [&import.path, &path[index + 1..]].concat();
                        // A name of another crate, such as `http`, may also be the name of a module of this one.
                        return self.definer(&here, &rest, depth + 1);
                    } else if is_first {
                        return None;
                    } else {
                        return Some(here);
                    }
                }
            }
            is_first = false;
        }
        None
    }
}

fn parent(module: &str) -> String {
    module.rsplit_once("::").map_or("", |(parent, _)| parent).to_owned()
}

impl Module {
    fn new(file: PathBuf, words: Vec<String>) -> Self {
        const KINDS: &[&str] = &["struct", "enum", "trait", "type", "fn", "const", "static", "union", "macro_rules"];
        let mut items: BTreeSet<String> = declared(&words, KINDS, |_| true).into_iter().collect();
        items.extend(declared(&words, &["mod"], |after| after == "{"));
        let mut imports = Vec::new();
        for at in 0..words.len() {
            if is_use(&words, at) {
                let is_public = at > 0 && (words[at - 1] == "pub" || words[at - 1] == ")");
                read_use(&words, &mut (at + 1), &[], is_public, &mut imports);
            }
        }
        Self { file, words, items, imports }
    }

    /// The paths that the code names. A public `use` alone does not count: it passes a name on.
    fn paths(&self) -> Vec<Vec<String>> {
        let (mut paths, mut said) = (Vec::new(), BTreeSet::new());
        let mut at = 0;
        while at < self.words.len() {
            if is_use(&self.words, at) {
                at = end_of(&self.words, at);
                continue;
            }
            let mut path = Vec::new();
            while at < self.words.len() && is_name(&self.words[at]) {
                path.push(self.words[at].clone());
                at += 1;
                if self.words.get(at).is_some_and(|word| word == "::") {
                    at += 1;
                } else {
                    break;
                }
            }
            if path.is_empty() {
                at += 1;
                continue;
            }
            said.insert(path[0].clone());
            if path.len() > 1 {
                paths.push(path);
            }
        }
        let used = self.imports.iter().filter(|import| !import.is_public || said.contains(&import.name));
        paths.extend(used.map(|import| import.path.clone()));
        paths
    }

    /// The names of the structs, enums, traits and aliases that are visible outside the file.
    fn public_types(&self) -> Vec<String> {
        let is_public = |at: usize| at > 0 && (self.words[at - 1] == "pub" || self.words[at - 1] == ")");
        let kinds = ["struct", "enum", "trait", "type"];
        let kind = |at: &usize| kinds.contains(&&*self.words[*at]) && is_public(*at);
        (0..self.words.len()).filter(kind).map(|at| self.words[at + 1].clone()).filter(|name| is_name(name)).collect()
    }
}

/// Whether an import begins here. `use<>` is a bound.
fn is_use(words: &[String], at: usize) -> bool {
    words[at] == "use" && words.get(at + 1).is_some_and(|next| next != "<")
}

/// Whether a path may contain the word.
fn is_name(word: &str) -> bool {
    word.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

/// The names that follow one of these keywords outside all braces, if the word after the name fits.
fn declared(words: &[String], kinds: &[&str], fits: impl Fn(&str) -> bool) -> Vec<String> {
    let (mut depth, mut found) = (0_i32, Vec::new());
    for (at, word) in words.iter().enumerate() {
        match &**word {
            "{" => depth += 1,
            "}" => depth -= 1,
            kind if depth == 0 && kinds.contains(&kind) => {
                // `macro_rules! name`.
                let name = words[at + 1..].iter().find(|word| *word != "!").expect("a name");
                if fits(words.get(at + 2).map_or("", |word| word)) {
                    found.push(name.clone());
                }
            }
            _ => {}
        }
    }
    found
}

/// Reads one branch of a `use` tree, from the word at `at` to the one that ends the branch.
fn read_use(words: &[String], at: &mut usize, before: &[String], is_public: bool, into: &mut Vec<Import>) {
    let mut path = before.to_vec();
    loop {
        match &*words[*at] {
            "{" => {
                *at += 1;
                while words[*at] != "}" {
                    read_use(words, at, &path, is_public, into);
                    if words[*at] == "," {
                        *at += 1;
                    }
                }
                *at += 1;
                return;
            }
            "::" => {}
            "as" => {
                let name = words[*at + 1].clone();
                into.push(Import { name, path, is_public });
                *at += 2;
                return;
            }
            "," | "}" | ";" => {
                // `use a::b::{self}` names b.
                if path.len() > 1 && path.last().is_some_and(|last| last == "self") {
                    path.pop();
                }
                into.push(Import { name: path.last().cloned().unwrap_or_default(), path, is_public });
                return;
            }
            part => path.push(part.to_owned()),
        }
        *at += 1;
    }
}

/// The words and punctuation of the text, without comments and without the content of literals.
fn words(text: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let length = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if let Some(length) = literal(rest) {
            words.push("\"\"".to_owned());
            length
        } else if c.is_alphanumeric() || c == '_' {
            let length = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
            words.push(rest[..length].to_owned());
            length
        } else if rest.starts_with("::") {
            words.push("::".to_owned());
            2
        } else {
            if !c.is_whitespace() {
                words.push(c.to_string());
            }
            c.len_utf8()
        };
        rest = &rest[length..];
    }
    words
}

/// The length of the string or character literal with which the text begins.
fn literal(text: &str) -> Option<usize> {
    let raw = text.strip_prefix('b').unwrap_or(text);
    if let Some(hashes) = raw.strip_prefix('r').map(|raw| raw.len() - raw.trim_start_matches('#').len())
        && raw[1 + hashes..].starts_with('"')
    {
        let end = format!("\"{}", "#".repeat(hashes));
        let begin = text.len() - raw.len() + 2 + hashes;
        return Some(begin + text[begin..].find(&end)? + end.len());
    }
    let quoted = |quote: char| {
        let begin = text.len() - raw.strip_prefix(quote)?.len();
        let mut is_escaped = false;
        let end = text[begin..].find(|c| {
            let is_end = c == quote && !is_escaped;
            is_escaped = c == '\\' && !is_escaped;
            is_end
        })?;
        Some((begin, begin + end))
    };
    if let Some((_, end)) = quoted('"') {
        return Some(end + 1);
    }
    // `'a` without a second quote is a lifetime.
    let (begin, end) = quoted('\'')?;
    let inside = &text[begin..end];
    (inside.starts_with('\\') || inside.chars().count() == 1).then_some(end + 1)
}

/// The place behind the item that begins at `at`: behind its `;`, its `,`, or its block.
fn end_of(words: &[String], at: usize) -> usize {
    let mut depth = 0_i32;
    for (place, word) in words.iter().enumerate().skip(at) {
        match &**word {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" => depth -= 1,
            "}" => {
                depth -= 1;
                // The block of an item, not a group in a `use`.
                if depth == 0 && words[at] != "use" {
                    return place + 1;
                }
                if depth < 0 {
                    return place;
                }
            }
            ";" | "," if depth == 0 => return place + 1,
            _ => {}
        }
    }
    words.len()
}

/// The words without the items behind `#[cfg(test)]`.
fn without_tests(words: Vec<String>) -> Vec<String> {
    let marker = ["#", "[", "cfg", "(", "test", ")", "]"];
    let (mut kept, mut at) = (Vec::new(), 0);
    while at < words.len() {
        if words[at..].iter().take(marker.len()).eq(marker) {
            at = end_of(&words, at + marker.len());
        } else {
            kept.push(words[at].clone());
            at += 1;
        }
    }
    kept
}
