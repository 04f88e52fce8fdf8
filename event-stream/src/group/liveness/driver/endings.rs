//! Ending the lease of a reader that could not join.

use std::sync::Arc;

use tokio::time::{Instant, sleep_until};

use super::{
    super::machine::{EndingMachine, LeaseTimes, LeaseValue},
    requests::{Answer, LeasedGroup, Victim, is_final, warn},
};

/// Ends the lease of a reader of this client, and takes the reader out of the group if it is in it.
pub(super) async fn end(leased: LeasedGroup, reader: Arc<str>, own: LeaseValue, times: LeaseTimes) {
    let started = Instant::now();
    let mut ending = EndingMachine::new(own, times, started.elapsed());
    while !ending.is_over(started.elapsed()) {
        let Some(effect) = ending.poll_effect(started.elapsed()) else {
            let next = ending.poll_timeout().unwrap_or_default();
            sleep_until(started + next).await;
            continue;
        };
        let answer = leased.clone().carry_out(reader.clone(), effect, Victim::Own).await;
        let now = started.elapsed();
        match answer {
            Answer::Read(Ok(found)) => ending.handle_read(found, now),
            Answer::Swapped(Ok(is_set)) => ending.handle_swapped(is_set, now),
            Answer::Removed(end) => ending.handle_removal(end, now),
            Answer::Read(Err(error)) | Answer::Swapped(Err(error)) => {
                warn(&reader, &error);
                if is_final(&error) {
                    return;
                }
                ending.handle_failed(now);
            }
        }
    }
}
