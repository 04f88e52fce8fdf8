//! What is refused before any call: requests to another host, and requests of two lengths.
//!
//! A web page can give its own name the address of this machine, and then its scripts read what the
//! server responds. Such requests name the page's host. A page cannot pretend to be at an address.

use std::net::IpAddr;

use axum::{
    body::Body,
    http::{HeaderMap, Request, StatusCode, header, uri::Authority},
};

use super::{call::Refusal, socket::Head};

/// The checks of every request.
#[derive(Debug)]
pub(super) struct Screen {
    hosts: Vec<String>,
}

impl Screen {
    /// Accepts requests to these hosts, besides addresses and `localhost`.
    pub(super) fn new(hosts: Vec<String>) -> Self {
        Self { hosts }
    }

    /// Checks a request, whose head is kept as the client sent it: hyper removes the length that a
    /// request has besides its encoding.
    pub(super) fn check(&self, head: &Head, request: &Request<Body>) -> Result<(), Refusal> {
        if head.count("transfer-encoding") > 0 && head.count("content-length") > 0 {
            let why = "a request has Content-Length or Transfer-Encoding, not both";
            return Err(Refusal::new(StatusCode::BAD_REQUEST, why));
        }
        self.check_host(request.headers(), request.uri().authority())
    }

    fn check_host(&self, headers: &HeaderMap, target: Option<&Authority>) -> Result<(), Refusal> {
        let bad = || Refusal::new(StatusCode::BAD_REQUEST, "a request names one valid Host");
        let mut named = headers.get_all(header::HOST).iter();
        let (Some(host), None) = (named.next(), named.next()) else {
            return Err(bad());
        };
        let host: Authority = host.as_bytes().try_into().map_err(|_| bad())?;
        // The host of a target in absolute form is the one that counts; neither may be foreign.
        for host in [Some(&host), target].into_iter().flatten() {
            if host.as_str().contains('@') {
                return Err(bad());
            }
            if !self.is_own(host.host()) {
                let why = "the Host of the request is not this server; use its address, \
                           localhost, or a host that it is configured with";
                return Err(Refusal::new(StatusCode::MISDIRECTED_REQUEST, why));
            }
        }
        Ok(())
    }

    fn is_own(&self, host: &str) -> bool {
        let host = host.strip_suffix('.').unwrap_or(host);
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        bare.parse::<IpAddr>().is_ok()
            || host.eq_ignore_ascii_case("localhost")
            || self.hosts.iter().any(|own| host.eq_ignore_ascii_case(own))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(hosts: &[&str], target: Option<&'static str>) -> Option<StatusCode> {
        let screen = Screen::new(vec!["pravega.example".to_owned()]);
        let mut headers = HeaderMap::new();
        for host in hosts {
            headers.append(header::HOST, host.parse().unwrap());
        }
        let target = target.map(Authority::from_static);
        screen.check_host(&headers, target.as_ref()).err().map(|refusal| refusal.status())
    }

    #[test]
    fn only_addresses_localhost_and_configured_hosts_are_accepted() {
        for own in [
            "127.0.0.1:9091",
            "127.0.0.1",
            "192.168.7.1:80",
            "[::1]:9091",
            "localhost:9091",
            "LocalHost",
            "localhost.",
            "Pravega.Example:9091",
        ] {
            assert_eq!(status(&[own], None), None, "{own}");
            assert_eq!(status(&[own], Some("127.0.0.1")), None, "{own}");
        }
        for foreign in [
            "evil.example",
            "evil.example:9091",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "x.pravega.example",
            "0x7f.1",
        ] {
            let refused = Some(StatusCode::MISDIRECTED_REQUEST);
            assert_eq!(status(&[foreign], None), refused, "{foreign}");
            assert_eq!(status(&["localhost"], Some(foreign)), refused, "{foreign}");
        }
    }

    #[test]
    fn a_request_without_exactly_one_valid_host_is_refused() {
        let bad: [&[&str]; 5] =
            [&[], &["localhost", "localhost"], &[""], &["user@localhost"], &["local host"]];
        for hosts in bad {
            assert_eq!(status(hosts, None), Some(StatusCode::BAD_REQUEST), "{hosts:?}");
        }
    }
}
