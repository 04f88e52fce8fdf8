//! Addresses of an issuer: `http` and `https` URLs.

use std::fmt;

use hyper::Uri;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use pravega_sdk_types::{Endpoint, EndpointError};

/// The address of a page of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Location {
    is_tls: bool,
    endpoint: Endpoint,
    /// From the first slash on, with the query.
    path: String,
}

/// A text that is not such an address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum LocationError {
    #[error("it is not a URL; write https://HOST or https://HOST:PORT/PATH")]
    NotAUrl,
    #[error("its scheme is not http or https")]
    Scheme,
    #[error("a URL must not hold a user name or password")]
    UserInfo,
    #[error("a query or fragment has no meaning here")]
    Query,
    #[error("its host or port is wrong: {0}")]
    Host(EndpointError),
}

/// What a segment of a path may not contain as it is: all but the unreserved characters of RFC
/// 3986.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

impl Location {
    /// Reads an address that was discovered, which may have a query.
    pub(crate) fn parse(text: &str) -> Result<Self, LocationError> {
        let (_, rest) = text.split_once("://").ok_or(LocationError::NotAUrl)?;
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        if authority.contains('@') {
            return Err(LocationError::UserInfo);
        }
        let uri: Uri = text.parse().map_err(|_| LocationError::NotAUrl)?;
        let (is_tls, usual) = match uri.scheme_str() {
            Some("https") => (true, 443),
            Some("http") => (false, 80),
            _ => return Err(LocationError::Scheme),
        };
        let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
        // The library has no port for one that is no number.
        let has_port = authority.rsplit_once(':').is_some_and(|(_, port)| !port.ends_with(']'));
        let port = match (uri.port_u16(), has_port) {
            (Some(port), _) => port,
            (None, false) => usual,
            (None, true) => 0,
        };
        let endpoint = Endpoint::new(host, port).map_err(LocationError::Host)?;
        let path = uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
        Ok(Self { is_tls, endpoint, path })
    }

    /// Reads the address below which an issuer has its pages: without query, and without slashes at
    /// the end.
    pub(crate) fn parse_base(text: &str) -> Result<Self, LocationError> {
        if text.contains(['?', '#']) {
            return Err(LocationError::Query);
        }
        let mut base = Self::parse(text)?;
        base.path.truncate(base.path.trim_end_matches('/').len());
        Ok(base)
    }

    /// Returns the address of a page below this one.
    pub(crate) fn join(&self, path: &str) -> Self {
        Self { path: format!("{}/{path}", self.path), ..self.clone() }
    }

    pub(crate) fn is_tls(&self) -> bool {
        self.is_tls
    }

    pub(crate) fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    /// Returns true if the server is on this machine.
    pub(crate) fn is_local(&self) -> bool {
        let host = self.endpoint.host_without_zone();
        host == "localhost"
            || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
    }

    /// Returns the value of the header `Host`.
    pub(crate) fn authority(&self) -> String {
        let host = self.endpoint.host_without_zone();
        let usual = if self.is_tls { 443 } else { 80 };
        let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
        match self.endpoint.port() {
            port if port == usual => host,
            port => format!("{host}:{port}"),
        }
    }
}

/// Encodes a name as a segment of a path.
pub(crate) fn segment(name: &str) -> String {
    utf8_percent_encode(name, SEGMENT).to_string()
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_tls { "https" } else { "http" };
        write!(f, "{scheme}://{}{}", self.authority(), self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_the_port_of_its_scheme_unless_it_names_one() {
        for (text, port, authority) in [
            ("https://host", 443, "host"),
            ("http://host/auth", 80, "host"),
            ("http://host:8080/auth/", 8080, "host:8080"),
            ("https://[::1]:8443", 8443, "[::1]:8443"),
            ("https://[::1]/x", 443, "[::1]"),
            ("https://host:443", 443, "host"),
        ] {
            let location = Location::parse_base(text).unwrap();
            let found = (location.endpoint().port(), location.authority());
            assert_eq!(found, (port, authority.to_owned()), "{text}");
        }
    }

    #[test]
    fn pages_are_below_the_base_whether_it_ends_with_a_slash_or_not() {
        for base in ["http://h:1/auth", "http://h:1/auth/", "http://h:1/auth//"] {
            let page = Location::parse_base(base).unwrap().join("realms/r1");
            assert_eq!(page.to_string(), "http://h:1/auth/realms/r1");
        }
        let root = Location::parse_base("https://h/").unwrap().join("x");
        assert_eq!(root.to_string(), "https://h/x");
        assert_eq!(segment("a b/ü%"), "a%20b%2F%C3%BC%25");
    }

    #[test]
    fn a_text_that_is_no_address_is_refused_with_the_reason_and_without_its_password() {
        use LocationError::{Host, NotAUrl, Query, Scheme, UserInfo};
        for (text, expected) in [
            ("", NotAUrl),
            ("host", NotAUrl),
            ("host:8080/auth", NotAUrl),
            ("https://", NotAUrl),
            ("https://a b", NotAUrl),
            ("ftp://host", Scheme),
            ("https://user:hunter2@host", UserInfo),
            ("https://host?x=1", Query),
            ("https://host/#x", Query),
        ] {
            let error = Location::parse_base(text).unwrap_err();
            assert_eq!(error, expected, "{text}");
            assert!(!error.to_string().contains("hunter2"));
        }
        for text in ["https://host:0", "https://host:99999", "https://host:x"] {
            let refused = Location::parse(text);
            assert!(matches!(refused, Err(Host(_) | NotAUrl)), "{text}: {refused:?}");
        }
    }

    #[test]
    fn a_discovered_address_keeps_its_query() {
        let location = Location::parse("https://host/token?tenant=1").unwrap();
        assert_eq!(location.path(), "/token?tenant=1");
    }

    #[test]
    fn only_addresses_of_this_machine_are_local() {
        for (text, expected) in [
            ("http://localhost", true),
            ("http://127.0.0.2", true),
            ("http://[::1]", true),
            ("http://10.0.0.1", false),
            ("http://localhost.example.com", false),
        ] {
            assert_eq!(Location::parse(text).unwrap().is_local(), expected, "{text}");
        }
    }
}
