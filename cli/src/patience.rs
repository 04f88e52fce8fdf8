//! A word to the person at the terminal while a command waits for a server.

use std::{
    io::{self, IsTerminal as _},
    time::Duration,
};

use tokio::{task::JoinHandle, time::sleep};

use crate::{output::tell, terminal};

/// Time after which a person wonders.
const LONG: Duration = Duration::from_secs(2);

/// Tells once that the command still waits, until this is dropped.
#[derive(Debug)]
pub(crate) struct Patience(Option<JoinHandle<()>>);

impl Patience {
    /// Begins to wait with the command, if a person is there. `limit` is when a call fails.
    pub(crate) fn new(limit: Duration) -> Self {
        if !io::stderr().is_terminal() {
            return Self(None);
        }
        let limit = humantime::format_duration(limit);
        Self(Some(tokio::spawn(async move {
            sleep(LONG).await;
            if !terminal::is_asking() {
                tell(&format!(
                    "still waiting for the server: a call fails after {limit}; Ctrl-C ends it now"
                ));
            }
        })))
    }
}

impl Drop for Patience {
    fn drop(&mut self) {
        if let Some(task) = &self.0 {
            task.abort();
        }
    }
}
