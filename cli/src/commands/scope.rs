//! `pravega scope`

use std::sync::Arc;

use clap::Subcommand;
use futures_util::StreamExt as _;
use pravega_sdk::{
    controller_client::{Controller, Deletion, listing},
    types::{ErrorKind, Scope},
};

use super::report::{self, created, deleted, list};
use crate::{
    context::Context,
    failure::{Failure, Result},
    output::{Output, Record},
    parse::any_scope,
    terminal,
};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Create a scope (no error if it exists)
    Create {
        /// Its name
        scope: Scope,
    },
    /// List all scopes
    #[command(visible_alias = "ls")]
    List,
    /// Show what a scope contains
    #[command(visible_alias = "info")]
    Describe {
        /// Its name
        #[arg(value_parser = any_scope)]
        scope: Scope,
    },
    /// Delete an empty scope
    #[command(visible_alias = "rm")]
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
            let deletion = controller.delete_scope(&scope).await.map_err(|error| {
                let is_filled = error.kind() == ErrorKind::NotEmpty;
                let failure = Failure::from(error);
                let hint = format!("with all it holds: pravega scope delete {scope} --recursive");
                if is_filled { failure.with_hint(hint) } else { failure }
            })?;
            deleted("scope", &scope, deletion, output)
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
        confirm(scope, &contents).await?;
    }
    let deletion = controller.delete_scope_recursive(scope).await?;
    if deletion == Deletion::Deleted {
        contents.for_each_line(scope, |line| output.status(format_args!("deleted {line}")));
    }
    deleted("scope", scope, deletion, output)
}

/// Asks on the terminal if the scope should be deleted, and fails without a yes.
async fn confirm(scope: &Scope, contents: &Contents) -> Result<()> {
    let summary = contents.summary();
    if !terminal::is_present() {
        let text = format_args!("scope {scope} holds {summary}: --recursive needs --yes");
        return Err(Failure::usage(text));
    }
    report::confirm(&format!("Delete scope {scope} with {summary}, and all their data?")).await
}

async fn check_exists(scope: &Scope, controller: &Arc<dyn Controller>) -> Result<()> {
    if controller.scope_exists(scope).await? {
        return Ok(());
    }
    let text = format_args!("scope {scope} does not exist");
    Err(Failure::of_kind(ErrorKind::NotFound, text))
}

/// Everything in a scope.
#[derive(Debug, Default)]
struct Contents {
    streams: Items,
    /// Streams that only servers and clients use.
    internal: usize,
    groups: Items,
    tables: Items,
}

/// Items of one kind.
#[derive(Debug, Default)]
struct Items {
    count: usize,
    /// The first names, which are shown one by one.
    names: Vec<String>,
}

impl Items {
    /// Number of names that are kept.
    const MAX_NAMES: usize = 1000;

    fn add(&mut self, name: &str) {
        self.count += 1;
        if self.names.len() < Self::MAX_NAMES {
            self.names.push(name.to_owned());
        }
    }
}

/// The prefix of the stream of a reader group.
const GROUP_PREFIX: &str = "_RG";

impl Contents {
    async fn of(scope: &Scope, controller: &Arc<dyn Controller>) -> Result<Self> {
        let mut contents = Self::default();
        let mut listed = listing::streams(Arc::clone(controller), scope.clone());
        while let Some(stream) = listed.next().await {
            let stream = stream?;
            let name = stream.stream().as_str();
            match name.strip_prefix(GROUP_PREFIX) {
                Some(group) => contents.groups.add(group),
                None if name.starts_with('_') => contents.internal += 1,
                None => contents.streams.add(name),
            }
        }
        let mut listed = listing::key_value_tables(Arc::clone(controller), scope.clone());
        while let Some(table) = listed.next().await {
            contents.tables.add(table?.table().as_str());
        }
        Ok(contents)
    }

    fn each(&self) -> [(&'static str, &Items); 3] {
        [("stream", &self.streams), ("group", &self.groups), ("table", &self.tables)]
    }

    /// Calls `see` with a line for each item, up to some thousand, and for the rest of each kind.
    fn for_each_line(&self, scope: &Scope, mut see: impl FnMut(&str)) {
        for (what, items) in self.each() {
            for name in &items.names {
                see(&format!("{what} {scope}/{name}"));
            }
            match items.count - items.names.len() {
                0 => {}
                rest => see(&counted(rest, &format!("more {what}"))),
            }
        }
    }

    /// How many there are: `2 streams and 1 table`, for example.
    fn summary(&self) -> String {
        let counts: Vec<String> = self
            .each()
            .into_iter()
            .filter(|(_, items)| items.count > 0)
            .map(|(what, items)| counted(items.count, what))
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

/// Returns a count with its noun: `1 stream` or `2 streams`.
fn counted(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
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
            .with("streams", streams.count)
            .with("tables", tables.count)
            .with("groups", groups.count)
            .with("internal_streams", internal),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn items(count: usize) -> Items {
        let mut items = Items::default();
        (0..count).for_each(|at| items.add(&format!("name-{at}")));
        items
    }

    #[test]
    fn a_thousand_names_are_shown_and_the_rest_is_counted() {
        let contents = Contents { streams: items(1003), tables: items(1), ..Contents::default() };
        let mut lines = Vec::new();
        contents.for_each_line(&"s".parse().unwrap(), |line| lines.push(line.to_owned()));
        assert_eq!(lines.len(), 1002);
        assert_eq!(lines[999..], ["stream s/name-999", "3 more streams", "table s/name-0"]);
        assert_eq!(contents.summary(), "1003 streams and 1 table");
    }

    #[test]
    fn a_summary_counts_what_there_is() {
        let contents = |streams, groups, tables| Contents {
            streams: items(streams),
            internal: 3,
            groups: items(groups),
            tables: items(tables),
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
