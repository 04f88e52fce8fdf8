//! What a seed draws: its workload, and the few kinds of faults that it makes, densely.

use std::{collections::BTreeSet, fmt, str::FromStr, time::Duration};

use crate::{plan::LinkTheme, trouble::Trouble};

/// The seeds that are run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// A few kinds of faults in each seed, of all kinds.
    #[default]
    Usual,
    /// As usual, and every writer has a short deadline.
    Deadlines,
    /// As usual, and every seed has one kind.
    With(Kind),
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident $percent:literal,)*) => {
        /// A kind of fault, or of load, that a seed has or has not.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Kind { $($(#[$doc])* $kind,)* }

        impl Kind {
            /// All kinds.
            pub const ALL: &[Self] = &[$(Self::$kind,)*];

            /// The name under which its seeds are counted.
            pub(crate) fn counter(self) -> &'static str {
                match self { $(Self::$kind => concat!("seed with ", stringify!($kind)),)* }
            }

            /// Of a hundred seeds, the number that have the kind.
            fn percent(self) -> u32 {
                match self { $(Self::$kind => $percent,)* }
            }
        }
    };
}

kinds! {
    /// Segments split and merge.
    Scales 40,
    /// Segments move to other stores.
    Moves 25,
    /// Stores restart.
    Restarts 20,
    /// The controller is away.
    Outages 20,
    /// Some events are larger than one append.
    LargeEvents 25,
    /// Events, and the reads of them, are longer than usual.
    LongEvents 10,
    /// Writers and readers have parts in common: the controller's caches, and the connections.
    SharedParts 50,
    /// Events may wait for a short time only.
    Deadlines 15,
    /// A reader is left alone until all others are done.
    IdleReaders 15,
    /// Some events are written on a condition.
    Conditions 20,
    /// The stream is truncated under its writers and readers.
    Truncations 20,
    /// A client asks for cuts and for single events.
    Inspectors 25,
    /// Events are read, and bytes counted, from one cut to another. Needs an inspector.
    BoundedReads 20,
    /// Appends take effect late, and acknowledgements are lost, while segments are sealed, merged
    /// and truncated between two steps.
    Interruptions 20,
    /// Replies overtake each other.
    ReplyOrder 20,
    /// Tokens expire, are revoked, and are believed in for too long.
    Tokens 15,
    /// A segment, a container or a store takes requests and does not answer them.
    Stalls 15,
    /// Machines of stores die without a word, and connects to them hang.
    DeadMachines 12,
    /// The controller answers with what it knew before.
    StaleAnswers 15,
    /// Calls of the controller are not answered.
    SilentController 12,
    /// The stream is deleted and made again under its writers and readers.
    Recreations 8,
    /// The stream is sealed in the end, so that its readers end by themselves.
    SealedEnd 20,
    /// Stores have no space for a while; writers fail then, or wait.
    FullStores 15,
    /// Once everything is repaired, one part of the cluster gets into trouble, alone.
    Troubles 15,
    /// Few requests may be in flight on a connection.
    FewRequests 15,
}

/// The workload and the kinds of faults of a seed.
#[derive(Debug)]
pub(crate) struct Theme {
    kinds: BTreeSet<Kind>,
    pub(crate) links: LinkTheme,
    pub(crate) stores: usize,
    pub(crate) segments: u32,
    pub(crate) writers: u32,
    pub(crate) keys: usize,
    pub(crate) events: u64,
    pub(crate) max_pause: Duration,
    /// True if all events have the same length.
    pub(crate) is_uniform: bool,
    pub(crate) readers: u32,
    /// The time that an event may wait for its acknowledgement, if it is short.
    pub(crate) deadline: Option<Duration>,
    /// The number of clients that writers and readers have in common; 0 if each has its own.
    pub(crate) clients: usize,
    /// The trouble of which clients notice as little as is promised.
    pub(crate) trouble: Option<Trouble>,
    /// The requests that may be in flight on a connection, if they are few.
    pub(crate) max_in_flight: Option<usize>,
    /// How long attempts to read may fail before a reader reports that, if that is short.
    pub(crate) stall_timeout: Option<Duration>,
}

impl Kind {
    fn is_drawn(self, random: &mut fastrand::Rng) -> bool {
        let number = match self {
            // Of a generator of its own: without it the seed is as before there was the kind.
            Self::FullStores => fastrand::Rng::with_seed(random.clone().u64(..)).u32(0..100),
            _ => random.u32(0..100),
        };
        number < self.percent()
    }
}

impl Theme {
    pub(crate) fn draw(random: &mut fastrand::Rng, mode: Mode) -> Self {
        let mut kinds = BTreeSet::new();
        for kind in Kind::ALL {
            let is_drawn = kind.is_drawn(random);
            let is_wanted = match mode {
                Mode::Deadlines => *kind == Kind::Deadlines,
                Mode::With(wanted) => *kind == wanted,
                Mode::Usual => false,
            };
            if is_wanted || is_drawn {
                kinds.insert(*kind);
            }
        }
        let is_uniform = random.bool() && kinds.contains(&Kind::Conditions);
        if is_uniform {
            kinds.insert(Kind::Scales);
        }
        if kinds.contains(&Kind::BoundedReads) {
            kinds.insert(Kind::Inspectors);
        }
        if kinds.contains(&Kind::Recreations) {
            // Only without scales are the segments of the second life those with higher ids.
            let others = [
                Kind::Scales,
                Kind::Truncations,
                Kind::Interruptions,
                Kind::StaleAnswers,
                Kind::BoundedReads,
                Kind::Conditions,
                Kind::Troubles,
            ];
            kinds.retain(|kind| !others.contains(kind));
        }
        let is_uniform = is_uniform && kinds.contains(&Kind::Conditions);
        let mut chance = |percent: u32| random.u32(0..100) < percent;
        let (cuts, fragments, slow) = (chance(60), chance(20), chance(15));
        let cuts = if cuts { random.u32(20..90) } else { 0 };
        let max_delay =
            Duration::from_millis(if slow { random.u64(100..1500) } else { random.u64(0..30) });
        let longest = [100, 300, 1000, 5000][random.usize(0..4)];
        let deadline = Duration::from_millis(random.u64(20..longest));
        let clients = random.usize(1..3);
        let trouble = Trouble::draw(random);
        let trouble = kinds.contains(&Kind::Troubles).then_some(trouble);
        if trouble == Some(Trouble::UnpolledRequests) {
            kinds.insert(Kind::FewRequests);
        } else if trouble.is_some() {
            // A request that is stuck holds up those after it.
            kinds.remove(&Kind::FewRequests);
        }
        let max_in_flight = random.usize(1..4);
        let stall_timeout = Duration::from_millis(random.u64(1000..5000));
        Self {
            // The timeouts of such a seed are too short for slow links.
            links: LinkTheme { cuts, max_delay: limited(max_delay, trouble), fragments },
            // A dead machine's segments need another store.
            stores: random.usize(1..4).max(if trouble.is_some() { 2 } else { 1 }),
            segments: random.u32(1..5),
            writers: random.u32(1..3),
            keys: random.usize(1..6),
            events: random.u64(30..150),
            max_pause: Duration::from_millis(random.u64(if is_uniform {
                100..500
            } else {
                0..120
            })),
            is_uniform,
            readers: random.u32(0..3),
            deadline: Some(deadline).filter(|_| kinds.contains(&Kind::Deadlines)),
            clients: if kinds.contains(&Kind::SharedParts) { clients } else { 0 },
            trouble,
            max_in_flight: kinds.contains(&Kind::FewRequests).then_some(max_in_flight),
            stall_timeout: trouble.map(|_| stall_timeout),
            kinds,
        }
    }

    /// The kinds that the seed has.
    pub(crate) fn kinds(&self) -> impl Iterator<Item = Kind> {
        self.kinds.iter().copied()
    }

    pub(crate) fn has(&self, kind: Kind) -> bool {
        self.kinds.contains(&kind)
    }
}

/// The longest delay of a write in a seed with or without a trouble.
fn limited(delay: Duration, trouble: Option<Trouble>) -> Duration {
    if trouble.is_some() { delay.min(Duration::from_millis(100)) } else { delay }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// The text is no kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownKind(String);

impl fmt::Display for UnknownKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is no kind of fault; there are {:?}", self.0, Kind::ALL)
    }
}

impl FromStr for Kind {
    type Err = UnknownKind;

    fn from_str(text: &str) -> Result<Self, UnknownKind> {
        let found = Self::ALL.iter().copied().find(|kind| kind.to_string() == text);
        found.ok_or_else(|| UnknownKind(text.to_owned()))
    }
}
