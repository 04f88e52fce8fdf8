//! The tool's server in a process of its own.

use std::{
    ffi::OsStr,
    fs::File,
    io::{BufRead as _, BufReader, Read as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use anyhow::{Context as _, Result};

/// How a server is started.
#[derive(Debug, Clone)]
pub(crate) struct Launch {
    /// The memory limit, as on the command line.
    pub(crate) memory: String,
    /// The folder of the data; `None` keeps it in memory.
    pub(crate) folder: Option<PathBuf>,
    /// The most descriptors that the process may have open; `None` keeps the limit of this one.
    pub(crate) descriptors: Option<u32>,
    /// The file that receives its standard error; `None` drops it.
    pub(crate) log: Option<PathBuf>,
    /// The words of a command that starts it with a priority of its own; none starts it with the
    /// priority of this process.
    pub(crate) priority: Vec<String>,
}

impl Launch {
    /// A server with a memory limit that no benchmark reaches.
    pub(crate) fn roomy(folder: Option<&Path>) -> Self {
        let folder = folder.map(Path::to_owned);
        let memory = "4G".to_owned();
        Self { memory, folder, descriptors: None, log: None, priority: Vec::new() }
    }

    fn command(&self, tool: &Path) -> Result<Command> {
        let limited = self.descriptors.map(|limit| {
            ["sh".to_owned(), "-c".to_owned(), format!("ulimit -n {limit}; exec \"$0\" \"$@\"")]
        });
        let before = self.priority.iter().chain(limited.iter().flatten()).map(OsStr::new);
        let mut words = before.chain([tool.as_os_str()]);
        let mut command = Command::new(words.next().unwrap_or_default());
        command.args(words);
        command.args(["dev", "--port", "0", "--memory", &self.memory]);
        if let Some(folder) = &self.folder {
            command.arg("--dir").arg(folder);
        }
        let log = match &self.log {
            None => Stdio::null(),
            Some(log) => File::options().create(true).append(true).open(log)?.into(),
        };
        command.stdout(Stdio::piped()).stderr(log);
        Ok(command)
    }
}

/// A running server, which ends with this value.
#[derive(Debug)]
pub(crate) struct ToolServer {
    process: Child,
    url: String,
    rest_port: u16,
}

impl ToolServer {
    /// Starts the tool beside this program and waits until it is ready.
    pub(crate) fn start(launch: &Launch) -> Result<Self> {
        let tool = std::env::current_exe()?.with_file_name("pravega");
        let mut process = launch.command(&tool)?.spawn().with_context(|| {
            format!("{} cannot be started: build it first, with --release", tool.display())
        })?;
        let stdout = process.stdout.take().context("no stdout")?;
        let mut lines = BufReader::new(stdout).lines();
        let mut word = || -> Result<String> {
            let line = lines.next().context("it ended early")??;
            Ok(line.split_whitespace().nth(1).context("a line has one word only")?.to_owned())
        };
        let (url, rest) = (word()?, word()?);
        let rest_port = rest.trim_start_matches("http://127.0.0.1:").split('/').next();
        let rest_port = rest_port.unwrap_or_default().parse().context("no port of REST")?;
        Ok(Self { process, url, rest_port })
    }

    /// The URL of the controller.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// The port of the REST interface.
    pub(crate) fn rest_port(&self) -> u16 {
        self.rest_port
    }

    /// The number of the process.
    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    /// Returns the exit status if the process has ended.
    pub(crate) fn ended(&mut self) -> Option<String> {
        self.process.try_wait().ok().flatten().map(|status| status.to_string())
    }

    /// Returns the resident memory of the server, in KiB.
    pub(crate) fn resident(&self) -> Result<u64> {
        status_of(self.id(), "VmRSS:")
    }

    /// Returns the part of the resident memory that no file backs, in KiB. The rest is the program
    /// itself, as much of it as is in the page cache around what has run.
    pub(crate) fn allocated(&self) -> Result<u64> {
        status_of(self.id(), "RssAnon:")
    }
}

/// Returns a figure of `/proc/<process>/status`, in KiB.
pub(crate) fn status_of(process: u32, name: &str) -> Result<u64> {
    let mut status = String::new();
    File::open(format!("/proc/{process}/status"))?.read_to_string(&mut status)?;
    let line = status.lines().find(|line| line.starts_with(name));
    let line = line.with_context(|| format!("no {name} in the status of process {process}"))?;
    Ok(line.split_whitespace().nth(1).context("no figure")?.parse()?)
}

impl Drop for ToolServer {
    /// Kills the process, as a crash would.
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}
