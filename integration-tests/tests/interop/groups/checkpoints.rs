//! Checkpoints of one client to which the other goes back.

use std::collections::BTreeSet;

use pravega_sdk_integration_tests::harness::eventually;

use super::{
    log::{Ending, Read, each_once},
    member::{Client, Member},
    mixed::{Mixed, logs_of},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_checkpoint_of_each_client_divides_the_events_and_the_other_goes_back_to_it() {
    let mixed = Mixed::new(4, None).await;
    // The events before the checkpoint at which the group began last.
    let mut settled = BTreeSet::new();
    for maker in [Client::Rust, Client::Java] {
        let members = mixed.join_both(&format!("before-{maker:?}")).await;
        mixed.share(4).await;
        mixed.write(50).await;
        let logs = logs_of(&members);
        mixed.all_are_read(&logs, &settled).await;
        let name = format!("of-{maker:?}");
        let (checkpoint, ()) =
            tokio::join!(mixed.checkpoint(maker, &name), mixed.write_one_by_one(100));
        mixed.write(100).await;
        mixed.all_are_read(&logs, &settled).await;

        let cut = checkpoint.cut(&mixed.stream).unwrap();
        assert_eq!((checkpoint.name(), cut.positions().len()), (name.as_str(), 4));
        for Member { id, log, .. } in &members {
            let (before, after) = log.around(&name);
            assert!(!before.is_empty() && !after.is_empty(), "{id} has read on both sides");
            let is_before = |read: &Read| read.offset() < cut.offset(read.segment().id()).unwrap();
            assert!(before.iter().all(is_before), "{id} has read beyond the checkpoint");
            assert!(!after.iter().any(is_before), "{id} has not read up to the checkpoint");
            let before = each_once(&before);
            assert!(settled.is_disjoint(&before));
            settled.extend(before);
        }

        mixed.reset(maker.other(), &checkpoint).await;
        for member in members {
            eventually("the reader is out of the group", async || {
                member.log.ending() == Some(Ending::Removed)
            })
            .await;
        }
    }
    // What was after the last checkpoint is read again, and nothing else.
    let members = mixed.join_both("last").await;
    mixed.all_are_read(&logs_of(&members), &settled).await;
}
