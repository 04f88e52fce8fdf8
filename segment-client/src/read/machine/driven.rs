//! What the driver of reads needs of a machine.

use pravega_sdk_wire_protocol::WireCommand;

use super::state::{Effect, ReadMachine, ReaderId};
use crate::machine::{Location, LookupError, Now, Token};

/// A machine that reads segments: [`ReadMachine`], or one with that as a part.
pub trait Driven {
    /// Returns the machine that reads.
    fn reads(&self) -> &ReadMachine;

    /// Returns the machine that reads, for what happened.
    fn reads_mut(&mut self) -> &mut ReadMachine;

    /// Returns true if there may be an effect of reading to carry out.
    fn has_reads(&self) -> bool {
        self.reads().has_work()
    }

    /// Returns the next effect of reading to carry out.
    fn poll_read(&mut self, now: Now) -> Option<Effect> {
        self.reads_mut().poll_effect(now)
    }

    /// Handles the result of an effect of reading.
    fn handle_answer(&mut self, answer: Answer, now: Now) {
        let reads = self.reads_mut();
        match answer {
            Answer::Located(reader, found) => reads.handle_located(reader, found, now),
            Answer::Read(reader, read, answer) => reads.handle_read(reader, read, answer, now),
            Answer::Inspected(reader, question, answer) => {
                reads.handle_inspected(reader, question, answer, now);
            }
            Answer::Renewed(reader, token) => reads.handle_renewed(reader, token),
        }
    }

    /// Returns the time at which to call [`Self::handle_timeout`], unless it changes before.
    fn timeout(&self) -> Option<Now> {
        self.reads().timeout()
    }

    /// Does what is due, and sets the next timeout.
    fn handle_timeout(&mut self, now: Now) {
        self.reads_mut().handle_timeout(now);
    }
}

/// The result of an effect of reading.
#[derive(Debug)]
pub enum Answer {
    /// Of [`Effect::Locate`].
    Located(ReaderId, Result<Location, LookupError>),
    /// Of [`Effect::Read`], with its number.
    Read(ReaderId, u64, Result<WireCommand, LookupError>),
    /// Of [`Effect::Inspect`], with its number.
    Inspected(ReaderId, u64, Result<WireCommand, LookupError>),
    /// A newer token, which has replaced the one in the request of an effect.
    Renewed(ReaderId, Token),
}

impl Driven for ReadMachine {
    fn reads(&self) -> &ReadMachine {
        self
    }

    fn reads_mut(&mut self) -> &mut ReadMachine {
        self
    }
}
