//! The handshake of a client, before it is served.

use std::{fmt, io, path::Path, sync::Arc};

use rustls::{ServerConfig, server::NoServerSessionStorage};
use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use super::{certificates::Certificates, config::MADE};
use crate::{
    configured::Unusable,
    limits::{FIRST_WORD, TLS_BUFFER},
    ports::Seat,
    protocol::Protocol,
    turns::Turns,
};

/// Makes the handshakes of a port.
#[derive(Clone)]
pub(crate) struct Handshakes {
    certificates: Arc<Certificates>,
    config: Arc<ServerConfig>,
    turns: Turns,
}

impl fmt::Debug for Handshakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Handshakes").field(&self.certificates).finish()
    }
}

impl Handshakes {
    /// Handshakes with the clients of a protocol.
    pub(crate) fn new(
        certificates: &Arc<Certificates>,
        protocol: Protocol,
        turns: Turns,
    ) -> Result<Self, Unusable> {
        let builder = ServerConfig::builder_with_provider(certificates.provider())
            .with_safe_default_protocol_versions()
            .map_err(|error| Unusable::new(Path::new(MADE), error.to_string()))?;
        let resolver = Arc::clone(certificates);
        let mut config = builder.with_no_client_auth().with_cert_resolver(resolver);
        config.alpn_protocols = match protocol {
            Protocol::Controller => vec![b"h2".to_vec()],
            Protocol::Store => Vec::new(),
            Protocol::Rest => vec![b"http/1.1".to_vec()],
        };
        // A session that is resumed would have the certificate of the one before.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        let certificates = Arc::clone(certificates);
        Ok(Self { certificates, config: Arc::new(config), turns })
    }

    /// Makes a handshake; `None` if the client does not, or has to leave.
    ///
    /// It has as long as a client that says nothing. Its seat is one that was never used, so it
    /// leaves first if others want one.
    pub(crate) async fn make(
        &self,
        socket: TcpStream,
        seat: &Seat,
    ) -> Option<Box<TlsStream<TcpStream>>> {
        let acceptor = TlsAcceptor::from(Arc::clone(&self.config));
        let accepting = acceptor
            .accept_with(socket, |connection| connection.set_buffer_limit(Some(TLS_BUFFER)));
        // Signatures are work for the client.
        let accepting = self.turns.account().meter(accepting);
        let making = async {
            self.certificates.refresh().await;
            timeout(FIRST_WORD, accepting).await
        };
        let accepted = tokio::select! {
            accepted = making => accepted,
            () = seat.cut() => return None,
        };
        match accepted {
            Ok(Ok(stream)) => return Some(Box::new(stream)),
            Ok(Err(error)) => tracing::debug!(why = reason(&error), %error, "no handshake"),
            Err(_) => tracing::debug!("a handshake takes too long"),
        }
        None
    }
}

/// What a failed handshake says of the client.
fn reason(error: &io::Error) -> &'static str {
    let library = error.get_ref().and_then(|source| source.downcast_ref::<rustls::Error>());
    match library {
        Some(rustls::Error::InvalidMessage(_)) => "the client does not speak TLS",
        Some(rustls::Error::AlertReceived(_)) => "the client refuses the certificate",
        Some(rustls::Error::NoApplicationProtocol) => "the client wants another protocol",
        Some(rustls::Error::PeerIncompatible(_)) => "the client has no version or cipher of it",
        _ => "the client left",
    }
}

#[cfg(test)]
mod tests {
    use tokio::{net::TcpListener, time::Instant};
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::{
        ports::{Clients, Port},
        tls::ServerTls,
    };

    fn handshakes() -> Handshakes {
        let certificates = Arc::new(Certificates::open(&ServerTls::made_in_memory()).unwrap());
        Handshakes::new(&certificates, Protocol::Store, Turns::of_runtime()).unwrap()
    }

    async fn connected() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap());
        let (client, accepted) = tokio::join!(client, listener.accept());
        (client.unwrap(), accepted.unwrap().0)
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_client_has_ten_seconds_for_its_handshake() {
        let (_silent, socket) = connected().await;
        let seat = Port::new("test", 1, Clients::Any).seat(&CancellationToken::new()).unwrap();
        let begun = Instant::now();
        assert!(handshakes().make(socket, &seat).await.is_none());
        assert!(begun.elapsed() >= FIRST_WORD && begun.elapsed() < 2 * FIRST_WORD);
    }

    #[tokio::test]
    async fn a_client_that_makes_no_handshake_leaves_when_its_seat_is_wanted() {
        let (_silent, socket) = connected().await;
        let cut = CancellationToken::new();
        let seat = Port::new("test", 1, Clients::Any).seat(&cut).unwrap();
        cut.cancel();
        assert!(handshakes().make(socket, &seat).await.is_none());
    }
}
