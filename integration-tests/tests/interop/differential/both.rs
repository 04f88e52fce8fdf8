//! A Java server and an embedded one, to be asked the same.

use std::collections::BTreeSet;

use pravega_sdk_proto::{
    SegmentId, StreamInfo, controller_service_client::ControllerServiceClient,
};
use pravega_sdk_server::EmbeddedServer;
use tonic::transport::Channel;

/// A difference that is meant: the step, the field, and why.
pub(crate) type Known = (&'static str, &'static str, &'static str);

/// Where the servers differed: the step and the field.
pub(crate) type Differences = BTreeSet<(String, String)>;

/// A server, by the client that `tonic` makes.
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

    /// Where the segment stores are.
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
    let embedded = EmbeddedServer::builder().start().await.unwrap();
    let embedded_url = embedded.url();
    (Server::at(&url, None).await, Server::at(&embedded_url, Some(embedded)).await)
}

/// Every difference is known, and every one that is known for a step shows.
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
    assert!(stale.is_empty(), "these differences do not show any more: {stale:#?}");
}
