//! The program of Java's client: it runs while a test does, and does what the test says.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use pravega_sdk_integration_tests::harness::url;
use pravega_sdk_types::{EventPointer, Scope, ScopedReaderGroup};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    process::{Child, ChildStdin, ChildStdout, Command},
    sync::{Mutex as AsyncMutex, oneshot},
    time::timeout,
};

use super::log::{Ending, Item, Log, Read};
use crate::program;

/// A process of Java's client for the groups of a scope, which is killed when this is dropped.
pub(super) struct Java {
    process: AsyncMutex<Child>,
    commands: AsyncMutex<ChildStdin>,
    next: AtomicU32,
    output: Arc<Mutex<Output>>,
    /// Where it runs, with what it writes to stderr.
    folder: tempfile::TempDir,
}

/// Where the lines go that the process prints.
#[derive(Default)]
struct Output {
    answers: BTreeMap<u32, oneshot::Sender<Result<String, String>>>,
    readers: BTreeMap<String, Log>,
}

impl Java {
    /// Starts the process. It is ready when the first command is answered.
    pub(super) fn start(scope: &Scope) -> Arc<Self> {
        Self::start_for(scope, &url())
    }

    /// As [`Self::start`], for another server.
    pub(super) fn start_for(scope: &Scope, url: &str) -> Arc<Self> {
        let folder = tempfile::tempdir().unwrap();
        let mut command = program::command_for("Groups", folder.path(), url);
        command.arg(scope.as_str());
        command.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
        command.stderr(std::fs::File::create(folder.path().join("stderr")).unwrap());
        let mut process = Command::from(command).kill_on_drop(true).spawn().unwrap();
        let commands = process.stdin.take().unwrap();
        let lines = process.stdout.take().unwrap();
        let output = Arc::new(Mutex::new(Output::default()));
        tokio::spawn(distribute(lines, output.clone()));
        let (process, commands) = (AsyncMutex::new(process), AsyncMutex::new(commands));
        Arc::new(Self { process, commands, next: AtomicU32::new(0), output, folder })
    }

    /// Executes a command about a group, and returns the answer.
    pub(super) async fn ask(&self, group: &ScopedReaderGroup, words: &[&str]) -> String {
        match self.attempt(group, words).await {
            Ok(answer) => answer,
            failed => panic!("{words:?}: {failed:?}\n{}", self.errors()),
        }
    }

    /// As [`Self::ask`], of a command that may fail: then it returns the error.
    pub(super) async fn attempt(
        &self,
        group: &ScopedReaderGroup,
        words: &[&str],
    ) -> Result<String, String> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let (answer, answered) = oneshot::channel();
        self.output.lock().unwrap().answers.insert(number, answer);
        let line = format!("{number} {} {}\n", group.group(), words.join(" "));
        self.commands.lock().await.write_all(line.as_bytes()).await.unwrap();
        match timeout(program::LIMIT, answered).await {
            Ok(Ok(answer)) => answer,
            other => panic!("{words:?}: {other:?}\n{}", self.errors()),
        }
    }

    /// Returns what a reader of this process will return.
    pub(super) fn listen(&self, reader: &str) -> Log {
        let log = Log::default();
        self.output.lock().unwrap().readers.insert(reader.to_owned(), log.clone());
        log
    }

    /// Kills the process, with all its readers.
    pub(super) async fn kill(&self) {
        self.process.lock().await.kill().await.unwrap();
    }

    /// The last lines of its stderr.
    fn errors(&self) -> String {
        let text = std::fs::read(self.folder.path().join("stderr")).unwrap();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(60)..].join("\n")
    }
}

/// Takes the lines of a process to where they belong. At its end no command has an answer any more.
async fn distribute(lines: ChildStdout, output: Arc<Mutex<Output>>) {
    let mut lines = BufReader::new(lines).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let mut output = output.lock().unwrap();
        let (kind, rest) = line.split_once(' ').unwrap();
        let (whose, rest) = rest.split_once(' ').unwrap_or((rest, ""));
        if matches!(kind, "answer" | "failed") {
            let answer = if kind == "answer" { Ok(rest.to_owned()) } else { Err(rest.to_owned()) };
            // A test that has ended does not wait for it.
            let _ = output.answers.remove(&whose.parse().unwrap()).unwrap().send(answer);
        } else {
            output.readers[whose].push(item(kind, rest));
        }
    }
    output.lock().unwrap().answers.clear();
}

fn item(kind: &str, rest: &str) -> Item {
    match (kind, rest) {
        ("checkpoint", name) => Item::Checkpoint(name.to_owned()),
        ("ended", "read") => Item::Ended(Ending::Read),
        ("ended", "removed") => Item::Ended(Ending::Removed),
        ("ended", failure) => Item::Ended(Ending::Failed(failure.to_owned())),
        ("event", event) => {
            let words: Vec<&str> = event.splitn(4, ' ').collect();
            let [micros, pointer, position, text] = words[..] else { panic!("{event}") };
            Item::Event(Read {
                text: text.to_owned(),
                pointer: EventPointer::from_bytes(&BASE64.decode(pointer).unwrap()).unwrap(),
                position: position.parse().unwrap(),
                time: Duration::from_micros(micros.parse().unwrap()),
            })
        }
        _ => panic!("{kind} {rest}"),
    }
}
