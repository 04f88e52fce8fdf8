//! Stores that contradict what is known of a segment: each is a failed attempt, and reported as a
//! stall after a time.

use super::{table::shown, *};

#[test]
fn a_store_that_has_none_of_the_bytes_that_it_claims_is_reported_as_a_stall() {
    for at_tail in [false, true] {
        let mut rig = Rig::new(MAX_READ);
        rig.machine.open(segment(0), StartOffset::Known(Offset(0)), None);
        let stalled = until_delivered(&mut rig, 1 << 40, false, |rig, reader, number, offset| {
            rig.data(reader, number, offset, 0, at_tail);
        });
        let Delivery::Stalled(error) = stalled else { panic!("{stalled:?}") };
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert!(rig.now < Duration::from_secs(90), "{:?}", rig.now);
    }
}

/// Answers everything that is asked for a segment until something is delivered, a second at a time.
fn until_delivered(
    rig: &mut Rig,
    len: i64,
    is_sealed: bool,
    mut read: impl FnMut(&mut Rig, ReaderId, u64, i64),
) -> Delivery {
    let delivered = (0..300).find_map(|_| {
        for asked in rig.asked() {
            match asked {
                Asked::Inspect(reader) => rig.info(reader, 0, len, is_sealed),
                Asked::Read { reader, read: number, offset, .. } => {
                    read(rig, reader, number, offset);
                }
                Asked::Other(Effect::Locate(reader, _)) => {
                    rig.machine.handle_located(reader, Ok(location(1)), rig.now);
                }
                Asked::Other(_) => {}
            }
        }
        let delivered = rig.delivered();
        if delivered.is_none() {
            rig.now += Duration::from_secs(1);
            rig.machine.handle_timeout(rig.now);
        }
        delivered
    });
    delivered.expect("a delivery")
}

#[test]
fn a_segment_that_must_be_sealed_and_is_open_is_a_stall_until_it_is_sealed() {
    for len in [0, 10] {
        let mut rig = Rig::new(MAX_READ);
        rig.machine.open_sealed(segment(0), StartOffset::Known(Offset(0)));
        let read = |rig: &mut Rig, reader, number, offset| {
            assert!(offset < len, "a read at a tail would wait for an append");
            rig.data(reader, number, offset, (len - offset) as usize, true);
        };
        if len > 0 {
            let data = until_delivered(&mut rig, len, false, read);
            assert_eq!(data.len(), 10, "{data:?}");
        }
        let begun = rig.now;
        for times in 1..=2 {
            let stalled = until_delivered(&mut rig, len, false, read);
            let Delivery::Stalled(error) = stalled else { panic!("{stalled:?}") };
            let cause = std::error::Error::source(&error).unwrap().to_string();
            assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::Unavailable, true));
            assert!(cause.ends_with("it has the segment open, which others follow"), "{cause}");
            let waited = rig.now - begun;
            assert!(waited < Duration::from_secs(times * 75), "{waited:?}");
        }
        let end = until_delivered(&mut rig, len, true, read);
        assert!(matches!(end, Delivery::End { offset } if offset == Offset(len)), "{end:?}");
    }
}

/// A reply with some bytes, after which the segment ends.
fn ended(offset: i64, len: usize) -> WireCommand {
    SegmentRead {
        segment: "s".into(),
        offset,
        at_tail: false,
        end_of_segment: true,
        data: vec![7; len].into(),
        request_id: 1,
    }
    .into()
}

fn sealed(offset: i64) -> WireCommand {
    let (segment, server_stack_trace) = ("s".into(), "".into());
    SegmentIsSealed { request_id: 1, segment, server_stack_trace, offset }.into()
}

/// A reply to a read at an offset.
type Reply = fn(i64) -> WireCommand;

/// Everything that is delivered of a sealed segment of 140 bytes up to its end, by a store that is
/// right from now on.
fn rest(rig: &mut Rig) -> Vec<String> {
    let mut rest = Vec::new();
    loop {
        let delivery = until_delivered(rig, 140, true, |rig, reader, number, offset| {
            rig.machine.handle_read(
                reader,
                number,
                Ok(ended(offset, 140 - offset as usize)),
                rig.now,
            );
        });
        rest.push(shown(&delivery));
        if let Delivery::End { .. } = delivery {
            return rest;
        }
    }
}

#[test]
fn a_store_that_ends_a_segment_before_bytes_that_it_has_is_a_stall_and_no_byte_is_left_out() {
    // Of the bytes that it has sent, and of what follows once it is right.
    let cases: [(&str, Reply, &[&str]); 4] = [
        ("with bytes", |offset| ended(offset, if offset == 0 { 10 } else { 0 }), &["10 at 0"]),
        ("without", |offset| ended(offset, 0), &[]),
        ("by a refusal", sealed, &[]),
        ("by one that has no offset", |_| sealed(-1), &[]),
    ];
    for (how, reply, sent) in cases {
        let mut rig = Rig::new(MAX_READ);
        rig.machine.open(segment(0), StartOffset::Claimed(Offset(0)), None);
        let (mut reads, mut found) = (0, Vec::new());
        let error = loop {
            let delivery = until_delivered(&mut rig, 140, false, |rig, reader, number, offset| {
                reads += 1;
                rig.machine.handle_read(reader, number, Ok(reply(offset)), rig.now);
            });
            match delivery {
                Delivery::Stalled(error) => break error,
                other => found.push(shown(&other)),
            }
        };
        let cause = std::error::Error::source(&error).unwrap().to_string();
        assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::Unavailable, true), "{how}");
        assert!(
            cause.ends_with("it ends the segment before bytes that the segment has"),
            "{cause}"
        );
        assert!(rig.now < Duration::from_secs(90) && reads < 30, "{how}: {reads} attempts");
        found.extend(rest(&mut rig));
        let read_on = if sent.is_empty() { "140 at 0" } else { "130 at 10" };
        assert_eq!(found, [sent, &[read_on, "end at 140"]].concat(), "{how}");
    }
}

#[test]
fn a_store_that_contradicts_what_is_known_twice_is_looked_up_again() {
    let mut rig = Rig::new(MAX_READ);
    let reader = rig.open(0, StartOffset::Claimed(Offset(0)), None);
    for times in 0..3 {
        assert_eq!(rig.asked(), [Asked::Inspect(reader)]);
        rig.info(reader, 0, 100, false);
        let (read, offset, ..) = rig.read();
        rig.machine.handle_read(reader, read, Ok(ended(offset, 0)), rig.now);
        let forgotten = Asked::Other(Effect::Forget(segment(0), location(1).endpoint));
        let expected: Vec<Asked> = Some(forgotten).filter(|_| times > 0).into_iter().collect();
        assert_eq!(rig.asked(), expected, "{times}");
        rig.now = rig.machine.timeout().unwrap();
        rig.machine.handle_timeout(rig.now);
        assert_eq!(rig.asked(), [Asked::Other(Effect::Locate(reader, segment(0)))]);
        rig.machine.handle_located(reader, Ok(location(1)), rig.now);
    }
}

/// A segment of which 110 bytes are known, whose length is asked for, with a read at its tail.
fn at_110() -> (Rig, ReaderId, u64) {
    let mut rig = Rig::new(MAX_READ);
    let reader = rig.open(0, StartOffset::Known(Offset(100)), None);
    let (read, ..) = rig.read();
    rig.data(reader, read, 100, 10, false);
    match rig.asked()[..] {
        [Asked::Inspect(_), Asked::Read { read, offset: 110, .. }] => (rig, reader, read),
        ref other => panic!("{other:?}"),
    }
}

#[test]
fn an_end_that_other_answers_contradict_is_none_in_whatever_order_they_come() {
    type Step = fn(&mut Rig, ReaderId, u64);
    let ends: Step = |rig, reader, _| rig.info(reader, 0, 120, true);
    let bytes: Step = |rig, reader, read| rig.data(reader, read, 110, 30, true);
    let truncated: Step = |rig, reader, read| {
        let (segment, server_stack_trace) = ("s".into(), "".into());
        let (start_offset, offset, request_id) = (130, 110, 1);
        let reply =
            SegmentIsTruncated { request_id, segment, start_offset, server_stack_trace, offset };
        rig.machine.handle_read(reader, read, Ok(reply.into()), rig.now);
    };
    let cases: [([Step; 2], &[&str]); 4] = [
        ([bytes, ends], &["10 at 100", "30 at 110", "end at 140"]),
        ([ends, bytes], &["10 at 100", "30 at 110", "end at 140"]),
        ([truncated, ends], &["10 at 100", "truncated 110 to 130", "10 at 130", "end at 140"]),
        ([ends, truncated], &["10 at 100", "truncated 110 to 130", "10 at 130", "end at 140"]),
    ];
    for (steps, expected) in cases {
        let (mut rig, reader, read) = at_110();
        steps.into_iter().for_each(|step| step(&mut rig, reader, read));
        assert_eq!(rest(&mut rig), expected);
        assert!(rig.now < Duration::from_secs(5), "one back-off, and three answers: {:?}", rig.now);
    }
}
