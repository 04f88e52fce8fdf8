//! What the simulated cluster adds to the server's machine: scales that are half done, commits that
//! are carried out later, leases, placement and outages.

mod common;

use std::time::Duration;

use common::{Cluster, block_on};
use pravega_sdk_controller_client::{Controller as _, PingStatus, TransactionState};
use pravega_sdk_simulation::{SimController, SimNetwork, World};
use pravega_sdk_types::{ErrorKind, KeyRange, Outcome, ScopedSegment, SegmentId};
use tokio::time::sleep;

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
