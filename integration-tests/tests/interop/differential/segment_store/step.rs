//! A step of a script: requests, and what a server should do about them.

use pravega_sdk_wire_protocol::WireCommand;

/// A step of a script.
pub(super) struct Step {
    pub(super) name: &'static str,
    pub(super) commands: Vec<WireCommand>,
    pub(super) expects: Expects,
}

/// What a server should do about a step.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Expects {
    Reply,
    /// No reply, as about a read at the end of a segment.
    Silence,
    /// A reply that the Java server gives only after some time: the step is repeated there until
    /// the replies are alike.
    ReplyInTheEnd,
}

pub(super) fn step(name: &'static str, command: impl Into<WireCommand>) -> Step {
    Step { name, commands: vec![command.into()], expects: Expects::Reply }
}

pub(super) fn steps(name: &'static str, commands: Vec<WireCommand>) -> Step {
    Step { name, commands, expects: Expects::Reply }
}

/// A read that has to wait at the end.
pub(super) fn parked(name: &'static str, command: impl Into<WireCommand>) -> Step {
    Step { name, commands: vec![command.into()], expects: Expects::Silence }
}

/// A request whose reply depends on work that the Java server does in the background.
pub(super) fn in_the_end(name: &'static str, command: impl Into<WireCommand>) -> Step {
    Step { name, commands: vec![command.into()], expects: Expects::ReplyInTheEnd }
}

/// Looks for one more reply.
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
