//! Transactions.

use super::{TRANSACTION, check_each_state, info, ranges};
use crate::catalog::id_of;

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
