//! `pravega dev --check`

use std::path::PathBuf;

use pravega_sdk::embedded::{DamagedPart, FolderReport, OpenProblem, SegmentPart, check};
use serde_json::{Value, json};

use crate::{
    commands::folder::{DAMAGED, kind_of_problem, kind_of_refusal},
    context::Context,
    failure::{Failure, Result, with_causes},
    output::{Format, Record},
};

pub(super) async fn run(folder: PathBuf, context: &mut Context) -> Result<()> {
    let name = folder.display().to_string();
    // Blocking: it reads all of it.
    let checked = tokio::task::spawn_blocking(move || check(folder)).await;
    let report = checked.map_err(Failure::other)?.map_err(|error| {
        let failure = Failure::of_kind(kind_of_problem(&error), with_causes(&error));
        if !matches!(error.problem(), OpenProblem::InUse { .. }) {
            return failure;
        }
        failure.with_hint(
            "a running server checks its files itself, slowly, and logs damage; stop it to check \
             them now, or check a copy of `pravega backup`",
        )
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
    let kind = kind_of_refusal(report.refusal.as_ref());
    let Some(refusal) = &report.refusal else {
        if report.is_whole() {
            return None;
        }
        let parts = report.damage.len();
        let parts = format!("{parts} {} damaged", if parts == 1 { "part is" } else { "parts are" });
        let failure = Failure::of_kind(kind, format_args!("the data in {name}: {parts}"));
        return Some(failure.with_hint(
            "a server starts with it: it refuses to read what is damaged, and all else goes on",
        ));
    };
    let hint = match refusal {
        OpenProblem::Foreign { .. } => {
            "no file was changed. Move that file elsewhere, if it does not belong into the folder"
        }
        OpenProblem::Version { .. } => {
            "no file was changed. A later version of this tool wrote it, and can read it"
        }
        _ => DAMAGED,
    };
    let text = format_args!("the data in {name}: no server starts with it: {refusal}");
    Some(Failure::of_kind(kind, text).with_hint(hint))
}
