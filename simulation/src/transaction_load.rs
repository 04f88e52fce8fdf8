//! The transactions of one writer: begun, written, committed, aborted, dropped and handed over.

use std::time::Duration;

use pravega_sdk_event_stream::{Transaction, TransactionalWriter, codec::Utf8};
use pravega_sdk_types::{ErrorKind, Outcome, TransactionId};
use tokio::time::{sleep, timeout};

/// The number of routing keys of a writer.
const KEYS: u32 = 3;
/// The lease of a transaction.
pub(crate) const LEASE: Duration = Duration::from_secs(10);

/// What the client was told of the end of a transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fate {
    Committed,
    /// The client did not wait until the events were visible, so the next transaction may come
    /// before this one.
    CommittedUnseen,
    Aborted,
    /// It ended while the client held it.
    RanOut,
    /// The client was told that the outcome is unknown, or dropped the call.
    Unknown,
}

/// A transaction that a client no longer holds.
#[derive(Debug, Clone)]
pub(crate) struct Done {
    pub(crate) id: TransactionId,
    pub(crate) writer: u32,
    pub(crate) number: u32,
    pub(crate) fate: Fate,
    /// The number of its events.
    pub(crate) events: u32,
}

/// The transactions of one writer.
pub(crate) struct Load {
    pub(crate) writer: TransactionalWriter<Utf8>,
    pub(crate) number: u32,
    pub(crate) random: fastrand::Rng,
    pub(crate) transactions: u32,
    /// The most events of a transaction.
    pub(crate) events: u32,
    /// True if some transactions are held for longer than their lease.
    pub(crate) holds: bool,
}

impl Load {
    pub(crate) async fn run(mut self) -> Vec<Done> {
        let mut all = Vec::new();
        for number in 0..self.transactions {
            // If the outcome is unknown, a transaction may have begun; it ends with its lease.
            let Ok(transaction) = self.writer.begin().await else {
                sleep(Duration::from_millis(300)).await;
                continue;
            };
            let (id, events) = (transaction.id(), self.random.u32(0..self.events + 1));
            let fate = self.work(transaction, number, events).await;
            all.push(Done { id, writer: self.number, number, fate, events });
        }
        all
    }

    async fn work(&mut self, mut transaction: Transaction<Utf8>, number: u32, events: u32) -> Fate {
        for event in 0..events {
            let key = format!("w{}-k{}", self.number, event % KEYS);
            let text = format!("{}|{number}|{key}|{event}", self.number);
            if transaction.write(&key, text).await.is_err() {
                // Dropping the transaction aborts it.
                return Fate::Aborted;
            }
            if self.random.u32(0..20) == 0 {
                sleep(Duration::from_millis(self.random.u64(0..200))).await;
            }
        }
        if self.holds && self.random.u32(0..3) == 0 {
            sleep(LEASE * 2).await;
        }
        match self.random.u32(0..10) {
            0 => {
                drop(transaction);
                Fate::Aborted
            }
            1 => match transaction.abort().await {
                Ok(()) => Fate::Aborted,
                Err(_) => Fate::Unknown,
            },
            2 => {
                // Another handle continues the transaction.
                let Ok(id) = transaction.leave_open().await else { return Fate::Aborted };
                match self.writer.resume(id).await {
                    Ok(resumed) => commit(resumed).await,
                    Err(_) => Fate::Unknown,
                }
            }
            3 => {
                // The caller drops the commit at a random time.
                let patience = Duration::from_millis(self.random.u64(0..400));
                match timeout(patience, transaction.commit()).await {
                    Ok(Ok(_)) => Fate::CommittedUnseen,
                    Ok(Err(_)) | Err(_) => Fate::Unknown,
                }
            }
            _ => commit(transaction).await,
        }
    }
}

async fn commit(transaction: Transaction<Utf8>) -> Fate {
    match transaction.commit().await {
        Ok(commit) => {
            // The writer begins its next transaction when this one is visible.
            match commit.wait_until_visible(Duration::from_secs(60)).await {
                Ok(()) => Fate::Committed,
                Err(_) => Fate::CommittedUnseen,
            }
        }
        Err(error) if error.kind() == ErrorKind::TransactionNotOpen => Fate::RanOut,
        Err(error) if error.outcome() == Outcome::NotApplied => Fate::Aborted,
        Err(_) => Fate::Unknown,
    }
}
