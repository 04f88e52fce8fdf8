//! TCP connections to servers by name: the look-up, then its addresses, one beside the other.

use std::{
    future::{Future, pending},
    io,
    net::SocketAddr,
    time::Duration,
};

use futures_util::{StreamExt as _, stream::FuturesUnordered};
use pravega_sdk_types::Endpoint;
use tokio::{
    net::{TcpStream, lookup_host},
    time::{sleep, timeout},
};

/// The next address of a name is tried beside the one before it after this long, as RFC 8305
/// recommends.
const STAGGER: Duration = Duration::from_millis(250);
/// Number of addresses of a name that are tried. The list comes from outside.
const MAX_ADDRESSES: usize = 16;

/// Connects to the first address of a server that answers, without a deadline.
///
/// Controllers and segment stores are connected to by the same rules.
///
/// # Errors
///
/// That of the look-up, or of the last address that failed.
///
/// # Cancel safety
///
/// Dropping the future ends all attempts.
#[doc(hidden)]
pub async fn dial(endpoint: &Endpoint) -> io::Result<TcpStream> {
    no_delay(connect(look_up(endpoint), TcpStream::connect).await?)
}

/// As [`dial`], with a deadline that covers the look-up.
pub(crate) async fn dial_within(limit: Duration, endpoint: &Endpoint) -> io::Result<TcpStream> {
    no_delay(connect_within(limit, look_up(endpoint), TcpStream::connect).await?)
}

fn no_delay(socket: TcpStream) -> io::Result<TcpStream> {
    socket.set_nodelay(true)?;
    Ok(socket)
}

async fn look_up(endpoint: &Endpoint) -> io::Result<Vec<SocketAddr>> {
    let found = lookup_host((endpoint.host(), endpoint.port())).await?;
    Ok(found.take(MAX_ADDRESSES).collect())
}

/// Connects to the first address that answers, all within `limit`.
async fn connect_within<T, F>(
    limit: Duration,
    look_up: impl Future<Output = io::Result<Vec<SocketAddr>>>,
    dial: impl Fn(SocketAddr) -> F,
) -> io::Result<T>
where
    F: Future<Output = io::Result<T>>,
{
    match timeout(limit, connect(look_up, dial)).await {
        Ok(connected) => connected,
        Err(_) => {
            let detail = format!("not connected within {limit:?}");
            Err(io::Error::new(io::ErrorKind::TimedOut, detail))
        }
    }
}

async fn connect<T, F>(
    look_up: impl Future<Output = io::Result<Vec<SocketAddr>>>,
    dial: impl Fn(SocketAddr) -> F,
) -> io::Result<T>
where
    F: Future<Output = io::Result<T>>,
{
    first_of(look_up.await?, dial).await
}

/// Dials the addresses in order, each when the one before it failed or is slow.
async fn first_of<T, F>(addresses: Vec<SocketAddr>, dial: impl Fn(SocketAddr) -> F) -> io::Result<T>
where
    F: Future<Output = io::Result<T>>,
{
    let mut addresses = addresses.into_iter();
    let mut dials = FuturesUnordered::new();
    let mut failure = None;
    loop {
        dials.extend(addresses.next().map(&dial));
        if dials.is_empty() {
            let no_address = || io::Error::new(io::ErrorKind::NotFound, "the name has no address");
            return Err(failure.unwrap_or_else(no_address));
        }
        let has_next = addresses.len() > 0;
        let pause = async { if has_next { sleep(STAGGER).await } else { pending().await } };
        tokio::select! {
            biased;
            Some(dialled) = dials.next() => match dialled {
                Ok(connected) => return Ok(connected),
                Err(error) => failure = Some(error),
            },
            () = pause => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::ready;

    use tokio::time::Instant;

    use super::*;

    const LIMIT: Duration = Duration::from_secs(1);

    /// Addresses by their last number: 1 answers, 2 refuses, 3 is silent.
    async fn dial(address: SocketAddr) -> io::Result<u16> {
        match address.port() {
            1 => Ok(address.port()),
            2 => Err(io::ErrorKind::ConnectionRefused.into()),
            _ => pending().await,
        }
    }

    fn addresses(ports: &[u16]) -> io::Result<Vec<SocketAddr>> {
        Ok(ports.iter().map(|port| SocketAddr::from(([127, 0, 0, 1], *port))).collect())
    }

    #[tokio::test(start_paused = true)]
    async fn the_deadline_of_a_connection_covers_the_look_up() {
        let started = Instant::now();
        let error = connect_within(LIMIT, pending(), dial).await.unwrap_err();
        assert_eq!((error.kind(), started.elapsed()), (io::ErrorKind::TimedOut, LIMIT));
        let slow = async {
            sleep(LIMIT / 2).await;
            addresses(&[3])
        };
        let error = connect_within(LIMIT, slow, dial).await.unwrap_err();
        assert_eq!((error.kind(), started.elapsed()), (io::ErrorKind::TimedOut, LIMIT * 2));
    }

    #[tokio::test(start_paused = true)]
    async fn every_address_of_a_name_is_tried_and_a_silent_one_holds_up_no_other() {
        let cases: [(&[u16], Duration); 4] = [
            (&[1], Duration::ZERO),
            (&[2, 1], Duration::ZERO),
            (&[3, 1], STAGGER),
            (&[3, 2, 3, 1], STAGGER * 2),
        ];
        for (ports, expected) in cases {
            let started = Instant::now();
            let connected = connect_within(LIMIT, ready(addresses(ports)), dial).await;
            assert_eq!((connected.unwrap(), started.elapsed()), (1, expected), "{ports:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_failure_is_the_error_if_no_address_answers() {
        let cases: [(&[u16], io::ErrorKind); 3] = [
            (&[], io::ErrorKind::NotFound),
            (&[2, 2], io::ErrorKind::ConnectionRefused),
            (&[2, 3], io::ErrorKind::TimedOut),
        ];
        for (ports, expected) in cases {
            let error = connect_within(LIMIT, ready(addresses(ports)), dial).await.unwrap_err();
            assert_eq!(error.kind(), expected, "{ports:?}");
        }
        let failed = ready(Err(io::ErrorKind::Other.into()));
        assert_eq!(
            connect_within(LIMIT, failed, dial).await.unwrap_err().kind(),
            io::ErrorKind::Other
        );
    }
}
