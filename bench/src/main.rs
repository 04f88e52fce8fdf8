//! Benchmarks that are programs; `README.md` beside this crate shows what each measures and how to
//! read it.

mod client;
mod compare;
mod elsewhere;
mod entries;
mod event_source;
mod group_settle;
mod histogram;
mod raw_client;
mod scope_deletion;
mod scripted;
mod servers;
mod soak;
mod table_worker;
mod tool_server;
mod work;
mod worker;

use anyhow::{Result, bail, ensure};
use pravega_sdk_segment_client::seeded_bugs;

const USAGE: &str = "\
usage: raw-client [SECONDS]
       compare [--controller URI | --embedded] [--json] [--rounds N] [--seconds S]
               [--only PART_OF_A_CASE] [--mib N] [--beside PROGRAM]
       servers [NAME=URL]... [--embedded] [--durable] [--rounds N] [--seconds S] [--mib N]
               [--only PART_OF_A_CASE]
       server-size
       scope-deletion [--streams N[,N]...]
       group-settle [--controller URI] [--readers N] [--segments N] [--delay SECONDS]
       soak [--minutes M] [--dir] [--memory BYTES] [--clients N] [--only PART_OF_A_KIND]
       elsewhere [--seconds S] [--gib N] [--warm-mib N] [--cold-mib N] [--data FOLDER]
                 [--out FOLDER] [--only PART_OF_A_CASE] [--system PART_OF_A_NAME]
       elsewhere-keep [--gb N] [--memory BYTES] [--streams N] [--data FOLDER] [--out FOLDER]
       ack-delay [--json] [--rounds N] [--seconds S] [--only PART_OF_A_CASE] [--beside PROGRAM]";

fn main() -> Result<()> {
    // Silent unless RUST_LOG says otherwise.
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .with_writer(std::io::stderr)
        .init();
    ensure!(
        !seeded_bugs::IS_ENABLED,
        "this build contains test code of the simulation; build it without the simulation in the \
         same command: cargo build --release -p pravega-sdk-bench"
    );
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["raw-client"] => raw_client::run(5),
        ["raw-client", seconds] => raw_client::run(seconds.parse()?),
        ["compare", ref options @ ..] => {
            compare::against_a_server(&compare::Options::parse(options)?)
        }
        ["ack-delay", ref options @ ..] => compare::ack_delay(&compare::Options::parse(options)?),
        ["servers", ref options @ ..] => servers::run(&servers::Options::parse(options)?),
        ["server-size"] => servers::size(),
        ["scope-deletion", ref options @ ..] => {
            scope_deletion::run(&scope_deletion::Options::parse(options)?)
        }
        ["group-settle", ref options @ ..] => {
            group_settle::run(&group_settle::Options::parse(options)?)
        }
        ["soak", ref options @ ..] => soak::run(&soak::Options::parse(options)?),
        ["elsewhere", ref options @ ..] => elsewhere::run(&elsewhere::Options::parse(options)?),
        ["elsewhere-keep", ref options @ ..] => {
            elsewhere::keep(&elsewhere::KeepOptions::parse(options)?)
        }
        ["elsewhere-worker", ref work @ ..] => elsewhere::worker(work),
        ["soak-echo"] => soak::echo(),
        ["soak-attack", ref arguments @ ..] => soak::attack(arguments),
        ["worker", ref work @ ..] => worker::run(work),
        _ => bail!("{USAGE}"),
    }
}
