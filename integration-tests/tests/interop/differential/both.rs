//! A Java server and an embedded one, which get the same requests.

use std::collections::BTreeSet;

use pravega_sdk_integration_tests::harness;
use pravega_sdk_proto::{
    SegmentId, StreamInfo, controller_service_client::ControllerServiceClient,
};
use pravega_sdk_server::EmbeddedServer;
use tonic::transport::Channel;

/// An intended difference: the step, the field, and the reason.
pub(crate) type Known = (&'static str, &'static str, &'static str);

/// The step and the field in which the servers differed.
pub(crate) type Differences = BTreeSet<(String, String)>;

/// A server, called with the client that `tonic` generates.
pub(crate) struct Server {
    pub(crate) controller: ControllerServiceClient<Channel>,
    _embedded: Option<EmbeddedServer>,
}

impl Server {
    async fn at(url: &str, embedded: Option<EmbeddedServer>) -> Self {
        let channel = Channel::from_shared(url.replace("tcp://", "http://"))
            .unwrap()
            .connect()
            .await
            .unwrap();
        Self { controller: ControllerServiceClient::new(channel), _embedded: embedded }
    }

    /// Returns the addresses of the segment stores.
    pub(crate) async fn store(&self) -> String {
        let info =
            StreamInfo { scope: "scope".into(), stream: "stream".into(), access_operation: 0 };
        let id = SegmentId { stream_info: Some(info), segment_id: 0 };
        let node = self.controller.clone().get_uri(id).await.unwrap().into_inner();
        format!("127.0.0.1:{}", node.port)
    }
}

pub(crate) async fn both() -> (Server, Server) {
    let url =
        std::env::var("PRAVEGA_TEST_CONTROLLER").expect("run this test with `cargo xtask interop`");
    let embedded = harness::builder().start().await.unwrap();
    let embedded_url = embedded.url();
    (Server::at(&url, None).await, Server::at(&embedded_url, Some(embedded)).await)
}

/// Requires that every difference is known, and that every known difference of a step occurs.
pub(crate) fn check(differences: &Differences, known: &[Known]) {
    let is_known = |(name, field): &&(String, String)| {
        known.iter().any(|(at, known, _)| (*at == "*" || at == name) && known == field)
    };
    let unknown: Vec<_> = differences.iter().filter(|difference| !is_known(difference)).collect();
    assert!(unknown.is_empty(), "{} differences are not known: {unknown:#?}", unknown.len());
    let stale = |(at, field, _): &&Known| {
        *at != "*" && !differences.contains(&((*at).to_owned(), (*field).to_owned()))
    };
    let stale: Vec<_> = known.iter().filter(stale).collect();
    assert!(stale.is_empty(), "these differences no longer occur: {stale:#?}");
}
