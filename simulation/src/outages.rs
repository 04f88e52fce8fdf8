//! Outages of the controller, and answers that are lost, older than the latest change, or missing.

use pravega_sdk_server_core::{catalog::Catalog, store::Step};

use crate::{
    World,
    faults::{ControllerFaults, Instance, Stale, StaleInstances},
    world::State,
};

impl World {
    /// Makes that many of a hundred calls that change something take effect, at once or late,
    /// without an answer.
    pub fn set_lost_answers(&self, percent: u32) {
        self.lock().controller.lost_answers = percent;
    }

    /// Makes every call of the controller fail, or ends that.
    pub fn set_controller_away(&self, is_away: bool) {
        self.lock().controller.is_away = is_away;
        if is_away {
            self.count("controller away");
        }
    }

    /// Leaves the calls with the names that match unanswered, until
    /// [`answer_calls`](Self::answer_calls). The names are those of the trait's methods.
    pub fn leave_unanswered(&self, calls: impl Fn(&str) -> bool + Send + 'static) {
        self.lock().controller.unanswered = Some(Box::new(calls));
    }

    /// Answers all calls again.
    pub fn answer_calls(&self) {
        self.lock().controller.unanswered = None;
        self.notify_changed();
    }

    /// Returns true if a call is not answered now.
    pub(crate) fn is_unanswered(&self, call: &str) -> bool {
        let state = self.lock();
        let is_unanswered = state.controller.unanswered.as_ref().is_some_and(|names| names(call));
        drop(state);
        if is_unanswered {
            self.count("call unanswered");
        }
        is_unanswered
    }

    /// Makes that many of a hundred queries be answered with what the controller knows now, as by
    /// an instance that does not notice later changes: endpoints of before a move, segments of
    /// before a scale, a head of before a truncation. 0 ends it.
    pub fn set_stale_answers(&self, percent: u32) {
        let State { cluster, controller, .. } = &mut *self.lock();
        controller.stale = (percent > 0).then(|| {
            let (catalog, placement) = cluster.known_now();
            StaleInstances { percent, instances: vec![Stale { catalog, placement }] }
        });
    }

    /// Lets another instance notice no changes from now on. It shares the queries with those that
    /// have not noticed earlier changes either.
    pub fn add_stale_instance(&self) {
        let State { cluster, controller, .. } = &mut *self.lock();
        if let Some(stale) = &mut controller.stale {
            let (catalog, placement) = cluster.known_now();
            stale.instances.push(Stale { catalog, placement });
        }
    }

    /// Changes of how many of a hundred queries are answered by instances that do not notice
    /// changes since [`set_stale_answers`](Self::set_stale_answers). 0 leaves them aside.
    pub fn set_stale_share(&self, percent: u32) {
        if let Some(stale) = &mut self.lock().controller.stale {
            stale.percent = percent;
        }
    }

    /// Of a hundred queries, the number that instances answer that do not know the latest changes,
    /// and the number of these instances.
    pub(crate) fn stale_instances(&self) -> (u32, usize) {
        let state = self.lock();
        let stale = state.controller.stale.as_ref();
        stale.map_or((0, 0), |stale| (stale.percent, stale.instances.len()))
    }

    /// Makes a query of an instance of the controller. One that does not know the latest changes
    /// may have noticed them since.
    pub(crate) fn ask<T>(
        &self,
        instance: Instance,
        query: impl FnOnce(&mut Catalog, &mut Step<'_>) -> T,
    ) -> T {
        let State { cluster, controller, .. } = &mut *self.lock();
        match stale(controller, instance) {
            Some(stale) => {
                cluster.count("stale answer");
                cluster.call(|_, step| query(&mut stale.catalog, step))
            }
            None => cluster.call(query),
        }
    }

    /// The store of a segment, as an instance of the controller knows it.
    pub(crate) fn known_owner(&self, segment: &str, instance: Instance) -> usize {
        let State { cluster, controller, .. } = &mut *self.lock();
        match stale(controller, instance) {
            Some(stale) => {
                cluster.count("stale answer");
                stale.placement.store_of(segment).0
            }
            None => cluster.store_of(segment).0,
        }
    }
}

fn stale(faults: &mut ControllerFaults, instance: Instance) -> Option<&mut Stale> {
    match instance {
        Instance::Present => None,
        Instance::Stale(number) => faults.stale.as_mut()?.instances.get_mut(number),
    }
}
