//! Variables of the environment whose names are misspelt, so that they have no effect.

use std::env;

use pravega_sdk::ClientConfig;

use super::checks::{Checks, Finding};
use crate::similar::similar_within;

/// How the names of all variables of the SDK and of this tool begin.
const PREFIX: &str = "PRAVEGA_";
/// Those that are of no setting.
const OTHERS: &[&str] = &[
    "PRAVEGA_AUTH_TOKEN",
    "PRAVEGA_CONFIG",
    "PRAVEGA_CONTEXT",
    "PRAVEGA_LOG",
    "PRAVEGA_PASSWORD",
    "PRAVEGA_USER",
];
/// Parts of the names that Kubernetes gives to the addresses of a service named `pravega-…`.
const OF_SERVICES: &[&str] = &["_PORT", "_SERVICE_"];
/// The most that are recorded.
const MOST: usize = 10;
/// The most slips in a name. One with more may be meant, and of another program.
const SLIPS: usize = 2;

/// Records the names that are like those of settings, and are none. Values are not looked at.
pub(super) fn check(config: &ClientConfig, checks: &mut Checks) {
    let settings = config.settings();
    let known = settings.iter().map(|setting| setting.variable).chain(OTHERS.iter().copied());
    let known: Vec<&str> = known.collect();
    let set = env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    for (name, meant) in misspelt(set, &known) {
        let detail = format!("{name} has no effect: did you mean {meant}?");
        let fix = "correct the name; `pravega doctor --settings` lists those that are known";
        checks.record("variable", Finding::Odd(detail, fix));
    }
}

/// The names that are not known, in order, each with the known one that is most like it.
fn misspelt<'a>(names: impl Iterator<Item = String>, known: &[&'a str]) -> Vec<(String, &'a str)> {
    let is_strange = |name: &String| {
        let is_of_service = OF_SERVICES.iter().any(|part| name.contains(part));
        name.starts_with(PREFIX) && !is_of_service && !known.contains(&name.as_str())
    };
    let strange = names.filter(is_strange);
    let meant = |name: &str| similar_within(SLIPS, name, known);
    let mut found: Vec<_> =
        strange.filter_map(|name| meant(&name).map(|meant| (name, meant))).collect();
    found.sort();
    found.truncate(MOST);
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_misspelt_if_it_is_like_a_known_one() {
        let known = [
            "PRAVEGA_REQUEST_TIMEOUT",
            "PRAVEGA_CONTROLLER_URI",
            "PRAVEGA_TLS_TO_CONTROLLER",
            "PRAVEGA_USER",
        ];
        let names = [
            "PRAVEGA_USER",
            "PRAVEGA_REQUST_TIMEOUT",
            "PRAVEGA_CONTROLER_URI",
            "PRAVEGA_HOME",
            "PRAVEGA_TEST_CONTROLLER",
            // Of Kubernetes.
            "PRAVEGA_CONTROLLER_PORT",
            "PRAVEGA_SERVICE_HOST",
            "REQUEST_TIMEOUT",
        ];
        let found = misspelt(names.map(str::to_owned).into_iter(), &known);
        let found: Vec<_> = found.iter().map(|(name, meant)| (&**name, *meant)).collect();
        assert_eq!(
            found,
            [
                ("PRAVEGA_CONTROLER_URI", "PRAVEGA_CONTROLLER_URI"),
                ("PRAVEGA_REQUST_TIMEOUT", "PRAVEGA_REQUEST_TIMEOUT"),
            ]
        );
    }
}
