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
