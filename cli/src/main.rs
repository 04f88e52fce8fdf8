//! `pravega`: the command-line tool for scopes, streams, segments, groups, tables and transactions
//! of a Pravega cluster.
//!
//! Data goes to stdout, everything else to stderr. The exit code tells the kind of failure;
//! `pravega help` lists the codes.

// Doc comments of arguments are help texts, in which brackets mark what is optional.
#![allow(rustdoc::broken_intra_doc_links)]

mod commands;
mod context;
mod failure;
mod output;
mod parse;

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};

use crate::{
    commands::{
        bytes, completions, cut, demo, dev, doctor, group, read, scope, segment, stream, table,
        txn, wire, write,
    },
    context::Context,
    failure::{Failure, Result},
    output::Format,
};

const AFTER_HELP: &str = "\
Exit codes:
  0  done
  1  failed
  2  usage error: an argument or a setting is invalid
  3  not found
  4  a condition does not hold: already exists, sealed, not empty, …
  5  the cluster is unreachable or did not answer in time
  6  not authenticated, or permission denied

Settings come from the query of the URL, then from the environment; \
`pravega doctor --settings` lists them.";

/// Create, write, read and inspect Pravega streams
#[derive(Debug, Parser)]
#[command(name = "pravega", version, about, after_help = AFTER_HELP, max_term_width = 110)]
struct Arguments {
    /// URL of the controllers: tcp://HOST:PORT[,HOST:PORT][?SETTING=VALUE]; also tls://, pravega://
    /// and pravegas://
    #[arg(
        long,
        global = true,
        env = "PRAVEGA_CONTROLLER_URI",
        default_value = "tcp://localhost:9090",
        value_name = "URL"
    )]
    controller: String,

    /// Format of the data on stdout
    #[arg(short, long, global = true, value_enum, default_value_t = Format::Text)]
    output: Format,

    /// Log to stderr; -vv logs every detail
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    verbose: u8,

    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Create, list and delete scopes
    #[command(subcommand)]
    Scope(scope::Command),
    /// Create, list, update, scale, truncate, seal and delete streams
    #[command(subcommand)]
    Stream(stream::Command),
    /// Write events to a stream: one per line (or length-prefixed), from a file or stdin
    #[command(after_help = write::AFTER_HELP)]
    Write(write::Arguments),
    /// Read the events of a stream, from any position up to the current tail, or continuously (-f)
    #[command(after_help = read::AFTER_HELP)]
    Read(read::Arguments),
    /// Write and read byte streams, which have no events
    #[command(subcommand)]
    Bytes(bytes::Command),
    /// Work with stream cuts, which are positions in a stream
    #[command(subcommand)]
    Cut(cut::Command),
    /// Inspect segments
    #[command(subcommand)]
    Segment(segment::Command),
    /// Create, list, describe and delete reader groups
    #[command(subcommand)]
    Group(group::Command),
    /// Create, list, describe and delete key-value tables
    #[command(subcommand)]
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
    /// Check the connection to the cluster step by step, and suggest fixes
    Doctor(doctor::Arguments),
    /// Send single protocol commands to a segment store
    #[command(subcommand)]
    Wire(wire::Command),
    /// Print completions for a shell
    Completions(completions::Arguments),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    start_log(arguments.verbose);
    let runtime =
        match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
            Ok(runtime) => runtime,
            Err(error) => {
                return Failure::other(format!("cannot start the runtime: {error}")).report();
            }
        };
    let code = match runtime.block_on(run(arguments)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    };
    // Tasks that still run have nothing left to report.
    runtime.shutdown_background();
    code
}

async fn run(arguments: Arguments) -> Result<()> {
    let context = &mut Context::new(arguments.controller, arguments.output);
    match arguments.command {
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
        Command::Doctor(arguments) => doctor::run(arguments, context).await,
        Command::Wire(command) => wire::run(command, context).await,
        Command::Completions(arguments) => {
            completions::run(&arguments, Arguments::command(), context)
        }
    }
}

fn start_log(verbose: u8) {
    let level = match verbose {
        0 => return,
        1 => {
            "info,pravega_sdk_controller_client=debug,pravega_sdk_connection_pool=debug,\
             pravega_sdk_segment_client=debug,pravega_sdk_event_stream=debug"
        }
        _ => "trace",
    };
    let filter = tracing_subscriber::EnvFilter::new(level);
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
}
