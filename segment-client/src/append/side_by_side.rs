//! The writers of a runtime that ends: their threads work at the same time.
//!
//! The thread that drops the tasks of a runtime drops one after the other. If it waited for each,
//! one writer whose servers are slow would take the time of all others. So it waits once, when the
//! last task is dropped, for the threads of all.

use std::{
    collections::HashMap,
    sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError, Weak},
    thread::JoinHandle,
};

use tokio::runtime::{Handle, Id};

/// The writers of each runtime that has any.
static GROUPS: LazyLock<Mutex<HashMap<Id, Weak<Group>>>> = LazyLock::new(Mutex::default);

/// The writers of a runtime.
#[derive(Debug, Default)]
struct Group {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Writers that are not dropped.
    members: usize,
    /// The threads of those that are dropped, for which the last one waits.
    threads: Vec<JoinHandle<()>>,
}

/// The place of a writer among those of its runtime.
#[derive(Debug)]
pub(super) struct Member {
    group: Arc<Group>,
    thread: Option<JoinHandle<()>>,
}

impl Member {
    /// Adds a writer to those of `runtime`.
    pub(super) fn of(runtime: &Handle) -> Self {
        let mut groups = GROUPS.lock().unwrap_or_else(PoisonError::into_inner);
        groups.retain(|_, group| group.strong_count() > 0);
        let known = groups.get(&runtime.id()).and_then(Weak::upgrade);
        let group = known.unwrap_or_default();
        groups.insert(runtime.id(), Arc::downgrade(&group));
        group.lock().members += 1;
        Self { group, thread: None }
    }

    /// Removes the writer. The last one waits for the threads of all.
    pub(super) fn leave(mut self, thread: Option<JoinHandle<()>>) {
        self.thread = thread;
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        let threads = {
            let mut state = self.group.lock();
            state.members -= 1;
            state.threads.extend(self.thread.take());
            let is_last = state.members == 0;
            if is_last { std::mem::take(&mut state.threads) } else { Vec::new() }
        };
        for thread in threads {
            thread.join().ok();
        }
    }
}

impl Group {
    /// The lock is held for a few instructions, none of which panics.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Barrier, thread};

    use tokio::runtime::{Builder, Runtime};

    use super::*;

    fn runtime() -> Runtime {
        Builder::new_current_thread().build().unwrap()
    }

    #[test]
    fn threads_work_at_the_same_time_and_the_last_writer_waits_for_all() {
        let runtime = runtime();
        let members: Vec<Member> = (0..3).map(|_| Member::of(runtime.handle())).collect();
        // No thread ends before all have begun.
        let barrier = Arc::new(Barrier::new(members.len()));
        let done = Arc::new(Mutex::new(0));
        for member in members {
            let (barrier, done) = (Arc::clone(&barrier), Arc::clone(&done));
            member.leave(Some(thread::spawn(move || {
                barrier.wait();
                *done.lock().unwrap() += 1;
            })));
        }
        assert_eq!(*done.lock().unwrap(), 3);
    }

    #[test]
    fn the_writers_of_other_runtimes_are_not_waited_for() {
        let (one, other) = (runtime(), runtime());
        let _other = Member::of(other.handle());
        let member = Member::of(one.handle());
        let thread = thread::spawn(|| ());
        let id = thread.thread().id();
        member.leave(Some(thread));
        let groups = GROUPS.lock().unwrap();
        let left = groups.get(&one.handle().id()).and_then(Weak::upgrade);
        assert!(left.is_none(), "the thread {id:?} was waited for, and its group is gone");
        assert_eq!(groups[&other.handle().id()].upgrade().unwrap().lock().members, 1);
    }
}
