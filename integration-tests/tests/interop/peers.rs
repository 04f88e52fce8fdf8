//! The other clients, unchanged: Java's 0.13.0 and `pravega-client` 0.3.7 use all their features on
//! a server.

use std::{path::Path, process::Command, time::Duration};

use pravega_sdk_client_factory::ClientFactory;
use pravega_sdk_integration_tests::harness::{eventually, url};
use pravega_sdk_server::EmbeddedServer;
use tokio::time::timeout;

const LIMIT: Duration = Duration::from_secs(240);

/// Runs a program that checks its own results. The process is killed with the test, also after a
/// timeout.
async fn run(command: Command) {
    let shown = format!("{command:?}");
    let mut command = tokio::process::Command::from(command);
    let output = timeout(LIMIT, command.kill_on_drop(true).output()).await;
    let output =
        output.unwrap_or_else(|_| panic!("{shown} was not done within {LIMIT:?}")).unwrap();
    let (stdout, stderr) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let all = format!("{stdout}\n{stderr}");
    assert!(output.status.success() && all.contains("all scenarios hold"), "{all}");
    all.lines().filter(|line| line.starts_with("holds: ")).for_each(|line| println!("{line}"));
}

#[tokio::test]
async fn every_feature_of_the_java_client_works() {
    let jars =
        std::env::var("PRAVEGA_TEST_JARS").expect("run these tests with `cargo xtask interop`");
    let folder = tempfile::tempdir().unwrap();
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("java/Scenarios.java");
    let mut command = Command::new("java");
    // The client writes its log into a folder below the one that it runs in.
    command.current_dir(folder.path()).arg("-cp").arg(format!("{jars}/*")).arg(program).arg(url());
    run(command).await;
}

/// A reply that the Java client answers by waiting for the next write would make it wait forever.
#[tokio::test(flavor = "multi_thread")]
async fn a_java_writer_goes_on_after_its_server_was_full() {
    let jars =
        std::env::var("PRAVEGA_TEST_JARS").expect("run these tests with `cargo xtask interop`");
    let server = EmbeddedServer::builder().with_memory_limit(4 << 20).start().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("java/Scenarios.java");
    let mut command = Command::new("java");
    command.current_dir(folder.path()).arg("-cp").arg(format!("{jars}/*")).arg(program);
    command.args([&server.url(), "java"]);
    let freed = async {
        let is_full = folder.path().join("full");
        eventually("the server is full", async || is_full.exists()).await;
        let factory = ClientFactory::connect(&server.url()).await.unwrap();
        let stream = "java/full".parse().unwrap();
        let tail = factory.batch_client(&stream).await.unwrap().tail_cut().await.unwrap();
        factory.controller().truncate_stream(&tail).await.unwrap();
    };
    tokio::join!(run(command), freed);
}

#[tokio::test]
async fn every_feature_of_pravega_client_works() {
    let program = std::env::var("PRAVEGA_TEST_RUST_PEER")
        .expect("run these tests with `cargo xtask interop`");
    let mut command = Command::new(program);
    // It needs only the address of a controller.
    command.arg(url().replace("tcp://", "").replace("localhost", "127.0.0.1"));
    run(command).await;
}
