//! The template of `--format`: the output of an event.

use std::str::FromStr;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use bytes::Bytes;
use pravega_sdk::ReadEvent;

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
                other => {
                    return Err(format!(
                        "{{{other}}} is unknown; known are {{event}}, {{base64}}, {{key}}, \
                         {{size}}, {{stream}}, {{segment}}, {{offset}} and {{pointer}}"
                    ));
                }
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

impl Template {
    /// Returns true if the output has the key of the event.
    pub(super) fn has_key(&self) -> bool {
        self.0.contains(&Part::Key)
    }

    pub(super) fn render(&self, event: &ReadEvent<Bytes>, separator: char, text: &mut Vec<u8>) {
        let payload = event.event();
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
}
