//! Compares this SDK with the existing clients: each does the same work on the same server, in
//! turn, in a process of its own.

mod case;
mod client;
mod place;
mod report;
mod tables;

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use anyhow::{Context as _, Result, bail};
use pravega_sdk::{
    ClientFactory,
    codec::Raw,
    types::{ScalingPolicy, ScopedStream, StreamConfiguration},
};

pub(crate) use self::{
    case::Case,
    client::{Client, Figures},
    report::median,
};
use self::{
    case::{LATENCY, READ, THROUGHPUT, case},
    client::Work,
    place::{Place, new_name},
    report::Report,
};
use crate::{
    scripted::Scripted,
    tool_server::{Launch, ToolServer},
};

/// Options of the command line.
#[derive(Debug)]
pub(crate) struct Options {
    controller: String,
    /// Start the tool's server and use that in place of the controller.
    embedded: bool,
    json: bool,
    rounds: usize,
    run: Run,
    only: String,
    /// Another build of this program, to compare with in place of the counterparts.
    beside: Option<PathBuf>,
}

impl Options {
    pub(crate) fn parse(arguments: &[&str]) -> Result<Self> {
        let mut options = Self {
            controller: "tcp://127.0.0.1:9090".to_owned(),
            embedded: false,
            json: false,
            rounds: 3,
            run: Run::of_seconds(4.0),
            only: String::new(),
            beside: None,
        };
        let mut rest = arguments.iter();
        while let Some(name) = rest.next() {
            let mut value = || rest.next().with_context(|| format!("{name} needs a value"));
            match *name {
                "--json" => options.json = true,
                "--embedded" => options.embedded = true,
                "--controller" => options.controller = (*value()?).to_owned(),
                "--rounds" => options.rounds = value()?.parse()?,
                "--seconds" => options.run.seconds = value()?.parse()?,
                "--only" => options.only = (*value()?).to_owned(),
                "--mib" => options.run.max_bytes = value()?.parse::<u64>()? << 20,
                "--beside" => options.beside = Some(value()?.into()),
                other => bail!("there is no option {other}"),
            }
        }
        Ok(options)
    }

    /// The clients to run.
    fn clients(&self) -> Result<Vec<Client>> {
        self.beside.as_deref().map_or_else(Client::all, Client::beside)
    }
}

/// The length of a run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Run {
    pub(crate) seconds: f64,
    /// Maximum number of bytes that a run writes, because a server in memory keeps all of it.
    pub(crate) max_bytes: u64,
}

impl Run {
    /// Returns a run of at most 100 MiB.
    pub(crate) fn of_seconds(seconds: f64) -> Self {
        Self { seconds, max_bytes: 100 << 20 }
    }
}

/// Runs the cases against a real server.
pub(crate) fn against_a_server(options: &Options) -> Result<()> {
    let mut cases = vec![
        case("write-100B-1seg", "throughput", 100, 1, THROUGHPUT),
        case("write-1KB-4seg", "throughput", 1024, 4, THROUGHPUT),
        case("write-10KB-1seg", "throughput", 10 * 1024, 1, THROUGHPUT),
        case("latency-100B-one-at-a-time", "latency", 100, 1, LATENCY),
        case("latency-100B-10k-per-s", "rate", 100, 1, LATENCY),
        case("read-100B-1seg", "read", 100, 1, READ),
        case("read-1KB-4seg", "read", 1024, 4, READ),
        case("read-10KB-1seg", "read", 10 * 1024, 1, READ),
        // The existing clients read by groups always, so these rows of theirs are as those before.
        case("group-read-100B-1seg", "group-read", 100, 1, READ),
        case("group-read-1KB-4seg", "group-read", 1024, 4, READ),
        case("end-to-end-100B-10k-per-s", "tail", 100, 1, LATENCY),
        case("group-end-to-end-100B-10k-per-s", "group-tail", 100, 1, LATENCY),
        // One writer writes to 16 otherwise idle segments in turn.
        Case {
            keys: 256,
            rate: 200,
            ..case("end-to-end-16seg-200-per-s", "tail", 100, 16, LATENCY)
        },
        case("bytes-write-64KB", "bytes-write", 64 * 1024, 1, READ),
        case("bytes-read-64KB", "bytes-read", 64 * 1024, 1, READ),
    ];
    cases.extend(tables::cases());
    let clients = options.clients()?;
    let server =
        if options.embedded { Some(ToolServer::start(&Launch::roomy(None))?) } else { None };
    let controller = server.as_ref().map_or(options.controller.as_str(), ToolServer::url);
    let mut report = Report::new(options.json, &clients);
    for case in cases.iter().filter(|case| case.name.contains(&options.only)) {
        let clients: Vec<&Client> =
            clients.iter().filter(|client| case.is_for(client.name)).collect();
        let measure = |client: &Client| measure(client, controller, case, options.run);
        report.case(&case.name, case.metrics, &rounds(options, &clients, measure)?);
    }
    Ok(())
}

/// The cases in which servers are compared.
pub(crate) fn cases_of_servers() -> Vec<Case> {
    const RATE: &[&str] = &["events_per_s"];
    const DELAY: &[&str] = &["p50_us", "p99_us"];
    let mut cases = vec![
        case("write-100B-1seg", "throughput", 100, 1, RATE),
        case("write-1KB-4seg", "throughput", 1024, 4, RATE),
        case("latency-100B-one-at-a-time", "latency", 100, 1, DELAY),
        case("read-100B-1seg", "read", 100, 1, RATE),
        case("read-1KB-4seg", "read", 1024, 4, RATE),
    ];
    cases.extend(tables::cases_of_servers());
    cases
}

/// Runs a client on a server, with a stream or a table of its own, and returns its results.
pub(crate) fn measure(client: &Client, controller: &str, case: &Case, run: Run) -> Result<Figures> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    if let Some(table) = case.table {
        let name = runtime.block_on(tables::create(table, controller, case))?;
        let figures = client.run(controller, &Place::of_table(&name), &work(case, run));
        runtime.block_on(tables::remove(table, controller, &name))?;
        return figures;
    }
    let stream = runtime.block_on(new_stream(controller, case.segments))?;
    runtime.block_on(fill(controller, &stream, case, run.max_bytes))?;
    let figures = client.run(controller, &Place::of_stream(&stream), &work(case, run));
    runtime.block_on(remove_stream(controller, &stream))?;
    figures
}

/// Runs the cases against a scripted store, with several delays of its acknowledgements.
pub(crate) fn ack_delay(options: &Options) -> Result<()> {
    let clients: Vec<Client> =
        options.clients()?.into_iter().filter(|client| client.name != "java").collect();
    let mut report = Report::new(options.json, &clients);
    for (text, micros) in [("0.1ms", 100), ("1ms", 1000), ("5ms", 5000), ("20ms", 20_000)] {
        let delay = Duration::from_micros(micros);
        for (suffix, mode, metrics) in [
            ("", "throughput", &["events_per_s", "cpu_us_per_event"][..]),
            ("-one-at-a-time", "latency", &["p50_us", "p99_us"][..]),
        ] {
            let case = case(&format!("ack-delay-{text}{suffix}"), mode, 100, 1, metrics);
            if !case.name.contains(&options.only) {
                continue;
            }
            let measure = |client: &Client| {
                let scripted = Scripted::start(Some(delay))?;
                let place = Place::of_stream(&scripted.stream());
                client.run(&scripted.uri(), &place, &work(&case, options.run))
            };
            report.case(&case.name, case.metrics, &rounds(options, &all(&clients), measure)?);
        }
    }
    let case = case("never-acknowledged-1B", "flood", 1, 1, &["peak_rss_mb"]);
    if case.name.contains(&options.only) {
        let measure = |client: &Client| {
            let scripted = Scripted::start(None)?;
            let place = Place::of_stream(&scripted.stream());
            client.run(&scripted.uri(), &place, &work(&case, options.run))
        };
        report.case(&case.name, case.metrics, &rounds(options, &all(&clients), measure)?);
    }
    Ok(())
}

fn work(case: &Case, run: Run) -> Work {
    Work {
        mode: case.mode,
        size: case.size,
        seconds: run.seconds,
        max_bytes: run.max_bytes,
        keys: case.keys,
        rate: case.rate,
        callers: case.callers,
    }
}

/// Returns what is measured in a round, in an order that changes from round to round: the server is
/// slower for the first after a pause.
pub(crate) fn in_turn<T>(all: &[T], round: usize) -> impl Iterator<Item = &T> {
    let forward = round.is_multiple_of(2);
    (0..all.len()).filter_map(move |at| all.get(if forward { at } else { all.len() - 1 - at }))
}

fn all(clients: &[Client]) -> Vec<&Client> {
    clients.iter().collect()
}

/// Runs the clients in turn, round after round, so that other load on the machine affects all of
/// them.
fn rounds(
    options: &Options,
    clients: &[&Client],
    measure: impl Fn(&Client) -> Result<Figures>,
) -> Result<BTreeMap<&'static str, Vec<Figures>>> {
    let mut all: BTreeMap<&'static str, Vec<Figures>> = BTreeMap::new();
    for round in 0..options.rounds {
        for &client in in_turn(clients, round) {
            let figures = measure(client).with_context(|| format!("{} failed", client.name))?;
            all.entry(client.name).or_default().push(figures);
        }
    }
    Ok(all)
}

async fn new_stream(controller: &str, segments: u32) -> Result<ScopedStream> {
    let factory = ClientFactory::connect(controller).await?;
    let (scope, name) = new_name(&factory).await?;
    let stream = ScopedStream::new(scope, name.parse()?);
    let configuration = StreamConfiguration::default().with_scaling(ScalingPolicy::fixed(segments));
    factory.controller().create_stream(&stream, &configuration).await?;
    Ok(stream)
}

/// Writes the events that a case reads.
async fn fill(controller: &str, stream: &ScopedStream, case: &Case, max_bytes: u64) -> Result<()> {
    let factory = ClientFactory::connect(controller).await?;
    let count = max_bytes / case.size as u64;
    match case.mode {
        "read" | "group-read" => {
            let writer = factory.event_writer(stream, Raw).await?;
            for number in 0..count {
                let key = format!("key-{}", number % case.keys.max(1) as u64);
                drop(writer.enqueue(&key, vec![0; case.size]).await?);
            }
            writer.flush().await?;
        }
        "bytes-read" => {
            let mut writer = factory.byte_writer(stream).await?;
            for _ in 0..count {
                writer.write_bytes(vec![0; case.size].into()).await?;
            }
            writer.flush().await?;
        }
        _ => {}
    }
    Ok(())
}

async fn remove_stream(controller: &str, stream: &ScopedStream) -> Result<()> {
    let factory = ClientFactory::connect(controller).await?;
    factory.controller().seal_stream(stream).await?;
    factory.controller().delete_stream(stream).await?;
    Ok(())
}
