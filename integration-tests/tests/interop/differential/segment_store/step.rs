//! A step of a script: requests, and the expected reaction of the server.

use pravega_sdk_wire_protocol::WireCommand;

/// A step of a script.
pub(super) struct Step {
    pub(super) name: &'static str,
    pub(super) commands: Vec<WireCommand>,
    pub(super) expects: Expects,
}

/// Expected reaction of a server to a step.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Expects {
    Reply,
    /// No reply, as to a read at the end of a segment.
    Silence,
    /// A reply that the Java server sends only after some time: the step is repeated there until
    /// the replies are equal.
    ReplyInTheEnd,
}

pub(super) fn step(name: &'static str, command: impl Into<WireCommand>) -> Step {
    Step { name, commands: vec![command.into()], expects: Expects::Reply }
}

pub(super) fn steps(name: &'static str, commands: Vec<WireCommand>) -> Step {
    Step { name, commands, expects: Expects::Reply }
}

/// Creates a step with a read that waits at the end of its segment.
pub(super) fn parked(name: &'static str, command: impl Into<WireCommand>) -> Step {
    Step { name, commands: vec![command.into()], expects: Expects::Silence }
}

/// Creates a step whose reply depends on background work of the Java server.
pub(super) fn in_the_end(name: &'static str, command: impl Into<WireCommand>) -> Step {
    Step { name, commands: vec![command.into()], expects: Expects::ReplyInTheEnd }
}

/// Creates a step that waits for one more reply.
pub(super) fn later(name: &'static str) -> Step {
    Step { name, commands: vec![], expects: Expects::Reply }
}

pub(super) struct Names {
    pub(super) prefix: String,
}

impl Names {
    pub(super) fn segment(&self, name: &str) -> bytestring::ByteString {
        format!("{}/{name}/0.#epoch.0", self.prefix).into()
    }
}
