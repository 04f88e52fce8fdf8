//! Configurations as states hold them, and checkpoints.

use std::{collections::BTreeMap, num::NonZeroU32, time::Duration};

use anyhow::{Context as _, Result, bail};
use pravega_sdk_event_stream::group::StoredConfiguration;
use pravega_sdk_types::{
    Checkpoint, GroupRetention, GroupStream, ReaderGroupConfiguration, ScopedStream, StreamCut,
};
use pravega_sdk_wire_protocol::value::to_hex;
use serde_json::Value as Json;

use crate::vectors::{
    line::{hex, list, number, same, text},
    semantics::stored::{bounded, cut_of},
};

pub(in crate::vectors::semantics) fn configuration(line: &Json) -> Result<()> {
    let found = StoredConfiguration::from_bytes(&hex(line, "hex")?)?;
    same_configuration(&found, &line["config"])?;
    same("the bytes", to_hex(&found.to_bytes()?), text(line, "hex")?.to_owned())
}

/// Compares a configuration with its members.
pub(super) fn same_configuration(found: &StoredConfiguration, config: &Json) -> Result<()> {
    let starts = cuts(config, "starting")?;
    let ends = cuts(config, "ending")?;
    same("the ends", found.ends(), &ends.iter().map(|(s, _)| s.clone()).collect::<Vec<_>>()[..])?;
    let ends: BTreeMap<_, _> = ends.into_iter().collect();
    let streams = starts.into_iter().map(|(stream, from)| {
        let to = ends.get(&stream).cloned().unwrap_or(StreamCut::Unbounded);
        GroupStream { stream, from, to }
    });
    let interval = number(config, "automaticCheckpointIntervalMillis")?;
    let checkpoints = match interval {
        -1 => None,
        interval => Some(Duration::from_millis(u64::try_from(interval)?)),
    };
    let refresh = u64::try_from(number(config, "groupRefreshTimeMillis")?)?;
    let outstanding = u32::try_from(number(config, "maxOutstandingCheckpointRequest")?)?;
    let generation = Some(number(config, "generation")?).filter(|generation| *generation != -1);
    let expected = ReaderGroupConfiguration::bounded(streams)?
        .with_refresh_interval(Duration::from_millis(refresh))
        .with_automatic_checkpoint_interval(checkpoints)
        .with_max_outstanding_checkpoints(NonZeroU32::new(outstanding).context("0 checkpoints")?)
        .with_retention(match number(config, "retentionType")? {
            0 => GroupRetention::None,
            1 => GroupRetention::ManualReleaseAtUserStreamCut,
            2 => GroupRetention::AutomaticReleaseAtLastCheckpoint,
            other => bail!("retention {other} is not known"),
        })
        .with_identity(text(config, "readerGroupId")?.parse()?, generation);
    same("the configuration", found.configuration(), &expected)
}

fn cuts(config: &Json, name: &str) -> Result<Vec<(ScopedStream, StreamCut)>> {
    let cut = |pair: &Json| {
        let stream = pair[0].as_str().context("a stream is not a text")?;
        let cut = match &pair[1] {
            Json::String(unbounded) => unbounded.parse()?,
            positions => bounded(stream, positions.as_array().context("no positions")?)?.into(),
        };
        Ok((ScopedStream::internal(stream)?, cut))
    };
    list(config, name)?.iter().map(cut).collect()
}

pub(in crate::vectors::semantics) fn checkpoint(line: &Json) -> Result<()> {
    let cuts = list(line, "cuts")?.iter().map(cut_of).collect::<Result<Vec<_>>>()?;
    let checkpoint = Checkpoint::new(text(line, "name")?, cuts);
    same("the bytes", to_hex(&checkpoint.to_bytes()?), text(line, "hex")?.to_owned())?;
    same("the checkpoint", Checkpoint::from_bytes(&hex(line, "hex")?)?, checkpoint)
}
