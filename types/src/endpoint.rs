//! Addresses of servers.

use std::{fmt, net::Ipv6Addr, str::FromStr, sync::Arc};

use crate::{ErrorKind, Printable, classify};

/// A host and a port; the text form is `host:port`, with brackets around an IPv6 address, which may
/// have a zone, as in `[fe80::1%eth0]:9090`.
///
/// # Examples
///
/// ```
/// use pravega_sdk_types::Endpoint;
///
/// let endpoint: Endpoint = "[::1]:9090".parse()?;
/// assert_eq!((endpoint.host(), endpoint.port()), ("::1", 9090));
/// assert_eq!(endpoint.to_string(), "[::1]:9090");
/// # Ok::<(), pravega_sdk_types::EndpointError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Endpoint {
    host: Arc<str>,
    port: u16,
}

/// A text that is not an endpoint.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// There is no host.
    #[error("\"{0}\" has no host")]
    NoHost(String),
    /// There is no port.
    #[error("\"{0}\" has no port; write host:port")]
    NoPort(String),
    /// The port is not a number from 1 to 65535.
    #[error("port \"{port}\" of \"{text}\" is not a number from 1 to 65535")]
    Port {
        /// The port.
        port: String,
        /// The whole text.
        text: String,
    },
    /// A bracket is not closed, or what it holds is not an IPv6 address.
    #[error("\"{0}\" has brackets that do not hold an IPv6 address")]
    Brackets(String),
    /// The host has a character that is not allowed.
    #[error("host \"{host}\" has '{character}' at index {index}")]
    HostCharacter {
        /// The host.
        host: String,
        /// The character.
        character: char,
        /// Its position, counted in characters from 0.
        index: usize,
    },
    /// The address has credentials, which this error does not repeat.
    #[error("an address must not hold a user name or password; give credentials separately")]
    UserInfo,
}

classify!(EndpointError, |_| ErrorKind::InvalidArgument);

impl Endpoint {
    /// Creates an endpoint.
    ///
    /// # Errors
    ///
    /// [`EndpointError`] names the part that is wrong; port 0 is refused.
    pub fn new(host: &str, port: u16) -> Result<Self, EndpointError> {
        check_host(host)?;
        if port == 0 {
            return Err(EndpointError::Port { port: "0".to_owned(), text: shown(host) });
        }
        Ok(Self { host: Arc::from(host), port })
    }

    /// Returns the host: a name or an address, without brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Returns the host without the zone of an IPv6 address, as certificates and URIs name it. The
    /// zone is a network interface of this machine.
    #[must_use]
    pub fn host_without_zone(&self) -> &str {
        self.host.split_once('%').map_or(&*self.host, |(address, _)| address)
    }

    /// Returns the port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Returns true if the host is the address of every interface, at which a server listens but
    /// other machines do not reach it.
    #[must_use]
    pub fn is_unspecified(&self) -> bool {
        let address = self.host_without_zone().parse::<std::net::IpAddr>();
        address.is_ok_and(|address| address.is_unspecified())
    }
}

fn shown(text: &str) -> String {
    Printable::with_limit(text, 200).to_string()
}

/// Returns true for an IPv6 address, with or without a zone.
fn is_ipv6(host: &str) -> bool {
    let (address, zone) = match host.split_once('%') {
        Some((address, zone)) => (address, Some(zone)),
        None => (host, None),
    };
    // The characters of a zone in a URI, RFC 6874.
    let allowed = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'.' | b'-' | b'_' | b'~');
    let is_zone = |zone: &str| !zone.is_empty() && zone.bytes().all(allowed);
    address.parse::<Ipv6Addr>().is_ok() && zone.is_none_or(is_zone)
}

fn check_host(host: &str) -> Result<(), EndpointError> {
    if host.is_empty() {
        return Err(EndpointError::NoHost(String::new()));
    }
    if is_ipv6(host) {
        return Ok(());
    }
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    match host.chars().enumerate().find(|(_, c)| !allowed(*c)) {
        Some((index, character)) => {
            Err(EndpointError::HostCharacter { host: shown(host), character, index })
        }
        None => Ok(()),
    }
}

impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, EndpointError> {
        if text.contains('@') {
            return Err(EndpointError::UserInfo);
        }
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (host, tail) =
                    rest.split_once(']').ok_or_else(|| EndpointError::Brackets(shown(text)))?;
                if !is_ipv6(host) {
                    return Err(EndpointError::Brackets(shown(text)));
                }
                (host, tail.strip_prefix(':').ok_or_else(|| EndpointError::NoPort(shown(text)))?)
            }
            None => text.rsplit_once(':').ok_or_else(|| EndpointError::NoPort(shown(text)))?,
        };
        if host.is_empty() {
            return Err(EndpointError::NoHost(shown(text)));
        }
        if port.is_empty() {
            return Err(EndpointError::NoPort(shown(text)));
        }
        let number = port.bytes().all(|b| b.is_ascii_digit()).then(|| port.parse().ok()).flatten();
        match number {
            Some(port @ 1_u16..) => Self::new(host, port),
            _ => Err(EndpointError::Port { port: shown(port), text: shown(text) }),
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Endpoint({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_part_that_is_wrong_has_its_own_error() {
        let parse = |text: &str| text.parse::<Endpoint>().unwrap_err();
        assert!(matches!(parse("host"), EndpointError::NoPort(_)));
        assert!(matches!(parse("host:"), EndpointError::NoPort(_)));
        assert!(matches!(parse(":9090"), EndpointError::NoHost(_)));
        assert!(matches!(parse("host:0"), EndpointError::Port { .. }));
        assert!(matches!(parse("host:65536"), EndpointError::Port { .. }));
        assert!(matches!(parse("host:+1"), EndpointError::Port { .. }));
        assert!(matches!(parse("[::1"), EndpointError::Brackets(_)));
        assert!(matches!(parse("[host]:1"), EndpointError::Brackets(_)));
        assert!(matches!(parse("[::1]"), EndpointError::NoPort(_)));
        assert!(matches!(
            parse("a b:1"),
            EndpointError::HostCharacter { character: ' ', index: 1, .. }
        ));
        assert_eq!(parse("user:secret@host:1"), EndpointError::UserInfo);
        assert!(!parse("user:secret@host:1").to_string().contains("secret"));
    }

    #[test]
    fn an_ipv6_address_may_have_a_zone() {
        let endpoint: Endpoint = "[fe80::1%eth0.5]:9090".parse().unwrap();
        assert_eq!((endpoint.host(), endpoint.host_without_zone()), ("fe80::1%eth0.5", "fe80::1"));
        assert_eq!(endpoint.to_string(), "[fe80::1%eth0.5]:9090");
        assert_eq!(Endpoint::new("::1%lo", 1).unwrap().to_string(), "[::1%lo]:1");
        let plain: Endpoint = "localhost:1".parse().unwrap();
        assert_eq!(plain.host_without_zone(), "localhost");
        for text in ["[::1%]:1", "[%lo]:1", "[host%lo]:1", "[::1%a b]:1", "[::1%a%b]:1"] {
            assert!(matches!(text.parse::<Endpoint>(), Err(EndpointError::Brackets(_))), "{text}");
        }
        assert!("host%lo:1".parse::<Endpoint>().is_err());
    }

    #[test]
    fn addresses_of_every_interface_are_known() {
        assert!("0.0.0.0:1".parse::<Endpoint>().unwrap().is_unspecified());
        assert!("[::]:1".parse::<Endpoint>().unwrap().is_unspecified());
        assert!(!"localhost:1".parse::<Endpoint>().unwrap().is_unspecified());
    }
}
