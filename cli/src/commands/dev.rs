//! `pravega dev`

use std::{io::Write as _, path::PathBuf};

use pravega_sdk::embedded::EmbeddedServer;

use crate::{
    context::Context,
    failure::{Failure, Result, with_causes},
    parse,
};

/// Where clients look for a controller unless they are told otherwise.
const USUAL_PORT: u16 = 9090;

pub(crate) const AFTER_HELP: &str = "\
Clients for Java and Rust use it as they use any Pravega. Ctrl-C ends it, after what is under way is done.

Examples:
  pravega dev
  pravega dev --port 19090 --dir data";

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The port of the controller; 0 takes any that is free
    #[arg(long, default_value_t = USUAL_PORT)]
    port: u16,
    /// The port of the REST interface, to look at what there is; 0 takes any that is free [default:
    /// the one behind --port]
    #[arg(long, value_name = "PORT")]
    rest_port: Option<u16>,
    /// Keeps everything in this folder; it is made if need be
    #[arg(long, value_name = "FOLDER")]
    dir: Option<PathBuf>,
    /// How much the segments may hold in memory, with K, M, G or T for powers of 1024
    #[arg(long, value_parser = parse::bytes, default_value = "1G", value_name = "BYTES")]
    memory: u64,
}

pub(crate) async fn run(arguments: Arguments, context: &mut Context) -> Result<()> {
    let output = &mut context.output;
    // Where Pravega has it: 9091 behind 9090.
    let behind = if arguments.port == 0 { 0 } else { arguments.port.checked_add(1).unwrap_or(0) };
    let mut builder = EmbeddedServer::builder()
        .with_port(arguments.port)
        .with_rest_port(arguments.rest_port.unwrap_or(behind))
        .with_memory_limit(arguments.memory);
    let place = match &arguments.dir {
        Some(folder) => format!("kept in {}", folder.display()),
        None => "in memory".to_owned(),
    };
    if let Some(folder) = arguments.dir {
        builder = builder.with_directory(folder);
    }
    let server = builder.start().await.map_err(|error| Failure::other(with_causes(&error)))?;
    let url = server.url();
    // Other ports than the usual one have to be said.
    let option =
        if server.port() == USUAL_PORT { String::new() } else { format!(" --controller {url}") };
    output.raw(
        format!(
            "ready  {url}   {place}\n\
             look   http://127.0.0.1:{}/v1/scopes\n\
             try    pravega{option} scope create demo\n       \
             pravega{option} stream create demo/hello\n       \
             echo hi | pravega{option} write demo/hello\n       \
             pravega{option} read demo/hello\n",
            server.rest_port().unwrap_or_default()
        )
        .as_bytes(),
    )?;
    std::io::stdout().flush().ok();
    stop_asked_for().await.map_err(|error| Failure::other(format!("no signals: {error}")))?;
    output.status("ending, after what is under way; Ctrl-C once more ends it at once");
    tokio::select! {
        () = server.shutdown() => Ok(()),
        stopped = stop_asked_for() => stopped.map_err(|error| Failure::other(format!("no signals: {error}"))),
    }
}

/// Waits for Ctrl-C, or for what a service manager sends.
async fn stop_asked_for() -> std::io::Result<()> {
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::select! {
        stopped = tokio::signal::ctrl_c() => stopped,
        _ = terminate.recv() => Ok(()),
    }
}
