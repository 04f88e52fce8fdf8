//! A disk that fails while the server runs: what was durable is served, and no more is taken.

use super::*;

/// Checks that a failure of the disk is reported, that what was durable is served and nothing else,
/// and that it is there after the next start.
async fn check(failing: Failing) {
    let server = Server::start().await;
    server.append("one", b"durable").await.unwrap();
    let parts = server.evict("one", 7);
    server.disk.set(&[failing]);
    let lost = server.append("one", b" lost").await.unwrap_err();
    let NotDurable::Failed(why) = &lost else { panic!("{failing:?}: {lost:?}") };
    assert!(why.starts_with("cannot write the log: "), "{failing:?}: {why}");
    server.until("it is gone", |server| server.info("one").unwrap().len == 7).await;
    // By now it is reported before anything is changed.
    let refused = server.create("two").await.unwrap().unwrap_err();
    let Refusal::Ended(told) = &refused else { panic!("{failing:?}: {refused:?}") };
    assert!(told.contains(why), "{failing:?}: {told}");
    assert_eq!(server.read(&parts).await.unwrap(), &b"durable"[..], "{failing:?}");
    // An operator may repair the disk, but only another start knows what is on it.
    server.disk.set(&[]);
    let refused = server.create("two").await.unwrap().unwrap_err();
    assert!(matches!(refused, Refusal::Ended(_)), "{failing:?}: {refused:?}");
    let machine = server.read_again().await;
    let len = machine.store.info("one").unwrap().len;
    // What was not acknowledged may be there as a whole, if only its sync has failed.
    assert!(len == 7 || len == 12, "{failing:?}: {len} bytes");
    assert!(machine.store.info("two").is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_system_that_becomes_read_only_ends_the_writing_and_not_the_reading() {
    check(Failing::All(ErrorKind::ReadOnlyFilesystem)).await;
    check(Failing::Write("log-", ErrorKind::ReadOnlyFilesystem)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_fails_to_write_or_to_sync_ends_the_writing_and_not_the_reading() {
    check(Failing::All(ErrorKind::Other)).await;
    check(Failing::Write("log-", ErrorKind::Other)).await;
    check(Failing::Sync("log-")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_fails_to_read_fails_those_reads_until_it_works_again() {
    let server = Server::start().await;
    server.append("one", b"durable").await.unwrap();
    let parts = server.evict("one", 7);
    server.create("two").await.unwrap().unwrap();
    server.append("two", b"in memory").await.unwrap();
    server.disk.set(&[Failing::Unreadable("log-")]);
    for _ in 0..3 {
        assert_eq!(server.read(&parts).await, None);
        server.append("two", b" and more").await.unwrap();
    }
    let found = server.state.with_machine(|machine| machine.store.look("two", 0, 9));
    assert_eq!(found, Some(Look::Bytes(Bytes::from_static(b"in memory"))));
    server.disk.set(&[]);
    assert_eq!(server.read(&parts).await.unwrap(), &b"durable"[..]);
    server.end().await;
}
