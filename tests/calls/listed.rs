//! The names of all public futures, as the list in `send.rs` has them.

use std::collections::BTreeSet;

/// Returns the name of each call that `send.rs` lists, after the name of the function that lists
/// it: `event_writer: writer.write`.
pub(crate) fn listed() -> BTreeSet<String> {
    let mut section = "";
    let mut calls = BTreeSet::new();
    for line in include_str!("../send.rs").lines() {
        if let Some(rest) = line.strip_prefix("fn ") {
            section = rest.split(['(', '<']).next().unwrap_or_default();
        }
        let Some(call) = line.trim().strip_prefix("send(") else { continue };
        let call = call
            .replace("transaction()()", "transaction")
            .replace("EmbeddedServer::builder()", "builder")
            .replace("any::<EmbeddedServer>()", "server");
        let name = call.split(['(', ')', ';']).next().unwrap_or_default();
        calls.insert(format!("{section}: {name}"));
    }
    // The reader itself is a stream, which `reader.next` polls.
    calls.remove("event_reader: reader");
    calls
}
