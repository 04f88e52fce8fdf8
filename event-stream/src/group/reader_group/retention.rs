//! The release of data that a group has read.

use pravega_sdk_controller_client::Subscriber;
use pravega_sdk_types::{BoundedCut, ErrorKind, GroupRetention, Outcome, ReaderGroupConfiguration};

use super::{access::Result, error::ReaderGroupError, handle::ReaderGroup};
use crate::group::deadline::within;

/// How often a reset may be faster than the release.
const MAX_ATTEMPTS: u32 = 5;

impl ReaderGroup {
    /// Releases the data before cuts: the group does not need it, so that the retention policies of
    /// the streams may truncate it. The group must have the retention
    /// [`ManualReleaseAtUserStreamCut`](GroupRetention::ManualReleaseAtUserStreamCut); with
    /// [`AutomaticReleaseAtLastCheckpoint`](GroupRetention::AutomaticReleaseAtLastCheckpoint) its
    /// readers do it at each checkpoint.
    ///
    /// # Errors
    ///
    /// [`ReaderGroupError`]: [`InvalidArgument`](ErrorKind::InvalidArgument) if the group has
    /// another retention, or does not read the stream of a cut;
    /// [`InvalidStreamCut`](ErrorKind::InvalidStreamCut) for a cut that is not one of its stream,
    /// or is before one that was released. Of several cuts those before the one of the named
    /// stream are released; a repeat is harmless.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, some of the cuts are released.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use std::time::Duration;
    ///
    /// # async fn example(
    /// #     group: pravega_sdk_event_stream::group::ReaderGroup,
    /// # ) -> Result<(), Box<dyn std::error::Error>> {
    /// let checkpoint = group.checkpoint("stored", Duration::from_secs(60)).await?;
    /// // Keep what the program has made of the events before the checkpoint, and then:
    /// group.update_retention_stream_cut(checkpoint.cuts()).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn update_retention_stream_cut(&self, cuts: &[BoundedCut]) -> Result<()> {
        let mut effect = Outcome::NotApplied;
        let limit = self.access.config.timeout;
        let done = within(limit, self.release(cuts, &mut effect)).await;
        self.access.finish("releasing data of", limit, effect, done)
    }

    async fn release(&self, cuts: &[BoundedCut], effect: &mut Outcome) -> Result<()> {
        let mut configuration = self.manual(cuts).await?;
        for cut in cuts {
            let mut attempts = 1;
            while let Err(error) = self.release_one(&configuration, cut, effect).await {
                // The group was reset since the state was read.
                if error.kind() != ErrorKind::ConditionFailed || attempts == MAX_ATTEMPTS {
                    return Err(error);
                }
                attempts += 1;
                configuration = self.manual(cuts).await?;
            }
        }
        Ok(())
    }

    /// Returns the configuration, if cuts may be released by it.
    async fn manual(&self, cuts: &[BoundedCut]) -> Result<ReaderGroupConfiguration> {
        let configuration = self.access.read(|state| state.configuration().clone()).await?;
        if configuration.retention() != GroupRetention::ManualReleaseAtUserStreamCut {
            let detail = match configuration.retention() {
                GroupRetention::AutomaticReleaseAtLastCheckpoint => {
                    "the group releases data by itself, at its checkpoints"
                }
                _ => "the group does not hold back truncation",
            };
            return Err(ReaderGroupError::invalid(detail));
        }
        let is_read = |cut: &BoundedCut| {
            configuration.streams().iter().any(|entry| entry.stream == *cut.stream())
        };
        match cuts.iter().find(|cut| !is_read(cut)) {
            Some(cut) => {
                let stream = cut.stream();
                let detail = format_args!("the group does not read {stream}");
                Err(ReaderGroupError::invalid(detail))
            }
            None => Ok(configuration),
        }
    }

    async fn release_one(
        &self,
        configuration: &ReaderGroupConfiguration,
        cut: &BoundedCut,
        effect: &mut Outcome,
    ) -> Result<()> {
        let generation = configuration.generation().unwrap_or_default();
        let subscriber = Subscriber::new(self.group().clone(), configuration.id(), generation);
        let before = std::mem::replace(effect, Outcome::Unknown);
        let released = self.access.context.controller().update_subscriber_cut(&subscriber, cut);
        match released.await {
            Ok(()) => {
                *effect = Outcome::Applied;
                Ok(())
            }
            Err(error) => {
                *effect = before;
                let stream = cut.stream();
                let detail = format!("the cut of {stream} cannot be released");
                Err(ReaderGroupError::caused_by(error, detail).with_stream(stream))
            }
        }
    }
}
