//! The table of settings: the name of each in a URL and in the environment, and its text form.

use std::{num::ParseIntError, path::PathBuf, str::FromStr, time::Duration};

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

/// A text that is not a value of a setting.
#[derive(Debug, thiserror::Error)]
enum ValueError {
    #[error("{0}; write a number and a unit, such as 500ms or 30s")]
    Duration(humantime::DurationError),
    #[error("\"{0}\" is not auto, on or off")]
    TlsMode(String),
    #[error("0 is too small")]
    Zero,
    #[error("\"{0}\" is not a number: {1}")]
    Number(String, ParseIntError),
}

/// A value of a setting with its text form.
trait TextForm: Sized {
    fn read(text: &str) -> Result<Self, ValueError>;
    fn write(&self) -> String;
}

impl TextForm for Duration {
    fn read(text: &str) -> Result<Self, ValueError> {
        humantime::parse_duration(text).map_err(ValueError::Duration)
    }

    fn write(&self) -> String {
        humantime::format_duration(*self).to_string()
    }
}

impl TextForm for TlsMode {
    fn read(text: &str) -> Result<Self, ValueError> {
        match text {
            "auto" => Ok(Self::Auto),
            "true" | "on" => Ok(Self::On),
            "false" | "off" => Ok(Self::Off),
            _ => Err(ValueError::TlsMode(text.to_owned())),
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

impl TextForm for Option<PathBuf> {
    fn read(text: &str) -> Result<Self, ValueError> {
        Ok(Some(PathBuf::from(text)).filter(|path| !path.as_os_str().is_empty()))
    }

    fn write(&self) -> String {
        self.as_ref().map_or("of the machine".to_owned(), |path| path.display().to_string())
    }
}

macro_rules! number_form {
    ($($type:ty),*) => {
        $(impl TextForm for $type {
            fn read(text: &str) -> Result<Self, ValueError> {
                match Self::from_str(text) {
                    Ok(0) => Err(ValueError::Zero),
                    Ok(number) => Ok(number),
                    Err(error) => Err(ValueError::Number(text.to_owned(), error)),
                }
            }

            fn write(&self) -> String {
                self.to_string()
            }
        })*
    };
}

number_form!(u32, usize);

macro_rules! knobs {
    ($($name:ident, $variable:literal, $meaning:literal;)*) => {
        /// Every setting that can be written as text, but the URL itself and the credentials.
        pub(crate) const KNOBS: &[Knob] = &[$(Knob {
            name: stringify!($name),
            variable: $variable,
            meaning: $meaning,
            apply: |config, name, text, source| {
                let value =
                    TextForm::read(text).map_err(|error| FactoryError::config(name, error))?;
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
