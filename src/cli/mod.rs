//! The command line, one file for each command. Parses arguments, runs the command, prints and sets the exit code.

mod backtest;
mod check;
mod client;
mod completions;
mod control_chars;
mod customers;
mod demo;
mod doctor;
mod email;
mod explain;
mod filters;
mod graph;
mod history;
mod init;
mod jobs;
mod output;
mod pause;
mod refresh;
mod refresh_all;
mod reload;
mod retry_drop;
mod schema;
mod serve;
mod settings;
mod sign;
mod status;
mod test;
mod traffic;
mod workspace;

use std::{path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};

pub use output::{CommandError, Exit, Output};

use crate::stack;

/// Turns the KYC callbacks of a payment provider into mails and other actions, by rules in YAML.
///
/// Exit codes: 0 ok, 1 failed, 2 usage error, 69 server or service unreachable, 74 I/O error, 78 error in the
/// configuration or the rules.
#[derive(Debug, Parser)]
#[command(name = "kyc-rules", version, propagate_version = true, max_term_width = 110)]
pub struct Cli {
    /// Path of the configuration. Default: ./kyc-rules.yaml, then /etc/kyc-rules/kyc-rules.yaml.
    #[arg(long, global = true, env = "KYC_RULES_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,

    /// Print JSON for scripts. Errors are printed as {"error": …} on standard error.
    #[arg(long, global = true)]
    json: bool,

    #[command(subcommand)]
    command: CliCommand,
}

#[derive(Debug, Subcommand)]
enum CliCommand {
    /// Run a demo on loopback without a configuration: a simulated provider, the shipped rules, mails as files.
    Demo(demo::DemoArgs),
    /// Run the service: accept callbacks, decide by the rules, and act.
    Serve,
    /// Write a commented configuration and the shipped rules into a directory.
    Init(init::InitArgs),
    /// Report all errors and warnings in the configuration and the rules.
    Check(check::CheckArgs),
    /// Run the tests of the rules, and list the rules that no test fires.
    Test(test::TestArgs),
    /// Explain which rules fire, and why the others do not, for a made-up event or for a customer of a running server.
    Explain(explain::ExplainArgs),
    /// Replay the recorded history with edited rules, and compare them with the active rules. Never sends anything.
    Backtest(backtest::BacktestArgs),
    /// Print a JSON Schema for editors, to complete and check rules, rule tests or the configuration.
    Schema(schema::SchemaArgs),
    /// Draw the rules as a state diagram.
    Graph(graph::GraphArgs),
    /// Reload the rules of a running server.
    Reload,
    /// Show the state of a running server.
    Status,
    /// List the jobs of a running server, newest first.
    Jobs(jobs::JobsArgs),
    /// List the problems: jobs that need an operator.
    Problems(jobs::ProblemsArgs),
    /// Retry problems now, by their ids or by a filter.
    Retry(retry_drop::JobSelection),
    /// Drop jobs by their ids, or problems by a filter. A dropped job is never sent.
    Drop(retry_drop::JobSelection),
    /// Pause a rule or a channel until it is resumed.
    Pause(pause::PauseArgs),
    /// Resume a paused rule or channel, or accept the present time after the clock has jumped.
    Resume(pause::ResumeArgs),
    /// Show the backlog of a rule: customers whose timer was due before the rule was live. Send it once.
    Backlog(pause::BacklogArgs),
    /// Query the provider's API now, for one customer or for all customers whose callbacks have waited too long.
    Refresh(refresh::RefreshArgs),
    /// Check everything that the service needs: the mail relay, the sender's domain, the provider, the shop's API,
    /// webhook and chat targets, the disk. Sends nothing.
    Doctor(doctor::DoctorArgs),
    /// Test the mail transport.
    #[command(subcommand)]
    Email(email::EmailCommand),
    /// Import, export and show customers and their contacts.
    #[command(subcommand)]
    Customers(customers::CustomersCommand),
    /// Print the hash that the provider sends for a customer, or a complete signed callback.
    Sign(sign::SignArgs),
    /// Print a shell completion script.
    Completions(completions::CompletionsArgs),
    /// Print the manual page.
    Man(completions::ManArgs),
}

impl Cli {
    /// Runs the command and returns its exit code.
    pub fn run(self) -> ExitCode {
        // A caught panic is reported once, as the error of the command.
        let standard = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if !stack::is_caught() {
                standard(panic);
            }
        }));
        let mut output = Output::new(self.json);
        let done = self.dispatch(&mut output);
        let written = output.flush();
        // Both failures are reported. The exit code is that of the command, if it failed, else that of the output.
        let failures: Vec<CommandError> = [done, written].into_iter().filter_map(Result::err).collect();
        failures.iter().for_each(|failure| output.report_error(failure));
        failures.first().map_or(Exit::Ok, |failure| failure.exit).code()
    }

    /// Prints what clap returned instead of a command: the help, the version or a usage error. Returns the exit code.
    pub fn told(error: &clap::Error) -> ExitCode {
        let json = std::env::args_os().any(|argument| argument == "--json");
        let mut output = Output::new(json);
        if !error.use_stderr() {
            output.raw(error.render().to_string().as_bytes());
            return match output.flush() {
                Ok(()) => Exit::Ok.code(),
                Err(failure) => {
                    output.report_error(&failure);
                    failure.exit.code()
                }
            };
        }
        if json {
            output.report_error(&CommandError::new(Exit::Usage, error.render().to_string().trim_end()));
        } else {
            // clap adds colours on a terminal. A write error is ignored, because there is no other place to report it.
            let _ = error.print();
        }
        Exit::Usage.code()
    }

    fn dispatch(self, output: &mut Output) -> Result<(), CommandError> {
        let config = self.config.as_deref();
        match self.command {
            CliCommand::Demo(demo) => demo.run(output),
            CliCommand::Serve => serve::run(config),
            CliCommand::Init(init) => init.run(output),
            CliCommand::Check(check) => check.run(config, output),
            CliCommand::Test(test) => test.run(config, output),
            CliCommand::Explain(explain) => explain.run(config, output),
            CliCommand::Backtest(backtest) => backtest.run(config, output),
            CliCommand::Schema(schema) => schema.run(config, output),
            CliCommand::Graph(graph) => graph.run(config, output),
            CliCommand::Reload => reload::run(config, output),
            CliCommand::Status => status::run(config, output),
            CliCommand::Jobs(jobs) => jobs.run(config, output),
            CliCommand::Problems(problems) => problems.run(config, output),
            CliCommand::Retry(chosen) => chosen.run(config, retry_drop::BulkAction::Retry, output),
            CliCommand::Drop(chosen) => chosen.run(config, retry_drop::BulkAction::Drop, output),
            CliCommand::Pause(pause) => pause.run(config, output),
            CliCommand::Resume(resume) => resume.run(config, output),
            CliCommand::Backlog(backlog) => backlog.run(config, output),
            CliCommand::Refresh(refresh) => refresh.run(config, output),
            CliCommand::Doctor(doctor) => doctor.run(config, output),
            CliCommand::Email(email) => email.run(config, output),
            CliCommand::Customers(customers) => customers.run(config, output),
            CliCommand::Sign(sign) => sign.run(config, output),
            CliCommand::Completions(completions) => completions.run(output),
            CliCommand::Man(man) => man.run(output),
        }
    }
}
