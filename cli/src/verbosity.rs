//! How much the tool tells on stderr.

use std::{env, io, io::IsTerminal as _};

/// The effect of `--verbose` beside the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verbosity {
    Quiet,
    Verbose,
}

impl Verbosity {
    pub(crate) fn of(count: u8) -> Self {
        if count == 0 { Self::Quiet } else { Self::Verbose }
    }

    pub(crate) fn is_verbose(self) -> bool {
        self == Self::Verbose
    }
}

/// Logs to stderr: warnings and errors always, as they may be all that tells why a server stopped
/// taking events. Colours are for terminals only.
pub(crate) fn start_log(count: u8) {
    let variable = |name: &str| env::var(name).ok();
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::new(filter(count, &variable)))
        .with_ansi(has_colours(io::stderr().is_terminal()))
        .with_writer(io::stderr)
        .init();
}

/// Returns true if output to a stream may be coloured.
pub(crate) fn has_colours(is_terminal: bool) -> bool {
    is_terminal && env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// The filter of the log. The option wins over the variables, and of these the tool's own.
fn filter(count: u8, variable: &dyn Fn(&str) -> Option<String>) -> String {
    let given = |name| variable(name).filter(|value| !value.trim().is_empty());
    let filter = match count {
        0 => match given("PRAVEGA_LOG").or_else(|| given("RUST_LOG")) {
            Some(filter) => return filter,
            None => "error,pravega_sdk=warn",
        },
        1 => {
            "info,pravega_sdk_controller_client=debug,pravega_sdk_connection_pool=debug,\
             pravega_sdk_segment_client=debug,pravega_sdk_event_stream=debug"
        }
        2 => "info,pravega_sdk=trace",
        _ => "trace",
    };
    filter.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_option_wins_over_the_variables_and_each_step_tells_more() {
        let none = |_: &str| None;
        let both = |name: &str| Some(format!("{name}=debug"));
        let other = |name: &str| (name == "RUST_LOG").then(|| "h2=debug".to_owned());
        let empty = |_: &str| Some(" ".to_owned());
        assert_eq!(filter(0, &none), "error,pravega_sdk=warn");
        assert_eq!(filter(0, &empty), filter(0, &none));
        assert_eq!(filter(0, &both), "PRAVEGA_LOG=debug");
        assert_eq!(filter(0, &other), "h2=debug");
        for count in 1..=3 {
            assert_eq!(filter(count, &both), filter(count, &none), "{count}");
            let text = filter(count, &none);
            assert!(text.parse::<tracing_subscriber::EnvFilter>().is_ok(), "{text}");
        }
        assert!(!filter(2, &none).starts_with("trace"), "not the details of libraries");
        assert_eq!(filter(3, &none), "trace");
    }
}
