//! Clients whose connections to segment stores go through a proxy.

use std::{net::SocketAddr, sync::Arc};

use pravega_sdk_client_factory::ClientFactory;
use pravega_sdk_controller_client::TokenCache;
use pravega_sdk_event_stream::SegmentContext;
use pravega_sdk_segment_client::{
    ByteStream, Opening, RawClient, StoreConfig, StoreDialer, StorePool, Transport,
};
use pravega_sdk_types::{Endpoint, ScopedSegment, ScopedStream, SegmentId};
use tokio::net::TcpStream;

/// Every connection goes to one address, whatever the controller says.
#[derive(Debug)]
struct Through(SocketAddr);

impl Transport for Through {
    fn open<'a>(&'a self, _: &'a Endpoint) -> Opening<'a> {
        Box::pin(async {
            let socket = TcpStream::connect(self.0).await?;
            socket.set_nodelay(true)?;
            Ok(Box::new(socket) as Box<dyn ByteStream>)
        })
    }
}

/// Returns the parts of `factory`, with connections of their own, which all go to `address`.
pub fn through(factory: &ClientFactory, address: SocketAddr) -> SegmentContext {
    through_with(factory, address, Arc::clone(factory.tokens()))
}

/// As [`through`], with a cache of tokens in place of that of `factory`.
pub fn through_with(
    factory: &ClientFactory,
    address: SocketAddr,
    tokens: Arc<TokenCache>,
) -> SegmentContext {
    let dialer = StoreDialer::with_transport(StoreConfig::default(), Arc::new(Through(address)));
    let pool = StorePool::new(dialer);
    SegmentContext::new(
        Arc::clone(factory.controller()),
        Arc::clone(factory.endpoints()),
        tokens,
        RawClient::with_pool(pool.clone()),
        pool,
    )
}

/// Returns the address of the segment store that has the first segment of a stream.
pub async fn store_of(factory: &ClientFactory, stream: &ScopedStream) -> SocketAddr {
    let segment = ScopedSegment::new(stream, SegmentId::from(0));
    let endpoint = factory.controller().segment_endpoint(&segment).await.unwrap();
    let mut found = tokio::net::lookup_host((endpoint.host(), endpoint.port())).await.unwrap();
    found.next().unwrap()
}
