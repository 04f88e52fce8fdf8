//! A client that was let in.

use std::sync::Arc;

use super::rules::Rules;
use crate::record::Millis;

/// What a client that was let in may do, and until when.
#[derive(Debug, Clone)]
pub struct Admission {
    rules: Arc<Rules>,
    end: Option<Millis>,
}

impl Admission {
    /// That of a client whose credentials do not expire.
    pub fn new(rules: Arc<Rules>) -> Self {
        Self { rules, end: None }
    }

    /// That of a client whose credentials expire.
    pub fn until(end: Millis, rules: Arc<Rules>) -> Self {
        Self { rules, end: Some(end) }
    }

    /// What it may do.
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// When it ends; `None` if it does not. Tokens that are issued to the client end with it.
    pub fn end(&self) -> Option<Millis> {
        self.end
    }
}
