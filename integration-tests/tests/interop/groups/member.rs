//! A reader of either client, which reads all the time.

use std::{sync::Arc, time::Duration};

use pravega_sdk_client_factory::ClientFactory;
use pravega_sdk_event_stream::{
    codec::Utf8,
    group::{GroupItem, GroupReader, GroupReaderConfig, GroupReaderError},
};
use pravega_sdk_integration_tests::harness::FAR;
use pravega_sdk_types::{ErrorKind, ScopedReaderGroup};
use tokio::{sync::oneshot, task::JoinHandle, time::timeout};

use super::{
    java::Java,
    log::{Ending, Item, Log, Read, now},
};

/// A client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Client {
    Java,
    Rust,
}

impl Client {
    pub(super) fn other(self) -> Self {
        match self {
            Self::Java => Self::Rust,
            Self::Rust => Self::Java,
        }
    }
}

/// A reader in the group. If it is dropped, it does not leave the group.
pub(super) struct Member {
    pub(super) id: String,
    pub(super) log: Log,
    reader: Reader,
}

enum Reader {
    Java { java: Arc<Java>, group: ScopedReaderGroup },
    Rust { stop: oneshot::Sender<Stop>, task: JoinHandle<()> },
}

/// How a reader of this client stops.
#[derive(Debug, Clone, Copy)]
enum Stop {
    Leave,
    Vanish,
}

impl Member {
    /// Joins a group as a reader of Java's client.
    pub(super) async fn of_java(java: &Arc<Java>, group: &ScopedReaderGroup, id: &str) -> Self {
        let (java, group) = (java.clone(), group.clone());
        let log = java.listen(id);
        assert_eq!(java.ask(&group, &["join", id]).await, "done");
        Self { id: id.to_owned(), log, reader: Reader::Java { java, group } }
    }

    /// Joins a group as a reader of this client.
    pub(super) async fn of_rust(
        factory: &ClientFactory,
        group: &ScopedReaderGroup,
        id: &str,
        lease: Duration,
    ) -> Self {
        let config = GroupReaderConfig::default().with_lease(Some(lease));
        let reader = factory.group_reader_with(group, &id.parse().unwrap(), Utf8, config).await;
        let (stop, stopped) = oneshot::channel();
        let log = Log::default();
        let task = tokio::spawn(read(reader.unwrap(), log.clone(), stopped));
        Self { id: id.to_owned(), log, reader: Reader::Rust { stop, task } }
    }

    /// Leaves the group after the last event in the log.
    pub(super) async fn close(self) -> Log {
        self.stop(Stop::Leave).await
    }

    /// Reads no more, and stays in the group.
    pub(super) async fn vanish(self) -> Log {
        self.stop(Stop::Vanish).await
    }

    async fn stop(self, how: Stop) -> Log {
        match self.reader {
            Reader::Java { java, group } => {
                let verb = match how {
                    Stop::Leave => "close",
                    Stop::Vanish => "vanish",
                };
                assert_eq!(java.ask(&group, &[verb, &self.id]).await, "done");
            }
            Reader::Rust { stop, task } => {
                // It may have ended by itself.
                let _ = stop.send(how);
                timeout(FAR, task).await.expect("it stops in time").unwrap();
            }
        }
        self.log
    }
}

async fn read(mut reader: GroupReader<Utf8>, log: Log, mut stopped: oneshot::Receiver<Stop>) {
    loop {
        let item = tokio::select! {
            item = reader.next() => item,
            stop = &mut stopped => {
                if let Ok(Stop::Leave) = stop {
                    reader.close(FAR).await.unwrap();
                }
                return;
            }
        };
        let item = recorded(item);
        let has_ended = matches!(item, Item::Ended(_));
        log.push(item);
        if has_ended {
            return;
        }
    }
}

fn recorded(item: Option<Result<GroupItem<String>, GroupReaderError>>) -> Item {
    match item {
        Some(Ok(GroupItem::Event(event))) => Item::Event(Read {
            text: event.event().clone(),
            pointer: event.pointer().unwrap(),
            position: event.position(),
            time: now(),
        }),
        Some(Ok(GroupItem::Checkpoint(name))) => Item::Checkpoint(name.to_string()),
        Some(Err(error)) if error.kind() == ErrorKind::ReaderOffline => {
            Item::Ended(Ending::Removed)
        }
        Some(Err(error)) => Item::Ended(Ending::Failed(error.to_string())),
        None => Item::Ended(Ending::Read),
    }
}
