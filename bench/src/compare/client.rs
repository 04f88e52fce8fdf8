//! A client in a process of its own, measured from outside.

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use anyhow::{Context as _, Result, bail};

use super::place::Place;

/// How a client is started.
#[derive(Debug)]
pub(crate) struct Client {
    pub(super) name: &'static str,
    program: PathBuf,
    arguments: Vec<String>,
    /// All its readers of events are members of groups.
    always_groups: bool,
}

/// Work for a client.
#[derive(Debug)]
pub(super) struct Work {
    pub(super) mode: &'static str,
    pub(super) size: usize,
    pub(super) seconds: f64,
    pub(super) max_bytes: u64,
    pub(super) keys: usize,
    pub(super) rate: u64,
    pub(super) callers: u64,
}

/// Results of a client.
#[derive(Debug, Clone)]
pub(crate) struct Figures {
    pub(super) events_per_s: f64,
    pub(super) p50_us: f64,
    pub(super) p99_us: f64,
    pub(super) cpu_us_per_event: f64,
    pub(super) peak_rss_mb: f64,
}

impl Figures {
    pub(crate) fn get(&self, metric: &str) -> f64 {
        match metric {
            "events_per_s" => self.events_per_s,
            "p50_us" => self.p50_us,
            "p99_us" => self.p99_us,
            "cpu_us_per_event" => self.cpu_us_per_event,
            _ => self.peak_rss_mb,
        }
    }
}

impl Client {
    /// This SDK.
    pub(crate) fn own() -> Result<Self> {
        let program = std::env::current_exe()?;
        let arguments = vec!["worker".to_owned()];
        Ok(Self { name: "pravega-sdk", program, arguments, always_groups: false })
    }

    /// This SDK and another build of this program, such as that of the commit before.
    pub(super) fn beside(program: &Path) -> Result<Vec<Self>> {
        let other = Self {
            name: "other-build",
            program: program.to_owned(),
            arguments: vec!["worker".to_owned()],
            always_groups: false,
        };
        Ok(vec![Self::own()?, other])
    }

    /// This SDK and its two counterparts, which are built first.
    pub(super) fn all() -> Result<Vec<Self>> {
        let peers = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers");
        let own = Self::own()?;
        let rust = peers.join("pravega-client");
        run(Command::new("cargo").args(["build", "--release", "--quiet"]).current_dir(&rust))?;
        let rust = Self {
            name: "pravega-client",
            program: rust.join("target/release/pravega-client-peer"),
            arguments: Vec::new(),
            always_groups: true,
        };
        let java = peers.join("java");
        let jars = java.join("target/dependency");
        if !jars.exists() {
            run(Command::new("mvn")
                .args(["-q", "-B", "dependency:copy-dependencies"])
                .current_dir(&java))?;
        }
        let java = Self {
            name: "java",
            program: "java".into(),
            arguments: vec![
                "-cp".to_owned(),
                format!("{}/*", jars.display()),
                java.join("Worker.java").display().to_string(),
            ],
            always_groups: true,
        };
        Ok(vec![own, rust, java])
    }

    pub(super) fn run(&self, controller: &str, place: &Place, work: &Work) -> Result<Figures> {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).arg(controller).arg(&place.scope).arg(&place.name);
        let mode = if self.always_groups {
            work.mode.strip_prefix("group-").unwrap_or(work.mode)
        } else {
            work.mode
        };
        command.args([
            mode,
            &work.size.to_string(),
            &work.seconds.to_string(),
            &work.max_bytes.to_string(),
        ]);
        command.args([work.keys.to_string(), work.rate.to_string(), work.callers.to_string()]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut process = Process(
            command
                .spawn()
                .with_context(|| format!("{} cannot be started", self.program.display()))?,
        );
        let mut lines = BufReader::new(process.0.stdout.take().context("no stdout")?).lines();
        let mut next_line =
            || -> Result<String> { lines.next().context("it ended early")?.context("no line") };
        while next_line()? != "ready" {}
        let before = process.cpu_seconds()?;
        process.go_on()?;
        let figures: serde_json::Value = serde_json::from_str(&next_line()?)?;
        let cpu = process.cpu_seconds()? - before;
        let peak_rss_mb = process.peak_rss_mb()?;
        process.go_on()?;
        process.0.wait()?;
        let number = |name: &str| {
            figures.get(name).and_then(serde_json::Value::as_f64).context("a figure is missing")
        };
        let events = number("events")?;
        if events == 0.0 {
            bail!("nothing was written");
        }
        Ok(Figures {
            events_per_s: events / number("seconds")?,
            p50_us: number("p50_us")?,
            p99_us: number("p99_us")?,
            cpu_us_per_event: cpu * 1e6 / events,
            peak_rss_mb,
        })
    }
}

fn run(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("{command:?} cannot be started"))?;
    if !status.success() {
        bail!("{command:?} failed");
    }
    Ok(())
}

/// A process that is killed when the value is dropped.
struct Process(Child);

impl Process {
    fn go_on(&mut self) -> Result<()> {
        self.0.stdin.as_mut().context("no stdin")?.write_all(b"\n").context("it does not listen")
    }

    /// Returns the CPU time of the threads of the process, in user mode and in the kernel. The
    /// scheduler counts it in nanoseconds; `stat` counts ticks of 10 ms, which is a twentieth of
    /// some runs.
    fn cpu_seconds(&self) -> Result<f64> {
        let mut nanos = 0;
        for thread in fs::read_dir(format!("/proc/{}/task", self.0.id()))? {
            let times = fs::read_to_string(thread?.path().join("schedstat"))?;
            nanos += times.split(' ').next().context("no times")?.parse::<u64>()?;
        }
        Ok(nanos as f64 / 1e9)
    }

    fn peak_rss_mb(&self) -> Result<f64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.0.id()))?;
        let line =
            status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("no VmHWM")?;
        let kib: f64 = line.trim().trim_end_matches("kB").trim().parse()?;
        Ok(kib / 1024.0)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}
