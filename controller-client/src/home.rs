//! The runtime on which a handle was created.

use tokio::{
    runtime::{EnterGuard, Handle},
    task::JoinHandle,
};

/// The runtime on which a handle was created: the tasks and timers of the handle live there.
///
/// A timer of a runtime that has ended panics when it is polled, and a channel whose task was there
/// never answers, so a handle checks this first. A task without work runs on the runtime for as
/// long as this value lives: with the runtime it ends.
#[derive(Debug)]
pub struct HomeRuntime {
    handle: Handle,
    resident: JoinHandle<()>,
}

impl HomeRuntime {
    /// Returns the runtime that the caller runs on; `None` outside a tokio runtime.
    #[must_use]
    pub fn current() -> Option<Self> {
        let handle = Handle::try_current().ok()?;
        let resident = handle.spawn(std::future::pending());
        Some(Self { handle, resident })
    }

    /// Returns true if the runtime has ended, or is about to.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.resident.is_finished()
    }

    /// Enters the runtime, so that timers and tasks belong to it wherever the caller runs. Returns
    /// `None` after its end.
    #[must_use]
    pub fn enter(&self) -> Option<EnterGuard<'_>> {
        (!self.has_ended()).then(|| self.handle.enter())
    }
}

impl Drop for HomeRuntime {
    fn drop(&mut self) {
        self.resident.abort();
    }
}

#[cfg(test)]
mod tests {
    use tokio::runtime::{Builder, Runtime};

    use super::*;

    fn runtimes() -> [Runtime; 2] {
        let current = Builder::new_current_thread().build().unwrap();
        [current, Builder::new_multi_thread().worker_threads(1).build().unwrap()]
    }

    #[test]
    fn a_home_ends_with_its_runtime_and_not_with_others() {
        for runtime in runtimes() {
            let home = runtime.block_on(async { HomeRuntime::current().unwrap() });
            runtimes().into_iter().for_each(drop);
            assert!(!home.has_ended());
            assert!(home.enter().is_some());
            drop(runtime);
            assert!(home.has_ended());
            assert!(home.enter().is_none());
        }
    }

    #[test]
    fn outside_a_runtime_there_is_no_home() {
        assert!(HomeRuntime::current().is_none());
    }

    #[tokio::test]
    async fn no_task_is_left_of_a_dropped_home() {
        let metrics = Handle::current().metrics();
        let before = metrics.num_alive_tasks();
        let home = HomeRuntime::current().unwrap();
        assert_eq!(metrics.num_alive_tasks(), before + 1);
        drop(home);
        tokio::task::yield_now().await;
        assert_eq!(metrics.num_alive_tasks(), before);
    }
}
