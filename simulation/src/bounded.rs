//! Reads from one cut to another, once everything is written: the cuts are those that clients took
//! meanwhile.
//!
//! | check | holds |
//! |---|---|
//! | R3 | a reader from one cut to a later one returns what is between them, and ends |
//! | R4 | cuts in the wrong order, or without a part of the keys, are refused at once |
//! | R5 | the distance of two cuts is that of the bytes between them |

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use pravega_sdk_event_stream::{
    BatchClient, BatchConfig, EventReader, ReadUntil, ReaderConfig, SegmentContext, codec::Raw,
};
use pravega_sdk_types::{
    BoundedCut, ErrorKind, KeyRange, Offset, ScopedStream, SegmentId, StreamCut,
};
use tokio::time::{Instant, timeout};

use crate::{
    cut_order::is_before,
    history::{Position, Violation},
    kept::Kept,
};

/// The time that reading from one cut to another may take.
const READ_BOUND: Duration = Duration::from_secs(300);
/// The time that the refusal of a cut may take.
const REFUSAL_BOUND: Duration = Duration::from_secs(2);

/// Reads between cuts.
pub(crate) struct BoundedReads<'a> {
    pub(crate) context: SegmentContext,
    pub(crate) stream: ScopedStream,
    pub(crate) config: ReaderConfig,
    pub(crate) random: fastrand::Rng,
    /// Everything that the stream holds and held.
    pub(crate) kept: &'a [Kept],
    pub(crate) ranges: BTreeMap<SegmentId, KeyRange>,
    /// The segments that no longer exist.
    pub(crate) missing: BTreeSet<SegmentId>,
}

/// What was read between cuts.
#[derive(Debug, Default)]
pub(crate) struct Bounded {
    pub(crate) violations: Vec<Violation>,
    pub(crate) counters: BTreeMap<&'static str, u64>,
    /// The places that were returned, read after read.
    pub(crate) places: Vec<Position>,
}

impl Bounded {
    fn say(&mut self, check: &'static str, detail: String) {
        self.violations.push(Violation { check, detail });
    }

    fn count(&mut self, what: &'static str) {
        *self.counters.entry(what).or_default() += 1;
    }
}

impl BoundedReads<'_> {
    /// Reads between cuts of one client, which took them in this order.
    pub(crate) async fn run(mut self, cuts: &[BoundedCut]) -> Bounded {
        let mut bounded = Bounded::default();
        for _ in 0..3 {
            let (Some(one), Some(other)) =
                (self.random.choice(0..cuts.len()), self.random.choice(0..cuts.len()))
            else {
                return bounded;
            };
            let (from, to) = (&cuts[one.min(other)], &cuts[one.max(other)]);
            if from.positions().len() == 0 {
                continue;
            }
            self.read(from, to, &mut bounded).await;
            self.measure(from, to, &mut bounded).await;
            self.refuse(from, to, &mut bounded).await;
        }
        bounded
    }

    /// The events between two cuts.
    fn between(&self, from: &BoundedCut, to: &BoundedCut) -> impl Iterator<Item = &Kept> {
        let (from, to) = (from.clone(), to.clone());
        self.kept.iter().filter(move |kept| {
            let place = kept.position();
            !is_before(place, &from, &self.ranges) && is_before(place, &to, &self.ranges)
        })
    }

    async fn open(
        &mut self,
        from: &BoundedCut,
        to: &BoundedCut,
    ) -> Result<EventReader<Raw>, ErrorKind> {
        let config = self.config.clone().with_start(from.clone());
        let config = config.with_end(ReadUntil::Cut(to.clone())).with_seed(self.random.u64(..));
        let reader = EventReader::open(self.context.clone(), &self.stream, Raw, config).await;
        reader.map_err(|error| error.kind())
    }

    async fn read(&mut self, from: &BoundedCut, to: &BoundedCut, bounded: &mut Bounded) {
        let mut reader = match self.open(from, to).await {
            Ok(reader) => reader,
            Err(kind) => {
                bounded.say("R3", format!("{from:?} to {to:?} is refused: {kind:?}"));
                return;
            }
        };
        let (mut places, mut truncations) = (Vec::new(), 0);
        let reading = async {
            while let Some(next) = reader.next().await {
                match next {
                    Ok(event) => places.push((event.segment().id(), event.offset())),
                    Err(error) if error.kind() == ErrorKind::Truncated => truncations += 1,
                    Err(error) if error.kind() == ErrorKind::Unavailable => {}
                    Err(error) => return Some(error),
                }
            }
            None
        };
        let named = format!("from {from:?} to {to:?}");
        match timeout(READ_BOUND, reading).await {
            Ok(None) => bounded.count("bounded read ended"),
            Ok(Some(error)) => bounded.say("R3", format!("{named}: {error:?}")),
            Err(_) => bounded.say("R3", format!("{named}: it does not end")),
        }
        let mut expected: BTreeMap<Position, bool> =
            self.between(from, to).map(|kept| (kept.position(), kept.is_gone)).collect();
        for place in &places {
            if expected.remove(place).is_none() {
                bounded
                    .say("R3", format!("{named}: {place:?} is not between them, or comes again"));
            }
        }
        if let Some((place, _)) = expected.iter().find(|(_, is_gone)| !**is_gone) {
            bounded.say("R3", format!("{named}: {place:?} is missing"));
        } else if !expected.is_empty() && truncations == 0 {
            bounded.say("R3", format!("{named}: a truncation was not told"));
        }
        if truncations > 0 {
            bounded.count("bounded read told of a truncation");
        }
        bounded.places.extend(places);
    }

    async fn measure(&mut self, from: &BoundedCut, to: &BoundedCut, bounded: &mut Bounded) {
        let config = BatchConfig::default().with_reader(self.config.clone());
        let context = self.context.clone();
        let Ok(client) = BatchClient::open(context, &self.stream, config).await else {
            bounded.say("R5", "a client cannot be opened".to_owned());
            return;
        };
        let between: Vec<&Kept> = self.between(from, to).collect();
        // No client can tell whether a segment that is gone had bytes.
        let is_gone = between.iter().any(|kept| kept.is_gone);
        let may_be_gone = is_gone
            || self.missing.iter().any(|id| {
                from.offset(*id).is_some() || !is_before((*id, Offset(0)), from, &self.ranges)
            });
        let bytes: u64 = between.iter().map(|kept| kept.stored.event.len() as u64 + 8).sum();
        let (from, to) = (StreamCut::from(from.clone()), StreamCut::from(to.clone()));
        match client.distance(&from, &to).await {
            Ok(distance) if distance == bytes && !is_gone => bounded.count("distance measured"),
            Err(error) if error.kind() == ErrorKind::Truncated && may_be_gone => {
                bounded.count("distance refused, truncated");
            }
            other => bounded.say(
                "R5",
                format!("{from:?} to {to:?}: {other:?}, {bytes} is right, gone: {is_gone}"),
            ),
        }
        if from == to {
            return;
        }
        let begun = Instant::now();
        let refused = client.distance(&to, &from).await.map_err(|error| error.kind());
        if is_behind(&to, &from, &self.ranges, self.kept)
            && (refused != Err(ErrorKind::InvalidArgument) || begun.elapsed() > REFUSAL_BOUND)
        {
            let took = begun.elapsed();
            bounded.say("R4", format!("distance from {to:?} to {from:?}: {refused:?}, {took:?}"));
        }
    }

    /// Opens readers that must be refused.
    async fn refuse(&mut self, from: &BoundedCut, to: &BoundedCut, bounded: &mut Bounded) {
        // Without a part of the keys, as a start and as an end.
        let segments: BTreeSet<SegmentId> = from.positions().map(|(id, _)| id).collect();
        if let Some(left_out) = self.random.choice(&segments)
            && segments.len() > 1
        {
            let rest = from.positions().filter(|(id, _)| id != left_out);
            let torn = BoundedCut::new(self.stream.clone(), rest).expect("a part of a cut");
            let refusals = [self.open(&torn, to).await, self.open(from, &torn).await];
            for refused in refusals.map(|opened| opened.map(drop)) {
                if refused == Err(ErrorKind::InvalidStreamCut) {
                    bounded.count("cut with a gap refused");
                } else {
                    bounded.say("R4", format!("{torn:?} has a gap: {refused:?}"));
                }
            }
        }
        // The later cut first; and the later cut only where it has other segments.
        let mixed = to.positions().map(|(id, at)| (id, from.offset(id).unwrap_or(at)));
        let mixed = BoundedCut::new(self.stream.clone(), mixed).expect("a cut");
        for start in [to.clone(), mixed] {
            let (later, earlier) = (start.clone().into(), from.clone().into());
            if start.positions().len() == 0 || !is_behind(&later, &earlier, &self.ranges, self.kept)
            {
                continue;
            }
            let refused = self.open(&start, from).await.map(drop);
            if refused == Err(ErrorKind::InvalidArgument) {
                bounded.count("cuts in the wrong order refused");
            } else {
                bounded.say("R4", format!("from {start:?} to {from:?}: {refused:?}"));
            }
        }
    }
}

/// Returns true if an event is between the two, the second one first.
fn is_behind(
    later: &StreamCut,
    earlier: &StreamCut,
    ranges: &BTreeMap<SegmentId, KeyRange>,
    kept: &[Kept],
) -> bool {
    let (StreamCut::At(later), StreamCut::At(earlier)) = (later, earlier) else { return false };
    kept.iter().any(|kept| {
        let place = kept.position();
        is_before(place, later, ranges) && !is_before(place, earlier, ranges)
    })
}
