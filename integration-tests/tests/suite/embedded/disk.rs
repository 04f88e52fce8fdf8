//! What a server with a folder holds in memory for its disk.

use std::path::Path;

use bytes::Bytes;
use pravega_sdk_client_factory::ClientFactory;
use pravega_sdk_integration_tests::harness::{FAR, eventually, unique};
use pravega_sdk_types::Scope;
use tokio::{io::AsyncWriteExt as _, net::TcpStream, time::timeout};

use super::{
    bounds::{ask, check_within, connect, create_table, frames, put, store_port},
    process::Process,
};

/// The memory limit of the server, in MiB.
const LIMIT: u64 = 320;
const TABLE: &str = "a/b/0.#epoch.0";

/// The number of the newest file of a journal.
fn newest(folder: &Path) -> u64 {
    let files = std::fs::read_dir(folder).unwrap();
    let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
    let numbers = names
        .filter_map(|name| name.strip_prefix("journal-").and_then(|number| number.parse().ok()));
    numbers.max().unwrap()
}

/// Fills most of the memory with entries that are as small as can be.
async fn fill(socket: &mut TcpStream) {
    ask(socket, vec![create_table(TABLE)]).await;
    for part in 0..500_u32 {
        let key = |number: u32| Bytes::from((part * 2000 + number).to_be_bytes().to_vec());
        let entries = (0..2000).map(|number| (key(number), Bytes::new()));
        ask(socket, vec![put(TABLE, entries)]).await;
    }
}

#[tokio::test]
async fn a_journal_that_is_written_again_stays_within_the_memory_of_the_process() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().join("data");
    let limit = format!("{LIMIT}M");
    let process = Process::start(&["--memory", &limit, "--dir", folder.to_str().unwrap()]);
    let port = store_port(&process).await;
    let mut socket = connect(port).await;
    fill(&mut socket).await;
    assert_eq!(newest(&folder), 1);
    // The file grows until a new one is begun.
    let value = Bytes::from(vec![1; 1_000_000]);
    let request = frames([put(TABLE, [(Bytes::from_static(b"large"), value)])]);
    let flood = async {
        let mut socket = connect(port).await;
        for _ in 0..300 {
            timeout(FAR, socket.write_all(&request)).await.unwrap().unwrap();
        }
        eventually("a new file is begun", async || newest(&folder) == 2).await;
    };
    flood.await;
    check_within(&process, LIMIT + 64).await;
    let peak = process.peak_kib();
    assert!(peak <= (LIMIT + 64) << 10, "{peak} KiB were resident");
}

#[tokio::test]
async fn a_file_that_reaches_a_limit_of_the_system_ends_the_writing_and_not_the_server() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().join("data");
    let mut process = Process::start_with_file_size(4 << 10, &["--dir", folder.to_str().unwrap()]);
    let port = store_port(&process).await;
    let mut socket = connect(port).await;
    ask(&mut socket, vec![create_table(TABLE)]).await;
    let request = |key| frames([put(TABLE, [(key, Bytes::from(vec![1; 1_000_000]))])]);
    for number in 0..8_u32 {
        // The server ends the connection once it cannot write any more.
        let key = Bytes::from(number.to_be_bytes().to_vec());
        if timeout(FAR, socket.write_all(&request(key))).await.unwrap().is_err() {
            break;
        }
    }
    let factory = ClientFactory::connect(&process.url).await.unwrap();
    let controller = factory.controller();
    let mut refused = None;
    eventually("nothing more is written", async || {
        assert!(process.is_running());
        // One that was created before that would exist, and to create it again is no error.
        let scope = Scope::new(unique("scope")).unwrap();
        let is_refused = controller.create_scope(&scope).await.is_err();
        refused = Some(scope);
        is_refused
    })
    .await;
    assert!(!controller.scope_exists(&refused.unwrap()).await.unwrap());
    assert!(process.is_running());
}
