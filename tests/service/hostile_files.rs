//! Checks mutated copies of the shipped rules, templates, labels and tests.
//!
//! The judge must end without a panic or a stack overflow for any content. A short run is part of the tests. A long
//! run: `HOSTILE_ROUNDS=20000 cargo test --release --test service hostile_files:: -- --nocapture`. `HOSTILE_SEED=N`
//! repeats a round from its printed seed.

use std::{
    fs,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    sync::mpsc,
    time::Duration,
};

use kyc_rules::{
    judge::{JudgeOptions, judge},
    rules::Environment,
    shipped,
};

use crate::support::seed::{Dice, number};

const SHORT_ROUNDS: u64 = 100;
/// Maximum time of one check. A check is much faster even on a busy machine.
const PATIENCE: Duration = Duration::from_secs(300);

/// Pieces of text that are syntax for one of the parsers.
const PIECES: &[&str] = &[
    "{{ ",
    " }}",
    "{% if ",
    " %}",
    "{% endif %}",
    "{% for x in ",
    "{% endfor %}",
    "{% set x = x + x %}",
    "{% set n.x = [n.x, n.x] %}",
    "{% set n = namespace(x=[1]) %}",
    "{{ x ~ x }}",
    "{{ '' ~ n.x }}",
    "{% elif 1 %}",
    "{% macro m(a) %}{{ m(a) }}{% endmacro %}{{ m(1) }}",
    "{% raw %}",
    "{#",
    "not ",
    "-",
    "~ 1 ",
    ".a",
    "[0]",
    "|d",
    "()",
    " is ",
    "** 9 ",
    "(",
    "[",
    "{",
    "range(100000)",
    "* 100000 ",
    "| join(range(1000) | join)",
    "> ",
    "- ",
    "* ",
    "[x](",
    "![",
    "`",
    "\n",
    "\r\n",
    "\t",
    "  ",
    ": ",
    "- {",
    "&a ",
    "*a",
    "!!str ",
    "<<: ",
    "\"",
    "'",
    "|\n",
    ">\n",
    "---\n",
    "...",
    "? ",
    "#",
    "{a: ",
    "wait: 99999d",
    "for 1s",
    "not: {",
    "any_of: [",
    "any -> any",
    "A | ",
    "\u{F0001}",
    "\u{202E}",
    "é",
    "\0",
    "<<<<<<< HEAD\n",
    "=======\n",
    ">>>>>>> x\n",
    "Subject: ",
    "{{ content }}",
    "99999999999999999999",
    "1e999",
    "-0",
];

impl Dice {
    fn place(&mut self, text: &str) -> usize {
        let at = self.below(text.len() + 1);
        (0..=at).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
    }

    fn piece(&mut self, text: &str) -> String {
        match self.below(3) {
            0 => {
                let at = self.place(text);
                text[at..].chars().take(self.below(200)).collect()
            }
            _ => PIECES[self.below(PIECES.len())].to_owned(),
        }
    }

    fn mutated(&mut self, text: &str) -> String {
        let mut text = text.to_owned();
        for _ in 0..1 + self.below(4) {
            let at = self.place(&text);
            match self.below(5) {
                0 => {
                    let end = self.place(&text);
                    text.replace_range(at.min(end)..at.max(end), "");
                }
                1 => text.truncate(at),
                2 => {
                    let times = [1, 3, 40, 300, 6_000][self.below(5)];
                    let piece = self.piece(&text);
                    text.insert_str(at, &piece.repeat(times.min(200_000 / piece.len().max(1))));
                }
                3 => {
                    let expression: String = (0..self.below(60)).map(|_| PIECES[self.below(PIECES.len())]).collect();
                    text.insert_str(at, &format!("{{{{ {expression} }}}}"));
                }
                _ => {
                    let piece = self.piece(&text);
                    text.insert_str(at, &piece);
                }
            }
        }
        text
    }
}

#[test]
fn the_judge_survives_any_file_content() {
    let seed = number("HOSTILE_SEED").unwrap_or_else(|| u64::from(std::process::id()) << 20 | 1);
    let rounds = number("HOSTILE_ROUNDS").unwrap_or(SHORT_ROUNDS);
    println!("HOSTILE_SEED={seed} HOSTILE_ROUNDS={rounds}");
    let shipped = shipped::files();
    let paths: Vec<&str> = shipped.iter().map(|(path, _)| path).collect();
    let terms = JudgeOptions { context: Environment::assumed_by(&shipped), ..JudgeOptions::default() };
    let verdict = judge(&shipped, &terms);
    assert!(!verdict.is_refused(), "{}", verdict.text(&shipped, "rules"));
    // A stack overflow ends this process and loses its output, so the seed is kept in a file.
    let last = Path::new(env!("CARGO_TARGET_TMPDIR")).join("hostile_files.seed");
    for round in 0..rounds {
        let seed = seed.wrapping_add(round);
        fs::write(&last, format!("HOSTILE_SEED={seed} HOSTILE_ROUNDS=1\n")).expect("written");
        let mut dice = Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
        let mut files = shipped.clone();
        for _ in 0..1 + dice.below(3) {
            let path = paths[dice.below(paths.len())];
            let text = dice.mutated(files.get(path).expect("a file"));
            files.insert(path, text);
        }
        let (done, ended) = mpsc::channel();
        let terms = terms.clone();
        std::thread::spawn(move || {
            let judged = catch_unwind(AssertUnwindSafe(|| {
                let verdict = judge(&files, &terms);
                let text = verdict.text(&files, "rules");
                assert_eq!(
                    verdict.is_refused(),
                    text.contains("error[") || text.contains("the tests of the rules fail"),
                    "{text}"
                );
            }));
            let _ = done.send(judged.is_ok());
        });
        match ended.recv_timeout(PATIENCE) {
            Ok(well) => assert!(well, "the judge panicked: HOSTILE_SEED={seed} HOSTILE_ROUNDS=1"),
            Err(_) => panic!("the judge does not end: HOSTILE_SEED={seed} HOSTILE_ROUNDS=1"),
        }
    }
    let _ = fs::remove_file(&last);
}
