//! `pravega scope`

use std::{
    io::{self, IsTerminal as _, Write as _},
    sync::Arc,
};

use clap::Subcommand;
use futures_util::StreamExt as _;
use pravega_sdk::{
    controller_client::{Controller, Deletion, listing},
    types::{ErrorKind, Scope},
};

use super::report::{created, deleted, list};
use crate::{
    context::Context,
    failure::{Failure, Result},
    output::{Output, Record},
    parse::any_scope,
};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Create a scope (no error if it exists)
    Create {
        /// Its name
        scope: Scope,
    },
    /// List all scopes
    List,
    /// Show what a scope contains
    Describe {
        /// Its name
        #[arg(value_parser = any_scope)]
        scope: Scope,
    },
    /// Delete an empty scope
    Delete {
        /// Its name
        #[arg(value_parser = any_scope)]
        scope: Scope,
        /// Delete everything in it first; asks on a terminal
        #[arg(long)]
        recursive: bool,
        /// Do not ask; required with --recursive if there is no terminal
        #[arg(long, short, requires = "recursive")]
        yes: bool,
    },
}

pub(crate) async fn run(command: Command, context: &mut Context) -> Result<()> {
    let client = context.client().await?;
    let (controller, output) = (client.controller(), &mut context.output);
    match command {
        Command::Create { scope } => {
            created("scope", &scope, controller.create_scope(&scope).await?, output)
        }
        Command::List => {
            let record = |scope: &Scope| Record::new().with("scope", scope.as_str());
            list(listing::scopes(Arc::clone(controller)), output, record).await
        }
        Command::Describe { scope } => describe(&scope, controller, output).await,
        Command::Delete { scope, recursive: false, .. } => {
            deleted("scope", &scope, controller.delete_scope(&scope).await?, output)
        }
        Command::Delete { scope, recursive: true, yes } => {
            delete_recursive(&scope, yes, controller, output).await
        }
    }
}

async fn delete_recursive(
    scope: &Scope,
    yes: bool,
    controller: &Arc<dyn Controller>,
    output: &Output,
) -> Result<()> {
    // A recursive delete gets the same answer for a scope that does not exist.
    check_exists(scope, controller).await?;
    let contents = Contents::of(scope, controller).await?;
    if !yes {
        confirm(scope, &contents)?;
    }
    let deletion = controller.delete_scope_recursive(scope).await?;
    if deletion == Deletion::Deleted {
        contents.each(|what, name| output.status(format_args!("deleted {what} {scope}/{name}")));
    }
    deleted("scope", scope, deletion, output)
}

/// Asks on the terminal if the scope should be deleted, and fails without a yes.
fn confirm(scope: &Scope, contents: &Contents) -> Result<()> {
    let summary = contents.summary();
    if !(io::stdin().is_terminal() && io::stderr().is_terminal()) {
        let text = format_args!("scope {scope} holds {summary}: --recursive needs --yes");
        return Err(Failure::usage(text));
    }
    let question = format!("Delete scope {scope} with {summary}, and all their data? [y/N] ");
    let mut answer = String::new();
    io::stderr()
        .write_all(question.as_bytes())
        .and_then(|()| io::stdin().read_line(&mut answer))
        .map_err(|error| Failure::other(format_args!("cannot ask: {error}")))?;
    match answer.trim().to_ascii_lowercase().as_str() {
        "y" | "yes" => Ok(()),
        _ => Err(Failure::other("nothing was deleted")),
    }
}

async fn check_exists(scope: &Scope, controller: &Arc<dyn Controller>) -> Result<()> {
    if controller.scope_exists(scope).await? {
        return Ok(());
    }
    let text = format_args!("scope {scope} does not exist");
    Err(Failure::of_kind(ErrorKind::NotFound, text))
}

/// The names of everything in a scope.
#[derive(Debug, Default)]
struct Contents {
    streams: Vec<String>,
    /// Streams that only servers and clients use.
    internal: usize,
    groups: Vec<String>,
    tables: Vec<String>,
}

/// The prefix of the stream of a reader group.
const GROUP_PREFIX: &str = "_RG";

impl Contents {
    async fn of(scope: &Scope, controller: &Arc<dyn Controller>) -> Result<Self> {
        let mut contents = Self::default();
        let mut listed = listing::streams(Arc::clone(controller), scope.clone());
        while let Some(stream) = listed.next().await {
            let name = stream?.stream().as_str().to_owned();
            match name.strip_prefix(GROUP_PREFIX) {
                Some(group) => contents.groups.push(group.to_owned()),
                None if name.starts_with('_') => contents.internal += 1,
                None => contents.streams.push(name),
            }
        }
        let mut listed = listing::key_value_tables(Arc::clone(controller), scope.clone());
        while let Some(table) = listed.next().await {
            contents.tables.push(table?.table().as_str().to_owned());
        }
        Ok(contents)
    }

    /// Calls `see` with the kind and the name of each.
    fn each(&self, mut see: impl FnMut(&str, &str)) {
        for (what, names) in
            [("stream", &self.streams), ("group", &self.groups), ("table", &self.tables)]
        {
            names.iter().for_each(|name| see(what, name));
        }
    }

    /// How many there are: `2 streams and 1 table`, for example.
    fn summary(&self) -> String {
        let count = |what: &str, names: &[String]| match names.len() {
            0 => None,
            1 => Some(format!("1 {what}")),
            count => Some(format!("{count} {what}s")),
        };
        let counts: Vec<String> = [
            count("stream", &self.streams),
            count("group", &self.groups),
            count("table", &self.tables),
        ]
        .into_iter()
        .flatten()
        .collect();
        match &counts[..] {
            [] => "nothing".to_owned(),
            [before @ .., last] if !before.is_empty() => {
                format!("{} and {last}", before.join(", "))
            }
            counts => counts.concat(),
        }
    }
}

async fn describe(
    scope: &Scope,
    controller: &Arc<dyn Controller>,
    output: &mut Output,
) -> Result<()> {
    check_exists(scope, controller).await?;
    let Contents { streams, internal, groups, tables } = Contents::of(scope, controller).await?;
    output.one(
        Record::new()
            .with("scope", scope.as_str())
            .with("streams", streams.len())
            .with("tables", tables.len())
            .with("groups", groups.len())
            .with("internal_streams", internal),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_counts_what_there_is() {
        let names = |count| vec!["name".to_owned(); count];
        let contents = |streams, groups, tables| Contents {
            streams: names(streams),
            internal: 3,
            groups: names(groups),
            tables: names(tables),
        };
        for (contents, summary) in [
            (contents(0, 0, 0), "nothing"),
            (contents(1, 0, 0), "1 stream"),
            (contents(2, 0, 1), "2 streams and 1 table"),
            (contents(1, 2, 3), "1 stream, 2 groups and 3 tables"),
        ] {
            assert_eq!(contents.summary(), summary);
        }
    }
}
