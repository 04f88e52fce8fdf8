//! What the stores of the simulated cluster do beyond the server's machine: commands that are held
//! back, late or lost, replies that overtake each other, parts that are stuck, tokens that expire.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use pravega_sdk_controller_client::{AccessOperation, Controller as _};
use pravega_sdk_segment_client::Transport as _;
use pravega_sdk_simulation::{
    Between, Connects, Interruption, Interruptions, Requests, SimNetwork, Stall, Stuck, World,
};
use pravega_sdk_types::{EventNumber, KeyRange, Offset, SegmentId, WriterId};
use pravega_sdk_wire_protocol::{
    WireCommand,
    codes::TokenFailure,
    commands::{ConditionalAppend, KeepAlive},
    event::Event,
};
use tokio::time::{Instant, sleep, timeout};
use uuid::Uuid;

use crate::common::{Cluster, Wire, append, block_on, info, read, set_up};

const NONE: i64 = EventNumber::NONE.0;
const WRITER: WriterId = WriterId(Uuid::from_u128(7));
const OTHER_WRITER: WriterId = WriterId(Uuid::from_u128(8));

/// The number of an acknowledgement.
fn acknowledged(reply: Option<WireCommand>) -> i64 {
    match reply {
        Some(WireCommand::DataAppended(ack)) => ack.event_number,
        other => panic!("{other:?}"),
    }
}

// Held commands.

#[test]
fn a_held_append_takes_effect_after_a_later_set_up_was_answered() {
    block_on(async {
        let cluster = Cluster::new(1);
        let segment = cluster.segment(0);
        let hold = cluster.world.hold_appends(&segment);
        let mut first = Wire::open(&cluster, 0).await;
        assert_eq!(first.set_up(&segment, WRITER).await, NONE);
        first.send(append(WRITER, 1, "late")).await;
        hold.reached().await;
        drop(first);
        let mut second = Wire::open(&cluster, 0).await;
        assert_eq!(second.set_up(&segment, WRITER).await, NONE);
        assert!(cluster.texts().is_empty());
        hold.release();
        assert_eq!(cluster.texts(), ["late"]);
        // The seal is between the append that was late and the one that is sent again.
        cluster.world.begin_scale(&cluster.stream, vec![segment.id()], KeyRange::equal(1));
        second.send(append(WRITER, 1, "late")).await;
        assert!(matches!(second.next().await, Some(WireCommand::SegmentIsSealed(_))));
        assert_eq!(second.set_up(&segment, WRITER).await, 1);
        assert_eq!(cluster.texts(), ["late"]);
    });
}

#[test]
fn a_set_up_overtakes_a_held_append_of_its_connection_and_the_number_is_used_once() {
    block_on(async {
        let cluster = Cluster::new(1);
        let segment = cluster.segment(0);
        let hold = cluster.world.hold_appends(&segment);
        let mut wire = Wire::open(&cluster, 0).await;
        wire.set_up(&segment, WRITER).await;
        wire.send(append(WRITER, 1, "event")).await;
        assert_eq!(wire.set_up(&segment, WRITER).await, NONE);
        wire.send(append(WRITER, 1, "event")).await;
        hold.reached_times(2).await;
        hold.release();
        assert_eq!(acknowledged(wire.next().await), 1);
        assert!(matches!(wire.next().await, Some(WireCommand::InvalidEventNumber(_))));
        assert_eq!(wire.next().await, None);
        assert_eq!(cluster.texts(), ["event"]);
    });
}

#[test]
fn all_else_passes_a_held_append() {
    block_on(async {
        let cluster = Cluster::new(2);
        let (segment, other) = (cluster.segment(0), cluster.segment(1));
        let hold = cluster.world.hold_appends(&segment);
        let mut wire = Wire::open(&cluster, 0).await;
        wire.set_up(&segment, WRITER).await;
        wire.set_up(&other, OTHER_WRITER).await;
        for number in 1..3 {
            wire.send(append(WRITER, number, "held")).await;
        }
        wire.send(append(OTHER_WRITER, 1, "other")).await;
        assert_eq!(acknowledged(wire.next().await), 1);
        wire.send(info(&segment, 5)).await;
        assert!(matches!(wire.next().await, Some(WireCommand::StreamSegmentInfo(_))));
        wire.send(KeepAlive {}).await;
        assert!(matches!(wire.next().await, Some(WireCommand::KeepAlive(_))));
        assert_eq!((cluster.texts(), hold.taken()), (vec!["other".to_owned()], 2));
        // Connections that come later are not held.
        let mut later = Wire::open(&cluster, 0).await;
        later.set_up(&segment, WriterId(Uuid::from_u128(9))).await;
        later.send(append(WriterId(Uuid::from_u128(9)), 1, "later")).await;
        assert_eq!(acknowledged(later.next().await), 1);
        hold.release();
        assert_eq!([wire.next().await, wire.next().await].map(acknowledged), [1, 2]);
        assert_eq!(cluster.texts(), ["later", "held", "held", "other"]);
    });
}

#[test]
fn a_lost_command_has_no_effect_and_a_lost_reply_is_that_of_one_that_has() {
    block_on(async {
        let cluster = Cluster::new(1);
        let segment = cluster.segment(0);
        let mut wire = Wire::open(&cluster, 0).await;
        wire.set_up(&segment, WRITER).await;
        let lost = cluster.world.lose(|arrival| arrival.is_append());
        wire.send(append(WRITER, 1, "lost")).await;
        wire.silent().await;
        lost.release();
        // A store has no gaps.
        wire.send(append(WRITER, 2, "after the lost one")).await;
        wire.silent().await;
        assert_eq!(wire.set_up(&segment, WRITER).await, NONE);
        let lost = cluster
            .world
            .lose_replies(|departure| matches!(departure.reply, WireCommand::DataAppended(_)));
        wire.send(append(WRITER, 1, "stored")).await;
        wire.silent().await;
        lost.release();
        wire.send(append(WRITER, 2, "after it")).await;
        wire.silent().await;
        assert_eq!(wire.set_up(&segment, WRITER).await, 2);
        wire.send(append(WRITER, 3, "acknowledged")).await;
        assert_eq!(acknowledged(wire.next().await), 3);
        assert_eq!(cluster.texts(), ["stored", "after it", "acknowledged"]);
        let counters = cluster.world.counters();
        assert_eq!((counters["command lost"], counters["reply lost"]), (2, 2));
    });
}

#[test]
fn a_connection_is_closed_in_place_of_a_command_or_of_its_reply() {
    block_on(async {
        let cluster = Cluster::new(1);
        let segment = cluster.segment(0);
        let set_ups = cluster
            .world
            .close_at(|arrival| matches!(arrival.command, WireCommand::SetupAppend(_)));
        let mut wire = Wire::open(&cluster, 0).await;
        wire.send(set_up(&segment, WRITER, "")).await;
        assert_eq!(wire.next().await, None);
        set_ups.release();
        let acks = cluster
            .world
            .close_in_place_of(|departure| matches!(departure.reply, WireCommand::DataAppended(_)));
        let mut wire = Wire::open(&cluster, 0).await;
        wire.set_up(&segment, WRITER).await;
        wire.send(append(WRITER, 1, "stored")).await;
        assert_eq!((wire.next().await, acks.taken()), (None, 1));
        assert_eq!(cluster.texts(), ["stored"]);
    });
}

#[test]
fn appends_of_interrupted_connections_are_stored_once() {
    let mut counters: BTreeMap<&str, u64> = BTreeMap::new();
    for seed in 0..40 {
        block_on(async {
            let world = World::with_seed(1, seed);
            let network = SimNetwork::perfect(&world);
            let cluster = Cluster::with_network(world, network, 1);
            let longest = Duration::from_secs(3);
            let interruptions = Interruptions { percent: 80, longest, between: None };
            cluster.world.set_interruptions(Some(interruptions));
            let writer = cluster.writer().await;
            let events: Vec<String> = (0..30).map(|number| format!("{number}")).collect();
            for event in &events {
                writer.write("k", event.clone()).await.unwrap();
            }
            assert_eq!(cluster.texts(), events);
            for (what, times) in cluster.world.counters() {
                *counters.entry(what).or_default() += times;
            }
        });
    }
    for what in [
        "append later than the next set-up",
        "append later than the one that was sent again",
        "acknowledgement lost",
    ] {
        assert!(counters.get(what).is_some_and(|times| *times > 0), "{what}: {counters:?}");
    }
}

#[test]
fn a_seal_is_between_a_late_append_and_the_one_that_is_sent_again() {
    let (mut late, mut lost) = (0, 0);
    for seed in 0..40 {
        block_on(async {
            let world = World::with_seed(1, seed);
            let network = SimNetwork::perfect(&world);
            let cluster = Cluster::with_network(world, network, 1);
            let segment = cluster.segment(0);
            let seal: Between = Arc::new(|world, segment, when| {
                let stream = segment.scoped_stream();
                let stored = world.content(&stream).len();
                world.begin_scale(&stream, vec![segment.id()], KeyRange::equal(1));
                Box::pin(async move {
                    assert!(when == Interruption::LostAck || stored > 0, "the append is stored");
                })
            });
            let longest = Duration::from_secs(3);
            let always = Interruptions { percent: 100, longest, between: Some(seal) };
            cluster.world.set_interruptions(Some(always));
            let mut wire = Wire::open(&cluster, 0).await;
            cluster.world.set_interruptions(None);
            wire.set_up(&segment, WRITER).await;
            let mut number = 0;
            loop {
                number += 1;
                wire.send(append(WRITER, number, &format!("{number}"))).await;
                match wire.next().await {
                    Some(reply) => assert_eq!(acknowledged(Some(reply)), number),
                    None => break,
                }
            }
            let mut next = Wire::open(&cluster, 0).await;
            let known = next.set_up(&segment, WRITER).await;
            if known == number {
                lost += 1;
            } else {
                late += 1;
                next.send(append(WRITER, number, &format!("{number}"))).await;
                let reply = next.next().await;
                if cluster.world.counters().contains_key("action between two steps of an append") {
                    assert!(matches!(reply, Some(WireCommand::SegmentIsSealed(_))), "{reply:?}");
                }
            }
            let all: Vec<String> = (1..=number).map(|number| number.to_string()).collect();
            assert_eq!(cluster.texts(), all);
        });
    }
    assert!(late > 5 && lost > 5, "{late} {lost}");
}

// The order of replies.

#[test]
fn a_held_reply_is_overtaken_by_all_but_later_acknowledgements_of_its_writer() {
    block_on(async {
        let cluster = Cluster::new(2);
        let (segment, other) = (cluster.segment(0), cluster.segment(1));
        let mut wire = Wire::open(&cluster, 0).await;
        wire.set_up(&segment, WRITER).await;
        wire.set_up(&other, OTHER_WRITER).await;
        let about = segment.clone();
        let hold = cluster.world.hold_replies(move |departure| {
            let WireCommand::DataAppended(ack) = departure.reply else { return false };
            departure.is_about(&about) && ack.event_number == 1
        });
        wire.send(append(WRITER, 1, "first")).await;
        wire.send(append(WRITER, 2, "second")).await;
        wire.send(append(OTHER_WRITER, 7, "other")).await;
        wire.send(info(&segment, 5)).await;
        assert_eq!(acknowledged(wire.next().await), 7);
        assert!(matches!(wire.next().await, Some(WireCommand::StreamSegmentInfo(_))));
        hold.release();
        assert_eq!([wire.next().await, wire.next().await].map(acknowledged), [1, 2]);
    });
}

#[test]
fn replies_overtake_each_other_and_acknowledgements_of_a_writer_do_not() {
    block_on(async {
        let cluster = Cluster::new(1);
        let segment = cluster.segment(0);
        let mut wire = Wire::open(&cluster, 0).await;
        wire.set_up(&segment, WRITER).await;
        cluster.world.set_reply_delay(Duration::from_millis(200));
        for number in 1..50 {
            wire.send(info(&segment, number)).await;
            wire.send(append(WRITER, number, "event")).await;
        }
        let (mut acks, mut infos) = (Vec::new(), Vec::new());
        for _ in 0..98 {
            match wire.next().await {
                Some(WireCommand::DataAppended(ack)) => acks.push(ack.event_number),
                Some(WireCommand::StreamSegmentInfo(info)) => infos.push(info.request_id),
                other => panic!("{other:?}"),
            }
        }
        assert!(acks.is_sorted() && !infos.is_sorted(), "{acks:?} {infos:?}");
        infos.sort_unstable();
        assert_eq!((acks, infos), ((1..50).collect(), (1..50).collect()));
    });
}

// Stuck parts.

#[test]
fn a_stuck_segment_queues_or_loses_its_appends_while_others_go_on() {
    for (stall, during, after) in
        [(Stall::Queues, 0, 1), (Stall::Loses, 0, 0), (Stall::LosesReplies, 1, 1)]
    {
        block_on(async {
            let cluster = Cluster::new(2);
            let (segment, other) = (cluster.segment(0), cluster.segment(1));
            let stuck = Stuck::Segment(segment.clone());
            let hold = cluster.world.stall(stuck, Requests::Appends, stall);
            let mut wire = Wire::open(&cluster, 0).await;
            assert_eq!(wire.set_up(&segment, WRITER).await, NONE);
            wire.set_up(&other, OTHER_WRITER).await;
            wire.send(append(WRITER, 1, "stuck")).await;
            wire.silent().await;
            let events =
                |cluster: &Cluster| cluster.texts().iter().filter(|text| *text == "stuck").count();
            assert_eq!(events(&cluster), during, "{stall:?}");
            wire.send(append(OTHER_WRITER, 1, "other")).await;
            assert_eq!(acknowledged(wire.next().await), 1);
            hold.release();
            assert_eq!(events(&cluster), after, "{stall:?}");
            if stall == Stall::Queues {
                assert_eq!(acknowledged(wire.next().await), 1);
            }
        });
    }
}

#[test]
fn reads_of_a_stuck_segment_are_answered_when_it_goes_on() {
    block_on(async {
        let cluster = Cluster::new(1);
        let segment = cluster.segment(0);
        cluster.fill(["event"]);
        let stuck = Stuck::Segment(segment.clone());
        let hold = cluster.world.stall(stuck.clone(), Requests::Reads, Stall::Queues);
        let mut wire = Wire::open(&cluster, 0).await;
        wire.send(read(&segment, 0, "")).await;
        wire.silent().await;
        wire.send(info(&segment, 5)).await;
        assert!(matches!(wire.next().await, Some(WireCommand::StreamSegmentInfo(_))));
        hold.release();
        assert!(matches!(wire.next().await, Some(WireCommand::SegmentRead(_))));
        // The reply to a read that waited at the tail is lost, too.
        wire.send(read(&segment, 13, "")).await;
        let _hold = cluster.world.stall(stuck, Requests::Reads, Stall::LosesReplies);
        cluster.fill(["more"]);
        wire.silent().await;
    });
}

#[test]
fn a_stuck_container_or_store_is_all_of_its_segments() {
    block_on(async {
        let world = World::new(2);
        let network = SimNetwork::perfect(&world);
        let cluster = Cluster::with_network(world, network, 8);
        let world = &cluster.world;
        let segments: Vec<_> = (0..8).map(|id| cluster.segment(id)).collect();
        let store = world.owner(&segments[0].to_string());
        let answers = async |stuck| {
            let hold = world.stall(stuck, Requests::All, Stall::Loses);
            let mut answers = Vec::new();
            for segment in &segments {
                let store = world.owner(&segment.to_string());
                let mut wire = Wire::open(&cluster, store).await;
                wire.send(info(segment, 5)).await;
                let reply = timeout(Duration::from_secs(60), wire.next()).await;
                wire.send(KeepAlive {}).await;
                let echo = timeout(Duration::from_secs(60), wire.next()).await;
                answers.push((store, reply.is_ok(), echo.is_ok()));
            }
            hold.release();
            answers
        };
        let of_container = answers(Stuck::Container(segments[0].clone())).await;
        let stuck = of_container.iter().filter(|(_, is_answered, _)| !is_answered).count();
        assert!((1..8).contains(&stuck) && !of_container[0].1, "{of_container:?}");
        for (on, is_answered, is_echoed) in answers(Stuck::Store(store)).await {
            assert_eq!((is_answered, is_echoed), (on != store, true));
        }
        for (on, is_answered, is_echoed) in answers(Stuck::Silent(store)).await {
            assert_eq!((is_answered, is_echoed), (on != store, on != store));
        }
    });
}

// Connects.

#[test]
fn a_connect_that_is_not_answered_waits_until_the_store_accepts_or_refuses() {
    block_on(async {
        let cluster = Cluster::new(1);
        for (connects, is_accepted) in [(Connects::Accepted, true), (Connects::Refused, false)] {
            cluster.world.set_connects(0, Connects::Unanswered);
            let endpoint = World::endpoint(0);
            let mut opening = cluster.network.open(&endpoint);
            assert!(timeout(Duration::from_secs(3600), &mut opening).await.is_err());
            cluster.world.set_connects(0, connects);
            assert_eq!(opening.await.is_ok(), is_accepted);
        }
        assert_eq!(cluster.world.counters()["connect unanswered"], 2);
    });
}

#[test]
fn a_machine_that_dies_says_nothing_and_knows_no_connection_when_it_is_back() {
    block_on(async {
        let cluster = Cluster::new(1);
        let mut wire = Wire::open(&cluster, 0).await;
        cluster.network.kill_machine(0);
        wire.send(KeepAlive {}).await;
        wire.silent().await;
        cluster.network.start_machine(0);
        assert_eq!(wire.next().await, None);
        let mut wire = Wire::open(&cluster, 0).await;
        wire.send(KeepAlive {}).await;
        assert!(matches!(wire.next().await, Some(WireCommand::KeepAlive(_))));
    });
}

// Tokens.

const LIFETIME: Duration = Duration::from_secs(600);

async fn token(cluster: &Cluster) -> String {
    let access = AccessOperation::ReadWrite;
    let token = cluster.controller.delegation_token(&cluster.stream, access).await.unwrap();
    token.expose().to_owned()
}

#[test]
fn an_expired_token_closes_the_connection_of_a_set_up_and_is_refused_for_a_read() {
    block_on(async {
        let cluster = Cluster::new(1);
        let segment = cluster.segment(0);
        cluster.world.set_tokens(LIFETIME);
        let old = token(&cluster).await;
        cluster.world.advance_clock(LIFETIME);
        let mut wire = Wire::open(&cluster, 0).await;
        wire.send(read(&segment, 13, &old)).await;
        let Some(WireCommand::AuthTokenCheckFailed(refused)) = wire.next().await else { panic!() };
        assert_eq!((refused.request_id, refused.error_code), (13, TokenFailure::Expired));
        wire.send(set_up(&segment, WRITER, &old)).await;
        assert_eq!(wire.next().await, None, "closed without a word");
        let mut wire = Wire::open(&cluster, 0).await;
        wire.send(set_up(&segment, WRITER, &token(&cluster).await)).await;
        assert!(matches!(wire.next().await, Some(WireCommand::AppendSetup(_))));
        assert_eq!(cluster.world.counters()["set-up refused by closing"], 1);
    });
}

#[test]
fn a_revoked_token_is_refused_with_a_reply() {
    block_on(async {
        let cluster = Cluster::new(1);
        let segment = cluster.segment(0);
        cluster.world.set_tokens(LIFETIME);
        let revoked = token(&cluster).await;
        cluster.world.revoke_tokens();
        let mut wire = Wire::open(&cluster, 0).await;
        wire.send(set_up(&segment, WRITER, &revoked)).await;
        let Some(WireCommand::AuthTokenCheckFailed(refused)) = wire.next().await else { panic!() };
        assert_eq!(refused.error_code, TokenFailure::Expired);
        wire.send(set_up(&segment, WRITER, "")).await;
        let Some(WireCommand::AuthTokenCheckFailed(refused)) = wire.next().await else { panic!() };
        assert_eq!(refused.error_code, TokenFailure::CheckFailed);
    });
}

#[test]
fn a_store_closes_a_connection_when_the_token_of_a_set_up_expires() {
    block_on(async {
        let cluster = Cluster::new(1);
        let segment = cluster.segment(0);
        cluster.world.set_tokens(LIFETIME);
        let mut wire = Wire::open(&cluster, 0).await;
        wire.send(set_up(&segment, WRITER, &token(&cluster).await)).await;
        assert!(matches!(wire.next().await, Some(WireCommand::AppendSetup(_))));
        let started = Instant::now();
        assert_eq!(wire.next().await, None);
        assert!((599..=600).contains(&started.elapsed().as_secs()), "{:?}", started.elapsed());
        // The client takes its time to close its end.
        sleep(LIFETIME).await;
        assert_eq!(cluster.world.counters()["connection closed as its token expired"], 1);
    });
}

#[test]
fn a_store_whose_clock_is_ahead_refuses_tokens_that_others_take() {
    block_on(async {
        let world = World::new(2);
        let network = SimNetwork::perfect(&world);
        let cluster = Cluster::with_network(world, network, 8);
        cluster.world.set_tokens(LIFETIME);
        cluster.world.set_clock_ahead(1, LIFETIME + Duration::from_secs(1));
        let token = token(&cluster).await;
        for id in 0..8 {
            let segment = cluster.segment(id);
            let store = cluster.world.owner(&segment.to_string());
            let mut wire = Wire::open(&cluster, store).await;
            wire.send(set_up(&segment, WRITER, &token)).await;
            assert_eq!(wire.next().await.is_some(), store == 0, "{store}");
        }
    });
}

// Checks, truncation and streams that are created again.

#[test]
fn a_store_checks_the_seal_then_the_number_then_the_offset() {
    block_on(async {
        let cluster = Cluster::new(1);
        let segment = cluster.segment(0);
        let conditional = |number, offset| ConditionalAppend {
            writer_id: WRITER.0,
            event_number: number,
            expected_offset: offset,
            event: Event { data: "event".into() },
            request_id: number,
        };
        let mut stale = Wire::open(&cluster, 0).await;
        stale.set_up(&segment, WRITER).await;
        let mut wire = Wire::open(&cluster, 0).await;
        wire.set_up(&segment, WRITER).await;
        wire.send(conditional(1, 5)).await;
        assert!(matches!(wire.next().await, Some(WireCommand::ConditionalCheckFailed(_))));
        wire.send(conditional(2, 0)).await;
        assert_eq!(acknowledged(wire.next().await), 2);
        // The number and the offset are both wrong.
        stale.send(conditional(2, 0)).await;
        assert!(matches!(stale.next().await, Some(WireCommand::InvalidEventNumber(_))));
        let mut stale = Wire::open(&cluster, 0).await;
        stale.set_up(&segment, WRITER).await;
        wire.send(conditional(3, 13)).await;
        assert_eq!(acknowledged(wire.next().await), 3);
        cluster.world.begin_scale(&cluster.stream, vec![segment.id()], KeyRange::equal(1));
        // The segment is sealed besides.
        stale.send(conditional(3, 13)).await;
        assert!(matches!(stale.next().await, Some(WireCommand::SegmentIsSealed(_))));
    });
}

#[test]
fn a_truncated_stream_begins_at_its_cut_and_the_world_remembers_what_was_before() {
    block_on(async {
        let cluster = Cluster::new(1);
        let world = &cluster.world;
        cluster.fill(["gone", "gone too"]);
        world.begin_scale(&cluster.stream, vec![SegmentId::from(0)], KeyRange::equal(1));
        world.finish_scale();
        let next = world.active_segments(&cluster.stream)[0].id;
        let segment = pravega_sdk_types::ScopedSegment::new(&cluster.stream, next);
        let event = [0, 0, 0, 0, 0, 0, 0, 1, b'x'];
        world.append_raw(&segment, &event);
        world.append_raw(&segment, &event);
        world.truncate(&cluster.stream, &BTreeMap::from([(next, Offset(9))]));
        let head = cluster.controller.head_segments(&cluster.stream).await.unwrap();
        assert_eq!(head, [(next, Offset(9))]);
        let store = world.owner(&segment.to_string());
        let mut wire = Wire::open(&cluster, store).await;
        wire.send(read(&cluster.segment(0), 0, "")).await;
        assert!(matches!(wire.next().await, Some(WireCommand::NoSuchSegment(_))));
        wire.send(read(&segment, 0, "")).await;
        assert!(matches!(wire.next().await, Some(WireCommand::SegmentIsTruncated(_))));
        assert_eq!(cluster.texts(), ["x"]);
        let all = world.all_content(&cluster.stream);
        let places: Vec<_> = all.iter().map(|stored| (stored.segment, stored.offset.0)).collect();
        let first = SegmentId::from(0);
        assert_eq!(places, [(first, 0), (first, 12), (next, 0), (next, 9)]);
        world.truncate_at_tail(&cluster.stream);
        assert!(cluster.texts().is_empty());
    });
}

#[test]
fn a_stream_that_is_created_again_has_other_segments() {
    block_on(async {
        let cluster = Cluster::new(2);
        cluster.fill(["before"]);
        cluster.world.recreate_stream(&cluster.stream, 1);
        let active = cluster.world.active_segments(&cluster.stream);
        assert_eq!(active.iter().map(|segment| segment.id.number().0).collect::<Vec<_>>(), [2]);
        let mut wire = Wire::open(&cluster, 0).await;
        wire.send(set_up(&cluster.segment(0), WRITER, "")).await;
        assert!(matches!(wire.next().await, Some(WireCommand::NoSuchSegment(_))));
        let writer = cluster.writer().await;
        writer.write("k", "after").await.unwrap();
        sleep(Duration::from_secs(1)).await;
        assert_eq!(cluster.texts(), ["after"]);
        assert_eq!(cluster.world.all_content(&cluster.stream).len(), 2);
    });
}
