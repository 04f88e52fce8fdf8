//! Two controllers, and their known differences.

use std::fmt::Debug;

use pravega_sdk_integration_tests::harness::unique;
use tonic::{Code, Status};

use crate::differential::both::{Differences, Known, Server, both, check};

/// Intended differences: the call, the field, and the reason.
const KNOWN: &[Known] = &[];

/// The controllers, and the scope that all calls use.
pub(super) struct Both {
    pub(super) real: Server,
    pub(super) embedded: Server,
    pub(super) scope: String,
    differences: Differences,
}

impl Both {
    pub(super) async fn start() -> Self {
        let (real, embedded) = both().await;
        Self { real, embedded, scope: unique("differential"), differences: Differences::new() }
    }

    /// Records a difference between two answers; errors are compared by their code.
    pub(super) fn compare<T: Debug>(
        &mut self,
        name: &str,
        real: &Result<T, Status>,
        embedded: &Result<T, Status>,
    ) {
        let show = |answer: &Result<T, Status>| -> Result<String, Code> {
            answer.as_ref().map(|answer| format!("{answer:?}")).map_err(Status::code)
        };
        let (real, embedded) = (show(real), show(embedded));
        if real != embedded {
            println!("{name}: {real:?} there and {embedded:?} here");
            self.differences.insert((name.to_owned(), "answer".to_owned()));
        }
    }

    /// Fails if a difference is not known, or a known one does not occur.
    pub(super) fn check(&self) {
        check(&self.differences, KNOWN);
    }
}

/// Calls both controllers, compares the answers and returns the one of the Java server.
macro_rules! call {
    ($both:ident, $name:literal, $method:ident, $request:expr) => {{
        let request = $request;
        let real = $both.real.controller.$method(request.clone()).await;
        let real = real.map(tonic::Response::into_inner);
        let embedded = $both.embedded.controller.$method(request).await;
        let embedded = embedded.map(tonic::Response::into_inner);
        $both.compare($name, &real, &embedded);
        real.ok()
    }};
}
pub(super) use call;
