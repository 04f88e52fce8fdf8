//! A state of a group, and what its readers decide by it.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, bail};
use pravega_sdk_event_stream::group::{CheckpointState, FairShare, ReaderGroupState};
use pravega_sdk_types::{KeyRange, ScopedSegment, SegmentOffset};
use serde_json::{Value as Json, json};

use crate::vectors::line::{list, number, same, text};

/// The update that added each segment to those without a reader. Java's order of segments that one
/// update adds is that of hashes.
pub(super) type AddedBy = BTreeMap<String, usize>;

/// Compares a state, and the revision it has, with its members.
pub(super) fn same_state(
    found: &ReaderGroupState,
    added_by: &AddedBy,
    revision: &str,
    expected: &Json,
) -> Result<()> {
    same("the revision", revision, text(expected, "revision")?)?;
    let order = list(expected, "unassignedInsertionOrder")?;
    let by_update = |segments: Vec<String>| {
        segments.iter().map(|segment| added_by.get(segment).copied()).collect::<Vec<_>>()
    };
    let names = order.iter().filter_map(Json::as_str).map(str::to_owned).collect();
    same("the insertion order", by_update(order_of(found)), by_update(names))?;
    same_content(found, expected)
}

/// Returns the segments without a reader, in the order in which they were added.
pub(super) fn order_of(state: &ReaderGroupState) -> Vec<String> {
    state.unassigned().segments().map(ToString::to_string).collect()
}

/// Compares a state with its members, without the revision and the order of the segments without a
/// reader.
pub(super) fn same_content(found: &ReaderGroupState, expected: &Json) -> Result<()> {
    let field = |name: &str, found: Json| {
        let expected = expected.get(name).with_context(|| format!("{name} is missing"))?;
        same(name, found, expected.clone())
    };
    let generation = found.configuration().generation().unwrap_or(-1);
    field("generation", json!(generation))?;
    field("updatingConfig", json!(found.is_updating_configuration()))?;
    let assigned = found.readers().map(|reader| {
        let segments = found.assigned(reader).map(|segments| ranged(segments.iter()));
        (reader.to_string(), segments.unwrap_or_default())
    });
    field("assigned", Json::Object(assigned.collect()))?;
    field("unassigned", ranged(found.unassigned().iter()))?;
    let future = found.future().map(|(segment, range, left)| {
        let left: Vec<i64> = left.iter().map(|id| i64::from(*id)).collect();
        json!([segment.to_string(), bounds(range), left])
    });
    field("future", sorted(future))?;
    let ends = found.ends().map(|(segment, end)| {
        json!([segment.to_string(), end.offset().map_or(i64::MAX, |end| end.0)])
    });
    field("endSegments", sorted(ends))?;
    field("lastReadPosition", ranged(found.last_read().iter()))?;
    let lags = found.lags().map(|(reader, lag)| (reader.to_string(), json!(lag)));
    field("distanceToTail", Json::Object(lags.collect()))?;
    field("endOfData", json!(found.is_at_end()))?;
    field("segments", json!(found.segment_count()))?;
    same_checkpoints(found, &expected["checkpoints"]).context("checkpoints")?;
    same_sizes(found, expected)?;
    same_decisions(found, &expected["decisions"]).context("decisions")
}

fn same_checkpoints(state: &ReaderGroupState, expected: &Json) -> Result<()> {
    let found: &CheckpointState = state.checkpoints();
    let field = |name: &str, found: Json| {
        let expected = expected.get(name).with_context(|| format!("{name} is missing"))?;
        same(name, found, expected.clone())
    };
    let names: Vec<&str> = found.names().collect();
    field("order", json!(names))?;
    let waiting = names.iter().filter(|name| !found.is_complete(name));
    let waiting = waiting.map(|name| {
        let readers: Vec<&str> = found.waiting_for(name).collect();
        ((*name).to_owned(), json!(readers))
    });
    field("waitingOn", Json::Object(waiting.collect()))?;
    let known = |name: &&str| {
        let known = found.known(name)?;
        Some(((*name).to_owned(), positions(known.iter())))
    };
    field("positions", Json::Object(names.iter().filter_map(known).collect()))?;
    field("last", found.last_completed().map_or(Json::Null, |last| positions(last.iter())))?;
    field("lastPublished", json!(found.is_last_published()))?;
    let outstanding: Vec<&str> = found.outstanding().map(|name| &**name).collect();
    field("outstanding", json!(outstanding))?;
    field("ongoing", json!(found.is_ongoing()))?;
    let next = expected["nextForReader"].as_object().context("nextForReader is no object")?;
    same("the readers with a next one", next.len(), state.readers().len())?;
    for reader in state.readers() {
        let pending = names.iter().filter(|name| found.waiting_for(name).any(|r| r == &**reader));
        let expected = next.get(&**reader).context("a reader is missing")?;
        // Java takes any of several.
        if pending.count() <= 1 {
            same(
                "the next one",
                json!(found.next_for(reader).map(|name| &**name)),
                expected.clone(),
            )?;
        }
    }
    Ok(())
}

fn same_sizes(state: &ReaderGroupState, expected: &Json) -> Result<()> {
    let expected = expected["relativeSizes"].as_object().context("relativeSizes")?;
    let share = FairShare::of(state);
    same("the number of sizes", share.sizes().len(), expected.len())?;
    for (reader, size) in share.sizes() {
        let shown = expected.get(reader).and_then(Json::as_f64).context("a size is missing")?;
        // A parser of JSON may round.
        if (size - shown).abs() > shown.abs() * 1e-15 {
            bail!("the size of {reader} is {size}, not {shown}");
        }
    }
    Ok(())
}

fn same_decisions(state: &ReaderGroupState, expected: &Json) -> Result<()> {
    let expected = expected.as_object().context("no object")?;
    let share = FairShare::of(state);
    same("the number of readers", state.readers().len(), expected.len())?;
    let mut sizes: Vec<f64> = share.sizes().map(|(_, size)| size).collect();
    sizes.sort_by(f64::total_cmp);
    let has_ties = sizes.iter().zip(sizes.iter().skip(1)).any(|(one, other)| one == other);
    for reader in state.readers() {
        let expected = expected.get(&**reader).context("a reader is missing")?;
        let count = number(expected, "acquireCount")?;
        same("the number to acquire", share.acquire_count(reader), usize::try_from(count)?)?;
        let too_much = expected["ownsTooMany"].as_bool().context("ownsTooMany")?;
        same("owning too much", share.owns_too_much(reader), too_much)?;
        let candidate = share.release_candidate(reader).map(ToString::to_string);
        same("the candidate", json!(candidate), member(expected, "releaseCandidate")?)?;
        // The order of readers of the same size is Java's order of hashes.
        let unless_tied = |value: Json| if has_ties { Json::Null } else { value };
        let rank = unless_tied(json!(share.rank(reader)));
        same("the rank", rank, member(expected, "ranking")?)?;
        let millis = |delay: Option<std::time::Duration>| {
            unless_tied(json!(delay.map(|delay| delay.as_millis() as u64)))
        };
        let acquire = millis(share.acquire_delay(reader));
        same("the time to acquiring", acquire, member(expected, "acquireDelayMs")?)?;
        let release = millis(share.release_delay(reader));
        same("the time to releasing", release, member(expected, "releaseDelayMs")?)?;
    }
    Ok(())
}

fn member(json: &Json, name: &str) -> Result<Json> {
    json.get(name).cloned().with_context(|| format!("{name} is missing"))
}

fn bounds(range: Option<KeyRange>) -> Json {
    range.map_or(Json::Null, |range| json!([range.low(), range.high()]))
}

fn ranged<'a>(
    segments: impl Iterator<Item = (&'a ScopedSegment, Option<KeyRange>, SegmentOffset)>,
) -> Json {
    sorted(segments.map(|(segment, range, offset)| {
        json!([segment.to_string(), bounds(range), offset.to_wire()])
    }))
}

fn positions<'a>(positions: impl Iterator<Item = (&'a ScopedSegment, &'a SegmentOffset)>) -> Json {
    sorted(positions.map(|(segment, offset)| json!([segment.to_string(), offset.to_wire()])))
}

/// Entries, sorted by their names.
fn sorted(entries: impl Iterator<Item = Json>) -> Json {
    let mut entries: Vec<Json> = entries.collect();
    entries.sort_by(|one, other| one[0].as_str().cmp(&other[0].as_str()));
    Json::Array(entries)
}
