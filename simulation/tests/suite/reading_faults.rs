//! Readers whose answers come late, in another order, or not at all, and readers with an end: each
//! story also with the code as it was, which must fail it.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use pravega_sdk_event_stream::{
    BatchClient, BatchConfig, EventReader, ReadUntil, ReaderConfig, codec::Utf8,
};
use pravega_sdk_segment_client::seeded_bugs::SeededBug;
use pravega_sdk_types::{BoundedCut, ErrorKind, KeyRange, Offset, ScopedSegment, SegmentId};
use pravega_sdk_wire_protocol::{WireCommand, event};
use tokio::time::{Instant, sleep, timeout};

use crate::common::{Cluster, block_on};

/// Far longer than anything here takes.
const FAR: Duration = Duration::from_secs(600);

/// Runs a story with the code as it is, which must hold, and with a bug, which must not.
fn story(bug: SeededBug, run: impl Fn(ReaderConfig) -> Result<(), String>) {
    run(ReaderConfig::default()).unwrap();
    let broken = run(ReaderConfig::default().with_seeded_bug(bug));
    assert!(broken.is_err(), "the story holds with {bug:?}");
}

fn check(holds: bool, what: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(what()) }
}

fn append(cluster: &Cluster, segment: SegmentId, events: impl IntoIterator<Item = String>) {
    let segment = ScopedSegment::new(&cluster.stream, segment);
    for text in events {
        let mut bytes = bytes::BytesMut::new();
        event::put(&mut bytes, text.as_bytes()).unwrap();
        cluster.world.append_raw(&segment, &bytes);
    }
}

fn cut(cluster: &Cluster, offsets: &[(SegmentId, i64)]) -> BoundedCut {
    let positions = offsets.iter().map(|(id, offset)| (*id, Offset(*offset)));
    BoundedCut::new(cluster.stream.clone(), positions).unwrap()
}

/// The events up to the end or for a while, or the kind of the error in the place of each.
async fn rest(reader: &mut EventReader<Utf8>, limit: Duration) -> (Vec<String>, bool) {
    let mut found = Vec::new();
    loop {
        match timeout(limit, reader.next()).await {
            Ok(Some(Ok(event))) => found.push(event.into_event()),
            Ok(Some(Err(error))) => found.push(format!("{:?}", error.kind())),
            Ok(None) => return (found, true),
            Err(_) => return (found, false),
        }
    }
}

/// Scales a stream: the active segments are replaced by some with these ranges.
fn scale(cluster: &Cluster, ranges: Vec<KeyRange>) -> Vec<SegmentId> {
    let active = cluster.world.active_segments(&cluster.stream);
    let sealed = active.iter().map(|segment| segment.id).collect();
    cluster.world.begin_scale(&cluster.stream, sealed, ranges);
    cluster.world.finish_scale();
    cluster.world.active_segments(&cluster.stream).iter().map(|segment| segment.id).collect()
}

#[test]
fn a_length_that_arrives_after_later_bytes_does_not_end_a_reader() {
    story(SeededBug::JudgesOldLengths, |config| {
        block_on(async {
            let cluster = Cluster::new(1);
            let text = |number| format!("{number}{}", "x".repeat(99));
            append(&cluster, SegmentId::from(0), [text(1)]);
            // The reply with the length is held until the beginning of the second event is read.
            let mut held = None;
            cluster.world.set_misbehaviour(Box::new(move |reply| match reply {
                WireCommand::StreamSegmentInfo(info) if info.write_offset == 108 => {
                    held = Some(info);
                    Vec::new()
                }
                WireCommand::SegmentRead(read) if read.offset > 108 => {
                    let late = held.take().map(WireCommand::from);
                    late.into_iter().chain([read.into()]).collect()
                }
                other => vec![other],
            }));
            let mut reader = cluster.reader(config.with_max_read_bytes(60)).await;
            let first = timeout(FAR, reader.next()).await.unwrap().unwrap();
            assert_eq!(first.unwrap().event(), &text(1));
            append(&cluster, SegmentId::from(0), [text(2)]);
            let (found, _) = rest(&mut reader, Duration::from_secs(5)).await;
            check(found == [text(2)], || format!("{found:?}"))
        })
    });
}

#[test]
fn segments_whose_store_answers_no_reads_do_not_keep_the_others_waiting() {
    story(SeededBug::LateReadsStarve, |config| {
        block_on(async {
            let cluster = Cluster::new(4);
            let (healthy, events) = ([2, 3], 600);
            for id in 0..4 {
                let text = |number| format!("{id}:{number}:{}", "x".repeat(1000));
                append(&cluster, SegmentId::from(id), (0..events).map(text));
            }
            cluster.world.set_misbehaviour(Box::new(move |reply| match reply {
                WireCommand::SegmentRead(read)
                    if read.segment.contains("/0.#") || read.segment.contains("/1.#") =>
                {
                    Vec::new()
                }
                other => vec![other],
            }));
            // A cut is a claim, so the length of every segment is known before it is read.
            let start = cut(&cluster, &[0, 1, 2, 3].map(|id| (SegmentId::from(id), 0)));
            let config = config.with_start(start).with_max_buffered_bytes(256 << 10);
            let mut reader = cluster.reader(config).await;
            let started = Instant::now();
            for _ in 0..healthy.len() * events {
                let found = timeout(FAR, reader.next()).await.unwrap().unwrap();
                let event = found.map_err(|error| error.to_string())?;
                assert!(event.event().starts_with(['2', '3']));
            }
            let took = started.elapsed();
            check(took < Duration::from_secs(10), || format!("it took {took:?}"))
        })
    });
}

#[test]
fn a_search_for_successors_that_finds_nothing_is_reported_and_goes_on() {
    story(SeededBug::SilentSearches, |config| {
        block_on(async {
            let cluster = Cluster::new(1);
            append(&cluster, SegmentId::from(0), ["before".to_owned()]);
            let mut reader =
                cluster.reader(config.with_stall_timeout(Duration::from_secs(1))).await;
            let first = timeout(FAR, reader.next()).await.unwrap().unwrap().unwrap();
            assert_eq!(first.event(), "before");
            let next = scale(&cluster, KeyRange::equal(2));
            append(&cluster, next[0], ["after".to_owned()]);
            cluster.world.set_controller_away(true);
            for _ in 0..2 {
                match timeout(Duration::from_millis(1500), reader.next()).await {
                    Ok(Some(Err(error))) if error.kind() == ErrorKind::Unavailable => {}
                    other => return Err(format!("{other:?}")),
                }
            }
            cluster.world.set_controller_away(false);
            let (found, _) = rest(&mut reader, Duration::from_secs(5)).await;
            check(found.last().is_some_and(|text| text == "after"), || format!("{found:?}"))
        })
    });
}

#[test]
fn a_scale_that_ends_just_before_the_stream_is_sealed_loses_no_event() {
    story(SeededBug::BelievesEarlierSuccessors, |config| {
        // The reader asks for successors, and then for the segments; the scale ends somewhere
        // before, between or after the two.
        for micros in (0..8_000).step_by(100) {
            block_on(async {
                let cluster = Cluster::new(1);
                append(&cluster, SegmentId::from(0), ["before".to_owned()]);
                let (world, stream) = (cluster.world.clone(), cluster.stream.clone());
                world.begin_scale(&stream, vec![SegmentId::from(0)], KeyRange::equal(1));
                let mut reader = cluster.reader(config.clone()).await;
                let scaling = tokio::spawn(async move {
                    sleep(Duration::from_micros(micros)).await;
                    world.finish_scale();
                    let next = world.active_segments(&stream)[0].id;
                    let mut bytes = bytes::BytesMut::new();
                    event::put(&mut bytes, b"after").unwrap();
                    world.append_raw(&ScopedSegment::new(&stream, next), &bytes);
                    world.seal_stream(&stream);
                });
                let found = rest(&mut reader, FAR).await;
                scaling.await.unwrap();
                let expected = ["before", "after"].map(str::to_owned).to_vec();
                check(found == (expected, true), || format!("after {micros} us: {found:?}"))
            })?;
        }
        Ok(())
    });
}

#[test]
fn a_reader_whose_end_was_truncated_away_tells_it_and_ends() {
    let whole = || vec![KeyRange::FULL];
    for (before, after) in
        [(1, whole()), (1, KeyRange::equal(2)), (2, KeyRange::equal(3)), (2, whole())]
    {
        story(SeededBug::ReadsPastTruncatedEnds, |config| {
            block_on(async {
                let cluster = Cluster::new(before);
                let first: Vec<SegmentId> = (0..i64::from(before)).map(SegmentId::from).collect();
                let text = |when| move |number| format!("{when} {number}");
                append(&cluster, first[0], (0..10).map(text("first")));
                let start: Vec<_> = first.iter().map(|id| (*id, 0)).collect();
                let mut end = start.clone();
                end[0].1 = 10 * (8 + 7);
                let next = scale(&cluster, after.clone());
                append(&cluster, next[0], (0..10).map(text("second")));
                let tail = next.iter().map(|id| (*id, Offset(0))).collect();
                cluster.world.truncate(&cluster.stream, &tail);
                append(&cluster, next[0], (0..10).map(text("third")));
                let config = config
                    .with_start(cut(&cluster, &start))
                    .with_end(ReadUntil::Cut(cut(&cluster, &end)));
                let mut reader = cluster.reader(config).await;
                let (found, has_ended) = rest(&mut reader, Duration::from_secs(60)).await;
                // Merged segments are not begun before all of their predecessors are done, so the
                // code as it was ends there too, if only one of them is left out.
                let expected = vec!["Truncated".to_owned(); before as usize];
                check(found == expected && has_ended, || format!("{found:?}, {has_ended}"))?;
                let reached = reader.stream_cut();
                check(reached == cut(&cluster, &end), || format!("{reached}"))
            })
        });
    }
}

/// A stream that is scaled a few times, with partly overlapping segments, and all of its segments
/// with their key ranges.
fn scaled(random: &mut fastrand::Rng) -> (Cluster, Vec<(SegmentId, KeyRange)>) {
    let cluster = Cluster::new(2);
    let mut known = Vec::new();
    let mut number = 0;
    for epoch in 0..4 {
        if epoch > 0 {
            let mut bounds: Vec<f64> = (0..random.usize(0..3)).map(|_| random.f64()).collect();
            bounds.extend([0.0, 1.0]);
            bounds.sort_by(f64::total_cmp);
            let pairs = bounds.iter().zip(bounds.iter().skip(1));
            scale(&cluster, pairs.map(|(a, b)| KeyRange::new(*a, *b).unwrap()).collect());
        }
        for segment in cluster.world.active_segments(&cluster.stream) {
            known.push((segment.id, segment.range));
            for _ in 0..random.usize(0..6) {
                append(&cluster, segment.id, [format!("event {number:03}")]);
                number += 1;
            }
        }
    }
    (cluster, known)
}

/// Opens a reader between two cuts; the kind of the error if it is refused.
async fn between(
    cluster: &Cluster,
    config: &ReaderConfig,
    start: BoundedCut,
    end: BoundedCut,
) -> Result<Vec<String>, ErrorKind> {
    let config = config.clone().with_start(start).with_end(ReadUntil::Cut(end)).with_seed(7);
    let opened = EventReader::open(cluster.context(), &cluster.stream, Utf8, config).await;
    let mut reader = opened.map_err(|error| error.kind())?;
    let (mut found, has_ended) = rest(&mut reader, Duration::from_secs(30)).await;
    if !has_ended {
        found.push("waits".to_owned());
    }
    found.sort();
    Ok(found)
}

async fn cuts_of_one_reader(seed: u64, config: &ReaderConfig) -> Result<(), String> {
    let mut random = fastrand::Rng::with_seed(seed);
    let (cluster, known) = scaled(&mut random);
    let mut reader = cluster.reader(config.clone().with_max_read_bytes(40)).await;
    let (mut cuts, mut events) = (vec![reader.stream_cut()], Vec::new());
    while let Ok(Some(event)) = timeout(Duration::from_secs(5), reader.next()).await {
        events.push(event.unwrap().into_event());
        cuts.push(reader.stream_cut());
    }
    for _ in 0..12 {
        let (a, b) = (random.usize(0..cuts.len()), random.usize(0..cuts.len()));
        let (a, b) = (a.min(b), a.max(b));
        let mut expected = events[a..b].to_vec();
        expected.sort();
        let found = between(&cluster, config, cuts[a].clone(), cuts[b].clone()).await;
        check(found.as_ref() == Ok(&expected), || format!("{a} to {b}: {found:?}"))?;
        if a < b {
            let found = between(&cluster, config, cuts[b].clone(), cuts[a].clone()).await;
            check(found == Err(ErrorKind::InvalidArgument), || format!("{b} to {a}: {found:?}"))?;
        }
        // A cut without one of its segments, unless another one has its keys too.
        let positions: Vec<_> = cuts[b].positions().collect();
        let left_out = positions[random.usize(0..positions.len())].0;
        let ids: BTreeSet<SegmentId> =
            positions.iter().map(|(id, _)| *id).filter(|id| *id != left_out).collect();
        let covers = |key: f64| {
            let has_key = |range: &KeyRange| range.low() <= key && key < range.high();
            known.iter().any(|(id, range)| ids.contains(id) && has_key(range))
        };
        if (0..10_000).all(|key| covers(f64::from(key) / 10_000.0)) {
            continue;
        }
        let rest = positions.iter().copied().filter(|(id, _)| *id != left_out);
        let gap = BoundedCut::new(cluster.stream.clone(), rest).unwrap();
        for (start, end) in [(gap.clone(), cuts[cuts.len() - 1].clone()), (cuts[0].clone(), gap)] {
            let found = between(&cluster, config, start, end).await;
            check(found == Err(ErrorKind::InvalidStreamCut), || format!("a gap: {found:?}"))?;
        }
    }
    Ok(())
}

#[test]
fn the_cut_at_the_tail_of_a_sealed_stream_is_a_start_and_an_end() {
    story(SeededBug::RefusesEmptyCuts, |config| {
        let found = block_on(async {
            let cluster = Cluster::new(1);
            append(&cluster, SegmentId::from(0), ["only".to_owned()]);
            cluster.world.seal_stream(&cluster.stream);
            let (context, batch) = (cluster.context(), BatchConfig::default());
            let client = BatchClient::open(context, &cluster.stream, batch).await.unwrap();
            let (head, tail) = (client.head_cut().await.unwrap(), client.tail_cut().await.unwrap());
            let before = between(&cluster, &config, head, tail.clone()).await;
            (before, between(&cluster, &config, tail.clone(), tail).await)
        });
        check(found == (Ok(vec!["only".to_owned()]), Ok(Vec::new())), || format!("{found:?}"))
    });
}

#[test]
fn the_distance_of_cuts_is_refused_after_bytes_between_them_were_truncated() {
    story(SeededBug::CountsTruncated, |config| {
        let measured = block_on(async {
            let cluster = Cluster::new(1);
            let place = SegmentId::from(0);
            append(&cluster, place, (0..3).map(|n| format!("event {n}")));
            let tail = cluster.world.tail(&cluster.stream);
            let (from, to) = (cut(&cluster, &[(place, 0)]), cut(&cluster, &[(place, 45)]));
            assert_eq!(tail.get(&place), Some(&Offset(45)));
            cluster.world.truncate(&cluster.stream, &BTreeMap::from([(place, Offset(15))]));
            let config = BatchConfig::default().with_reader(config);
            let context = cluster.context();
            let client = BatchClient::open(context, &cluster.stream, config).await.unwrap();
            client.distance(&from.into(), &to.into()).await.map_err(|error| error.kind())
        });
        check(measured == Err(ErrorKind::Truncated), || format!("{measured:?}"))
    });
}

#[test]
fn any_two_cuts_of_a_reader_bound_the_events_between_and_all_others_are_refused() {
    story(SeededBug::TrustsCuts, |config| {
        for seed in 0..40 {
            let found = block_on(cuts_of_one_reader(seed, &config));
            found.map_err(|error| format!("seed {seed}: {error}"))?;
        }
        Ok(())
    });
}

#[test]
fn an_event_that_the_codec_refuses_is_reported_after_those_before_it_and_before_those_after_it() {
    block_on(async {
        let cluster = Cluster::new(1);
        cluster.fill([&b"one"[..], b"two", b"\xff", b"three"]);
        let mut reader = cluster.reader(ReaderConfig::default()).await;
        let batch = timeout(FAR, reader.next_batch(10)).await.unwrap().unwrap().unwrap();
        let texts: Vec<&str> = batch.iter().map(|event| event.event().as_str()).collect();
        assert_eq!(texts, ["one", "two"]);
        // A reader that begins at the position finds the refused event, as this one does.
        let place = SegmentId::from(0);
        assert_eq!(reader.stream_cut(), cut(&cluster, &[(place, 22)]));
        let owned = format!("{:?}", reader.java_position());
        assert!(owned.contains("22"), "{owned}");
        let mut later =
            cluster.reader(ReaderConfig::default().with_start(reader.stream_cut())).await;
        for reader in [&mut reader, &mut later] {
            let error = timeout(FAR, reader.next_batch(10)).await.unwrap().unwrap().unwrap_err();
            assert_eq!((error.kind(), error.offset()), (ErrorKind::Corrupt, Some(Offset(22))));
            assert_eq!(reader.stream_cut(), cut(&cluster, &[(place, 31)]));
            let (found, _) = rest(reader, Duration::from_secs(5)).await;
            assert_eq!(found, ["three"]);
        }
    });
}
