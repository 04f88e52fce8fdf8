//! Files of a folder that another program removes, replaces or cuts short while a server uses them.

use std::{
    fs::{self, File},
    path::Path,
    process::Command,
};

use pravega_sdk_client_factory::ClientFactory;
use pravega_sdk_event_stream::codec::Utf8;
use pravega_sdk_integration_tests::harness::{FAR, eventually, tool::binary, unique};
use pravega_sdk_types::Scope;
use tokio::time::timeout;

use super::{
    process::Process,
    support::{Impatient, texts},
};

fn start(parent: &Path) -> Process {
    let mut command = Command::new(binary());
    command.args(["dev", "--port", "0", "--dir"]).arg(parent.join("data"));
    let stderr = File::options().create(true).append(true).open(parent.join("stderr")).unwrap();
    Process::spawn_with(&mut command, stderr.into())
}

/// Checks what clients and the operator of a server get after one of its files was moved away, and
/// perhaps another one has its name.
async fn check(name: &str, replaces: bool, told: &str) {
    let parent = tempfile::tempdir().unwrap();
    let path = parent.path().join("data").join(name);
    let elsewhere = parent.path().join("elsewhere");
    let stderr = || fs::read_to_string(parent.path().join("stderr")).unwrap();
    let process = start(parent.path());
    let Impatient { factory, stream, writer, written } = Impatient::connect(&process.url).await;
    assert!(!stderr().contains("ERROR"), "nothing is lost");

    fs::rename(&path, &elsewhere).unwrap();
    if replaces {
        fs::write(&path, b"another").unwrap();
    }
    eventually("a line on stderr", async || stderr().contains(told)).await;
    assert!(stderr().contains(parent.path().join("data").to_str().unwrap()), "{}", stderr());
    assert!(stderr().contains("no more changes are taken"), "{}", stderr());
    timeout(FAR, writer.write("key", "refused")).await.unwrap().unwrap_err();
    let scope = Scope::new(unique("scope")).unwrap();
    let refused = factory.controller().create_scope(&scope).await.unwrap_err();
    assert!(format!("{refused:?}").contains(told), "{refused:?}");
    // What is open is read.
    assert_eq!(texts(&factory, &stream).await, written);
    drop((writer, process, factory));
    if replaces {
        assert_eq!(fs::read(&path).unwrap(), b"another", "it is not the server's");
    }

    fs::rename(&elsewhere, &path).unwrap();
    let process = start(parent.path());
    let factory = ClientFactory::connect(&process.url).await.unwrap();
    assert_eq!(texts(&factory, &stream).await, written);
    factory.event_writer(&stream, Utf8).await.unwrap().write("key", "more").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_file_that_another_program_removes_is_told_before_more_is_lost() {
    check("log-00000001", false, "log-00000001 was removed by another program").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_file_that_another_program_replaces_is_told_before_more_is_lost() {
    check("log-00000001", true, "log-00000001 was replaced by another program").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_that_another_program_removes_is_told() {
    check("lock", false, "lock was removed by another program").await;
}

/// Checks that no more is acknowledged after a file was emptied in place, and what a start, a
/// salvage and `pravega doctor` say then.
async fn check_emptied(name: &str) {
    let parent = tempfile::tempdir().unwrap();
    let path = parent.path().join("data").join(name);
    let stderr = || fs::read_to_string(parent.path().join("stderr")).unwrap();
    let process = start(parent.path());
    let Impatient { factory, stream, writer, written } = Impatient::connect(&process.url).await;
    let rest = format!("http://{}", process.rest_address());
    let doctor = || {
        let mut command = Command::new(binary());
        command.args(["--controller", &process.url, "doctor", "--rest", &rest]);
        let output = command.output().unwrap();
        (output.status.success(), String::from_utf8(output.stdout).unwrap())
    };
    let (is_good, told) = doctor();
    assert!(is_good && told.contains("says UP"), "{told}");

    File::options().write(true).open(&path).unwrap().set_len(0).unwrap();
    let told = format!("{name} was cut short by another program: it has 0 bytes");
    if name == "folder" {
        eventually("a line on stderr", async || stderr().contains(&told)).await;
    }
    // One that is written to is noticed before that.
    timeout(FAR, writer.write("key", "refused")).await.unwrap().unwrap_err();
    eventually("a line on stderr", async || stderr().contains(&told)).await;
    let (is_good, told) = doctor();
    assert!(!is_good && told.contains("says DOWN"), "{told}");
    assert_eq!(fs::metadata(&path).unwrap().len(), 0, "it did not become longer again");
    drop((writer, process, factory));

    let new = parent.path().join("new");
    let run = |arguments: &[&str]| {
        let mut command = Command::new(binary());
        command.arg("dev").args(arguments).arg(parent.path().join("data"));
        let output = command.arg(&new).output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, told) = run(&["--salvage"]);
    assert_eq!(code, Some(1), "{told}");
    if name == "folder" {
        let copy = Process::start(&["--dir", new.to_str().unwrap()]);
        let factory = ClientFactory::connect(&copy.url).await.unwrap();
        assert_eq!(texts(&factory, &stream).await, written);
    } else {
        assert!(told.contains("no event could be kept"), "{told}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_another_program_empties_is_told_and_no_more_is_acknowledged() {
    tokio::join!(check_emptied("log-00000001"), check_emptied("folder"));
}
