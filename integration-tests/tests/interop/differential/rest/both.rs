//! Two REST services, and their known differences.

use pravega_sdk_integration_tests::harness::{
    self,
    rest::{Response, Rest},
    unique,
};
use pravega_sdk_server::EmbeddedServer;
use serde_json::{Value, json};

use crate::differential::both::{Differences, Known, check};

/// A request that breaks a rule is the client's mistake; the Java server fails.
const MISTAKE: &str = "a mistake of the client is 400";

/// Intended differences: the request, the part of the response, and the reason.
const KNOWN: &[Known] = &[
    ("a scope: no body", "status", MISTAKE),
    ("a scope: null", "status", MISTAKE),
    ("a scope: a number for a name", "*", "values are not converted to other types"),
    ("a stream: a number as text", "*", "values are not converted to other types"),
    ("a stream: a fraction for a number", "*", "values are not converted to other types"),
    ("a stream: an unknown scaling type", "*", "the Java server takes it as one by rate"),
    ("a stream: no scaling policy", "status", MISTAKE),
    ("a stream: no scaling type", "status", MISTAKE),
    ("a stream: no segments", "status", MISTAKE),
    ("a stream: no number of segments", "status", MISTAKE),
    ("a stream: no rate", "status", MISTAKE),
    ("a stream: a rate of 0", "status", MISTAKE),
    ("a stream: a size without a value", "status", MISTAKE),
    ("a stream: no retention type", "status", MISTAKE),
    ("a stream: days without a value", "status", MISTAKE),
    ("a stream: half a period", "status", MISTAKE),
    ("a stream: a negative rollover size", "status", MISTAKE),
    ("an update: nothing", "status", MISTAKE),
    ("an update: no segments", "status", MISTAKE),
    ("streams: an empty tag", "status", MISTAKE),
    ("options", "*", "no description of the service is served"),
    ("a path that is not UTF-8", "status", MISTAKE),
    ("a response that is not JSON", "*", "there is none, so JSON is sent"),
    ("a foreign host", "*", "a page must not reach the server under a name of its own"),
    ("a group without a state", "*", "the Java server reads it from the state alone"),
    ("deletion of a group without a state", "status", "the same"),
    ("streams of the system scope", "body", "the embedded server needs none"),
    ("groups of the system scope", "body", "the same"),
    ("health", "body", "the embedded server has no parts"),
];

/// The services, and the scope that the requests use.
pub(super) struct Both {
    pub(super) real: Rest,
    pub(super) embedded: Rest,
    pub(super) scope: String,
    /// For the calls that only gRPC has.
    pub(super) urls: [String; 2],
    differences: Differences,
    _server: EmbeddedServer,
}

impl Both {
    pub(super) async fn start() -> Self {
        let variable =
            |name| std::env::var(name).expect("run this test with `cargo xtask interop`");
        let server = harness::builder().with_rest_port(0).start().await.unwrap();
        let embedded = Rest::at(&format!("127.0.0.1:{}", server.rest_port().unwrap()));
        Self {
            real: Rest::at(&variable("PRAVEGA_TEST_REST")),
            embedded,
            scope: unique("rest"),
            urls: [variable("PRAVEGA_TEST_CONTROLLER"), server.url()],
            differences: Differences::new(),
            _server: server,
        }
    }

    /// The path of something in the scope.
    pub(super) fn path(&self, rest: &str) -> String {
        format!("/v1/scopes/{}{rest}", self.scope)
    }

    /// Sends a request without a body to both.
    pub(super) async fn ask(&mut self, name: &str, method: &str, path: &str) -> Response {
        let real = self.real.ask(method, path).await;
        let embedded = self.embedded.ask(method, path).await;
        self.compare(name, real, embedded)
    }

    /// Sends a request with JSON to both.
    pub(super) async fn put(
        &mut self,
        name: &str,
        method: &str,
        path: &str,
        body: &Value,
    ) -> Response {
        let real = self.real.put(method, path, body).await;
        let embedded = self.embedded.put(method, path, body).await;
        self.compare(name, real, embedded)
    }

    /// Sends a request with any fields and any body to both.
    pub(super) async fn send(
        &mut self,
        name: &str,
        method: &str,
        path: &str,
        fields: &str,
        body: &str,
    ) -> Response {
        let real = self.real.send(method, path, fields, body).await;
        let embedded = self.embedded.send(method, path, fields, body).await;
        self.compare(name, real, embedded)
    }

    /// Sends bytes to both.
    pub(super) async fn raw(&mut self, name: &str, request: &[u8]) -> Response {
        let real = self.real.raw(request).await;
        let embedded = self.embedded.raw(request).await;
        self.compare(name, real, embedded)
    }

    /// Records the differences between two responses. The reasons of refusals are words for people,
    /// and not compared. Returns the response of the embedded server.
    fn compare(&mut self, name: &str, real: Response, embedded: Response) -> Response {
        if real.status != embedded.status {
            println!("{name}: {real:?} there and {embedded:?} here");
            self.differences.insert((name.to_owned(), "status".to_owned()));
        }
        let is_good = real.status < 300 || embedded.status < 300;
        let (there, here) = (comparable(real.json()), comparable(embedded.json()));
        if is_good && there != here {
            println!("{name}: {there} there and {here} here");
            self.differences.insert((name.to_owned(), "body".to_owned()));
        }
        embedded
    }

    /// Fails if a difference is not known, or a known one does not occur.
    pub(super) fn check(&self) {
        let known: Vec<Known> = KNOWN
            .iter()
            .flat_map(|(name, part, why)| match *part {
                // Such a request differs in code and, as one of both succeeds, in body.
                "*" => self.parts(name).map(|part| (*name, part, *why)).collect(),
                part => vec![(*name, part, *why)],
            })
            .collect();
        check(&self.differences, &known);
    }

    /// The parts in which the responses to a request differ; the code, if they do not.
    fn parts(&self, name: &str) -> impl Iterator<Item = &'static str> {
        let differs = |part: &str| self.differences.contains(&(name.to_owned(), part.to_owned()));
        let found: Vec<&'static str> =
            ["status", "body"].into_iter().filter(|part| differs(part)).collect();
        if found.is_empty() { vec!["status"] } else { found }.into_iter()
    }
}

/// JSON without times, and with its lists in an order of their own: the Java server's have none.
fn comparable(value: Value) -> Value {
    match value {
        Value::Object(entries) => {
            let is_time = |name: &str| ["timestamp", "start"].contains(&name);
            let entry = |(name, value): (String, Value)| {
                let value = if is_time(&name) { json!("a time") } else { comparable(value) };
                (name, value)
            };
            let mut entries: Vec<_> = entries.into_iter().map(entry).collect();
            entries.sort_by(|a, b| a.0.cmp(&b.0));
            Value::Object(entries.into_iter().collect())
        }
        Value::Array(items) => {
            let mut items: Vec<Value> = items.into_iter().map(comparable).collect();
            items.sort_by_key(Value::to_string);
            Value::Array(items)
        }
        other => other,
    }
}
