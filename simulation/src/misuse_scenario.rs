//! A seed as mistakes of the caller: transactions that a server does not take, and handles that are
//! used after the end of their runtime. Each must be refused for what it is, at once, with nothing
//! done.

use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    sync::Arc,
    task::Poll,
    time::Duration,
};

use pravega_sdk_event_stream::{
    ByteReader, ByteReaderConfig, EventReader, EventWriter, ReaderConfig, SeededBug,
    TransactionConfig, TransactionalWriter, WriterConfig, codec::Utf8,
};
use pravega_sdk_types::{Classified, ErrorKind, Outcome, ScopedStream};
use tokio::{
    runtime::{Builder, Runtime},
    time::{sleep, timeout},
};

use crate::{
    Report, SimController, SimNetwork, World, client::segment_context, history::Violation,
};

/// The longest lease that the server takes.
const LONGEST_LEASE: Duration = Duration::from_secs(600);
/// A refusal comes at once: after some calls of the controller, each of which has a latency.
const AT_ONCE: Duration = Duration::from_secs(1);

/// The handles of one client, all on one runtime.
struct Handles {
    writer: EventWriter<Utf8>,
    reader: EventReader<Utf8>,
    bytes: ByteReader,
    transactions: TransactionalWriter<Utf8>,
    lease: Duration,
}

/// What a seed has found.
#[derive(Default)]
struct Findings {
    violations: Vec<Violation>,
    counters: BTreeMap<&'static str, u64>,
    digest: u64,
}

impl Findings {
    fn count(&mut self, what: &'static str) {
        *self.counters.entry(what).or_default() += 1;
        let number = what
            .bytes()
            .fold(self.digest, |sum, byte| sum.wrapping_mul(31).wrapping_add(u64::from(byte)));
        self.digest = number;
    }

    /// A mistake must end like that.
    fn expect<T, E: Classified>(
        &mut self,
        what: &'static str,
        ended: Option<Result<T, E>>,
        right: ErrorKind,
    ) {
        let seen = match &ended {
            None => "no end, or a panic".to_owned(),
            Some(Ok(_)) => "success".to_owned(),
            Some(Err(error)) => {
                if (error.kind(), error.outcome()) == (right, Outcome::NotApplied) {
                    return self.count(what);
                }
                format!("{}, {}", error.kind(), error.outcome())
            }
        };
        let detail = format!("{what} must be {right}, not applied; it was: {seen}");
        self.violations.push(Violation { check: "mistakes are refused", detail });
    }
}

fn runtime() -> Runtime {
    let built = Builder::new_current_thread().enable_time().start_paused(true).build();
    built.expect("a runtime")
}

/// Runs a seed, perhaps with a bug that the checks must find.
#[must_use]
pub fn run(seed: u64, bug: Option<SeededBug>) -> Report {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut findings = Findings::default();
    let first = runtime();
    let handles = first.block_on(async {
        let world = World::with_seed(1, seed);
        let handles = open(&world, bug, &mut random).await;
        begin_wrongly(&world, &handles, &mut random, &mut findings).await;
        use_for_a_while(&handles, &mut random).await;
        handles
    });
    // In the middle of whatever the handles were about.
    drop(first);
    runtime().block_on(use_after_the_end(handles, &mut findings));
    let Findings { violations, counters, digest } = findings;
    Report { violations, digest, counters, acknowledged: 0 }
}

fn stream(world: &World, name: &str) -> ScopedStream {
    let stream: ScopedStream = name.parse().expect("a name");
    world.create_stream(&stream, 1);
    stream
}

async fn open(world: &World, bug: Option<SeededBug>, random: &mut fastrand::Rng) -> Handles {
    let [events, bytes] = ["sim/events", "sim/bytes"].map(|name| stream(world, name));
    let latency = Duration::from_millis(random.u64(1..50));
    let controller = Arc::new(SimController::new(world, random.u64(..), latency));
    let context = segment_context(controller, SimNetwork::perfect(world));
    let mut writer = WriterConfig::default().with_seed(random.u64(..));
    let mut reader = ReaderConfig::default().with_seed(random.u64(..));
    if let Some(bug) = bug {
        writer = writer.with_seeded_bug(bug);
        reader = reader.with_seeded_bug(bug);
    }
    let lease = Duration::from_secs(random.u64(10..1200));
    let config = TransactionConfig::default().with_lease(lease).with_writer(writer.clone());
    let opened = "the cluster has no faults";
    Handles {
        writer: EventWriter::open(context.clone(), &events, Utf8, writer).await.expect(opened),
        reader: EventReader::open(context.clone(), &events, Utf8, reader).await.expect(opened),
        bytes: ByteReader::open(context.clone(), &bytes, ByteReaderConfig::default())
            .await
            .expect(opened),
        transactions: TransactionalWriter::open(context, &events, Utf8, config)
            .await
            .expect(opened),
        lease,
    }
}

/// Begins a transaction that the server may refuse.
async fn begin_wrongly(
    world: &World,
    handles: &Handles,
    random: &mut fastrand::Rng,
    findings: &mut Findings,
) {
    let is_sealed = random.u32(0..4) == 0;
    if is_sealed {
        world.seal_stream(handles.writer.stream());
    }
    let begun = timeout(AT_ONCE, handles.transactions.begin()).await.ok();
    let is_too_long = handles.lease > LONGEST_LEASE;
    match (is_sealed, is_too_long) {
        (true, _) => findings.expect("transaction on a sealed stream", begun, ErrorKind::Sealed),
        (false, true) => {
            findings.expect("lease too long", begun, ErrorKind::InvalidArgument);
        }
        (false, false) => match begun {
            Some(Ok(_)) => findings.count("transaction begun"),
            other => findings.violations.push(Violation {
                check: "mistakes are refused",
                detail: format!("a transaction did not begin: {other:?}"),
            }),
        },
    }
}

async fn use_for_a_while(handles: &Handles, random: &mut fastrand::Rng) {
    for number in 0..random.u32(0..5) {
        handles.writer.enqueue("key", number.to_string()).await.ok();
        sleep(Duration::from_millis(random.u64(0..20))).await;
    }
}

async fn use_after_the_end(mut handles: Handles, findings: &mut Findings) {
    let Handles { writer, reader, bytes, transactions, .. } = &mut handles;
    let written = ended(writer.write("key", "event")).await;
    findings.expect("write after the end", written, ErrorKind::Closed);
    let begun = ended(transactions.begin()).await;
    findings.expect("transaction after the end", begun, ErrorKind::Closed);
    // Events that have arrived before are returned first.
    let last = ended(async {
        loop {
            match reader.next().await {
                Some(Ok(_)) => {}
                other => return other.unwrap_or_else(|| unreachable!("it ends with an error")),
            }
        }
    });
    findings.expect("read after the end", last.await, ErrorKind::Closed);
    let read = ended(bytes.next_bytes()).await;
    findings.expect("byte read after the end", read, ErrorKind::Closed);
}

/// Returns the result of a call, or `None` if it does not end at once, or panics.
async fn ended<F: Future>(call: F) -> Option<F::Output> {
    let mut call = pin!(call);
    let caught = std::future::poll_fn(|cx| {
        match catch_unwind(AssertUnwindSafe(|| call.as_mut().poll(cx))) {
            Ok(polled) => polled.map(Some),
            Err(_) => Poll::Ready(None),
        }
    });
    timeout(AT_ONCE, caught).await.ok().flatten()
}
