//! What a call is made on, and one run of it.

use std::{fmt::Display, sync::Arc, time::Duration};

use futures_util::future::LocalBoxFuture;
use pravega_sdk_controller_client::Controller;
use pravega_sdk_event_stream::SegmentContext;
use pravega_sdk_simulation::{SimNetwork, client::segment_context};
use tokio::{
    runtime::Handle,
    time::{sleep, timeout},
};

use crate::common::{Cluster, block_on, slow_cluster};

/// A cluster for one run.
pub(crate) struct Stage {
    pub(crate) cluster: Cluster,
}

impl Stage {
    /// The context of the client whose calls are dropped.
    pub(crate) fn context(&self) -> SegmentContext {
        self.cluster.context()
    }

    /// The context of another client, over links that are fast.
    pub(crate) fn other(&self) -> SegmentContext {
        let controller = Arc::clone(&self.cluster.controller) as Arc<dyn Controller>;
        segment_context(controller, SimNetwork::perfect(&self.cluster.world))
    }
}

/// What calls are made on.
pub(crate) trait Subject: Sized {
    /// Opens it, and stores what the calls are about.
    async fn new(stage: &Stage) -> Self;

    /// What is stored, as another client reads it.
    async fn stored(stage: &Stage) -> String;

    /// Uses it after a call was dropped: changes something else, and fails if that is impossible.
    async fn use_again(&mut self, stage: &Stage);
}

/// How a run of a call ended.
#[derive(Debug)]
pub(crate) struct Run {
    /// True if the call ended before it was dropped.
    pub(crate) has_ended: bool,
    /// What was stored then.
    pub(crate) stored: String,
    /// What was stored after its handle was used again.
    pub(crate) later: String,
    /// The number of links that the client has opened.
    pub(crate) links: usize,
}

/// Makes a call, and drops it after a number of polls. Returns true if it ended before.
pub(crate) type Dropped<S> = for<'s> fn(&'s mut S, usize) -> LocalBoxFuture<'s, bool>;

/// Longer than anything takes that is on its way.
const ARRIVAL: Duration = Duration::from_secs(1);
/// Longer than any use of a handle takes.
const USE: Duration = Duration::from_secs(60);
/// Number of seconds in which what is no longer used has ended.
const END: usize = 60;

/// Runs a call, and drops it after a number of polls.
pub(crate) fn run<S: Subject>(call: Dropped<S>, polls: usize) -> Run {
    block_on(async {
        let stage = Stage { cluster: slow_cluster() };
        let mut subject = S::new(&stage).await;
        let has_ended = call(&mut subject, polls).await;
        sleep(ARRIVAL).await;
        let stored = S::stored(&stage).await;
        let used = timeout(USE, subject.use_again(&stage)).await;
        assert!(used.is_ok(), "the handle hangs");
        let later = S::stored(&stage).await;
        let links = stage.cluster.network.links();
        drop((subject, stage));
        let mut waits = 0;
        while alive() > 0 {
            waits += 1;
            assert!(waits < END, "{} tasks go on", alive());
            sleep(ARRIVAL).await;
        }
        Run { has_ended, stored, later, links }
    })
}

fn alive() -> usize {
    Handle::current().metrics().num_alive_tasks()
}

/// A key or a value, as text.
pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Sorted, as a text.
pub(crate) fn sorted(items: impl IntoIterator<Item = impl Display>) -> String {
    let mut items: Vec<String> = items.into_iter().map(|item| item.to_string()).collect();
    items.sort();
    items.join("; ")
}
