//! Stores that contradict what is known of a segment: each is a failed attempt, and reported as a
//! stall after a time.

use super::*;

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

#[test]
fn a_store_that_calls_a_segment_sealed_before_its_length_is_reported_as_a_stall() {
    let mut rig = Rig::new(MAX_READ);
    rig.machine.open(segment(0), StartOffset::Claimed(Offset(0)), None);
    let mut reads = 0;
    let stalled = until_delivered(&mut rig, 100, false, |rig, reader, number, offset| {
        reads += 1;
        let (segment, server_stack_trace) = ("s".into(), "".into());
        let refusal = SegmentIsSealed { request_id: 1, segment, server_stack_trace, offset };
        rig.machine.handle_read(reader, number, Ok(refusal.into()), rig.now);
    });
    let Delivery::Stalled(error) = stalled else { panic!("{stalled:?}") };
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(reads < 30, "{reads} attempts");
}
