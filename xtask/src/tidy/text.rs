//! Separates the text of a source file, its comments and string literals, from its code.

/// A piece of text within a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Text {
    /// Its line, counted from 1.
    pub(super) line: usize,
    pub(super) text: String,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Code,
    LineComment,
    /// A block comment, with how many others it is in.
    BlockComment(usize),
    String,
    /// A raw string, with the number of its hashes.
    RawString(usize),
}

/// Finds the comments and string literals of `source`, one piece for each line of one.
pub(super) fn texts(source: &str) -> Vec<Text> {
    let mut scanner = Scanner { found: Vec::new(), state: State::Code, text: String::new() };
    for (index, line) in source.lines().enumerate() {
        scanner.line(&line.chars().collect::<Vec<_>>(), index + 1);
    }
    scanner.found
}

struct Scanner {
    found: Vec<Text>,
    state: State,
    text: String,
}

impl Scanner {
    fn line(&mut self, line: &[char], number: usize) {
        let mut rest = line;
        while !rest.is_empty() {
            let taken = match self.state {
                State::Code => self.code(rest),
                State::LineComment => self.take(rest.len(), rest),
                State::BlockComment(depth) => self.block(rest, depth, number),
                State::String => self.string(rest, number),
                State::RawString(hashes) => self.raw_string(rest, hashes, number),
            };
            rest = rest.get(taken..).unwrap_or_default();
        }
        self.flush(number);
        if self.state == State::LineComment {
            self.state = State::Code;
        }
    }

    fn take(&mut self, count: usize, rest: &[char]) -> usize {
        self.text.extend(rest.iter().take(count));
        count
    }

    fn flush(&mut self, line: usize) {
        let text = std::mem::take(&mut self.text);
        if !text.trim().is_empty() {
            self.found.push(Text { line, text });
        }
    }

    fn end(&mut self, line: usize, taken: usize) -> usize {
        self.flush(line);
        self.state = State::Code;
        taken
    }

    /// Returns the number of characters that belong to the code, or open a text.
    fn code(&mut self, rest: &[char]) -> usize {
        match rest {
            ['/', '/', ..] => {
                self.state = State::LineComment;
                2
            }
            ['/', '*', ..] => {
                self.state = State::BlockComment(0);
                2
            }
            ['"', ..] => {
                self.state = State::String;
                1
            }
            ['r', next, ..] if *next == '#' || *next == '"' => {
                let hashes = rest.iter().skip(1).take_while(|c| **c == '#').count();
                if rest.get(1 + hashes) == Some(&'"') {
                    self.state = State::RawString(hashes);
                }
                2 + hashes
            }
            // A character, unless it is a lifetime.
            ['\'', '\\', _, tail @ ..] => {
                3 + tail.iter().position(|c| *c == '\'').map_or(0, |end| end + 1)
            }
            ['\'', _, '\'', ..] => 3,
            [first, ..] if first.is_alphanumeric() || *first == '_' => {
                // A whole word, as an `r` at its end opens nothing.
                let word = rest.iter().take_while(|c| c.is_alphanumeric() || **c == '_').count();
                match rest.get(word) {
                    Some('"') if rest.starts_with(&['b', 'r']) && word == 2 => {
                        self.state = State::RawString(0);
                        3
                    }
                    _ => word,
                }
            }
            _ => 1,
        }
    }

    fn block(&mut self, rest: &[char], depth: usize, line: usize) -> usize {
        match rest {
            ['*', '/', ..] if depth == 0 => self.end(line, 2),
            ['*', '/', ..] => {
                self.state = State::BlockComment(depth - 1);
                2
            }
            ['/', '*', ..] => {
                self.state = State::BlockComment(depth + 1);
                2
            }
            _ => self.take(1, rest),
        }
    }

    fn string(&mut self, rest: &[char], line: usize) -> usize {
        match rest {
            ['"', ..] => self.end(line, 1),
            ['\\', _, ..] => self.take(2, rest),
            // A line that goes on in the next one.
            ['\\'] => 1,
            _ => self.take(1, rest),
        }
    }

    fn raw_string(&mut self, rest: &[char], hashes: usize, line: usize) -> usize {
        let ends = rest.starts_with(&['"'])
            && rest.iter().skip(1).take_while(|c| **c == '#').count() >= hashes;
        if ends { self.end(line, 1 + hashes) } else { self.take(1, rest) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(source: &str) -> Vec<String> {
        texts(source).into_iter().map(|text| format!("{}:{}", text.line, text.text)).collect()
    }

    #[test]
    fn comments_and_literals_are_text_and_the_rest_is_code() {
        let source = "let a = \"one \\\" two\"; // three\n/// four\n\
                      let b = r#\"fi\"ve\"#; let c = '\"';\n\
                      let d: &'static str = br\"six\"; /* seven\neight /* nine */ */ \
                      let e = for_r(\"ten\");\n";
        let expected = [
            "1:one \\\" two",
            "1: three",
            "2:/ four",
            "3:fi\"ve",
            "4:six",
            "4: seven",
            "5:eight  nine  ",
            "5:ten",
        ];
        assert_eq!(shown(source), expected);
    }

    #[test]
    fn a_quote_in_a_character_opens_no_string() {
        assert_eq!(shown(r#"let a = ['"', '\'', '\u{22}', b'"']; let b = "text";"#), ["1:text"]);
    }
}
