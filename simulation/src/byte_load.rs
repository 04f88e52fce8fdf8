//! The workloads of byte streams: writers of cells, each of which names itself, and readers.

use std::time::Duration;

use bytes::{BufMut as _, Bytes, BytesMut};
use pravega_sdk_event_stream::{
    ByteReader, ByteReaderConfig, ByteWriter, ByteWriterConfig, SegmentContext, WriteError,
};
use pravega_sdk_types::{ErrorKind, Offset, Outcome, ScopedSegment, ScopedStream};
use tokio::{
    sync::watch,
    time::{Instant, sleep, timeout},
};

use crate::{World, history::Violation};

/// The length of a cell: writer, session and number.
pub(crate) const CELL: usize = 8;

/// A part of a writer's bytes that is contiguous, from its opening or a seek to a failure.
#[derive(Debug, Clone)]
pub(crate) struct Session {
    pub(crate) writer: u8,
    pub(crate) number: u16,
    /// Where it began.
    pub(crate) start: Offset,
    /// The number of cells that were written.
    pub(crate) written: usize,
    /// The number of cells that a flush said are durable.
    pub(crate) durable: usize,
    /// How it failed, if it did.
    pub(crate) failure: Option<(ErrorKind, Outcome)>,
    /// The longest time that a write or a flush took.
    pub(crate) longest: Duration,
}

impl Session {
    /// The bytes of a cell.
    pub(crate) fn cell(&self, at: usize) -> [u8; CELL] {
        let mut cell = [self.writer, 0xce, 0, 0, 0, 0, 0, 0];
        cell[2..4].copy_from_slice(&self.number.to_be_bytes());
        cell[4..].copy_from_slice(&u32::try_from(at).expect("a small number").to_be_bytes());
        cell
    }
}

/// Writes cells, in competition with other writers.
pub(crate) struct ByteLoad {
    pub(crate) context: SegmentContext,
    pub(crate) stream: ScopedStream,
    pub(crate) config: ByteWriterConfig,
    pub(crate) writer: u8,
    pub(crate) random: fastrand::Rng,
    pub(crate) writes: u32,
    pub(crate) max_pause: Duration,
    pub(crate) truncations: Option<Truncations>,
}

/// What is kept of a segment before it is truncated: where its bytes begin, and its bytes.
pub(crate) type Snapshots = Vec<(Offset, Vec<u8>)>;

/// Truncates a segment, and keeps what is removed.
pub(crate) struct Truncations {
    pub(crate) world: World,
    pub(crate) segment: ScopedSegment,
    /// Of so many writes, one is followed by a truncation.
    pub(crate) every: u32,
    pub(crate) kept: Snapshots,
    /// The offset of a truncation that failed for certain.
    failed: Option<Offset>,
    pub(crate) violations: Vec<Violation>,
}

impl Truncations {
    pub(crate) fn new(world: &World, segment: &ScopedSegment, every: u32) -> Self {
        Self {
            world: world.clone(),
            segment: segment.clone(),
            every,
            kept: Vec::new(),
            failed: None,
            violations: Vec::new(),
        }
    }

    /// Checks that a truncation that failed for certain is not carried out.
    pub(crate) fn check(&mut self) {
        let head = self.world.head_of(&self.segment);
        if let Some(failed) = self.failed.take()
            && head.is_some_and(|head| head >= failed)
        {
            let detail =
                format!("a truncation at {failed} failed for certain, {head:?} is the head");
            self.violations.push(Violation { check: "B7", detail });
        }
    }

    fn note(&mut self, offset: Offset, result: &Result<(), WriteError>) {
        match result {
            Ok(()) => {}
            Err(error) if error.outcome() == Outcome::NotApplied => {
                self.world.count("truncation failed, not applied");
                self.failed = Some(offset);
                self.check();
                self.failed = Some(offset);
            }
            Err(_) => self.world.count("truncation failed, unknown"),
        }
    }
}

impl ByteLoad {
    /// Writes all cells; returns the sessions, and what was truncated.
    pub(crate) async fn run(mut self) -> (Vec<Session>, Option<Truncations>) {
        let mut sessions: Vec<Session> = Vec::new();
        let mut writer = self.open().await;
        let mut session = self.session(0, writer.offset());
        for _ in 0..self.writes {
            if self.random.u32(0..3) == 0 {
                sleep(self.max_pause.mul_f64(self.random.f64())).await;
            }
            let begun = Instant::now();
            let mut result = self.write(&mut writer, &mut session).await;
            if result.is_ok() && self.random.u32(0..4) == 0 {
                result = writer.flush().await;
                session.durable = if result.is_ok() { session.written } else { session.durable };
            }
            session.longest = session.longest.max(begun.elapsed());
            if let Err(error) = result {
                session.failure = Some((error.kind(), error.outcome()));
                let next = session.number + 1;
                sessions.push(session);
                while let Err(error) = writer.seek_to_tail().await {
                    assert!(error.is_retryable(), "a writer cannot seek: {error}");
                    sleep(Duration::from_millis(100)).await;
                }
                session = self.session(next, writer.offset());
            }
            self.truncate(&writer).await;
        }
        match writer.flush().await {
            Ok(()) => session.durable = session.written,
            Err(error) => session.failure = Some((error.kind(), error.outcome())),
        }
        sessions.push(session);
        (sessions, self.truncations)
    }

    async fn open(&self) -> ByteWriter {
        loop {
            let (context, config) = (self.context.clone(), self.config.clone());
            match ByteWriter::open(context, &self.stream, config).await {
                Ok(writer) => return writer,
                Err(error) => assert!(error.is_retryable(), "a writer cannot be opened: {error}"),
            }
            sleep(Duration::from_millis(100)).await;
        }
    }

    fn session(&self, number: u16, start: Offset) -> Session {
        Session {
            writer: self.writer,
            number,
            start,
            written: 0,
            durable: 0,
            failure: None,
            longest: Duration::ZERO,
        }
    }

    async fn write(
        &mut self,
        writer: &mut ByteWriter,
        session: &mut Session,
    ) -> Result<(), WriteError> {
        let cells = self.random.usize(1..40);
        let mut data = BytesMut::new();
        (session.written..session.written + cells).for_each(|at| data.put_slice(&session.cell(at)));
        // What fails may still be stored.
        session.written += cells;
        writer.write_bytes(data.freeze()).await
    }

    async fn truncate(&mut self, writer: &ByteWriter) {
        let Some(truncations) = &mut self.truncations else { return };
        if self.random.u32(0..truncations.every) != 0 {
            return;
        }
        truncations.check();
        let (start, bytes) = truncations.world.bytes(&truncations.segment);
        let cells = self.random.usize(0..bytes.len() / CELL + 1);
        let offset = Offset(start.0 + (cells * CELL) as i64);
        truncations.kept.push((start, bytes));
        truncations.world.count("truncation");
        let result = writer.truncate(offset).await;
        if offset > start {
            truncations.note(offset, &result);
        }
    }
}

/// What a reader of bytes returned, piece by piece.
#[derive(Debug, Default)]
pub(crate) struct ByteReading {
    pub(crate) pieces: Vec<(Offset, Bytes)>,
    pub(crate) truncations: u64,
    pub(crate) violations: Vec<Violation>,
}

/// Reads a byte stream from its head.
pub(crate) struct ByteReaderLoad {
    pub(crate) context: SegmentContext,
    pub(crate) stream: ScopedStream,
    pub(crate) config: ByteReaderConfig,
    pub(crate) random: fastrand::Rng,
    /// The length of the stream, once it is known.
    pub(crate) length: watch::Receiver<Option<Offset>>,
}

impl ByteReaderLoad {
    pub(crate) async fn run(mut self) -> ByteReading {
        let mut reading = ByteReading::default();
        let mut start = None;
        loop {
            let config = self.config.clone().with_seed(self.random.u64(..));
            let config = start.map_or(config.clone(), |start| config.with_start(start));
            let mut reader =
                match ByteReader::open(self.context.clone(), &self.stream, config).await {
                    Ok(reader) => reader,
                    Err(error) if error.is_retryable() => {
                        sleep(Duration::from_millis(100)).await;
                        continue;
                    }
                    Err(error) if error.kind() == ErrorKind::Truncated => {
                        reading.truncations += 1;
                        start = None;
                        continue;
                    }
                    Err(error) => {
                        let detail = format!("a reader cannot be opened: {error:?}");
                        reading.violations.push(Violation { check: "R1", detail });
                        return reading;
                    }
                };
            for _ in 0..self.random.u32(1..200) {
                let patience = Duration::from_millis(self.random.u64(1..3000));
                let offset = reader.offset();
                match timeout(patience, reader.next_bytes()).await {
                    // Its first byte may have been truncated just then.
                    Ok(Ok(Some(bytes))) => {
                        let first = Offset(reader.offset().0 - bytes.len() as i64);
                        if first != offset && reading.truncations == 0 {
                            let detail = format!("{offset} to {first} was passed over");
                            reading.violations.push(Violation { check: "R2", detail });
                        }
                        reading.pieces.push((first, bytes));
                    }
                    Ok(Ok(None)) => return reading,
                    Ok(Err(error)) => match error.kind() {
                        ErrorKind::Truncated => reading.truncations += 1,
                        ErrorKind::Unavailable => {}
                        _ => {
                            let detail = format!("a reader failed: {error:?}");
                            reading.violations.push(Violation { check: "R1", detail });
                            return reading;
                        }
                    },
                    Err(_) if self.length.borrow().is_some_and(|end| reader.offset() >= end) => {
                        return reading;
                    }
                    Err(_) => {}
                }
                start = Some(reader.offset());
            }
        }
    }
}
