//! The tool's server in a process of its own, so that its memory and its descriptors can be
//! measured and limited.

use std::{
    io::{BufRead as _, BufReader},
    process::{Child, Command, Stdio},
};

use pravega_sdk_integration_tests::harness::tool::binary;

pub(super) struct Process {
    child: Child,
    pub(super) url: String,
}

impl Process {
    /// Starts `pravega dev` with more arguments.
    pub(super) fn start(arguments: &[&str]) -> Self {
        Self::spawn(Command::new(binary()).args(["dev", "--port", "0"]).args(arguments))
    }

    /// Starts it with one arena of the allocator, and with more arguments: what the server keeps is
    /// then its own, without what the arenas of several threads keep of what was freed.
    pub(super) fn start_with_one_arena(arguments: &[&str]) -> Self {
        let mut command = Command::new(binary());
        command.env("MALLOC_ARENA_MAX", "1").args(["dev", "--port", "0"]);
        Self::spawn(command.args(arguments))
    }

    /// Starts it with a limit of the number of open files.
    pub(super) fn start_with_descriptors(count: u32) -> Self {
        let script = format!("ulimit -n {count} && exec \"$0\" dev --port 0");
        Self::spawn(Command::new("sh").args(["-c", &script]).arg(binary()))
    }

    /// Starts it with a limit of the length of files, in KiB, and with more arguments.
    pub(super) fn start_with_file_size(kib: u32, arguments: &[&str]) -> Self {
        // The unit of the shell is half a KiB.
        let script = format!("ulimit -f {} && exec \"$0\" dev --port 0 \"$@\"", 2 * kib);
        Self::spawn(Command::new("sh").args(["-c", &script]).arg(binary()).args(arguments))
    }

    fn spawn(command: &mut Command) -> Self {
        Self::spawn_with(command, Stdio::null())
    }

    /// Starts a command that becomes `pravega dev`; its warnings go to `stderr`.
    pub(super) fn spawn_with(command: &mut Command, stderr: Stdio) -> Self {
        let command = command.stdout(Stdio::piped()).stderr(stderr);
        let mut child = command.spawn().expect("the tool was not built");
        let ready = BufReader::new(child.stdout.take().unwrap()).lines().next();
        let ready = ready.expect("the server has started").unwrap();
        Self { child, url: ready.split_whitespace().nth(1).unwrap().to_owned() }
    }

    /// Returns true if the process has not ended.
    pub(super) fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// The port of the controller.
    pub(super) fn port(&self) -> u16 {
        self.url.rsplit(':').next().unwrap().parse().unwrap()
    }

    pub(super) fn resident_kib(&self) -> u64 {
        self.status("VmRSS:")
    }

    /// The most that was ever resident.
    pub(super) fn peak_kib(&self) -> u64 {
        self.status("VmHWM:")
    }

    fn status(&self, name: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
