//! Key-value tables.

use std::sync::Arc;

use futures_util::StreamExt as _;
use pravega_sdk_controller_client::{Creation, Deletion, KeyValueTableConfiguration, listing};
use pravega_sdk_integration_tests::harness::{controller, new_scope};
use pravega_sdk_types::{ErrorKind, ScopedKeyValueTable, ScopedSegment};

#[tokio::test]
async fn key_value_tables_are_created_described_listed_and_deleted() {
    let controller = controller().await;
    let scope = new_scope(&controller).await;
    let table = ScopedKeyValueTable::new(scope.clone(), "prices".parse().unwrap());
    // No rollover size: a 0.13.0 server accepts another one and does not return it.
    let configuration = KeyValueTableConfiguration::new(3, 8).with_secondary_key_length(4);
    assert_eq!(
        controller.create_key_value_table(&table, &configuration).await.unwrap(),
        Creation::Created
    );
    assert_eq!(
        controller.create_key_value_table(&table, &configuration).await.unwrap(),
        Creation::AlreadyExisted
    );
    assert_eq!(controller.key_value_table_configuration(&table).await.unwrap(), configuration);
    let segments = controller.key_value_table_segments(&table).await.unwrap();
    assert_eq!(segments.len(), 3);
    let segment = ScopedSegment::new(&table.segment_stream(), segments[0].id);
    assert!(!controller.segment_endpoint(&segment).await.unwrap().is_unspecified());
    let listed: Vec<_> = listing::key_value_tables(Arc::clone(&controller), scope)
        .map(Result::unwrap)
        .collect()
        .await;
    assert_eq!(listed, std::slice::from_ref(&table));
    let none = KeyValueTableConfiguration::new(0, 8).with_secondary_key_length(4);
    let refused = controller.create_key_value_table(&table, &none).await.unwrap_err();
    assert_eq!((refused.kind(), refused.attempts()), (ErrorKind::InvalidArgument, 0));
    assert_eq!(controller.delete_key_value_table(&table).await.unwrap(), Deletion::Deleted);
    assert_eq!(controller.delete_key_value_table(&table).await.unwrap(), Deletion::NotFound);
    assert_eq!(
        controller.key_value_table_configuration(&table).await.unwrap_err().kind(),
        ErrorKind::NotFound
    );
}
