//! The tool's server in a process of its own, so that its memory and its descriptors can be
//! measured and limited.

use std::{
    collections::BTreeSet,
    io::{BufRead as _, BufReader},
    process::{Child, Command, Stdio},
    time::Duration,
};

use pravega_sdk_integration_tests::harness::tool::binary;
use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};

pub(super) struct Process {
    child: Child,
    pub(super) url: String,
    /// The URL of the REST interface.
    rest: String,
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
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut second_word = || {
            let line = lines.next().expect("the server has started").unwrap();
            line.split_whitespace().nth(1).unwrap().to_owned()
        };
        let (url, rest) = (second_word(), second_word());
        Self { child, url, rest }
    }

    /// Returns true if the process has not ended.
    pub(super) fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// The port of the controller.
    pub(super) fn port(&self) -> u16 {
        self.url.rsplit(':').next().unwrap().parse().unwrap()
    }

    /// The address of the REST interface.
    pub(super) fn rest_address(&self) -> String {
        let address = self.rest.split_once("://").unwrap().1;
        address.split('/').next().unwrap().to_owned()
    }

    /// The port of the REST interface.
    pub(super) fn rest_port(&self) -> u16 {
        self.rest_address().rsplit(':').next().unwrap().parse().unwrap()
    }

    /// The processor time that the process has used.
    pub(super) fn processor_time(&self) -> Duration {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        // The name of the program may have spaces, and is in brackets.
        let after = stat.rsplit_once(") ").unwrap().1;
        let ticks: u64 =
            after.split(' ').skip(11).take(2).map(|part| part.parse::<u64>().unwrap()).sum();
        // A hundredth of a second each, on Linux.
        Duration::from_millis(10 * ticks)
    }

    /// Leaves the process the descriptors that it has, and no other.
    pub(super) fn limit_descriptors_to_those_open(&self) {
        loop {
            let open = self.descriptors();
            // A new one has the least number that is free.
            let free = (0..).find(|number| !open.contains(number)).unwrap();
            self.limit_descriptors(free);
            if self.descriptors() == open {
                return;
            }
        }
    }

    fn descriptors(&self) -> BTreeSet<u64> {
        let open = std::fs::read_dir(format!("/proc/{}/fd", self.child.id())).unwrap();
        open.map(|entry| entry.unwrap().file_name().to_str().unwrap().parse().unwrap()).collect()
    }

    /// Limits the number of descriptors of the running process.
    pub(super) fn limit_descriptors(&self, most: u64) {
        let process = Pid::from_child(&self.child);
        // The hard limit is that of this process.
        let limit = Rlimit { current: Some(most), ..getrlimit(Resource::Nofile) };
        prlimit(Some(process), Resource::Nofile, limit).unwrap();
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
