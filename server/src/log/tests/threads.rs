//! Writing by threads, and reading back.

use std::sync::Arc;

use pravega_sdk_server_core::log::NotTaken;

use super::*;

#[tokio::test]
async fn what_is_acknowledged_is_read_back_across_files() {
    let folder = tempfile::tempdir().unwrap();
    let mut lens: Vec<usize> = Vec::new();
    for round in 0..3_usize {
        let disk = Arc::new(files(folder.path()));
        let mut log = Log::start(open_with(&*disk, &lens), disk);
        for number in 0..120 {
            let len = if number % 5 == 0 { 200_000 } else { 100 * number + round };
            assert!(log.submit(len));
            lens.push(len);
        }
        let known = log.until_durable().await;
        assert_eq!((known.refused, known.failed), (None, None));
        assert!(known.turnovers >= 2, "{} files ended", known.turnovers);
        assert_eq!(log.close().failed, None);
    }
    let disk = files(folder.path());
    open_with(&disk, &lens);
    let names = disk.list().unwrap().into_iter().map(|file| file.0);
    let others: Vec<String> = names.filter(|name| !name.starts_with("log-")).collect();
    assert_eq!(others, ["folder", "synced"]);
}

#[tokio::test]
async fn a_batch_that_no_write_can_have_is_refused_before_it_is_taken() {
    let folder = tempfile::tempdir().unwrap();
    let disk = Arc::new(files(folder.path()));
    let mut log = Log::start(open_with(&*disk, &[]), disk);
    assert!(log.submit(10));
    let long = batch(2, (256 << 20) + 1);
    assert!(matches!(log.inbox.submit(Sequence(2), long), Err(NotTaken::TooLong(_))));
    assert!(log.submit(20));
    log.until_durable().await;
    assert_eq!(log.inbox.queued(), 0);
    let inbox = log.inbox.clone();
    assert_eq!(log.close().failed, None);
    assert_eq!(inbox.submit(Sequence(3), batch(3, 1)), Err(NotTaken::Ended));
    open_with(&files(folder.path()), &[10, 20]);
}

#[tokio::test]
async fn batches_that_were_taken_are_written_before_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let disk = Arc::new(files(folder.path()));
    let mut log = Log::start(open_with(&*disk, &[]), disk);
    let lens = vec![5000; 200];
    assert!(lens.iter().all(|len| log.submit(*len)));
    assert_eq!(log.close().durable, 200);
    open_with(&files(folder.path()), &lens);
}
