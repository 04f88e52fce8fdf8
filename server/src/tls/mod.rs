//! TLS at the ports of a server.
//!
//! ```text
//! config         which certificate and key: files, or ones that the server makes
//!    │ own       makes them
//! certificates   the pair in use, read again when its files have changed
//!    │
//! handshakes     a client of a port, before it is served
//! ```
//!
//! No type of the TLS library is in the public interface.

mod certificates;
mod config;
mod handshakes;
mod own;

pub use self::config::ServerTls;
pub(crate) use self::{certificates::Certificates, handshakes::Handshakes};
