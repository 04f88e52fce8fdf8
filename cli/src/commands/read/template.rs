//! The template of `--format`: the output of an event.

use std::{cell::OnceCell, str::FromStr};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use bytes::Bytes;
use pravega_sdk::ReadEvent;
use serde_json::Value;

/// Text with names in braces.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Template(Vec<Part>);

#[derive(Debug, Clone, PartialEq)]
enum Part {
    Text(String),
    Event,
    Base64,
    Key,
    Size,
    Stream,
    Segment,
    Offset,
    Pointer,
    /// A field of the event, which is JSON, by the names on the way to it.
    Json(Vec<String>),
}

impl FromStr for Template {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}', '\\']) {
            let (before, special) = rest.split_at(at);
            literal.push_str(before);
            let escape = ESCAPES.iter().find(|(written, _)| special.starts_with(written));
            if let Some((written, meant)) = escape {
                literal.push(*meant);
                rest = special.get(written.len()..).unwrap_or_default();
                continue;
            }
            let Some(from_brace) = special.strip_prefix('{') else {
                // A backslash or a brace that means itself.
                let mut chars = special.chars();
                literal.extend(chars.next());
                rest = chars.as_str();
                continue;
            };
            let (name, after) = from_brace
                .split_once('}')
                .ok_or("a '{' without a '}'; a brace itself is written as {{ or }}")?;
            if !literal.is_empty() {
                parts.push(Part::Text(std::mem::take(&mut literal)));
            }
            parts.push(match name {
                "event" => Part::Event,
                "base64" => Part::Base64,
                "key" => Part::Key,
                "size" => Part::Size,
                "stream" => Part::Stream,
                "segment" => Part::Segment,
                "offset" => Part::Offset,
                "pointer" => Part::Pointer,
                other => match other.strip_prefix("json.") {
                    Some(path) if !path.split('.').any(str::is_empty) => {
                        Part::Json(path.split('.').map(str::to_owned).collect())
                    }
                    _ => {
                        return Err(format!(
                            "{{{other}}} is unknown; known are {{event}}, {{base64}}, {{key}}, \
                             {{size}}, {{stream}}, {{segment}}, {{offset}}, {{pointer}} and \
                             {{json.FIELD}}"
                        ));
                    }
                },
            });
            rest = after;
        }
        literal.push_str(rest);
        if !literal.is_empty() {
            parts.push(Part::Text(literal));
        }
        Ok(Self(parts))
    }
}

/// Characters as a template writes them, in the order in which they are looked for.
const ESCAPES: &[(&str, char)] =
    &[("{{", '{'), ("}}", '}'), ("\\t", '\t'), ("\\n", '\n'), ("\\0", '\0'), ("\\\\", '\\')];

/// Adds a field of an event; nothing if the event is not JSON, or has no such field.
fn put_field(event: Option<&Value>, path: &[String], text: &mut Vec<u8>) {
    let Some(event) = event else { return };
    let found = path.iter().try_fold(event, |value, name| match value {
        Value::Array(items) => name.parse::<usize>().ok().and_then(|at| items.get(at)),
        value => value.get(name),
    });
    match found {
        None => {}
        Some(Value::String(field)) => text.extend_from_slice(field.as_bytes()),
        Some(field) => text.extend_from_slice(field.to_string().as_bytes()),
    }
}

impl Template {
    /// Returns true if the output has the key of the event.
    pub(super) fn has_key(&self) -> bool {
        self.0.contains(&Part::Key)
    }

    pub(super) fn render(&self, event: &ReadEvent<Bytes>, separator: char, text: &mut Vec<u8>) {
        let payload = event.event();
        // Several fields take one parse.
        let json = OnceCell::new();
        for part in &self.0 {
            match part {
                Part::Text(part) => text.extend_from_slice(part.as_bytes()),
                Part::Event => text.extend_from_slice(payload),
                Part::Base64 => text.extend_from_slice(BASE64_STANDARD.encode(payload).as_bytes()),
                Part::Key => {
                    let mut bytes = [0; 4];
                    let separator = separator.encode_utf8(&mut bytes).as_bytes();
                    let end = payload
                        .windows(separator.len())
                        .position(|window| window == separator)
                        .unwrap_or(0);
                    text.extend_from_slice(payload.get(..end).unwrap_or_default());
                }
                Part::Json(path) => {
                    let json = json.get_or_init(|| serde_json::from_slice(payload).ok());
                    put_field(json.as_ref(), path, text);
                }
                Part::Size => text.extend_from_slice(payload.len().to_string().as_bytes()),
                Part::Stream => {
                    let stream = event.segment().scoped_stream();
                    text.extend_from_slice(stream.to_string().as_bytes());
                }
                Part::Segment => {
                    text.extend_from_slice(event.segment().id().to_string().as_bytes());
                }
                Part::Offset => text.extend_from_slice(event.offset().to_string().as_bytes()),
                Part::Pointer => {
                    let pointer =
                        event.pointer().map(|pointer| pointer.to_string()).unwrap_or_default();
                    text.extend_from_slice(pointer.as_bytes());
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_is_text_with_names_in_braces() {
        let template: Template = "{key}\\t{offset} {event}".parse().unwrap();
        let text = |text: &str| Part::Text(text.to_owned());
        assert_eq!(template.0, [Part::Key, text("\t"), Part::Offset, text(" "), Part::Event]);
        assert!("{nonsense}".parse::<Template>().unwrap_err().starts_with("{nonsense} is unknown"));
        assert!("{event".parse::<Template>().unwrap_err().starts_with("a '{' without a '}'"));
    }

    #[test]
    fn braces_tabs_and_backslashes_can_be_written() {
        for (written, meant) in [
            ("{{x}}", "{x}"),
            (r"a\tb", "a\tb"),
            (r"a\\tb", r"a\tb"),
            (r"\d}", r"\d}"),
            (r"C:\\n", r"C:\n"),
        ] {
            let template: Template = written.parse().unwrap();
            assert_eq!(template.0, [Part::Text(meant.to_owned())], "{written}");
        }
    }

    #[test]
    fn a_field_of_json_is_found_by_its_path_and_a_missing_one_is_empty() {
        let shown = |payload: &str, template: &str| {
            let Part::Json(path) = template.parse::<Template>().unwrap().0.remove(0) else {
                panic!("{template}")
            };
            let mut text = Vec::new();
            put_field(serde_json::from_str(payload).ok().as_ref(), &path, &mut text);
            String::from_utf8(text).unwrap()
        };
        let payload = r#"{"who":"ann","many":[7,{"x":null}],"at":{"day":3}}"#;
        for (template, expected) in [
            ("{json.who}", "ann"),
            ("{json.at.day}", "3"),
            ("{json.many.0}", "7"),
            ("{json.many.1}", r#"{"x":null}"#),
            ("{json.none}", ""),
            ("{json.who.none}", ""),
        ] {
            assert_eq!(shown(payload, template), expected, "{template}");
        }
        assert_eq!(shown("no json", "{json.who}"), "");
        for wrong in ["{json.}", "{json}", "{json.a..b}"] {
            assert!(wrong.parse::<Template>().is_err(), "{wrong}");
        }
    }
}
