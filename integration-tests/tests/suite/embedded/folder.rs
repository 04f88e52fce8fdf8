//! The folder of a durable server.

use std::{os::unix::fs::PermissionsExt as _, path::Path};

use pravega_sdk_event_stream::codec::Utf8;
use pravega_sdk_integration_tests::harness::{eventually, scale};
use pravega_sdk_server::{EmbeddedServer, OpenProblem, StartError};
use pravega_sdk_types::{KeyRange, SegmentId};

use super::support::{numbers, start, stream, write};

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[tokio::test]
async fn a_folder_is_private_holds_everything_and_belongs_to_one_server() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("a").join("data");
    let (server, factory) = start(EmbeddedServer::builder().with_directory(&folder)).await;
    let stream = stream(&factory, 2).await;
    write(&factory, &stream, 0..100).await;
    scale(
        factory.controller(),
        &stream,
        &[SegmentId::from(0)],
        &[KeyRange::new(0.0, 0.5).unwrap()],
    )
    .await;
    write(&factory, &stream, 100..150).await;
    let transactional = factory.transactional_writer(&stream, Utf8).await.unwrap();
    let mut transaction = transactional.begin().await.unwrap();
    transaction.write("key", "150").await.unwrap();
    let open = transaction.leave_open().await.unwrap();
    assert_eq!(mode(&folder), 0o700);
    for file in std::fs::read_dir(&folder).unwrap() {
        let file = file.unwrap().path();
        assert_eq!(mode(&file), 0o600, "{}", file.display());
    }
    match EmbeddedServer::builder().with_directory(&folder).start().await.unwrap_err() {
        StartError::Data(error) => match error.problem() {
            OpenProblem::InUse { pid } => assert_eq!(*pid, Some(std::process::id())),
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    }
    server.shutdown().await;

    let (server, factory) = start(EmbeddedServer::builder().with_directory(&folder)).await;
    assert_eq!(numbers(&factory, &stream).await, (0..150).collect::<Vec<_>>());
    let transactional = factory.transactional_writer(&stream, Utf8).await.unwrap();
    transactional.resume(open).await.unwrap().commit().await.unwrap();
    eventually("the transaction is there", async || numbers(&factory, &stream).await.len() == 151)
        .await;
    server.shutdown().await;
}

#[tokio::test]
async fn a_damaged_folder_is_refused_with_its_file_and_place() {
    let folder = tempfile::tempdir().unwrap();
    let (server, factory) = start(EmbeddedServer::builder().with_directory(folder.path())).await;
    let stream = stream(&factory, 1).await;
    write(&factory, &stream, 0..1000).await;
    server.shutdown().await;
    let log = folder.path().join("log-00000001");
    let mut bytes = std::fs::read(&log).unwrap();
    // Zeros may follow the last change.
    let middle = bytes.iter().rposition(|byte| *byte != 0).unwrap() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&log, &bytes).unwrap();
    let error = EmbeddedServer::builder()
        .with_directory(folder.path())
        .start()
        .await
        .unwrap_err()
        .to_string();
    assert!(error.contains("log-00000001 is damaged at byte"), "{error}");
    assert!(std::fs::read(&log).unwrap() == bytes, "nothing was changed");
    bytes[middle] ^= 1;
    std::fs::write(&log, &bytes).unwrap();
    let (_server, factory) = start(EmbeddedServer::builder().with_directory(folder.path())).await;
    assert_eq!(numbers(&factory, &stream).await.len(), 1000);
}

#[tokio::test]
async fn a_path_that_is_not_a_folder_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, b"").unwrap();
    let link = folder.path().join("link");
    std::os::unix::fs::symlink(folder.path(), &link).unwrap();
    for path in [&file, &link, &file.join("below")] {
        let error = EmbeddedServer::builder().with_directory(path).start().await.unwrap_err();
        assert!(matches!(error, StartError::Data(_)), "{error:?}");
        assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
    }
}

#[tokio::test]
async fn a_folder_with_files_of_others_is_refused_and_stays_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let thesis = folder.path().join("thesis.tex");
    std::fs::write(&thesis, b"text").unwrap();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o1777)).unwrap();
    let builder = EmbeddedServer::builder().with_directory(folder.path());
    match builder.clone().start().await.unwrap_err() {
        StartError::Data(error) => match error.problem() {
            OpenProblem::Foreign { file, .. } => assert_eq!(file, "thesis.tex"),
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    }
    let names = std::fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap().file_name());
    assert_eq!(names.collect::<Vec<_>>(), ["thesis.tex"]);
    assert_eq!(std::fs::metadata(folder.path()).unwrap().permissions().mode() & 0o7777, 0o1777);
    // An empty one of the same mode is used, and keeps it; so is one with data and other files.
    std::fs::remove_file(&thesis).unwrap();
    builder.clone().start().await.unwrap().shutdown().await;
    assert_eq!(std::fs::metadata(folder.path()).unwrap().permissions().mode() & 0o7777, 0o1777);
    std::fs::write(&thesis, b"text").unwrap();
    builder.start().await.unwrap().shutdown().await;
}

#[tokio::test]
async fn a_file_of_the_log_that_is_a_link_is_refused_by_its_name() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("data");
    let builder = EmbeddedServer::builder().with_directory(&folder);
    builder.clone().start().await.unwrap().shutdown().await;
    let (log, moved) = (folder.join("log-00000001"), parent.path().join("moved"));
    std::fs::rename(&log, &moved).unwrap();
    std::os::unix::fs::symlink(&moved, &log).unwrap();
    let error = builder.start().await.unwrap_err().to_string();
    assert!(error.ends_with("log-00000001: it is a symbolic link"), "{error}");
}
