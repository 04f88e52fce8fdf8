//! The protocols of the ports.

/// What the clients of a port speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// gRPC, which is HTTP/2.
    Controller,
    /// Pravega's own.
    Store,
    /// HTTP/1.1.
    Rest,
}
