//! `pravega`: the command-line tool for scopes, streams, segments, groups, tables and transactions
//! of a Pravega cluster.
//!
//! Data goes to stdout, everything else to stderr. The exit code tells the kind of failure;
//! `pravega help` lists the codes.

// Doc comments of arguments are help texts, in which brackets mark what is optional.
#![allow(rustdoc::broken_intra_doc_links)]

mod access;
#[cfg(all(test, target_os = "linux"))]
#[path = "../../secret-file/tests/common/canary.rs"]
mod canary;
mod choice;
mod commands;
mod connections;
mod context;
mod contexts;
mod escape;
mod examples;
mod explain;
mod failure;
mod interrupt;
mod limits;
mod login;
mod options;
mod output;
mod parse;
mod patience;
mod resolved;
mod secret_file;
mod signal;
mod similar;
mod stop;
mod terminal;
mod verbosity;

use std::{
    env, ffi::OsString, num::NonZero, process::ExitCode, thread::available_parallelism,
    time::Duration,
};

use clap::{
    ArgMatches, CommandFactory as _, FromArgMatches as _, Parser, Subcommand,
    error::{ContextKind, ContextValue},
    parser::ValueSource,
};
use pravega_sdk::ErrorKind;

use crate::{
    access::Access,
    choice::Given,
    commands::{
        auth, backup, bytes, completions, context as contexts_command, cut, demo, dev, doctor,
        group, man, read, scope, segment, stream, table, txn, wire, write,
    },
    context::{Context, Globals},
    explain::Subjects,
    failure::{Details, Failure, Result},
    limits::Limits,
    output::Format,
    patience::Patience,
    resolved::Named,
    verbosity::Verbosity,
};

/// A server serves many clients whose messages have all sizes and live for all times. With the
/// allocator of glibc, what they free is spread over its arenas and stays there.
#[cfg(all(feature = "jemalloc", not(target_env = "msvc")))]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// The heading of the options that every command has.
const GLOBAL: &str = "Global options";

const AFTER_HELP: &str = "\
First steps:
  pravega dev                                  a server on this machine, in another terminal
  pravega write shop/orders --create           one event per line; Ctrl-D ends
  pravega read shop/orders

-h prints a short help of a command; --help prints all of it, with the options for access. Data \
is on stdout, everything else on stderr.

Exit codes:
  0  done
  1  failed; of files: one is damaged or missing
  2  usage error: an argument or a setting is invalid
  3  not found
  4  a condition does not hold: already exists, sealed, not empty, in use, …
  5  the cluster is unreachable or did not answer in time
  6  not authenticated, or permission denied
  7  invalid input: a line or an event of a file or of stdin cannot be written
  8  the server has no space left
  130, 143  stopped by SIGINT or SIGTERM; a server of `pravega dev` stops with 0

Time limits: with --timeout T, a call of a controller or a request about a segment fails after T, \
an event that is not stored after T, and reading at the first attempt that fails T after the one \
before, which is at most 40s later. A segment store that greets and answers nothing else looks to \
a follower like one without new events for 3m. The settings of the URL limit single steps.

Settings come from options, the query of the URL, the environment, then from the context; \
`pravega doctor --settings` lists them, `pravega context --help` tells of contexts.";

/// Create, write, read and inspect Pravega streams
#[derive(Debug, Parser)]
#[command(name = "pravega", version, about, after_help = AFTER_HELP, max_term_width = 110)]
struct Arguments {
    /// URL of the controllers: tcp://HOST:PORT[,HOST:PORT][?SETTING=VALUE]; also tls://, pravega://
    /// and pravegas:// [default: that of the context, or tcp://localhost:9090]
    #[arg(
        long,
        global = true,
        env = "PRAVEGA_CONTROLLER_URI",
        value_name = "URL",
        help_heading = GLOBAL
    )]
    controller: Option<String>,

    /// Context with controllers and access; '' for none [default: the current one]
    #[arg(
        long,
        global = true,
        env = "PRAVEGA_CONTEXT",
        value_name = "NAME",
        help_heading = GLOBAL
    )]
    context: Option<String>,

    /// Format of the data on stdout
    #[arg(
        short,
        long,
        global = true,
        value_enum,
        value_name = "FORMAT",
        default_value_t = Format::Text,
        help_heading = GLOBAL
    )]
    output: Format,

    /// Log the decisions of the client to stderr, and show the details of an error; -vv logs
    /// everything of the client, -vvv also of its libraries. Without it, PRAVEGA_LOG or RUST_LOG is
    /// the filter of the log
    #[arg(
        short,
        long,
        global = true,
        action = clap::ArgAction::Count,
        help_heading = GLOBAL
    )]
    verbose: u8,

    /// Fail after this long without an answer of a server [default: 1m for requests, 30s for
    /// reading, 2m for writing and following]
    #[arg(
        long,
        global = true,
        value_name = "DURATION",
        value_parser = parse::some_time,
        help_heading = GLOBAL
    )]
    timeout: Option<Duration>,

    #[command(flatten)]
    access: Access,

    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Create, list and delete scopes
    #[command(subcommand, alias = "scopes")]
    Scope(scope::Command),
    /// Create, list, update, scale, truncate, seal and delete streams
    #[command(subcommand, alias = "streams")]
    Stream(stream::Command),
    /// Write events to a stream: one per line (or length-prefixed), from a file or stdin
    #[command(after_help = write::AFTER_HELP, alias = "pub")]
    Write(write::Arguments),
    /// Read the events of a stream, from any position up to the current tail, or continuously (-f)
    #[command(after_help = read::AFTER_HELP, alias = "sub")]
    Read(read::Arguments),
    /// Write and read byte streams, which have no events
    #[command(subcommand)]
    Bytes(bytes::Command),
    /// Work with stream cuts, which are positions in a stream
    #[command(subcommand)]
    Cut(cut::Command),
    /// Inspect segments
    #[command(subcommand, alias = "segments")]
    Segment(segment::Command),
    /// Create, list, describe, checkpoint, reset, watch and delete reader groups
    #[command(subcommand, alias = "groups")]
    Group(group::Command),
    /// Create, list, describe and delete key-value tables, and work with their entries
    #[command(subcommand, alias = "tables")]
    Table(table::Command),
    /// Begin, write, inspect, commit and abort transactions
    #[command(subcommand)]
    Txn(txn::Command),
    /// Run an end-to-end demo on an embedded server: write events with keys while the stream
    /// scales, read them back and check them
    Demo(demo::Arguments),
    /// Run a Pravega server on this machine, for development; in memory unless --dir is given
    #[command(after_help = dev::AFTER_HELP)]
    Dev(dev::Arguments),
    /// Copy the folder of a server, also while `pravega dev` runs on it
    #[command(after_help = backup::AFTER_HELP)]
    Backup(backup::Arguments),
    /// Log in to a cluster and out, and show who the tool is
    #[command(subcommand, after_help = auth::AFTER_HELP)]
    Auth(auth::Command),
    /// Create, list, describe, choose and delete contexts, which name clusters and access to them
    #[command(subcommand, after_help = contexts_command::AFTER_HELP, alias = "contexts")]
    Context(contexts_command::Command),
    /// Check the connection to the cluster step by step, and suggest fixes
    Doctor(doctor::Arguments),
    /// Send single protocol commands to a segment store
    #[command(subcommand)]
    Wire(wire::Command),
    /// Print the completions of a shell; its help has how to install them
    Completions(completions::Arguments),
    /// Print the manual page of a command
    Man(man::Arguments),
}

impl Command {
    /// Returns true if it makes a few calls and shows nothing until they are done.
    fn is_short(&self) -> bool {
        match self {
            Self::Scope(_) | Self::Stream(_) | Self::Cut(_) | Self::Segment(_) => true,
            Self::Txn(command) => !matches!(command, txn::Command::Write { .. }),
            _ => false,
        }
    }

    /// The number of threads of the runtime.
    fn threads(&self) -> usize {
        match self {
            // One more than there are processors: while all of them work, the sockets are watched.
            Self::Dev(_) => available_parallelism().map_or(1, NonZero::get) + 1,
            _ => THREADS,
        }
    }
}

/// The threads of a command that serves no clients.
const THREADS: usize = 2;

/// Parses a command line. What is added to all commands for their errors and their help comes
/// second: a line that is taken does not need it.
fn matches_of<I>(line: I) -> std::result::Result<ArgMatches, clap::Error>
where
    I: IntoIterator<Item: Into<OsString> + Clone> + Clone,
{
    Arguments::command()
        .try_get_matches_from(line.clone())
        .or_else(|_| command().try_get_matches_from(line))
}

/// The command line. A negative number is a value, which the option refuses in its own words, and
/// no unknown option.
fn command() -> clap::Command {
    fn numbers_are_values(command: clap::Command) -> clap::Command {
        command
            .mut_args(|arg| {
                let takes_values = arg.get_action().takes_values();
                if takes_values { arg.allow_negative_numbers(true) } else { arg }
            })
            .mut_subcommands(numbers_are_values)
    }
    examples::added(numbers_are_values(Arguments::command()))
}

fn main() -> ExitCode {
    let line: Vec<OsString> = env::args_os().collect();
    let mut matches = matches_of(line).unwrap_or_else(|error| refused(error).exit());
    let (named, subjects) = (named(&matches), Subjects::of(&matches));
    let checked = options::check(&matches);
    let arguments =
        Arguments::from_arg_matches_mut(&mut matches).unwrap_or_else(|error| error.exit());
    let verbosity = Verbosity::of(arguments.verbose);
    let details = if verbosity.is_verbose() { Details::Shown } else { Details::Hidden };
    if let Err(failure) = checked {
        return failure.report(details);
    }
    verbosity::start_log(arguments.verbose);
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = match runtime.worker_threads(arguments.command.threads()).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            return Failure::other(format!("cannot start the runtime: {error}")).report(details);
        }
    };
    let code = match runtime.block_on(run(arguments, named, &subjects)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(details),
    };
    // Tasks that still run have nothing left to report.
    runtime.shutdown_background();
    code
}

/// The error of a command line. Its usage is without the options that every command has.
fn refused(mut error: clap::Error) -> clap::Error {
    let usage = error.get(ContextKind::Usage).map(ToString::to_string).unwrap_or_default();
    let shown = without_globals(&usage);
    if shown != usage {
        error.insert(ContextKind::Usage, ContextValue::StyledStr(shown.into()));
    }
    error
}

fn without_globals(usage: &str) -> String {
    let globals = [" --controller <URL>", " --context <NAME>", " --output <FORMAT>"];
    globals.iter().fold(usage.to_owned(), |usage, option| usage.replace(option, ""))
}

/// What names the cluster, with options and variables apart.
fn named(matches: &ArgMatches) -> Named {
    let given = |id: &str| {
        let value = matches.get_one::<String>(id).cloned();
        match matches.value_source(id) {
            Some(ValueSource::EnvVariable) => Given { option: None, variable: value },
            _ => Given { option: value, variable: None },
        }
    };
    let mut controller = given("controller");
    // An empty URL is as one that is not set; an empty context means none.
    controller.variable = controller.variable.filter(|url| !url.trim().is_empty());
    Named { controller, context: given("context") }
}

/// Runs the command. If it does not find something, its failure says what exists.
async fn run(arguments: Arguments, named: Named, subjects: &Subjects) -> Result<()> {
    let Arguments { output, verbose, timeout, access, command, .. } = arguments;
    let globals =
        Globals { limits: Limits::new(timeout), format: output, verbosity: Verbosity::of(verbose) };
    let context = &mut Context::new(named, access, globals);
    let patience = command.is_short().then(|| Patience::new(globals.limits.call()));
    let done = Box::pin(run_command(command, context)).await;
    drop(patience);
    let Err(failure) = done else { return done };
    let failure = failure.with_hint_for(ErrorKind::Unauthenticated, || context.unauthenticated());
    Err(Box::pin(explain::explain(failure, subjects, context)).await)
}

async fn run_command(command: Command, context: &mut Context) -> Result<()> {
    match command {
        Command::Scope(command) => scope::run(command, context).await,
        Command::Stream(command) => stream::run(command, context).await,
        Command::Write(arguments) => write::run(arguments, context).await,
        Command::Read(arguments) => read::run(arguments, context).await,
        Command::Bytes(command) => bytes::run(command, context).await,
        Command::Cut(command) => cut::run(command, context).await,
        Command::Segment(command) => segment::run(command, context).await,
        Command::Group(command) => group::run(command, context).await,
        Command::Table(command) => table::run(command, context).await,
        Command::Txn(command) => txn::run(command, context).await,
        Command::Demo(arguments) => demo::run(arguments, context).await,
        Command::Dev(arguments) => dev::run(arguments, context).await,
        Command::Backup(arguments) => backup::run(arguments, context).await,
        Command::Auth(command) => auth::run(command, context).await,
        Command::Context(command) => contexts_command::run(command, context).await,
        Command::Doctor(arguments) => doctor::run(arguments, context).await,
        Command::Wire(command) => wire::run(command, context).await,
        Command::Man(arguments) => man::run(&arguments, self::command(), context),
        Command::Completions(arguments) => completions::run(&arguments, self::command(), context),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_negative_number_is_refused_as_a_value_and_not_as_an_option() {
        for arguments in [
            &["stream", "create", "s/t", "--segments", "-1"][..],
            &["stream", "scale", "s/t", "--to", "-1"],
            &["read", "s/t", "--count", "-1"],
            &["write", "s/t", "--max-event-bytes", "-1"],
            &["bytes", "get", "s/t", "--offset", "-1"],
            &["bytes", "truncate", "s/t", "-1"],
            &["dev", "--port", "-1"],
        ] {
            let arguments = [&["pravega"], arguments].concat();
            let error = matches_of(&arguments).unwrap_err();
            assert_eq!(error.kind(), clap::error::ErrorKind::ValueValidation, "{arguments:?}");
        }
    }

    #[test]
    fn options_are_told_from_variables_before_and_after_a_command() {
        for arguments in [
            &["pravega", "--controller", "tcp://h:1", "--context", "a", "scope", "list"][..],
            &["pravega", "scope", "list", "--controller", "tcp://h:1", "--context", "a"],
        ] {
            let named = named(&matches_of(arguments).unwrap());
            assert_eq!(named.controller.option.as_deref(), Some("tcp://h:1"), "{arguments:?}");
            assert_eq!(named.context.option.as_deref(), Some("a"), "{arguments:?}");
            assert_eq!((named.controller.variable, named.context.variable), (None, None));
        }
    }

    #[test]
    fn global_options_are_last_in_every_help_and_those_for_access_only_in_long_ones() {
        for arguments in
            [&["pravega", "write", "--help"][..], &["pravega", "stream", "create", "-h"]]
        {
            let help = matches_of(arguments).unwrap_err().to_string();
            let place = |text: &str| help.find(text).unwrap_or_else(|| panic!("{text}: {help}"));
            assert!(place("\nOptions:") < place("\nGlobal options:"), "{help}");
            assert!(place("\nGlobal options:") < place("--controller"), "{help}");
            let is_long = arguments.contains(&"--help");
            assert_eq!(help.contains("--keycloak-file"), is_long, "{help}");
        }
    }

    #[test]
    fn the_usage_of_an_error_has_no_global_options() {
        let line = "pravega --controller tcp://h:1 --context c write s/t --json --length-prefixed";
        let error = matches_of(line.split(' ')).unwrap_err();
        let text = refused(error).to_string();
        assert!(text.contains("Usage: pravega write"), "{text}");
        assert!(!text.contains("--controller") && !text.contains("--context"), "{text}");
        let usage = "Usage: pravega read --controller <URL> --count <COUNT> <STREAM>";
        assert_eq!(without_globals(usage), "Usage: pravega read --count <COUNT> <STREAM>");
    }

    #[test]
    fn short_and_other_names_of_commands_are_taken() {
        for line in [
            "scope ls",
            "stream ls s",
            "stream rm s/t",
            "stream info s/t",
            "streams list s",
            "group ls s",
            "group rm s/g",
            "table info s/t",
            "table rm s/t",
            "txn ls s/t",
            "context ls",
            "context rm c",
            "segment ls s/t",
            "bytes info s/t",
            "pub s/t",
            "sub s/t",
        ] {
            let words = ["pravega"].into_iter().chain(line.split(' '));
            assert!(matches_of(words).is_ok(), "{line}");
        }
    }

    #[test]
    fn the_command_line_is_consistent() {
        command().debug_assert();
    }
}
