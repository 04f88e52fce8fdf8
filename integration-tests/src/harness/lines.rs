//! Real text to send through streams, in lines that contain their routing key.

use std::{collections::BTreeMap, path::Path};

/// The number of different keys.
pub const KEYS: usize = 97;

/// A line and its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// The routing key.
    pub key: String,
    /// The text, which begins with the number of the line.
    pub text: String,
}

/// Returns at least `bytes` bytes of lines from this repository's sources and vectors, repeated.
pub fn real_lines(bytes: usize) -> Vec<Line> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut text = String::new();
    for folder in
        ["vectors", "tests/suite", "src", "../wire-protocol/src", "../types/src", "../proto/src"]
    {
        let mut files: Vec<_> = std::fs::read_dir(root.join(folder))
            .unwrap()
            .map(|file| file.unwrap().path())
            .collect();
        files.sort();
        for file in files.iter().filter(|file| file.is_file()) {
            text.push_str(&std::fs::read_to_string(file).unwrap());
        }
    }
    let (mut all, mut len) = (Vec::new(), 0);
    for (number, line) in text.lines().cycle().enumerate() {
        if len >= bytes {
            break;
        }
        let line = Line { key: format!("key-{}", number % KEYS), text: format!("{number} {line}") };
        len += line.key.len() + line.text.len() + 2;
        all.push(line);
    }
    all
}

/// Formats lines as a file of key, tab and text.
pub fn as_file(lines: &[Line]) -> Vec<u8> {
    lines.iter().flat_map(|line| format!("{}\t{}\n", line.key, line.text).into_bytes()).collect()
}

/// Groups lines by key, in their order.
pub fn by_key<'a>(texts: impl IntoIterator<Item = &'a str>) -> BTreeMap<usize, Vec<&'a str>> {
    let mut keys: BTreeMap<usize, Vec<&str>> = BTreeMap::new();
    for text in texts {
        let number: usize = text.split(' ').next().unwrap().parse().unwrap();
        keys.entry(number % KEYS).or_default().push(text);
    }
    keys
}

/// Returns the size of the large transfers, in megabytes; `PRAVEGA_TEST_FILE_MB` changes it.
pub fn megabytes() -> usize {
    std::env::var("PRAVEGA_TEST_FILE_MB").map_or(20, |text| text.parse().unwrap())
}
