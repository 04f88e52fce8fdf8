//! One client that misbehaves: where the server is, what the client made, and what it counts.

use std::{
    collections::BTreeSet,
    net::Ipv4Addr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::{Context as _, Result};
use pravega_sdk_proto::controller_service_client::ControllerServiceClient;
use tokio::{
    io::AsyncReadExt as _,
    net::{TcpSocket, TcpStream},
    time::timeout,
};
use tonic::transport::{Channel, Endpoint};

/// How long a client waits for one answer.
pub(super) const ANSWER: Duration = Duration::from_secs(30);
/// The longest answer of the controller that a client takes.
const LONGEST_ANSWER: usize = 256 << 20;
/// The send buffer of a connection, in bytes. On the loopback interface a call that sends also does
/// the receiver's part, and a kernel without preemption does not interrupt it: with the system's
/// buffers of megabytes, a client that floods has a core for milliseconds, whatever its priority.
const SEND_BUFFER: u32 = 256 << 10;

/// The ports of the server, all on 127.0.0.1.
#[derive(Debug, Clone, Copy)]
pub(super) struct Target {
    pub(super) controller: u16,
    pub(super) store: u16,
    pub(super) rest: u16,
}

impl Target {
    /// Returns one of the three ports.
    pub(super) fn port(self, number: usize) -> u16 {
        match number % 3 {
            0 => self.controller,
            1 => self.store,
            _ => self.rest,
        }
    }
}

/// What the clients of a kind did, and how the server responded.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// Requests, connections, or whatever the kind does many of.
    pub(super) attempts: AtomicU64,
    /// Replies that are no refusals.
    pub(super) answered: AtomicU64,
    /// Replies that are.
    pub(super) refused: AtomicU64,
    /// Connections that the server ended.
    pub(super) ended: AtomicU64,
    /// Rounds that took too long.
    pub(super) hung: AtomicU64,
    /// Segments and scopes that may exist, so that they can be deleted.
    made: Mutex<BTreeSet<Made>>,
}

/// What a client made.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Made {
    Segment(String),
    Scope(String),
}

impl Tally {
    /// Returns the figures, in the order of the report.
    pub(super) fn figures(&self) -> [u64; 5] {
        [&self.attempts, &self.answered, &self.refused, &self.ended, &self.hung]
            .map(|figure| figure.load(Ordering::Relaxed))
    }

    fn made(&self, what: Made) {
        self.made.lock().unwrap_or_else(PoisonError::into_inner).insert(what);
    }

    /// Takes what was made.
    pub(super) fn take_made(&self) -> BTreeSet<Made> {
        std::mem::take(&mut *self.made.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A client that misbehaves.
#[derive(Debug, Clone)]
pub(super) struct Attacker {
    pub(super) target: Target,
    pub(super) kind: &'static str,
    /// Its number among the clients of its kind.
    pub(super) number: usize,
    pub(super) random: fastrand::Rng,
    tally: Arc<Tally>,
}

impl Attacker {
    pub(super) fn new(
        target: Target,
        kind: &'static str,
        number: usize,
        tally: &Arc<Tally>,
    ) -> Self {
        let seed = kind.bytes().fold(number as u64, |seed, byte| seed * 31 + u64::from(byte));
        let random = fastrand::Rng::with_seed(seed);
        Self { target, kind, number, random, tally: Arc::clone(tally) }
    }

    /// Returns the same client with random values of its own.
    pub(super) fn fork(&mut self) -> Self {
        Self { random: self.random.fork(), ..self.clone() }
    }

    /// Returns the name of a segment of this client, outside the streams of the controller.
    pub(super) fn segment(&self, number: usize) -> String {
        let segment = format!("attack/{}-{}/{number}.#epoch.0", self.kind, self.number);
        self.tally.made(Made::Segment(segment.clone()));
        segment
    }

    /// Notes that a segment may exist.
    pub(super) fn made_segment(&self, segment: &str) {
        self.tally.made(Made::Segment(segment.to_owned()));
    }

    /// Returns the name of a scope of this client.
    pub(super) fn scope(&self) -> String {
        let scope = format!("attack-{}-{}", self.kind, self.number);
        self.tally.made(Made::Scope(scope.clone()));
        scope
    }

    pub(super) fn attempt(&self) {
        self.attempts(1);
    }

    pub(super) fn attempts(&self, count: usize) {
        self.tally.attempts.fetch_add(count as u64, Ordering::Relaxed);
    }

    pub(super) fn answered(&self) {
        self.tally.answered.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn refused(&self) {
        self.tally.refused.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn ended(&self) {
        self.tally.ended.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts the result of a call of the controller.
    pub(super) fn count<T>(&self, result: Result<tonic::Response<T>, tonic::Status>) -> Option<T> {
        self.attempt();
        match result {
            Ok(response) => {
                self.answered();
                Some(response.into_inner())
            }
            Err(_) => {
                self.refused();
                None
            }
        }
    }

    /// Connects to a port.
    pub(super) async fn connect(&self, port: u16) -> Result<TcpStream> {
        self.attempt();
        let socket = TcpSocket::new_v4()?;
        socket.set_send_buffer_size(SEND_BUFFER)?;
        let connecting = socket.connect((Ipv4Addr::LOCALHOST, port).into());
        let socket = timeout(ANSWER, connecting).await.context("no connection in time")?;
        Ok(socket.inspect_err(|_| self.refused())?)
    }

    /// Connects to the controller with a client that follows the rules of gRPC.
    pub(super) async fn controller(&self) -> Result<ControllerServiceClient<Channel>> {
        let endpoint =
            Endpoint::from_shared(format!("http://127.0.0.1:{}", self.target.controller))?
                .connect_timeout(ANSWER)
                .timeout(ANSWER);
        self.attempt();
        let channel = endpoint.connect().await.inspect_err(|_| self.refused())?;
        Ok(ControllerServiceClient::new(channel).max_decoding_message_size(LONGEST_ANSWER))
    }

    /// Reads what the server sends until it ends the connection, or for a time; counts the end.
    pub(super) async fn read_to_the_end(&self, socket: &mut TcpStream, within: Duration) -> u64 {
        let mut piece = vec![0; 64 << 10];
        let mut all = 0;
        let reading = async {
            loop {
                match socket.read(&mut piece).await {
                    Ok(0) | Err(_) => break,
                    Ok(read) => all += read as u64,
                }
            }
        };
        if timeout(within, reading).await.is_ok() {
            self.ended();
        }
        all
    }
}
