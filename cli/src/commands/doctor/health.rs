//! Asks the REST service of a server for its health: all other checks only read, and a server that
//! takes no more changes passes them.

use std::time::Duration;

use pravega_sdk::{ClientConfig, types::Endpoint};
use pravega_sdk_http::{Answer, HttpClient, Request, Url};
use serde_json::Value;

use super::checks::{Checks, Finding};
use crate::failure::with_causes;

/// The longest answer, in bytes.
const MAX_LEN: usize = 64 << 10;
/// How long an answer may take.
const LIMIT: Duration = Duration::from_secs(5);
/// How long it may take where there may be no such service: a firewall may drop the request.
const USUAL_LIMIT: Duration = Duration::from_secs(1);

/// The path of the health, as on Pravega's own servers.
const PATH: &str = "v1/health";

/// What a server says of itself.
#[derive(Debug, PartialEq, Eq)]
struct Health {
    status: String,
    readiness: Readiness,
}

#[derive(Debug, PartialEq, Eq)]
enum Readiness {
    Ready,
    NotReady,
    /// Java's server says so in its first ten seconds.
    Unknown,
}

impl Health {
    /// The health in an answer; `None` if that has none.
    fn of(answer: &Answer) -> Option<Self> {
        if answer.status() != 200 {
            return None;
        }
        let body: Value = serde_json::from_slice(answer.body()).ok()?;
        let status: String = body.get("status")?.as_str()?.chars().take(20).collect();
        let readiness = match body.get("readiness")?.as_bool()? {
            true => Readiness::Ready,
            false if status == "UNKNOWN" => Readiness::Unknown,
            false => Readiness::NotReady,
        };
        Some(Self { status, readiness })
    }

    fn finding(&self, url: &str) -> Finding {
        let status = self.status.escape_debug();
        match self.readiness {
            Readiness::Ready => Finding::Good(format!("{url} says {status}")),
            Readiness::Unknown => {
                Finding::Skipped(format!("{url} says {status}: the server has just started"))
            }
            Readiness::NotReady => Finding::Bad(
                format!("{url} says {status}: the server takes no changes, reading may go on"),
                "see the log of the server for the reason",
            ),
        }
    }
}

/// Records the health of the server. Without the address of its REST service, the one that `pravega
/// dev` has by default is asked, and passed over if no such service is there.
pub(super) async fn ask(given: Option<&str>, config: &ClientConfig, checks: &mut Checks) {
    if let Some(base) = given {
        let fix = "give --rest the address of the REST service of a server";
        let finding = match health(base, config, LIMIT).await {
            Ok(Some(health)) => health.finding(base),
            Ok(None) => Finding::Bad(format!("{base} is not the REST service of a server"), fix),
            Err(why) => Finding::Bad(format!("{base}: {why}"), fix),
        };
        checks.record("health", finding);
    } else if let Some(base) = usual(config)
        && let Ok(Some(health)) = health(&base, config, USUAL_LIMIT).await
        && health.readiness != Readiness::Unknown
    {
        checks.record("health", health.finding(&base));
    }
}

/// Asks an address; returns why there is no answer. One without a health is that of another
/// service.
async fn health(
    base: &str,
    config: &ClientConfig,
    limit: Duration,
) -> Result<Option<Health>, String> {
    let base = Url::parse_base(base).map_err(|error| with_causes(&error))?;
    let tls = config.controller_tls().map_err(|error| with_causes(&error))?;
    let client = HttpClient::new(&tls, MAX_LEN);
    let answered = client.send(&Request::get(base.join(PATH)), limit).await;
    answered.map(|answer| Health::of(&answer)).map_err(|error| with_causes(&error))
}

/// The address of the REST service of `pravega dev`: at the port after that of the controller.
fn usual(config: &ClientConfig) -> Option<String> {
    let endpoint = config.uri().endpoints().first()?;
    let rest = Endpoint::new(endpoint.host(), endpoint.port().checked_add(1)?).ok()?;
    let scheme = if config.is_tls_to_controller() { "https" } else { "http" };
    Some(format!("{scheme}://{rest}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_is_not_ready_is_bad_and_what_is_no_health_is_none() {
        let health = |status, body: &str| Health::of(&Answer::new(status, body.as_bytes().into()));
        let up = health(200, r#"{"name":"","status":"UP","readiness":true}"#).unwrap();
        assert!(matches!(up.finding("u"), Finding::Good(detail) if detail == "u says UP"));
        let down = health(200, r#"{"status":"DOWN","readiness":false}"#).unwrap();
        let Finding::Bad(detail, _) = down.finding("u") else { panic!("{down:?}") };
        assert!(detail.starts_with("u says DOWN: the server takes no changes"), "{detail}");
        let new = health(200, r#"{"status":"UNKNOWN","readiness":false}"#).unwrap();
        assert!(matches!(new.finding("u"), Finding::Skipped(_)));
        for (status, body) in [
            (404, r#"{"status":"UP","readiness":true}"#),
            (200, r#"{"status":"UP"}"#),
            (200, r#"{"status":1,"readiness":true}"#),
            (200, "UP"),
            (200, ""),
        ] {
            assert_eq!(health(status, body), None, "{status} {body}");
        }
    }

    #[test]
    fn the_usual_address_is_at_the_port_after_that_of_the_controller() {
        let usual = |url| usual(&ClientConfig::from_url(url).unwrap());
        assert_eq!(usual("tcp://h:9090").unwrap(), "http://h:9091");
        assert_eq!(usual("tls://[::1]:1").unwrap(), "https://[::1]:2");
        assert_eq!(usual("tcp://h:9090?tls_to_controller=on").unwrap(), "https://h:9091");
        assert_eq!(usual("tcp://h:65535"), None);
    }
}
