//! The tasks of a connection to the controller: one for each call, all on one account.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::Context,
};

use futures_util::task::AtomicWaker;
use hyper::rt::Executor;

use crate::{limits::CONNECTION_CALLS, turns::Account};

/// The tasks of a connection from which on it is not read: those of calls, and of as many that the
/// client has ended and that have yet to notice.
const TASKS: usize = 2 * CONNECTION_CALLS as usize;

/// The tasks of a connection that have not ended.
#[derive(Debug, Default)]
pub(crate) struct Tasks {
    count: AtomicUsize,
    /// Wakes the connection when one has ended.
    ended: AtomicWaker,
}

impl Tasks {
    /// Returns true if there are so many that the connection should not be read; wakes its task
    /// when there are fewer.
    pub(crate) fn are_many(&self, cx: &Context<'_>) -> bool {
        if self.count.load(Ordering::Acquire) < TASKS {
            return false;
        }
        self.ended.register(cx.waker());
        self.count.load(Ordering::Acquire) >= TASKS
    }

    fn begin(self: &Arc<Self>) -> Task {
        self.count.fetch_add(1, Ordering::AcqRel);
        Task(Arc::clone(self))
    }
}

/// A task, until this is dropped.
#[derive(Debug)]
struct Task(Arc<Tasks>);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.count.fetch_sub(1, Ordering::AcqRel);
        self.0.ended.wake();
    }
}

/// Spawns the tasks of the calls of a connection.
#[derive(Debug, Clone)]
pub(crate) struct Spawner {
    account: Arc<Account>,
    tasks: Arc<Tasks>,
}

impl Spawner {
    /// The tasks are on an account.
    pub(crate) fn new(account: Arc<Account>, tasks: Arc<Tasks>) -> Self {
        Self { account, tasks }
    }
}

impl<F> Executor<F> for Spawner
where
    F: Future + Send + 'static,
    F::Output: Send,
{
    fn execute(&self, future: F) {
        let task = self.tasks.begin();
        let future = async move {
            let _task = task;
            future.await;
        };
        drop(tokio::spawn(self.account.meter(future)));
    }
}

#[cfg(test)]
mod tests {
    use std::task::{Wake, Waker};

    use super::*;

    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn a_connection_with_many_tasks_is_read_again_once_one_of_them_has_ended() {
        let (tasks, woken) = (Arc::new(Tasks::default()), Arc::new(Woken::default()));
        let waker = Waker::from(Arc::clone(&woken));
        let cx = Context::from_waker(&waker);
        let mut begun: Vec<_> = (1..TASKS).map(|_| tasks.begin()).collect();
        assert!(!tasks.are_many(&cx));
        begun.push(tasks.begin());
        assert!(tasks.are_many(&cx));
        assert_eq!(woken.0.load(Ordering::Relaxed), 0);
        begun.pop();
        assert_eq!(woken.0.load(Ordering::Relaxed), 1);
        assert!(!tasks.are_many(&cx));
    }
}
