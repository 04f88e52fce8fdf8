//! Much data at little memory: what is resident while it is written, read, and after a start.

use std::{
    fmt::Write as _,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use pravega_sdk::ClientFactory;

use super::{disk, own::Producers};
use crate::{
    servers,
    tool_server::{Launch, ToolServer, status_of},
    work::Work,
};

/// The time between two samples.
const INTERVAL: Duration = Duration::from_millis(50);
/// The bytes of an event, and the producers.
const SIZE: usize = 1024;
const PRODUCERS: usize = 4;
const STARTS: usize = 3;
/// The targets.
const MOST_MIB: u64 = 400;
const MOST_START: Duration = Duration::from_secs(1);

/// Options of `elsewhere-keep`.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    bytes: u64,
    memory: String,
    /// The number of streams with ten segments each.
    streams: usize,
    data: Option<PathBuf>,
    out: PathBuf,
}

impl Options {
    pub(crate) fn parse(arguments: &[&str]) -> Result<Self> {
        let mut options = Self {
            bytes: 20_000_000_000,
            memory: "256M".to_owned(),
            streams: 10_000,
            data: None,
            out: "target/elsewhere".into(),
        };
        let mut rest = arguments.iter();
        while let Some(name) = rest.next() {
            let value = rest.next().with_context(|| format!("{name} needs a value"))?;
            match *name {
                "--gb" => options.bytes = value.parse::<u64>()? * 1_000_000_000,
                "--memory" => options.memory = (*value).to_owned(),
                "--streams" => options.streams = value.parse()?,
                "--data" => options.data = Some(value.into()),
                "--out" => options.out = value.into(),
                other => bail!("there is no option {other}"),
            }
        }
        Ok(options)
    }
}

/// Samples of the resident memory of a process.
struct Sampler {
    shared: Arc<Mutex<Samples>>,
}

#[derive(Debug)]
struct Samples {
    began: Instant,
    phase: &'static str,
    /// Seconds, phase, KiB.
    all: Vec<(f64, &'static str, u64)>,
}

impl Sampler {
    fn new() -> Self {
        let samples = Samples { began: Instant::now(), phase: "start", all: Vec::new() };
        Self { shared: Arc::new(Mutex::new(samples)) }
    }

    /// Samples a process until it ends.
    fn watch(&self, process: u32) {
        let shared = Arc::clone(&self.shared);
        tokio::spawn(async move {
            while let Ok(resident) = status_of(process, "VmRSS:") {
                {
                    let mut samples = shared.lock().unwrap_or_else(PoisonError::into_inner);
                    let (at, phase) = (samples.began.elapsed().as_secs_f64(), samples.phase);
                    samples.all.push((at, phase, resident));
                }
                tokio::time::sleep(INTERVAL).await;
            }
        });
    }

    fn begin(&self, phase: &'static str) {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner).phase = phase;
    }

    /// The peak of a phase, in MiB.
    fn peak(&self, phase: &str) -> u64 {
        let samples = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        let of_phase = samples.all.iter().filter(|(_, of, _)| *of == phase);
        of_phase.map(|(_, _, kib)| kib >> 10).max().unwrap_or_default()
    }

    fn csv(&self) -> String {
        let samples = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        let mut csv = "seconds,phase,resident_kib\n".to_owned();
        for (at, phase, kib) in &samples.all {
            writeln!(csv, "{at:.2},{phase},{kib}").ok();
        }
        csv
    }
}

/// Keeps much, and fails if a target is missed.
pub(crate) fn run(options: &Options) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let options = options.clone();
    let missed = runtime.block_on(async { tokio::spawn(keep(options)).await? })?;
    if missed > 0 {
        bail!("{missed} targets are missed");
    }
    Ok(())
}

async fn keep(options: Options) -> Result<usize> {
    let folder = match &options.data {
        None => tempfile::tempdir()?,
        Some(data) => {
            std::fs::create_dir_all(data)?;
            tempfile::tempdir_in(data)?
        }
    };
    let launch = Launch {
        memory: options.memory.clone(),
        log: Some(folder.path().join("server.log")),
        ..Launch::roomy(Some(&folder.path().join("data")))
    };
    let sampler = Sampler::new();
    let mut report = Report { sampler: &sampler, missed: 0 };
    let mut server = ToolServer::start(&launch)?;
    sampler.watch(server.id());
    let began = Instant::now();
    sampler.begin("segments");
    servers::many_streams(server.url(), options.streams).await?;
    report.phase("segments", &format!("{} segments", options.streams * 10), began);
    let factory = ClientFactory::connect(server.url()).await?;
    let mut producers = Producers::create(&factory, "keep/much", PRODUCERS, SIZE).await?;
    let began = Instant::now();
    sampler.begin("write");
    producers.write(&work(&options)).await?;
    report.phase("write", &format!("{} MB written", mb(&producers)), began);
    for (number, phase) in [(0, "read"), (1, "read again")] {
        let factory = ClientFactory::connect(server.url()).await?;
        sampler.begin(phase);
        if number == 0 {
            disk::drop_cache(folder.path())?;
        }
        let began = Instant::now();
        let (check, _) = producers.read_back(&factory, began).await?;
        report.phase(phase, &format!("{} MB read", mb(&producers)), began);
        report.check(&check.report(producers.count()));
        if number == 0 {
            for start in 0..STARTS {
                // Killed, as in a crash.
                drop(server);
                sampler.begin("start");
                disk::drop_cache(folder.path())?;
                let began = Instant::now();
                server = ToolServer::start(&launch)?;
                report.start(start, began.elapsed());
                sampler.watch(server.id());
            }
        }
    }
    report.phase("start", "between kill and first read", Instant::now());
    std::fs::create_dir_all(&options.out)?;
    std::fs::write(options.out.join("keep.csv"), sampler.csv())?;
    println!("samples are in {}", options.out.join("keep.csv").display());
    Ok(report.missed)
}

fn mb(producers: &Producers) -> u64 {
    producers.count() * SIZE as u64 / 1_000_000
}

/// Writes all bytes, however long it takes.
fn work(options: &Options) -> Work {
    Work {
        uri: String::new(),
        stream: String::new(),
        mode: "throughput".to_owned(),
        size: SIZE,
        seconds: f64::MAX,
        max_bytes: options.bytes,
        keys: PRODUCERS,
        rate: 0,
        callers: 1,
    }
}

/// The printed rows.
struct Report<'a> {
    sampler: &'a Sampler,
    missed: usize,
}

impl Report<'_> {
    fn verdict(&mut self, is_reached: bool) -> &'static str {
        self.missed += usize::from(!is_reached);
        if is_reached { "reached" } else { "MISSED" }
    }

    fn phase(&mut self, phase: &str, what: &str, began: Instant) {
        let (peak, took) = (self.sampler.peak(phase), began.elapsed());
        let verdict = self.verdict(peak <= MOST_MIB);
        let took = took.as_secs_f64();
        println!("{phase:12} {what:30} {took:>7.1} s  peak {peak:>5} MiB  ≤ {MOST_MIB} {verdict}");
    }

    fn start(&mut self, start: usize, took: Duration) {
        let verdict = self.verdict(took <= MOST_START);
        println!("start {:6} ready after {took:?}, ≤ {MOST_START:?} {verdict}", start + 1);
    }

    fn check(&mut self, line: &str) {
        let is_whole = super::figures::Checked::parse(line).is_ok_and(|checked| checked.is_whole());
        let verdict = self.verdict(is_whole);
        println!("{:12} {line} {verdict}", "");
    }
}
