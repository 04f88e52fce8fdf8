//! `pravega`: scopes, streams, segments, groups, tables and transactions of a Pravega cluster, at a
//! terminal.
//!
//! Data goes to stdout, everything else to stderr, and the exit code says what kind of thing went
//! wrong; `pravega help` lists the codes.

// Doc comments of arguments are help texts, in which brackets mean that something may be left out.
#![allow(rustdoc::broken_intra_doc_links)]

mod commands;
mod failure;
mod output;
mod parse;

use std::{process::ExitCode, time::Duration};

use clap::{CommandFactory as _, Parser, Subcommand};
use pravega_sdk::{ClientConfig, ClientFactory};

use crate::{
    commands::{
        bytes, cut, demo, dev, doctor, group, read, scope, segment, stream, table, txn, wire, write,
    },
    failure::{Failure, Result},
    output::{Format, Output},
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

const WRITE_HELP: &str = "\
Events of the same key stay in order; those without a key go anywhere. An event counts as written once it is durable.

Examples:
  pravega write shop/orders --file orders.txt
  tail -f log | pravega write shop/log --key-separator ' '
  pravega write shop/orders --file orders.jsonl --key-field customer";

const READ_HELP: &str = "\
Events of the same key come in the order in which they were written.

Examples:
  pravega read shop/orders --follow
  pravega read shop/orders --ago 2h --format '{segment} {offset} {event}'
  pravega read shop/orders --count 100 --show-cut        and then: --from CUT";

const DEV_HELP: &str = "\
Clients for Java and Rust use it as they use any Pravega. Ctrl-C ends it, after what is under way is done.

Examples:
  pravega dev
  pravega dev --port 19090 --dir data";

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
    #[command(after_help = WRITE_HELP)]
    Write(write::Arguments),
    /// Reads the events of a stream: from its head, its tail, a cut, an event or a time, to where
    /// it ends now or for ever
    #[command(after_help = READ_HELP)]
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
    #[command(after_help = DEV_HELP)]
    Dev(dev::Arguments),
    /// Checks, step by step, whether the cluster can be used from here, and says how to mend what
    /// is wrong
    Doctor(doctor::Arguments),
    /// Sends single commands to a segment store
    #[command(subcommand)]
    Wire(wire::Command),
    /// Prints completions for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
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
    let mut output = Output::new(arguments.output);
    let command = match arguments.command {
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Arguments::command(), "pravega", &mut script);
            return output.raw(&script);
        }
        Command::Demo(demo) => return demo::run(demo, &mut output).await,
        Command::Dev(dev) => return dev::run(dev, &mut output).await,
        Command::Doctor(doctor) => {
            return doctor::run(doctor, &arguments.controller, &mut output).await;
        }
        Command::Wire(wire::Command::List) => return wire::list(&mut output),
        other => other,
    };
    let factory = ClientFactory::with_config(config(&arguments.controller)?).await?;
    let controller = factory.controller();
    match command {
        Command::Scope(command) => scope::run(command, controller, &mut output).await,
        Command::Stream(command) => stream::run(command, controller, &mut output).await,
        Command::Write(arguments) => write::run(arguments, &factory, &mut output).await,
        Command::Read(arguments) => read::run(arguments, &factory, &mut output).await,
        Command::Bytes(command) => bytes::run(command, &factory, &mut output).await,
        Command::Cut(command) => cut::run(command, &factory, &mut output).await,
        Command::Segment(command) => segment::run(command, &factory, &mut output).await,
        Command::Group(command) => group::run(command, controller, &mut output).await,
        Command::Table(command) => table::run(command, controller, &mut output).await,
        Command::Txn(command) => txn::run(command, &factory, &mut output).await,
        Command::Wire(command) => wire::run(command, &factory, &mut output).await,
        Command::Demo(_) | Command::Dev(_) | Command::Doctor(_) | Command::Completions { .. } => {
            Ok(())
        }
    }
}

/// A person waits at the terminal, so it gives up sooner than a program would.
fn config(url: &str) -> Result<ClientConfig> {
    Ok(ClientConfig::from_url(url)?.with_default_retry(
        5,
        Duration::from_millis(1),
        Duration::from_secs(1),
    ))
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
