//! The texts of failed handshakes: what is wrong, and which names or times were compared.

use std::time::{Duration, SystemTime};

use pravega_sdk_types::ErrorKind;
use rustls::{
    AlertDescription, CertificateError, Error, InvalidMessage, OtherError, PeerIncompatible,
};
use rustls_pki_types::UnixTime;

use crate::{
    TlsError, TlsProblem,
    verifier::{Intermediates, Refusal},
};

/// The peer of a handshake, as far as its texts need it.
#[derive(Debug, Clone)]
pub(crate) struct Peer {
    /// The name that its certificate is checked for.
    pub(crate) name: String,
    /// True if the client presents a certificate.
    pub(crate) knows_client: bool,
    /// The protocol that is offered, if one is.
    pub(crate) protocol: Option<&'static [u8]>,
}

impl TlsError {
    /// A failure of the TLS library.
    pub(crate) fn of_library(error: &Error, peer: &Peer) -> Self {
        let detail = format!("TLS failed: {}", explain(error, peer));
        Self::of(ErrorKind::Tls, detail).with_problem(problem(error, peer))
    }
}

fn problem(error: &Error, peer: &Peer) -> TlsProblem {
    match error {
        Error::InvalidMessage(InvalidMessage::InvalidContentType) => TlsProblem::ServerIsPlain,
        Error::InvalidMessage(InvalidMessage::UnknownProtocolVersion)
        | Error::PeerIncompatible(_)
        | Error::AlertReceived(
            AlertDescription::ProtocolVersion
            | AlertDescription::HandshakeFailure
            | AlertDescription::InsufficientSecurity,
        ) => TlsProblem::NothingInCommon,
        Error::InvalidCertificate(reason) => certificate_problem(reason),
        Error::NoCertificatesPresented => TlsProblem::BadCertificate,
        Error::AlertReceived(AlertDescription::NoApplicationProtocol) => TlsProblem::OtherProtocol,
        Error::AlertReceived(AlertDescription::UnrecognisedName) => TlsProblem::OtherName,
        Error::AlertReceived(alert) if is_of_client(*alert) => match peer.knows_client {
            true => TlsProblem::ClientCertificateRefused,
            false => TlsProblem::NoClientCertificate,
        },
        _ => TlsProblem::Other,
    }
}

fn certificate_problem(reason: &CertificateError) -> TlsProblem {
    match reason {
        CertificateError::UnknownIssuer => TlsProblem::Untrusted,
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            TlsProblem::OtherName
        }
        CertificateError::Expired
        | CertificateError::ExpiredContext { .. }
        | CertificateError::NotValidYet
        | CertificateError::NotValidYetContext { .. } => TlsProblem::NotValidNow,
        CertificateError::Other(OtherError(other)) => match other.downcast_ref() {
            Some(
                Refusal::SelfSigned | Refusal::UnknownIssuer { .. } | Refusal::OtherKey { .. },
            ) => TlsProblem::Untrusted,
            Some(Refusal::Above(reason)) => certificate_problem(reason),
            Some(Refusal::ShortKey { .. }) | None => TlsProblem::BadCertificate,
        },
        _ => TlsProblem::BadCertificate,
    }
}

/// Returns true if a server says with an alert what it thinks of the client's certificate.
fn is_of_client(alert: AlertDescription) -> bool {
    matches!(
        alert,
        AlertDescription::CertificateRequired
            | AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateUnknown
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateRevoked
            | AlertDescription::UnknownCA
            | AlertDescription::AccessDenied
    )
}

const OLD: &str = "the server speaks neither TLS 1.2 nor TLS 1.3";

fn explain(error: &Error, peer: &Peer) -> String {
    match error {
        Error::InvalidMessage(InvalidMessage::InvalidContentType) => {
            "the server does not speak TLS".to_owned()
        }
        Error::InvalidMessage(InvalidMessage::UnknownProtocolVersion) => OLD.to_owned(),
        Error::InvalidMessage(
            InvalidMessage::CertificatePayloadTooLarge | InvalidMessage::HandshakePayloadTooLarge,
        ) => "the server's certificate, with those above it, is longer than 64 KiB".to_owned(),
        Error::InvalidMessage(message) => {
            format!("the server sent a message that is not of TLS: {message:?}")
        }
        Error::InvalidCertificate(reason) => certificate(reason, peer),
        Error::NoCertificatesPresented => "the server presents no certificate".to_owned(),
        Error::PeerIncompatible(
            PeerIncompatible::ServerDoesNotSupportTls12Or13
            | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig,
        ) => OLD.to_owned(),
        Error::PeerIncompatible(reason) => {
            format!("client and server have no common parameters: {reason:?}")
        }
        Error::AlertReceived(alert) => self::alert(*alert, peer),
        Error::PeerMisbehaved(reason) => format!("the server broke the TLS protocol: {reason:?}"),
        other => other.to_string(),
    }
}

fn certificate(reason: &CertificateError, peer: &Peer) -> String {
    let its = "the server's certificate";
    match reason {
        CertificateError::BadEncoding => format!("{its} is not readable"),
        CertificateError::ExpiredContext { time, not_after } => {
            let (expired, now) = (shown(*not_after), shown(*time));
            format!("{its} expired at {expired}; the time here is {now}")
        }
        CertificateError::Expired => format!("{its} has expired"),
        CertificateError::NotValidYetContext { time, not_before } => {
            let (begin, now) = (shown(*not_before), shown(*time));
            format!("{its} is not valid before {begin}; the time here is {now}")
        }
        CertificateError::NotValidYet => format!("{its} is not valid yet"),
        CertificateError::Revoked => format!("{its} is revoked"),
        CertificateError::UnknownIssuer => {
            format!("{its} is issued by an authority that is not trusted")
        }
        CertificateError::BadSignature => {
            format!("{its} is not signed by the key of its issuer, or not of the server's key")
        }
        CertificateError::UnsupportedSignatureAlgorithmContext {
            signature_algorithm_id, ..
        } if is_sha1(signature_algorithm_id) => {
            format!("{its}, or one above it, is signed with SHA-1 or MD5, which can be forged")
        }
        CertificateError::UnsupportedSignatureAlgorithmContext { .. }
        | CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => {
            format!(
                "{its}, or one above it, has a signature algorithm or a key that is too weak, \
                     or not known"
            )
        }
        CertificateError::NotValidForNameContext { presented, .. } => {
            let names: Vec<&str> = presented.iter().map(|name| plain(name)).collect();
            let name = &peer.name;
            match &names[..] {
                [] => format!("{its} is for no host name; the host is {name}"),
                names => format!("{its} is for {}; the host is {name}", names.join(", ")),
            }
        }
        CertificateError::NotValidForName => format!("{its} is not for the host {}", peer.name),
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            format!("{its} is not for servers: its extended key usage lacks serverAuth")
        }
        CertificateError::Other(OtherError(other)) => {
            match (other.downcast_ref(), other.downcast_ref()) {
                (Some(refusal), _) => format!("{its} {}", refused(refusal)),
                (None, Some(reason)) => format!("{its} {}", chain(reason)),
                (None, None) => format!("{its} is invalid: {other}"),
            }
        }
        other => format!("{its} is refused: {other}"),
    }
}

/// Returns true if a signature was made with a digest for which another text can be found: those of
/// PKCS #1 and of ECDSA.
fn is_sha1(algorithm: &[u8]) -> bool {
    const PKCS1: &[u8] = &[0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 1, 1];
    const ECDSA_SHA1: &[u8] = &[0x2A, 0x86, 0x48, 0xCE, 0x3D, 4, 1];
    // The identifier may come with its tag and length.
    let ends = |end: &[u8]| algorithm.windows(end.len()).any(|window| window == end);
    let pkcs1 = |last: u8| ends(&[PKCS1, &[last]].concat());
    // MD5 is 4, SHA-1 is 5; 10 to 14 are what they were replaced by.
    ends(ECDSA_SHA1) || pkcs1(4) || pkcs1(5)
}

/// What was found out about a certificate that is refused.
fn refused(refusal: &Refusal) -> String {
    let shown = |issuer: &Option<String>| match issuer {
        Some(name) => format!("\"{name}\""),
        None => "one without a name".to_owned(),
    };
    match refusal {
        Refusal::SelfSigned => "is self-signed and not in the trust store".to_owned(),
        Refusal::UnknownIssuer { issuer, sent: Intermediates::None } => format!(
            "is issued by an authority that is not trusted: {}; if that one is below a trusted \
             authority, the server must send its certificate too",
            shown(issuer)
        ),
        Refusal::UnknownIssuer { issuer, sent: Intermediates::Some } => {
            format!("is issued by an authority that is not trusted: {}", shown(issuer))
        }
        Refusal::OtherKey { issuer } => format!(
            "is not signed by the key of its issuer: that of {} in the trust store is another \
             one; it may be from before the issuer, or the server's certificate, was made again",
            shown(issuer)
        ),
        Refusal::ShortKey { bits } => {
            format!("has, or one above it has, an RSA key of {bits} bits; 2048 are the least")
        }
        Refusal::Above(CertificateError::ExpiredContext { time, not_after }) => format!(
            "is below one that expired at {}; the time here is {}",
            self::shown(*not_after),
            self::shown(*time)
        ),
        Refusal::Above(CertificateError::NotValidYetContext { time, not_before }) => format!(
            "is below one that is not valid before {}; the time here is {}",
            self::shown(*not_before),
            self::shown(*time)
        ),
        Refusal::Above(other) => format!("is below one that is refused: {other}"),
    }
}

/// What is wrong with a certificate, or with one above it.
fn chain(reason: &webpki::Error) -> String {
    match reason {
        webpki::Error::CaUsedAsEndEntity => "is that of an authority, not of a server".to_owned(),
        webpki::Error::EndEntityUsedAsCa => {
            "is issued by one that is not of an authority".to_owned()
        }
        webpki::Error::NameConstraintViolation => {
            "has a name that its authority may not sign".to_owned()
        }
        webpki::Error::PathLenConstraintViolated => {
            "has more authorities above it than these allow".to_owned()
        }
        webpki::Error::UnsupportedCriticalExtension => {
            "has a critical extension that is not known".to_owned()
        }
        webpki::Error::MaximumPathDepthExceeded => {
            "has more authorities above it than the seven that are followed".to_owned()
        }
        webpki::Error::MaximumPathBuildCallsExceeded
        | webpki::Error::MaximumSignatureChecksExceeded
        | webpki::Error::MaximumNameConstraintComparisonsExceeded => {
            "comes with too many others to check them all".to_owned()
        }
        reason => format!("is invalid: {reason}"),
    }
}

fn alert(alert: AlertDescription, peer: &Peer) -> String {
    let client = if peer.knows_client {
        "the server refuses the client's certificate"
    } else {
        "the server requires a certificate of the client, and none is set"
    };
    match alert {
        AlertDescription::ProtocolVersion => OLD.to_owned(),
        AlertDescription::CertificateRequired => client.to_owned(),
        AlertDescription::CertificateExpired if peer.knows_client => {
            format!("{client}: it has expired, or is not valid yet")
        }
        AlertDescription::UnknownCA if peer.knows_client => {
            format!("{client}: its authority is not trusted there")
        }
        AlertDescription::CertificateRevoked if peer.knows_client => {
            format!("{client}: it is revoked")
        }
        AlertDescription::UnsupportedCertificate if peer.knows_client => {
            format!("{client}: it is not for clients, or of a kind that is not known there")
        }
        alert if is_of_client(alert) => format!("{client} ({alert:?})"),
        AlertDescription::NoApplicationProtocol => match peer.protocol {
            Some(b"http/1.1") => "the server does not speak HTTP/1.1".to_owned(),
            _ => "the server does not speak HTTP/2, so it is no controller".to_owned(),
        },
        AlertDescription::UnrecognisedName => {
            format!("the server has no certificate for {}", peer.name)
        }
        AlertDescription::HandshakeFailure | AlertDescription::InsufficientSecurity => format!(
            "the server accepts none of the client's cipher suites and keys, or requires a \
             certificate of the client ({alert:?})"
        ),
        other => format!("the server gave up with the alert {other:?}"),
    }
}

/// Names come as `DnsName("a")` or `IpAddress(127.0.0.1)`.
fn plain(name: &str) -> &str {
    let inner = name.split_once('(').map_or(name, |(_, inner)| inner);
    inner.trim_end_matches(')').trim_matches('"')
}

fn shown(time: UnixTime) -> String {
    let time = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(time.as_secs()));
    match time {
        // The text form has years of four digits.
        Some(time) if time < SystemTime::UNIX_EPOCH + Duration::from_secs(253_402_300_800) => {
            humantime::format_rfc3339_seconds(time).to_string()
        }
        _ => "a time after the year 9999".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_a_certificate_are_shown_without_their_type() {
        for (name, expected) in
            [("DnsName(\"a.b\")", "a.b"), ("IpAddress(127.0.0.1)", "127.0.0.1"), ("c", "c")]
        {
            assert_eq!(plain(name), expected);
        }
    }

    #[test]
    fn every_time_can_be_shown() {
        let at = |seconds| shown(UnixTime::since_unix_epoch(Duration::from_secs(seconds)));
        assert_eq!(at(0), "1970-01-01T00:00:00Z");
        assert_eq!(at(u64::MAX), "a time after the year 9999");
    }
}
