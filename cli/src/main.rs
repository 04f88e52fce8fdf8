//! `pravega`: scopes, streams, segments, groups, tables and transactions of a Pravega cluster, at a
//! terminal.
//!
//! Data goes to stdout, everything else to stderr, and the exit code says what kind of thing went
//! wrong; `pravega help` lists the codes.

// Doc comments of arguments are help texts, in which brackets mean that something may be left out.
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
  2  the command line is wrong
  3  what is named does not exist
  4  a condition does not hold: it exists already, is sealed, is not empty
  5  the cluster cannot be reached, or does not answer in time
  6  not authenticated, or not permitted

Settings come from the query of the URL, then from the environment; `pravega doctor` shows all of them.";

/// Works with a Pravega cluster.
#[derive(Debug, Parser)]
#[command(name = "pravega", version, about, after_help = AFTER_HELP, max_term_width = 110)]
struct Arguments {
    /// The controllers, tcp://HOST:PORT[,HOST:PORT][?SETTING=VALUE]; also tls://, pravega:// and
    /// pravegas://
    #[arg(
        long,
        global = true,
        env = "PRAVEGA_CONTROLLER_URI",
        default_value = "tcp://localhost:9090",
        value_name = "URL"
    )]
    controller: String,

    /// How data is written to stdout
    #[arg(short, long, global = true, value_enum, default_value_t = Format::Text)]
    output: Format,

    /// Says on stderr what is done; twice for every detail
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    verbose: u8,

    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Makes, lists and removes scopes
    #[command(subcommand)]
    Scope(scope::Command),
    /// Makes, lists, changes, scales, truncates, seals and removes streams
    #[command(subcommand)]
    Stream(stream::Command),
    /// Writes events to a stream: the lines of a file or of stdin, or what stands behind lengths
    #[command(after_help = write::AFTER_HELP)]
    Write(write::Arguments),
    /// Reads the events of a stream: from its head, its tail, a cut, an event or a time, to where
    /// it ends now or for ever
    #[command(after_help = read::AFTER_HELP)]
    Read(read::Arguments),
    /// Writes and reads byte streams, which have no events
    #[command(subcommand)]
    Bytes(bytes::Command),
    /// Works with stream cuts, which are places in a stream
    #[command(subcommand)]
    Cut(cut::Command),
    /// Looks at single segments
    #[command(subcommand)]
    Segment(segment::Command),
    /// Lists and describes reader groups
    #[command(subcommand)]
    Group(group::Command),
    /// Makes, lists and removes key-value tables
    #[command(subcommand)]
    Table(table::Command),
    /// Begins, writes, looks at and ends transactions
    #[command(subcommand)]
    Txn(txn::Command),
    /// Shows the main job from end to end on a server of its own: events written with keys, scaled,
    /// read back and checked
    Demo(demo::Arguments),
    /// Starts a Pravega on this machine, in this process; without a folder it forgets everything
    /// when it ends
    #[command(after_help = dev::AFTER_HELP)]
    Dev(dev::Arguments),
    /// Checks, step by step, whether the cluster can be used from here, and says how to mend what
    /// is wrong
    Doctor(doctor::Arguments),
    /// Sends single commands to a segment store
    #[command(subcommand)]
    Wire(wire::Command),
    /// Prints completions for a shell
    Completions(completions::Arguments),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    start_log(arguments.verbose);
    let runtime =
        match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
            Ok(runtime) => runtime,
            Err(error) => return Failure::other(format!("no runtime: {error}")).report(),
        };
    let code = match runtime.block_on(run(arguments)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    };
    // Whatever is still under way was given up by now.
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
            "info,pravega_sdk_controller_client=debug,pravega_sdk_connection_pool=debug,pravega_sdk_segment_client=debug,pravega_sdk_event_stream=debug"
        }
        _ => "trace",
    };
    let filter = tracing_subscriber::EnvFilter::new(level);
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
}
