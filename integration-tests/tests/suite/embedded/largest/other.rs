//! The client that is measured: it appends without an end, and notes how long it waits.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use pravega_sdk_integration_tests::harness::FAR;
use pravega_sdk_wire_protocol::{
    WireCommand,
    commands::{AppendBlockEnd, SetupAppend},
};
use uuid::Uuid;

use super::super::{bounds::frames, support::create};

/// The pause between two appends.
const PAUSE: Duration = Duration::from_millis(1);
const SEGMENT: &str = "other/stream/0.#epoch.0";
const WRITER: Uuid = Uuid::from_u128(0xAA);

/// The client. It ends with this value.
pub(super) struct Other {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    /// The number of appends that were acknowledged.
    count: AtomicU64,
    /// The longest wait since it was last taken, in microseconds.
    longest: AtomicU64,
    is_over: AtomicBool,
}

impl Other {
    /// Starts to append to a segment of its own, in a thread of its own: it never waits for the
    /// runtime of the test.
    pub(super) fn start(port: u16) -> Self {
        let shared = Arc::<Shared>::default();
        let mut socket = TcpStream::connect(("127.0.0.1", port)).unwrap();
        socket.set_nodelay(true).unwrap();
        socket.set_read_timeout(Some(FAR)).unwrap();
        let setup = SetupAppend {
            request_id: 2,
            writer_id: WRITER,
            segment: SEGMENT.into(),
            delegation_token: "".into(),
        };
        ask(&mut socket, create(SEGMENT));
        ask(&mut socket, setup);
        let own = Arc::clone(&shared);
        let thread = thread::spawn(move || append(&mut socket, &own));
        Self { shared, thread: Some(thread) }
    }

    /// The longest wait of an append since the last call of this, once those that were sent until
    /// now are acknowledged.
    pub(super) fn longest(&self) -> Duration {
        let count = self.shared.count.load(Ordering::Acquire);
        let begun = Instant::now();
        while self.shared.count.load(Ordering::Acquire) < count + 2 {
            assert!(begun.elapsed() < FAR, "the other client is not served");
            pause();
        }
        Duration::from_micros(self.shared.longest.swap(0, Ordering::AcqRel))
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

/// Sends a command, and waits for its reply.
fn ask(socket: &mut TcpStream, command: impl Into<WireCommand>) {
    socket.write_all(&frames([command.into()])).unwrap();
    let mut head = [0; 8];
    socket.read_exact(&mut head).unwrap();
    let len = u32::from_be_bytes([head[4], head[5], head[6], head[7]]);
    let mut rest = vec![0; len as usize];
    socket.read_exact(&mut rest).unwrap();
}

fn append(socket: &mut TcpStream, shared: &Shared) {
    for number in 1.. {
        if shared.is_over.load(Ordering::Acquire) {
            return;
        }
        let append = AppendBlockEnd {
            writer_id: WRITER,
            size_of_whole_events: 0,
            data: vec![7; 100].into(),
            num_events: 1,
            last_event_number: number,
            request_id: 3,
        };
        let begun = Instant::now();
        ask(socket, append);
        let waited = u64::try_from(begun.elapsed().as_micros()).unwrap();
        shared.longest.fetch_max(waited, Ordering::AcqRel);
        shared.count.fetch_add(1, Ordering::AcqRel);
        pause();
    }
}

/// Waits a little. The thread has no runtime.
fn pause() {
    thread::park_timeout(PAUSE);
}
