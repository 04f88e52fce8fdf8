//! How long commands wait for servers that do not answer.

use std::time::Duration;

use pravega_sdk::{
    BatchConfig, ByteReaderConfig, ByteWriterConfig, ClientConfig, ReaderConfig, TransactionConfig,
    WriterConfig,
    group::{GroupHandleConfig, GroupReaderConfig},
};

/// Time without a byte of a segment after which reading up to the tail fails: a person waits at the
/// terminal.
const READING: Duration = Duration::from_secs(30);
/// The same for a command that follows a stream, which outlives the restart of a store.
const FOLLOWING: Duration = Duration::from_secs(120);
/// Time after which an event that is not acknowledged fails.
const WRITING: Duration = Duration::from_secs(120);
/// Time for a call about a reader group.
const ASKING: Duration = Duration::from_secs(60);
/// Time for connecting to a server, and for the exchange of versions.
const CONNECTING: Duration = Duration::from_secs(5);
/// The longest time for a login.
const LOGIN: Duration = Duration::from_secs(9);
/// Time that events in hand have at the end of the process.
const ENDING: Duration = Duration::from_secs(10);

/// The time limits of a command; `None` means the default of each.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Limits(Option<Duration>);

/// Where reading ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reading {
    /// At a place that the stream has already.
    Present,
    /// At the end of a sealed stream.
    Following,
}

impl Limits {
    pub(crate) fn new(timeout: Option<Duration>) -> Self {
        Self(timeout.map(|timeout| timeout.max(Duration::from_millis(2))))
    }

    /// How long a call, or a request about a segment, takes at most.
    pub(crate) fn call(self) -> Duration {
        self.0.unwrap_or(ASKING)
    }

    /// Limits calls of the controllers and requests to segment stores.
    pub(crate) fn client(self, config: ClientConfig) -> ClientConfig {
        let Some(timeout) = self.0 else { return config };
        // A request about a segment is sent again until twice its timeout.
        let request = timeout / 2;
        let config = config.with_call_timeout(timeout).with_request_timeout(request);
        if request >= CONNECTING {
            return config;
        }
        config.with_connect_timeout(request).with_handshake_timeout(request)
    }

    /// Time for the login at an issuer; `None` means its default. A call that waits for it fails
    /// with its reason then.
    pub(crate) fn login(self) -> Option<Duration> {
        self.0.map(|timeout| (timeout / 2).min(LOGIN))
    }

    /// Limits reading events. An attempt that fails after this time is the last one.
    pub(crate) fn reader(self, reading: Reading) -> ReaderConfig {
        ReaderConfig::default().with_stall_timeout(self.stall(reading))
    }

    /// Limits reading bytes.
    pub(crate) fn byte_reader(self, reading: Reading) -> ByteReaderConfig {
        ByteReaderConfig::default().with_stall_timeout(self.stall(reading))
    }

    /// Limits reading parts of streams.
    pub(crate) fn batch(self) -> BatchConfig {
        BatchConfig::default().with_reader(self.reader(Reading::Present))
    }

    /// Limits calls about reader groups.
    pub(crate) fn group(self) -> GroupHandleConfig {
        GroupHandleConfig::default().with_timeout(self.0.unwrap_or(ASKING))
    }

    /// Limits reading events as a member of a group.
    pub(crate) fn group_reader(self, lease: Duration) -> GroupReaderConfig {
        let config = GroupReaderConfig::default().with_reader(self.reader(Reading::Following));
        let config = config.with_lease(Some(lease));
        match self.0 {
            Some(timeout) => config.with_timeout(timeout),
            None => config,
        }
    }

    /// How long events in hand may take at the end of the process.
    pub(crate) fn ending(self) -> Duration {
        self.delivery().min(ENDING)
    }

    fn stall(self, reading: Reading) -> Duration {
        self.0.unwrap_or(match reading {
            Reading::Present => READING,
            Reading::Following => FOLLOWING,
        })
    }

    /// Limits writing events.
    pub(crate) fn writer(self) -> WriterConfig {
        WriterConfig::default()
            .with_delivery_timeout(self.delivery())
            .with_end_timeout(self.ending())
    }

    /// Limits writing events in transactions.
    pub(crate) fn transaction(self) -> TransactionConfig {
        TransactionConfig::default()
            .with_writer(self.writer())
            .with_decision_timeout(self.delivery())
    }

    /// Limits writing bytes.
    pub(crate) fn byte_writer(self) -> ByteWriterConfig {
        ByteWriterConfig::default()
            .with_delivery_timeout(self.delivery())
            .with_end_timeout(self.ending())
    }

    /// How long an event may wait for its acknowledgement.
    pub(crate) fn delivery(self) -> Duration {
        self.0.unwrap_or(WRITING)
    }
}
