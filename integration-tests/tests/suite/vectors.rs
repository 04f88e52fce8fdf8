//! Every golden line passes.

use std::path::Path;

use pravega_sdk_integration_tests::vectors::check_folder;

#[test]
fn every_golden_line_holds() {
    let report = check_folder(&Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors")).unwrap();
    assert!(report.failures.is_empty(), "{:#?}", report.failures);
    assert_eq!(report.files["wire-commands.jsonl"], 615);
    assert_eq!(report.files["append-sequences.jsonl"], 14);
    assert_eq!(report.files["decode-compat.jsonl"], 57);
    assert_eq!(report.files["decode-reject.jsonl"], 22);
    assert!(report.unread.is_empty(), "no check reads {:#?}", report.unread);
    assert!(report.uncovered.is_empty(), "{:#?}", report.uncovered);
}
