//! Fields of golden lines that no check reads: whatever they are, the line passes.

use anyhow::Result;
use serde_json::{Value as Json, json};

/// Fields that describe a line and hold no value of it.
const LABELS: &[&str] = &["case", "error", "note"];

/// Fields about what this SDK does not do, each with its kind.
const ELSEWHERE: &[(&str, &str)] = &[
    // The name of a case; names of other kinds are values.
    ("replace_sealed", "name"),
    ("rg_scenario", "name"),
    // Java's parser cannot read some of Java's texts; this one reads all.
    ("stream_cut", "textRoundTrips"),
    // A port of the server that a client is, if it is one.
    ("keycloak_exchange", "config.confidential-port"),
    // Servers verify tokens, clients do not.
    ("delegation_token", "signingKey"),
];

/// Returns the fields of a line that passes which no check reads. `passes` checks another line in
/// its place.
pub(super) fn fields(
    file: &str,
    line: &str,
    passes: impl Fn(&Json) -> bool,
) -> Result<Vec<String>> {
    let line: Json = serde_json::from_str(line)?;
    let kind = ["kind", "name"].iter().find_map(|name| line.get(*name)?.as_str()).unwrap_or(file);
    let mut paths = Vec::new();
    find_paths(&line, &mut Vec::new(), &mut paths);
    let is_elsewhere = |path: &[String]| ELSEWHERE.contains(&(kind, path.join(".").as_str()));
    let is_unread =
        |path: &&Vec<String>| !is_elsewhere(path) && changes(&line, path).iter().all(&passes);
    let unread = paths.iter().filter(is_unread);
    Ok(unread.map(|path| format!("{kind}: {}", path.join("."))).collect())
}

/// The fields of an object, and those of the objects in it.
fn find_paths(json: &Json, path: &mut Vec<String>, paths: &mut Vec<Vec<String>>) {
    let Json::Object(fields) = json else { return };
    for (name, value) in fields.iter().filter(|(name, _)| !LABELS.contains(&name.as_str())) {
        path.push(name.clone());
        paths.push(path.clone());
        find_paths(value, path, paths);
        path.pop();
    }
}

/// The line without a field, and with other values in it.
fn changes(line: &Json, path: &[String]) -> Vec<Json> {
    let mut changes = Vec::new();
    let Some((name, parents)) = path.split_last() else { return changes };
    let value = parents.iter().fold(line, |json, parent| &json[parent.as_str()])[name].clone();
    let others = match &value {
        Json::Bool(value) => vec![json!(!value)],
        Json::Number(value) => vec![json!(value.as_i64().map_or(7, |value| value ^ 1))],
        Json::String(value) => vec![json!(format!("{value}0")), json!("7")],
        Json::Array(values) => vec![json!([]), Json::Array([values.as_slice(), values].concat())],
        Json::Object(_) | Json::Null => vec![json!("7"), json!(7)],
    };
    for other in others.into_iter().map(Some).chain([None]) {
        let mut changed = line.clone();
        let parent = parents.iter().fold(&mut changed, |json, parent| &mut json[parent.as_str()]);
        let Json::Object(fields) = parent else { continue };
        match other {
            Some(other) => drop(fields.insert(name.clone(), other)),
            None => drop(fields.remove(name)),
        }
        changes.push(changed);
    }
    changes
}
