//! Backends from a source that is polled.

use std::{future::Future, time::Duration};

use pravega_sdk_types::Endpoint;
use tokio::{
    sync::watch,
    time::{sleep, timeout},
};
use tokio_util::task::AbortOnDropHandle;

use crate::{
    backend::{Backends, Resolver},
    error::{BoxError, ClaimError},
};

/// A source of backends: a name server, or the controller of a cluster.
pub trait BackendSource: Send + Sync + 'static {
    /// Returns the backends. The future is dropped if it takes longer than 30 s.
    ///
    /// # Errors
    ///
    /// Any; the last answer stays in use, and the source is asked again after a pause.
    fn backends(&self) -> impl Future<Output = Result<Resolved, BoxError>> + Send;
}

/// The answer of a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved {
    /// The backends.
    pub backends: Vec<Endpoint>,
    /// Time for which the answer is valid.
    pub time_to_live: Duration,
}

/// Polls a [`BackendSource`] whenever its last answer expires.
///
/// An empty answer or an error removes no backend: the source itself may be failing.
#[derive(Debug)]
pub struct PolledResolver {
    backends: watch::Receiver<Backends>,
    _task: AbortOnDropHandle<()>,
}

/// Shortest pause between two polls, however soon an answer expires.
const MIN_INTERVAL: Duration = Duration::from_secs(1);
/// Longest pause between two polls, however late an answer expires.
const MAX_INTERVAL: Duration = Duration::from_secs(300);
/// The pause after an error, or an empty answer.
const RETRY_INTERVAL: Duration = Duration::from_secs(10);
/// A source that takes longer counts as one that fails, and is asked again.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

impl PolledResolver {
    /// Starts to poll `source`, in a task on the caller's runtime that ends with this value. If the
    /// runtime is shut down, the list stays as it is.
    ///
    /// # Errors
    ///
    /// [`ClaimError::NoRuntime`] outside a tokio runtime.
    pub fn new(source: impl BackendSource) -> Result<Self, ClaimError> {
        let runtime = tokio::runtime::Handle::try_current().map_err(|_| ClaimError::NoRuntime)?;
        let (sender, backends) = watch::channel(Backends::default());
        let task = AbortOnDropHandle::new(runtime.spawn(poll(source, sender)));
        Ok(Self { backends, _task: task })
    }
}

impl Resolver for PolledResolver {
    fn backends(&self) -> watch::Receiver<Backends> {
        self.backends.clone()
    }
}

async fn poll(source: impl BackendSource, sender: watch::Sender<Backends>) {
    loop {
        let answer = timeout(ANSWER_TIMEOUT, source.backends()).await;
        let answer = answer.unwrap_or_else(|_| Err("no answer in time".into()));
        let pause = match answer {
            Ok(resolved) if !resolved.backends.is_empty() => {
                let found: Backends = resolved.backends.into_iter().collect();
                sender.send_if_modified(|known| {
                    let is_new = *known != found;
                    *known = found;
                    is_new
                });
                resolved.time_to_live.clamp(MIN_INTERVAL, MAX_INTERVAL)
            }
            Ok(_) => RETRY_INTERVAL,
            Err(error) => {
                tracing::debug!(%error, "backends could not be resolved");
                RETRY_INTERVAL
            }
        };
        sleep(pause).await;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    };

    use super::*;

    /// A line of a script that is never answered.
    const SILENCE: &str = "silence:1";

    /// Answers from a script, then with its last line forever; counts how often it was asked.
    struct Script(Vec<Option<Vec<&'static str>>>, Arc<AtomicUsize>);

    impl BackendSource for Script {
        async fn backends(&self) -> Result<Resolved, BoxError> {
            let at = self.1.fetch_add(1, Ordering::SeqCst).min(self.0.len() - 1);
            match &self.0[at] {
                Some(names) if names[..] == [SILENCE] => std::future::pending().await,
                Some(names) => Ok(Resolved {
                    backends: names.iter().map(|name| name.parse().unwrap()).collect(),
                    time_to_live: Duration::from_secs(5),
                }),
                None => Err("down".into()),
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_source_is_asked_again_when_its_answer_runs_out_fails_or_does_not_come() {
        let asked = Arc::new(AtomicUsize::new(0));
        let script =
            vec![Some(vec!["a:1"]), None, Some(vec![]), Some(vec![SILENCE]), Some(vec!["b:1"])];
        let resolver = PolledResolver::new(Script(script, Arc::clone(&asked))).unwrap();
        let mut backends = resolver.backends();
        backends.changed().await.unwrap();
        assert!(backends.borrow_and_update().contains(&"a:1".parse().unwrap()));
        // Neither the error, nor the empty answer, nor the silence takes a backend away.
        let changed = timeout(Duration::from_secs(300), backends.changed());
        changed.await.unwrap().unwrap();
        assert!(backends.borrow_and_update().contains(&"b:1".parse().unwrap()));
        assert_eq!(asked.load(Ordering::SeqCst), 5);
    }
}
