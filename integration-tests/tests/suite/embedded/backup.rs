//! Backups of a server at work.

use std::{
    os::unix::fs::FileTypeExt as _,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use pravega_sdk_client_factory::{ClientConfig, ClientFactory};
use pravega_sdk_event_stream::codec::Utf8;
use pravega_sdk_integration_tests::harness::{
    eventually, lines::megabytes, new_stream, read_all, tool::binary, unique,
};
use pravega_sdk_server::{CopyError, EmbeddedServer, OpenProblem, backup};
use pravega_sdk_types::{ErrorKind, Scope, ScopedStream};
use tokio::io::AsyncWriteExt as _;

use super::support::{numbers, start, stream, write};

/// Writes numbers until it is over, and notes how many are acknowledged, and the longest time that
/// this took, in milliseconds.
async fn count(
    factory: Arc<ClientFactory>,
    stream: ScopedStream,
    acknowledged: Arc<AtomicU32>,
    longest: Arc<AtomicU32>,
    is_over: Arc<AtomicBool>,
) {
    let writer = factory.event_writer(&stream, Utf8).await.unwrap();
    let mut number = 0;
    while !is_over.load(Ordering::Relaxed) {
        let acks: Vec<_> = {
            let mut acks = Vec::new();
            for _ in 0..20 {
                let event = format!("{number}:{}", "x".repeat(3000));
                acks.push(writer.enqueue("key", event).await.unwrap());
                number += 1;
            }
            acks
        };
        let since = Instant::now();
        for ack in acks {
            ack.await.unwrap();
        }
        acknowledged.store(number, Ordering::Relaxed);
        longest.fetch_max(since.elapsed().as_millis() as u32, Ordering::Relaxed);
    }
}

/// Commits transactions of three events until it is over.
async fn commit(
    factory: Arc<ClientFactory>,
    stream: ScopedStream,
    acknowledged: Arc<AtomicU32>,
    is_over: Arc<AtomicBool>,
) {
    let writer = factory.transactional_writer(&stream, Utf8).await.unwrap();
    let mut number = 0;
    while !is_over.load(Ordering::Relaxed) {
        let mut transaction = writer.begin().await.unwrap();
        for event in 0..3 {
            transaction.write("key", format!("{number}:{event}")).await.unwrap();
        }
        transaction.commit().await.unwrap();
        number += 1;
        acknowledged.store(number, Ordering::Relaxed);
    }
}

/// Truncates a stream again and again, so that files are given up and moved.
async fn truncate(factory: Arc<ClientFactory>, stream: ScopedStream, is_over: Arc<AtomicBool>) {
    while !is_over.load(Ordering::Relaxed) {
        tokio::time::sleep(Duration::from_millis(300)).await;
        let tail = factory.batch_client(&stream).await.unwrap().tail_cut().await.unwrap();
        factory.controller().truncate_stream(&tail).await.unwrap();
    }
}

/// The numbers before the colons of events, in order.
async fn heads(factory: &ClientFactory, stream: &ScopedStream) -> Vec<u32> {
    let head = |event: &[u8]| {
        let text = std::str::from_utf8(event).unwrap();
        text.split_once(':').unwrap().0.parse().unwrap()
    };
    read_all(factory, stream).await.iter().map(|event| head(event.event())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_under_load_has_everything_that_was_acknowledged_before_it() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("data");
    let limit = (256 + 2 * megabytes() as u64) << 20;
    let builder = EmbeddedServer::builder().with_directory(&folder).with_disk_limit(limit);
    let (server, factory) = start(builder).await;
    let factory = Arc::new(factory);
    let kept = new_stream(factory.controller(), 1).await;
    let truncated = new_stream(factory.controller(), 1).await;
    let committed = new_stream(factory.controller(), 1).await;
    let is_over = Arc::new(AtomicBool::new(false));
    let [written, passing, commits, longest]: [Arc<AtomicU32>; 4] = Default::default();
    let (f, over) = (|| Arc::clone(&factory), || Arc::clone(&is_over));
    let work = [
        tokio::spawn(count(f(), kept.clone(), Arc::clone(&written), Arc::clone(&longest), over())),
        tokio::spawn(count(f(), truncated.clone(), Arc::clone(&passing), Arc::default(), over())),
        tokio::spawn(truncate(f(), truncated.clone(), over())),
        tokio::spawn(commit(f(), committed.clone(), Arc::clone(&commits), over())),
    ];
    // As long as the variable of large transfers says.
    let long = new_stream(factory.controller(), 1).await;
    let mut bytes = factory.byte_writer(&long).await.unwrap();
    for number in 0..megabytes() {
        bytes.write_all(&vec![number as u8; 1 << 20]).await.unwrap();
    }
    bytes.flush().await.unwrap();
    for round in 0..3 {
        let before = written.load(Ordering::Relaxed);
        eventually("more is written", async || {
            written.load(Ordering::Relaxed) > before + 500
                && commits.load(Ordering::Relaxed) > round
        })
        .await;
        let least = [&written, &commits].map(|count| count.load(Ordering::Relaxed));
        let to = parent.path().join(format!("backup-{round}"));
        longest.store(0, Ordering::Relaxed);
        let since = Instant::now();
        let made = backup(&folder, &to).await.unwrap();
        let (took, waited) = (since.elapsed(), longest.load(Ordering::Relaxed));
        println!("{} bytes in {took:?}; acknowledgements took at most {waited} ms", made.bytes);
        assert!(made.files > 0 && made.bytes > 0, "{made:?}");
        let most = written.load(Ordering::Relaxed);
        // The other one runs on.
        let (copy, reading) = start(EmbeddedServer::builder().with_directory(&to)).await;
        let events = heads(&reading, &kept).await;
        assert!(events.iter().copied().eq(0..events.len() as u32), "each once, in order");
        let has = events.len() as u32;
        // Twenty more may have been written and not be acknowledged.
        assert!(least[0] <= has && has <= most + 20, "{} <= {has} <= {most}", least[0]);
        let events = heads(&reading, &committed).await;
        let whole = events.chunks(3).zip(0..).all(|(events, number)| *events == [number; 3]);
        assert!(whole && events.len() as u32 / 3 >= least[1], "{events:?}");
        write(&reading, &stream(&reading, 1).await, 0..10).await;
        copy.shutdown().await;
    }
    is_over.store(true, Ordering::Relaxed);
    for work in work {
        work.await.unwrap();
    }
    server.shutdown().await;
}

fn names(folder: &Path) -> Vec<String> {
    let names = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<String> =
        names.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[tokio::test]
async fn a_folder_is_copied_also_while_no_server_uses_it_and_is_not_changed() {
    let parent = tempfile::tempdir().unwrap();
    let [folder, to] = ["data", "copy"].map(|name| parent.path().join(name));
    let (server, factory) = start(EmbeddedServer::builder().with_directory(&folder)).await;
    let stream = stream(&factory, 1).await;
    write(&factory, &stream, 0..100).await;
    server.shutdown().await;
    let before = names(&folder);
    assert!(!before.contains(&"keeping".to_owned()), "{before:?}");
    backup(&folder, &to).await.unwrap();
    assert_eq!(names(&folder), before);
    let identity = |folder: &Path| std::fs::read(folder.join("folder")).unwrap();
    assert_ne!(identity(&folder), identity(&to));
    // Files of one are none of the other's.
    std::fs::rename(to.join("log-00000001"), parent.path().join("kept")).unwrap();
    std::fs::copy(folder.join("log-00000001"), to.join("log-00000001")).unwrap();
    let refused = EmbeddedServer::builder().with_directory(&to).start().await.unwrap_err();
    assert!(refused.to_string().contains("belongs to folder"), "{refused}");
    std::fs::rename(parent.path().join("kept"), to.join("log-00000001")).unwrap();
    let (copy, factory) = start(EmbeddedServer::builder().with_directory(&to)).await;
    assert_eq!(numbers(&factory, &stream).await.len(), 100);
    copy.shutdown().await;
}

#[tokio::test]
async fn what_is_no_empty_folder_is_refused_by_name_and_stays_as_it_is() {
    let parent = tempfile::tempdir().unwrap();
    let [folder, to] = ["data", "copy"].map(|name| parent.path().join(name));
    let (server, _) = start(EmbeddedServer::builder().with_directory(&folder)).await;
    for name in ["thesis.tex", "folder.copy", "log-00000001"] {
        std::fs::create_dir(&to).unwrap();
        std::fs::write(to.join(name), [7; 100]).unwrap();
        match backup(&folder, &to).await.unwrap_err() {
            CopyError::Target(error) => match error.problem() {
                OpenProblem::Foreign { file, .. }
                | OpenProblem::Corrupt { file, .. }
                | OpenProblem::Missing { file, .. } => {
                    assert!([name, "folder"].contains(&&**file), "{file}");
                }
                other => panic!("{other:?}"),
            },
            other => panic!("{other:?}"),
        }
        assert_eq!(names(&to), [name]);
        std::fs::remove_dir_all(&to).unwrap();
    }
    // One is no folder of a server, and the other is the same.
    let missing = backup(parent.path().join("none"), &to).await.unwrap_err();
    assert!(matches!(missing, CopyError::Source(_)), "{missing:?}");
    assert!(!to.exists());
    let same = backup(&folder, &folder).await.unwrap_err();
    assert!(matches!(same, CopyError::Target(_)), "{same:?}");
    server.shutdown().await;
}

#[tokio::test]
async fn a_socket_that_a_process_has_left_is_replaced_and_a_server_without_one_is_told() {
    let parent = tempfile::tempdir().unwrap();
    let [folder, to] = ["data", "copy"].map(|name| parent.path().join(name));
    std::fs::create_dir(&folder).unwrap();
    let socket = folder.join("keeping");
    drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
    let (server, _) = start(EmbeddedServer::builder().with_directory(&folder)).await;
    assert!(std::fs::metadata(&socket).unwrap().file_type().is_socket());
    backup(&folder, &to).await.unwrap();
    std::fs::remove_file(&socket).unwrap();
    let refused = backup(&folder, parent.path().join("other")).await.unwrap_err();
    assert!(matches!(refused, CopyError::NoAnswer { .. }), "{refused:?}");
    assert_eq!(refused.kind(), ErrorKind::Unavailable);
    assert!(!parent.path().join("other").exists());
    server.shutdown().await;
}

#[test]
fn the_tool_copies_the_folder_of_a_process_that_runs() {
    let parent = tempfile::tempdir().unwrap();
    let [folder, to] = ["data", "copy"].map(|name| parent.path().join(name));
    let _process = super::process::Process::start(&["--dir", folder.to_str().unwrap()]);
    let run = || {
        let mut command = std::process::Command::new(binary());
        command.args(["-o", "json", "backup"]).args([&folder, &to]).output().unwrap()
    };
    let made = run();
    let text = String::from_utf8_lossy(&made.stdout).into_owned();
    assert!(made.status.success() && text.contains("\"batch\":"), "{made:?}");
    assert_eq!(run().status.code(), Some(2), "it is not empty");
    let _copy = super::process::Process::start(&["--dir", to.to_str().unwrap()]);
}

/// Checks that a server reads for a backup what another program has removed or replaced.
async fn check_lost(name: &str, replaces: bool) {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("data");
    let (server, factory) = start(EmbeddedServer::builder().with_directory(&folder)).await;
    let stream = stream(&factory, 1).await;
    write(&factory, &stream, 0..1000).await;
    std::fs::rename(folder.join(name), parent.path().join("elsewhere")).unwrap();
    if replaces {
        std::fs::write(folder.join(name), b"another").unwrap();
    }
    for noticed in [false, true] {
        if noticed {
            let (first, last) = (Duration::from_millis(1), Duration::from_millis(1));
            let config = ClientConfig::from_url(&server.url()).unwrap();
            let impatient = ClientFactory::new(config.with_default_retry(1, first, last)).unwrap();
            eventually("the server has noticed", async || {
                let scope = Scope::new(unique("scope")).unwrap();
                impatient.controller().create_scope(&scope).await.is_err()
            })
            .await;
        }
        let to = parent.path().join(format!("copy-{noticed}"));
        backup(&folder, &to).await.unwrap_or_else(|error| panic!("{name}, {replaces}: {error}"));
        let (copy, reading) = start(EmbeddedServer::builder().with_directory(&to)).await;
        assert_eq!(numbers(&reading, &stream).await.len(), 1000);
        copy.shutdown().await;
    }
    server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_has_a_file_that_another_program_has_removed_or_replaced_meanwhile() {
    let log = "log-00000001";
    tokio::join!(check_lost(log, false), check_lost(log, true), check_lost("synced", false));
}

#[tokio::test]
async fn the_tool_salvages_a_damaged_folder_and_lists_what_is_missing() {
    let parent = tempfile::tempdir().unwrap();
    let [folder, to] = ["data", "new"].map(|name| parent.path().join(name));
    let (server, factory) = start(EmbeddedServer::builder().with_directory(&folder)).await;
    let stream = stream(&factory, 1).await;
    // Each is an append of its own.
    for round in 0..10 {
        write(&factory, &stream, round * 100..(round + 1) * 100).await;
    }
    let run = |arguments: &[&str]| {
        let mut command = std::process::Command::new(binary());
        command.args(arguments).args(["dev", "--salvage"]).args([&folder, &to]).output().unwrap()
    };
    let refused = run(&[]);
    assert_eq!(refused.status.code(), Some(4), "it is in use: {refused:?}");
    server.shutdown().await;
    let log = folder.join("log-00000001");
    let mut bytes = std::fs::read(&log).unwrap();
    let middle = bytes.iter().rposition(|byte| *byte != 0).unwrap() * 3 / 4;
    bytes[middle] ^= 1;
    std::fs::write(&log, &bytes).unwrap();
    let told = EmbeddedServer::builder().with_directory(&folder).start().await.unwrap_err();
    assert!(told.to_string().contains("is damaged at byte"), "{told}");
    let before = names(&folder);
    let salvaged = run(&["-o", "json"]);
    assert_eq!(salvaged.status.code(), Some(1), "something is missing: {salvaged:?}");
    let told = String::from_utf8_lossy(&salvaged.stderr).into_owned();
    assert!(told.contains("missing, which") && told.contains("a server starts on"), "{told}");
    let list = String::from_utf8(salvaged.stdout).unwrap();
    assert!(list.lines().any(|line| line.contains("\"missing\":\"changes\"")), "{list}");
    assert_eq!((names(&folder), std::fs::read(&log).unwrap() == bytes), (before, true));
    let (copy, reading) = start(EmbeddedServer::builder().with_directory(&to)).await;
    // The first events are read, up to the hole.
    let mut reader = reading.event_reader(&stream, Utf8).await.unwrap();
    for number in 0..100 {
        let event = reader.next().await.unwrap().unwrap();
        assert_eq!(event.event(), &number.to_string());
    }
    // And it is written to again.
    write(&reading, &stream, 1000..1010).await;
    copy.shutdown().await;
}
