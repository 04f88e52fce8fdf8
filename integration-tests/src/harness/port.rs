//! Ports that no other process takes while a test runs.
//!
//! A port that was bound to 0 and released again may be given to the next connection of any
//! process. Both kinds here are safe from that.

use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener},
    sync::atomic::{AtomicU16, Ordering},
};

use tokio::net::TcpSocket;

/// The first candidate, far below the ports that Linux gives to outgoing connections.
const FIRST: u16 = 20_000;
const CANDIDATES: u16 = 10_000;

/// Returns a port for a server that starts more than once: free now, and never given to an outgoing
/// connection.
pub fn lasting() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Processes that run at the same time begin at different candidates.
    let start = (std::process::id() % u32::from(CANDIDATES)) as u16;
    (0..CANDIDATES)
        .map(|_| {
            let next = NEXT.fetch_add(1, Ordering::Relaxed);
            FIRST + (start.wrapping_add(next)) % CANDIDATES
        })
        .find(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok())
        .expect("no port is free")
}

/// A port that refuses connections while this value exists.
pub struct Refusing(TcpSocket);

impl Refusing {
    /// Binds a socket and does not listen on it.
    pub fn bind() -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        Self(socket)
    }

    /// Returns the address that refuses connections.
    pub fn address(&self) -> SocketAddr {
        self.0.local_addr().unwrap()
    }
}
