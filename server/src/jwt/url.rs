//! The addresses from which keys are fetched.

use std::fmt;

use hyper::Uri;

/// The longest address, in bytes.
const LONGEST: usize = 2048;

/// An address of HTTP or HTTPS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Url {
    pub(super) has_tls: bool,
    /// The host, without the brackets of an address of IPv6.
    pub(super) host: String,
    pub(super) port: u16,
    /// The host and the port, as they are written.
    pub(super) authority: String,
    /// The path, and the query.
    pub(super) path: String,
}

impl Url {
    /// Reads an address; fails with what is wrong with it.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        if text.len() > LONGEST {
            return Err(format!("it has more than {LONGEST} bytes"));
        }
        if text.contains('#') {
            return Err("it has a part after `#`, which no server receives".to_owned());
        }
        let uri: Uri = text.parse().map_err(|error| format!("it is no URL: {error}"))?;
        let has_tls = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err("it does not begin with https:// or http://".to_owned()),
        };
        let authority = uri.authority().ok_or("it has no host")?;
        if authority.as_str().contains('@') {
            return Err("it has a user, which is not supported".to_owned());
        }
        let host = authority.host();
        let port = match authority.port_u16() {
            Some(0) => return Err("no server has the port 0".to_owned()),
            Some(port) => port,
            None if authority.as_str() == host => {
                if has_tls {
                    443
                } else {
                    80
                }
            }
            None => return Err("its port is none".to_owned()),
        };
        let plain = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let host = plain.unwrap_or(host).to_owned();
        if host.is_empty() {
            return Err("it has no host".to_owned());
        }
        let path = uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
        Ok(Self { has_tls, host, port, authority: authority.to_string(), path })
    }

    /// The address with a path after its own.
    pub(super) fn then(&self, path: &str) -> Result<Self, String> {
        if self.path.contains('?') {
            return Err("it has a query, after which no path can follow".to_owned());
        }
        Ok(Self { path: format!("{}{path}", self.path.trim_end_matches('/')), ..self.clone() })
    }

    /// Returns true if what is sent leaves this machine in the clear.
    pub(super) fn is_readable_on_the_way(&self) -> bool {
        let is_own = match self.host.parse::<std::net::IpAddr>() {
            Ok(address) => address.is_loopback(),
            Err(_) => self.host == "localhost",
        };
        !self.has_tls && !is_own
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.has_tls { "https" } else { "http" };
        write!(f, "{scheme}://{}{}", self.authority, self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_a_scheme_a_host_and_a_port() {
        for (text, has_tls, host, port, path) in [
            ("https://id.example.com/realms/shop", true, "id.example.com", 443, "/realms/shop"),
            ("http://127.0.0.1:8080/", false, "127.0.0.1", 8080, "/"),
            ("http://[::1]:8080/a?b=c", false, "::1", 8080, "/a?b=c"),
            ("https://[::1]", true, "::1", 443, "/"),
        ] {
            let url = Url::parse(text).unwrap();
            let found = (url.has_tls, &*url.host, url.port, &*url.path);
            assert_eq!(found, (has_tls, host, port, path), "{text}");
            assert!(url.to_string().starts_with(text), "{url}");
        }
        for bad in [
            "",
            "id.example.com",
            "/realms/shop",
            "ftp://id.example.com/",
            "https://",
            "https:///realms",
            "https://user@id.example.com/",
            "https://user:password@id.example.com/",
            "https://id.example.com:/",
            "https://id.example.com:0/",
            "https://id.example.com:65536/",
            "https://id.example.com:x/",
            "https://[::1/",
            "https://id.example.com/#x",
            "https://id example.com/",
            "https://id.example.com/\r\nX: y",
            &format!("https://id.example.com/{}", "x".repeat(LONGEST)),
        ] {
            let why = Url::parse(bad).unwrap_err();
            assert!(!why.contains("password"), "{why}");
        }
    }

    #[test]
    fn a_path_follows_that_of_a_realm_with_one_slash() {
        let then = |text| Url::parse(text).unwrap().then("/x").map(|url| url.to_string());
        assert_eq!(then("https://a/realms/r"), Ok("https://a/realms/r/x".to_owned()));
        assert_eq!(then("https://a/realms/r/"), Ok("https://a/realms/r/x".to_owned()));
        assert_eq!(then("https://a"), Ok("https://a/x".to_owned()));
        assert!(then("https://a?b").is_err());
    }

    #[test]
    fn keys_are_readable_on_the_way_only_without_tls_and_beyond_this_machine() {
        let is_readable = |text| Url::parse(text).unwrap().is_readable_on_the_way();
        assert!(is_readable("http://id.example.com/"));
        assert!(is_readable("http://10.0.0.1/"));
        for safe in ["https://10.0.0.1/", "http://localhost/", "http://127.0.0.1/", "http://[::1]/"]
        {
            assert!(!is_readable(safe), "{safe}");
        }
    }
}
