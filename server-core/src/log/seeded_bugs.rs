//! Broken variants of the log and of its owner, which their tests must catch. They exist only in
//! tests.

/// A broken variant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(not(test), allow(dead_code, reason = "only tests choose one"))]
pub(crate) enum Bug {
    /// A frame is acknowledged after its write, without a sync.
    SkipsSync,
    /// What a write without space left in the file is not cut off.
    KeepsRefused,
    /// It is cut off, but the cut is not synced before the batches are refused.
    CutsUnsynced,
    /// A file is used before its head and its name are durable.
    UsesUnprepared,
    /// A recovery does not check that a file continues the one before it.
    IgnoresBegun,
    /// A checkpoint is complete before the log has the batches whose changes it has.
    SkipsWaitForLog,
    /// A checkpoint goes on after batches whose changes it has were refused.
    KeepsAborted,
    /// A recovery does not look at the mark.
    IgnoresMark,
    /// A recovery cuts the end of a file off though frames follow.
    IgnoresLaterFrames,
    /// A recovery does not check the folder of a file.
    IgnoresFolder,
    /// What a recovery read is not written again, though its sync may have failed.
    TrustsCache,
    /// A file that bytes were moved to is used though it was not synced.
    MovesUnsynced,
    /// A recovery takes the zeros at the end of a file for a torn write.
    RefusesZeros,
    /// Bytes of a segment that was merged are judged by that segment alone.
    JudgesOwnOnly,
    /// The number of a segment that is gone is given again after a restart.
    ReusesNumbers,
    /// A checkpoint does not have the parts of segments that were merged since the one before.
    ForgetsParts,
    /// A server that was restored does not know what changed since the checkpoint.
    ForgetsRecovered,
}

#[cfg(test)]
thread_local! {
    static ACTIVE: std::cell::Cell<Option<Bug>> = const { std::cell::Cell::new(None) };
}

/// Runs a test with a bug.
#[cfg(test)]
pub(crate) fn with<T>(bug: Bug, test: impl FnOnce() -> T) -> T {
    /// Ends the bug, also after a panic.
    struct End;
    impl Drop for End {
        fn drop(&mut self) {
            ACTIVE.set(None);
        }
    }
    let _end = End;
    ACTIVE.set(Some(bug));
    test()
}

/// Returns true if the bug is active.
pub(crate) fn has(bug: Bug) -> bool {
    #[cfg(test)]
    return ACTIVE.get() == Some(bug);
    #[cfg(not(test))]
    {
        let _ = bug;
        false
    }
}
