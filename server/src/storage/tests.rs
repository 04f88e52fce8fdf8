//! A server on a disk of which calls fail.

mod failing;
mod slow;

use std::io::ErrorKind;

use bytes::Bytes;
use pravega_sdk_server_core::{
    ids::{ConnectionId, Moment, StoreIndex},
    log::{Coverage, Keeper, SpaceSettings},
    store::{Info, Look, Refusal, Session, Step},
};
use pravega_sdk_types::Offset;
use pravega_sdk_wire_protocol::commands::ReadSegment;
use tokio::time::timeout;

use super::*;
use crate::{
    durable::NotDurable,
    fullness::MemoryFill,
    log::{Failing, Faulty, Slow},
};

const FAR: Duration = Duration::from_secs(60);

struct Server {
    builder: ServerBuilder,
    state: Arc<ServerState>,
    storage: Storage,
    disk: Arc<Faulty>,
    watching: tokio::task::JoinHandle<()>,
    folder: tempfile::TempDir,
}

impl Server {
    async fn start() -> Self {
        let mut server = Self::start_unwatched(ServerBuilder::default(), |_| {});
        server.watch();
        server.create("one").await.unwrap().unwrap();
        server
    }

    /// A server that serves what is durable after a refusal only once it is watched.
    fn start_unwatched(builder: ServerBuilder, change: impl FnOnce(&mut OpenedStorage)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let disk = Faulty::of(folder.path());
        let mut opened = OpenedStorage::read(&builder, Arc::clone(&disk) as Arc<dyn Disk>).unwrap();
        change(&mut opened);
        let (state, storage) = opened.start(Clock::standing()).unwrap();
        let watching = tokio::spawn(std::future::ready(()));
        Self { builder, state, storage, disk, watching, folder }
    }

    fn watch(&mut self) {
        let watching = self.storage.watch(Arc::clone(&self.state), self.builder.clone());
        self.watching = tokio::spawn(watching);
    }

    /// Ends the server, and reads its folder back.
    async fn read_again(self) -> Machine {
        let Self { builder, state, storage, disk, watching, folder } = self;
        watching.abort();
        state.close_log();
        tokio::task::spawn_blocking(move || storage.join()).await.unwrap();
        drop((watching.await, state, disk));
        let disk: Arc<dyn Disk> = Faulty::of(folder.path());
        OpenedStorage::read(&builder, disk).unwrap().machine
    }

    fn has_space(&self) -> bool {
        self.state.run(|machine, _| machine.journal.full().is_none()).0
    }

    /// Does work on the machine, and waits until what it changed is durable.
    async fn change(&self, work: impl FnOnce(&mut Machine, Moment)) -> Result<(), NotDurable> {
        let ((), after) = self.state.run(work);
        timeout(FAR, self.state.wait_durable(after)).await.unwrap()
    }

    /// Creates a segment, and waits until it is durable.
    async fn create(&self, name: &str) -> Result<Result<(), Refusal>, NotDurable> {
        let (created, after) = self.state.run(|machine, at| {
            let (_, mut step) = machine.call(at);
            step.create(&name.into(), Vec::new())
        });
        timeout(FAR, self.state.wait_durable(after)).await.unwrap().map(|()| created)
    }

    fn info(&self, name: &str) -> Result<Info, Refusal> {
        self.state.run(|machine, _| machine.store.info(name)).0
    }

    async fn until(&self, what: &str, holds: impl Fn(&Self) -> bool) {
        let waited = async {
            while !holds(self) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(FAR, waited).await.expect(what);
    }

    /// Appends bytes to a segment, and waits until they are durable.
    async fn append(&self, name: &str, bytes: &[u8]) -> Result<(), NotDurable> {
        self.change(append(name, bytes)).await
    }

    /// Takes what is durable out of memory. Returns where the first bytes of a segment are then.
    fn evict(&self, name: &str, len: usize) -> Vec<SegmentRange> {
        let durable = self.state.durable.borrow().to();
        self.state.with_machine(|machine| {
            (0..3).for_each(|_| _ = machine.store.evict(durable, u64::MAX));
            match machine.store.look(name, 0, len) {
                Some(Look::Evicted(parts)) => parts,
                other => panic!("{other:?}"),
            }
        })
    }

    /// Bytes that were evicted; `None` if they cannot be read.
    async fn read(&self, parts: &[SegmentRange]) -> Option<Bytes> {
        timeout(FAR, self.state.read_from_disk(parts.to_vec())).await.unwrap()
    }

    async fn end(self) {
        self.watching.abort();
        self.state.close_log();
        tokio::task::spawn_blocking(move || self.storage.join()).await.unwrap();
    }
}

#[test]
fn that_more_has_changed_or_was_freed_than_is_noted_is_told_to_the_log() {
    let machine = ServerBuilder::default().with_memory_limit(4 << 20).machine(Durability::Logged);
    let durable = watch::Sender::new(Durable::To(Sequence::default()));
    let state = ServerState::new(machine, Clock::standing(), durable, None);
    let at = state.moment();
    state.with_machine(|machine| {
        for number in 0..2000 {
            machine.call(at).1.create(&format!("segment-{number}").into(), Vec::new()).unwrap();
        }
        for number in 0..20_000 {
            let name = format!("segment-{}", number % 2).into();
            let step = &mut machine.call(at).1;
            let len = step.append_internal(&name, "x".into(), Vec::new()).unwrap();
            step.truncate(&name, Offset(len as i64)).unwrap();
            drop(machine.take_batch());
        }
    });
    let covered = || (state.take_changes().freed_coverage, state.take_keys().coverage);
    assert_eq!(covered(), (Coverage::Partial, Coverage::Partial));
    assert_eq!(covered(), (Coverage::Complete, Coverage::Complete));
}

#[test]
fn bytes_that_are_truncated_or_deleted_while_they_are_fetched_are_no_failure() {
    const NAME: &str = "scope/stream/0.#epoch.0";
    let none: fn(&mut Step<'_>) = |_| {};
    let truncate: fn(&mut Step<'_>) = |step| step.truncate(&NAME.into(), Offset(7)).unwrap();
    let delete: fn(&mut Step<'_>) = |step| step.delete(&NAME.into()).unwrap();
    for (happens, failures) in [(none, 1), (truncate, 0), (delete, 0)] {
        let machine = ServerBuilder::default().machine(Durability::Logged);
        let durable = watch::Sender::new(Durable::To(Sequence::default()));
        let state = ServerState::new(machine, Clock::standing(), durable, None);
        let at = state.moment();
        let fetch = state.with_machine(|machine| {
            machine.call(at).1.create(&NAME.into(), Vec::new()).unwrap();
            append(NAME, b"0123456789")(machine, at);
            (0..3).for_each(|_| _ = machine.store.evict(Sequence(u64::MAX), u64::MAX));
            let read = ReadSegment {
                segment: NAME.into(),
                offset: 4,
                suggested_length: 10,
                delegation_token: "".into(),
                request_id: 1,
            };
            let mut session = Session::new(ConnectionId(1), StoreIndex(0));
            session.handle(read.into(), &mut machine.context(at, &mut Vec::new())).unwrap();
            let fetch = machine.store.take_fetches().remove(0);
            happens(&mut machine.call(at).1);
            fetch
        });
        state.fetched(&fetch, Err(ReadFailure::Missing(4)));
        assert_eq!(state.failures(), failures);
        // What is wrong with the disk is known in any case.
        let error = ErrorKind::Other.into();
        state.fetched(&fetch, Err(ReadFailure::Disk { file: "log-00000001".to_owned(), error }));
        assert_eq!(state.failures(), failures + 1);
    }
}

/// Appends bytes to a segment.
fn append(name: &str, bytes: &[u8]) -> impl FnOnce(&mut Machine, Moment) + Send + use<> {
    let (name, data) = (name.into(), Bytes::copy_from_slice(bytes));
    move |machine, at| {
        let (_, mut step) = machine.call(at);
        step.append_internal(&name, data, Vec::new()).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_finds_no_space_is_refused_and_gone_and_writing_resumes_when_there_is_some() {
    let server = Server::start().await;
    server.disk.set(&[Failing::Write("log-", ErrorKind::StorageFull)]);
    // It is applied before the disk is known to be full.
    let refused = server.create("two").await.unwrap_err();
    assert!(matches!(refused, NotDurable::Refused(_)), "{refused:?}");
    server.until("it is gone", |server| server.info("two").is_err()).await;
    assert!(server.info("one").is_ok());
    // Now it is known, before anything is applied.
    server.until("it resumes", |server| server.state.is_writing()).await;
    let refused = server.create("three").await.unwrap().unwrap_err();
    assert!(matches!(refused, Refusal::DiskFull(_)), "{refused:?}");
    server.disk.set(&[]);
    let has_space =
        |server: &Server| server.state.run(|machine, _| machine.journal.full().is_none()).0;
    server.until("there is space", has_space).await;
    server.create("four").await.unwrap().unwrap();
    server.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reply_to_a_refused_change_never_leaves_whatever_becomes_durable_later() {
    let server = Server::start().await;
    server.disk.set(&[Failing::Write("log-", ErrorKind::StorageFull)]);
    let (_, after) = server.state.run(|machine, at| {
        let (_, mut step) = machine.call(at);
        step.create(&"two".into(), Vec::new())
    });
    server.until("it is gone", |server| server.info("two").is_err()).await;
    server.disk.set(&[]);
    let has_space =
        |server: &Server| server.state.run(|machine, _| machine.journal.full().is_none()).0;
    server.until("there is space", has_space).await;
    for number in 0..10 {
        server.create(&format!("more-{number}")).await.unwrap().unwrap();
    }
    // It waited for nothing meanwhile: a slow client takes its reply now.
    let refused = timeout(FAR, server.state.wait_durable(after)).await.unwrap();
    assert!(matches!(refused, Err(NotDurable::Refused(_))), "{refused:?}");
    server.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_sync_that_failed_what_was_durable_is_served_and_nothing_else() {
    let server = Server::start().await;
    server.disk.set(&[Failing::Sync("log-")]);
    let lost = server.create("two").await.unwrap_err();
    assert!(matches!(lost, NotDurable::Failed(_)), "{lost:?}");
    server.disk.set(&[]);
    server.until("it is gone", |server| server.info("two").is_err()).await;
    assert!(server.info("one").is_ok());
    let refused = server.create("three").await.unwrap().unwrap_err();
    assert!(matches!(refused, Refusal::Ended(_)), "{refused:?}");
    server.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_checkpoint_that_is_begun_after_a_refusal_has_nothing_that_was_refused() {
    let builder = ServerBuilder::default().with_disk_limit(64 << 20);
    let mut server =
        Server::start_unwatched(builder, |opened| opened.log.checkpoints.tail_len = 2 << 20);
    for name in ["one", "other"] {
        server.create(name).await.unwrap().unwrap();
    }
    // Other files begin, so that a start finds "one" in a checkpoint only.
    for _ in 0..9 {
        let append = |machine: &mut Machine, at| {
            let data = Bytes::from(vec![7; 1 << 20]);
            let (_, mut step) = machine.call(at);
            step.append_internal(&"other".into(), data, Vec::new()).unwrap();
        };
        server.change(append).await.unwrap();
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    // The next checkpoint is due, and takes a while.
    let create = |machine: &mut Machine, at| {
        let (_, mut step) = machine.call(at);
        for number in 0..40_000 {
            step.create(&format!("more-{number}").into(), Vec::new()).unwrap();
        }
    };
    server.change(create).await.unwrap();
    server.disk.set(&[Failing::Write("log-", ErrorKind::StorageFull)]);
    let delete = |machine: &mut Machine, at| {
        machine.call(at).1.delete(&"one".into()).unwrap();
    };
    let refused = server.change(delete).await.unwrap_err();
    assert!(matches!(refused, NotDurable::Refused(_)), "{refused:?}");
    server.disk.set(&[]);
    // That checkpoint is given up, and the next one is begun, before the machine is replaced.
    tokio::time::sleep(Duration::from_secs(2)).await;
    server.watch();
    server.until("it is back", |server| server.info("one").is_ok()).await;
    server.until("there is space", Server::has_space).await;
    server.create("more").await.unwrap().unwrap();
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(server.info("one").is_ok());
    let machine = server.read_again().await;
    assert!(machine.store.info("more").is_ok());
    assert!(machine.store.info("one").is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_change_is_acknowledged_that_comes_while_the_machine_is_replaced_and_is_lost() {
    const SEGMENTS: usize = 40_000;
    let mut server = Server::start_unwatched(ServerBuilder::default(), |_| {});
    server
        .change(|machine, at| {
            let (_, mut step) = machine.call(at);
            for number in 0..SEGMENTS {
                step.create(&format!("old-{number}").into(), Vec::new()).unwrap();
            }
        })
        .await
        .unwrap();
    // Connections, which end with the old machine.
    let outboxes: Vec<_> = (0..100_000)
        .map(|_| Arc::new(crate::outbox::Outbox::new(server.state.budget.replies.clone())))
        .collect();
    outboxes.iter().for_each(|outbox| _ = server.state.connect(outbox));
    server.disk.set(&[Failing::Write("log-", ErrorKind::StorageFull)]);
    let refused = server.create("two").await.unwrap_err();
    assert!(matches!(refused, NotDurable::Refused(_)), "{refused:?}");
    server.disk.set(&[]);
    let epoch = server.state.epoch.load(Ordering::Acquire);
    let state = Arc::clone(&server.state);
    let deleting = tokio::spawn(async move {
        while state.epoch.load(Ordering::Acquire) == epoch {
            tokio::task::yield_now().await;
        }
        let mut deleted = Vec::new();
        for number in 0..200 {
            // What frees space is taken also while there is none.
            let name = format!("old-{number}");
            let (gone, after) = state.run(|machine, at| machine.call(at).1.delete(&name.into()));
            gone.unwrap();
            deleted.push((number, after));
        }
        deleted
    });
    server.watch();
    let deleted = deleting.await.unwrap();
    server.until("it resumes", |server| server.state.is_writing()).await;
    server
        .change(|machine, at| machine.call(at).1.delete(&"old-39999".into()).unwrap())
        .await
        .unwrap();
    let mut acknowledged = Vec::new();
    for (number, after) in deleted {
        if timeout(FAR, server.state.wait_durable(after)).await.unwrap().is_ok() {
            acknowledged.push(number);
        }
    }
    let machine = server.read_again().await;
    let back: Vec<_> = acknowledged
        .iter()
        .filter(|number| machine.store.info(&format!("old-{number}")).is_ok())
        .collect();
    assert!(back.is_empty(), "{} of {}: {back:?}", back.len(), acknowledged.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_old_machine_has_fetched_is_not_of_a_segment_of_the_new_one() {
    use pravega_sdk_server_core::{
        ids::ConnectionId,
        store::{Read, WaitingRead},
    };
    let mut server = Server::start_unwatched(ServerBuilder::default(), |_| {});
    server.create("one").await.unwrap().unwrap();
    let append = |text: &'static str| {
        move |machine: &mut Machine, at| {
            let (_, mut step) = machine.call(at);
            step.append_internal(&"one".into(), text.into(), Vec::new()).unwrap();
        }
    };
    // The read of it is not handed to the threads that read: they are slow.
    let fetch = |server: &Server| {
        server.state.with_machine(|machine| {
            (0..3).for_each(|_| _ = machine.store.evict(Sequence(u64::MAX), u64::MAX));
            let (connection, request_id, offset, max_len) = (ConnectionId(7), 1, 0, 10);
            let read = WaitingRead { connection, request_id, offset, max_len };
            let read = machine.store.read(&"one".into(), read).unwrap();
            assert!(matches!(read, Read::Waits));
            machine.store.take_fetches().remove(0)
        })
    };
    server.change(append("old")).await.unwrap();
    let slow = fetch(&server);
    server.disk.set(&[Failing::Write("log-", ErrorKind::StorageFull)]);
    server.create("two").await.unwrap_err();
    server.disk.set(&[]);
    server.watch();
    server.until("it is gone", |server| server.info("two").is_err()).await;
    server.until("there is space", Server::has_space).await;
    server.change(|machine, at| machine.call(at).1.delete(&"one".into()).unwrap()).await.unwrap();
    server.create("one").await.unwrap().unwrap();
    server.change(append("new")).await.unwrap();
    let _fetch = fetch(&server);
    server.state.with_machine(|machine| {
        let mut old = slow.gather();
        old.push(b"old");
        machine.store.fetched(&slow, old);
        let woken = machine.store.take_woken();
        assert!(woken.is_empty(), "{woken:?}");
    });
    server.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_while_the_machine_is_read_back_after_a_refusal_is_not_forgotten() {
    let mut server = Server::start_unwatched(ServerBuilder::default(), |_| {});
    server.create("one").await.unwrap().unwrap();
    server.disk.set(&[Failing::Write("log-", ErrorKind::StorageFull)]);
    server.create("two").await.unwrap_err();
    // The machine is not replaced before the end of this.
    let (release, released) = std::sync::mpsc::channel::<()>();
    let (begin, begun) = std::sync::mpsc::channel::<()>();
    let state = Arc::clone(&server.state);
    let holding = tokio::task::spawn_blocking(move || {
        state.with_machine(|_| {
            begin.send(()).unwrap();
            released.recv().unwrap();
        });
    });
    begun.recv().unwrap();
    server.watch();
    tokio::time::sleep(Duration::from_millis(500)).await;
    // Zeros are written beside the log also while nothing is taken.
    server.disk.set(&[Failing::Sync("log-")]);
    let has_failed =
        |server: &Server| matches!(*server.state.durable.borrow(), Durable::Failed { .. });
    server.until("it fails", has_failed).await;
    server.disk.set(&[]);
    release.send(()).unwrap();
    holding.await.unwrap();
    server.until("it is gone", |server| server.info("two").is_err()).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(!server.state.is_writing());
    let created = timeout(Duration::from_secs(5), server.create("three")).await;
    let refused = created.expect("it waits forever").unwrap().unwrap_err();
    assert!(matches!(refused, Refusal::Ended(_)), "{refused:?}");
    assert!(server.info("one").is_ok());
    server.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_folder_is_free_after_the_end_also_while_it_is_read_back_after_a_refusal() {
    let mut server = Server::start_unwatched(ServerBuilder::default(), |_| {});
    server.create("one").await.unwrap().unwrap();
    server.disk.set(&[Failing::Write("log-", ErrorKind::StorageFull)]);
    server.create("two").await.unwrap_err();
    server.disk.set(&[]);
    let disk = Arc::clone(&server.disk);
    disk.hold(&[Slow::Reads]);
    let begun = disk.begun_reads.load(Ordering::SeqCst);
    server.watch();
    let reads = |server: &Server| server.disk.begun_reads.load(Ordering::SeqCst) > begun;
    server.until("it is read back", reads).await;
    let reading = tokio::spawn(server.read_again());
    tokio::time::sleep(Duration::from_millis(100)).await;
    disk.hold(&[]);
    drop(disk);
    let machine = reading.await.unwrap();
    assert!(machine.store.info("one").is_ok());
}

#[tokio::test]
async fn the_operator_is_warned_of_what_a_request_fills_before_the_next_one_is_refused() {
    let disk = || watch::Sender::new(Durable::To(Sequence::default()));
    let fill = |state: &ServerState, is_nearly_full: &dyn Fn() -> bool| {
        state.run(|machine, at| machine.call(at).1.create(&"a".into(), Vec::new()).unwrap());
        let last = (0..1000).find(|_| {
            let data = vec![7; 100_000].into();
            let append = |machine: &mut Machine, at| {
                machine.call(at).1.append_internal(&"a".into(), data, Vec::new()).unwrap();
            };
            state.run(append);
            is_nearly_full()
        });
        assert!(last.is_some());
    };
    let space = SpaceSettings { limit: Some(4 << 20), reserve: 1 << 20 };
    let log = LogHandle::new(Keeper::new(space), space, u64::MAX);
    let machine = ServerBuilder::default().machine(Durability::Logged);
    let state = ServerState::new(machine, Clock::standing(), disk(), Some(log.clone()));
    fill(&state, &|| log.why_full().is_some());
    assert!(!state.warnings.note_folder(log.fill().unwrap()), "it was told before");
    let builder = ServerBuilder::default().with_memory_limit(16 << 20);
    let machine = builder.machine(Durability::InMemory);
    let state = ServerState::new(machine, Clock::standing(), disk(), None);
    let memory = || state.with_machine(|machine| MemoryFill::of(machine));
    let held = || state.with_machine(|machine| machine.held());
    fill(&state, &|| held() > 15 << 20);
    assert!(!state.warnings.note_memory(memory()), "it was told before");
}
