//! `pravega doctor`: can the cluster be used from here, and if not, what is to be done.
//!
//! Every check stands on those before it: resolve, connect, call, authentication, segment store,
//! handshake, version, clock. What cannot be checked because an earlier one failed is left out.

use std::time::{Duration, Instant, SystemTime};

use clap::Args;
use pravega_sdk::{
    ClientConfig, ClientFactory, Source,
    controller_client::AccessOperation,
    types::{Endpoint, ErrorKind, Scope, ScopedSegment, ScopedStream, SegmentId},
    wire_protocol::{
        VersionRange,
        commands::{CreateSegment, DeleteSegment, GetSegmentAttribute},
    },
};
use serde_json::{Value, json};
use tokio::{
    net::{TcpStream, lookup_host},
    time::timeout,
};
use uuid::Uuid;

use crate::{
    failure::{Failure, Result, with_causes},
    output::{Output, Record},
};

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Shows the settings only, with where each came from
    #[arg(long)]
    settings: bool,
    /// Makes and removes a segment to compare clocks where there is no token to read the time from
    #[arg(long)]
    probe: bool,
}

/// What a check found.
enum Finding {
    Good(String),
    /// It works, and somebody should know.
    Odd(String, &'static str),
    Bad(String, &'static str),
}

struct Checks {
    records: Vec<Record>,
    is_bad: bool,
}

impl Checks {
    /// Notes a finding; false if nothing further can be checked.
    fn note(&mut self, check: &str, finding: Finding) -> bool {
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

/// Clocks that differ by less are as good as equal: tokens and transactions have leases of seconds
/// and more.
const CLOCK_TOLERANCE: Duration = Duration::from_secs(5);
const STEP_LIMIT: Duration = Duration::from_secs(5);

pub(crate) async fn run(arguments: Arguments, url: &str, output: &mut Output) -> Result<()> {
    let config = ClientConfig::from_url(url)?;
    if arguments.settings {
        return settings(&config, output);
    }
    output.status(
        "settings: a setter beats the url, which beats the environment, which beats the default",
    );
    for setting in config.settings().iter().filter(|setting| setting.source != Source::Default) {
        output.status(format_args!("  {} = {} ({})", setting.name, setting.value, setting.source));
    }
    let mut checks = Checks { records: Vec::new(), is_bad: false };
    let config = config.with_retry(2, Duration::from_millis(100), Duration::from_millis(100));
    check(&arguments, config, &mut checks).await;
    let is_bad = checks.is_bad;
    output.list(checks.records)?;
    if is_bad {
        let hint = "each failed check says what to do; `pravega doctor --settings` shows where settings come from";
        return Err(Failure::other("the cluster cannot be used from here").with_hint(hint));
    }
    Ok(())
}

fn settings(config: &ClientConfig, output: &mut Output) -> Result<()> {
    let record = |setting: pravega_sdk::Setting| {
        Record::new()
            .with("setting", setting.name)
            .with("value", setting.value)
            .with("source", setting.source.to_string())
            .with("variable", setting.variable)
            .with("meaning", setting.meaning)
    };
    output.status("a setter beats the url, which beats the environment, which beats the default");
    output.list(config.settings().into_iter().map(record).collect())
}

async fn check(arguments: &Arguments, config: ClientConfig, checks: &mut Checks) {
    for endpoint in config.uri().endpoints().to_vec() {
        if !reach("controller", &endpoint, checks).await {
            return;
        }
    }
    let factory = match ClientFactory::with_config(config).await {
        Ok(factory) => factory,
        Err(error) => {
            let fix = "mend the setting that is named; `pravega doctor --settings` shows where it came from";
            checks.note("settings", Finding::Bad(with_causes(&error), fix));
            return;
        }
    };
    if !call(&factory, checks).await {
        return;
    }
    discovery(&factory, checks).await;
    let Some(endpoint) = segment_store(&factory, checks).await else { return };
    if !reach("segment store", &endpoint, checks).await
        || !handshake(&factory, &endpoint, checks).await
    {
        return;
    }
    clock(arguments, &factory, &endpoint, checks).await;
}

/// Resolves a name and connects to what it stands for.
async fn reach(what: &str, endpoint: &Endpoint, checks: &mut Checks) -> bool {
    let resolved = timeout(STEP_LIMIT, lookup_host((endpoint.host(), endpoint.port()))).await;
    let addresses: Vec<String> = match resolved {
        Ok(Ok(addresses)) => addresses.map(|address| address.ip().to_string()).collect(),
        Ok(Err(error)) => {
            let fix = "check the host name, and the name servers of this machine";
            return checks.note(
                &format!("resolve {what}"),
                Finding::Bad(format!("{}: {error}", endpoint.host()), fix),
            );
        }
        Err(_) => {
            let fix = "the name servers of this machine do not answer";
            return checks.note(
                &format!("resolve {what}"),
                Finding::Bad(format!("{}: no answer", endpoint.host()), fix),
            );
        }
    };
    checks.note(
        &format!("resolve {what}"),
        Finding::Good(format!("{} is {}", endpoint.host(), addresses.join(", "))),
    );
    let start = Instant::now();
    let finding = match timeout(STEP_LIMIT, TcpStream::connect((endpoint.host(), endpoint.port())))
        .await
    {
        Ok(Ok(_)) => {
            Finding::Good(format!("{endpoint} in {:.1} ms", start.elapsed().as_secs_f64() * 1e3))
        }
        Ok(Err(error)) if error.kind() == std::io::ErrorKind::ConnectionRefused => Finding::Bad(
            format!("{endpoint}: {error}"),
            "nothing listens there: start the server, or mend the port",
        ),
        Ok(Err(error)) => Finding::Bad(
            format!("{endpoint}: {error}"),
            "check routes and firewalls between here and there",
        ),
        Err(_) => Finding::Bad(
            format!("{endpoint}: no answer within {} s", STEP_LIMIT.as_secs()),
            "a firewall drops the packets, or the host is down",
        ),
    };
    checks.note(&format!("connect {what}"), finding)
}

/// A call that needs TLS, gRPC and credentials to be right.
async fn call(factory: &ClientFactory, checks: &mut Checks) -> bool {
    let start = Instant::now();
    let called = match Scope::internal("_system") {
        Ok(scope) => factory.controller().scope_exists(&scope).await,
        Err(_) => return false,
    };
    let method = factory.config().credentials().method().to_owned();
    let elapsed = start.elapsed().as_secs_f64() * 1e3;
    match called {
        Ok(_) => {
            checks.note("controller", Finding::Good(format!("answers in {elapsed:.1} ms")));
            checks
                .note("authentication", Finding::Good(format!("accepted (credentials: {method})")))
        }
        Err(error) if matches!(error.kind(), ErrorKind::PermissionDenied) => {
            checks.note("controller", Finding::Good(format!("answers in {elapsed:.1} ms")));
            let detail =
                format!("accepted (credentials: {method}), not permitted to look at scope _system");
            checks.note(
                "authentication",
                Finding::Odd(detail, "fine unless this user is to administer the cluster"),
            )
        }
        Err(error) => {
            let (check, fix) = match error.kind() {
                ErrorKind::Unauthenticated if factory.config().credentials().is_anonymous() => (
                    "authentication",
                    "the cluster wants credentials: set PRAVEGA_USER and PRAVEGA_PASSWORD, or PRAVEGA_AUTH_METHOD and PRAVEGA_AUTH_TOKEN",
                ),
                ErrorKind::Unauthenticated => (
                    "authentication",
                    "the credentials were refused: check user, password or token",
                ),
                ErrorKind::Tls => (
                    "tls",
                    "set trust_store to the PEM file of the certificate authority, and use the host name that the certificate is for",
                ),
                ErrorKind::Unreachable
                | ErrorKind::ConnectionLost
                | ErrorKind::Timeout
                | ErrorKind::Unavailable => (
                    "controller",
                    "what listens there is no controller, or TLS is on at one end only: check port and scheme",
                ),
                _ => ("controller", "look into the controller's log"),
            };
            checks.note(check, Finding::Bad(with_causes(&error), fix))
        }
    }
}

async fn discovery(factory: &ClientFactory, checks: &mut Checks) {
    if !factory.config().uri().scheme().is_discovery() {
        return;
    }
    let finding = match factory.controller().controllers().await {
        Ok(found) => {
            let found: Vec<String> = found.iter().map(Endpoint::to_string).collect();
            Finding::Good(found.join(", "))
        }
        Err(error) => Finding::Odd(
            format!("the controllers of the URL are used, as there is no list of them: {error}"),
            "a standalone server has none; use tcp or tls",
        ),
    };
    checks.note("discovery", finding);
}

/// Any segment will do: where it lives is computed from its name.
fn some_segment() -> Option<ScopedSegment> {
    Some(ScopedSegment::new(&ScopedStream::internal("_system/doctor").ok()?, SegmentId::from(0)))
}

async fn segment_store(factory: &ClientFactory, checks: &mut Checks) -> Option<Endpoint> {
    match factory.controller().segment_endpoint(&some_segment()?).await {
        Ok(endpoint) => {
            checks.note("locate segment store", Finding::Good(endpoint.to_string()));
            Some(endpoint)
        }
        Err(error) => {
            let fix = "no segment store has registered with the controller: is one up?";
            checks.note("locate segment store", Finding::Bad(with_causes(&error), fix));
            None
        }
    }
}

async fn handshake(factory: &ClientFactory, endpoint: &Endpoint, checks: &mut Checks) -> bool {
    let start = Instant::now();
    match factory.raw_client().connection(endpoint).await {
        Ok(connection) => {
            let elapsed = start.elapsed().as_secs_f64() * 1e3;
            checks.note("handshake", Finding::Good(format!("{endpoint} in {elapsed:.1} ms")));
            let detail = format!(
                "protocol versions {}; this side speaks {}",
                connection.peer_versions(),
                VersionRange::SUPPORTED
            );
            checks.note("version", Finding::Good(detail))
        }
        Err(error) => {
            let fix = match error.kind() {
                ErrorKind::IncompatibleServer => {
                    "the segment store is too old or too new for this tool"
                }
                ErrorKind::Tls => {
                    "set trust_store to the PEM file of the certificate authority; tls_to_segment_store turns TLS on or off by itself"
                }
                ErrorKind::Protocol => {
                    "what listens there is no segment store, or TLS is on at one end only"
                }
                _ => "look into the segment store's log",
            };
            checks.note("handshake", Finding::Bad(with_causes(&error), fix))
        }
    }
}

/// The server's clock is read from a delegation token, or from the creation time of a segment made
/// for it.
async fn clock(
    arguments: &Arguments,
    factory: &ClientFactory,
    endpoint: &Endpoint,
    checks: &mut Checks,
) {
    let Ok(stream) = ScopedStream::internal("_system/doctor") else { return };
    let token = factory.controller().delegation_token(&stream, AccessOperation::Read).await;
    let issued =
        token.as_ref().ok().and_then(|token| token.claims()).and_then(|claims| claims.issued_at);
    let server = match issued {
        Some(seconds) => Some(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)),
        None if arguments.probe => probe_clock(factory, endpoint).await,
        None => None,
    };
    let Some(server) = server else {
        checks.note(
            "clock",
            Finding::Good("not compared; --probe makes and removes a segment for it".to_owned()),
        );
        return;
    };
    let here = SystemTime::now();
    let (apart, direction) = match here.duration_since(server) {
        Ok(apart) => (apart, "ahead of"),
        Err(error) => (error.duration(), "behind"),
    };
    let detail = format!("this machine is {:.1} s {direction} the server", apart.as_secs_f64());
    let finding = if apart <= CLOCK_TOLERANCE {
        Finding::Good(detail)
    } else {
        Finding::Odd(
            detail,
            "set one of the clocks right: tokens and times noted by writers suffer",
        )
    };
    checks.note("clock", finding);
}

/// The attribute under which a store keeps a segment's creation time, in milliseconds since 1970.
const CREATION_TIME: Uuid = Uuid::from_u64_pair(0x8000_0000_0000_0000, 0);

async fn probe_clock(factory: &ClientFactory, endpoint: &Endpoint) -> Option<SystemTime> {
    let segment = format!("_system/doctor-{}/0.#epoch.0", Uuid::new_v4().simple());
    let client = factory.raw_client();
    let create = CreateSegment {
        request_id: 0,
        segment: segment.clone().into(),
        target_rate: 0,
        scale_type: 0,
        delegation_token: "".into(),
        rollover_size_bytes: 0,
    };
    client.request(endpoint, create).await.ok()?;
    let read = GetSegmentAttribute {
        request_id: 0,
        segment_name: segment.clone().into(),
        attribute_id: CREATION_TIME,
        delegation_token: "".into(),
    };
    let created = client.request(endpoint, read).await;
    let delete =
        DeleteSegment { request_id: 0, segment: segment.into(), delegation_token: "".into() };
    client.request(endpoint, delete).await.ok();
    let milliseconds = u64::try_from(created.ok()?.value).ok()?;
    Some(SystemTime::UNIX_EPOCH + Duration::from_millis(milliseconds))
}
