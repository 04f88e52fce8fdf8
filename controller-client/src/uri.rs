//! Addresses of clusters.

use std::{fmt, str::FromStr};

use pravega_sdk_types::{Endpoint, EndpointError, ErrorKind, Printable, classify};

/// The address of a cluster: a scheme and one or more controllers, `scheme://host:port,host:port`.
///
/// # Examples
///
/// ```
/// use pravega_sdk_controller_client::ControllerUri;
///
/// let uri: ControllerUri = "tcp://one:9090,two:9090".parse()?;
/// assert_eq!(uri.endpoints().len(), 2);
/// assert!(!uri.scheme().is_tls());
/// # Ok::<(), pravega_sdk_controller_client::ControllerUriError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ControllerUri {
    scheme: Scheme,
    endpoints: Vec<Endpoint>,
}

/// The transport to the controllers, and whether the list of them is complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// Plain text; the list of controllers is complete.
    Tcp,
    /// With TLS; the list of controllers is complete. Also written `ssl` or `tcps`.
    Tls,
    /// Plain text; the listed controllers return all others.
    Pravega,
    /// With TLS; the listed controllers return all others.
    Pravegas,
}

/// A text that is not the address of a cluster.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ControllerUriError {
    /// The scheme is not known.
    #[error("scheme \"{0}\" is not known; use tcp, tls, ssl, tcps, pravega or pravegas")]
    Scheme(String),
    /// The address has no controller.
    #[error("the controller address names no host")]
    NoEndpoint,
    /// One controller of the list is not an endpoint.
    #[error("entry {index} of the controller address is not host:port: {source}")]
    Endpoint {
        /// Position of the entry, from 1.
        index: usize,
        /// The reason.
        source: EndpointError,
    },
    /// Text follows the list of controllers.
    #[error("\"{0}\" must not follow the controllers of the address")]
    Trailing(String),
}

classify!(ControllerUriError, |_| ErrorKind::InvalidArgument);

/// The maximum number of controllers, far above real clusters, as the list comes from outside.
const MAX_ENDPOINTS: usize = 1000;

impl Scheme {
    /// Returns true if connections use TLS.
    #[must_use]
    pub fn is_tls(self) -> bool {
        matches!(self, Self::Tls | Self::Pravegas)
    }

    /// Returns true if the listed controllers return all others.
    #[must_use]
    pub fn is_discovery(self) -> bool {
        matches!(self, Self::Pravega | Self::Pravegas)
    }

    fn parse(text: &str) -> Option<Self> {
        // Schemes have no case, RFC 3986 §3.1.
        Some(match text.to_ascii_lowercase().as_str() {
            "tcp" => Self::Tcp,
            "tls" | "ssl" | "tcps" => Self::Tls,
            "pravega" => Self::Pravega,
            "pravegas" => Self::Pravegas,
            _ => return None,
        })
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Tls => "tls",
            Self::Pravega => "pravega",
            Self::Pravegas => "pravegas",
        }
    }
}

impl ControllerUri {
    /// Creates an address.
    ///
    /// # Errors
    ///
    /// [`ControllerUriError::NoEndpoint`] if there is no controller.
    pub fn new(
        scheme: Scheme,
        endpoints: impl IntoIterator<Item = Endpoint>,
    ) -> Result<Self, ControllerUriError> {
        let endpoints: Vec<Endpoint> = endpoints.into_iter().take(MAX_ENDPOINTS).collect();
        if endpoints.is_empty() {
            return Err(ControllerUriError::NoEndpoint);
        }
        Ok(Self { scheme, endpoints })
    }

    /// Returns the scheme.
    #[must_use]
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// Returns the controllers; at least one.
    #[must_use]
    pub fn endpoints(&self) -> &[Endpoint] {
        &self.endpoints
    }
}

impl FromStr for ControllerUri {
    type Err = ControllerUriError;

    /// Parses `scheme://host:port,host:port`; the default scheme is `tcp`.
    fn from_str(text: &str) -> Result<Self, ControllerUriError> {
        // Before any part is taken for another one and shown: a password may have any character.
        if let Some((before, _)) = text.split_once('@') {
            let index = before.matches(',').count() + 1;
            return Err(ControllerUriError::Endpoint { index, source: EndpointError::UserInfo });
        }
        let (scheme, rest) = text.split_once("://").unwrap_or(("tcp", text));
        let shown = |text: &str| Printable::with_limit(text, 60).to_string();
        let scheme =
            Scheme::parse(scheme).ok_or_else(|| ControllerUriError::Scheme(shown(scheme)))?;
        let list = match rest.find(['/', '?', '#']) {
            None => rest,
            Some(at) => match rest.split_at(at) {
                (list, "/") => list,
                (_, trailing) => return Err(ControllerUriError::Trailing(shown(trailing))),
            },
        };
        if list.is_empty() {
            return Err(ControllerUriError::NoEndpoint);
        }
        let endpoints = list.split(',').enumerate().map(|(at, entry)| {
            entry.parse().map_err(|source| ControllerUriError::Endpoint { index: at + 1, source })
        });
        Self::new(scheme, endpoints.collect::<Result<Vec<_>, _>>()?)
    }
}

impl fmt::Display for ControllerUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://", self.scheme.as_str())?;
        for (index, endpoint) in self.endpoints.iter().enumerate() {
            write!(f, "{}{endpoint}", if index == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_without_a_scheme_is_tcp_for_names_and_numbers() {
        let texts =
            ["127.0.0.1:9090", "localhost:9090", "tcp://localhost:9090/", "TCP://localhost:9090"];
        for text in texts {
            let uri: ControllerUri = text.parse().unwrap();
            assert_eq!(uri.scheme(), Scheme::Tcp);
        }
    }

    #[test]
    fn errors_name_the_entry_and_never_a_password() {
        let parse = |text: &str| text.parse::<ControllerUri>().unwrap_err();
        assert_eq!(parse("http://h:1"), ControllerUriError::Scheme("http".to_owned()));
        assert_eq!(parse("tcp://"), ControllerUriError::NoEndpoint);
        assert!(matches!(parse("tcp://a:1,b,c:3"), ControllerUriError::Endpoint { index: 2, .. }));
        assert!(matches!(parse("tcp://a:1,"), ControllerUriError::Endpoint { index: 2, .. }));
        assert!(matches!(parse("tcp://a:1/path"), ControllerUriError::Trailing(_)));
        for text in [
            "tcp://user:hunter2@h:1",
            "tcp://user:hunter2/x@h:1",
            "tcp://user:hunter2?x@h:1",
            "tcp://user:hunter2#x@h:1",
            "tcp://user:hunter2,x@h:1",
            "http://user:hunter2@h:1",
            "user:hunter2://x@h:1",
        ] {
            let secret = parse(text);
            assert!(!format!("{secret} {secret:?}").contains("hunter2"), "{text}: {secret}");
        }
    }
}
