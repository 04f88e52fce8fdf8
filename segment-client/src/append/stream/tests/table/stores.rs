//! Segments on a connection to a store.

use super::{Event::*, Stage::*, check, on};

#[test]
fn a_set_up_follows_the_connection() {
    let rows = [
        on(Write),
        on(Flush),
        on(End).does("close 0").done("0 Closed NotApplied").to(Ended),
        on(TimerDue).done("0 Timeout NotApplied"),
        on(DeliveryTimeout).done("0 Timeout NotApplied"),
        on(Located),
        on(LocateFailed),
        on(LocateRefused),
        on(Successors).does("locate 1").to(Moved),
        on(NoSuccessors).does("segments 0"),
        on(HalfOfTheSuccessors).to(SealedLater),
        on(SuccessorsFailed).to(SealedLater),
        on(SuccessorsRefused).does("close 0").done("0 PermissionDenied NotApplied").to(Ended),
        on(SegmentStillThere).to(SealedLater),
        on(SegmentGone).to(SealedLater),
        on(NoSegments).does("close 0").done("0 Sealed NotApplied").to(Ended),
        on(SegmentsFailed).to(SealedLater),
        on(SegmentsRefused).does("close 0").done("0 PermissionDenied NotApplied").to(Ended),
        on(Connected).sends("SetupAppend").to(SettingUp),
        on(ConnectionLost).does("forget 0").to(LocatingLater),
        on(ConnectionRefused).does("forget 0").done("0 Tls NotApplied").to(LocatingLater),
        on(ConnectionInvalid).does("forget 0").to(LocatingLater),
        on(SetUp),
        on(Acknowledged),
        on(WrongStore),
        on(TokenExpired),
        on(TokenRefused),
        on(SegmentSealed),
        on(SegmentMissing),
        on(InvalidReply),
        on(ReplyWithoutId),
        on(ReplyOfOtherConnection),
    ];
    check(Connecting, rows);
}

#[test]
fn a_connection_that_served_is_made_again_when_its_back_off_ends() {
    let rows = [
        on(Write),
        on(Flush),
        on(End).does("close 0").done("0 Closed Unknown").to(Ended),
        on(TimerDue).does("connect 0").to(Connecting),
        on(DeliveryTimeout).does("connect 0").done("0 Timeout Unknown").to(Connecting),
        on(Located),
        on(LocateFailed),
        on(LocateRefused),
        on(Successors).does("locate 1").to(Moved),
        on(NoSuccessors).does("segments 0"),
        on(HalfOfTheSuccessors).to(SealedLater),
        on(SuccessorsFailed).to(SealedLater),
        on(SuccessorsRefused).does("close 0").done("0 PermissionDenied Unknown").to(Ended),
        on(SegmentStillThere).to(SealedLater),
        on(SegmentGone).to(SealedLater),
        on(NoSegments).does("close 0").done("0 Sealed Unknown").to(Ended),
        on(SegmentsFailed).to(SealedLater),
        on(SegmentsRefused).does("close 0").done("0 PermissionDenied Unknown").to(Ended),
        // The driver makes no connection before it is asked to.
        on(Connected).to(InFlight),
        on(ConnectionLost).does("forget 0").to(LocatingLater),
        on(ConnectionRefused).does("forget 0").done("0 Tls Unknown").to(LocatingLater),
        on(ConnectionInvalid).does("forget 0").to(LocatingLater),
        on(SetUp),
        on(Acknowledged),
        on(WrongStore),
        on(TokenExpired),
        on(TokenRefused),
        on(SegmentSealed),
        on(SegmentMissing),
        on(InvalidReply),
        on(ReplyWithoutId),
        on(ReplyOfOtherConnection),
    ];
    check(ConnectingLater, rows);
}

#[test]
fn events_follow_the_set_up_and_refusals_send_the_segment_elsewhere() {
    let rows = [
        on(Write),
        on(Flush),
        on(End).does("close 0").done("0 Closed NotApplied").to(Ended),
        on(TimerDue).does("close 0").to(ConnectingLater),
        on(DeliveryTimeout).does("close 0, forget 0").done("0 Timeout NotApplied").to(Idle),
        on(Located),
        on(LocateFailed),
        on(LocateRefused),
        on(Successors).does("locate 1").to(Moved),
        on(NoSuccessors).does("segments 0"),
        on(HalfOfTheSuccessors).to(SealedLater),
        on(SuccessorsFailed).to(SealedLater),
        on(SuccessorsRefused).does("close 0").done("0 PermissionDenied NotApplied").to(Ended),
        on(SegmentStillThere).to(SealedLater),
        on(SegmentGone).to(SealedLater),
        on(NoSegments).does("close 0").done("0 Sealed NotApplied").to(Ended),
        on(SegmentsFailed).to(SealedLater),
        on(SegmentsRefused).does("close 0").done("0 PermissionDenied NotApplied").to(Ended),
        on(Connected),
        on(ConnectionLost).to(ConnectingLater),
        on(ConnectionRefused).done("0 Tls NotApplied").to(ConnectingLater),
        on(ConnectionInvalid).to(ConnectingLater),
        on(SetUp).sends("AppendBlockEnd").to(InFlight),
        on(Acknowledged).does("close 0").to(ConnectingLater),
        on(WrongStore).does("forget 0, locate 0").to(Locating),
        on(TokenExpired).does("token, locate 0").to(Locating),
        on(TokenRefused).done("0 PermissionDenied NotApplied").to(Idle),
        on(SegmentSealed).does("successors 0").to(Sealed),
        on(SegmentMissing).does("successors 0").to(Sealed),
        on(InvalidReply).does("close 0").to(ConnectingLater),
        on(ReplyWithoutId),
        on(ReplyOfOtherConnection),
    ];
    check(SettingUp, rows);
}

#[test]
fn an_event_in_flight_is_stored_once_acknowledged_and_unknown_if_it_fails() {
    let rows = [
        on(Write).sends("AppendBlockEnd"),
        on(Flush),
        on(End).does("close 0").done("0 Closed Unknown").to(Ended),
        on(TimerDue),
        on(DeliveryTimeout).does("close 0").done("0 Timeout Unknown").to(ConnectingLater),
        on(Located),
        on(LocateFailed),
        on(LocateRefused),
        on(Successors).does("locate 1").to(Moved),
        on(NoSuccessors).does("segments 0"),
        on(HalfOfTheSuccessors).to(SealedLater),
        on(SuccessorsFailed).to(SealedLater),
        on(SuccessorsRefused).does("close 0").done("0 PermissionDenied Unknown").to(Ended),
        on(SegmentStillThere).to(SealedLater),
        on(SegmentGone).to(SealedLater),
        on(NoSegments).does("close 0").done("0 Sealed Unknown").to(Ended),
        on(SegmentsFailed).to(SealedLater),
        on(SegmentsRefused).does("close 0").done("0 PermissionDenied Unknown").to(Ended),
        on(Connected),
        on(ConnectionLost).to(ConnectingLater),
        on(ConnectionRefused).done("0 Tls Unknown").to(ConnectingLater),
        on(ConnectionInvalid).to(ConnectingLater),
        on(SetUp).does("close 0").to(ConnectingLater),
        on(Acknowledged).done("0 stored").to(Served),
        on(WrongStore).does("forget 0, locate 0").to(Locating),
        on(TokenExpired).does("token, locate 0").to(Locating),
        on(TokenRefused).done("0 PermissionDenied Unknown").to(Idle),
        on(SegmentSealed).does("successors 0").to(Sealed),
        on(SegmentMissing).does("successors 0").to(Sealed),
        on(InvalidReply).does("close 0").to(ConnectingLater),
        on(ReplyWithoutId),
        on(ReplyOfOtherConnection),
    ];
    check(InFlight, rows);
}

#[test]
fn a_segment_without_events_keeps_its_connection_and_gives_it_up_without_a_failure() {
    let rows = [
        on(Write).sends("AppendBlockEnd").to(InFlight),
        on(Flush).done("flushed"),
        on(End).does("close 0").to(Ended),
        on(TimerDue),
        on(DeliveryTimeout),
        on(Located),
        on(LocateFailed),
        on(LocateRefused),
        on(Successors).to(Unknown),
        on(NoSuccessors).does("segments 0"),
        on(HalfOfTheSuccessors).to(SealedLater),
        on(SuccessorsFailed).to(SealedLater),
        on(SuccessorsRefused).does("close 0").to(Ended),
        on(SegmentStillThere).to(SealedLater),
        on(SegmentGone).to(SealedLater),
        on(NoSegments).does("close 0").to(Ended),
        on(SegmentsFailed).to(SealedLater),
        on(SegmentsRefused).does("close 0").to(Ended),
        on(Connected),
        on(ConnectionLost).does("forget 0").to(Idle),
        on(ConnectionRefused).does("forget 0").to(Idle),
        on(ConnectionInvalid).does("forget 0").to(Idle),
        on(SetUp).does("close 0, forget 0").to(Idle),
        on(Acknowledged).does("close 0, forget 0").to(Idle),
        on(WrongStore).does("forget 0").to(Idle),
        on(TokenExpired).does("token").to(Idle),
        on(TokenRefused).to(Idle),
        on(SegmentSealed).does("successors 0").to(Sealed),
        on(SegmentMissing).does("successors 0").to(Sealed),
        on(InvalidReply).does("close 0, forget 0").to(Idle),
        on(ReplyWithoutId),
        on(ReplyOfOtherConnection),
    ];
    check(Served, rows);
}
