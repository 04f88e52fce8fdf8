//! A cluster with one client, and the faults of the matrix.

use std::{
    future::pending,
    io,
    pin::{Pin, pin},
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, Waker},
    time::Duration,
};

use pravega_sdk_controller_client::{Controller, EndpointCache, TokenCache};
use pravega_sdk_event_stream::{EventReader, ReaderConfig, SegmentContext, codec::Utf8};
use pravega_sdk_segment_client::{
    ByteStream, Opening, RawClient, StoreConfig, StoreDialer, StorePool, Transport,
};
use pravega_sdk_simulation::{SimController, SimNetwork, World};
use pravega_sdk_types::{Endpoint, ScopedSegment, ScopedStream, SegmentId};
use pravega_sdk_wire_protocol::{WireCommand, codes::TokenFailure, commands::AuthTokenCheckFailed};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What is in the way of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The address of the store refuses connections; those that were open are reset.
    DeadAddress,
    /// A connection to the store is neither established nor refused; those that were open are
    /// reset.
    HangingConnect,
    /// The store takes bytes and sends none.
    SilentServer,
    /// The store answers keep-alives and greetings, and no request.
    StuckSegment,
    /// Every call of the controller fails, and every connection to the store is reset.
    ControllerAway,
    /// The store refuses every token as expired.
    TokenExpired,
    /// The runtime of the handle has ended.
    RuntimeEnded,
    /// Another reader of the same client, which is not polled, was about to connect.
    OtherUnpolled,
}

pub(crate) const FAULTS: [Fault; 8] = [
    Fault::DeadAddress,
    Fault::HangingConnect,
    Fault::SilentServer,
    Fault::StuckSegment,
    Fault::ControllerAway,
    Fault::TokenExpired,
    Fault::RuntimeEnded,
    Fault::OtherUnpolled,
];

/// A cluster of one store, and the parts of one client.
#[derive(Clone)]
pub(crate) struct Cluster {
    pub(crate) world: World,
    pub(crate) context: SegmentContext,
    pub(crate) network: Network,
    pub(crate) events: ScopedStream,
    pub(crate) bytes: ScopedStream,
    pub(crate) index: ScopedStream,
    unpolled: Arc<Mutex<Option<EventReader<Utf8>>>>,
}

impl Cluster {
    /// A cluster without faults, on the caller's runtime.
    pub(crate) fn new() -> Self {
        let world = World::new(1);
        let stream = |name: &str| {
            let stream: ScopedStream = name.parse().unwrap();
            world.create_stream(&stream, 1);
            stream
        };
        let [events, bytes, index] = ["sim/events", "sim/bytes", "sim/index"].map(stream);
        let network = Network::new(&world);
        let controller = SimController::new(&world, 1, Duration::from_millis(2));
        let controller: Arc<dyn Controller> = Arc::new(controller);
        let pool = StorePool::new(Self::dialer(&network));
        let context = SegmentContext::new(
            Arc::clone(&controller),
            Arc::new(EndpointCache::new(Arc::clone(&controller))),
            Arc::new(TokenCache::new(controller)),
            RawClient::with_pool(pool.clone()),
            pool,
        );
        Self { world, context, network, events, bytes, index, unpolled: Arc::default() }
    }

    pub(crate) fn dialer(network: &Network) -> StoreDialer {
        StoreDialer::with_transport(StoreConfig::default(), Arc::new(network.clone()))
    }

    pub(crate) fn endpoint(&self) -> Endpoint {
        World::endpoint(0)
    }

    pub(crate) fn segment(&self) -> ScopedSegment {
        ScopedSegment::new(&self.events, SegmentId::from(0))
    }

    /// Raises a fault. The end of the runtime is the caller's.
    pub(crate) async fn raise(&self, fault: Fault) {
        match fault {
            Fault::DeadAddress => self.network.set(Mode::Dead),
            Fault::HangingConnect => self.network.set(Mode::Hanging),
            Fault::SilentServer => self.network.set(Mode::Silent),
            Fault::StuckSegment => self.world.set_misbehaviour(Box::new(|reply| match reply {
                WireCommand::Hello(_) | WireCommand::KeepAlive(_) => vec![reply],
                _ => Vec::new(),
            })),
            Fault::ControllerAway => {
                self.network.inner.reset(0);
                self.world.set_controller_away(true);
            }
            Fault::TokenExpired => {
                self.network.inner.reset(0);
                self.world.set_misbehaviour(Box::new(|reply| vec![expired(reply)]));
            }
            Fault::RuntimeEnded => {}
            Fault::OtherUnpolled => self.leave_a_reader().await,
        }
    }

    /// Leaves a reader in the middle of connecting.
    async fn leave_a_reader(&self) {
        self.network.set(Mode::Slow);
        let config = ReaderConfig::default();
        let opened = EventReader::open(self.context.clone(), &self.events, Utf8, config);
        let mut reader = opened.await.unwrap();
        self.network.inner.reset(0);
        for _ in 0..20 {
            let polled = pin!(reader.next()).poll(&mut Context::from_waker(Waker::noop()));
            assert!(polled.is_pending(), "it reads at the tail");
            tokio::task::yield_now().await;
        }
        *self.unpolled.lock().unwrap_or_else(PoisonError::into_inner) = Some(reader);
    }
}

/// Turns a reply into the refusal of the request's token.
fn expired(reply: WireCommand) -> WireCommand {
    let request_id = match &reply {
        WireCommand::Hello(_) | WireCommand::KeepAlive(_) => return reply,
        // As the server does, which has no id of the request there.
        WireCommand::SegmentRead(read) => read.offset,
        other => match other.request_id() {
            Some(id) => id,
            None => return reply,
        },
    };
    let refused = AuthTokenCheckFailed {
        request_id,
        server_stack_trace: "".into(),
        error_code: TokenFailure::Expired,
    };
    refused.into()
}

/// What happens to connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Open,
    Dead,
    Hanging,
    Silent,
    Slow,
}

/// The simulated network with a mode for all connections.
#[derive(Debug, Clone)]
pub(crate) struct Network {
    inner: SimNetwork,
    mode: Arc<Mutex<Mode>>,
}

impl Network {
    fn new(world: &World) -> Self {
        Self { inner: SimNetwork::perfect(world), mode: Arc::new(Mutex::new(Mode::Open)) }
    }

    fn set(&self, mode: Mode) {
        *self.mode.lock().unwrap_or_else(PoisonError::into_inner) = mode;
        if matches!(mode, Mode::Dead | Mode::Hanging) {
            self.inner.reset(0);
        }
    }

    fn mode(&self) -> Mode {
        *self.mode.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Transport for Network {
    fn open<'a>(&'a self, endpoint: &'a Endpoint) -> Opening<'a> {
        Box::pin(async move {
            match self.mode() {
                Mode::Dead => return Err(io::ErrorKind::ConnectionRefused.into()),
                Mode::Hanging => return pending().await,
                Mode::Slow => tokio::time::sleep(Duration::from_secs(1)).await,
                Mode::Open | Mode::Silent => {}
            }
            let inner = self.inner.open(endpoint).await?;
            let gate: Box<dyn ByteStream> = Box::new(Gate { inner, network: self.clone() });
            Ok(gate)
        })
    }
}

/// A connection that may fall silent.
struct Gate {
    inner: Box<dyn ByteStream>,
    network: Network,
}

impl AsyncRead for Gate {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let gate = self.get_mut();
        match gate.network.mode() {
            Mode::Silent => Poll::Pending,
            _ => Pin::new(&mut gate.inner).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Gate {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        let gate = self.get_mut();
        match gate.network.mode() {
            Mode::Silent => Poll::Ready(Ok(data.len())),
            _ => Pin::new(&mut gate.inner).poll_write(cx, data),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_shutdown(cx)
    }
}
