//! Which cluster a command is for, and which value of a setting counts: those of options, then of
//! the URL, the environment and the context, then the default. Pure functions of what each says.
//!
//! The credentials of a context are for its controllers. They are never sent to others, nor without
//! TLS to those that a context names with it.

use std::{collections::BTreeSet, fmt};

use pravega_sdk::{ClientConfig, Source, controller_client::ControllerUri};

use crate::contexts::{Contexts, Profile};

/// The URL without an option, a variable or a context; that of Java's client.
const DEFAULT_URL: &str = "tcp://localhost:9090";

/// A value that an option has, or a variable.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Given {
    pub(crate) option: Option<String>,
    pub(crate) variable: Option<String>,
}

/// Where a value comes from. A later one in this list overrides an earlier one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Origin {
    Default,
    Context,
    Environment,
    Url,
    Option,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Default => "default",
            Self::Context => "context",
            Self::Environment => "environment",
            Self::Url => "url",
            Self::Option => "option",
        })
    }
}

impl Origin {
    /// Returns the origin of a setting: of the values that there are, the one that counts.
    pub(crate) fn of(is_option: bool, below: Source, is_in_context: bool) -> Self {
        match below {
            _ if is_option => Self::Option,
            Source::Url => Self::Url,
            Source::Environment => Self::Environment,
            _ if is_in_context => Self::Context,
            _ => Self::Default,
        }
    }
}

/// The context of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Chosen {
    pub(crate) name: String,
    pub(crate) profile: Profile,
    /// `Context` means that it is the current one.
    pub(crate) named_by: Origin,
}

/// The cluster of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Choice {
    pub(crate) url: String,
    pub(crate) url_origin: Origin,
    pub(crate) context: Option<Chosen>,
}

/// A context that does not exist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unknown {
    pub(crate) name: String,
    pub(crate) named_by: Origin,
}

/// Returns the context that counts: of the option, of the variable, or the current one. An empty
/// name means no context.
pub(crate) fn context(given: &Given, contexts: &Contexts) -> Result<Option<Chosen>, Unknown> {
    let (name, named_by) = match (&given.option, &given.variable, &contexts.current) {
        (Some(name), _, _) => (name, Origin::Option),
        (None, Some(name), _) => (name, Origin::Environment),
        (None, None, Some(name)) => (name, Origin::Context),
        (None, None, None) => return Ok(None),
    };
    if name.is_empty() {
        return Ok(None);
    }
    match contexts.named.get(name) {
        Some(profile) => {
            Ok(Some(Chosen { name: name.clone(), profile: profile.clone(), named_by }))
        }
        None => Err(Unknown { name: name.clone(), named_by }),
    }
}

impl Choice {
    /// Returns the URL that counts, beside a context.
    pub(crate) fn new(controller: &Given, context: Option<Chosen>) -> Self {
        let in_context = context.as_ref().map(|context| &context.profile.controller);
        let (url, url_origin) = match (&controller.option, &controller.variable, in_context) {
            (Some(url), _, _) => (url.clone(), Origin::Option),
            (None, Some(url), _) => (url.clone(), Origin::Environment),
            (None, None, Some(url)) => (url.clone(), Origin::Context),
            (None, None, None) => (DEFAULT_URL.to_owned(), Origin::Default),
        };
        Self { url, url_origin, context }
    }
}

/// Returns a URL without the settings of its query that the environment has: the environment wins
/// over the URL of a context.
pub(crate) fn without(url: &str, in_environment: &[&str]) -> String {
    let Some((address, query)) = url.split_once('?') else { return url.to_owned() };
    let name = |pair: &str| pair.split('=').next().unwrap_or_default().to_owned();
    let left: Vec<&str> = query
        .split('&')
        .filter(|pair| !pair.is_empty() && !in_environment.contains(&name(pair).as_str()))
        .collect();
    if left.is_empty() { address.to_owned() } else { format!("{address}?{}", left.join("&")) }
}

/// The setting that decides on TLS whatever the scheme says.
const TLS_TO_CONTROLLER: &str = "tls_to_controller";

/// Controllers, and whether TLS leads to them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    has_tls: bool,
    /// Host and port of each, in lower case.
    controllers: BTreeSet<String>,
}

impl Target {
    /// What a URL means without any other setting.
    pub(crate) fn of_url(url: &str) -> Result<Self, String> {
        let (address, query) = url.split_once('?').unwrap_or((url, ""));
        let uri: ControllerUri = address
            .parse()
            .map_err(|error| format!("it is not the address of a cluster: {error}"))?;
        let mut pairs = query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        if pairs.clone().any(|(name, value)| {
            name.contains('%') || (name == TLS_TO_CONTROLLER && value.contains('%'))
        }) {
            return Err(format!(
                "the names of its settings, and the value of {TLS_TO_CONTROLLER}, must be written \
                 without %"
            ));
        }
        let last = pairs.rfind(|(name, _)| *name == TLS_TO_CONTROLLER).map(|(_, value)| value);
        Ok(Self::new(&uri, last.unwrap_or_default()))
    }

    /// What all settings together mean.
    pub(crate) fn of_config(config: &ClientConfig) -> Self {
        let settings = config.settings();
        let tls = settings.iter().find(|setting| setting.name == TLS_TO_CONTROLLER);
        Self::new(config.uri(), tls.map(|setting| setting.value.as_str()).unwrap_or_default())
    }

    fn new(uri: &ControllerUri, tls: &str) -> Self {
        let has_tls = match tls {
            "on" | "true" => true,
            "off" | "false" => false,
            _ => uri.scheme().is_tls(),
        };
        let controllers = uri.endpoints().iter();
        let controllers = controllers.map(|endpoint| endpoint.to_string().to_lowercase()).collect();
        Self { has_tls, controllers }
    }

    /// Returns true if what is for these controllers may be sent to the others, too: they are some
    /// of them, and TLS is not left out.
    pub(crate) fn covers(&self, other: &Self) -> bool {
        other.controllers.is_subset(&self.controllers) && (other.has_tls || !self.has_tls)
    }

    /// Returns true if what is sent can be read on a network.
    pub(crate) fn is_readable(&self) -> bool {
        let is_here = |controller: &String| {
            let host = controller.rsplit_once(':').map_or(controller.as_str(), |(host, _)| host);
            let address = host.trim_matches(['[', ']']).parse::<std::net::IpAddr>();
            host == "localhost" || address.is_ok_and(|address| address.is_loopback())
        };
        !self.has_tls && !self.controllers.iter().all(is_here)
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let controllers: Vec<&str> = self.controllers.iter().map(String::as_str).collect();
        let tls = if self.has_tls { "with" } else { "without" };
        write!(f, "{} {tls} TLS", controllers.join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(option: Option<&str>, variable: Option<&str>) -> Given {
        Given { option: option.map(str::to_owned), variable: variable.map(str::to_owned) }
    }

    fn contexts() -> Contexts {
        let mut contexts = Contexts::default();
        for name in ["a", "b", "c"] {
            contexts.named.insert(name.to_owned(), Profile::new(format!("tcp://{name}:1")));
        }
        contexts.current = Some("c".to_owned());
        contexts
    }

    #[test]
    fn of_two_contexts_the_one_of_the_option_wins_then_that_of_the_variable_then_the_current_one() {
        for (option, variable, expected) in [
            (Some("a"), Some("b"), Some(("a", Origin::Option))),
            (Some("a"), None, Some(("a", Origin::Option))),
            (None, Some("b"), Some(("b", Origin::Environment))),
            (None, None, Some(("c", Origin::Context))),
            // An empty name is no context, and wins as another would.
            (Some(""), Some("b"), None),
            (None, Some(""), None),
        ] {
            let chosen = context(&given(option, variable), &contexts()).unwrap();
            let chosen = chosen.map(|chosen| (chosen.name, chosen.named_by));
            let expected = expected.map(|(name, origin)| (name.to_owned(), origin));
            assert_eq!(chosen, expected, "{option:?} {variable:?}");
        }
        let none = Contexts { current: None, ..contexts() };
        assert_eq!(context(&Given::default(), &none), Ok(None));
        for (option, variable, named_by) in
            [(Some("x"), Some("a"), Origin::Option), (None, Some("x"), Origin::Environment)]
        {
            let unknown = Unknown { name: "x".to_owned(), named_by };
            assert_eq!(context(&given(option, variable), &contexts()), Err(unknown));
        }
    }

    #[test]
    fn of_two_urls_that_of_the_option_wins_then_the_variable_then_the_context_then_the_default() {
        let all = [
            (Origin::Option, "tcp://option:1"),
            (Origin::Environment, "tcp://variable:1"),
            (Origin::Context, "tcp://c:1"),
        ];
        // Every set of sources, hence every pair.
        for set in 0..8_usize {
            let has = |at: usize| set & (1 << at) != 0;
            let value = |at: usize| has(at).then_some(all[at].1);
            let context = has(2).then(|| Chosen {
                name: "c".to_owned(),
                profile: Profile::new(all[2].1),
                named_by: Origin::Context,
            });
            let choice = Choice::new(&given(value(0), value(1)), context);
            let first = (0..3).find(|at| has(*at)).map(|at| all[at]);
            let (origin, url) = first.unwrap_or((Origin::Default, DEFAULT_URL));
            assert_eq!((choice.url_origin, choice.url.as_str()), (origin, url), "{set:b}");
        }
    }

    #[test]
    fn of_two_values_of_a_setting_the_one_of_the_higher_source_counts() {
        use Origin::{Context, Default, Environment, Option, Url};
        for (is_option, below, is_in_context, expected) in [
            (true, Source::Url, true, Option),
            (true, Source::Environment, true, Option),
            (true, Source::Default, true, Option),
            (true, Source::Default, false, Option),
            (false, Source::Url, true, Url),
            (false, Source::Url, false, Url),
            (false, Source::Environment, true, Environment),
            (false, Source::Environment, false, Environment),
            (false, Source::Default, true, Context),
            (false, Source::Default, false, Default),
        ] {
            let origin = Origin::of(is_option, below, is_in_context);
            assert_eq!(origin, expected, "{is_option} {below:?} {is_in_context}");
        }
        assert!(Default < Context && Context < Environment && Environment < Url && Url < Option);
    }

    #[test]
    fn a_setting_in_the_url_of_a_context_gives_way_to_the_environment() {
        let url = "tcp://h:1?call_timeout=1s&trust_store=a%26b&max_in_flight=7";
        assert_eq!(without(url, &[]), url);
        assert_eq!(
            without(url, &["call_timeout", "connect_timeout"]),
            "tcp://h:1?trust_store=a%26b&max_in_flight=7"
        );
        let all = ["call_timeout", "trust_store", "max_in_flight"];
        assert_eq!(without(url, &all), "tcp://h:1");
        assert_eq!(without("tcp://h:1", &all), "tcp://h:1");
        assert_eq!(without("tcp://h:1?", &all), "tcp://h:1");
    }

    #[test]
    fn credentials_for_controllers_go_to_no_others_and_not_without_the_tls_that_was_meant() {
        let covers = |of: &str, other: &str| {
            Target::of_url(of).unwrap().covers(&Target::of_url(other).unwrap())
        };
        for (of, other) in [
            ("tcp://a:1", "tcp://a:1"),
            ("tcp://a:1", "a:1"),
            ("tcp://A:1", "pravega://a:1?call_timeout=1s"),
            ("tcp://a:1,b:1", "tcp://b:1"),
            ("tcp://a:1", "tls://a:1"),
            ("tls://a:1", "pravegas://a:1"),
            ("tls://a:1", "tcp://a:1?tls_to_controller=on"),
            ("tls://a:1?tls_to_controller=off", "tcp://a:1"),
        ] {
            assert!(covers(of, other), "{of} {other}");
        }
        for (of, other) in [
            ("tcp://a:1", "tcp://b:1"),
            ("tcp://a:1", "tcp://a:2"),
            ("tcp://a:1", "tcp://a:1,b:1"),
            ("tls://a:1", "tcp://a:1"),
            ("tls://a:1", "tls://a:1?tls_to_controller=off"),
            ("tls://a:1", "tls://a:1?tls_to_controller=on&tls_to_controller=false"),
            ("tcp://127.0.0.1:1", "tcp://localhost:1"),
        ] {
            assert!(!covers(of, other), "{of} {other}");
        }
        assert!(Target::of_url("http://a:1").is_err());
        // It would be on for a client, and not for who looks at the text.
        assert!(Target::of_url("tcp://a:1?tls_to_controller=%6fn").is_err());
        assert!(Target::of_url("tcp://a:1?tls%5fto_controller=on").is_err());
        assert!(Target::of_url("tcp://a:1?trust_store=%20").is_ok());
    }

    #[test]
    fn what_is_sent_without_tls_can_be_read_unless_it_stays_on_this_machine() {
        let is_readable = |url: &str| Target::of_url(url).unwrap().is_readable();
        for url in ["tcp://h:1", "tcp://localhost:1,h:1", "tcp://10.0.0.1:1", "pravega://[::2]:1"] {
            assert!(is_readable(url), "{url}");
        }
        for url in ["tls://h:1", "tcp://localhost:1", "tcp://127.0.0.2:1,[::1]:2"] {
            assert!(!is_readable(url), "{url}");
        }
    }
}
