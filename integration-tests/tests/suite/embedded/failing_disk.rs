//! A disk that fails while `pravega dev` runs on it: its calls of the system are replaced by ones
//! that fail when a test says so.

use std::{
    fs::{self, File},
    path::PathBuf,
    process::Command,
};

use pravega_sdk_client_factory::ClientFactory;
use pravega_sdk_event_stream::codec::Utf8;
use pravega_sdk_integration_tests::harness::{FAR, eventually, tool::binary, unique};
use pravega_sdk_types::{Outcome, Scope};
use tokio::time::timeout;

use super::{
    process::Process,
    support::{Impatient, texts},
};

/// The calls that write and sync files: while there is a file `FAULT`, they fail with the number in
/// it.
const CALLS: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/types.h>

static int fault(void) {
    int number = 0;
    FILE *file = fopen(getenv("FAULT"), "r");
    if (file) {
        if (fscanf(file, "%d", &number) != 1) number = 0;
        fclose(file);
    }
    errno = number;
    return number;
}

int fdatasync(int fd) {
    int (*call)(int) = dlsym(RTLD_NEXT, "fdatasync");
    return fault() ? -1 : call(fd);
}

int fsync(int fd) {
    int (*call)(int) = dlsym(RTLD_NEXT, "fsync");
    return fault() ? -1 : call(fd);
}

ssize_t pwrite64(int fd, const void *bytes, size_t len, off64_t at) {
    ssize_t (*call)(int, const void *, size_t, off64_t) = dlsym(RTLD_NEXT, "pwrite64");
    return fault() ? -1 : call(fd, bytes, len, at);
}
"#;

/// A folder on a disk that fails when it should.
struct FailingDisk {
    parent: tempfile::TempDir,
}

impl FailingDisk {
    fn new() -> Self {
        let disk = Self { parent: tempfile::tempdir().unwrap() };
        fs::write(disk.path("calls.c"), CALLS).unwrap();
        // Rust needs it to link.
        let mut compiler = Command::new("cc");
        compiler.args(["-shared", "-fPIC", "-o"]).arg(disk.path("calls.so"));
        compiler.arg(disk.path("calls.c")).arg("-ldl");
        assert!(compiler.status().expect("there is no cc").success());
        disk
    }

    fn path(&self, name: &str) -> PathBuf {
        self.parent.path().join(name)
    }

    fn start(&self) -> Process {
        let mut command = Command::new(binary());
        command.env("LD_PRELOAD", self.path("calls.so")).env("FAULT", self.path("fault"));
        command.args(["dev", "--port", "0", "--dir"]).arg(self.path("data"));
        let stderr = File::options().create(true).append(true).open(self.path("stderr"));
        Process::spawn_with(&mut command, stderr.unwrap().into())
    }

    /// Has all calls fail that write or sync.
    fn fail(&self, number: i32) {
        // It appears as a whole.
        fs::write(self.path("next"), number.to_string()).unwrap();
        fs::rename(self.path("next"), self.path("fault")).unwrap();
    }

    fn repair(&self) {
        fs::remove_file(self.path("fault")).unwrap();
    }

    fn has_told(&self, text: &str) -> bool {
        fs::read_to_string(self.path("stderr")).unwrap().contains(text)
    }
}

/// Checks what clients and the operator of a server get whose disk begins to fail.
async fn check(number: i32, text: &str) {
    let disk = FailingDisk::new();
    let process = disk.start();
    let Impatient { factory, stream, writer, written } = Impatient::connect(&process.url).await;
    assert!(!disk.has_told("ERROR"), "nothing has failed");

    disk.fail(number);
    // The first one is lost, the others are refused.
    let lost = timeout(FAR, writer.write("key", "lost")).await.unwrap().unwrap_err();
    assert_eq!(lost.outcome(), Outcome::Unknown, "{lost:?}");
    let controller = factory.controller();
    let refused = controller.create_scope(&Scope::new(unique("scope")).unwrap()).await.unwrap_err();
    assert!(format!("{refused:?}").contains(text), "{refused:?}");
    let why = format!("cannot write the log: {text}");
    eventually("the reason is logged", async || disk.has_told(&why)).await;
    assert!(disk.has_told("ERROR") && disk.has_told("no more changes are taken"));
    assert_eq!(texts(&factory, &stream).await, written, "reading goes on");

    // Only a new start knows what is on the disk.
    disk.repair();
    controller.create_scope(&Scope::new(unique("scope")).unwrap()).await.unwrap_err();
    drop((writer, process, factory));
    let process = disk.start();
    let factory = ClientFactory::connect(&process.url).await.unwrap();
    let found = texts(&factory, &stream).await;
    // What was not acknowledged may be there, if only its sync has failed.
    assert!(found.starts_with(&written) && found.len() <= 21, "{found:?}");
    let writer = factory.event_writer(&stream, Utf8).await.unwrap();
    writer.write("key", "more").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_fails_is_told_to_clients_and_operator_and_reading_goes_on() {
    check(5, "Input/output error").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_system_that_becomes_read_only_is_told_and_reading_goes_on() {
    check(30, "Read-only file system").await;
}
