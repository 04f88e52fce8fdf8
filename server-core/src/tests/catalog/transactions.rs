//! Transactions.

use pravega_sdk_proto::{txn_state::State, txn_status};
use uuid::Uuid;

use super::{
    TRANSACTION, check_each_state, config, info, ranges,
    sizes::{named, with_scope},
};
use crate::{
    catalog::id_of,
    ids::Moment,
    machine::Machine,
    record::Millis,
    store::{MemoryLimit, Progress},
    tests::at,
};

/// Begins a transaction at a time.
fn begin(machine: &mut Machine, now: i64, number: u128) -> Uuid {
    let random = Uuid::from_u128(number << 8);
    let (catalog, mut step) = machine.call(Moment { now: Millis(now), random });
    id_of(catalog.create_transaction(&info(), 20_000, &mut step).unwrap().txn_id)
}

#[test]
fn transactions_that_are_begun_and_aborted_give_their_memory_back_for_good() {
    let mut machine = with_scope();
    let (catalog, mut step) = machine.call(at(1));
    catalog.create_stream(config(2), &mut step).unwrap();
    let before = machine.held();
    machine.memory_limit = MemoryLimit(256 << 10);
    for number in 1..5_000 {
        let id = begin(&mut machine, 2, number);
        let (catalog, mut step) = machine.call(at(2));
        let segment = format!("s/t/0.#epoch.0#transaction.{}", id.simple());
        step.append_internal(&segment.into(), vec![1; 30_000].into(), vec![]).unwrap();
        let aborted = catalog.abort_transaction(&info(), id, &mut step).unwrap();
        assert_eq!(aborted, txn_status::Status::Success);
        machine.journal.take();
    }
    assert!(machine.held() - before <= (256 << 10) / 16 + 1024, "{} bytes", machine.held());
    assert_eq!(
        machine.catalog.transaction_state(&info(), Uuid::from_u128(1 << 7)),
        Ok(State::Unknown)
    );
}

#[test]
fn many_transactions_of_a_sealed_stream_are_aborted_at_once_and_leave_in_slices() {
    let mut machine = with_scope();
    let (catalog, mut step) = machine.call(at(1));
    catalog.create_stream(config(2), &mut step).unwrap();
    let segments = machine.store.segment_count();
    let open: Vec<Uuid> = (1..2_000).map(|number| begin(&mut machine, 2, number)).collect();
    machine.journal.take();
    let (catalog, mut step) = machine.call(at(3));
    catalog.seal_stream(&info(), &mut step).unwrap();
    assert_eq!(step.progress, Progress::Unfinished);
    assert!(machine.store.segment_count() > segments + 1_000, "all are gone at once");
    // After a crash the rest follows.
    let mut again = crate::tests::machine();
    machine.snapshot(|record| again.restore(&record).unwrap());
    for mut machine in [machine, again] {
        for id in &open {
            let (catalog, mut step) = machine.call(at(4));
            assert_eq!(catalog.transaction_state(&info(), *id), Ok(State::Aborted));
            let committed = catalog.commit_transaction(&info(), *id, "", -1, &mut step);
            assert_eq!(committed, Ok(txn_status::Status::Failure));
        }
        let mut slices = 0;
        machine.journal.take();
        while machine.work(at(5)) == Progress::Unfinished {
            slices += 1;
            let records = machine.journal.take().map_or(0, |(_, records)| records.len());
            assert!(records <= 1_000, "{records} records in a slice");
        }
        assert!(slices > 2, "{slices} slices");
        assert_eq!(machine.store.segment_count(), segments);
        assert_eq!(machine.store.held(), machine.store.recount());
    }
}

#[test]
fn large_transactions_that_expire_together_are_aborted_in_slices() {
    let mut machine = with_scope();
    let (catalog, mut step) = machine.call(at(1));
    catalog.create_stream(named("t", 1_500), &mut step).unwrap();
    let open: Vec<Uuid> = (1..8).map(|number| begin(&mut machine, 2, number)).collect();
    while machine.work(at(3)) == Progress::Unfinished {}
    let segments = machine.store.segment_count();
    machine.journal.take();
    machine.tick(at(30_000));
    let mut slices = 0;
    loop {
        let applied = machine.store.applied;
        let progress = machine.work(at(30_000));
        let changes = machine.store.applied - applied;
        assert!(changes <= 600, "{changes} segments in a slice");
        slices += 1;
        if progress == Progress::Finished {
            break;
        }
    }
    assert!(slices > 20, "{slices} slices");
    for id in open {
        assert_eq!(machine.catalog.transaction_state(&info(), id), Ok(State::Aborted));
    }
    assert_eq!(machine.store.segment_count(), segments - 7 * 1_500);
}

#[test]
fn a_transaction_begins_on_the_open_segments() {
    check_each_state(
        r#"
        no scope: NotFound("stream s/t is not found")
        absent: NotFound("stream s/t is not found")
        open: (0, 0.0 0-0.5 | 1.0 0.5-1) => Created, Created, transaction
        scaled: (1, 2.1 0-0.25 | 3.1 0.25-0.5 | 1.1 0.5-1) => Created, Created, Created,
            transaction
        begun: (0, 0.0 0-0.5 | 1.0 0.5-1) => Created, Created, transaction
        committed: (0, 0.0 0-0.5 | 1.0 0.5-1) => Created, Created, transaction
        aborted: (0, 0.0 0-0.5 | 1.0 0.5-1) => Created, Created, transaction
        rolled: (1, 2.1 0-0.25 | 3.1 0.25-0.5 | 1.1 0.5-1) => Created, Created, Created,
            transaction
        truncated: (0, 0.0 0-0.5 | 1.0 0.5-1) => Created, Created, transaction
        sealed: Internal("stream s/t is sealed")
        deleted: NotFound("stream s/t is not found")
        recreated: (0, 2.0 0-1) => Created, transaction
        full: ResourceExhausted("FULL")
        failed: Unavailable("FAILED")
    "#,
        |catalog, step| {
            let begun = catalog.create_transaction(&info(), 20_000, step)?;
            Ok((id_of(begun.txn_id).as_u64_pair().0 >> 32, ranges(&begun.active_segments)))
        },
    );
}

#[test]
fn a_transaction_with_too_short_or_too_long_a_lease_is_refused() {
    check_each_state(
        r#"
        no scope: Unknown("the lease of 9999 ms is not within 10000 to 600000 ms")
        absent: Unknown("the lease of 9999 ms is not within 10000 to 600000 ms")
        open: Unknown("the lease of 9999 ms is not within 10000 to 600000 ms")
        scaled: Unknown("the lease of 9999 ms is not within 10000 to 600000 ms")
        begun: Unknown("the lease of 9999 ms is not within 10000 to 600000 ms")
        committed: Unknown("the lease of 9999 ms is not within 10000 to 600000 ms")
        aborted: Unknown("the lease of 9999 ms is not within 10000 to 600000 ms")
        rolled: Unknown("the lease of 9999 ms is not within 10000 to 600000 ms")
        truncated: Unknown("the lease of 9999 ms is not within 10000 to 600000 ms")
        sealed: Unknown("the lease of 9999 ms is not within 10000 to 600000 ms")
        deleted: Unknown("the lease of 9999 ms is not within 10000 to 600000 ms")
        recreated: Unknown("the lease of 9999 ms is not within 10000 to 600000 ms")
        full: Unknown("the lease of 9999 ms is not within 10000 to 600000 ms")
        failed: Unknown("the lease of 9999 ms is not within 10000 to 600000 ms")
    "#,
        |catalog, step| catalog.create_transaction(&info(), 9_999, step),
    );
    check_each_state(
        r#"
        no scope: Unknown("the lease of 600001 ms is not within 10000 to 600000 ms")
        absent: Unknown("the lease of 600001 ms is not within 10000 to 600000 ms")
        open: Unknown("the lease of 600001 ms is not within 10000 to 600000 ms")
        scaled: Unknown("the lease of 600001 ms is not within 10000 to 600000 ms")
        begun: Unknown("the lease of 600001 ms is not within 10000 to 600000 ms")
        committed: Unknown("the lease of 600001 ms is not within 10000 to 600000 ms")
        aborted: Unknown("the lease of 600001 ms is not within 10000 to 600000 ms")
        rolled: Unknown("the lease of 600001 ms is not within 10000 to 600000 ms")
        truncated: Unknown("the lease of 600001 ms is not within 10000 to 600000 ms")
        sealed: Unknown("the lease of 600001 ms is not within 10000 to 600000 ms")
        deleted: Unknown("the lease of 600001 ms is not within 10000 to 600000 ms")
        recreated: Unknown("the lease of 600001 ms is not within 10000 to 600000 ms")
        full: Unknown("the lease of 600001 ms is not within 10000 to 600000 ms")
        failed: Unknown("the lease of 600001 ms is not within 10000 to 600000 ms")
    "#,
        |catalog, step| catalog.create_transaction(&info(), 600_001, step),
    );
}

#[test]
fn a_ping_prolongs_an_open_transaction() {
    check_each_state(
        r#"
        no scope: Unknown
        absent: Unknown
        open: Unknown
        scaled: Unknown
        begun: Ok => transaction
        committed: Committed
        aborted: Aborted
        rolled: Committed
        truncated: Unknown
        sealed: Unknown
        deleted: Unknown
        recreated: Unknown
        full: Unknown
        failed: Unavailable("FAILED")
    "#,
        |catalog, step| catalog.ping_transaction(&info(), TRANSACTION, 20_000, step),
    );
}

#[test]
fn a_ping_with_too_long_a_lease_is_refused() {
    check_each_state(
        r#"
        no scope: Unknown
        absent: Unknown
        open: Unknown
        scaled: Unknown
        begun: LeaseTooLarge
        committed: Committed
        aborted: Aborted
        rolled: Committed
        truncated: Unknown
        sealed: Unknown
        deleted: Unknown
        recreated: Unknown
        full: Unknown
        failed: Unavailable("FAILED")
    "#,
        |catalog, step| catalog.ping_transaction(&info(), TRANSACTION, 600_001, step),
    );
}

#[test]
fn the_state_of_a_transaction_is_returned() {
    check_each_state(
        r#"
        no scope: NotFound("stream s/t is not found")
        absent: NotFound("stream s/t is not found")
        open: Unknown
        scaled: Unknown
        begun: Open
        committed: Committed
        aborted: Aborted
        rolled: Committed
        truncated: Unknown
        sealed: Unknown
        deleted: NotFound("stream s/t is not found")
        recreated: Unknown
        full: Unknown
        failed: Unknown
    "#,
        |catalog, _| catalog.transaction_state(&info(), TRANSACTION),
    );
}

#[test]
fn an_open_transaction_is_committed_and_the_stream_has_its_events() {
    check_each_state(
        "
        no scope: (Failure, 0)
        absent: (Failure, 0)
        open: (Failure, 0)
        scaled: (Failure, 0)
        begun: (Success, 3) => Merged, Merged, writer, transaction
        committed: (Success, 3)
        aborted: (Failure, 0)
        rolled: (Success, 0)
        truncated: (Failure, 0)
        sealed: (Failure, 0)
        deleted: (Failure, 0)
        recreated: (Failure, 0)
        full: (Failure, 0)
        failed: (Failure, 0)
    ",
        |catalog, step| {
            let status = catalog.commit_transaction(&info(), TRANSACTION, "w", 3, step)?;
            Ok((status, step.store.info("s/t/1.#epoch.0").map_or(0, |info| info.len)))
        },
    );
}

#[test]
fn an_open_transaction_is_aborted() {
    check_each_state(
        r#"
        no scope: Failure
        absent: Failure
        open: Failure
        scaled: Failure
        begun: Success => Deleted, Deleted, transaction
        committed: Failure
        aborted: Success
        rolled: Failure
        truncated: Failure
        sealed: Failure
        deleted: Failure
        recreated: Failure
        full: Failure
        failed: Unavailable("FAILED")
    "#,
        |catalog, step| catalog.abort_transaction(&info(), TRANSACTION, step),
    );
}

#[test]
fn completed_transactions_are_listed() {
    check_each_state(
        r#"
        no scope: NotFound("stream s/t is not found")
        absent: NotFound("stream s/t is not found")
        open: []
        scaled: []
        begun: []
        committed: [Committed]
        aborted: [Aborted]
        rolled: [Committed]
        truncated: []
        sealed: []
        deleted: NotFound("stream s/t is not found")
        recreated: []
        full: []
        failed: []
    "#,
        |catalog, _| {
            let found = catalog.completed_transactions(&info())?;
            Ok(found.response.iter().map(|entry| entry.status()).collect::<Vec<_>>())
        },
    );
}
