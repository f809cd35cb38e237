//! The `reload` command: reloads the rules of a running server.

use std::path::Path;

use super::{CommandError, Output, check::counted, client::Original, settings};
use crate::api::controls::ReloadResponse;

pub fn run(config: Option<&Path>, output: &mut Output) -> Result<(), CommandError> {
    let answer: Original<ReloadResponse> = settings::block_on(async {
        let client = settings::client(config)?;
        client.post("reload").await
    })?;
    let rules = counted(answer.count, "rule");
    output.json_or_text(&answer, format_args!("{}: rule set {}, {rules}", answer.result, answer.hash));
    Ok(())
}
