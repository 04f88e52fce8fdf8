//! The table of settings: the name of each in a URL and in the environment, and its text form.

use std::{num::ParseIntError, path::PathBuf, str::FromStr, time::Duration};

use crate::{ClientConfig, FactoryError, Setting, Source, TlsMode, config::OptionalFile};

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
    #[error("{0:?} is not a duration: {1}; write a number and a unit, such as 500ms or 30s")]
    Duration(String, humantime::DurationError),
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
        humantime::parse_duration(text)
            .map_err(|error| ValueError::Duration(text.to_owned(), error))
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
        self.as_ref().map_or("of the system".to_owned(), |path| path.display().to_string())
    }
}

impl TextForm for OptionalFile {
    fn read(text: &str) -> Result<Self, ValueError> {
        Option::<PathBuf>::read(text).map(Self)
    }

    fn write(&self) -> String {
        self.0.as_ref().map_or("none".to_owned(), |path| path.display().to_string())
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
        /// Every setting with a text form, except the URL and the credentials.
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
    tls_to_controller, "PRAVEGA_TLS_TO_CONTROLLER",
        "TLS to controllers: auto follows the scheme";
    tls_to_segment_store, "PRAVEGA_TLS_TO_SEGMENT_STORE",
        "TLS to segment stores: auto follows the scheme";
    trust_store, "PRAVEGA_TRUST_STORE", "PEM file of the trusted certificates";
    client_certificate, "PRAVEGA_CLIENT_CERTIFICATE",
        "PEM file of the client's certificate, for servers that ask for one";
    client_key, "PRAVEGA_CLIENT_KEY",
        "PEM file of the client's private key, if it is not in the file of the certificate";
    connect_timeout, "PRAVEGA_CONNECT_TIMEOUT", "timeout for establishing a connection";
    handshake_timeout, "PRAVEGA_HANDSHAKE_TIMEOUT", "timeout of the handshake with a segment store";
    request_timeout, "PRAVEGA_REQUEST_TIMEOUT", "timeout of a request to a segment store";
    call_timeout, "PRAVEGA_CALL_TIMEOUT", "timeout of a controller call with all its attempts";
    attempt_timeout, "PRAVEGA_ATTEMPT_TIMEOUT", "timeout of one attempt of a controller call";
    retry_attempts, "PRAVEGA_RETRY_ATTEMPTS",
        "number of attempts of a controller call, the first included";
    retry_initial_delay, "PRAVEGA_RETRY_INITIAL_DELAY",
        "maximum wait before the second attempt; each later one is ten times that";
    retry_max_delay, "PRAVEGA_RETRY_MAX_DELAY", "maximum wait between two attempts";
    max_in_flight, "PRAVEGA_MAX_IN_FLIGHT", "maximum number of requests in flight on a connection";
    max_in_flight_bytes, "PRAVEGA_MAX_IN_FLIGHT_BYTES",
        "maximum number of bytes of requests in flight on a connection";
}
