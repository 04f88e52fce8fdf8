//! Merges of segments.

use pravega_sdk_wire_protocol::{AttributeUpdate, commands::*};
use uuid::Uuid;

use super::{ATTRIBUTE, OTHER, SEGMENT, check_each_state, machine_in, send};

fn merge(
    target: &'static str,
    source: &'static str,
    updates: Vec<AttributeUpdate>,
) -> MergeSegments {
    MergeSegments {
        request_id: 9,
        target: target.into(),
        source: source.into(),
        delegation_token: "".into(),
        attribute_updates: updates,
    }
}

#[test]
fn a_source_is_merged_and_then_known_as_merged() {
    check_each_state(
        merge(OTHER, SEGMENT, vec![]),
        r#"
        absent: NoSuchSegment { segment: SEGMENT, offset: -1 }
        empty: SegmentsMerged { target: OTHER, source: SEGMENT, new_target_write_offset: 3 } =>
            Merged
        bytes: SegmentsMerged { target: OTHER, source: SEGMENT, new_target_write_offset: 13 } =>
            Merged
        truncated: SegmentsMerged { target: OTHER, source: SEGMENT, new_target_write_offset: 9 } =>
            Merged
        sealed: SegmentsMerged { target: OTHER, source: SEGMENT, new_target_write_offset: 13 } =>
            Merged
        deleted: NoSuchSegment { segment: SEGMENT, offset: -1 }
        merged: SegmentsMerged { target: OTHER, source: SEGMENT, new_target_write_offset: 13 }
        table: closed: only two segments of streams are merged
        fixed: closed: only two segments of streams are merged
        full: SegmentsMerged { target: OTHER, source: SEGMENT, new_target_write_offset: 13 } =>
            Merged
        failed: ErrorMessage { segment: OTHER, message: "FAILED", error_code: Unspecified }
    "#,
    );
}

#[test]
fn a_target_takes_a_merge_unless_it_is_sealed() {
    check_each_state(
        merge(SEGMENT, OTHER, vec![]),
        r#"
        absent: NoSuchSegment { segment: OTHER, offset: -1 }
        empty: SegmentsMerged { target: SEGMENT, source: OTHER, new_target_write_offset: 3 } =>
            Merged
        bytes: SegmentsMerged { target: SEGMENT, source: OTHER, new_target_write_offset: 13 } =>
            Merged
        truncated: SegmentsMerged { target: SEGMENT, source: OTHER, new_target_write_offset: 13 }
            => Merged
        sealed: SegmentIsSealed { segment: SEGMENT, offset: -1 }
        deleted: NoSuchSegment { segment: OTHER, offset: -1 }
        merged: NoSuchSegment { segment: OTHER, offset: -1 }
        table: closed: only two segments of streams are merged
        fixed: closed: only two segments of streams are merged
        full: SegmentsMerged { target: SEGMENT, source: OTHER, new_target_write_offset: 13 } =>
            Merged
        failed: ErrorMessage { segment: SEGMENT, message: "FAILED", error_code: Unspecified }
    "#,
    );
}

#[test]
fn a_segment_is_not_merged_into_itself() {
    check_each_state(
        merge(SEGMENT, SEGMENT, vec![]),
        r#"
        absent: NoSuchSegment { segment: SEGMENT, offset: -1 }
        empty: closed: only two segments of streams are merged
        bytes: closed: only two segments of streams are merged
        truncated: closed: only two segments of streams are merged
        sealed: closed: only two segments of streams are merged
        deleted: NoSuchSegment { segment: SEGMENT, offset: -1 }
        merged: NoSuchSegment { segment: SEGMENT, offset: -1 }
        table: closed: only two segments of streams are merged
        fixed: closed: only two segments of streams are merged
        full: closed: only two segments of streams are merged
        failed: ErrorMessage { segment: SEGMENT, message: "FAILED", error_code: Unspecified }
    "#,
    );
}

/// What an update of an attribute of a merge's target makes of the value 5, and of none.
#[test]
fn a_merge_updates_attributes_by_kind_or_not_at_all() {
    /// An update, and its result where the attribute is 5 and where it is missing; `None` where
    /// the update does not match.
    struct Row(AttributeUpdate, Option<i64>, Option<i64>);
    let row = |kind, new_value, old_value, of_five, of_none| {
        let attribute_id = ATTRIBUTE;
        let update =
            AttributeUpdate { attribute_id, attribute_update_type: kind, new_value, old_value };
        Row(update, of_five, of_none)
    };
    let rows = [
        row(0, 9, 0, None, Some(9)),
        row(1, 9, 0, Some(9), Some(9)),
        row(1, 2, 0, Some(2), Some(2)),
        row(2, 9, 0, Some(9), Some(9)),
        row(2, 5, 0, None, Some(5)),
        row(2, 2, 0, None, Some(2)),
        row(3, 9, 0, Some(14), Some(9)),
        row(4, 9, 5, Some(9), None),
        row(4, 9, 4, None, None),
        row(4, 9, i64::MIN, None, Some(9)),
        row(5, 9, 5, None, None),
    ];
    for Row(update, of_five, of_none) in rows {
        for (attribute_id, expected) in [(ATTRIBUTE, of_five), (Uuid::from_u128(77), of_none)] {
            let update = AttributeUpdate { attribute_id, ..update.clone() };
            let row = format!("{update:?}");
            let mut machine = machine_in("bytes");
            let reply = send(&mut machine, vec![merge(SEGMENT, OTHER, vec![update]).into()]);
            match expected {
                Some(value) => {
                    let found = machine.store.attribute(SEGMENT, attribute_id);
                    assert_eq!(found, Ok(Some(value)), "{row}");
                }
                None => assert_eq!(reply, "SegmentAttributeUpdated { success: false }", "{row}"),
            }
        }
    }
}

#[test]
fn a_batch_of_merges_passes_over_sources_that_are_missing() {
    let command = MergeSegmentsBatch {
        request_id: 9,
        target_segment_id: OTHER.into(),
        source_segment_ids: vec![SEGMENT.into(), "s/t/5.#epoch.0".into()],
        delegation_token: "".into(),
    };
    check_each_state(
        command,
        r#"
        absent: SegmentsBatchMerged { target: OTHER, merged: [MergedSegment { source: SEGMENT,
            new_target_write_offset: 3 }, MergedSegment { source: "s/t/5.#epoch.0",
            new_target_write_offset: 3 }] }
        empty: SegmentsBatchMerged { target: OTHER, merged: [MergedSegment { source: SEGMENT,
            new_target_write_offset: 3 }, MergedSegment { source: "s/t/5.#epoch.0",
            new_target_write_offset: 3 }] } => Merged
        bytes: SegmentsBatchMerged { target: OTHER, merged: [MergedSegment { source: SEGMENT,
            new_target_write_offset: 13 }, MergedSegment { source: "s/t/5.#epoch.0",
            new_target_write_offset: 13 }] } => Merged
        truncated: SegmentsBatchMerged { target: OTHER, merged: [MergedSegment { source: SEGMENT,
            new_target_write_offset: 9 }, MergedSegment { source: "s/t/5.#epoch.0",
            new_target_write_offset: 9 }] } => Merged
        sealed: SegmentsBatchMerged { target: OTHER, merged: [MergedSegment { source: SEGMENT,
            new_target_write_offset: 13 }, MergedSegment { source: "s/t/5.#epoch.0",
            new_target_write_offset: 13 }] } => Merged
        deleted: SegmentsBatchMerged { target: OTHER, merged: [MergedSegment { source: SEGMENT,
            new_target_write_offset: 3 }, MergedSegment { source: "s/t/5.#epoch.0",
            new_target_write_offset: 3 }] }
        merged: SegmentsBatchMerged { target: OTHER, merged: [MergedSegment { source: SEGMENT,
            new_target_write_offset: 13 }, MergedSegment { source: "s/t/5.#epoch.0",
            new_target_write_offset: 13 }] }
        table: closed: only two segments of streams are merged
        fixed: closed: only two segments of streams are merged
        full: SegmentsBatchMerged { target: OTHER, merged: [MergedSegment { source: SEGMENT,
            new_target_write_offset: 13 }, MergedSegment { source: "s/t/5.#epoch.0",
            new_target_write_offset: 13 }] } => Merged
        failed: ErrorMessage { segment: OTHER, message: "FAILED", error_code: Unspecified }
    "#,
    );
}
