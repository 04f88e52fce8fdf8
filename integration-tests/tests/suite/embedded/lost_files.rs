//! Files of a folder that another program removes or replaces while a server uses them.

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
