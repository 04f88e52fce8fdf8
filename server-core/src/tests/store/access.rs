//! Who may send a command for a segment: the store that owns it, and the token.

use std::collections::BTreeSet;

use pravega_sdk_wire_protocol::{
    CommandKind, IterationArgs, WireCommand, commands::*, event::Event,
};

use super::{OTHER, SEGMENT, WRITER, brief, machine_in, names, one_of_each};
use crate::{
    access::{Access, Grant, Operation, Rules},
    ids::{ConnectionId, StoreIndex},
    machine::Machine,
    placement::Placement,
    record::Millis,
    store::{Closed, Session, segment_of},
    tests::at,
};

/// Commands of a connection itself, which are for no segment.
const OF_CONNECTIONS: [&str; 2] = ["Hello", "KeepAlive"];

/// Commands of the administration's port, which the server does not have.
const OF_ADMINISTRATION: [&str; 2] = ["FlushToStorage", "ListStorageChunks"];

/// Every command for a segment, with a token; a read is the second.
fn every_command(token: &str) -> Vec<WireCommand> {
    [segment_commands(token), property_commands(token), table_commands(token)].concat()
}

/// Set-ups, reads, and commands about whole segments.
fn segment_commands(token: &str) -> Vec<WireCommand> {
    vec![
        SetupAppend {
            request_id: 9,
            writer_id: WRITER,
            segment: SEGMENT.into(),
            delegation_token: token.into(),
        }
        .into(),
        ReadSegment {
            request_id: 9,
            segment: SEGMENT.into(),
            offset: 9,
            suggested_length: 8,
            delegation_token: token.into(),
        }
        .into(),
        CreateSegment {
            request_id: 9,
            segment: SEGMENT.into(),
            target_rate: 0,
            scale_type: 0,
            delegation_token: token.into(),
            rollover_size_bytes: 0,
        }
        .into(),
        CreateTransientSegment {
            request_id: 9,
            writer_id: WRITER,
            parent_segment: SEGMENT.into(),
            delegation_token: token.into(),
        }
        .into(),
        GetStreamSegmentInfo {
            request_id: 9,
            segment_name: SEGMENT.into(),
            delegation_token: token.into(),
        }
        .into(),
        SealSegment { request_id: 9, segment: SEGMENT.into(), delegation_token: token.into() }
            .into(),
        TruncateSegment {
            request_id: 9,
            segment: SEGMENT.into(),
            truncation_offset: 0,
            delegation_token: token.into(),
        }
        .into(),
        DeleteSegment { request_id: 9, segment: SEGMENT.into(), delegation_token: token.into() }
            .into(),
    ]
}

/// Merges, policies and attributes.
fn property_commands(token: &str) -> Vec<WireCommand> {
    vec![
        UpdateSegmentPolicy {
            request_id: 9,
            segment: SEGMENT.into(),
            target_rate: 0,
            scale_type: 0,
            delegation_token: token.into(),
        }
        .into(),
        MergeSegments {
            request_id: 9,
            target: OTHER.into(),
            source: SEGMENT.into(),
            delegation_token: token.into(),
            attribute_updates: vec![],
        }
        .into(),
        MergeSegmentsBatch {
            request_id: 9,
            target_segment_id: SEGMENT.into(),
            source_segment_ids: vec![],
            delegation_token: token.into(),
        }
        .into(),
        GetSegmentAttribute {
            request_id: 9,
            segment_name: SEGMENT.into(),
            attribute_id: WRITER,
            delegation_token: token.into(),
        }
        .into(),
        UpdateSegmentAttribute {
            request_id: 9,
            segment_name: SEGMENT.into(),
            attribute_id: WRITER,
            new_value: 1,
            expected_value: 2,
            delegation_token: token.into(),
        }
        .into(),
    ]
}

/// Commands about table segments.
fn table_commands(token: &str) -> Vec<WireCommand> {
    vec![
        CreateTableSegment {
            request_id: 9,
            segment: SEGMENT.into(),
            delegation_token: token.into(),
            sorted_deprecated: false,
            key_length: 0,
            rollover_size_bytes: 0,
        }
        .into(),
        DeleteTableSegment {
            request_id: 9,
            segment: SEGMENT.into(),
            must_be_empty: true,
            delegation_token: token.into(),
        }
        .into(),
        GetTableSegmentInfo {
            request_id: 9,
            segment_name: SEGMENT.into(),
            delegation_token: token.into(),
        }
        .into(),
        UpdateTableEntries {
            request_id: 9,
            segment: SEGMENT.into(),
            delegation_token: token.into(),
            table_entries: vec![],
            table_segment_offset: -1,
        }
        .into(),
        RemoveTableKeys {
            request_id: 9,
            segment: SEGMENT.into(),
            delegation_token: token.into(),
            keys: vec![],
            table_segment_offset: -1,
        }
        .into(),
        ReadTable {
            request_id: 9,
            segment: SEGMENT.into(),
            delegation_token: token.into(),
            keys: vec![],
        }
        .into(),
        ReadTableKeys {
            request_id: 9,
            segment: SEGMENT.into(),
            delegation_token: token.into(),
            suggested_key_count: 1,
            args: IterationArgs::default(),
        }
        .into(),
        ReadTableEntries {
            request_id: 9,
            segment: SEGMENT.into(),
            delegation_token: token.into(),
            suggested_entry_count: 1,
            args: IterationArgs::default(),
        }
        .into(),
        ReadTableEntriesDelta {
            request_id: 9,
            segment: SEGMENT.into(),
            delegation_token: token.into(),
            from_position: 0,
            suggested_entry_count: 1,
        }
        .into(),
    ]
}

/// Every command of appending: none has a token, as the set-up before it had one.
fn append_commands() -> Vec<WireCommand> {
    vec![
        AppendBlock { writer_id: WRITER, data: "block".into() }.into(),
        append().into(),
        ConditionalAppend {
            writer_id: WRITER,
            event_number: 4,
            expected_offset: 10,
            event: Event { data: "event".into() },
            request_id: 9,
        }
        .into(),
        ConditionalBlockEnd {
            writer_id: WRITER,
            event_number: 4,
            expected_offset: 10,
            data: "block".into(),
            request_id: 9,
        }
        .into(),
        Padding { length: 4 }.into(),
        PartialEvent { data: "part".into() }.into(),
    ]
}

fn append() -> AppendBlockEnd {
    AppendBlockEnd {
        writer_id: WRITER,
        size_of_whole_events: 0,
        data: "event".into(),
        num_events: 1,
        last_event_number: 4,
        request_id: 9,
    }
}

fn set_up(segment: &str, token: &str) -> WireCommand {
    SetupAppend {
        request_id: 9,
        writer_id: WRITER,
        segment: segment.into(),
        delegation_token: token.into(),
    }
    .into()
}

/// The only reply to a command on a new connection, or why the connection is closed.
fn reply_to(machine: &mut Machine, command: WireCommand) -> String {
    reply_on(&mut new_session(), machine, command)
}

fn new_session() -> Session {
    Session::new(ConnectionId(1), StoreIndex(0))
}

/// The only reply to a command, or why the connection is closed.
fn reply_on(session: &mut Session, machine: &mut Machine, command: WireCommand) -> String {
    let mut replies = Vec::new();
    match session.handle(command, &mut machine.context(at(50_000), &mut replies)) {
        Ok(()) => replies.iter().map(|reply| brief(&reply.command)).collect(),
        Err(Closed(reason)) => format!("closed: {reason}"),
    }
}

/// A machine whose segments are open only to those with an account.
fn guarded() -> Machine {
    let mut machine = machine_in("bytes");
    machine.access = Some(Access::new([3; 32], Millis(10_000)));
    machine.journal.take();
    machine
}

fn issue(machine: &Machine, stream: &str, now: i64) -> String {
    issue_for(machine, stream, Operation::Write, now)
}

fn issue_for(machine: &Machine, stream: &str, operation: Operation, now: i64) -> String {
    let grant = Grant::of(None, "s", stream, operation);
    machine.access.as_ref().unwrap().issue("s", stream, grant, Millis(now), None)
}

#[test]
fn a_client_is_admitted_by_a_command_that_its_token_allows() {
    let admitted = |machine: &mut Machine, commands: Vec<WireCommand>| {
        let mut session = Session::new(ConnectionId(1), StoreIndex(0));
        let handled = commands.into_iter().map(|command| {
            let mut replies = Vec::new();
            session.handle(command, &mut machine.context(at(50_000), &mut replies)).unwrap();
            session.is_admitted()
        });
        handled.collect::<Vec<bool>>()
    };
    let info = |token: &str| -> WireCommand {
        let (segment_name, delegation_token) = (SEGMENT.into(), token.into());
        GetStreamSegmentInfo { request_id: 9, segment_name, delegation_token }.into()
    };
    let hello = Hello { high_version: 16, low_version: 5 };
    let open = vec![hello.into(), KeepAlive {}.into(), info("")];
    assert_eq!(admitted(&mut machine_in("bytes"), open.clone()), [false, false, true]);
    let mut machine = guarded();
    assert_eq!(admitted(&mut machine, open), [false, false, false]);
    let (other, own) = (issue(&machine, "other", 50_000), issue(&machine, "t", 50_000));
    let found = admitted(&mut machine, vec![info(&other), info(&own), info("")]);
    assert_eq!(found, [false, true, true]);
}

#[test]
fn every_command_of_the_protocol_has_a_place_in_these_tests() {
    let all = one_of_each();
    let with_token = names(&every_command(""));
    let of_appends = names(&append_commands());
    let sent_by_clients = names(all.iter().filter(|command| {
        matches!(command.kind(), CommandKind::Request | CommandKind::Both | CommandKind::Inside)
    }));
    let mut places: Vec<&str> = OF_CONNECTIONS.into_iter().chain(OF_ADMINISTRATION).collect();
    places.extend(with_token.iter().chain(&of_appends));
    assert_eq!(places.len(), sent_by_clients.len(), "one place for each");
    assert_eq!(places.into_iter().collect::<BTreeSet<_>>(), sent_by_clients);
    // What the server checks, and what the protocol has a token for.
    let checked = names(all.iter().filter(|command| segment_of(command).is_some()));
    assert_eq!(with_token, checked);
    let has_token = |name: &&&str| {
        let fields = WireCommand::field_names(name).unwrap();
        fields.iter().any(|(field, _)| field == "delegationToken")
    };
    let mut tokens: BTreeSet<&str> = WireCommand::NAMES.iter().filter(has_token).copied().collect();
    tokens.retain(|name| !OF_ADMINISTRATION.contains(name));
    assert_eq!(with_token, tokens);
}

#[test]
fn commands_that_clients_must_not_send_close_the_connection() {
    let mut machine = guarded();
    for command in one_of_each() {
        let expected = match command.kind() {
            CommandKind::Reply | CommandKind::Failure => "the command is not one of a client",
            _ if OF_ADMINISTRATION.contains(&command.name()) => {
                "the command belongs to the administration's port"
            }
            _ => continue,
        };
        let name = command.name();
        assert_eq!(reply_to(&mut machine, command), format!("closed: {expected}"), "{name}");
        assert!(machine.journal.take().is_none(), "{name} changed something");
    }
}

#[test]
fn no_command_for_a_segment_of_another_store_is_handled() {
    for command in every_command("") {
        let mut machine = machine_in("bytes");
        machine.placement = Placement::over(4);
        machine.placement.place(SEGMENT, StoreIndex(1));
        machine.journal.take();
        let reply = reply_to(&mut machine, command.clone());
        assert_eq!(reply, "WrongHost { segment: SEGMENT, correct_host: \"\" }", "{command:?}");
        assert!(machine.journal.take().is_none(), "{command:?} changed something");
    }
}

#[test]
fn no_command_for_a_segment_is_handled_with_a_token_for_another_stream() {
    let mut machine = guarded();
    for token in [String::new(), "a.b.c".to_owned(), issue(&machine, "other", 50_000)] {
        for command in every_command(&token) {
            let reply = reply_to(&mut machine, command.clone());
            assert!(reply.contains("error_code: CheckFailed"), "{command:?}: {reply}");
            assert!(machine.journal.take().is_none(), "{command:?} changed something");
        }
    }
}

#[test]
fn an_expired_token_closes_the_connection_of_a_set_up_and_is_reported_otherwise() {
    let mut machine = guarded();
    let token = issue(&machine, "t", 0);
    for command in every_command(&token) {
        let reply = reply_to(&mut machine, command.clone());
        if matches!(command, WireCommand::SetupAppend(_)) {
            assert_eq!(reply, "closed: the token of a set-up has expired");
        } else {
            assert!(reply.contains("error_code: Expired"), "{command:?}: {reply}");
        }
        assert!(machine.journal.take().is_none(), "{command:?} changed something");
    }
}

#[test]
fn a_revoked_token_is_reported_as_expired() {
    let mut machine = guarded();
    let token = issue(&machine, "t", 50_000);
    machine.access.as_mut().unwrap().expire_tokens();
    for command in every_command(&token) {
        let reply = reply_to(&mut machine, command.clone());
        assert!(reply.contains("error_code: Expired"), "{command:?}: {reply}");
    }
}

#[test]
fn appends_after_a_refused_set_up_end_the_connection() {
    let mut machine = guarded();
    let of_other = issue(&machine, "other", 50_000);
    let to_read = issue_for(&machine, "t", Operation::Read, 50_000);
    let revoked = issue(&machine, "t", 50_000);
    machine.access.as_mut().unwrap().expire_tokens();
    let valid = issue(&machine, "t", 50_000);
    for token in ["", "a.b.c", &of_other, &to_read, &revoked] {
        for command in append_commands() {
            let name = command.name();
            // A writer without a set-up, and one that is set up for another segment of the stream.
            for before in [None, Some(set_up(OTHER, &valid))] {
                let mut session = new_session();
                if let Some(before) = before {
                    let reply = reply_on(&mut session, &mut machine, before);
                    assert!(reply.contains("AppendSetup"), "{reply}");
                }
                let reply = reply_on(&mut session, &mut machine, set_up(SEGMENT, token));
                assert!(reply.contains("AuthTokenCheckFailed"), "{reply}");
                let reply = reply_on(&mut session, &mut machine, command.clone());
                // Zeros that fill up a block say nothing by themselves.
                let is_padding = matches!(command, WireCommand::Padding(_));
                let closed = "closed: the rules of appending are broken";
                assert_eq!(reply, if is_padding { "" } else { closed }, "{name}");
                assert!(machine.journal.take().is_none(), "{name} changed something");
            }
        }
    }
    // A block that was begun before does not end in the segment of the refused set-up either.
    let mut session = new_session();
    let block = AppendBlock { writer_id: WRITER, data: "block".into() };
    let end = AppendBlockEnd { size_of_whole_events: 5, data: "".into(), ..append() };
    for (command, expected) in [
        (set_up(OTHER, &valid), "AppendSetup"),
        (block.into(), ""),
        (set_up(SEGMENT, ""), "AuthTokenCheckFailed"),
        (end.into(), "closed: the rules of appending are broken"),
    ] {
        let reply = reply_on(&mut session, &mut machine, command);
        let is_expected = reply.starts_with(expected) && reply.is_empty() == expected.is_empty();
        assert!(is_expected, "{reply}, not {expected}");
    }
    assert!(machine.journal.take().is_none());
}

#[test]
fn appends_after_a_set_up_at_the_wrong_store_end_the_connection() {
    let mut machine = machine_in("bytes");
    machine.placement = Placement::over(4);
    machine.placement.place(SEGMENT, StoreIndex(1));
    let mut names = (2..).map(|number| format!("s/t/{number}.#epoch.0"));
    let here = names.find(|name| machine.placement.store_of(name) != StoreIndex(1)).unwrap();
    machine.placement.place(&here, StoreIndex(0));
    machine.call(at(1)).1.create(&here.as_str().into(), Vec::new()).unwrap();
    machine.journal.take();
    let mut session = new_session();
    for (command, expected) in [
        (set_up(&here, ""), "AppendSetup"),
        (set_up(SEGMENT, ""), "WrongHost"),
        (append().into(), "closed: the rules of appending are broken"),
    ] {
        let reply = reply_on(&mut session, &mut machine, command);
        let is_expected = reply.starts_with(expected) && reply.is_empty() == expected.is_empty();
        assert!(is_expected, "{reply}, not {expected}");
    }
    assert!(machine.journal.take().is_none());
}

/// The names of the commands that a token that an account asks for opens.
fn opened(rules: &str, name: &str, asked: Operation) -> BTreeSet<&'static str> {
    let (rules, skipped) = Rules::parse(rules);
    assert_eq!(skipped, [""; 0]);
    let mut machine = guarded();
    let grant = Grant::of(Some(&rules), "s", name, asked);
    let token = machine.access.as_ref().unwrap().issue("s", name, grant, Millis(50_000), None);
    let mut opened = BTreeSet::new();
    for command in every_command(&token) {
        let name = command.name();
        if reply_to(&mut machine, command).contains("error_code: CheckFailed") {
            assert!(machine.journal.take().is_none(), "{name} changed something");
        } else {
            opened.insert(name);
        }
        machine.journal.take();
    }
    opened
}

#[test]
fn an_account_without_the_right_gets_no_token_that_opens_a_segment() {
    for rules in [
        "",
        "prn::/,READ_UPDATE",
        "prn::/scope:s,READ_UPDATE",
        "prn::/scope:ss/*,READ_UPDATE",
        "prn::/scope:s/stream:tt,READ_UPDATE",
        "prn::/scope:s/stream:T,READ_UPDATE",
        "prn::/scope:s/key-value-table:t,READ_UPDATE",
        "prn::/scope:s/key-value-table:*,READ_UPDATE",
        "prn::/scope:s/reader-group:t,READ_UPDATE",
        "prn::/scope:s/reader-group:*,READ_UPDATE",
    ] {
        for name in ["t", "tt", "t_kvtable", "_RGt", "_MARKt"] {
            for asked in [Operation::Read, Operation::Write] {
                assert_eq!(opened(rules, name, asked), BTreeSet::new(), "{rules}: {name}");
            }
        }
    }
    let (to_read, to_write) = ("prn::/scope:s/stream:t,READ", "prn::/scope:s/stream:t,READ_UPDATE");
    let all = names(&every_command(""));
    assert_eq!(opened(to_write, "t", Operation::Write), all);
    let reads = opened(to_read, "t", Operation::Read);
    assert_eq!(reads.len(), 8, "{reads:?}");
    assert_eq!(opened(to_read, "t", Operation::Write), reads, "the account may do no more");
    assert_eq!(opened(to_write, "t", Operation::Read), reads, "no more was asked for");
}

#[test]
fn every_command_for_a_segment_is_handled_with_its_token() {
    for command in every_command(&issue(&guarded(), "t", 50_000)) {
        let reply = reply_to(&mut guarded(), command.clone());
        assert!(!reply.contains("AuthTokenCheckFailed"), "{command:?}: {reply}");
    }
}

#[test]
fn a_refused_read_carries_its_offset_in_place_of_its_id() {
    let command = every_command("").swap_remove(1);
    let reply = reply_to(&mut guarded(), command);
    assert_eq!(reply, "AuthTokenCheckFailed { error_code: CheckFailed }", "offset 9 is the id");
}

#[test]
fn a_token_to_read_a_stream_allows_no_change_of_it() {
    let mut machine = guarded();
    let token = issue_for(&machine, "t", Operation::Read, 50_000);
    let mut refused = Vec::new();
    for command in every_command(&token) {
        let name = format!("{command:?}").split([' ', '(', '{']).next().unwrap().to_owned();
        let reply = reply_to(&mut machine, command);
        if reply.contains("error_code: CheckFailed") {
            refused.push(name);
        }
        assert!(machine.journal.take().is_none(), "a command with it changed something");
    }
    assert_eq!(
        refused,
        [
            "SetupAppend",
            "CreateSegment",
            "CreateTransientSegment",
            "SealSegment",
            "TruncateSegment",
            "DeleteSegment",
            "UpdateSegmentPolicy",
            "MergeSegments",
            "MergeSegmentsBatch",
            "UpdateSegmentAttribute",
            "CreateTableSegment",
            "DeleteTableSegment",
            "UpdateTableEntries",
            "RemoveTableKeys",
        ]
    );
}

#[test]
fn segments_are_merged_only_with_a_token_for_all_of_them() {
    let theirs = "s/theirs/0.#epoch.0";
    let merge = |token: &str| MergeSegments {
        request_id: 9,
        target: theirs.into(),
        source: SEGMENT.into(),
        delegation_token: token.into(),
        attribute_updates: Vec::new(),
    };
    let batch = |token: &str| MergeSegmentsBatch {
        request_id: 9,
        target_segment_id: SEGMENT.into(),
        source_segment_ids: vec![SEGMENT.into(), theirs.into()],
        delegation_token: token.into(),
    };
    let mut machine = guarded();
    let token = issue(&machine, "t", 50_000);
    for command in [WireCommand::from(merge(&token)), batch(&token).into()] {
        let reply = reply_to(&mut machine, command.clone());
        assert!(reply.contains("error_code: CheckFailed"), "{command:?}: {reply}");
        assert!(machine.journal.take().is_none(), "{command:?} changed something");
    }
}

#[test]
fn a_token_for_a_table_covers_no_stream_with_the_name_of_its_segments() {
    let name = "s/x_kvtable/0.#epoch.0";
    let ask = |machine: &mut Machine| {
        let token = issue(machine, "x", 50_000);
        let segment_name = name.into();
        let info =
            GetStreamSegmentInfo { request_id: 9, segment_name, delegation_token: token.into() };
        reply_to(machine, info.into())
    };
    let (mut of_stream, mut of_table) = (guarded(), guarded());
    let (_, mut step) = of_stream.call(at(1));
    step.create(&name.into(), Vec::new()).unwrap();
    let reply = ask(&mut of_stream);
    assert!(reply.contains("error_code: CheckFailed"), "{reply}");
    let token = issue(&of_table, "x", 50_000);
    let create = CreateTableSegment {
        request_id: 9,
        segment: name.into(),
        sorted_deprecated: false,
        delegation_token: token.into(),
        key_length: 0,
        rollover_size_bytes: 0,
    };
    let reply = reply_to(&mut of_table, create.into());
    assert!(reply.contains("SegmentCreated"), "{reply}");
    let reply = ask(&mut of_table);
    assert!(reply.contains("StreamSegmentInfo"), "{reply}");
}

#[test]
fn a_connection_ends_when_the_first_token_of_its_set_ups_expires() {
    let mut machine = guarded();
    let token = |machine: &Machine, now| every_command(&issue(machine, "t", now)).swap_remove(0);
    let (first, second) = (token(&machine, 45_000), token(&machine, 50_000));
    let mut session = Session::new(ConnectionId(1), StoreIndex(0));
    let mut handle = |command: WireCommand, now| {
        let mut replies = Vec::new();
        session
            .handle(command, &mut machine.context(at(now), &mut replies))
            .map(|()| session.expires())
    };
    assert_eq!(handle(KeepAlive {}.into(), 50_000), Ok(None));
    // The token of a read is checked with each read.
    let read = every_command(&issue(&guarded(), "t", 41_000)).swap_remove(1);
    assert_eq!(handle(read, 50_000), Ok(None));
    assert_eq!(handle(second, 50_000), Ok(Some(Millis(60_000))));
    assert_eq!(handle(first, 50_000), Ok(Some(Millis(55_000))));
    assert_eq!(handle(KeepAlive {}.into(), 54_999), Ok(Some(Millis(55_000))));
    let closed = Err(Closed("the token of a set-up has expired"));
    assert_eq!(handle(KeepAlive {}.into(), 55_000), closed);
    // The clock was ahead.
    let closed = Err(Closed("the token of a set-up was checked by a clock that was ahead"));
    assert_eq!(handle(KeepAlive {}.into(), -50_000), closed);
}
