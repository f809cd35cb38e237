//! The command line: one file a command. It parses, calls, prints, and decides the exit code in one place.

mod backtest;
mod bulk;
mod check;
mod client;
mod customers;
mod demo;
mod doctor;
mod email;
mod explain;
mod filters;
mod govern;
mod graph;
mod history;
mod init;
mod jobs;
mod legible;
mod offline;
mod output;
mod printed;
mod refresh;
mod refresh_all;
mod reload;
mod schema;
mod serve;
mod settings;
mod sign;
mod status;
mod test;
mod traffic;

use std::{path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};

pub use output::{Exit, Failure, Output};

use crate::stack;

/// Turns a payment provider's KYC callbacks into mails and other actions, by rules in YAML.
///
/// Exit codes: 0 ok, 1 failed, 2 usage, 69 server or service not reachable, 74 I/O, 78 configuration or rules wrong.
#[derive(Debug, Parser)]
#[command(name = "kyc-rules", version, propagate_version = true, max_term_width = 110)]
pub struct Cli {
    /// The configuration; else ./kyc-rules.yaml, then /etc/kyc-rules/kyc-rules.yaml.
    #[arg(long, global = true, env = "KYC_RULES_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,

    /// Print JSON for scripts; what went wrong as {"error": …} on standard error.
    #[arg(long, global = true)]
    json: bool,

    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Everything on loopback with no configuration: a simulated provider, the shipped rules, mails as files.
    Demo(demo::Demo),
    /// Take callbacks, decide by the rules, and act.
    Serve,
    /// Write a commented configuration and the shipped rules into a directory.
    Init(init::Init),
    /// Say everything that is wrong with the configuration and the rules.
    Check(check::Check),
    /// Run the tests of the rules, and name the rules that no test fires.
    Test(test::Test),
    /// Say which rules fire and, for each that does not, why: of a made-up event, or of a customer of a running server.
    Explain(explain::Explain),
    /// Say who would have got what by edited rules, from the recorded history. Never sends anything.
    Backtest(backtest::Backtest),
    /// Print a JSON Schema, with which an editor completes and checks rules, rule tests or the configuration.
    Schema(schema::Schema),
    /// Draw the rules as a state diagram.
    Graph(graph::Graph),
    /// Load the rules of a running server anew.
    Reload,
    /// What a running server is doing.
    Status,
    /// The jobs of a running server, newest first.
    Jobs(jobs::Jobs),
    /// The jobs that a person must look at.
    Problems(jobs::Problems),
    /// Try problems again, at once: by their ids, or all that have something in common.
    Retry(bulk::Chosen),
    /// Give jobs up, so that they never go: by their ids, or all problems that have something in common.
    Drop(bulk::Chosen),
    /// Stop a rule from acting, or a channel from sending, until it is resumed.
    Pause(govern::Pause),
    /// Let a paused rule or channel go on, or accept a clock that has jumped.
    Resume(govern::Resume),
    /// Show for whom a rule's time had passed before it was live, and let it act for them once.
    Backlog(govern::Backlog),
    /// Ask the provider's API now: about a customer, or about all whose callbacks have waited too long.
    Refresh(refresh::Refresh),
    /// Look at everything that the service needs: the relay, the sender's domain, the provider, the shop, targets, the disk.
    /// Sends nothing.
    Doctor(doctor::Doctor),
    /// Mails: try the transport.
    #[command(subcommand)]
    Email(email::Email),
    /// Whom to write to: import, export and show customers.
    #[command(subcommand)]
    Customers(customers::Customers),
    /// Print the hash that the provider sends for a customer, or a whole signed callback.
    Sign(sign::Sign),
    /// Print a script that completes commands in a shell.
    Completions(printed::Completions),
    /// Print the manual page.
    Man(printed::Man),
}

impl Cli {
    /// Runs the command, and says how it went.
    pub fn run(self) -> ExitCode {
        // A panic that becomes an error of a command is said once, as this error.
        let standard = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if !stack::is_caught() {
                standard(panic);
            }
        }));
        let mut output = Output::new(self.json);
        let done = self.dispatch(&mut output);
        let written = output.flush();
        // Of two failures the command's own is the exit code; that it could not be said is said all the same.
        let failures: Vec<Failure> = [done, written].into_iter().filter_map(Result::err).collect();
        failures.iter().for_each(|failure| output.complain(failure));
        failures.first().map_or(Exit::Ok, |failure| failure.exit).code()
    }

    /// What clap says instead of a command: help, the version, or what is wrong with the arguments.
    pub fn told(error: &clap::Error) -> ExitCode {
        let json = std::env::args_os().any(|argument| argument == "--json");
        let mut output = Output::new(json);
        if !error.use_stderr() {
            output.raw(error.render().to_string().as_bytes());
            return match output.flush() {
                Ok(()) => Exit::Ok.code(),
                Err(failure) => {
                    output.complain(&failure);
                    failure.exit.code()
                }
            };
        }
        if json {
            output.complain(&Failure::new(Exit::Usage, error.render().to_string().trim_end()));
        } else {
            // With its colours, where there is a terminal; where it can't be written, there is nobody to tell.
            let _ = error.print();
        }
        Exit::Usage.code()
    }

    fn dispatch(self, output: &mut Output) -> Result<(), Failure> {
        let config = self.config.as_deref();
        match self.command {
            Command::Demo(demo) => demo.run(output),
            Command::Serve => serve::run(config),
            Command::Init(init) => init.run(output),
            Command::Check(check) => check.run(config, output),
            Command::Test(test) => test.run(config, output),
            Command::Explain(explain) => explain.run(config, output),
            Command::Backtest(backtest) => backtest.run(config, output),
            Command::Schema(schema) => schema.run(config, output),
            Command::Graph(graph) => graph.run(config, output),
            Command::Reload => reload::run(config, output),
            Command::Status => status::run(config, output),
            Command::Jobs(jobs) => jobs.run(config, output),
            Command::Problems(problems) => problems.run(config, output),
            Command::Retry(chosen) => chosen.run(config, bulk::Act::Retry, output),
            Command::Drop(chosen) => chosen.run(config, bulk::Act::Drop, output),
            Command::Pause(pause) => pause.run(config, output),
            Command::Resume(resume) => resume.run(config, output),
            Command::Backlog(backlog) => backlog.run(config, output),
            Command::Refresh(refresh) => refresh.run(config, output),
            Command::Doctor(doctor) => doctor.run(config, output),
            Command::Email(email) => email.run(config, output),
            Command::Customers(customers) => customers.run(config, output),
            Command::Sign(sign) => sign.run(config, output),
            Command::Completions(completions) => completions.run(output),
            Command::Man(man) => man.run(output),
        }
    }
}
