//! The options of `pravega read` as a member of a reader group.

use std::{str::FromStr, time::Duration};

use pravega_sdk::{
    group::{HandOver, SegmentAssignment, StaticShare},
    types::{NameError, ReaderGroup as GroupName, ReaderId, Scope, ScopedReaderGroup},
};

use crate::parse::duration;

/// The heading of the options.
const GROUP: &str = "Reader group";

/// The lengths that a lease may have.
const LEASES: std::ops::RangeInclusive<Duration> =
    Duration::from_millis(500)..=Duration::from_secs(20 * 60);

/// The options of a reader that is a member of a group.
#[derive(Debug, clap::Args)]
pub(super) struct Membership {
    /// Read as a member of this reader group (SCOPE/GROUP, or GROUP in the scope of the stream),
    /// whose readers share the events, until the data of the group ends. A group that does not
    /// exist is created and begins at --from
    #[arg(
        long,
        help_heading = GROUP,
        value_name = "GROUP",
        conflicts_with_all = ["until", "show_cut"]
    )]
    pub(super) group: Option<Group>,

    /// Name of this reader, which no other of the group has [default: a new name]
    #[arg(long, help_heading = GROUP, value_name = "NAME", requires = "group")]
    pub(super) reader: Option<ReaderId>,

    /// Time after which the other readers go on for this one if it ends without leaving the group:
    /// 500ms to 20m
    #[arg(
        long,
        help_heading = GROUP,
        value_name = "DURATION",
        value_parser = lease,
        default_value = "30s",
        requires = "group"
    )]
    pub(super) lease: Duration,

    /// Segments that this reader takes: fair, its part; sticky, as fair, but it keeps them unless a
    /// reader has none; or those of a share, such as 1/3, 2/3 and 3/3 for three readers
    #[arg(
        long,
        help_heading = GROUP,
        value_name = "fair|sticky|SHARE",
        value_parser = assignment,
        default_value = "fair",
        requires = "group"
    )]
    pub(super) assignment: SegmentAssignment,

    /// When this reader gives segments to others and goes on after a scale: at checkpoints, or
    /// between events, for which the group needs no checkpoints
    #[arg(
        long,
        help_heading = GROUP,
        value_name = "checkpoints|events",
        value_parser = hand_over,
        default_value = "checkpoints",
        requires = "group"
    )]
    pub(super) hand_over: HandOver,

    /// Print the name of each checkpoint of the group to stderr, after the events before it
    #[arg(long, help_heading = GROUP, requires = "group")]
    pub(super) show_checkpoints: bool,
}

/// The name of a group, with or without its scope.
#[derive(Debug, Clone)]
pub(super) enum Group {
    Named(ScopedReaderGroup),
    InScopeOfStream(GroupName),
}

impl FromStr for Group {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        if text.contains('/') {
            return text.parse().map(Self::Named);
        }
        text.parse().map(Self::InScopeOfStream)
    }
}

impl Group {
    pub(super) fn of(&self, scope: &Scope) -> ScopedReaderGroup {
        match self {
            Self::Named(group) => group.clone(),
            Self::InScopeOfStream(name) => ScopedReaderGroup::new(scope.clone(), name.clone()),
        }
    }
}

fn lease(text: &str) -> Result<Duration, String> {
    let lease = duration(text)?;
    if LEASES.contains(&lease) { Ok(lease) } else { Err("a lease is 500ms to 20m".to_owned()) }
}

fn assignment(text: &str) -> Result<SegmentAssignment, String> {
    match text {
        "fair" => return Ok(SegmentAssignment::Fair),
        "sticky" => return Ok(SegmentAssignment::Sticky),
        _ => {}
    }
    let share = text.split_once('/').and_then(|(number, count)| {
        let number: u32 = number.parse().ok()?;
        StaticShare::new(number.checked_sub(1)?, count.parse().ok()?).ok()
    });
    let refused = || "fair, sticky, or a share from 1/COUNT to COUNT/COUNT".to_owned();
    share.map(SegmentAssignment::Static).ok_or_else(refused)
}

fn hand_over(text: &str) -> Result<HandOver, String> {
    match text {
        "checkpoints" => Ok(HandOver::AtCheckpoints),
        "events" => Ok(HandOver::BetweenEvents),
        _ => Err("checkpoints or events".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_counted_from_one() {
        let share = |index, count| StaticShare::new(index, count).map(SegmentAssignment::Static);
        assert_eq!(assignment("1/3"), Ok(share(0, 3).unwrap()));
        assert_eq!(assignment("3/3"), Ok(share(2, 3).unwrap()));
        for text in ["0/3", "4/3", "1/0", "1", "/", "-1/3", "even"] {
            assert!(assignment(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_group_without_a_scope_is_in_that_of_the_stream() {
        let scope: Scope = "shop".parse().unwrap();
        for (text, group) in [("billing", "shop/billing"), ("other/billing", "other/billing")] {
            assert_eq!(text.parse::<Group>().unwrap().of(&scope).to_string(), group);
        }
        for text in ["", "a/b/c", "/", "a b"] {
            assert!(text.parse::<Group>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_lease_is_within_what_readers_keep() {
        assert_eq!(lease("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(lease("20m"), Ok(Duration::from_secs(1200)));
        for text in ["499ms", "21m", "x"] {
            assert!(lease(text).is_err(), "{text}");
        }
    }
}
