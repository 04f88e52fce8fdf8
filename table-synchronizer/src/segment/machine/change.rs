//! One change of a table segment, from the first attempt to its outcome.
//!
//! A request whose reply was lost may have taken effect, and may still take effect later. Three
//! facts help:
//!
//! - A version is never used twice. So a change on the condition that a key has a version takes
//!   effect once at most, however often it is sent; and while the key has that version, it has not
//!   taken effect.
//! - A change is made as a whole. So this holds for all its keys if it holds for one.
//! - If no two puts write the same value to a key, a key that has the value of a put shows that the
//!   put was made.
//!
//! Keys are read one after the other, and an attempt may take effect in between. So a key that is
//! found with its version denies only what happened before it was read: the change is refused for
//! good if another key was found without its version *before* that.
//!
//! Nothing else is certain. That a key is absent does not show that it was not put, as it may have
//! been removed since; that it has the value of the put does not show that this put wrote it, as
//! another client may have put the same value on the same condition, and only one of the two may
//! be told that it succeeded.

use std::{fmt, time::Duration};

use bytes::Bytes;
use pravega_sdk_segment_client::{
    machine::{Random, delay},
    seeded_bugs::{Bugs, SeededBug},
};
use pravega_sdk_types::{Backoff, ErrorKind, Outcome};

use crate::entry::{Condition, Entry, Put, Removal, Version};

/// The most attempts of a change that may be sent again.
const ATTEMPTS: u32 = 10;
const BACKOFF: Backoff = Backoff::new(Duration::from_millis(10), Duration::from_secs(5));

/// What a client may conclude from the values of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Values {
    /// Two puts may write the same value to a key.
    #[default]
    MayRepeat,
    /// No two puts write the same value to a key, as each value has a part of its own, such as a
    /// random number. So a put whose reply was lost was made if its value is in the table.
    Unique,
}

/// One key of a change.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Item {
    pub(crate) key: Bytes,
    /// The new value; `None` if the key is removed.
    pub(crate) value: Option<Bytes>,
    pub(crate) condition: Condition,
}

impl From<&Put> for Item {
    fn from(put: &Put) -> Self {
        let Put { key, value, condition } = put;
        Self { key: key.clone(), value: Some(value.clone()), condition: *condition }
    }
}

impl From<&Removal> for Item {
    fn from(removal: &Removal) -> Self {
        Self { key: removal.key.clone(), value: None, condition: removal.condition }
    }
}

impl fmt::Debug for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (key, value) = (self.key.len(), self.value.as_ref().map(Bytes::len));
        write!(f, "Item({key} bytes to {value:?}, {:?})", self.condition)
    }
}

/// Why an attempt failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failed {
    /// A condition does not hold, so nothing was changed.
    Condition,
    /// Anything else.
    Otherwise { kind: ErrorKind, outcome: Outcome },
}

/// What the driver does next.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Sends the change, after a pause.
    Send(Duration),
    /// Reads all keys of the change.
    Read,
    /// Reports the result.
    End(Verdict),
}

/// The result of a change.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The change was made; the versions of the keys that were put, in order.
    Made(Vec<Version>),
    /// The change was made, and some of its keys have changed since, so that their versions are not
    /// known.
    MadeAndChangedSince,
    /// The change was not made and never will be: a condition does not hold.
    Refused,
    /// The last failure is the result, and this what is known of the effect of all attempts.
    Failed(Outcome),
    /// The reply has another number of versions than keys were put.
    WrongReply,
}

/// Decides about one change.
pub(crate) struct ChangeMachine {
    items: Vec<Item>,
    values: Values,
    random: Random,
    bugs: Bugs,
    /// Number of attempts that failed.
    failures: u32,
    /// An attempt may have taken effect.
    is_in_doubt: bool,
    /// A key was read that no longer has the version of its condition, so that no attempt takes
    /// effect any more.
    is_settled: bool,
    next: Effect,
}

impl fmt::Debug for ChangeMachine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (items, next) = (self.items.len(), &self.next);
        f.debug_struct("ChangeMachine").field("items", &items).field("next", next).finish()
    }
}

impl ChangeMachine {
    pub(crate) fn new(items: Vec<Item>, values: Values, random: Random, bugs: Bugs) -> Self {
        let next = Effect::Send(Duration::ZERO);
        Self {
            items,
            values,
            random,
            bugs,
            failures: 0,
            is_in_doubt: false,
            is_settled: false,
            next,
        }
    }

    /// Returns what happens next. Each effect is reported back by the method for its result.
    pub(crate) fn poll_effect(&mut self) -> Effect {
        std::mem::replace(&mut self.next, Effect::End(Verdict::Failed(Outcome::Unknown)))
    }

    /// The change was made.
    pub(crate) fn handle_made(&mut self, versions: Vec<Version>) {
        let puts = self.items.iter().filter(|item| item.value.is_some()).count();
        let verdict =
            if versions.len() == puts { Verdict::Made(versions) } else { Verdict::WrongReply };
        self.next = Effect::End(verdict);
    }

    /// An attempt failed.
    pub(crate) fn handle_failed(&mut self, failed: Failed) {
        self.failures += 1;
        self.next = match failed {
            Failed::Condition if self.is_in_doubt && !self.denies() => Effect::Read,
            Failed::Condition => Effect::End(Verdict::Refused),
            Failed::Otherwise { outcome: Outcome::Unknown, kind } => {
                self.is_in_doubt = true;
                self.after_doubt(kind)
            }
            Failed::Otherwise { outcome, .. } => {
                let outcome = if self.is_in_doubt { Outcome::Unknown } else { outcome };
                Effect::End(Verdict::Failed(outcome))
            }
        };
    }

    fn denies(&self) -> bool {
        self.bugs.has(SeededBug::DeniesLostChanges)
    }

    fn after_doubt(&mut self, kind: ErrorKind) -> Effect {
        let is_anchored = self.items.iter().any(|item| item.version().is_some())
            || self.bugs.has(SeededBug::ResendsChanges);
        if is_anchored && kind.is_retryable() && self.failures < ATTEMPTS {
            return Effect::Send(delay(&BACKOFF, self.failures, &mut self.random));
        }
        let is_telling = self.values == Values::Unique;
        if is_telling && self.items.iter().any(|item| item.value.is_some()) {
            return Effect::Read;
        }
        Effect::End(Verdict::Failed(Outcome::Unknown))
    }

    /// All keys of the change were read, in order.
    pub(crate) fn handle_found(&mut self, found: &[Option<Entry>]) {
        self.next = self.judge(found);
    }

    /// The keys cannot be read.
    pub(crate) fn handle_unreadable(&mut self) {
        self.next = Effect::End(Verdict::Failed(Outcome::Unknown));
    }

    fn judge(&mut self, found: &[Option<Entry>]) -> Effect {
        let pairs = || self.items.iter().zip(found);
        if self.values == Values::Unique {
            let is_loose = self.bugs.has(SeededBug::TakesOtherVersions);
            let made: Vec<Version> = pairs()
                .filter_map(|(item, found)| match found {
                    Some(found) if is_loose && item.value.is_some() => Some(found.version),
                    found => item.made(found.as_ref()),
                })
                .collect();
            if !made.is_empty() && made.len() == self.items.len() {
                return Effect::End(Verdict::Made(made));
            }
            if !made.is_empty() {
                return Effect::End(Verdict::MadeAndChangedSince);
            }
        }
        let kept: Vec<bool> = pairs()
            .filter_map(|(item, found)| {
                let found = found.as_ref().map(|entry| entry.version);
                item.version().map(|wanted| found == Some(wanted))
            })
            .collect();
        let has_kept = kept.contains(&true);
        if self.is_settled && has_kept {
            // No attempt takes effect any more, and none had when this key was read.
            return Effect::End(Verdict::Refused);
        }
        let is_split = has_kept && kept.contains(&false);
        if is_split {
            self.is_settled = true;
            return Effect::Read;
        }
        Effect::End(Verdict::Failed(Outcome::Unknown))
    }
}

impl Item {
    /// The version that the key must have.
    fn version(&self) -> Option<Version> {
        match self.condition {
            Condition::At(version) => Some(version),
            Condition::Any | Condition::Absent => None,
        }
    }

    /// The version that the put gave to the key, if what was found is of it.
    fn made(&self, found: Option<&Entry>) -> Option<Version> {
        let found = found?;
        let is_it =
            self.value.as_ref() == Some(&found.value) && self.version() != Some(found.version);
        is_it.then_some(found.version)
    }
}

#[cfg(test)]
mod tests;
