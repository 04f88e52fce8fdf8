//! The calls of a seed, and what became known of each.

use std::time::Duration;

use pravega_sdk_controller_client::{Controller as _, ControllerClient, ControllerError};
use pravega_sdk_types::{ErrorKind, KeyRange, Outcome, Scope};
use tokio::time::{sleep, timeout};

use super::cluster::Cluster;

/// A client that makes calls, one after the other.
pub(super) struct Load {
    pub(super) client: ControllerClient,
    pub(super) cluster: Cluster,
    pub(super) random: fastrand::Rng,
    pub(super) max_pause: Duration,
}

/// A call, from its beginning to its end.
#[derive(Debug, Clone)]
pub(super) struct Call {
    /// Its name, which the controllers see.
    pub(super) name: String,
    pub(super) kind: CallKind,
    pub(super) begun: Duration,
    pub(super) ended: Duration,
    pub(super) failure: Option<Failed>,
}

/// What is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CallKind {
    Exists,
    Create,
    /// The only one of which a repeat has an effect.
    Scale,
}

/// The failure of a call.
#[derive(Debug, Clone)]
pub(super) struct Failed {
    pub(super) kind: ErrorKind,
    pub(super) outcome: Outcome,
    pub(super) attempts: u32,
    pub(super) detail: String,
}

impl From<ControllerError> for Failed {
    fn from(error: ControllerError) -> Self {
        Self {
            kind: error.kind(),
            outcome: error.outcome(),
            attempts: error.attempts(),
            detail: error.to_string(),
        }
    }
}

/// A call that takes this long never ends.
const ENDLESS: Duration = Duration::from_secs(3600);

impl Load {
    pub(super) async fn run(mut self, calls: u32) -> Vec<Call> {
        let mut made = Vec::new();
        for _ in 0..calls {
            let pause = self.max_pause.mul_f64(self.random.f64());
            sleep(pause).await;
            made.push(self.call().await);
        }
        made
    }

    async fn call(&mut self) -> Call {
        let name = format!("call-{:016x}", self.random.u64(..));
        let kinds = [CallKind::Exists, CallKind::Create, CallKind::Scale];
        let kind = kinds[self.random.usize(0..kinds.len())];
        let begun = self.cluster.now();
        let scope = Scope::new(&name).expect("a name");
        let stream = format!("sim/{name}").parse().expect("a name");
        let calling = async {
            match kind {
                CallKind::Exists => self.client.scope_exists(&scope).await.map(drop),
                CallKind::Create => self.client.create_scope(&scope).await.map(drop),
                CallKind::Scale => {
                    self.client.scale(&stream, &[0.into()], &[KeyRange::FULL]).await.map(drop)
                }
            }
        };
        let failure = match timeout(ENDLESS, calling).await {
            Ok(result) => result.err().map(Failed::from),
            Err(_) => Some(Failed {
                kind: ErrorKind::Timeout,
                outcome: Outcome::Unknown,
                attempts: u32::MAX,
                detail: "it does not end".to_owned(),
            }),
        };
        Call { name, kind, begun, ended: self.cluster.now(), failure }
    }
}
