//! The table of settings: the name of each in a URL and in the environment, and its text form.

use std::{path::PathBuf, str::FromStr, time::Duration};

use crate::{ClientConfig, FactoryError, Setting, Source, TlsMode};

pub(crate) struct Knob {
    pub(crate) name: &'static str,
    pub(crate) variable: &'static str,
    meaning: &'static str,
    apply: fn(&mut ClientConfig, &'static str, &str, Source) -> Result<(), FactoryError>,
    show: fn(&ClientConfig) -> (String, Source),
}

impl Knob {
    pub(crate) fn apply(
        &self,
        config: &mut ClientConfig,
        text: &str,
        source: Source,
    ) -> Result<(), FactoryError> {
        (self.apply)(config, self.name, text, source)
    }

    pub(crate) fn setting(&self, config: &ClientConfig) -> Setting {
        let (value, source) = (self.show)(config);
        Setting { name: self.name, variable: self.variable, value, source, meaning: self.meaning }
    }
}

/// How a setting is written and read as text.
trait Written: Sized {
    fn read(text: &str) -> Result<Self, String>;
    fn write(&self) -> String;
}

impl Written for Duration {
    fn read(text: &str) -> Result<Self, String> {
        humantime::parse_duration(text)
            .map_err(|error| format!("{error}; write a number and a unit, such as 500ms or 30s"))
    }

    fn write(&self) -> String {
        humantime::format_duration(*self).to_string()
    }
}

impl Written for TlsMode {
    fn read(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            "true" | "on" => Ok(Self::On),
            "false" | "off" => Ok(Self::Off),
            _ => Err(format!("\"{text}\" is none of auto, on, off")),
        }
    }

    fn write(&self) -> String {
        match self {
            Self::Auto => "auto",
            Self::On => "on",
            Self::Off => "off",
        }
        .to_owned()
    }
}

impl Written for Option<PathBuf> {
    fn read(text: &str) -> Result<Self, String> {
        Ok(Some(PathBuf::from(text)).filter(|path| !path.as_os_str().is_empty()))
    }

    fn write(&self) -> String {
        self.as_ref().map_or("of the machine".to_owned(), |path| path.display().to_string())
    }
}

macro_rules! written_number {
    ($($type:ty),*) => {
        $(impl Written for $type {
            fn read(text: &str) -> Result<Self, String> {
                match Self::from_str(text) {
                    Ok(0) => Err("0 is too little".to_owned()),
                    Ok(number) => Ok(number),
                    Err(error) => Err(format!("\"{text}\" is no number: {error}")),
                }
            }

            fn write(&self) -> String {
                self.to_string()
            }
        })*
    };
}

written_number!(u32, usize);

macro_rules! knobs {
    ($($name:ident, $variable:literal, $meaning:literal;)*) => {
        /// Every setting that can be written as text, but the URL itself and the credentials.
        pub(crate) const KNOBS: &[Knob] = &[$(Knob {
            name: stringify!($name),
            variable: $variable,
            meaning: $meaning,
            apply: |config, name, text, source| {
                let value = Written::read(text).map_err(|reason| FactoryError::config(name, reason))?;
                config.$name.set(value, source);
                Ok(())
            },
            show: |config| (config.$name.value.write(), config.$name.source),
        },)*];
    };
}

knobs! {
    tls_to_controller, "PRAVEGA_TLS_TO_CONTROLLER", "TLS to controllers: auto follows the scheme";
    tls_to_segment_store, "PRAVEGA_TLS_TO_SEGMENT_STORE", "TLS to segment stores: auto follows the scheme";
    trust_store, "PRAVEGA_TRUST_STORE", "PEM file of the certificates that are trusted";
    connect_timeout, "PRAVEGA_CONNECT_TIMEOUT", "how long a connection may take to come about";
    handshake_timeout, "PRAVEGA_HANDSHAKE_TIMEOUT", "how long the exchange of versions with a segment store may take";
    request_timeout, "PRAVEGA_REQUEST_TIMEOUT", "how long a request to a segment store may take";
    call_timeout, "PRAVEGA_CALL_TIMEOUT", "how long a controller call may take with all its attempts";
    attempt_timeout, "PRAVEGA_ATTEMPT_TIMEOUT", "how long one attempt of a controller call may take";
    retry_attempts, "PRAVEGA_RETRY_ATTEMPTS", "how often a controller call is tried, the first time included";
    retry_initial_delay, "PRAVEGA_RETRY_INITIAL_DELAY", "the longest wait before the second attempt; each later one is ten times that";
    retry_max_delay, "PRAVEGA_RETRY_MAX_DELAY", "the longest wait between two attempts";
    max_in_flight, "PRAVEGA_MAX_IN_FLIGHT", "how many requests may be under way on a connection";
    max_in_flight_bytes, "PRAVEGA_MAX_IN_FLIGHT_BYTES", "how many bytes of requests may be under way on a connection";
}
