//! How much of each file can be read, as a start knows it by a checkpoint.

use pravega_sdk_server_core::log::FileNumber;

use super::*;

/// Begins the first life of a folder, in which no file is given up. The first files have bytes of
/// two segments, of one more than half, and the last ones of a third segment only.
fn two_in_each_file(disk: &Arc<dyn Disk>, configure: Configure) -> Life {
    let run = Life::begin_with(configure, Arc::clone(disk), &BTreeMap::new(), 0);
    run.model.state().refuses_own = true;
    let both = (0..60).map(|number| if number % 2 == 0 { (1, 60_000) } else { (2, 40_000) });
    for (segment, len) in both.chain([(3, 90_000); 30]) {
        assert!(run.submit(Change::Append { segment, len, draw: len }));
    }
    run.settle();
    until("the files with them have runs", || {
        let keeper = run.keeping.kept.keeper();
        keeper.index().oldest_in_memory().is_some_and(|file| file > FileNumber(3))
    });
    run
}

#[test]
fn what_is_freed_while_a_checkpoint_is_written_is_free_again_after_a_start_too() {
    let folder = tempfile::tempdir().unwrap();
    let disk: Arc<dyn Disk> = Arc::new(files(folder.path()));
    let checkpoints = CheckpointSettings { tail_len: u64::MAX, ..configure().checkpoints };
    let configure = Configure { checkpoints, ..configure() };
    let run = two_in_each_file(&disk, configure);
    let ((asked, is_asked), (go_on, goes_on)) = (mpsc::channel(), mpsc::channel());
    *run.model.gate.lock().unwrap() = Some((asked, goes_on));
    // Too many keys to note make a checkpoint due.
    run.model.state().coverage = Coverage::Partial;
    assert!(run.submit(Change::Append { segment: 3, len: 10, draw: 1 }));
    is_asked.recv_timeout(Duration::from_secs(60)).unwrap();
    // After it was begun, and before it has the segment.
    assert!(run.submit(Change::Delete { segment: 1 }));
    run.settle();
    go_on.send(()).unwrap();
    let has_checkpoint = |name: &String| CheckpointFile::of_name(name).is_some();
    until("the checkpoint is complete", || names(&*disk).iter().any(has_checkpoint));
    let (history, acknowledged) = run.end();
    let has_first = || names(&*disk).contains(&FileNumber(1).name());
    assert!(has_first());
    let run = Life::begin_with(configure, Arc::clone(&disk), &history, acknowledged);
    assert!(run.checkpoints > 0);
    assert!(run.submit(Change::Delete { segment: 2 }));
    until("nothing in the first file is read", || !has_first());
    run.read_back();
    run.end();
}
