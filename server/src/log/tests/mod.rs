//! The log in real folders, with threads, and on disks that fail.

mod converting;
mod faulty;
mod folders;
mod reading;
mod storage;
mod threads;

pub(crate) use self::faulty::{Failing, Faulty, Slow};

use std::{path::Path, sync::Arc, time::Duration};

use bytes::Bytes;
use pravega_sdk_server_core::{
    log::{
        CheckpointSettings, Committed, Event, FolderId, Keeper, LogRecord, Place, PlacedRecord,
        SegmentNumber, Settings, SpaceSettings, StateEntry,
    },
    record::Sequence,
};
use tokio::sync::watch;

use super::{
    commit::{CommitThread, Sink},
    disk::Disk,
    files::Files,
    inbox::Inbox,
    keeping::Keeping,
    kept::Kept,
    open::{Configure, OpenedLog, Replay, open},
};
use crate::{folder::LockedFolder, journal::OpenProblem};

/// What a log is known to hold.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Known {
    durable: u64,
    /// Why batches after it are refused, or lost.
    refused: Option<String>,
    failed: Option<String>,
    /// How often files were ended.
    turnovers: usize,
}

/// Tells a test what becomes of batches.
struct Told(watch::Sender<Known>);

impl Sink for Told {
    fn handle(&mut self, event: Event) {
        self.0.send_modify(|known| match event {
            Event::Committed(Committed { sequence, closed, .. }) => {
                assert!(known.durable < sequence.0, "batches come in order");
                known.durable = sequence.0;
                known.turnovers += usize::from(closed.is_some());
            }
            Event::Refused { durable, why } => {
                assert_eq!(durable.0, known.durable);
                known.refused = Some(why);
            }
        });
    }

    fn fail(&mut self, durable: Sequence, why: &str) {
        self.0.send_modify(|known| {
            assert_eq!(durable.0, known.durable);
            known.failed = Some(why.to_owned());
        });
    }
}

/// The batches that were read back, by the bytes of their records.
#[derive(Debug, Default)]
struct Read {
    batches: Vec<Vec<u8>>,
}

impl Replay for Read {
    fn entries(&mut self, entries: Vec<StateEntry>) {
        panic!("{} entries without a checkpoint", entries.len());
    }

    fn frame(&mut self, _: Place, _: Sequence, records: Vec<PlacedRecord>) {
        for placed in records {
            match placed.record {
                LogRecord::Data { meta, data, .. } if !meta.is_empty() => {
                    self.batches.push(data.to_vec());
                }
                LogRecord::Data { data, .. } => {
                    self.batches.last_mut().unwrap().extend_from_slice(&data);
                }
                LogRecord::Change { .. } => panic!("no batch has one"),
                LogRecord::File(_) => {}
            }
        }
    }
}

/// A log with its thread.
struct Log {
    inbox: Inbox,
    thread: CommitThread,
    known: watch::Receiver<Known>,
    submitted: u64,
}

impl Log {
    fn start((opened, keeper): (OpenedLog, Keeper), disk: Arc<dyn Disk>) -> Self {
        let OpenedLog { writer, sequence, .. } = opened;
        let (told, known) = watch::channel(Known { durable: sequence.0, ..Known::default() });
        let (inbox, kept) = (Inbox::default(), Arc::new(Kept::new(keeper, SPACE, u64::MAX)));
        let thread = CommitThread::start(writer, disk, inbox.clone(), kept, Told(told)).unwrap();
        Self { inbox, thread, known, submitted: sequence.0 }
    }

    fn submit(&mut self, len: usize) -> bool {
        self.submitted += 1;
        let taken = self.inbox.submit(Sequence(self.submitted), batch(self.submitted, len));
        self.submitted -= u64::from(taken.is_err());
        taken.is_ok()
    }

    /// Waits until something is known.
    async fn until(&mut self, what: &str, is_known: impl Fn(&Known) -> bool) -> Known {
        let waited = tokio::time::timeout(Duration::from_secs(60), self.known.wait_for(is_known));
        waited.await.expect(what).expect(what).clone()
    }

    async fn until_durable(&mut self) -> Known {
        let all = self.submitted;
        self.until("all batches are durable", |known| known.durable >= all).await
    }

    fn close(self) -> Known {
        self.inbox.close();
        self.thread.join();
        self.known.borrow().clone()
    }
}

/// The bytes of a batch.
fn content(number: u64, len: usize) -> Vec<u8> {
    let mut bytes = number.to_be_bytes().to_vec();
    bytes.extend((0..len).map(|at| (number as usize * 31 + at) as u8));
    bytes
}

fn batch(number: u64, len: usize) -> Vec<LogRecord> {
    let meta = Bytes::from_static(b"meta");
    let (segment, data) = (SegmentNumber(1), content(number, len).into());
    vec![LogRecord::Data { segment, offset: number << 32, meta, data }]
}

/// A configuration with short files.
fn settings(folder: FolderId) -> Settings {
    Settings {
        file_len: 1 << 20,
        frame_len: 100_000,
        ahead: 200_000,
        large_frame: 250_000,
        ..Settings::new(folder)
    }
}

const SPACE: SpaceSettings = SpaceSettings { limit: None, reserve: 0 };

fn configure() -> Configure {
    let folder = FolderId(0);
    let checkpoints = CheckpointSettings::new(folder);
    Configure { writer: settings(folder), checkpoints, space: SPACE, memory: u64::MAX }
}

fn files(folder: &Path) -> Files {
    Files::new(LockedFolder::open(folder).unwrap().claim().unwrap())
}

/// Opens a log, and checks that it has batches of these lengths.
fn open_with(disk: &dyn Disk, lens: &[usize]) -> (OpenedLog, Keeper) {
    let mut read = Read::default();
    let opened = open(disk, configure(), &mut read).unwrap();
    assert_eq!(read.batches.len(), lens.len());
    for (number, (read, len)) in (1..).zip(read.batches.iter().zip(lens)) {
        assert!(*read == content(number, *len), "batch {number}");
    }
    opened
}

fn problem(disk: &dyn Disk) -> OpenProblem {
    open(disk, configure(), &mut Read::default()).unwrap_err()
}
