//! A clock that is wrong for a while: what was noted by it stops nothing once it is right again.
//!
//! A clock that jumps ahead cannot be told from a server that stood still: leases and tokens run
//! out, and what retention by time keeps is old. After it jumps back, no time that it noted may
//! count as one that is still to come.

use bytes::Bytes;
use bytestring::ByteString;
use pravega_sdk_proto::{
    ReaderGroupConfiguration, RetentionPolicy, ScalingPolicy, StreamConfig, StreamCut, StreamInfo,
    ping_txn_status, retention_policy::RetentionPolicyType, txn_state::State,
};
use pravega_sdk_types::{Epoch, EventNumber, Watermark, WriterId};
use uuid::Uuid;

use super::{
    at,
    catalog::{config, cut, group, info, split},
    machine,
};
use crate::{
    catalog::{Catalog, id_of},
    ids::ConnectionId,
    machine::Machine,
    store::{AppendRequest, Progress, Read, Step, WaitingRead},
};

const SECOND: i64 = 1_000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// The time before the clock jumps.
const BEGAN: i64 = 20_000 * DAY;
/// By how much the clock is wrong for a while.
const JUMPS: [(&str, i64); 3] = [("right", 0), ("ahead", 400 * DAY), ("behind", -400 * DAY)];

const SEGMENT: &str = "s/t/0.#epoch.0";
const MARKS: &str = "s/_MARKt/0.#epoch.0";

/// A machine, and the time that its clock shows.
struct Clocked {
    machine: Machine,
    now: i64,
}

impl Clocked {
    /// A scope without streams.
    fn new() -> Self {
        let mut clocked = Self { machine: machine(), now: BEGAN };
        clocked.call(|catalog, step| catalog.create_scope("s", step).unwrap());
        clocked.pass(MINUTE);
        clocked
    }

    fn with(config: StreamConfig) -> Self {
        let mut clocked = Self::new();
        clocked.call(|catalog, step| catalog.create_stream(config, step).unwrap());
        clocked
    }

    fn call<T>(&mut self, call: impl FnOnce(&mut Catalog, &mut Step<'_>) -> T) -> T {
        let (catalog, mut step) = self.machine.call(at(self.now));
        call(catalog, &mut step)
    }

    /// Lets time pass, with all work that is due meanwhile.
    fn pass(&mut self, millis: i64) {
        let end = self.now + millis;
        while self.now < end {
            self.now = end.min(self.now + (millis / 100).max(5 * SECOND));
            self.work();
        }
    }

    fn work(&mut self) {
        self.machine.tick(at(self.now));
        while self.machine.work(at(self.now)) == Progress::Unfinished {}
        self.machine.journal.take();
    }

    /// Does something while the clock is wrong.
    fn wrongly<T>(&mut self, jump: i64, happens: impl FnOnce(&mut Self) -> T) -> T {
        self.now += jump;
        self.pass(MINUTE);
        let result = happens(self);
        self.now -= jump;
        result
    }

    fn note(&mut self, writer: &str, time: i64) {
        let position = cut(&[(0, time), (1, time)]);
        self.call(|catalog, step| catalog.note_time(&info(), writer, position, time, step))
            .unwrap();
    }

    /// The lower time of the last watermark; `None` if there is no watermark.
    fn watermark(&mut self) -> Option<i64> {
        let read =
            WaitingRead { connection: ConnectionId(0), request_id: 0, offset: 0, max_len: 1 << 20 };
        let Ok(Read::Data { data, .. }) = self.machine.store.read(&MARKS.into(), read) else {
            return None;
        };
        let (mut rest, mut last) = (data, None);
        while rest.len() > 8 {
            let len: [u8; 4] = rest[4..8].try_into().unwrap();
            let mark = rest.split_to(8 + u32::from_be_bytes(len) as usize);
            last = Some(Watermark::from_bytes(&mark[8..]).unwrap().lower_time().as_millis());
        }
        last
    }

    fn append(&mut self, events: i32) {
        let number = self.machine.store.last_event_number(SEGMENT, WRITER).unwrap();
        let active = self.call(|catalog, step| {
            let open = catalog.current_segments(&info(), step).unwrap().segment_ranges;
            open.first().and_then(|range| range.segment_id.as_ref()).map(|id| id.segment_id)
        });
        if active != Some(0) {
            // It was split.
            return;
        }
        let append = AppendRequest {
            segment: SEGMENT.into(),
            data: Bytes::from_static(&[7; 10]),
            writer: WRITER,
            previous: number,
            number: EventNumber(number.0.max(0) + i64::from(events)),
            event_count: events,
            expected_offset: None,
        };
        self.call(|_, step| step.append(append)).unwrap();
    }

    /// The start and the length of the first segment.
    fn bounds(&self) -> (u64, u64) {
        let found = self.machine.store.info(SEGMENT).unwrap();
        (found.start, found.len)
    }

    fn begin(&mut self, lease: i64) -> Uuid {
        // Ids follow from the time, without its last bit.
        self.now += 2;
        let begun =
            self.call(|catalog, step| catalog.create_transaction(&info(), lease, step)).unwrap();
        id_of(begun.txn_id)
    }

    fn ping(&mut self, id: Uuid, lease: i64) -> ping_txn_status::Status {
        self.call(|catalog, step| catalog.ping_transaction(&info(), id, lease, step)).unwrap()
    }

    fn state(&mut self, id: Uuid) -> State {
        self.call(|catalog, _| catalog.transaction_state(&info(), id)).unwrap()
    }
}

const WRITER: WriterId = WriterId(Uuid::from_u128(7));

fn with_timeout() -> StreamConfig {
    StreamConfig { timestamp_aggregation_timeout: 30 * SECOND, ..config(2) }
}

fn by_time(retention_max: i64) -> StreamConfig {
    let retention_type = RetentionPolicyType::Time.into();
    let policy = RetentionPolicy { retention_type, retention_param: HOUR, retention_max };
    StreamConfig { retention_policy: Some(policy), ..config(1) }
}

/// Appends 10 bytes, and lets half an hour pass.
fn half_hour(clocked: &mut Clocked) {
    clocked.append(1);
    clocked.pass(30 * MINUTE);
}

#[test]
fn watermarks_are_written_every_ten_seconds_after_a_jump() {
    for (jump, by) in JUMPS {
        let mut clocked = Clocked::with(with_timeout());
        clocked.note("w", 1);
        clocked.pass(11 * SECOND);
        assert_eq!(clocked.watermark(), Some(1), "{jump}");
        clocked.wrongly(by, |clocked| {
            clocked.note("w", 2);
            clocked.pass(11 * SECOND);
            assert_eq!(clocked.watermark(), Some(2), "{jump}");
        });
        clocked.note("w", 3);
        clocked.pass(11 * SECOND);
        assert_eq!(clocked.watermark(), Some(3), "{jump}");
    }
}

#[test]
fn a_writer_that_noted_its_last_time_by_a_wrong_clock_holds_watermarks_back_no_longer_than_others()
{
    for (jump, by) in JUMPS {
        let mut clocked = Clocked::with(with_timeout());
        clocked.wrongly(by, |clocked| {
            clocked.note("left", 2);
            clocked.note("stays", 2);
        });
        clocked.note("stays", 9);
        clocked.pass(20 * SECOND);
        if by >= 0 {
            assert_eq!(clocked.watermark(), Some(2), "{jump}: the other may still go on");
        }
        clocked.pass(30 * SECOND);
        assert_eq!(clocked.watermark(), Some(9), "{jump}");
    }
}

#[test]
fn retention_by_time_drops_what_is_too_old_and_nothing_else_after_a_jump() {
    for (jump, by) in JUMPS {
        let mut clocked = Clocked::with(by_time(i64::MAX));
        for _ in 0..6 {
            half_hour(&mut clocked);
        }
        clocked.wrongly(by, half_hour);
        for _ in 0..8 {
            half_hour(&mut clocked);
            let (start, len) = clocked.bounds();
            // A clock that is ahead makes all that it finds old.
            if by <= 0 {
                assert!(len - start >= 20, "{jump}: an event of this hour was dropped");
            }
        }
        let (start, len) = clocked.bounds();
        assert!((20..=40).contains(&(len - start)), "{jump}: {start} to {len}");
    }
}

#[test]
fn the_upper_limit_of_retention_holds_after_a_jump_though_a_group_reads_nothing() {
    for (jump, by) in JUMPS {
        let mut clocked = Clocked::with(by_time(2 * HOUR));
        let starting_stream_cuts =
            vec![StreamCut { stream_info: Some(info()), ..StreamCut::default() }];
        let group = ReaderGroupConfiguration { starting_stream_cuts, ..group() };
        clocked.call(|catalog, step| catalog.create_group(group, step)).unwrap();
        half_hour(&mut clocked);
        clocked.wrongly(by, half_hour);
        for _ in 0..10 {
            half_hour(&mut clocked);
        }
        let (start, len) = clocked.bounds();
        assert!((20..=60).contains(&(len - start)), "{jump}: {start} to {len}");
    }
}

#[test]
fn a_transaction_of_a_wrong_clock_ends_within_the_longest_lease_unless_it_is_pinged() {
    for (jump, by) in JUMPS {
        let mut clocked = Clocked::with(config(2));
        let (left, kept) =
            clocked.wrongly(by, |clocked| (clocked.begin(20 * SECOND), clocked.begin(20 * SECOND)));
        for _ in 0..75 {
            clocked.ping(kept, 20 * SECOND);
            clocked.pass(10 * SECOND);
        }
        assert_eq!(clocked.state(left), State::Aborted, "{jump}");
        // The lease of one that was begun by a clock that was behind is long over.
        let expected = if by < 0 { State::Aborted } else { State::Open };
        assert_eq!(clocked.state(kept), expected, "{jump}");
        let segment = format!("s/t/0.#epoch.0#transaction.{}", left.simple());
        assert!(clocked.machine.store.info(&segment).is_err(), "{jump}: its segments are left");
    }
}

#[test]
fn a_transaction_of_a_clock_that_was_ahead_ends_after_the_longest_life_of_one() {
    let mut clocked = Clocked::with(config(2));
    let id = clocked.wrongly(400 * DAY, |clocked| clocked.begin(600 * SECOND));
    let mut status = ping_txn_status::Status::Ok;
    let mut lived = 0;
    while status == ping_txn_status::Status::Ok && lived < 2 * DAY {
        clocked.pass(5 * MINUTE);
        lived += 5 * MINUTE;
        status = clocked.ping(id, 600 * SECOND);
    }
    assert_eq!(status, ping_txn_status::Status::MaxExecutionTimeExceeded);
    assert!((23 * HOUR..25 * HOUR).contains(&lived), "{lived} ms");
}

#[test]
fn the_outcome_of_a_transaction_of_a_clock_that_was_ahead_is_known_for_a_day() {
    for (jump, by) in &JUMPS[..2] {
        let mut clocked = Clocked::with(config(2));
        let id = clocked.wrongly(*by, |clocked| {
            let id = clocked.begin(20 * SECOND);
            clocked.call(|catalog, step| catalog.abort_transaction(&info(), id, step)).unwrap();
            id
        });
        clocked.pass(20 * HOUR);
        assert_eq!(clocked.state(id), State::Aborted, "{jump}");
        clocked.pass(5 * HOUR);
        assert_eq!(clocked.state(id), State::Unknown, "{jump}: it is kept for longer than others");
    }
}

#[test]
fn a_lease_is_over_and_no_other_work_stops_when_the_clock_jumps_ahead_for_good() {
    let mut clocked = Clocked::with(with_timeout());
    let id = clocked.begin(600 * SECOND);
    clocked.note("w", 1);
    clocked.pass(11 * SECOND);
    clocked.now += 400 * DAY;
    clocked.work();
    assert_eq!(clocked.state(id), State::Aborted);
    clocked.note("w", 2);
    clocked.pass(11 * SECOND);
    assert_eq!(clocked.watermark(), Some(2));
    let id = clocked.begin(20 * SECOND);
    clocked.pass(15 * SECOND);
    assert_eq!(clocked.state(id), State::Open);
}

#[test]
fn a_large_event_that_was_left_by_a_wrong_clock_is_deleted_and_one_in_progress_is_not() {
    let name = |number: u32| -> ByteString {
        format!("{SEGMENT}#transient.00000000000000000000000000000007.{number:032x}").into()
    };
    for (jump, by) in JUMPS {
        let mut clocked = Clocked::with(config(2));
        clocked.wrongly(by, |clocked| {
            clocked.call(|_, step| {
                for number in 0..2 {
                    step.create(&name(number), vec![]).unwrap();
                }
            });
        });
        let exists = |clocked: &Clocked, number| clocked.machine.store.info(&name(number)).is_ok();
        if by < 0 {
            // It was left a year ago, as far as the clock knows.
            clocked.pass(31 * MINUTE);
            assert!(!exists(&clocked, 0), "{jump}");
            continue;
        }
        clocked.pass(5 * SECOND);
        assert!(exists(&clocked, 0), "{jump}: it was in progress");
        for _ in 0..7 {
            clocked.call(|_, step| step.append_internal(&name(1), "x".into(), vec![])).unwrap();
            clocked.pass(10 * MINUTE);
        }
        assert!(!exists(&clocked, 0), "{jump}: it is left");
        assert!(exists(&clocked, 1), "{jump}: it was in progress");
    }
}

#[test]
fn a_stream_scales_by_rates_that_are_measured_after_a_jump() {
    for (jump, by) in JUMPS {
        let mut clocked = Clocked::new();
        let write = |clocked: &mut Clocked, seconds: i64| {
            for _ in 0..seconds / 5 {
                clocked.append(1000);
                clocked.pass(5 * SECOND);
            }
        };
        clocked.wrongly(by, |clocked| {
            let policy = ScalingPolicy {
                scale_type: 2,
                target_rate: 1,
                scale_factor: 2,
                min_num_segments: 1,
            };
            let config = StreamConfig { scaling_policy: Some(policy), ..config(1) };
            clocked.call(|catalog, step| catalog.create_stream(config, step)).unwrap();
            write(clocked, 30);
        });
        write(&mut clocked, 240);
        let count = clocked.call(|catalog, step| {
            catalog.current_segments(&info(), step).unwrap().segment_ranges.len()
        });
        assert!(count > 1, "{jump}: it has one segment with 200 times its rate");
    }
}

#[test]
fn the_times_of_epochs_never_go_back() {
    for (jump, by) in JUMPS {
        let mut clocked = Clocked::with(config(2));
        let scale = |clocked: &mut Clocked, sealed: i64, low: f64, high: f64| {
            let request = split(sealed, low, f64::midpoint(low, high), high);
            let scaled = clocked.call(|catalog, step| catalog.scale(&request, step)).unwrap();
            assert!(!scaled.segments.is_empty(), "{scaled:?}");
        };
        clocked.wrongly(by, |clocked| scale(clocked, 0, 0.0, 0.5));
        // A transaction of the first epoch makes two more.
        let id = clocked.begin(20 * SECOND);
        scale(&mut clocked, 1, 0.5, 1.0);
        clocked
            .call(|catalog, step| catalog.commit_transaction(&info(), id, "", -1, step))
            .unwrap();
        let StreamInfo { scope, stream, .. } = info();
        let all = i64::MIN..=i64::MAX;
        let listed =
            clocked.call(|catalog, _| catalog.epochs_within(&scope, &stream, &all, Epoch(0)));
        let times: Vec<i64> = listed.unwrap().items.iter().map(|epoch| epoch.at).collect();
        assert_eq!(times.len(), 5, "{jump}");
        assert!(times.is_sorted(), "{jump}: {times:?}");
    }
}

#[test]
fn a_clock_at_any_end_of_its_numbers_stops_nothing() {
    let scaling_policy = config(2).scaling_policy;
    let mut clocked = Clocked::with(StreamConfig { scaling_policy, ..by_time(2 * HOUR) });
    for (time, now) in
        [0, i64::MAX, i64::MIN, -1, i64::MAX - 1, i64::MIN + 1, BEGAN].into_iter().enumerate()
    {
        clocked.now = now;
        clocked.append(1);
        clocked.note("w", 1 + time as i64);
        let lease = 20 * SECOND;
        // An id may be that of the time before.
        clocked.call(|catalog, step| catalog.create_transaction(&info(), lease, step)).ok();
        clocked.work();
        clocked.work();
        assert_eq!(clocked.watermark(), Some(1 + time as i64), "{now}");
    }
    let id = clocked.begin(20 * SECOND);
    clocked.pass(30 * SECOND);
    assert_eq!(clocked.state(id), State::Aborted);
}
