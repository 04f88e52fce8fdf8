//! `pravega doctor`: checks whether the cluster can be used from here, and suggests fixes.
//!
//! Every check depends on the ones before it: resolve, connect, TLS, call, authentication, health,
//! segment store, handshake, version, clock. Checks that depend on a failed one are left out, but
//! not those after the health.

mod advice;
mod checks;
mod clock;
mod controller;
mod health;
mod network;
mod segment_store;
mod variables;

use std::time::Duration;

use clap::Args;
use pravega_sdk::{ClientConfig, ClientFactory, Setting, tls::TlsProblem};

use self::{
    advice::Peer,
    checks::{Checks, Finding},
};
use crate::{
    choice::Origin,
    context::Context,
    failure::{Failure, Result, with_causes},
    output::{Output, Record},
    resolved::Resolved,
};

const PRECEDENCE: &str = "options, then URL, then environment, then context, then default";

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Only show the settings, with the source of each
    #[arg(long, conflicts_with = "probe")]
    settings: bool,
    /// Create and delete a segment to compare clocks, if no token tells the server's time
    #[arg(long)]
    probe: bool,
    /// Address of the REST service of the server, such as http://localhost:9091, which is asked
    /// for its health [default: that of `pravega dev`, the port after the controller's]
    #[arg(long, value_name = "URL")]
    rest: Option<String>,
}

pub(crate) async fn run(arguments: Arguments, context: &mut Context) -> Result<()> {
    let resolved = context.resolve()?;
    let output = &mut context.output;
    if arguments.settings {
        return settings(&resolved, output);
    }
    output.status(format_args!("settings, by precedence: {PRECEDENCE}"));
    tell_context(&resolved, output);
    for setting in resolved.config.settings() {
        let origin = resolved.origin(&setting);
        if origin != Origin::Default {
            output.status(format_args!("  {} = {} ({origin})", setting.name, setting.value));
        }
    }
    let mut checks = Checks::default();
    variables::check(&resolved.config, &mut checks);
    let config = context.limits.client(resolved.config).with_retry(
        2,
        Duration::from_millis(100),
        Duration::from_millis(100),
    );
    check(&arguments, config, &mut checks).await;
    let is_bad = checks.is_bad;
    output.list(checks.records)?;
    if is_bad {
        let hint = "see the fix of each failed check; \
                    `pravega doctor --settings` shows the source of each setting";
        return Err(Failure::other("the cluster cannot be used from here").with_hint(hint));
    }
    Ok(())
}

/// Says which context is used, or why none is.
fn tell_context(resolved: &Resolved, output: &Output) {
    if let Some(text) = resolved.context_text() {
        output.status(format_args!("  {text}"));
    }
}

fn settings(resolved: &Resolved, output: &mut Output) -> Result<()> {
    let record = |setting: Setting| {
        let origin = resolved.origin(&setting);
        Record::new()
            .with("setting", setting.name)
            .with("value", setting.value)
            .with("source", origin.to_string())
            .with("variable", setting.variable)
            .with("meaning", setting.meaning)
    };
    output.status(format_args!("precedence: {PRECEDENCE}"));
    tell_context(resolved, output);
    output.list(resolved.config.settings().into_iter().map(record).collect())
}

async fn check(arguments: &Arguments, config: ClientConfig, checks: &mut Checks) {
    for endpoint in config.uri().endpoints().to_vec() {
        if !network::reach("controller", &endpoint, checks).await {
            return;
        }
    }
    let client = match ClientFactory::new(config) {
        Ok(client) => client,
        Err(error) => {
            let problem = advice::tls_problem(&error).unwrap_or(TlsProblem::Setting);
            let fix = advice::of_tls(problem, Peer::Controller);
            checks.record("settings", Finding::Bad(with_causes(&error), fix));
            return;
        }
    };
    let is_answered = controller::call(&client, checks).await;
    // Also if it refuses calls: a server whose log has failed does.
    health::ask(arguments.rest.as_deref(), client.config(), checks).await;
    if !is_answered {
        return;
    }
    controller::discovery(&client, checks).await;
    let Some(endpoint) = controller::segment_store(&client, checks).await else { return };
    if !network::reach("segment store", &endpoint, checks).await
        || !segment_store::handshake(&client, &endpoint, checks).await
    {
        return;
    }
    clock::compare(arguments.probe, &client, &endpoint, checks).await;
}
