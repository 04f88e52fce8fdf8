//! Findings, in the order of the checks.

use serde_json::{Value, json};

use crate::output::Record;

/// The result of a check.
pub(super) enum Finding {
    Good(String),
    /// It was not looked at, and why.
    Skipped(String),
    /// It works, but deserves attention; with a fix.
    Odd(String, &'static str),
    /// It does not work; with a fix.
    Bad(String, &'static str),
}

#[derive(Default)]
pub(super) struct Checks {
    pub(super) records: Vec<Record>,
    pub(super) is_bad: bool,
}

impl Checks {
    /// Records a finding. Returns false if the check failed, so that no further one makes sense.
    pub(super) fn record(&mut self, check: &str, finding: Finding) -> bool {
        let (state, detail, fix) = match finding {
            Finding::Good(detail) => ("ok", detail, Value::Null),
            Finding::Skipped(detail) => ("skipped", detail, Value::Null),
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
