//! Drives the discovery of the controllers.

use pravega_sdk_proto::ServerRequest;
use pravega_sdk_types::Endpoint;
use tokio::task::JoinHandle;

use super::{attempt::attempt, convert, message::Message, nodes::Nodes};
use crate::{
    ControllerError,
    machine::{Discover, MAX_DISCOVERED, NodesMachine, Now, Via},
};

impl Nodes {
    /// Fetches the list of controllers if that is due. The first call waits for the answer, until
    /// then if there is a time; later ones use the known list meanwhile.
    pub(super) async fn discover(&self, until: Option<Now>) {
        if let Some(discovery) = self.begin_discovery() {
            self.clock().within(until, discovery).await;
        }
    }

    /// Begins a discovery if one is due. Returns it if the call must wait for it.
    fn begin_discovery(&self) -> Option<JoinHandle<()>> {
        // The attempt that follows reports that the runtime has ended.
        let _home = self.enter()?;
        let discover = self.with(NodesMachine::discover);
        if discover == Discover::NotNow {
            return None;
        }
        let discovering = Discovering(self.clone());
        // In a separate task, so that a dropped caller does not interrupt the discovery.
        let discovery = tokio::spawn(async move {
            let discovering = discovering;
            let list = discovering.0.ask_all().await;
            discovering.0.handle_discovered(list);
        });
        (discover == Discover::AndWait).then_some(discovery)
    }

    /// Asks the controllers one after the other; the first list wins.
    async fn ask_all(&self) -> Option<Vec<Endpoint>> {
        for endpoint in self.with(|machine, now| machine.to_ask(now)) {
            match self.ask(&endpoint).await {
                Ok(found) => return Some(found),
                Err(error) => {
                    tracing::debug!(controller = %endpoint, %error, "cannot discover controllers");
                }
            }
        }
        None
    }

    async fn ask(&self, endpoint: &Endpoint) -> Result<Vec<Endpoint>, ControllerError> {
        let until = self.clock().now().saturating_add(self.config().connect_timeout);
        let via = Via::Shared(endpoint.clone());
        let (message, reply) = Message::new(ServerRequest {}, |mut client, request| {
            Box::pin(async move { client.get_controller_server_list(request).await })
        });
        let list = match attempt(self, via, message, until).await {
            Ok(_) => reply.take().unwrap_or_default().node_uri,
            Err(failure) => {
                if failure.verdict.is_controllers_fault() {
                    self.with(|machine, now| machine.handle_failed(endpoint, now));
                }
                return Err(failure.error);
            }
        };
        let list = list.into_iter().take(MAX_DISCOVERED);
        let endpoints: Vec<Endpoint> =
            list.filter_map(|uri| convert::endpoint(&uri, endpoint).ok()).collect();
        if endpoints.is_empty() {
            Err(ControllerError::protocol("the list of controllers is empty"))
        } else {
            Ok(endpoints)
        }
    }
}

/// Marks a discovery in progress until it ends, with its runtime if need be.
struct Discovering(Nodes);

impl Drop for Discovering {
    fn drop(&mut self) {
        self.0.with(NodesMachine::handle_lost_discovery);
    }
}
