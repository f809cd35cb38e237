//! The `reload` command: reloads the rules of a running server.

use std::path::Path;

use super::{CommandError, Output, settings};

pub fn run(config: Option<&Path>, output: &mut Output) -> Result<(), CommandError> {
    let answer = settings::block_on(async {
        let client = settings::client(config)?;
        client.post("reload").await
    })?;
    let text = |key: &str| answer[key].as_str().unwrap_or("?").to_owned();
    output.json_or_text(
        &answer,
        format_args!("{}: rule set {}, {} rules", text("result"), text("hash"), answer["count"]),
    );
    Ok(())
}
