//! How long a commit takes on the disk of this machine, beside the bare calls. Run by hand:
//!
//! ```console
//! cargo test --release -p pravega-sdk-server -- --ignored --nocapture log::tests::speed
//! ```

use std::{fs::File, os::unix::fs::FileExt as _, sync::Arc, time::Instant};

use super::*;

const TIMES: usize = 2000;
/// The most that a commit may take more than its calls.
const MORE: Duration = Duration::from_micros(60);

/// Half of some times, and nearly all of them, are at most these.
struct Times {
    p50: Duration,
    p99: Duration,
}

impl Times {
    fn print(&self, what: &str) {
        println!("{what}: p50 {} µs, p99 {} µs", self.p50.as_micros(), self.p99.as_micros());
    }
}

fn measure(mut once: impl FnMut()) -> Times {
    let mut times: Vec<Duration> = (0..TIMES)
        .map(|_| {
            let start = Instant::now();
            once();
            start.elapsed()
        })
        .collect();
    times.sort();
    Times { p50: times[TIMES / 2], p99: times[TIMES * 99 / 100] }
}

/// Bytes that are appended and synced, to a file of zeros or to one that grows.
fn raw(folder: &Path, zeros: usize, len: usize) -> Times {
    let file = File::create_new(folder.join(format!("raw-{zeros}-{len}"))).unwrap();
    file.write_all_at(&vec![0; zeros], 0).unwrap();
    file.sync_all().unwrap();
    let (bytes, mut at) = (vec![7; len], 0);
    measure(|| {
        file.write_all_at(&bytes, at).unwrap();
        file.sync_data().unwrap();
        at += len as u64;
    })
}

/// The sink that a thread waits for.
struct Waited(std::sync::mpsc::SyncSender<u64>);

impl Sink for Waited {
    fn handle(&mut self, event: Event) {
        let Event::Committed(committed) = event else { panic!("{event:?}") };
        self.0.send(committed.sequence.0).ok();
    }

    fn fail(&mut self, _: Sequence, why: &str) {
        panic!("{why}");
    }
}

fn start(folder: &Path) -> (Inbox, CommitThread, std::sync::mpsc::Receiver<u64>) {
    let disk = Arc::new(files(folder));
    let opened = open(&*disk, Settings::new, &mut Read::default()).unwrap();
    let (sender, receiver) = std::sync::mpsc::sync_channel(100_000);
    let inbox = Inbox::default();
    let thread = CommitThread::start(opened.writer, disk, inbox.clone(), Waited(sender));
    (inbox, thread.unwrap(), receiver)
}

#[test]
#[ignore = "measures the disk of this machine"]
fn one_event_at_a_time_takes_little_longer_than_its_write_and_sync() {
    // Not in memory, as temporary folders may be.
    let folder = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).unwrap();
    let growing = raw(folder.path(), 0, 188);
    let zeros = raw(folder.path(), TIMES * 200, 188);
    let (inbox, thread, durable) = start(&folder.path().join("log"));
    let mut sequence = 0;
    let commit = measure(|| {
        sequence += 1;
        inbox.submit(Sequence(sequence), batch(sequence, 100)).unwrap();
        assert_eq!(durable.recv().unwrap(), sequence);
    });
    inbox.close();
    thread.join();
    growing.print("write and sync, growing file");
    zeros.print("write and sync, zeros ahead");
    commit.print("commit of one event");
    assert!(commit.p50 <= growing.p50 + MORE);
}

/// The events of a flood, in batches of four.
const FLOOD: u64 = 100_000;

/// The events a second, and the longest time without one.
struct Flood {
    rate: f64,
    pause: Duration,
}

/// The longest time without an acknowledgement.
const LONGEST_PAUSE: Duration = Duration::from_millis(200);

impl Flood {
    fn print(&self, what: &str) {
        let Self { rate, pause } = self;
        println!("{what}: {rate:.0} events of 1 KiB a second, longest pause {pause:?}");
    }
}

/// Notes when batches became durable.
fn flood(mut next: impl FnMut() -> u64) -> Flood {
    let (start, mut last, mut pause, mut done) =
        (Instant::now(), Instant::now(), Duration::ZERO, 0);
    while done < FLOOD {
        done = next();
        pause = pause.max(last.elapsed());
        last = Instant::now();
    }
    Flood { rate: (4 * FLOOD) as f64 / start.elapsed().as_secs_f64(), pause }
}

fn raw_flood(folder: &Path, frame: usize) -> Flood {
    let (bytes, mut at, mut written) = (vec![7; frame * 4200], 0, 0);
    let mut file = File::create_new(folder.join("raw")).unwrap();
    flood(|| {
        file.write_all_at(&bytes, at).unwrap();
        file.sync_data().unwrap();
        (at, written) = (at + bytes.len() as u64, written + frame as u64);
        if at > 64 << 20 {
            file = File::create_new(folder.join(format!("raw-{written}"))).unwrap();
            at = 0;
        }
        written
    })
}

#[test]
#[ignore = "measures the disk of this machine"]
fn a_flood_of_batches_is_committed_without_a_pause() {
    let folder = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).unwrap();
    let (inbox, thread, durable) = start(&folder.path().join("log"));
    let (mut sequence, mut frames) = (0, 0);
    let data = Bytes::from(vec![7; 4096]);
    let committed = flood(|| {
        while sequence < FLOOD && inbox.queued() < 8 << 20 {
            sequence += 1;
            let (segment, offset, meta) = (SegmentNumber(1), sequence << 12, Bytes::new());
            let record = LogRecord::Data { segment, offset, meta, data: data.clone() };
            inbox.submit(Sequence(sequence), vec![record]).unwrap();
        }
        frames += 1;
        durable.recv().unwrap()
    });
    inbox.close();
    thread.join();
    let raw = raw_flood(folder.path(), (FLOOD / frames) as usize);
    committed.print(&format!("batches in {frames} frames"));
    raw.print("the same bytes in as many calls");
    assert!(committed.pause <= LONGEST_PAUSE);
}
