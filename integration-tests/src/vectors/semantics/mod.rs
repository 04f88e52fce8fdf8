//! Hashes, names, ids, stored values and controller messages.

mod client;
mod context;
mod groups;
mod hashes;
mod identity;
mod messages;
mod names;
mod stored;
mod tables;

use anyhow::{Context as _, Result, bail};
use pravega_sdk_controller_client::{Credentials, DelegationToken, encoding};
use pravega_sdk_types::{StreamCut, routing, segment_name};
use pravega_sdk_wire_protocol::value::to_hex;
use serde_json::Value as Json;

use self::client::{controller_uri, credentials, ping_interval, retry_delays, token_parts};
pub(crate) use self::context::Context;
use self::hashes::{
    bits, layout, layouts, primitive, replace_sealed, routing_key, segment_for_position,
};
use self::messages::{
    reader_group, retention_policy, scaling_policy, stream_config, table_config, table_partition,
};
use self::names::{
    internal_names, name_validity, resources, segment, segment_parse, transaction_segment,
    transient_segment,
};
use self::stored::{cut_of, event_frames, event_pointer, position, stream_cut, watermark};
use super::line::{Verdict, hex, list, number, same, text};

/// Records the layout that a line defines for other lines of the file.
pub(crate) fn prepare(line: &Json, context: &mut Context) -> Result<()> {
    if line["kind"] == "segment_layouts" {
        for (name, entries) in line.as_object().context("not an object")? {
            if let Some(entries) = entries.as_array() {
                context.layouts.insert(name.clone(), layout(entries)?);
            }
        }
    }
    groups::prepare(line, &mut context.captured);
    Ok(())
}

pub(crate) fn check(line: &Json, context: &Context) -> Result<Verdict> {
    match text(line, "kind")? {
        "compact_int" | "compact_long" | "compact_signed_long" | "utf" | "uuid" => primitive(line),
        "segment_layouts" => layouts(line, context),
        "routing_key" => routing_key(line, context),
        "segment_for_position" => segment_for_position(line, context),
        "seed" => same(
            "the seed",
            i64::from(routing::java_string_hash_of(text(line, "string")?)),
            number(line, "value")?,
        ),
        "reader_release_hash" => {
            let reader = text(line, "readerId")?;
            let seed = i64::from(routing::java_string_hash_of(reader));
            same("the seed", seed, number(line, "seed_int")?)?;
            let rank = routing::release_rank(reader, text(line, "segment")?);
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
        "authorization_resource" => resources(line),
        "name_validity" => name_validity(line),
        "captured_rg_entry" => groups::captured_entry(line, &context.captured),
        "captured_rg_final" => groups::captured_final(line, &context.captured),
        other => return check_value(other, line),
    }?;
    Ok(Verdict::Passed)
}

/// Checks a stored value or a message to the controller.
fn check_value(kind: &str, line: &Json) -> Result<Verdict> {
    match kind {
        "event_frame" => event_frames(line, &[hex(line, "payload")?]),
        "event_batch_frame" => {
            let payloads = list(line, "payloads")?.iter();
            let payloads = payloads
                .map(|p| pravega_sdk_wire_protocol::value::from_hex(p.as_str().unwrap_or("?")));
            let payloads: Option<Vec<_>> = payloads.collect();
            let payloads = payloads.context("payloads are not hexadecimal")?;
            same("the number of events", payloads.len() as i64, number(line, "eventCount")?)?;
            event_frames(line, &payloads)
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
            let header = format!("{} {}", text(line, "method")?, text(line, "token")?);
            same("the header of its parts", header.as_str(), text(line, "header")?)?;
            credentials(line, Credentials::basic(text(line, "user")?, text(line, "password")?)?)
        }
        "credentials_bearer" => credentials(line, Credentials::bearer(text(line, "token")?)?),
        "keycloak_exchange" => identity::keycloak_exchange(line),
        "delegation_token" | "jwt_expiry" => {
            token_parts(line)?;
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
        "sync_entry_batch" => groups::batch(line),
        "checkpoint" => groups::checkpoint(line),
        "reader_group_config" => groups::configuration(line),
        "rg_init" => groups::init(line),
        "rg_update" => groups::update(line),
        "rg_scenario" => groups::scenario(line),
        "txn_ping_interval" => ping_interval(line),
        "kvt_partition" => table_partition(line),
        "kvt_key" => tables::key(line),
        "kvt_iterator_bounds" => tables::bounds(line),
        "kvt_iterator_next" => tables::next(line),
        "kvt_version" => tables::version(line),
        other => return Ok(Verdict::Uncovered(other.to_owned())),
    }?;
    Ok(Verdict::Passed)
}
