//! `pravega dev --check`

use std::{io, path::PathBuf};

use pravega_sdk::{
    ErrorKind,
    embedded::{DamagedPart, FolderReport, OpenProblem, SegmentPart, check},
};
use serde_json::{Value, json};

use crate::{
    context::Context,
    failure::{Failure, Result, with_causes},
    output::{Format, Record},
};

pub(super) async fn run(folder: PathBuf, context: &mut Context) -> Result<()> {
    let name = folder.display().to_string();
    // Blocking: it reads all of it.
    let checked = tokio::task::spawn_blocking(move || check(folder)).await;
    let report = checked.map_err(Failure::other)?.map_err(|error| match error.problem() {
        OpenProblem::InUse { .. } => {
            Failure::of_kind(ErrorKind::ConditionFailed, with_causes(&error)).with_hint(
                "a running server checks its files itself, slowly, and logs damage; stop it to \
                 check them now, or check a copy of `pravega backup`",
            )
        }
        OpenProblem::Io { error: cause, .. } if cause.kind() == io::ErrorKind::NotFound => {
            Failure::of_kind(ErrorKind::NotFound, with_causes(&error))
        }
        _ => Failure::of_kind(error.kind(), with_causes(&error)),
    })?;
    for part in &report.damage {
        context.output.status(format_args!("damaged   {}", told(part)));
    }
    for part in &report.harmless {
        context.output.status(format_args!("harmless  {}", told(part)));
    }
    for file in &report.unknown {
        context.output.status(format_args!("unknown   {file}: it is none of a server's"));
    }
    let record = record(&name, &report, context.output.format());
    context.output.one(record)?;
    failure(&name, &report).map_or(Ok(()), Err)
}

/// A part and its segments, for people.
fn told(DamagedPart { file, from, to, what, segments, .. }: &DamagedPart) -> String {
    let segments = match segments.as_deref() {
        None => String::new(),
        Some([]) => "; no event is read there".to_owned(),
        Some(segments) => {
            let named = segments.iter().map(|SegmentPart { segment, from, to, .. }| {
                format!("\n            {segment} from {from} to {to}")
            });
            format!("; it has bytes of{}", named.collect::<String>())
        }
    };
    format!("{file} from {from} to {to}: {what}{segments}")
}

fn record(name: &str, report: &FolderReport, format: Format) -> Record {
    // For people each part has a line of its own.
    let parts = |parts: &[DamagedPart]| match format {
        Format::Json => parts.iter().map(part).collect(),
        Format::Text | Format::Table => Value::from(parts.len()),
    };
    let refusal = report.refusal.as_ref().map(ToString::to_string);
    Record::new()
        .with("folder", name)
        .with("files", report.files)
        .with("bytes", report.bytes)
        .with("streams", report.streams)
        .with("segments", report.segments)
        .with("damage", parts(&report.damage))
        .with("harmless", parts(&report.harmless))
        .with("obsolete", json!(report.obsolete))
        .with("unknown", json!(report.unknown))
        .with("refusal", refusal)
}

fn part(DamagedPart { file, from, to, what, segments, .. }: &DamagedPart) -> Value {
    let segment = |part: &SegmentPart| {
        let SegmentPart { segment, from, to, .. } = part;
        json!({ "segment": segment, "from": from, "to": to })
    };
    let segments: Option<Vec<Value>> =
        segments.as_ref().map(|segments| segments.iter().map(segment).collect());
    json!({ "file": file, "from": from, "to": to, "what": what, "segments": segments })
}

/// The failure of a folder that is not whole.
fn failure(name: &str, report: &FolderReport) -> Option<Failure> {
    let parts = report.damage.len();
    let parts = format!("{parts} {} damaged", if parts == 1 { "part is" } else { "parts are" });
    let (text, hint) = match &report.refusal {
        None if report.is_whole() => return None,
        None => (
            format!("the data in {name}: {parts}"),
            "a server starts with it: it refuses to read what is damaged, and all else goes on",
        ),
        Some(refusal @ OpenProblem::Foreign { .. }) => (
            format!("the data in {name}: no server starts with it: {refusal}"),
            "no file was changed. Move that file elsewhere, if it does not belong into the folder",
        ),
        Some(refusal) => (
            format!("the data in {name}: no server starts with it: {refusal}"),
            "no file was changed; restore the folder from a copy",
        ),
    };
    Some(Failure::of_kind(ErrorKind::Corrupt, text).with_hint(hint))
}
