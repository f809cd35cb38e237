//! Explains what a directory of rules would do about a change of status, without a server: `explain`, from the library.
//!
//! ```sh
//! cargo run --example rules -- rules KYC_PENDING SOFT_KYC_FAILED
//! ```
#![allow(clippy::print_stdout, reason = "an example prints its result")]

use std::{env, error::Error, path::Path};

use kyc_rules::{
    clock::Clock,
    decide::{GlobalState, Policy},
    explain::{EventInput, ask},
    rules::{Environment, RuleSet},
    rules_dir,
    yaml::{Sources, render},
};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let (Some(dir), Some(from), Some(to)) = (arguments.next(), arguments.next(), arguments.next()) else {
        return Err("usage: rules DIR FROM TO".into());
    };
    let sources = Sources::default();
    let files = rules_dir::read(Path::new(&dir)).map_err(|wrong| render(&wrong, &sources, false))?;
    let compiled = RuleSet::compile(&files, &Environment::assumed_by(&files));
    let Some(rules) = compiled.set else {
        return Err(render(&compiled.diagnostics, &sources.directory(&dir, &files), false).into());
    };
    let question = EventInput { from, to, ..EventInput::default() }.question()?;
    let answer = ask(&rules, &Policy::default(), &GlobalState::default(), Clock::default().now(), &question)?;
    println!("{}", answer.event);
    for rule in answer.rules.iter().filter(|rule| rule.outcome != "untriggered") {
        println!("  {:<12} {} {}", rule.outcome, rule.rule, rule.why.as_deref().unwrap_or_default());
    }
    Ok(())
}
