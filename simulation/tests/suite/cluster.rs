//! What the simulated cluster adds to the server's machine: scales that are half done, commits that
//! are carried out later, leases, placement and outages.

use std::time::Duration;

use pravega_sdk_controller_client::{
    Controller as _, ControllerError, Creation, CutRange, Deletion, PingStatus, ScaleStart,
    ScaleState, TransactionState,
};
use pravega_sdk_simulation::{SimController, SimNetwork, World};
use pravega_sdk_types::{
    BoundedCut, ErrorKind, KeyRange, Outcome, ScalingPolicy, ScopedSegment, ScopedStream,
    SegmentId, StreamConfiguration, StreamCut,
};
use tokio::time::{Instant, sleep};

use crate::common::{Cluster, block_on};

const LEASE: Duration = Duration::from_secs(10);
/// Longer than any commit takes to be carried out.
const LATER: Duration = Duration::from_secs(2);

#[test]
fn a_scale_that_is_half_done_has_sealed_segments_without_successors() {
    block_on(async {
        let Cluster { world, controller, stream, .. } = Cluster::new(2);
        let segment = ScopedSegment::new(&stream, SegmentId::from(0));
        world.begin_scale(&stream, vec![segment.id()], KeyRange::equal(4)[..2].to_vec());
        assert_eq!(controller.successors(&segment).await.unwrap(), []);
        assert_eq!(controller.current_segments(&stream).await.unwrap().len(), 2);
        world.finish_scale();
        assert_eq!(controller.successors(&segment).await.unwrap().len(), 2);
        assert_eq!(controller.current_segments(&stream).await.unwrap().len(), 3);
        assert_eq!(world.counters()["scale"], 1);
    });
}

#[test]
fn a_commit_that_is_accepted_during_a_scale_is_carried_out_after_it() {
    block_on(async {
        let Cluster { world, controller, stream, .. } = Cluster::new(1);
        let id = controller.create_transaction(&stream, LEASE).await.unwrap().id;
        world.begin_scale(&stream, vec![SegmentId::from(0)], KeyRange::equal(2));
        controller.commit_transaction(&stream, id, None).await.unwrap();
        // An accepted commit outlives its lease.
        sleep(LEASE * 2).await;
        let state = controller.transaction_state(&stream, id).await.unwrap();
        assert_eq!(state, TransactionState::Committing);
        let ping = controller.ping_transaction(&stream, id, LEASE).await.unwrap();
        assert_eq!(ping, PingStatus::Committed);
        world.finish_scale();
        let state = controller.transaction_state(&stream, id).await.unwrap();
        assert_eq!(state, TransactionState::Committed);
        let epochs: Vec<i32> =
            world.active_segments(&stream).iter().map(|segment| segment.id.epoch().0).collect();
        assert_eq!(epochs, [3, 3], "a scale and the two epochs of a rolling commit");
        assert_eq!(world.counters()["rolling commit"], 1);
    });
}

#[test]
fn a_commit_is_accepted_first_and_carried_out_later() {
    block_on(async {
        let Cluster { controller, stream, .. } = Cluster::new(1);
        let id = controller.create_transaction(&stream, LEASE).await.unwrap().id;
        controller.commit_transaction(&stream, id, None).await.unwrap();
        let refused = controller.abort_transaction(&stream, id).await.unwrap_err();
        assert_eq!(
            (refused.kind(), refused.outcome()),
            (ErrorKind::ConditionFailed, Outcome::NotApplied)
        );
        sleep(LATER).await;
        let state = controller.transaction_state(&stream, id).await.unwrap();
        assert_eq!(state, TransactionState::Committed);
        // A repeated commit changes nothing.
        controller.commit_transaction(&stream, id, None).await.unwrap();
    });
}

#[test]
fn a_transaction_without_pings_is_aborted_when_its_lease_ends() {
    block_on(async {
        let Cluster { world, controller, stream, .. } = Cluster::new(1);
        let id = controller.create_transaction(&stream, LEASE).await.unwrap().id;
        sleep(LEASE / 2).await;
        let ping = controller.ping_transaction(&stream, id, LEASE).await.unwrap();
        assert_eq!(ping, PingStatus::Open);
        sleep(LEASE / 2 + LEASE / 4).await;
        let open = controller.transaction_state(&stream, id).await.unwrap();
        assert_eq!(open, TransactionState::Open, "the ping extended the lease");
        sleep(LEASE / 2).await;
        let ping = controller.ping_transaction(&stream, id, LEASE).await.unwrap();
        assert_eq!(ping, PingStatus::Aborted);
        assert_eq!(world.counters()["lease ran out"], 1);
        assert!((LEASE / 2..LEASE).contains(&world.longest_ping_gap()));
    });
}

#[test]
fn a_lost_answer_leaves_the_request_carried_out_or_late() {
    block_on(async {
        let Cluster { world, controller, stream, .. } = Cluster::new(1);
        let id = controller.create_transaction(&stream, LEASE).await.unwrap().id;
        world.set_lost_answers(100);
        let lost = controller.commit_transaction(&stream, id, None).await.unwrap_err();
        assert_eq!((lost.kind(), lost.outcome()), (ErrorKind::Unavailable, Outcome::Unknown));
        sleep(LATER).await;
        assert_eq!(world.transaction_states()[&id], TransactionState::Committed);
    });
}

#[test]
fn a_call_fails_while_the_controller_is_away_and_changes_nothing() {
    block_on(async {
        let Cluster { world, controller, stream, .. } = Cluster::new(1);
        world.set_controller_away(true);
        let error = controller.create_transaction(&stream, LEASE).await.unwrap_err();
        assert_eq!((error.kind(), error.outcome()), (ErrorKind::Unavailable, Outcome::Unknown));
        assert!(world.transaction_states().is_empty());
        world.set_controller_away(false);
        controller.create_transaction(&stream, LEASE).await.unwrap();
    });
}

#[test]
fn a_moved_segment_is_written_and_read_on_its_new_store() {
    block_on(async {
        let world = World::new(3);
        let network = SimNetwork::perfect(&world);
        let cluster = Cluster::with_network(world, network, 1);
        let Cluster { world, stream, .. } = &cluster;
        let segment = ScopedSegment::new(stream, SegmentId::from(0));
        let writer = cluster.writer().await;
        writer.write("k", "before").await.unwrap();
        let store = (world.owner(&segment.to_string()) + 1) % 3;
        world.move_segment(&segment, store);
        writer.write("k", "after").await.unwrap();
        assert_eq!(cluster.texts(), ["before", "after"]);
        assert_eq!(world.owner(&segment.to_string()), store);
        assert_eq!((world.counters()["WrongHost"], cluster.network.links()), (1, 2));
    });
}

#[test]
fn the_ids_of_a_cluster_follow_from_its_seed() {
    let id = |seed| {
        block_on(async {
            let world = World::with_seed(1, seed);
            let stream = "sim/stream".parse().unwrap();
            world.create_stream(&stream, 1);
            let controller = SimController::new(&world, 1, Duration::ZERO);
            controller.create_transaction(&stream, LEASE).await.unwrap().id
        })
    };
    assert_eq!(id(1), id(1));
    assert_ne!(id(1), id(2));
}

#[test]
fn a_stale_answer_is_that_of_before_a_move_or_a_scale() {
    block_on(async {
        let world = World::new(2);
        let network = SimNetwork::perfect(&world);
        let Cluster { world, controller, stream, .. } = Cluster::with_network(world, network, 1);
        let segment = ScopedSegment::new(&stream, SegmentId::from(0));
        let ask = async || {
            let endpoint = controller.segment_endpoint(&segment).await.unwrap();
            let current = controller.current_segments(&stream).await.unwrap();
            (endpoint, current, controller.successors(&segment).await.unwrap())
        };
        let before = ask().await;
        world.set_stale_answers(100);
        world.move_segment(&segment, 1 - world.owner(&segment.to_string()));
        world.begin_scale(&stream, vec![segment.id()], KeyRange::equal(2));
        world.finish_scale();
        assert_eq!(ask().await, before);
        world.set_stale_answers(50);
        // It now knows the move and the scale, and no later change.
        let between = ask().await;
        assert!(between != before && between.2.len() == 2);
        world.seal_stream(&stream);
        let mut current = Vec::new();
        for _ in 0..50 {
            current.push(controller.current_segments(&stream).await.unwrap().len());
        }
        assert!(current.contains(&0) && current.contains(&2), "{current:?}");
        world.set_stale_answers(0);
        assert_eq!(controller.current_segments(&stream).await.unwrap(), []);
    });
}

#[test]
fn a_call_without_an_answer_ends_after_its_deadline_or_when_it_is_answered() {
    block_on(async {
        let Cluster { world, controller, stream, .. } = Cluster::new(1);
        world.leave_unanswered(|call| call == "current_segments");
        assert!(controller.head_segments(&stream).await.is_ok());
        let started = Instant::now();
        let error = controller.current_segments(&stream).await.unwrap_err();
        assert_eq!((error.kind(), error.outcome()), (ErrorKind::Timeout, Outcome::Unknown));
        assert_eq!(started.elapsed().as_secs(), 30);
        let answered = async {
            sleep(Duration::from_secs(5)).await;
            world.answer_calls();
        };
        let (segments, ()) = tokio::join!(controller.current_segments(&stream), answered);
        assert_eq!(segments.unwrap().len(), 1);
    });
}

#[test]
fn a_call_that_changes_something_takes_effect_also_if_its_answer_is_lost() {
    block_on(async {
        let Cluster { world, controller, stream, .. } = Cluster::new(1);
        let lost = |error: ControllerError| {
            assert_eq!((error.kind(), error.outcome()), (ErrorKind::Unavailable, Outcome::Unknown));
        };
        let other: ScopedStream = "sim/other".parse().unwrap();
        let fixed = StreamConfiguration::default().with_scaling(ScalingPolicy::fixed(2));
        world.set_lost_answers(100);
        lost(controller.create_stream(&other, &fixed).await.unwrap_err());
        lost(
            controller
                .scale(&stream, &[SegmentId::from(0)], &KeyRange::equal(2))
                .await
                .unwrap_err(),
        );
        lost(controller.truncate_stream(&tail(&world, &stream)).await.unwrap_err());
        lost(controller.seal_stream(&stream).await.unwrap_err());
        lost(controller.create_scope(&"new".parse().unwrap()).await.unwrap_err());
        // Queries have their answers.
        assert_eq!(controller.current_segments(&other).await.unwrap().len(), 2);
        let head = controller.head_segments(&stream).await.unwrap();
        assert!(head.iter().all(|(id, _)| id.epoch().0 == 1), "{head:?}");
        assert!(controller.current_segments(&stream).await.unwrap().is_empty());
        assert!(controller.scope_exists(&"new".parse().unwrap()).await.unwrap());
        lost(controller.delete_stream(&stream).await.unwrap_err());
        assert!(!controller.stream_exists(&stream).await.unwrap());
    });
}

#[test]
fn a_stream_is_sealed_after_the_scale_and_the_commits_under_way() {
    block_on(async {
        let Cluster { world, controller, stream, .. } = Cluster::new(1);
        let id = controller.create_transaction(&stream, LEASE).await.unwrap().id;
        world.begin_scale(&stream, vec![SegmentId::from(0)], KeyRange::equal(2));
        controller.commit_transaction(&stream, id, None).await.unwrap();
        controller.seal_stream(&stream).await.unwrap();
        let state = controller.transaction_state(&stream, id).await.unwrap();
        assert_eq!(state, TransactionState::Committed);
        sleep(LATER).await;
        assert_eq!(world.counters()["scale"], 1);
        assert_eq!(controller.delete_stream(&stream).await.unwrap(), Deletion::Deleted);
    });
}

#[test]
fn the_controller_serves_the_life_of_a_stream() {
    block_on(async {
        let Cluster { world, controller, .. } = Cluster::new(1);
        let stream: ScopedStream = "new/stream".parse().unwrap();
        let fixed =
            |segments| StreamConfiguration::default().with_scaling(ScalingPolicy::fixed(segments));
        let missing = controller.create_stream(&stream, &fixed(1)).await.unwrap_err();
        assert_eq!(missing.kind(), ErrorKind::NotFound);
        let scope = stream.scope();
        assert_eq!(controller.create_scope(scope).await.unwrap(), Creation::Created);
        assert_eq!(controller.create_scope(scope).await.unwrap(), Creation::AlreadyExisted);
        let created = controller.create_stream(&stream, &fixed(1)).await.unwrap();
        assert_eq!(created, Creation::Created);
        assert_eq!(controller.stream_configuration(&stream).await.unwrap(), fixed(1));
        let head = tail(&world, &stream);
        controller.update_stream(&stream, &fixed(2)).await.unwrap();
        let segments = controller.current_segments(&stream).await.unwrap();
        assert_eq!(segments.len(), 2);
        let range = CutRange::new(head.clone(), StreamCut::Unbounded);
        let between = controller.segments_between(&stream, &range).await.unwrap();
        assert_eq!(between.len(), 3);
        let ids: Vec<_> = segments.iter().map(|segment| segment.id).collect();
        let started = controller.scale(&stream, &ids, &KeyRange::equal(2)).await.unwrap();
        let ScaleStart::Started { epoch, segments } = started else { panic!("{started:?}") };
        assert_eq!(controller.scale_state(&stream, epoch).await.unwrap(), ScaleState::Done);
        let again = controller.scale(&stream, &ids, &KeyRange::equal(2)).await.unwrap();
        assert_eq!(again, ScaleStart::PreconditionFailed);
        let open = ScopedSegment::new(&stream, segments[0].id);
        assert!(controller.is_segment_open(&open).await.unwrap());
        let sealed = ScopedSegment::new(&stream, ids[0]);
        assert!(!controller.is_segment_open(&sealed).await.unwrap());
        let cut = tail(&world, &stream);
        assert!(controller.is_stream_cut_valid(&cut).await.unwrap());
        controller.truncate_stream(&cut).await.unwrap();
        let refused = controller.truncate_stream(&head).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::InvalidStreamCut);
        let refused = controller.delete_stream(&stream).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::NotSealed);
        controller.seal_stream(&stream).await.unwrap();
        assert_eq!(controller.delete_stream(&stream).await.unwrap(), Deletion::Deleted);
        assert_eq!(controller.delete_stream(&stream).await.unwrap(), Deletion::NotFound);
        assert_eq!(controller.delete_scope(scope).await.unwrap(), Deletion::Deleted);
        assert!(!controller.scope_exists(scope).await.unwrap());
    });
}

/// The tail of a stream as a cut.
fn tail(world: &World, stream: &ScopedStream) -> BoundedCut {
    BoundedCut::new(stream.clone(), world.tail(stream)).unwrap()
}
