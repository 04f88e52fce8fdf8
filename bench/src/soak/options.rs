//! Options of the command line.

use std::{process::Command, time::Duration};

use anyhow::{Context as _, Result, bail};

/// The real-time priority of the server.
const SERVER: u8 = 1;
/// That of the clients that behave, which would have processors of their own elsewhere.
const BEHAVING: u8 = 10;

/// Options of a soak.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    /// How long the clients misbehave.
    pub(super) attack: Duration,
    /// How long the others are measured alone, before and after.
    pub(super) quiet: Duration,
    /// How long the server is kept full.
    pub(super) full: Duration,
    /// The data is kept in a folder.
    pub(super) durable: bool,
    /// The memory limit of the server, as on its command line.
    pub(super) memory: String,
    /// The number of clients that misbehave.
    pub(super) clients: usize,
    /// The priority of the clients that misbehave.
    pub(super) priority: Priority,
    /// The server, and the clients that behave, have real-time priorities.
    pub(super) real_time: bool,
    /// The cores of the clients that misbehave, as in `0,2-3`; all if there are none.
    pub(super) cores: Option<String>,
    /// Only the kinds whose names contain this.
    pub(super) only: String,
}

/// The priority of a process.
#[derive(Debug, Clone, Copy)]
pub(super) enum Priority {
    /// It runs on what no other process uses.
    ///
    /// Linux still prefers it, for up to a tick, to a process without a real-time priority that has
    /// used more than its share, as a busy server has.
    Idle,
    /// A nice value, 0 to 19.
    Nice(u8),
    /// It runs before all processes without such a priority, and those with a lower one, 1 to 99.
    RealTime(u8),
}

impl Priority {
    /// Returns the words that a command begins with to have this priority.
    fn words(self) -> Vec<String> {
        let words = match self {
            Self::Idle => ["chrt", "--idle", "0"].map(str::to_owned),
            Self::Nice(value) => ["nice".to_owned(), "-n".to_owned(), value.to_string()],
            Self::RealTime(value) => ["chrt".to_owned(), "--rr".to_owned(), value.to_string()],
        };
        words.into()
    }
}

impl Options {
    pub(crate) fn parse(arguments: &[&str]) -> Result<Self> {
        let mut options = Self {
            attack: Duration::from_secs(600),
            quiet: Duration::from_secs(30),
            full: Duration::from_secs(10),
            durable: false,
            memory: "256M".to_owned(),
            clients: 200,
            priority: Priority::Idle,
            real_time: false,
            cores: None,
            only: String::new(),
        };
        let mut rest = arguments.iter();
        while let Some(name) = rest.next() {
            let mut value = || rest.next().with_context(|| format!("{name} needs a value"));
            match *name {
                "--minutes" => {
                    options.attack = Duration::from_secs_f64(60.0 * value()?.parse::<f64>()?)
                }
                "--quiet-seconds" => options.quiet = Duration::from_secs(value()?.parse()?),
                "--full-seconds" => options.full = Duration::from_secs(value()?.parse()?),
                "--dir" => options.durable = true,
                "--memory" => options.memory = (*value()?).to_owned(),
                "--clients" => options.clients = value()?.parse()?,
                "--nice" => options.priority = Priority::Nice(value()?.parse()?),
                "--real-time" => options.real_time = true,
                "--cores" => options.cores = Some((*value()?).to_owned()),
                "--only" => options.only = (*value()?).to_owned(),
                other => bail!("there is no option {other}"),
            }
        }
        options.memory_bytes()?;
        Ok(options)
    }

    /// Returns the words that the command of the server begins with.
    pub(super) fn server_priority(&self) -> Vec<String> {
        if self.real_time { Priority::RealTime(SERVER).words() } else { Vec::new() }
    }

    /// Gives this process, with all clients that behave, its priority.
    pub(super) fn raise_own_priority(&self) -> Result<()> {
        if !self.real_time {
            return Ok(());
        }
        let process = std::process::id().to_string();
        let raised = Command::new("chrt")
            .args(["--rr", "--all-tasks", "--pid", &BEHAVING.to_string(), &process])
            .status()
            .context("chrt, of util-linux, cannot be started")?;
        if !raised.success() {
            bail!("--real-time needs the right to real-time priorities, as root has it");
        }
        Ok(())
    }

    /// Returns the command of the clients that misbehave, to which their program is added.
    pub(super) fn attack_command(&self) -> Command {
        let cores = self.cores.iter().flat_map(|cores| ["taskset", "-c", cores].map(str::to_owned));
        let mut words = cores.chain(self.priority.words());
        let mut command = Command::new(words.next().unwrap_or_default());
        command.args(words);
        command
    }

    /// Returns the memory limit in bytes.
    pub(super) fn memory_bytes(&self) -> Result<u64> {
        let text = self.memory.as_str();
        let (digits, shift) = match text.chars().last() {
            Some('K') => (text.trim_end_matches('K'), 10),
            Some('M') => (text.trim_end_matches('M'), 20),
            Some('G') => (text.trim_end_matches('G'), 30),
            _ => (text, 0),
        };
        let number: u64 = digits.parse().with_context(|| format!("{text} is no size"))?;
        number.checked_shl(shift).with_context(|| format!("{text} is too large"))
    }
}
