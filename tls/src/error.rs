//! Errors of TLS.

use std::fmt;

use pravega_sdk_types::{Cause, ErrorKind, Failure, Outcome, Wording, error_type};

use crate::TlsProblem;

error_type! {
    /// TLS that cannot be set up. Nothing was sent but the handshake.
    ///
    /// The kind is [`Config`](ErrorKind::Config) for files and settings that cannot be used, and
    /// for every use of TLS in a build without it, [`Tls`](ErrorKind::Tls) for a peer that is
    /// refused or refuses, and [`ConnectionLost`](ErrorKind::ConnectionLost) for a connection that
    /// ended during the handshake, or before the peer sent anything.
    pub struct TlsError {
        setting: Option<&'static str>,
        problem: TlsProblem,
    }
    wording: Wording::new("");
    accessors: ;
}

impl TlsError {
    /// Returns the setting that is wrong, if one is: `trust_store`, `client_certificate`,
    /// `client_key` or `server_name`.
    #[must_use]
    pub fn setting(&self) -> Option<&'static str> {
        self.setting
    }

    /// Returns what is wrong, for a program that reacts to it.
    #[must_use]
    pub fn problem(&self) -> TlsProblem {
        self.problem
    }

    /// A connection without TLS to a server that speaks TLS only.
    #[must_use]
    pub fn speaks_only_tls() -> Self {
        Self::of(ErrorKind::Tls, "the server speaks TLS, and the client is set to speak without it")
            .with_problem(TlsProblem::ServerIsTlsOnly)
    }

    /// A connection without TLS that the server ended before it sent anything, as the Java server
    /// does if it speaks TLS only. A server that ends, or something on the way to it, does the
    /// same, so this is a cause of a failure and never decides what follows from it. `cause` is
    /// what else is known.
    #[must_use]
    pub fn may_speak_only_tls(cause: Option<Cause>) -> Self {
        let detail = "the server closed the connection before it sent anything; its port may speak \
                      TLS only, and the client is set to speak without it";
        let failure = Failure::new(ErrorKind::ConnectionLost, Outcome::NotApplied, detail);
        Self::from(failure.with_shared_source(cause)).with_problem(TlsProblem::ServerMayBeTlsOnly)
    }

    pub(crate) fn with_problem(self, problem: TlsProblem) -> Self {
        Self { problem, ..self }
    }

    pub(crate) fn of(kind: ErrorKind, detail: impl fmt::Display) -> Self {
        Failure::new(kind, Outcome::NotApplied, detail).into()
    }

    #[cfg(feature = "_rustls")]
    pub(crate) fn config(setting: &'static str, detail: impl fmt::Display) -> Self {
        let error = Self::of(ErrorKind::Config, detail).with_problem(TlsProblem::Setting);
        Self { setting: Some(setting), ..error }
    }
}
