//! The `completions` and `man` commands.

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::{Cli, CommandError, Output};

#[derive(Debug, Args)]
pub struct CompletionsArgs {
    /// The shell.
    shell: Shell,
}

impl CompletionsArgs {
    pub fn run(&self, output: &mut Output) -> Result<(), CommandError> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "kyc-rules", &mut script);
        output.raw(&script);
        Ok(())
    }
}

#[derive(Debug, Args)]
pub struct ManArgs {
    /// Print the page of this command, for example `serve`. Default: the page of the program.
    command: Option<String>,
}

impl ManArgs {
    pub fn run(&self, output: &mut Output) -> Result<(), CommandError> {
        let mut program = Cli::command();
        program.build();
        let page = match &self.command {
            None => program,
            Some(name) => program.find_subcommand(name).cloned().ok_or_else(|| {
                CommandError::new(
                    super::Exit::Usage,
                    format!("there is no command {name:?}; `kyc-rules help` lists all commands"),
                )
            })?,
        };
        let mut roff = Vec::new();
        clap_mangen::Man::new(page).render(&mut roff).map_err(CommandError::io("writing the manual page"))?;
        output.raw(&roff);
        Ok(())
    }
}
