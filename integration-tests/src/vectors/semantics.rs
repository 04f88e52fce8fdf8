//! Hashes, names, ids, stored values and controller messages.

use std::{collections::BTreeMap, num::NonZeroU32, time::Duration};

use anyhow::{Context as _, Result, bail};
use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use pravega_sdk_controller_client::{
    ControllerUri, Credentials, DelegationToken, KeyValueTableConfiguration, encoding,
};
use pravega_sdk_types::{
    BoundedCut, Epoch, EventPointer, GroupRetention, GroupStream, Jitter, KeyRange, KeyValueTable,
    Offset, Position, ReaderGroup, ReaderGroupConfiguration, ReaderId, RetentionPolicy,
    RetryPolicy, RoutingKey, ScalingPolicy, Scope, ScopedReaderGroup, ScopedSegment, ScopedStream,
    Segment, SegmentId, SegmentMap, SegmentNumber, Stream, StreamConfiguration, StreamCut,
    Successor, Tag, TransactionId, Watermark, WriterName, routing, segment_name,
    serial::{SerialReader, SerialWriter},
};
use pravega_sdk_wire_protocol::{event, value::to_hex};
use secrecy::ExposeSecret as _;
use serde_json::Value as Json;

use super::{Verdict, hex, list, number, same, text};

/// What lines of a file say for others.
#[derive(Default)]
pub(crate) struct Context {
    layouts: BTreeMap<String, SegmentMap>,
}

/// Takes note of what other lines of the file refer to.
pub(crate) fn prepare(line: &Json, context: &mut Context) -> Result<()> {
    if line["kind"] == "segment_layouts" {
        for (name, entries) in line.as_object().context("not an object")? {
            if let Some(entries) = entries.as_array() {
                context.layouts.insert(name.clone(), layout(entries)?);
            }
        }
    }
    Ok(())
}

pub(crate) fn check(line: &Json, context: &Context) -> Result<Verdict> {
    match text(line, "kind")? {
        "compact_int" | "compact_long" | "compact_signed_long" | "utf" | "uuid" => primitive(line),
        "segment_layouts" => layouts(context),
        "routing_key" => routing_key(line, context),
        "segment_for_position" => segment_for_position(line, context),
        "seed" => same(
            "the seed",
            i64::from(routing::java_string_hash_of(text(line, "string")?)),
            number(line, "value")?,
        ),
        "reader_release_hash" => {
            let rank = routing::release_rank(text(line, "readerId")?, text(line, "segment")?);
            bits("the rank", rank, line)
        }
        "attribute_id" => same(
            "the id",
            routing::attribute_id(text(line, "name")?).to_string(),
            text(line, "uuid")?.to_owned(),
        ),
        "container_for_segment" => {
            let containers = u32::try_from(number(line, "containers")?)?;
            let container = segment_name::container(text(line, "segment")?, containers);
            same("the container", i64::from(container.0), number(line, "value")?)
        }
        "replace_sealed" => replace_sealed(line),
        "segment_name" => segment(line),
        "segment_parse" => segment_parse(line),
        "txn_segment_name" => transaction_segment(line),
        "transient_segment_name" => transient_segment(line),
        "internal_names" => internal_names(line),
        "name_validity" => name_validity(line),
        "event_frame" => event_frames(line, &[hex(line, "payload")?]),
        "event_batch_frame" => {
            let payloads = list(line, "payloads")?.iter();
            let payloads = payloads
                .map(|p| pravega_sdk_wire_protocol::value::from_hex(p.as_str().unwrap_or("?")));
            event_frames(
                line,
                &payloads.collect::<Option<Vec<_>>>().context("payloads are not hexadecimal")?,
            )
        }
        "stream_cut" => stream_cut(line),
        "stream_cut_v0" => {
            same("the cut", StreamCut::from_bytes(&hex(line, "hex")?)?, cut_of(line)?.into())
        }
        "stream_cut_unbounded" => {
            same("the cut", text(line, "text")?.parse::<StreamCut>()?, StreamCut::Unbounded)?;
            same("the text", StreamCut::Unbounded.to_text(), text(line, "text")?.to_owned())?;
            same("the bytes", StreamCut::Unbounded.to_bytes()?, hex(line, "hex")?)?;
            same("the cut of no bytes", StreamCut::from_bytes(&[])?, StreamCut::Unbounded)
        }
        "stream_cut_text_invalid" => match text(line, "text")?.parse::<StreamCut>() {
            Ok(cut) => bail!("was taken as {cut}"),
            Err(_) => Ok(()),
        },
        "event_pointer" => event_pointer(line),
        "position" => position(line),
        "watermark" => watermark(line),
        "credentials_basic" => {
            credentials(line, Credentials::basic(text(line, "user")?, text(line, "password")?)?)
        }
        "credentials_bearer" => credentials(line, Credentials::bearer(text(line, "token")?)?),
        "delegation_token" | "jwt_expiry" => {
            let claims = DelegationToken::new(text(line, "token")?).claims();
            same("the end", claims.map(|c| c.expires_at), line["exp"].as_u64())
        }
        "controller_uri" => controller_uri(line),
        "retry_delays" => retry_delays(line),
        "scaling_policy_proto" => {
            let bytes = encoding::scaling_policy(scaling_policy(line)?)?;
            same("the message", to_hex(&bytes), text(line, "hex")?.to_owned())
        }
        "retention_policy_proto" => {
            let bytes = encoding::retention_policy(retention_policy(line)?)?;
            same("the message", to_hex(&bytes), text(line, "hex")?.to_owned())
        }
        "stream_config_proto" => stream_config(line),
        "reader_group_configuration_proto" => reader_group(line),
        "kvt_config_proto" => table_config(line),
        "txn_id_proto" => {
            let bytes = encoding::transaction_id(text(line, "uuid")?.parse()?);
            same("the message", to_hex(&bytes), text(line, "hex")?.to_owned())
        }
        "kvt_partition" => table_partition(line),
        other => return Ok(Verdict::Uncovered(other.to_owned())),
    }?;
    Ok(Verdict::Passed)
}

fn bits(what: &str, found: f64, line: &Json) -> Result<()> {
    same(what, format!("{:016x}", found.to_bits()), text(line, "bits")?.to_owned())
}

fn primitive(line: &Json) -> Result<()> {
    let bytes = hex(line, "hex")?;
    let mut writer = SerialWriter::new();
    let mut reader = SerialReader::new(&bytes);
    match text(line, "kind")? {
        "compact_int" => {
            let value = i32::try_from(number(line, "value")?)?;
            writer.compact_int(value)?;
            same("the value", reader.compact_int()?, value)?;
        }
        "compact_long" => {
            writer.compact_long(number(line, "value")?)?;
            same("the value", reader.compact_long()?, number(line, "value")?)?;
        }
        "compact_signed_long" => {
            writer.compact_signed_long(number(line, "value")?)?;
            same("the value", reader.compact_signed_long()?, number(line, "value")?)?;
        }
        "utf" => {
            writer.utf(text(line, "value")?)?;
            same("the value", reader.utf()?.into_owned(), text(line, "value")?.to_owned())?;
        }
        _ => {
            let value = text(line, "value")?.parse()?;
            writer.uuid(value);
            same("the value", reader.uuid()?, value)?;
        }
    }
    same("the bytes left over", reader.remaining(), 0)?;
    same("the bytes", to_hex(&writer.finish()), to_hex(&bytes))
}

fn layout(entries: &[Json]) -> Result<SegmentMap> {
    let entries = entries.iter().map(|entry| {
        let bound =
            |name: &str| entry[name].as_f64().with_context(|| format!("{name} is not a number"));
        let range = KeyRange::new(bound("low")?, bound("high")?)?;
        Ok((bound("key")?, SegmentId::from(number(entry, "segmentId")?), range))
    });
    Ok(SegmentMap::with_upper_bounds(entries.collect::<Result<Vec<_>>>()?))
}

fn layouts(context: &Context) -> Result<()> {
    // The controller's own rounding of equal ranges.
    for (name, count) in [("of3", 3), ("of7", 7)] {
        same("equal ranges", context.layouts.get(name), Some(&SegmentMap::equal_ranges(count)))?;
    }
    Ok(())
}

fn routing_key(line: &Json, context: &Context) -> Result<()> {
    let key = RoutingKey::from(text(line, "key")?);
    let (hash, _) = routing::hash_text(routing::EVENT_SEED, key.as_str());
    same("the hash", format!("{hash:016x}"), text(line, "hash64")?.to_owned())?;
    bits("the position", key.position(), line)?;
    for layout in ["of3", "of7", "mixed"] {
        let map = context.layouts.get(layout).context("no such layout")?;
        let chosen = map.segment_for(key.position()).map(i64::from);
        same(layout, chosen, Some(number(line, layout)?))?;
    }
    Ok(())
}

fn segment_for_position(line: &Json, context: &Context) -> Result<()> {
    let map = context.layouts.get(text(line, "layout")?).context("no such layout")?;
    let position = f64::from_bits(u64::from_str_radix(text(line, "bits")?, 16)?);
    same("the segment", map.segment_for(position).map(i64::from), Some(number(line, "value")?))
}

fn replace_sealed(line: &Json) -> Result<()> {
    let mut map = layout(list(line, "before")?)?;
    let successor = |json: &Json| {
        let bound =
            |name: &str| json[name].as_f64().with_context(|| format!("{name} is not a number"));
        let predecessors = list(json, "predecessors")?
            .iter()
            .filter_map(Json::as_i64)
            .map(SegmentId::from)
            .collect();
        let range = KeyRange::new(bound("low")?, bound("high")?)?;
        Ok(Successor { id: number(json, "segmentId")?.into(), range, predecessors })
    };
    let successors = list(line, "successors")?.iter().map(successor).collect::<Result<Vec<_>>>()?;
    let replaced = map.replace_sealed(number(line, "sealed")?.into(), &successors);
    if !line["error"].is_null() {
        return match replaced {
            Ok(()) => bail!("was taken"),
            Err(_) => Ok(()),
        };
    }
    replaced?;
    same("the map", map, layout(list(line, "after")?)?)
}

fn segment(line: &Json) -> Result<()> {
    let id = SegmentId::new(
        Epoch(i32::try_from(number(line, "epoch")?)?),
        SegmentNumber(i32::try_from(number(line, "number")?)?),
    );
    same("the id", i64::from(id), number(line, "segmentId")?)?;
    let stream = ScopedStream::new(
        Scope::internal(text(line, "scope")?)?,
        Stream::internal(text(line, "stream")?)?,
    );
    let segment = ScopedSegment::new(&stream, id);
    same("the name", segment.to_string(), text(line, "text")?.to_owned())?;
    same("the parsed name", text(line, "text")?.parse::<ScopedSegment>()?, segment)?;
    same(
        "the parsed id",
        i64::from(text(line, "text")?.parse::<ScopedSegment>()?.id()),
        number(line, "parsedId")?,
    )?;
    if let Ok(table) = KeyValueTable::new(text(line, "stream")?) {
        let table = pravega_sdk_types::ScopedKeyValueTable::new(stream.scope().clone(), table);
        let segment = ScopedSegment::new(&table.segment_stream(), id);
        same("the table's segment", segment.to_string(), text(line, "tableText")?.to_owned())?;
    }
    let table_segment: ScopedSegment = text(line, "tableText")?.parse()?;
    same(
        "the table's segment again",
        table_segment.to_string(),
        text(line, "tableText")?.to_owned(),
    )?;
    same("the id of the table's segment", table_segment.id(), id)
}

fn segment_parse(line: &Json) -> Result<()> {
    let expected = (text(line, "stream")?.to_owned(), number(line, "segmentId")?);
    if line["scope"].is_null() {
        let segment: Segment = text(line, "text")?.parse()?;
        return same("the segment", (segment.stream().to_string(), segment.id().into()), expected);
    }
    let segment: ScopedSegment = text(line, "text")?.parse()?;
    same("the scope", segment.scope().as_str(), text(line, "scope")?)?;
    same("the segment", (segment.stream().to_string(), segment.id().into()), expected)
}

fn transaction_segment(line: &Json) -> Result<()> {
    let parent: ScopedSegment = text(line, "parent")?.parse()?;
    let id: TransactionId = text(line, "txnId")?.parse()?;
    same("the halves", id.to_halves(), (number(line, "highBits")?, number(line, "lowBits")?))?;
    same(
        "the id of the halves",
        TransactionId::from_halves(id.to_halves().0, id.to_halves().1),
        id,
    )?;
    same("the epoch", i64::from(id.epoch().0), number(line, "epoch")?)?;
    let name = segment_name::transaction(&parent, id);
    same("the name", name.as_str(), text(line, "text")?)?;
    same("whether it is one", Some(segment_name::is_transaction(&name)), line["isTxn"].as_bool())?;
    same("the parent", segment_name::parent(&name), Some(text(line, "parentOf")?))?;
    same("the primary name", segment_name::primary(&name), text(line, "primaryOf")?)?;
    same(
        "the segment",
        name.parse::<ScopedSegment>()?.to_string(),
        text(line, "asSegment")?.to_owned(),
    )
}

fn transient_segment(line: &Json) -> Result<()> {
    let name = text(line, "text")?;
    same(
        "whether it is one",
        Some(segment_name::is_transient(name)),
        line["isTransient"].as_bool(),
    )?;
    same("the parent", segment_name::parent(name), Some(text(line, "parentOf")?))?;
    same("the primary name", segment_name::primary(name), text(line, "primaryOf")?)
}

fn internal_names(line: &Json) -> Result<()> {
    let name = text(line, "name")?;
    let group: ScopedReaderGroup = format!("sc/{name}").parse()?;
    let stream: ScopedStream = format!("sc/{name}").parse()?;
    same(
        "the group's stream",
        group.state_stream().stream().as_str(),
        text(line, "readerGroupStream")?,
    )?;
    same(
        "the watermark stream",
        stream.watermark_stream().stream().as_str(),
        text(line, "markStream")?,
    )?;
    same("the scoped name", group.to_string(), text(line, "scopedReaderGroup")?.to_owned())
}

fn name_validity(line: &Json) -> Result<()> {
    let name = text(line, "name")?;
    let checks = [
        ("userStream", Stream::new(name).is_ok()),
        ("internalStream", Stream::internal(name).is_ok()),
        ("userScope", Scope::new(name).is_ok()),
        ("scope", Scope::internal(name).is_ok()),
        ("readerGroup", ReaderGroup::new(name).is_ok()),
        ("readerId", ReaderId::new(name).is_ok()),
        ("writerId", WriterName::new(name).is_ok()),
        ("kvt", KeyValueTable::new(name).is_ok()),
    ];
    for (rule, taken) in checks {
        same(rule, Some(taken), line[rule].as_bool())?;
    }
    Ok(())
}

fn event_frames(line: &Json, payloads: &[Vec<u8>]) -> Result<()> {
    let mut block = bytes::BytesMut::new();
    for payload in payloads {
        event::put(&mut block, payload)?;
    }
    same("the stored bytes", to_hex(&block), text(line, "hex")?.to_owned())?;
    for payload in payloads {
        let found =
            event::take(&mut block, event::MAX_EVENT_LEN)?.context("an event is missing")?;
        same("the payload", to_hex(&found), to_hex(payload))?;
    }
    Ok(())
}

fn cut_of(line: &Json) -> Result<BoundedCut> {
    bounded(text(line, "stream")?, list(line, "positions")?)
}

fn bounded(stream: &str, positions: &[Json]) -> Result<BoundedCut> {
    let position = |pair: &Json| {
        let part = |at: usize| pair[at].as_i64().context("a position is not a pair of numbers");
        Ok((SegmentId::from(part(0)?), Offset(part(1)?)))
    };
    let positions = positions.iter().map(position).collect::<Result<Vec<_>>>()?;
    Ok(BoundedCut::new(ScopedStream::internal(stream)?, positions)?)
}

fn stream_cut(line: &Json) -> Result<()> {
    let cut = StreamCut::from(cut_of(line)?);
    same("the bytes", to_hex(&cut.to_bytes()?), text(line, "hex")?.to_owned())?;
    same("the cut of the bytes", StreamCut::from_bytes(&hex(line, "hex")?)?, cut.clone())?;
    same("the cut of Java's text", text(line, "text")?.parse::<StreamCut>()?, cut.clone())?;
    same("the cut of our text", cut.to_text().parse::<StreamCut>()?, cut.clone())?;
    // Compressed texts differ between implementations; what they hold must not.
    same("what our text holds", gunzip(&cut.to_text())?, text(line, "inner")?.to_owned())?;
    match line["toString"].as_str() {
        Some(shown) => same("the display form", cut.to_string(), shown.to_owned()),
        None => Ok(()),
    }
}

fn gunzip(text: &str) -> Result<String> {
    let compressed = BASE64.decode(text)?;
    Ok(std::io::read_to_string(flate2::read::GzDecoder::new(&compressed[..]))?)
}

fn event_pointer(line: &Json) -> Result<()> {
    let segment = text(line, "segment")?.parse()?;
    let length = i32::try_from(number(line, "length")?)?;
    let pointer = EventPointer::new(segment, Offset(number(line, "offset")?), length)?;
    same("the bytes", to_hex(&pointer.to_bytes()?), text(line, "hex")?.to_owned())?;
    same(
        "the pointer of the bytes",
        EventPointer::from_bytes(&hex(line, "hex")?)?,
        pointer.clone(),
    )?;
    same("the text", pointer.to_string(), text(line, "text")?.to_owned())?;
    same("the pointer of the text", text(line, "text")?.parse()?, pointer)
}

fn position(line: &Json) -> Result<()> {
    let name = |pair: &Json| {
        pair[0]
            .as_str()
            .context("a segment is not a text")?
            .parse::<ScopedSegment>()
            .context("name")
    };
    let owned = list(line, "owned")?.iter();
    let owned = owned.map(|pair| Ok((name(pair)?, Offset(pair[1].as_i64().context("offset")?))));
    let range = |pair: &Json| match &pair[1] {
        Json::Null => Ok::<_, anyhow::Error>(None),
        bounds => Ok(Some(KeyRange::new(
            bounds[0].as_f64().context("low")?,
            bounds[1].as_f64().context("high")?,
        )?)),
    };
    let ranges = list(line, "ranges")?.iter().map(|pair| Ok((name(pair)?, range(pair)?)));
    let position =
        Position::new(owned.collect::<Result<Vec<_>>>()?, ranges.collect::<Result<Vec<_>>>()?);
    same("the bytes", to_hex(&position.to_bytes()?), text(line, "hex")?.to_owned())?;
    same("the position of the bytes", Position::from_bytes(&hex(line, "hex")?)?, position.clone())?;
    let completed: Vec<String> = position.completed().map(ScopedSegment::to_string).collect();
    let expected =
        list(line, "completed")?.iter().filter_map(Json::as_str).map(str::to_owned).collect();
    same("the completed segments", completed, expected)
}

fn watermark(line: &Json) -> Result<()> {
    let mark = Watermark::from_bytes(&hex(line, "hex")?)?;
    same("the lower time", mark.lower_time(), number(line, "lowerTimeBound")?)?;
    same("the upper time", mark.upper_time(), number(line, "upperTimeBound")?)?;
    let expected: Result<Vec<_>> = list(line, "cut")?
        .iter()
        .map(|place| {
            Ok((SegmentId::from(number(place, "segmentId")?), Offset(number(place, "offset")?)))
        })
        .collect();
    same("the place", mark.positions().collect::<Vec<_>>(), expected?)
}

fn credentials(line: &Json, credentials: Credentials) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let header =
        runtime.block_on(credentials.authorization())?.context("no header")?.header_value();
    same("the header", header.expose_secret(), text(line, "header")?)
}

/// Java refuses an address that starts with a number and has no scheme; it is taken here, as
/// nothing else can be meant.
fn controller_uri(line: &Json) -> Result<()> {
    let found = text(line, "text")?.parse::<ControllerUri>();
    let expected = &line["result"];
    let Some(uri) = expected["uri"].as_str() else {
        return match found {
            Ok(uri) if text(line, "text")?.contains("://") => bail!("was taken as {uri}"),
            _ => Ok(()),
        };
    };
    let found = found?;
    // `ssl` is another way to write `tls`.
    same("the address", found.to_string(), uri.replace("ssl://", "tls://"))?;
    same("whether TLS is on", Some(found.scheme().is_tls()), expected["tls"].as_bool())
}

fn retry_delays(line: &Json) -> Result<()> {
    let millis = |name: &str| {
        Ok::<_, anyhow::Error>(Duration::from_millis(u64::try_from(number(line, name)?)?))
    };
    let policy = RetryPolicy::new(
        millis("initialMillis")?,
        u32::try_from(number(line, "multiplier")?)?,
        millis("maxMillis")?,
        u32::try_from(number(line, "attempts")?)?,
    )?;
    let delays: Vec<u64> = policy
        .with_jitter(Jitter::None)
        .delays(|| 0.5)
        .map(|delay| delay.as_millis() as u64)
        .collect();
    same("the waits", delays, list(line, "delaysMillis")?.iter().filter_map(Json::as_u64).collect())
}

fn at_least_one(line: &Json, name: &str) -> Result<NonZeroU32> {
    u32::try_from(number(line, name)?)
        .ok()
        .and_then(NonZeroU32::new)
        .with_context(|| format!("{name} is 0"))
}

fn scaling_policy(line: &Json) -> Result<ScalingPolicy> {
    let min_segments = at_least_one(line, "minNumSegments")?;
    Ok(match text(line, "type")? {
        "FIXED_NUM_SEGMENTS" => ScalingPolicy::Fixed { segments: min_segments },
        "BY_RATE_IN_KBYTES_PER_SEC" => ScalingPolicy::ByDataRate {
            kib_per_second: at_least_one(line, "targetRate")?,
            scale_factor: at_least_one(line, "scaleFactor")?,
            min_segments,
        },
        "BY_RATE_IN_EVENTS_PER_SEC" => ScalingPolicy::ByEventRate {
            events_per_second: at_least_one(line, "targetRate")?,
            scale_factor: at_least_one(line, "scaleFactor")?,
            min_segments,
        },
        other => bail!("scaling type {other} is not known"),
    })
}

fn retention_policy(line: &Json) -> Result<RetentionPolicy> {
    let param = u64::try_from(number(line, "param")?)?;
    let max =
        Some(number(line, "max")?).filter(|max| *max != i64::MAX).map(u64::try_from).transpose()?;
    Ok(match text(line, "type")? {
        "TIME" => RetentionPolicy::ByTime {
            min: Duration::from_millis(param),
            max: max.map(Duration::from_millis),
        },
        "SIZE" => RetentionPolicy::BySize { min_bytes: param, max_bytes: max },
        other => bail!("retention type {other} is not known"),
    })
}

fn stream_config(line: &Json) -> Result<()> {
    let stream = ScopedStream::new(text(line, "scope")?.parse()?, text(line, "stream")?.parse()?);
    let tags = list(line, "tags")?.iter().filter_map(Json::as_str).map(Tag::new);
    let retention = RetentionPolicy::BySize {
        min_bytes: u64::try_from(number(line, "retentionSizeMin")?)?,
        max_bytes: None,
    };
    let configuration = StreamConfiguration::default()
        .with_scaling(ScalingPolicy::Fixed { segments: at_least_one(line, "minNumSegments")? })
        .with_retention(retention)?
        .with_tags(tags.collect::<Result<Vec<_>, _>>()?)?;
    let bytes = encoding::stream_config(&stream, &configuration)?;
    same("the message", to_hex(&bytes), text(line, "hex")?.to_owned())
}

fn group_configuration(config: &Json) -> Result<ReaderGroupConfiguration> {
    let cut = |pair: &Json| {
        let stream = pair[0].as_str().context("a stream is not a text")?;
        let cut = match &pair[1] {
            Json::String(_) => StreamCut::Unbounded,
            positions => bounded(stream, positions.as_array().context("positions")?)?.into(),
        };
        Ok::<_, anyhow::Error>((ScopedStream::internal(stream)?, cut))
    };
    let ends = list(config, "ending")?.iter().map(cut).collect::<Result<Vec<_>>>()?;
    let streams = list(config, "starting")?.iter().map(|pair| {
        let (stream, from) = cut(pair)?;
        let to = ends
            .iter()
            .find(|(other, _)| *other == stream)
            .map_or(StreamCut::Unbounded, |(_, to)| to.clone());
        Ok(GroupStream { stream, from, to })
    });
    let millis = |name: &str| {
        Ok::<_, anyhow::Error>(u64::try_from(number(config, name)?).ok().map(Duration::from_millis))
    };
    let retention = match number(config, "retentionType")? {
        0 => GroupRetention::None,
        1 => GroupRetention::ManualReleaseAtUserStreamCut,
        _ => GroupRetention::AutomaticReleaseAtLastCheckpoint,
    };
    Ok(ReaderGroupConfiguration::bounded(streams.collect::<Result<Vec<_>>>()?)?
        .with_refresh_interval(millis("groupRefreshTimeMillis")?.context("no interval")?)
        .with_automatic_checkpoint_interval(millis("automaticCheckpointIntervalMillis")?)
        .with_max_outstanding_checkpoints(at_least_one(config, "maxOutstandingCheckpointRequest")?)
        .with_retention(retention)
        .with_identity(text(config, "readerGroupId")?.parse()?, number(config, "generation")?))
}

fn reader_group(line: &Json) -> Result<()> {
    let group =
        ScopedReaderGroup::new(text(line, "scope")?.parse()?, text(line, "group")?.parse()?);
    let configuration = group_configuration(&line["config"])?;
    same(
        "the configuration of the message",
        encoding::read_reader_group(&hex(line, "hex")?)?,
        configuration.clone(),
    )?;
    // An end that is not given is written as unbounded, which is what Java's own groups send.
    let all_ends_given = list(&line["config"], "ending")?.len() == configuration.streams().len();
    if all_ends_given {
        let bytes = encoding::reader_group(&group, &configuration)?;
        same("the message", to_hex(&bytes), text(line, "hex")?.to_owned())?;
    }
    Ok(())
}

fn table_config(line: &Json) -> Result<()> {
    let table = format!("{}/{}", text(line, "scope")?, text(line, "kvt")?).parse()?;
    let configuration = KeyValueTableConfiguration {
        partition_count: u32::try_from(number(line, "partitionCount")?)?,
        primary_key_length: u32::try_from(number(line, "primaryKeyLength")?)?,
        secondary_key_length: u32::try_from(number(line, "secondaryKeyLength")?)?,
        rollover_size_bytes: u64::try_from(number(line, "rolloverSizeBytes")?)?,
    };
    let bytes = encoding::key_value_table(&table, &configuration)?;
    same("the message", to_hex(&bytes), text(line, "hex")?.to_owned())
}

fn table_partition(line: &Json) -> Result<()> {
    let position = routing::table_key_position(&hex(line, "primaryKey")?);
    bits("the position", position, line)?;
    let partitions = SegmentMap::equal_ranges(u32::try_from(number(line, "partitions")?)?);
    same(
        "the partition",
        partitions.segment_for(position).map(i64::from),
        Some(number(line, "segmentId")?),
    )
}
