//! Options of the command line.

use std::{process::Command, time::Duration};

use anyhow::{Context as _, Result, bail};

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
    /// The cores of the clients that misbehave, as in `0,2-3`; all if there are none.
    pub(super) cores: Option<String>,
    /// Only the kinds whose names contain this.
    pub(super) only: String,
}

/// The priority of a process.
#[derive(Debug, Clone, Copy)]
pub(super) enum Priority {
    /// It runs on what no other process uses, and stops as soon as one wakes.
    ///
    /// A process with the lowest nice value goes on to the end of its slice, up to 4 ms, when
    /// another wakes.
    Idle,
    /// A nice value, 0 to 19.
    Nice(u8),
}

impl Priority {
    /// Returns the words that a command begins with to have this priority.
    fn words(self) -> Vec<String> {
        match self {
            Self::Idle => ["chrt", "--idle", "0"].map(str::to_owned).into(),
            Self::Nice(value) => vec!["nice".to_owned(), "-n".to_owned(), value.to_string()],
        }
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
                "--cores" => options.cores = Some((*value()?).to_owned()),
                "--only" => options.only = (*value()?).to_owned(),
                other => bail!("there is no option {other}"),
            }
        }
        options.memory_bytes()?;
        Ok(options)
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
