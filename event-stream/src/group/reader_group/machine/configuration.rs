//! Which settings of two configurations differ.

use std::{collections::BTreeMap, time::Duration};

use pravega_sdk_types::{ReaderGroupConfiguration, ScopedStream, StreamCut};

/// Returns true if two configurations differ in nothing but the id and the generation.
pub(crate) fn is_same(one: &ReaderGroupConfiguration, other: &ReaderGroupConfiguration) -> bool {
    differences(one, other).is_empty()
}

/// Returns the settings in which two configurations differ, beside the id and the generation.
///
/// The order of the streams means nothing, and durations are compared in milliseconds, in which
/// they are stored.
pub(crate) fn differences(
    one: &ReaderGroupConfiguration,
    other: &ReaderGroupConfiguration,
) -> Vec<&'static str> {
    let interval = |it: &ReaderGroupConfiguration| it.automatic_checkpoint_interval().map(millis);
    let settings = [
        ("streams", streams(one) != streams(other)),
        ("refresh interval", millis(one.refresh_interval()) != millis(other.refresh_interval())),
        ("checkpoint interval", interval(one) != interval(other)),
        (
            "number of outstanding checkpoints",
            one.max_outstanding_checkpoints() != other.max_outstanding_checkpoints(),
        ),
        ("retention", one.retention() != other.retention()),
    ];
    settings.into_iter().filter(|(_, differs)| *differs).map(|(name, _)| name).collect()
}

fn millis(duration: Duration) -> u128 {
    duration.as_millis()
}

fn streams(
    configuration: &ReaderGroupConfiguration,
) -> BTreeMap<&ScopedStream, (&StreamCut, &StreamCut)> {
    let entries = configuration.streams().iter();
    entries.map(|entry| (&entry.stream, (&entry.from, &entry.to))).collect()
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use pravega_sdk_types::GroupRetention;
    use uuid::Uuid;

    use super::*;

    fn of(streams: &[&str]) -> ReaderGroupConfiguration {
        ReaderGroupConfiguration::new(streams.iter().map(|name| name.parse().unwrap())).unwrap()
    }

    #[test]
    fn each_setting_that_differs_is_named_and_the_identity_is_none() {
        let one = of(&["a/b", "a/c"]);
        let same = of(&["a/c", "a/b"])
            .with_identity(Uuid::from_u128(1), Some(7))
            .with_refresh_interval(one.refresh_interval() + Duration::from_micros(900));
        assert!(is_same(&one, &same));
        let others = [
            ("streams", of(&["a/b"])),
            ("refresh interval", one.clone().with_refresh_interval(Duration::from_secs(1))),
            ("checkpoint interval", one.clone().with_automatic_checkpoint_interval(None)),
            (
                "number of outstanding checkpoints",
                one.clone().with_max_outstanding_checkpoints(NonZeroU32::MIN),
            ),
            (
                "retention",
                one.clone().with_retention(GroupRetention::AutomaticReleaseAtLastCheckpoint),
            ),
        ];
        for (name, other) in others {
            assert_eq!(differences(&one, &other), [name]);
        }
    }
}
