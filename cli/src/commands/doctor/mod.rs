//! `pravega doctor`: can the cluster be used from here, and if not, what is to be done.
//!
//! Every check stands on those before it: resolve, connect, call, authentication, segment store,
//! handshake, version, clock. What cannot be checked because an earlier one failed is left out.

mod checks;
mod clock;
mod controller;
mod network;
mod segment_store;

use std::time::Duration;

use clap::Args;
use pravega_sdk::{ClientConfig, ClientFactory, Setting, Source};

use self::checks::{Checks, Finding};
use crate::{
    context::Context,
    failure::{Failure, Result, with_causes},
    output::{Output, Record},
};

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Shows the settings only, with where each came from
    #[arg(long)]
    settings: bool,
    /// Makes and removes a segment to compare clocks where there is no token to read the time from
    #[arg(long)]
    probe: bool,
}

pub(crate) async fn run(arguments: Arguments, context: &mut Context) -> Result<()> {
    let config = ClientConfig::from_url(context.url())?;
    let output = &mut context.output;
    if arguments.settings {
        return settings(&config, output);
    }
    output.status(
        "settings: a setter beats the url, which beats the environment, which beats the default",
    );
    for setting in config.settings().iter().filter(|setting| setting.source != Source::Default) {
        output.status(format_args!("  {} = {} ({})", setting.name, setting.value, setting.source));
    }
    let mut checks = Checks::default();
    let config = config.with_retry(2, Duration::from_millis(100), Duration::from_millis(100));
    check(&arguments, config, &mut checks).await;
    let is_bad = checks.is_bad;
    output.list(checks.records)?;
    if is_bad {
        let hint = "each failed check says what to do; `pravega doctor --settings` shows where settings come from";
        return Err(Failure::other("the cluster cannot be used from here").with_hint(hint));
    }
    Ok(())
}

fn settings(config: &ClientConfig, output: &mut Output) -> Result<()> {
    let record = |setting: Setting| {
        Record::new()
            .with("setting", setting.name)
            .with("value", setting.value)
            .with("source", setting.source.to_string())
            .with("variable", setting.variable)
            .with("meaning", setting.meaning)
    };
    output.status("a setter beats the url, which beats the environment, which beats the default");
    output.list(config.settings().into_iter().map(record).collect())
}

async fn check(arguments: &Arguments, config: ClientConfig, checks: &mut Checks) {
    for endpoint in config.uri().endpoints().to_vec() {
        if !network::reach("controller", &endpoint, checks).await {
            return;
        }
    }
    let factory = match ClientFactory::with_config(config).await {
        Ok(factory) => factory,
        Err(error) => {
            let fix = "mend the setting that is named; `pravega doctor --settings` shows where it came from";
            checks.note("settings", Finding::Bad(with_causes(&error), fix));
            return;
        }
    };
    if !controller::call(&factory, checks).await {
        return;
    }
    controller::discovery(&factory, checks).await;
    let Some(endpoint) = controller::segment_store(&factory, checks).await else { return };
    if !network::reach("segment store", &endpoint, checks).await
        || !segment_store::handshake(&factory, &endpoint, checks).await
    {
        return;
    }
    clock::compare(arguments.probe, &factory, &endpoint, checks).await;
}
