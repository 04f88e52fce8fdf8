//! `pravega scope`

use std::sync::Arc;

use clap::Subcommand;
use futures_util::StreamExt as _;
use pravega_sdk::{
    controller_client::{Controller, listing},
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
        /// Delete everything in it first
        #[arg(long)]
        recursive: bool,
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
        Command::Delete { scope, recursive: false } => {
            deleted("scope", &scope, controller.delete_scope(&scope).await?, output)
        }
        Command::Delete { scope, recursive: true } => {
            // A recursive delete gets the same answer for a scope that does not exist.
            if !controller.scope_exists(&scope).await? {
                return Err(Failure::of_kind(
                    ErrorKind::NotFound,
                    format_args!("scope {scope} does not exist"),
                ));
            }
            deleted("scope", &scope, controller.delete_scope_recursive(&scope).await?, output)
        }
    }
}

async fn describe(
    scope: &Scope,
    controller: &Arc<dyn Controller>,
    output: &mut Output,
) -> Result<()> {
    if !controller.scope_exists(scope).await? {
        return Err(Failure::of_kind(
            ErrorKind::NotFound,
            format_args!("scope {scope} does not exist"),
        ));
    }
    let (mut streams, mut internal, mut groups) = (0, 0, 0);
    let mut listed = listing::streams(Arc::clone(controller), scope.clone());
    while let Some(stream) = listed.next().await {
        match stream?.stream().as_str() {
            name if name.starts_with("_RG") => groups += 1,
            name if name.starts_with('_') => internal += 1,
            _ => streams += 1,
        }
    }
    let mut tables = 0;
    let mut listed = listing::key_value_tables(Arc::clone(controller), scope.clone());
    while let Some(table) = listed.next().await {
        table?;
        tables += 1;
    }
    let record =
        Record::new().with("scope", scope.as_str()).with("streams", streams).with("tables", tables);
    output.one(record.with("groups", groups).with("internal_streams", internal))
}
