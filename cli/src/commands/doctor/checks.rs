//! What checks found, in the order of the checks.

use serde_json::{Value, json};

use crate::output::Record;

/// What a check found.
pub(super) enum Finding {
    Good(String),
    /// It works, and somebody should know.
    Odd(String, &'static str),
    Bad(String, &'static str),
}

#[derive(Default)]
pub(super) struct Checks {
    pub(super) records: Vec<Record>,
    pub(super) is_bad: bool,
}

impl Checks {
    /// Notes a finding; false if nothing further can be checked.
    pub(super) fn note(&mut self, check: &str, finding: Finding) -> bool {
        let (state, detail, fix) = match finding {
            Finding::Good(detail) => ("ok", detail, Value::Null),
            Finding::Odd(detail, fix) => ("warning", detail, json!(fix)),
            Finding::Bad(detail, fix) => {
                self.is_bad = true;
                ("failed", detail, json!(fix))
            }
        };
        self.records.push(
            Record::new()
                .with("check", check)
                .with("state", state)
                .with("detail", detail)
                .with("fix", fix),
        );
        state != "failed"
    }
}
