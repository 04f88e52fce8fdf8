//! What is wrong, for a program that reacts to it.

/// What is wrong with TLS. The text of a [`TlsError`](crate::TlsError) has the names and times.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum TlsProblem {
    /// A file or another setting of the client cannot be used.
    Setting,
    /// This program is built without TLS.
    NotBuilt,
    /// The certificate of the server is signed by no key that is trusted.
    Untrusted,
    /// The certificate of the server is for other names than the host's.
    OtherName,
    /// The certificate of the server, or one above it, has expired or is not valid yet.
    NotValidNow,
    /// The certificate of the server is invalid in another way.
    BadCertificate,
    /// The server requires a certificate of the client, and none is set.
    NoClientCertificate,
    /// The server refuses the certificate of the client.
    ClientCertificateRefused,
    /// The server does not speak TLS.
    ServerIsPlain,
    /// The server speaks TLS only, and the client is set to speak without it.
    ServerIsTlsOnly,
    /// The server closed a connection without TLS before it sent anything: it may speak TLS only.
    ServerMayBeTlsOnly,
    /// The server has no version or cipher suite of the client.
    NothingInCommon,
    /// The server speaks TLS, and another protocol over it than the one that is wanted.
    OtherProtocol,
    /// The connection ended during the handshake.
    Ended,
    /// Something else, which the text tells.
    #[default]
    Other,
}

impl TlsProblem {
    /// Every problem, for a program that has a text for each.
    pub const ALL: &[Self] = &[
        Self::Setting,
        Self::NotBuilt,
        Self::Untrusted,
        Self::OtherName,
        Self::NotValidNow,
        Self::BadCertificate,
        Self::NoClientCertificate,
        Self::ClientCertificateRefused,
        Self::ServerIsPlain,
        Self::ServerIsTlsOnly,
        Self::ServerMayBeTlsOnly,
        Self::NothingInCommon,
        Self::OtherProtocol,
        Self::Ended,
        Self::Other,
    ];
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The problem after another one. A new one does not compile until it is here.
    fn next(problem: TlsProblem) -> Option<TlsProblem> {
        use TlsProblem::*;
        Some(match problem {
            Setting => NotBuilt,
            NotBuilt => Untrusted,
            Untrusted => OtherName,
            OtherName => NotValidNow,
            NotValidNow => BadCertificate,
            BadCertificate => NoClientCertificate,
            NoClientCertificate => ClientCertificateRefused,
            ClientCertificateRefused => ServerIsPlain,
            ServerIsPlain => ServerIsTlsOnly,
            ServerIsTlsOnly => ServerMayBeTlsOnly,
            ServerMayBeTlsOnly => NothingInCommon,
            NothingInCommon => OtherProtocol,
            OtherProtocol => Ended,
            Ended => Other,
            Other => return None,
        })
    }

    #[test]
    fn the_list_of_all_problems_has_each() {
        let found: Vec<_> =
            std::iter::successors(Some(TlsProblem::Setting), |at| next(*at)).collect();
        assert_eq!(found, TlsProblem::ALL);
    }
}
