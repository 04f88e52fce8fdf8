//! A TCP proxy between a client and a segment store that decides about each frame.
//!
//! It does what a network and the queues of a store do to frames: an append lingers while the
//! client connects again, an ack is lost. A test gives it a rule, and waits for the frames that it
//! has seen.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use bytes::{Bytes, BytesMut};
use pravega_sdk_wire_protocol::{Decoder, SendBuffer, WireCommand};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
    task::JoinSet,
};

use super::eventually;

/// A connection of the proxy, numbered from 0 in the order of their arrival.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ConnectionNumber(pub usize);

/// The sender of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sender {
    /// The client.
    Client,
    /// The segment store.
    Store,
}

/// A frame that has arrived at the proxy.
#[derive(Debug, Clone)]
pub struct Frame {
    /// The connection that it belongs to.
    pub connection: ConnectionNumber,
    /// The side that it came from.
    pub sender: Sender,
    /// Its command.
    pub command: WireCommand,
}

/// What the proxy does with a frame.
#[derive(Debug)]
pub enum Fate {
    /// It is forwarded.
    Forward,
    /// It waits, and all later ones of its sender and connection with it, until the connection is
    /// [released](FrameProxy::release).
    Hold,
    /// It is not forwarded.
    Lose,
    /// Another is forwarded in its place.
    Replace(Box<WireCommand>),
}

type Rule = Box<dyn FnMut(&Frame) -> Fate + Send>;

/// The proxy. Dropping it ends all its connections.
pub struct FrameProxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    _tasks: JoinSet<()>,
}

struct Shared {
    rule: Mutex<Rule>,
    seen: Mutex<Vec<Frame>>,
    connections: Mutex<Vec<watch::Sender<Control>>>,
    is_refusing: AtomicBool,
}

/// What a test has decided about a connection.
#[derive(Debug, Clone, Copy, Default)]
struct Control {
    /// Frames that were held back go on.
    is_released: bool,
    /// The client's side is closed; the store's side stays.
    is_abandoned: bool,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl FrameProxy {
    /// Starts to forward connections to the segment store at `target`, each frame as `rule` says.
    ///
    /// # Panics
    ///
    /// If no port is free.
    pub async fn start(
        target: SocketAddr,
        rule: impl FnMut(&Frame) -> Fate + Send + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            rule: Mutex::new(Box::new(rule)),
            seen: Mutex::default(),
            connections: Mutex::default(),
            is_refusing: AtomicBool::new(false),
        });
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, target, Arc::clone(&shared)));
        Self { address, shared, _tasks: tasks }
    }

    /// Returns the address that it listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Closes each new connection at once, or stops doing so.
    pub fn refuse(&self, is_refusing: bool) {
        self.shared.is_refusing.store(is_refusing, Ordering::SeqCst);
    }

    /// Closes the client's side of a connection. The store's side stays, with the frames that are
    /// held back.
    pub fn abandon(&self, connection: ConnectionNumber) {
        self.change(connection, |control| control.is_abandoned = true);
    }

    /// Forwards the frames of a connection that are held back, and holds back no more of them.
    pub fn release(&self, connection: ConnectionNumber) {
        self.change(connection, |control| control.is_released = true);
    }

    fn change(&self, connection: ConnectionNumber, change: impl FnOnce(&mut Control)) {
        lock(&self.shared.connections)[connection.0].send_modify(change);
    }

    /// Returns the frames that have arrived so far.
    pub fn seen(&self) -> Vec<Frame> {
        lock(&self.shared.seen).clone()
    }

    /// Waits for a frame for which `is_wanted` returns true, and returns its connection.
    ///
    /// # Panics
    ///
    /// If none arrives by a far deadline.
    pub async fn wait_for(
        &self,
        what: &str,
        is_wanted: impl Fn(&Frame) -> bool,
    ) -> ConnectionNumber {
        let mut found = None;
        eventually(what, async || {
            found = self.seen().iter().find(|frame| is_wanted(frame)).map(|frame| frame.connection);
            found.is_some()
        })
        .await;
        found.unwrap()
    }
}

async fn accept(listener: TcpListener, target: SocketAddr, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        if shared.is_refusing.load(Ordering::SeqCst) {
            continue;
        }
        let shared = Arc::clone(&shared);
        connections.spawn(async move {
            if let Ok(store) = TcpStream::connect(target).await {
                serve(client, store, &shared).await;
            }
        });
    }
}

async fn serve(client: TcpStream, store: TcpStream, shared: &Shared) {
    client.set_nodelay(true).ok();
    store.set_nodelay(true).ok();
    let (control, controlled) = watch::channel(Control::default());
    let connection = {
        let mut connections = lock(&shared.connections);
        connections.push(control);
        ConnectionNumber(connections.len() - 1)
    };
    let (from_client, to_client) = client.into_split();
    let (from_store, to_store) = store.into_split();
    let up = Pump { connection, sender: Sender::Client, control: controlled.clone(), shared };
    let down = Pump { connection, sender: Sender::Store, control: controlled, shared };
    // An error ends its direction only, by closing the socket that it writes to.
    tokio::join!(async { up.run(from_client, to_store).await.ok() }, async {
        down.run(from_store, to_client).await.ok()
    },);
}

/// One direction of a connection.
struct Pump<'p> {
    connection: ConnectionNumber,
    sender: Sender,
    control: watch::Receiver<Control>,
    shared: &'p Shared,
}

impl Pump<'_> {
    async fn run(mut self, mut from: OwnedReadHalf, to: OwnedWriteHalf) -> io::Result<()> {
        let mut to = Some(to);
        let mut received = BytesMut::new();
        loop {
            // What the store sends to a client that is gone is seen, and goes nowhere.
            if self.sender == Sender::Store && self.control.borrow().is_abandoned {
                to = None;
            }
            let frame = tokio::select! {
                frame = next_frame(&mut from, &mut received) => frame,
                Ok(()) = self.control.changed() => continue,
            };
            let (bytes, command) = match frame {
                Ok(Some(frame)) => frame,
                Ok(None) => break,
                Err(_) if self.control.borrow().is_abandoned => break,
                Err(error) => return Err(error),
            };
            let bytes = self.decide(bytes, command).await;
            if let (Some(to), Some(bytes)) = (&mut to, bytes) {
                to.write_all(&bytes).await?;
            }
        }
        // The store does not learn that the client has abandoned the connection.
        if self.sender == Sender::Client && self.control.borrow().is_abandoned {
            std::future::pending::<()>().await;
        }
        Ok(())
    }

    /// Returns what is forwarded in place of a frame, once it may be.
    async fn decide(&mut self, bytes: Bytes, command: WireCommand) -> Option<Bytes> {
        let frame = Frame { connection: self.connection, sender: self.sender, command };
        let fate = lock(&self.shared.rule)(&frame);
        lock(&self.shared.seen).push(frame);
        match fate {
            Fate::Forward => Some(bytes),
            Fate::Lose => None,
            Fate::Replace(other) => {
                let mut encoded = SendBuffer::new();
                other.encode(&mut encoded).unwrap();
                Some(encoded.to_vec().into())
            }
            Fate::Hold => {
                self.control.wait_for(|control| control.is_released).await.ok();
                Some(bytes)
            }
        }
    }
}

/// Reads a whole frame; `None` at the end of the connection.
async fn next_frame(
    from: &mut OwnedReadHalf,
    received: &mut BytesMut,
) -> io::Result<Option<(Bytes, WireCommand)>> {
    const HEADER_LEN: usize = 8;
    let decoder = Decoder::default();
    loop {
        if let Some(header) = decoder.peek(received).map_err(io::Error::other)? {
            let len = HEADER_LEN + header.payload_len;
            if received.len() >= len {
                let bytes = received.split_to(len).freeze();
                let command = decoder.decode_frame(bytes.clone()).map_err(io::Error::other)?;
                return Ok(Some((bytes, command)));
            }
        }
        if from.read_buf(received).await? == 0 {
            return Ok(None);
        }
    }
}
