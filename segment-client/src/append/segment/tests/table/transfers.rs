//! Large events, through a transient segment.

use super::{Event::*, Stage::*, check, on};

#[test]
fn a_large_event_begins_with_a_transient_segment() {
    let rows = [
        on(Push).sends("CreateTransientSegment"),
        on(Attach).to(ToSetUp).sends("SetupAppend"),
        on(Detach).to(Detached),
        on(TakeItems).to(Detached),
        on(FailAll).to(Detached).done("0 Timeout NotApplied, 1 Timeout NotApplied"),
        on(SetUpNone).replies("Protocol").sends("CreateTransientSegment"),
        on(SetUpOne).replies("Protocol").sends("CreateTransientSegment"),
        on(SetUpUnsent).replies("Protocol").sends("CreateTransientSegment"),
        on(SetUpOfOtherWriter).replies("Protocol").sends("CreateTransientSegment"),
        on(AckOne).replies("Protocol").sends("CreateTransientSegment"),
        on(AckUnsent).replies("Protocol").sends("CreateTransientSegment"),
        on(AckOfOtherWriter).replies("Protocol").sends("CreateTransientSegment"),
        on(ConditionFailed).replies("Protocol").sends("CreateTransientSegment"),
        on(ConditionFailedUnsent).replies("Protocol").sends("CreateTransientSegment"),
        on(WrongStore).replies("WrongHost").sends("CreateTransientSegment"),
        on(TokenExpired).replies("TokenExpired").sends("CreateTransientSegment"),
        on(TokenRefused).replies("Refused PermissionDenied").sends("CreateTransientSegment"),
        on(Unsupported)
            .replies("Progress")
            .to(Idle)
            .done("0 Unsupported NotApplied")
            .sends("AppendBlockEnd"),
        on(IllegalArgument).replies("Refused InvalidArgument").sends("CreateTransientSegment"),
        on(Failure).replies("Protocol").sends("CreateTransientSegment"),
        on(Full).replies("OutOfSpace").sends("CreateTransientSegment"),
        on(Sealed).replies("Sealed").sends("CreateTransientSegment"),
        on(Missing).replies("Missing").sends("CreateTransientSegment"),
        on(InvalidNumber).replies("Protocol").sends("CreateTransientSegment"),
        on(Created).replies("Protocol").sends("CreateTransientSegment"),
        on(TransientSetUp).replies("Protocol").sends("CreateTransientSegment"),
        on(TransientSetUpUsed).replies("Protocol").sends("CreateTransientSegment"),
        on(AckPieces).replies("Protocol").sends("CreateTransientSegment"),
        on(AckUnsentPiece).replies("Protocol").sends("CreateTransientSegment"),
        on(TransientMissing).replies("Protocol").sends("CreateTransientSegment"),
        on(Merged).replies("Protocol").sends("CreateTransientSegment"),
        on(NumberMoved).replies("Protocol").sends("CreateTransientSegment"),
        on(Truncated).replies("Protocol").sends("CreateTransientSegment"),
        on(Stale).sends("CreateTransientSegment"),
        on(InfoSealed).replies("Protocol").sends("CreateTransientSegment"),
        on(InfoOpen).replies("Protocol").sends("CreateTransientSegment"),
        on(NameTaken).replies("Protocol").sends("CreateTransientSegment"),
        on(TransientSealed).replies("Sealed").sends("CreateTransientSegment"),
    ];
    check(ToCreate, rows);
}

#[test]
fn a_transient_segment_is_set_up_when_it_was_created() {
    let rows = [
        on(Push),
        on(Attach).to(ToSetUp).sends("SetupAppend"),
        on(Detach).to(Detached),
        on(TakeItems).to(Detached),
        on(FailAll).to(Detached).done("0 Timeout NotApplied, 1 Timeout NotApplied"),
        on(SetUpNone).replies("Protocol"),
        on(SetUpOne).replies("Protocol"),
        on(SetUpUnsent).replies("Protocol"),
        on(SetUpOfOtherWriter).replies("Protocol"),
        on(AckOne).replies("Protocol"),
        on(AckUnsent).replies("Protocol"),
        on(AckOfOtherWriter).replies("Protocol"),
        on(ConditionFailed).replies("Protocol"),
        on(ConditionFailedUnsent).replies("Protocol"),
        on(WrongStore).replies("WrongHost"),
        on(TokenExpired).replies("TokenExpired"),
        on(TokenRefused).replies("Refused PermissionDenied"),
        on(Unsupported)
            .replies("Progress")
            .to(Idle)
            .done("0 Unsupported NotApplied")
            .sends("AppendBlockEnd"),
        on(IllegalArgument).replies("Refused InvalidArgument"),
        on(Failure).replies("Protocol"),
        on(Full).replies("OutOfSpace"),
        on(Sealed).replies("Sealed"),
        on(Missing).replies("Missing"),
        on(InvalidNumber).replies("Protocol"),
        on(Created).to(ToSetUpTransient).sends("SetupAppend"),
        on(TransientSetUp).replies("Protocol"),
        on(TransientSetUpUsed).replies("Protocol"),
        on(AckPieces).replies("Protocol"),
        on(AckUnsentPiece).replies("Protocol"),
        on(TransientMissing).replies("Protocol"),
        on(Merged).replies("Protocol"),
        on(NumberMoved).replies("Protocol"),
        on(Truncated).replies("Protocol"),
        on(Stale),
        on(InfoSealed).replies("Protocol"),
        on(InfoOpen).replies("Protocol"),
        on(NameTaken).replies("Again").to(ToSetUp).sends("SetupAppend"),
        on(TransientSealed).replies("Sealed"),
    ];
    check(Creating, rows);
}

#[test]
fn the_set_up_of_a_transient_segment_is_sent_next() {
    let rows = [
        on(Push).sends("SetupAppend"),
        on(Attach).to(ToSetUp).sends("SetupAppend"),
        on(Detach).to(Detached),
        on(TakeItems).to(Detached),
        on(FailAll).to(Detached).done("0 Timeout NotApplied, 1 Timeout NotApplied"),
        on(SetUpNone).replies("Protocol").sends("SetupAppend"),
        on(SetUpOne).replies("Protocol").sends("SetupAppend"),
        on(SetUpUnsent).replies("Protocol").sends("SetupAppend"),
        on(SetUpOfOtherWriter).replies("Protocol").sends("SetupAppend"),
        on(AckOne).replies("Protocol").sends("SetupAppend"),
        on(AckUnsent).replies("Protocol").sends("SetupAppend"),
        on(AckOfOtherWriter).replies("Protocol").sends("SetupAppend"),
        on(ConditionFailed).replies("Protocol").sends("SetupAppend"),
        on(ConditionFailedUnsent).replies("Protocol").sends("SetupAppend"),
        on(WrongStore).replies("WrongHost").sends("SetupAppend"),
        on(TokenExpired).replies("TokenExpired").sends("SetupAppend"),
        on(TokenRefused).replies("Refused PermissionDenied").sends("SetupAppend"),
        on(Unsupported)
            .replies("Progress")
            .to(Idle)
            .done("0 Unsupported NotApplied")
            .sends("AppendBlockEnd"),
        on(IllegalArgument).replies("Refused InvalidArgument").sends("SetupAppend"),
        on(Failure).replies("Protocol").sends("SetupAppend"),
        on(Full).replies("OutOfSpace").sends("SetupAppend"),
        on(Sealed).replies("Sealed").sends("SetupAppend"),
        on(Missing).replies("Missing").sends("SetupAppend"),
        on(InvalidNumber).replies("Protocol").sends("SetupAppend"),
        on(Created).replies("Protocol").sends("SetupAppend"),
        on(TransientSetUp).replies("Protocol").sends("SetupAppend"),
        on(TransientSetUpUsed).replies("Protocol").sends("SetupAppend"),
        on(AckPieces).replies("Protocol").sends("SetupAppend"),
        on(AckUnsentPiece).replies("Protocol").sends("SetupAppend"),
        on(TransientMissing).replies("Protocol").sends("SetupAppend"),
        on(Merged).replies("Protocol").sends("SetupAppend"),
        on(NumberMoved).replies("Protocol").sends("SetupAppend"),
        on(Truncated).replies("Protocol").sends("SetupAppend"),
        on(Stale).sends("SetupAppend"),
        on(InfoSealed).replies("Protocol").sends("SetupAppend"),
        on(InfoOpen).replies("Protocol").sends("SetupAppend"),
        on(NameTaken).replies("Protocol").sends("SetupAppend"),
        on(TransientSealed).replies("Protocol").sends("SetupAppend"),
    ];
    check(ToSetUpTransient, rows);
}

#[test]
fn pieces_follow_the_set_up_of_a_new_transient_segment() {
    let rows = [
        on(Push),
        on(Attach).to(ToSetUp).sends("SetupAppend"),
        on(Detach).to(Detached),
        on(TakeItems).to(Detached),
        on(FailAll).to(Detached).done("0 Timeout NotApplied, 1 Timeout NotApplied"),
        on(SetUpNone).replies("Protocol"),
        on(SetUpOne).replies("Protocol"),
        on(SetUpUnsent).replies("Protocol"),
        on(SetUpOfOtherWriter).replies("Protocol"),
        on(AckOne).replies("Protocol"),
        on(AckUnsent).replies("Protocol"),
        on(AckOfOtherWriter).replies("Protocol"),
        on(ConditionFailed).replies("Protocol"),
        on(ConditionFailedUnsent).replies("Protocol"),
        on(WrongStore).replies("WrongHost"),
        on(TokenExpired).replies("TokenExpired"),
        on(TokenRefused).replies("Refused PermissionDenied"),
        on(Unsupported)
            .replies("Progress")
            .to(Idle)
            .done("0 Unsupported NotApplied")
            .sends("AppendBlockEnd"),
        on(IllegalArgument).replies("Refused InvalidArgument"),
        on(Failure).replies("Protocol"),
        on(Full).replies("OutOfSpace"),
        on(Sealed).replies("Sealed"),
        on(Missing).replies("Missing"),
        on(InvalidNumber).replies("Protocol"),
        on(Created).replies("Protocol"),
        on(TransientSetUp).to(Sending).sends(
            "ConditionalBlockEnd ConditionalBlockEnd ConditionalBlockEnd ConditionalBlockEnd",
        ),
        on(TransientSetUpUsed).replies("Again").to(ToSetUp).sends("SetupAppend"),
        on(AckPieces).replies("Protocol"),
        on(AckUnsentPiece).replies("Protocol"),
        on(TransientMissing).replies("Again").to(ToSetUp).sends("SetupAppend"),
        on(Merged).replies("Protocol"),
        on(NumberMoved).replies("Protocol"),
        on(Truncated).replies("Again").to(ToSetUp).sends("SetupAppend"),
        on(Stale),
        on(InfoSealed).replies("Protocol"),
        on(InfoOpen).replies("Protocol"),
        on(NameTaken).replies("Protocol"),
        on(TransientSealed).replies("Again").to(ToSetUp).sends("SetupAppend"),
    ];
    check(SettingUpTransient, rows);
}

#[test]
fn the_merge_follows_the_acknowledgement_of_all_pieces() {
    let rows = [
        on(Push),
        on(Attach).to(ToSetUp).sends("SetupAppend"),
        on(Detach).to(Detached),
        on(TakeItems).to(Detached),
        on(FailAll).to(Detached).done("0 Timeout NotApplied, 1 Timeout NotApplied"),
        on(SetUpNone).replies("Protocol"),
        on(SetUpOne).replies("Protocol"),
        on(SetUpUnsent).replies("Protocol"),
        on(SetUpOfOtherWriter).replies("Protocol"),
        on(AckOne).replies("Protocol"),
        on(AckUnsent).replies("Protocol"),
        on(AckOfOtherWriter).replies("Protocol"),
        on(ConditionFailed).replies("Protocol"),
        on(ConditionFailedUnsent).replies("Protocol"),
        on(WrongStore).replies("WrongHost"),
        on(TokenExpired).replies("TokenExpired"),
        on(TokenRefused).replies("Refused PermissionDenied"),
        on(Unsupported)
            .replies("Progress")
            .to(Idle)
            .done("0 Unsupported NotApplied")
            .sends("AppendBlockEnd"),
        on(IllegalArgument).replies("Refused InvalidArgument"),
        on(Failure).replies("Protocol"),
        on(Full).replies("OutOfSpace"),
        on(Sealed).replies("Sealed"),
        on(Missing).replies("Missing"),
        on(InvalidNumber).replies("Protocol"),
        on(Created).replies("Protocol"),
        on(TransientSetUp).replies("Protocol"),
        on(TransientSetUpUsed).replies("Protocol"),
        on(AckPieces).to(ToMerge).sends("MergeSegments"),
        on(AckUnsentPiece).replies("Protocol"),
        on(TransientMissing).replies("Again").to(ToSetUp).sends("SetupAppend"),
        on(Merged).replies("Protocol"),
        on(NumberMoved).replies("Protocol"),
        on(Truncated).replies("Again").to(ToSetUp).sends("SetupAppend"),
        on(Stale),
        on(InfoSealed).replies("Protocol"),
        on(InfoOpen).replies("Protocol"),
        on(NameTaken).replies("Protocol"),
        on(TransientSealed).replies("Again").to(ToSetUp).sends("SetupAppend"),
    ];
    check(Sending, rows);
}

#[test]
fn the_merge_is_sent_next() {
    let rows = [
        on(Push).sends("MergeSegments"),
        on(Attach).to(ToSetUp).sends("SetupAppend"),
        on(Detach).to(Detached),
        on(TakeItems).to(Detached),
        on(FailAll).to(Detached).done("0 Timeout NotApplied, 1 Timeout NotApplied"),
        on(SetUpNone).replies("Protocol").sends("MergeSegments"),
        on(SetUpOne).replies("Protocol").sends("MergeSegments"),
        on(SetUpUnsent).replies("Protocol").sends("MergeSegments"),
        on(SetUpOfOtherWriter).replies("Protocol").sends("MergeSegments"),
        on(AckOne).replies("Protocol").sends("MergeSegments"),
        on(AckUnsent).replies("Protocol").sends("MergeSegments"),
        on(AckOfOtherWriter).replies("Protocol").sends("MergeSegments"),
        on(ConditionFailed).replies("Protocol").sends("MergeSegments"),
        on(ConditionFailedUnsent).replies("Protocol").sends("MergeSegments"),
        on(WrongStore).replies("WrongHost").sends("MergeSegments"),
        on(TokenExpired).replies("TokenExpired").sends("MergeSegments"),
        on(TokenRefused).replies("Refused PermissionDenied").sends("MergeSegments"),
        on(Unsupported)
            .replies("Progress")
            .to(Idle)
            .done("0 Unsupported NotApplied")
            .sends("AppendBlockEnd"),
        on(IllegalArgument).replies("Refused InvalidArgument").sends("MergeSegments"),
        on(Failure).replies("Protocol").sends("MergeSegments"),
        on(Full).replies("OutOfSpace").sends("MergeSegments"),
        on(Sealed).replies("Sealed").sends("MergeSegments"),
        on(Missing).replies("Missing").sends("MergeSegments"),
        on(InvalidNumber).replies("Protocol").sends("MergeSegments"),
        on(Created).replies("Protocol").sends("MergeSegments"),
        on(TransientSetUp).replies("Protocol").sends("MergeSegments"),
        on(TransientSetUpUsed).replies("Protocol").sends("MergeSegments"),
        on(AckPieces).replies("Protocol").sends("MergeSegments"),
        on(AckUnsentPiece).replies("Protocol").sends("MergeSegments"),
        on(TransientMissing).replies("Protocol").sends("MergeSegments"),
        on(Merged).replies("Protocol").sends("MergeSegments"),
        on(NumberMoved).replies("Protocol").sends("MergeSegments"),
        on(Truncated).replies("Protocol").sends("MergeSegments"),
        on(Stale).sends("MergeSegments"),
        on(InfoSealed).replies("Protocol").sends("MergeSegments"),
        on(InfoOpen).replies("Protocol").sends("MergeSegments"),
        on(NameTaken).replies("Protocol").sends("MergeSegments"),
        on(TransientSealed).replies("Protocol").sends("MergeSegments"),
    ];
    check(ToMerge, rows);
}

#[test]
fn a_large_event_is_done_with_its_merge() {
    let rows = [
        on(Push),
        on(Attach).to(ToSetUp).sends("SetupAppend"),
        on(Detach).to(Detached),
        on(TakeItems).to(Detached),
        on(FailAll).to(Detached).done("0 Timeout Unknown, 1 Timeout NotApplied"),
        on(SetUpNone).replies("Protocol"),
        on(SetUpOne).replies("Protocol"),
        on(SetUpUnsent).replies("Protocol"),
        on(SetUpOfOtherWriter).replies("Protocol"),
        on(AckOne).replies("Protocol"),
        on(AckUnsent).replies("Protocol"),
        on(AckOfOtherWriter).replies("Protocol"),
        on(ConditionFailed).replies("Protocol"),
        on(ConditionFailedUnsent).replies("Protocol"),
        on(WrongStore).replies("WrongHost"),
        on(TokenExpired).replies("TokenExpired"),
        on(TokenRefused).replies("Refused PermissionDenied"),
        on(Unsupported)
            .replies("Progress")
            .to(Idle)
            .done("0 Unsupported NotApplied")
            .sends("AppendBlockEnd"),
        on(IllegalArgument).replies("Refused InvalidArgument"),
        on(Failure).replies("Protocol"),
        on(Full).replies("OutOfSpace"),
        on(Sealed).replies("Sealed"),
        on(Missing).replies("Missing"),
        on(InvalidNumber).replies("Protocol"),
        on(Created).replies("Protocol"),
        on(TransientSetUp).replies("Protocol"),
        on(TransientSetUpUsed).replies("Protocol"),
        on(AckPieces).replies("Protocol"),
        on(AckUnsentPiece).replies("Protocol"),
        on(TransientMissing).replies("Again").to(ToSetUp).sends("SetupAppend"),
        on(Merged).replies("Progress").to(ToSetUp).done("0 at 42").sends("SetupAppend"),
        on(NumberMoved).replies("Again").to(ToSetUp).sends("SetupAppend"),
        on(Truncated).replies("Again").to(ToSetUp).sends("SetupAppend"),
        on(Stale),
        on(InfoSealed).replies("Protocol"),
        on(InfoOpen).replies("Protocol"),
        on(NameTaken).replies("Protocol"),
        on(TransientSealed).replies("Sealed"),
    ];
    check(Merging, rows);
}
