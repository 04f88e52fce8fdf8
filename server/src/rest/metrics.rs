//! Figures of the server, in the text format of Prometheus.

use std::{fmt::Write as _, sync::Arc};

use axum::{
    extract::State,
    http::{HeaderMap, header},
    response::IntoResponse as _,
};
use pravega_sdk_server_core::store::MemoryLimit;

use super::{
    call::{Answer, caller},
    health::is_ready,
};
use crate::state::ServerState;

/// The media type of the text.
const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// A figure, which has one value and no labels.
struct Figure {
    name: &'static str,
    kind: &'static str,
    help: &'static str,
    value: u64,
}

/// Responds with the figures, to clients with an account if the server has accounts.
pub(super) async fn show(State(state): State<Arc<ServerState>>, headers: HeaderMap) -> Answer {
    caller(&state, &headers).await?;
    Ok(([(header::CONTENT_TYPE, TEXT)], text(&figures(&state))).into_response())
}

/// The figures of this moment. None takes longer with more streams.
fn figures(state: &ServerState) -> [Figure; 7] {
    let gauge = |name, help, value| Figure { name, kind: "gauge", help, value };
    let (held, limit, segments) = state
        .run(|machine, _| {
            let MemoryLimit(limit) = machine.memory_limit;
            (machine.held(), limit, machine.store.segment_count() as u64)
        })
        .0;
    let (requests, replies) = (state.budget.requests.lent(), state.budget.replies.lent());
    let durable = state.durable.borrow().to().0;
    [
        gauge("pravega_ready", "1 while the server takes changes", is_ready(state).into()),
        gauge("pravega_memory_held_bytes", "Memory of segments and controller", held),
        gauge("pravega_memory_limit_bytes", "Limit of that memory", limit),
        gauge(
            "pravega_memory_on_the_way_bytes",
            "Memory of requests and replies on their way",
            requests.saturating_add(replies) as u64,
        ),
        gauge("pravega_segments", "Segments, also of transactions and internal ones", segments),
        gauge(
            "pravega_store_connections",
            "Connections to the segment stores",
            state.connection_count() as u64,
        ),
        Figure {
            name: "pravega_durable_batches_total",
            kind: "counter",
            help: "Batches of changes on the disk, also those before the start",
            value: durable,
        },
    ]
}

fn text(figures: &[Figure]) -> String {
    let mut text = String::new();
    for Figure { name, kind, help, value } in figures {
        // Writing to text never fails.
        writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}").ok();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_has_its_help_its_type_and_its_value() {
        let figure = Figure { name: "a_total", kind: "counter", help: "Some things", value: 3 };
        let expected = "# HELP a_total Some things\n# TYPE a_total counter\na_total 3\n";
        assert_eq!(text(&[figure]), expected);
    }
}
