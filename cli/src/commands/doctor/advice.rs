//! What to do about a failure of TLS, or of an account.

use std::error::Error;

use pravega_sdk::tls::{TlsError, TlsProblem};

/// The server that a check is about.
#[derive(Clone, Copy)]
pub(super) enum Peer {
    Controller,
    SegmentStore,
}

/// Returns what is wrong with TLS, if that is the cause of an error.
pub(super) fn tls_problem(error: &(dyn Error + 'static)) -> Option<TlsProblem> {
    let mut next = Some(error);
    while let Some(cause) = next {
        if let Some(error) = cause.downcast_ref::<TlsError>() {
            return Some(error.problem());
        }
        next = cause.source();
    }
    None
}

/// Returns the fix of a problem with TLS.
pub(super) fn of_tls(problem: TlsProblem, peer: Peer) -> &'static str {
    match (problem, peer) {
        (TlsProblem::Setting, _) => {
            "correct that setting; `pravega doctor --settings` shows its source"
        }
        (TlsProblem::NotBuilt, _) => "build this tool with the feature tls-ring",
        (TlsProblem::Untrusted, _) => {
            "give --ca the PEM file of the authority that signs the certificates of the cluster; \
             for `pravega dev --tls` it is server.crt of its folder"
        }
        (TlsProblem::OtherName, Peer::Controller) => {
            "put a host name of the certificate into the URL, or have one made for this host"
        }
        (TlsProblem::OtherName, Peer::SegmentStore) => {
            "have a certificate made for the address under which the segment store is published"
        }
        (TlsProblem::NotValidNow, _) => {
            "have the certificate renewed; if it should be valid, correct the clock of this machine"
        }
        (TlsProblem::BadCertificate, _) => "have another certificate made for the server",
        (TlsProblem::NoClientCertificate, _) => {
            "give --cert and --key: the cluster lets in only clients with a certificate"
        }
        (TlsProblem::ClientCertificateRefused, _) => {
            "give --cert and --key a certificate for clients that the authority of the cluster has \
             signed"
        }
        (TlsProblem::ServerIsPlain, Peer::Controller) => {
            "use the scheme tcp or pravega, or have TLS switched on at the server"
        }
        (TlsProblem::ServerIsPlain, Peer::SegmentStore) => {
            "set tls_to_segment_store=off, or have TLS switched on at the segment store"
        }
        (TlsProblem::ServerIsTlsOnly, Peer::Controller) => "use the scheme tls or pravegas",
        (TlsProblem::ServerIsTlsOnly, Peer::SegmentStore) => "set tls_to_segment_store=on",
        (TlsProblem::NothingInCommon, _) => {
            "have TLS 1.2 or 1.3 switched on at the server, with a cipher suite of today"
        }
        (TlsProblem::OtherProtocol, _) => {
            "correct the port: what listens there speaks TLS, but is no controller"
        }
        (TlsProblem::Ended, _) => {
            "check port and scheme: the server may not speak TLS, or something on the way to it \
             closes connections"
        }
        _ => "see the log of the server",
    }
}

/// Returns the fix of credentials of a method that were refused.
pub(super) fn of_credentials(method: &str) -> &'static str {
    match method {
        "Basic" => {
            "check --user and --password-file, or what `pravega auth status` shows: the cluster \
             has no such user, or another password for it"
        }
        "Bearer" => {
            "check --token-file: the token may have expired, or the cluster does not accept tokens"
        }
        _ => "check the credentials: the cluster may not know their method",
    }
}
