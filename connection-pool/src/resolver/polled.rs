//! Backends from a source that is polled.

use std::{future::Future, time::Duration};

use pravega_sdk_types::Endpoint;
use tokio::{sync::watch, time::sleep};
use tokio_util::task::AbortOnDropHandle;

use crate::{
    backend::{Backends, Resolver},
    error::{BoxError, ClaimError},
};

/// A source of backends: a name server, or the controller of a cluster.
pub trait BackendSource: Send + Sync + 'static {
    /// Asks for the backends.
    ///
    /// # Errors
    ///
    /// Any; what was said last stays in use, and the source is asked again after a pause.
    fn backends(&self) -> impl Future<Output = Result<Resolved, BoxError>> + Send;
}

/// What a source answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved {
    /// The backends.
    pub backends: Vec<Endpoint>,
    /// For how long the answer is good.
    pub time_to_live: Duration,
}

/// Asks a [`BackendSource`] whenever its last answer has run out.
///
/// An answer that is empty, or an error, does not take backends away that work: it may be the
/// source that is in trouble.
#[derive(Debug)]
pub struct PolledResolver {
    backends: watch::Receiver<Backends>,
    _task: AbortOnDropHandle<()>,
}

/// However short an answer lives, the source is not asked more often.
const MIN_INTERVAL: Duration = Duration::from_secs(1);
/// However long it lives, the source is asked this often.
const MAX_INTERVAL: Duration = Duration::from_secs(300);
/// After an error.
const RETRY_INTERVAL: Duration = Duration::from_secs(10);

impl PolledResolver {
    /// Starts to ask, in a task on the caller's runtime that ends with this value.
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
        let pause = match source.backends().await {
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

    /// Answers from a script, then with its last line for good; counts how often it was asked.
    struct Script(Vec<Option<Vec<&'static str>>>, Arc<AtomicUsize>);

    impl BackendSource for Script {
        async fn backends(&self) -> Result<Resolved, BoxError> {
            let at = self.1.fetch_add(1, Ordering::SeqCst).min(self.0.len() - 1);
            match &self.0[at] {
                Some(names) => Ok(Resolved {
                    backends: names.iter().map(|name| name.parse().unwrap()).collect(),
                    time_to_live: Duration::from_secs(5),
                }),
                None => Err("down".into()),
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn answers_are_asked_again_when_they_run_out_and_errors_take_nothing_away() {
        let asked = Arc::new(AtomicUsize::new(0));
        let script = vec![Some(vec!["a:1"]), None, Some(vec![]), Some(vec!["b:1"])];
        let resolver = PolledResolver::new(Script(script, Arc::clone(&asked))).unwrap();
        let mut backends = resolver.backends();
        backends.changed().await.unwrap();
        assert!(backends.borrow_and_update().contains(&"a:1".parse().unwrap()));
        backends.changed().await.unwrap();
        assert!(backends.borrow_and_update().contains(&"b:1".parse().unwrap()));
        assert_eq!(asked.load(Ordering::SeqCst), 4);
    }
}
