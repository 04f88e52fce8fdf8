//! Leases: what is stored of one, and when another program may take it over.
//!
//! All of it is pure: the time is an argument.

use std::{fmt, time::Duration};

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use pravega_sdk_segment_client::{
    machine::Now,
    seeded_bugs::{Bugs, SeededBug},
};
use pravega_sdk_types::{ErrorKind, Outcome};

use crate::error::TableError;

const FORMAT: u8 = 1;
const FREE: u8 = 0;
const HELD: u8 = 1;
/// The bytes of a record before the name of its holder.
const HELD_LEN: usize = 2 + 8 + 8 + 8 + 16;

pub(super) const MIN_LEASE: Duration = Duration::from_millis(10);
const MAX_LEASE: Duration = Duration::from_secs(86400);

/// Settings of a lease: of a [`Lock`](super::Lock), an [`Election`](super::Election) or of
/// [`Members`](super::Members).
#[derive(Debug, Clone)]
pub struct LeaseConfig {
    pub(super) name: String,
    pub(super) lease: Duration,
    pub(super) bugs: Bugs,
}

impl Default for LeaseConfig {
    fn default() -> Self {
        Self { name: String::new(), lease: Duration::from_secs(15), bugs: Bugs::default() }
    }
}

impl LeaseConfig {
    /// Sets the name of this program, which others are shown. It need not be unique. Default:
    /// empty.
    #[must_use]
    pub fn with_name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Sets the time for which the lease is held without a renewal, 10 ms to a day. After the end
    /// of a program the others wait for it. Default: 15 s.
    #[must_use]
    pub fn with_lease(mut self, lease: Duration) -> Self {
        self.lease = lease.clamp(MIN_LEASE, MAX_LEASE);
        self
    }

    /// Switches a seeded bug on.
    #[cfg(feature = "seeded-bugs")]
    #[doc(hidden)]
    #[must_use]
    pub fn with_seeded_bug(mut self, bug: SeededBug) -> Self {
        self.bugs = Bugs::new(bug);
        self
    }
}

/// A number that rises with each new holder of a lease.
///
/// Give it to each resource that the lease protects, and let the resource refuse a token that is
/// lower than one it has seen: so a holder that was paused until after its lease changes nothing.
///
/// It begins again at 1 when the key of the lease, or its table, is deleted. Choose another key, or
/// let the resources forget what they have seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FencingToken(u64);

impl FencingToken {
    /// Creates a token from a number that was a token before.
    #[must_use]
    pub fn new(number: u64) -> Self {
        Self(number)
    }

    /// Returns the number.
    #[must_use]
    pub fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for FencingToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What distinguishes a program from all others, of the same name too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Session(pub(super) u128);

/// The holder of a lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Holder {
    pub(super) session: Session,
    pub(super) name: String,
    /// The time for which the lease is valid after a renewal.
    pub(super) lease: Duration,
    /// Changes with each renewal.
    pub(super) beat: u64,
}

/// A lease as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Lease {
    pub(super) token: FencingToken,
    /// `None` if the last holder has released it.
    pub(super) holder: Option<Holder>,
}

impl Lease {
    /// A lease that no program has ever held.
    pub(super) const NEW: Self = Self { token: FencingToken(0), holder: None };

    /// Returns the lease for a new holder.
    pub(super) fn taken(&self, holder: Holder, bugs: Bugs) -> Self {
        let repeats = bugs.has(SeededBug::RepeatsTokens) && self.holder.is_some();
        let raise = u64::from(!repeats);
        Self { token: FencingToken(self.token.0.saturating_add(raise)), holder: Some(holder) }
    }

    /// Returns the lease after a renewal; `None` if a session does not hold it.
    pub(super) fn renewed(&self, session: Session) -> Option<Self> {
        let holder = self.held_by(session)?;
        let beat = holder.beat.wrapping_add(1);
        Some(Self { token: self.token, holder: Some(Holder { beat, ..holder.clone() }) })
    }

    /// Returns the lease without a holder; `None` if a session does not hold it.
    pub(super) fn released(&self, session: Session) -> Option<Self> {
        self.held_by(session).map(|_| Self { token: self.token, holder: None })
    }

    /// Returns the holder, if it is that session.
    pub(super) fn held_by(&self, session: Session) -> Option<&Holder> {
        self.holder.as_ref().filter(|holder| holder.session == session)
    }

    pub(super) fn to_bytes(&self) -> Bytes {
        let mut bytes = BytesMut::new();
        bytes.put_u8(FORMAT);
        match &self.holder {
            None => {
                bytes.put_u8(FREE);
                bytes.put_u64(self.token.0);
            }
            Some(Holder { session, name, lease, beat }) => {
                bytes.put_u8(HELD);
                bytes.put_u64(self.token.0);
                bytes.put_u64(*beat);
                bytes.put_u64(u64::try_from(lease.as_millis()).unwrap_or(u64::MAX));
                bytes.put_u128(session.0);
                bytes.put_slice(name.as_bytes());
            }
        }
        bytes.freeze()
    }

    /// Reads a stored lease; a key that does not exist is a new one.
    pub(super) fn read(stored: Option<Bytes>) -> Result<Self, TableError> {
        let Some(stored) = stored else { return Ok(Self::NEW) };
        Self::parse(stored).ok_or_else(|| {
            let detail = "the stored value is not a lease";
            TableError::new(ErrorKind::Corrupt, Outcome::NotApplied, detail)
        })
    }

    fn parse(mut stored: Bytes) -> Option<Self> {
        match (stored.get(..2)?, stored.len()) {
            ([FORMAT, FREE], 10) => {
                stored.advance(2);
                Some(Self { token: FencingToken(stored.get_u64()), holder: None })
            }
            ([FORMAT, HELD], HELD_LEN..) => {
                stored.advance(2);
                let token = FencingToken(stored.get_u64());
                let (beat, lease) = (stored.get_u64(), Duration::from_millis(stored.get_u64()));
                let session = Session(stored.get_u128());
                let name = String::from_utf8(stored.into()).ok()?;
                Some(Self { token, holder: Some(Holder { session, name, lease, beat }) })
            }
            _ => None,
        }
    }
}

/// What a program has seen of a lease that another holds.
#[derive(Debug, Default)]
pub(super) struct LeaseWatch {
    /// The lease, and when it was first seen as it is.
    seen: Option<(Lease, Now)>,
    bugs: Bugs,
}

impl LeaseWatch {
    pub(super) fn new(bugs: Bugs) -> Self {
        Self { seen: None, bugs }
    }

    /// The lease was read. Returns true if a program may take it: it has no holder, or the holder
    /// was not seen to renew it for longer than it is valid.
    pub(super) fn handle_seen(&mut self, lease: &Lease, now: Now) -> bool {
        let since = match &self.seen {
            Some((seen, since)) if seen == lease => *since,
            Some((seen, since))
                if self.bugs.has(SeededBug::IgnoresRenewals) && seen.token == lease.token =>
            {
                *since
            }
            _ => {
                self.seen = Some((lease.clone(), now));
                now
            }
        };
        let Some(holder) = &lease.holder else { return true };
        let valid = holder.lease.saturating_add(holder.lease / 10);
        now.saturating_sub(since) > valid
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEASE: Duration = Duration::from_secs(10);

    fn holder(session: u128, beat: u64) -> Holder {
        Holder { session: Session(session), name: "ann".into(), lease: LEASE, beat }
    }

    #[test]
    fn a_lease_is_read_as_it_was_stored_and_nothing_else_is() {
        let held = Lease::NEW.taken(holder(7 << 80, 3), Bugs::default());
        for lease in [Lease::NEW, held.clone(), held.released(Session(7 << 80)).unwrap()] {
            let bytes = lease.to_bytes();
            assert_eq!(Lease::read(Some(bytes.clone())).unwrap(), lease);
            let cut = bytes.len().min(HELD_LEN);
            for len in 0..cut {
                let error = Lease::read(Some(bytes.slice(..len))).unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Corrupt, "{len} of {lease:?}");
            }
        }
        assert_eq!(Lease::read(None).unwrap(), Lease::NEW);
        for wrong in [&b"\x02\0"[..], &[1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], &[1, 2]] {
            assert!(Lease::read(Some(Bytes::copy_from_slice(wrong))).is_err());
        }
        let name = [&held.to_bytes()[..HELD_LEN], &[0xFF]].concat();
        assert!(Lease::read(Some(name.into())).is_err(), "a name is text");
    }

    #[test]
    fn a_token_rises_with_each_holder_and_stays_with_renewals() {
        let first = Lease::NEW.taken(holder(1, 0), Bugs::default());
        let renewed = first.renewed(Session(1)).unwrap();
        assert_eq!((first.token, renewed.token), (FencingToken(1), FencingToken(1)));
        assert_ne!(first, renewed);
        assert!(first.renewed(Session(2)).is_none() && first.released(Session(2)).is_none());
        let free = renewed.released(Session(1)).unwrap();
        assert!(free.renewed(Session(1)).is_none(), "it was released");
        assert_eq!(free.taken(holder(2, 0), Bugs::default()).token, FencingToken(2));
    }

    #[test]
    fn a_lease_is_free_if_no_renewal_is_seen_for_longer_than_it_is_valid() {
        let mut watch = LeaseWatch::default();
        let seconds = Duration::from_secs;
        assert!(watch.handle_seen(&Lease::NEW, seconds(0)));
        let mut lease = Lease::NEW.taken(holder(1, 0), Bugs::default());
        assert!(!watch.handle_seen(&lease, seconds(100)), "it was seen for the first time");
        assert!(!watch.handle_seen(&lease, seconds(110)));
        assert!(!watch.handle_seen(&lease, seconds(111)));
        lease = lease.renewed(Session(1)).unwrap();
        assert!(!watch.handle_seen(&lease, seconds(112)), "it was renewed");
        assert!(!watch.handle_seen(&lease, seconds(123)));
        assert!(watch.handle_seen(&lease, seconds(124)));
        let other = lease.taken(holder(2, 0), Bugs::default());
        assert!(!watch.handle_seen(&other, seconds(125)), "another program was faster");
        assert!(watch.handle_seen(&other.released(Session(2)).unwrap(), seconds(125)));
    }
}
