//! The resident memory of the server, polled.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{task::JoinHandle, time::sleep};

use super::phase::{Phase, Watch};
use crate::tool_server::status_of;

const INTERVAL: Duration = Duration::from_millis(50);

/// The highest resident memory in each phase, in KiB.
pub(super) struct Memory {
    peaks: Arc<Mutex<BTreeMap<Phase, u64>>>,
    polling: JoinHandle<()>,
}

impl Memory {
    /// Starts to poll a process, until it ends.
    pub(super) fn of(process: u32, watch: Arc<Watch>) -> Self {
        let peaks: Arc<Mutex<BTreeMap<Phase, u64>>> = Arc::default();
        let polled = Arc::clone(&peaks);
        let polling = tokio::spawn(async move {
            while let Ok(resident) = status_of(process, "VmRSS:") {
                {
                    let mut peaks = polled.lock().unwrap_or_else(PoisonError::into_inner);
                    let peak = peaks.entry(watch.phase()).or_default();
                    *peak = resident.max(*peak);
                }
                sleep(INTERVAL).await;
            }
        });
        Self { peaks, polling }
    }

    /// Returns the highest resident memory in a phase, in KiB.
    pub(super) fn peak(&self, phase: Phase) -> u64 {
        let peaks = self.peaks.lock().unwrap_or_else(PoisonError::into_inner);
        peaks.get(&phase).copied().unwrap_or_default()
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        self.polling.abort();
    }
}
