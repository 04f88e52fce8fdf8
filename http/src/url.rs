//! Addresses: `http` and `https` URLs.

use std::{borrow::Cow, fmt, net::IpAddr};

use hyper::Uri;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use pravega_sdk_types::{Endpoint, EndpointError, ErrorKind, classify};

/// The longest address, in bytes.
const MAX_LEN: usize = 2048;

/// What a segment of a path may not contain as it is: all but the unreserved characters of RFC
/// 3986.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The address of a page of a server.
///
/// Its text form hides the query, which may be a secret.
///
/// # Examples
///
/// ```
/// use pravega_sdk_http::Url;
///
/// let base = Url::parse_base("https://id.example.com/auth/")?;
/// let page = base.join("realms").join_name("my shop");
/// assert_eq!(page.to_string(), "https://id.example.com/auth/realms/my%20shop");
/// # Ok::<(), pravega_sdk_http::UrlError>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Url {
    scheme: Scheme,
    endpoint: Endpoint,
    /// The path, and the query. A base without a path has none.
    target: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scheme {
    Http,
    Https,
}

impl Scheme {
    fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    fn port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

/// A text that is not such an address. It shows no user, password or query.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// It is not a URL.
    #[error("it is not a URL; write https://HOST or https://HOST:PORT/PATH")]
    NotAUrl,
    /// It has another scheme.
    #[error("its scheme is not http or https")]
    Scheme,
    /// It has a user name or a password.
    #[error("a URL must not hold a user name or password")]
    UserInfo,
    /// It has a query, after which no path can follow.
    #[error("a query has no meaning here")]
    Query,
    /// It has a fragment, which no server receives.
    #[error("a fragment, the part after `#`, has no meaning here")]
    Fragment,
    /// It is too long.
    #[error("it has more than {MAX_LEN} bytes")]
    TooLong,
    /// Its host or port is wrong.
    #[error("its host or port is wrong: {0}")]
    Host(#[source] EndpointError),
    /// A page with `https` names an address with `http`.
    #[error("it is http, and is named by a page with https")]
    Downgrade,
}

classify!(UrlError, |_| ErrorKind::InvalidArgument);

impl Url {
    /// Reads an address, which may have a query.
    ///
    /// # Errors
    ///
    /// [`UrlError`] says what is wrong.
    pub fn parse(text: &str) -> Result<Self, UrlError> {
        if text.len() > MAX_LEN {
            return Err(UrlError::TooLong);
        }
        // The library lets some of the others through.
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(UrlError::NotAUrl);
        }
        if text.contains('#') {
            return Err(UrlError::Fragment);
        }
        let (_, rest) = text.split_once("://").ok_or(UrlError::NotAUrl)?;
        let authority = rest.split(['/', '?']).next().unwrap_or_default();
        if authority.contains('@') {
            return Err(UrlError::UserInfo);
        }
        // A zone of IPv6, which is a matter of one machine.
        if authority.contains('%') {
            return Err(UrlError::NotAUrl);
        }
        let uri: Uri = text.parse().map_err(|_| UrlError::NotAUrl)?;
        let scheme = match uri.scheme_str() {
            Some("https") => Scheme::Https,
            Some("http") => Scheme::Http,
            _ => return Err(UrlError::Scheme),
        };
        let has_port = authority.rsplit_once(':').is_some_and(|(_, port)| !port.ends_with(']'));
        let authority = match has_port {
            true => Cow::Borrowed(authority),
            false => Cow::Owned(format!("{authority}:{}", scheme.port())),
        };
        let endpoint = authority.parse::<Endpoint>().map_err(|error| match rest.contains('@') {
            // What is taken for the host may be a part of a password that has a slash.
            true => UrlError::UserInfo,
            false => UrlError::Host(error),
        })?;
        let target = match uri.path_and_query().map_or("/", |target| target.as_str()) {
            query if query.starts_with('?') => format!("/{query}"),
            target => target.to_owned(),
        };
        Ok(Self { scheme, endpoint, target })
    }

    /// Reads the address below which a server has its pages: without a query, and without slashes
    /// at the end.
    ///
    /// # Errors
    ///
    /// [`UrlError`] says what is wrong.
    pub fn parse_base(text: &str) -> Result<Self, UrlError> {
        let mut base = Self::parse(text)?;
        if base.target.contains('?') {
            return Err(UrlError::Query);
        }
        base.target.truncate(base.target.trim_end_matches('/').len());
        Ok(base)
    }

    /// Reads an address that the page at this one names.
    ///
    /// # Errors
    ///
    /// [`UrlError`] says what is wrong: [`UrlError::Downgrade`] for an `http` address if this one
    /// is `https`.
    pub fn follow(&self, text: &str) -> Result<Self, UrlError> {
        let named = Self::parse(text)?;
        if self.is_tls() && !named.is_tls() {
            return Err(UrlError::Downgrade);
        }
        Ok(named)
    }

    /// Returns the address of a page below this one, without its query.
    #[must_use]
    pub fn join(&self, path: &str) -> Self {
        let base = self.path().trim_end_matches('/');
        Self { target: format!("{base}/{path}"), ..self.clone() }
    }

    /// Returns the address of the page below this one that has a name of any characters.
    #[must_use]
    pub fn join_name(&self, name: &str) -> Self {
        self.join(&utf8_percent_encode(name, SEGMENT).to_string())
    }

    /// Returns true if it is `https`.
    #[must_use]
    pub fn is_tls(&self) -> bool {
        self.scheme == Scheme::Https
    }

    /// Returns true if the server is on this machine.
    #[must_use]
    pub fn is_local(&self) -> bool {
        let host = self.endpoint.host();
        host.eq_ignore_ascii_case("localhost")
            || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
    }

    /// Returns the host and the port.
    #[must_use]
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Returns the host and the port as the header `Host` has them: without the port that is usual
    /// for the scheme.
    #[must_use]
    pub fn authority(&self) -> String {
        if self.endpoint.port() != self.scheme.port() {
            return self.endpoint.to_string();
        }
        match self.endpoint.host() {
            address if address.contains(':') => format!("[{address}]"),
            name => name.to_owned(),
        }
    }

    /// Returns the path with the query, as it is sent.
    #[must_use]
    pub fn target(&self) -> &str {
        match self.target.as_str() {
            "" => "/",
            target => target,
        }
    }

    fn path(&self) -> &str {
        self.target.split_once('?').map_or(self.target.as_str(), |(path, _)| path)
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path();
        write!(f, "{}://{}{path}", self.scheme.name(), self.authority())?;
        if path.len() < self.target.len() {
            f.write_str("?…")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Url({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_a_scheme_a_host_a_port_and_a_path() {
        for (text, is_tls, host, port, target) in [
            ("https://id.example.com/realms/shop", true, "id.example.com", 443, "/realms/shop"),
            ("http://127.0.0.1:8080/", false, "127.0.0.1", 8080, "/"),
            ("http://[::1]:8080/a?b=c", false, "::1", 8080, "/a?b=c"),
            ("https://[::1]", true, "::1", 443, "/"),
            ("HTTPS://Host:1", true, "Host", 1, "/"),
            ("http://host?a=@b:c", false, "host", 80, "/?a=@b:c"),
            ("http://host//other/@x", false, "host", 80, "//other/@x"),
        ] {
            let url = Url::parse(text).unwrap();
            let found = (url.is_tls(), url.endpoint().host(), url.endpoint().port(), url.target());
            assert_eq!(found, (is_tls, host, port, target), "{text}");
        }
    }

    #[test]
    fn the_host_is_sent_without_the_usual_port_and_with_the_brackets_of_ipv6() {
        for (text, authority) in [
            ("https://host", "host"),
            ("https://host:443", "host"),
            ("http://host:443", "host:443"),
            ("https://host:80/", "host:80"),
            ("https://[::1]/x", "[::1]"),
            ("https://[::1]:8443", "[::1]:8443"),
        ] {
            assert_eq!(Url::parse(text).unwrap().authority(), authority, "{text}");
        }
    }

    #[test]
    fn a_text_that_is_no_address_is_refused_with_the_reason() {
        use UrlError::{Fragment, NotAUrl, Scheme, TooLong, UserInfo};
        let long = format!("https://host/{}", "x".repeat(MAX_LEN));
        for (text, expected) in [
            ("", NotAUrl),
            ("host", NotAUrl),
            ("/realms/shop", NotAUrl),
            ("host:8080/auth", NotAUrl),
            ("https://", NotAUrl),
            ("https:///realms", NotAUrl),
            ("https://a b", NotAUrl),
            ("https://[::1/", NotAUrl),
            ("https://[fe80::1%25eth0]/", NotAUrl),
            ("https://höst/", NotAUrl),
            ("https://host\\other/", NotAUrl),
            ("https://host/\r\nX: y", NotAUrl),
            ("https://host/\u{7f}", NotAUrl),
            ("ftp://host", Scheme),
            ("file:///etc/passwd", NotAUrl),
            ("https://user@host", UserInfo),
            ("https://@host", UserInfo),
            ("https://host/#x", Fragment),
            ("https://host#@other/", Fragment),
            (&long, TooLong),
        ] {
            assert_eq!(Url::parse(text).unwrap_err(), expected, "{text}");
        }
        for text in [
            "https://host:",
            "https://host:/",
            "https://host:0",
            "https://host:65536",
            "https://host:x",
            "https://host:+1",
            "https://[host]/",
            "https://ho!st/",
        ] {
            let refused = Url::parse(text);
            assert!(matches!(refused, Err(UrlError::Host(_) | NotAUrl)), "{text}: {refused:?}");
        }
    }

    #[test]
    fn neither_a_password_nor_a_query_is_shown() {
        for text in [
            "https://user:hunter2@host/",
            "https://user:hunter2/x@host/",
            "https://user:hunter2?x@host/",
            "https://user:hunter2#x@host/",
            "user:hunter2@host",
            "ftp://user:hunter2@host",
        ] {
            let error = Url::parse(text).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{text}: {error:?}");
        }
        let url = Url::parse("https://host/keys?key=hunter2").unwrap();
        assert_eq!(format!("{url} {url:?}"), "https://host/keys?… Url(https://host/keys?…)");
    }

    #[test]
    fn pages_are_below_the_base_whether_it_ends_with_a_slash_or_not() {
        for base in ["http://h:1/auth", "http://h:1/auth/", "http://h:1/auth//"] {
            let base = Url::parse_base(base).unwrap();
            assert_eq!(base.to_string(), "http://h:1/auth");
            assert_eq!(base.join("realms/r1").to_string(), "http://h:1/auth/realms/r1");
        }
        let root = Url::parse_base("https://h/").unwrap();
        assert_eq!((root.to_string().as_str(), root.target()), ("https://h", "/"));
        assert_eq!(root.join("x").target(), "/x");
        assert_eq!(root.join_name("a b/ü%?#").target(), "/a%20b%2F%C3%BC%25%3F%23");
        assert_eq!(Url::parse("https://h/a/?b").unwrap().join("c").target(), "/a/c");
        assert_eq!(Url::parse_base("https://h/?x=1"), Err(UrlError::Query));
        assert_eq!(Url::parse_base("https://h/#x"), Err(UrlError::Fragment));
    }

    #[test]
    fn a_page_with_https_leads_to_https_alone() {
        let [secure, open] =
            ["https://h/page", "http://h/page"].map(|url| Url::parse(url).unwrap());
        let follow = |from: &Url, text: &str| from.follow(text).map(|url| url.to_string());
        for from in [&secure, &open] {
            let other = "https://other/x";
            assert_eq!(follow(from, other), Ok(other.to_owned()));
            assert_eq!(follow(from, "/x"), Err(UrlError::NotAUrl));
            assert_eq!(follow(from, "https://u:p@h/x"), Err(UrlError::UserInfo));
        }
        assert_eq!(follow(&secure, "http://h/x"), Err(UrlError::Downgrade));
        assert_eq!(follow(&open, "http://h/x"), Ok("http://h/x".to_owned()));
    }

    #[test]
    fn only_addresses_of_this_machine_are_local() {
        for (text, expected) in [
            ("http://localhost", true),
            ("http://LocalHost:80", true),
            ("http://127.0.0.2", true),
            ("http://[::1]", true),
            ("http://10.0.0.1", false),
            ("http://[fe80::1]", false),
            ("http://localhost.example.com", false),
        ] {
            assert_eq!(Url::parse(text).unwrap().is_local(), expected, "{text}");
        }
    }
}
