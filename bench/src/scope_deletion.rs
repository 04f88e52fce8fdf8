//! The deletion of a scope with all its streams: its time, memory and space for more and more
//! streams, which all should grow as their number does.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use pravega_sdk_proto::{
    ScalingPolicy, ScopeInfo, StreamConfig, StreamInfo,
    controller_service_client::ControllerServiceClient,
};
use tokio::{
    task::{JoinHandle, JoinSet},
    time::sleep,
};
use tonic::transport::{Channel, Endpoint};

use crate::tool_server::{Launch, ToolServer, status_of};

type Client = ControllerServiceClient<Channel>;

/// The numbers of streams.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    streams: Vec<usize>,
}

const SCOPE: &str = "deleted";
/// The tasks that create streams at the same time.
const TASKS: usize = 32;
/// The deletion is given up after this long.
const LONGEST: Duration = Duration::from_secs(600);

impl Options {
    pub(crate) fn parse(arguments: &[&str]) -> Result<Self> {
        match arguments {
            [] => Ok(Self { streams: vec![25_000, 50_000, 100_000] }),
            ["--streams", numbers] => {
                let streams = numbers.split(',').map(str::parse).collect::<Result<_, _>>();
                Ok(Self { streams: streams.context("--streams needs numbers")? })
            }
            _ => bail!("scope-deletion takes --streams N[,N]..."),
        }
    }
}

/// Deletes scopes of a server in memory and of one in a folder, each with another number of
/// streams.
pub(crate) fn run(options: &Options) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    println!(
        "{:10} {:>8} {:>10} {:>10} {:>12} {:>11} {:>11} {:>12} {:>12} {:>12}",
        "server",
        "streams",
        "created, s",
        "deleted, s",
        "µs a stream",
        "before, MiB",
        "peak, MiB",
        "folder, MiB",
        "peak, MiB",
        "after, MiB"
    );
    for is_durable in [false, true] {
        for streams in &options.streams {
            let folder = tempfile::tempdir()?;
            let data = is_durable.then(|| folder.path().join("data"));
            runtime.block_on(delete(data, *streams))?;
        }
    }
    Ok(())
}

async fn delete(folder: Option<PathBuf>, streams: usize) -> Result<()> {
    let server = ToolServer::start(&Launch::roomy(folder.as_deref()))?;
    let url = server.url().replace("tcp://", "http://");
    let channel = Endpoint::from_shared(url)?.connect().await?;
    let mut client = ControllerServiceClient::new(channel);
    let scope = ScopeInfo { scope: SCOPE.to_owned() };
    client.create_scope(scope.clone()).await?;
    let begun = Instant::now();
    create(&client, streams).await?;
    let created = begun.elapsed();

    let before = server.resident()?;
    // Forgets the peak so far.
    fs::write(format!("/proc/{}/clear_refs", server.id()), "5")?;
    let watched = folder.as_deref().map(Watched::start);
    let held = folder.as_deref().map(size_of).transpose()?;
    let begun = Instant::now();
    // A call that takes longer than the server allows goes on without its client.
    client.delete_scope_recursive(scope.clone()).await.ok();
    while client.check_scope_exists(scope.clone()).await?.into_inner().exists {
        ensure!(begun.elapsed() < LONGEST, "{streams} streams are not deleted");
        client.delete_scope_recursive(scope.clone()).await.ok();
    }
    let deleted = begun.elapsed();
    let peak = status_of(server.id(), "VmHWM:")?;
    let most = watched.map(Watched::end);
    let after = folder.as_deref().map(size_of).transpose()?;

    let mib =
        |bytes: Option<u64>| bytes.map_or("–".to_owned(), |bytes| (bytes >> 20).to_string());
    println!(
        "{:10} {streams:>8} {:>10.1} {:>10.2} {:>12.1} {:>11} {:>11} {:>12} {:>12} {:>12}",
        if folder.is_some() { "--dir" } else { "memory" },
        created.as_secs_f64(),
        deleted.as_secs_f64(),
        deleted.as_secs_f64() * 1e6 / streams as f64,
        before >> 10,
        peak >> 10,
        mib(held),
        mib(most),
        mib(after)
    );
    Ok(())
}

/// Creates streams of one segment.
async fn create(client: &Client, streams: usize) -> Result<()> {
    let mut tasks = JoinSet::new();
    for task in 0..TASKS {
        let mut client = client.clone();
        tasks.spawn(async move {
            for number in (task..streams).step_by(TASKS) {
                let stream = format!("stream-{number}");
                let scope = SCOPE.to_owned();
                let info = StreamInfo { scope, stream, access_operation: 0 };
                let policy = ScalingPolicy { min_num_segments: 1, ..Default::default() };
                let config = StreamConfig {
                    stream_info: Some(info),
                    scaling_policy: Some(policy),
                    ..Default::default()
                };
                client.create_stream(config).await?;
            }
            Ok::<_, tonic::Status>(())
        });
    }
    while let Some(task) = tasks.join_next().await {
        task??;
    }
    Ok(())
}

/// A folder of which the largest size is noted.
struct Watched {
    most: Arc<AtomicU64>,
    polling: JoinHandle<()>,
}

impl Watched {
    fn start(folder: &Path) -> Self {
        let most = Arc::<AtomicU64>::default();
        let (noted, folder) = (Arc::clone(&most), folder.to_owned());
        let polling = tokio::spawn(async move {
            loop {
                noted.fetch_max(size_of(&folder).unwrap_or_default(), Ordering::AcqRel);
                sleep(Duration::from_millis(10)).await;
            }
        });
        Self { most, polling }
    }

    fn end(self) -> u64 {
        self.polling.abort();
        self.most.load(Ordering::Acquire)
    }
}

/// The length of all files of a folder. Those that are removed meanwhile have none.
fn size_of(folder: &Path) -> io::Result<u64> {
    let files = fs::read_dir(folder)?;
    Ok(files.filter_map(|file| file.ok()?.metadata().ok()).map(|found| found.len()).sum())
}
