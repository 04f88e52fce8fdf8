//! TCP connections to servers by name: the look-up, then its addresses, one beside the other.

use std::{future::Future, io, net::SocketAddr, pin::pin, time::Duration};

use futures_util::{StreamExt as _, stream::FuturesUnordered};
use pravega_sdk_types::Endpoint;
use tokio::net::TcpStream;

use crate::{
    clock::Clock,
    machine::{Addresses, Bugs, Dial},
    network::{self, ByteStream, Network},
};

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
    let look_up = network::look_up(endpoint);
    connect(None, Bugs::default(), look_up, network::connect).await
}

/// As [`dial`], with a deadline that covers the look-up.
pub(crate) async fn dial_within(
    limit: Duration,
    bugs: Bugs,
    endpoint: &Endpoint,
    network: &dyn Network,
) -> io::Result<Box<dyn ByteStream>> {
    let dial = |address| network.connect(address);
    connect(Some(limit), bugs, network.look_up(endpoint), dial).await
}

/// Connects as the machine decides.
async fn connect<T, F>(
    limit: Option<Duration>,
    bugs: Bugs,
    look_up: impl Future<Output = io::Result<Vec<SocketAddr>>>,
    dial: impl Fn(SocketAddr) -> F,
) -> io::Result<T>
where
    F: Future<Output = io::Result<T>>,
{
    let clock = Clock::start();
    let mut machine = Addresses::new(limit, clock.now(), bugs);
    let mut look_up = pin!(look_up);
    let mut dials = FuturesUnordered::new();
    let mut failure = None;
    loop {
        match machine.poll(clock.now()) {
            Dial::LookUp { until } => {
                if let Some(found) = clock.within(until, look_up.as_mut()).await {
                    machine.handle_found(found?, clock.now());
                }
            }
            Dial::Address(address) => dials.push(dial(address)),
            Dial::Wait { until } => tokio::select! {
                biased;
                Some(dialled) = dials.next() => match dialled {
                    Ok(connected) => return Ok(connected),
                    Err(error) => {
                        failure = Some(error);
                        machine.handle_failed(clock.now());
                    }
                },
                () = clock.wait(until) => {}
            },
            Dial::Failed => {
                let no_address =
                    || io::Error::new(io::ErrorKind::NotFound, "the name has no address");
                return Err(failure.unwrap_or_else(no_address));
            }
            Dial::Late => {
                let limit = limit.unwrap_or_default();
                let detail = format!("not connected within {limit:?}");
                return Err(io::Error::new(io::ErrorKind::TimedOut, detail));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use tokio::time::{Instant, sleep};

    use super::*;
    use crate::machine::STAGGER;

    const LIMIT: Duration = Duration::from_secs(1);

    async fn connect_within<F: Future<Output = io::Result<u16>>>(
        limit: Duration,
        look_up: impl Future<Output = io::Result<Vec<SocketAddr>>>,
        dial: impl Fn(SocketAddr) -> F,
    ) -> io::Result<u16> {
        connect(Some(limit), Bugs::default(), look_up, dial).await
    }

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
