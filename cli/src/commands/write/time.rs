//! Notes the time, so that the stream has watermarks.

use std::time::{Duration, SystemTime};

use pravega_sdk::{
    ClientFactory, Timestamp,
    types::{ScopedStream, WriterName},
};

use crate::{failure::Result, output::status};

/// The name by which times are noted. All runs share it, so that a run that has ended does not hold
/// back the watermarks of the next one.
const WRITER: &str = "pravega-write";
/// The controller makes a watermark every 10 s at most.
const EVERY: Duration = Duration::from_secs(5);

/// Notes that everything that is in a stream was written by now.
#[derive(Debug, Clone)]
pub(super) struct Notes {
    client: ClientFactory,
    stream: ScopedStream,
}

impl Notes {
    pub(super) fn new(client: &ClientFactory, stream: &ScopedStream) -> Self {
        Self { client: client.clone(), stream: stream.clone() }
    }

    /// Notes the time every few seconds, until the future is dropped.
    pub(super) async fn every_few_seconds(self) {
        loop {
            tokio::time::sleep(EVERY).await;
            // The next note covers one that fails.
            self.note().await.ok();
        }
    }

    /// Notes the time, and tells if that fails: the events are written all the same.
    pub(super) async fn once(&self) {
        if let Err(failure) = self.note().await {
            status(format_args!("warning: the time is not noted: {failure}"));
        }
    }

    /// The writer's own notes end with it, before the controller makes a watermark of them. So the
    /// position that is noted is the tail, and the time is one after the tail was found.
    async fn note(&self) -> Result<()> {
        let tail = self.client.batch_client(&self.stream).await?.tail_cut().await?;
        let now = Timestamp::from(SystemTime::now());
        let writer: WriterName = WRITER.parse()?;
        // A sealed stream has no tail, and needs no watermark after its last one.
        if tail.positions().len() > 0 {
            self.client.controller().note_time(&writer, &tail, now).await?;
        }
        Ok(())
    }
}
