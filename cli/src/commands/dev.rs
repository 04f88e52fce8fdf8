//! `pravega dev`

mod check;
mod security;
mod tokens;

use std::{
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use pravega_sdk::embedded::{EmbeddedServer, OpenProblem, StartError};

use self::security::Secured;
use super::{
    folder::{DAMAGED, codes, kind_of_start},
    salvage,
};
use crate::{
    context::Context,
    failure::{Failure, Result, with_causes},
    output::status,
    parse,
    stop::Stop,
};

/// The port on which clients expect a controller by default.
const DEFAULT_PORT: u16 = 9090;

pub(crate) const AFTER_HELP: &str = concat!(
    "\
Java and Rust clients use it like any Pravega cluster. \
Ctrl-C ends it after requests in progress are done.

",
    codes!(),
    "

Examples:
  pravega dev
  pravega dev --port 19090 --dir data
  pravega dev --tls --auth
  pravega dev --auth --realm https://id.example.com/realms/shop --audience pravega-controller
  pravega dev --check data
  pravega dev --salvage data data-new"
);

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Port of the controller; 0 picks a free one
    #[arg(long, default_value_t = DEFAULT_PORT)]
    port: u16,
    /// Port of the REST interface to scopes, streams and reader groups; 0 picks a free one
    /// [default: the port after --port]
    #[arg(long, value_name = "PORT")]
    rest_port: Option<u16>,
    /// Keep all data in this folder, which is created if it does not exist
    #[arg(long, value_name = "FOLDER")]
    dir: Option<PathBuf>,
    /// Serve TLS with `server.crt` and `server.key` of this folder, and nothing without it. If
    /// neither exists, both are made; clients trust the first one [default folder: pravega-tls]
    #[arg(
        long,
        value_name = "FOLDER",
        num_args = 0..=1,
        default_missing_value = security::FOLDER
    )]
    tls: Option<PathBuf>,
    /// Let in only the accounts of this file, which the Java server can use as well; changes are
    /// followed. If it does not exist, it is made with the account `admin`, whose password is
    /// printed [default file: pravega-accounts]
    #[arg(
        long,
        value_name = "FILE",
        num_args = 0..=1,
        default_missing_value = security::FILE
    )]
    auth: Option<PathBuf>,
    /// Sign delegation tokens with the key of this file, which several servers may have and which
    /// outlives them: random text of 32 bytes or more, which only its owner may read. If it does
    /// not exist, it is made [default: a key of this process]
    #[arg(long, value_name = "FILE", requires = "auth")]
    token_key: Option<PathBuf>,
    #[command(flatten)]
    tokens: tokens::TokenArguments,
    /// Check every byte of a folder of --dir instead of starting a server, and change nothing. It
    /// tells which files are damaged and which segments have bytes there, and whether a server
    /// would start
    #[arg(
        long,
        value_name = "FOLDER",
        conflicts_with_all = [
            "dir", "port", "rest_port", "memory", "disk", "salvage", "tls", "auth", "token_key",
            "realm", "jwks"
        ]
    )]
    check: Option<PathBuf>,
    /// Memory limit, with K, M, G or T for powers of 1024. Without --dir it limits the data of all
    /// streams: at the limit writes are refused until streams are truncated or deleted. With --dir
    /// there may be more events than that; tables, and the index of streams and segments, must fit
    #[arg(long, value_parser = memory, default_value = "1G", value_name = "BYTES")]
    memory: u64,
    /// Disk limit for the folder of --dir, with K, M, G or T for powers of 1024 [default: what its
    /// file system has]. A part of it (35M of 200M, at most 164M) is for freeing space: when the
    /// rest is used, writes are refused until streams are truncated or deleted
    #[arg(long, value_parser = disk, value_name = "BYTES", requires = "dir")]
    disk: Option<u64>,
    /// Start no server: write what can be read of the damaged folder DIR to a folder NEW, and list
    /// what is missing: if anything is, it ends with 1. DIR is not changed. Segments keep their
    /// offsets: where bytes are missing, a read fails, and `pravega stream truncate` moves the head
    /// of the stream beyond them
    #[arg(
        long,
        num_args = 2,
        value_names = ["DIR", "NEW"],
        conflicts_with_all = [
            "port", "rest_port", "dir", "memory", "tls", "auth", "token_key", "realm", "jwks"
        ]
    )]
    salvage: Option<Vec<PathBuf>>,
}

/// With less there is hardly a stream.
const LEAST_MEMORY: u64 = 1 << 20;

fn memory(text: &str) -> std::result::Result<u64, String> {
    let bytes = parse::bytes(text)?;
    if bytes < LEAST_MEMORY {
        return Err(format!("{text} is too little for streams; at least 1M"));
    }
    Ok(bytes)
}

/// With less the operator is warned: the memory of a few connections is a large part of it.
const LITTLE_MEMORY: u64 = 32 << 20;

/// The warning of a start with little memory.
fn little_memory(bytes: u64) -> Option<String> {
    (bytes < LITTLE_MEMORY).then(|| {
        format!(
            "warning: a memory limit of {bytes} bytes is little: large events, tables and many \
             streams are refused; --memory 32M or more is enough for most"
        )
    })
}

/// With less there is hardly a file.
const LEAST_DISK: u64 = 32 << 20;

fn disk(text: &str) -> std::result::Result<u64, String> {
    let bytes = parse::bytes(text)?;
    if bytes < LEAST_DISK {
        return Err(format!("{text} is too little for a folder of data; at least 32M"));
    }
    Ok(bytes)
}

pub(crate) async fn run(arguments: Arguments, context: &mut Context) -> Result<()> {
    if let Some([from, to]) = arguments.salvage.as_deref() {
        return salvage::run(from, to, context).await;
    }
    if let Some(folder) = arguments.check {
        return check::run(folder, context).await;
    }
    if arguments.port != 0 && arguments.rest_port == Some(arguments.port) {
        let text = format_args!("--port and --rest-port are both {}", arguments.port);
        let hint = "without --rest-port it is the port after --port; 0 picks a free one";
        return Err(Failure::usage(text).with_hint(hint));
    }
    let ca = context.ca().map(Path::to_owned);
    let output = &mut context.output;
    // As in Pravega, where it is 9091 beside 9090.
    let next_port =
        if arguments.port == 0 { 0 } else { arguments.port.checked_add(1).unwrap_or(0) };
    let mut builder = EmbeddedServer::builder()
        .with_port(arguments.port)
        .with_rest_port(arguments.rest_port.unwrap_or(next_port))
        .with_memory_limit(arguments.memory);
    let storage = match &arguments.dir {
        Some(folder) => format!("kept in {}", folder.display()),
        None => "in memory".to_owned(),
    };
    if let Some(folder) = arguments.dir {
        builder = builder.with_directory(folder);
    }
    if let Some(limit) = arguments.disk {
        builder = builder.with_disk_limit(limit);
    }
    if let Some(file) = &arguments.token_key {
        builder = security::with_token_key(builder, file)?;
    }
    let told = arguments.tokens.told();
    if let Some(jwt) = arguments.tokens.accounts(arguments.auth.is_some(), ca.as_deref())? {
        builder = builder.with_jwt_accounts(jwt);
    }
    let (builder, secured) = Secured::prepare(builder, arguments.tls, arguments.auth)?;
    let server = builder.start().await.map_err(unusable)?;
    if let Some(warning) = little_memory(arguments.memory) {
        output.status(warning);
    }
    let stop = Stop::listen(|| status("shutting down; press Ctrl-C again to quit now"))?;
    let url = server.url();
    // Clients need the URL only if it is not the default one.
    let is_default = server.port() == DEFAULT_PORT && !secured.has_tls();
    let option = if is_default { String::new() } else { format!(" --controller {url}") };
    output.raw(
        format!(
            "ready  {url}   {storage}\n\
             rest   {}://127.0.0.1:{}/v1/scopes\n\
             {secured}{}\
             try    pravega{option} scope create demo\n       \
             pravega{option} stream create demo/hello\n       \
             echo hi | pravega{option} write demo/hello\n       \
             pravega{option} read demo/hello\n",
            secured.rest_scheme(),
            server.rest_port().unwrap_or_default(),
            told.unwrap_or_default()
        )
        .as_bytes(),
    )?;
    io::stdout().flush().ok();
    stop.requested().await;
    tokio::select! {
        () = server.shutdown() => Ok(()),
        signal = stop.again() => {
            Err(Failure::stopped(signal, "requests in progress may not be done"))
        }
    }
}

/// The failure of a server that does not start.
fn unusable(error: StartError) -> Failure {
    let failure = Failure::of_kind(kind_of_start(&error), with_causes(&error));
    match &error {
        StartError::Listen { address, source } if source.kind() == io::ErrorKind::AddrInUse => {
            failure.with_hint(format!(
                "another program, perhaps another `pravega dev`, listens on port {}: choose others \
                 with --port, which also takes the port after it, and --rest-port; 0 picks a \
                 free one",
                address.port()
            ))
        }
        StartError::Data(data) => match data.problem() {
            OpenProblem::Corrupt { .. } | OpenProblem::Missing { .. } => failure.with_hint(DAMAGED),
            OpenProblem::Foreign { .. } => failure.with_hint(
                "no file was changed. Move that file elsewhere, if it does not belong into the \
                 folder, or start with another --dir",
            ),
            _ => failure,
        },
        _ => failure,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_with_little_memory_is_warned_of() {
        let warning = little_memory(4 << 20).unwrap();
        assert!(warning.contains("4194304 bytes"), "{warning}");
        assert_eq!(little_memory(32 << 20), None);
        assert_eq!(little_memory(1 << 30), None);
    }
}
