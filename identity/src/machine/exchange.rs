//! One fetch of a token: the requests to the issuer, one after the other, within one deadline.
//!
//! ```text
//!  discovery ──▶ login ──▶ permissions ──▶ a token
//!   (unless the     │      (of Keycloak)
//!    endpoint is    └────────────────────▶ a token
//!    known)
//! ```

use std::{sync::Arc, time::Duration};

use pravega_sdk_http::{Answer, Request, Unanswered, Url};
use pravega_sdk_types::{Backoff, ErrorKind};
use secrecy::SecretString;

use super::{
    judgement::{self, Part, Verdict},
    moment::Moment,
};
use crate::{
    IdentityError,
    answer::{self, Discovered, Issued, Malformed},
    plan::Plan,
    request,
    secrets::Secrets,
};

/// What the driver does next. Times are of the steady clock.
#[derive(Debug)]
pub(crate) enum Step {
    /// Send this request, and give it up at that time: [`Exchange::handle`].
    Send { request: Box<Request>, until: Duration },
    /// Wait.
    Wait { until: Duration },
    /// The fetch is done; the token was asked for at that moment.
    End(Result<(Issued, Moment), IdentityError>),
}

/// One fetch.
#[derive(Debug)]
pub(crate) struct Exchange {
    plan: Arc<Plan>,
    state: State,
    /// The endpoint for tokens, once it is known.
    endpoint: Option<Url>,
    until: Duration,
    limit: Duration,
    /// Requests of the present part that were sent.
    attempts: u32,
    waits_until: Option<Duration>,
    asked: Moment,
    last: Option<IdentityError>,
    /// How long the issuer asked the client to wait when it failed last.
    pause: Duration,
}

#[derive(Debug)]
enum State {
    Discovering,
    LoggingIn(Url),
    /// With the token of the login.
    AskingForPermissions(Url, SecretString),
    Ended(Result<(Issued, Moment), IdentityError>),
}

/// The longest time for one request, so that one that is lost leaves time for another.
const REQUEST_LIMIT: Duration = Duration::from_secs(6);
/// The waits between repeats, each spread evenly down to none.
const WAITS: Backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(5));

impl Exchange {
    /// Begins a fetch that may take `limit`; `endpoint` is the one for tokens, if it is known.
    pub(crate) fn new(
        plan: Arc<Plan>,
        endpoint: Option<Url>,
        limit: Duration,
        now: Moment,
    ) -> Self {
        let state = match &endpoint {
            Some(known) => State::LoggingIn(known.clone()),
            None => State::Discovering,
        };
        Self {
            plan,
            state,
            endpoint,
            until: now.steady.saturating_add(limit),
            limit,
            attempts: 0,
            waits_until: None,
            asked: now,
            last: None,
            pause: Duration::ZERO,
        }
    }

    /// Returns what is done next.
    pub(crate) fn poll(&mut self, now: Moment) -> Step {
        if let State::Ended(result) = &self.state {
            return Step::End(result.clone());
        }
        if let Some(until) = self.waits_until.filter(|until| *until > now.steady) {
            return Step::Wait { until };
        }
        self.waits_until = None;
        if now.steady >= self.until {
            let late = || {
                let limit = self.limit.as_secs_f64();
                let detail = format_args!("no token within {limit:.1} s");
                IdentityError::of(ErrorKind::Timeout, detail)
            };
            let error = self.last.take().unwrap_or_else(late);
            return self.end(Err(error));
        }
        let request = match &self.state {
            State::Discovering => request::discovery(&self.plan),
            State::LoggingIn(endpoint) => request::login(&self.plan, endpoint),
            State::AskingForPermissions(endpoint, token) => {
                let audience = self.plan.permissions_on.as_deref().unwrap_or_default();
                request::permissions(audience, endpoint, token)
            }
            State::Ended(result) => return Step::End(result.clone()),
        };
        self.attempts += 1;
        self.asked = now;
        let until = self.until.min(now.steady.saturating_add(REQUEST_LIMIT));
        Step::Send { request: Box::new(request), until }
    }

    /// The answer to the request of the last step, or why there is none. `random` is in `0.0..1.0`.
    pub(crate) fn handle(&mut self, result: Result<Answer, Unanswered>, random: f64, now: Moment) {
        let Some(part) = self.part() else { return };
        let verdict = match result {
            Ok(answer) if answer.status() == 200 => match self.advance(&answer, now) {
                Ok(()) => return,
                Err(error) => Verdict::Final(error),
            },
            Ok(answer) => judgement::refused(part, &answer, &self.secrets()),
            Err(failure) => judgement::unanswered(part, failure),
        };
        match verdict {
            Verdict::Final(error) => drop(self.end(Err(error))),
            Verdict::Repeat(error, earliest) => {
                self.pause = earliest;
                let wait = WAITS.delay(self.attempts, random).max(earliest);
                let until = now.steady.saturating_add(wait);
                if until >= self.until {
                    drop(self.end(Err(error)));
                } else {
                    self.last = Some(error);
                    self.waits_until = Some(until);
                }
            }
        }
    }

    /// Returns the endpoint for tokens, if it may be used by the next fetch. After a failure it is
    /// looked up again.
    pub(crate) fn into_endpoint(self) -> Option<Url> {
        match self.state {
            State::Ended(Err(_)) => None,
            _ => self.endpoint,
        }
    }

    /// Returns how long the issuer asked the client to wait, if it failed for the time being.
    pub(crate) fn pause(&self) -> Duration {
        self.pause
    }

    fn part(&self) -> Option<Part> {
        match self.state {
            State::Discovering => Some(Part::Discovery),
            State::LoggingIn(_) => Some(Part::Login),
            State::AskingForPermissions(..) => Some(Part::Permissions),
            State::Ended(_) => None,
        }
    }

    /// What must not be shown if the issuer repeats it.
    fn secrets(&self) -> Secrets {
        let mut secrets = self.plan.client.secrets();
        if let State::AskingForPermissions(_, token) = &self.state {
            secrets.add(token);
        }
        secrets
    }

    /// Takes what a successful answer has, and goes on to the next part.
    fn advance(&mut self, answer: &Answer, now: Moment) -> Result<(), IdentityError> {
        let next = match &self.state {
            State::Discovering => {
                let discovered = answer::discovered(answer.body());
                let discovered =
                    discovered.map_err(|error| self.malformed(Part::Discovery, &error))?;
                let endpoint = self.checked(&discovered)?;
                self.endpoint = Some(endpoint.clone());
                State::LoggingIn(endpoint)
            }
            State::LoggingIn(endpoint) => {
                let issued = answer::issued(answer.body(), now.wall);
                let issued = issued.map_err(|error| self.malformed(Part::Login, &error))?;
                match self.plan.permissions_on {
                    Some(_) => State::AskingForPermissions(endpoint.clone(), issued.token),
                    None => State::Ended(Ok((issued, self.asked))),
                }
            }
            State::AskingForPermissions(..) => {
                let issued = answer::issued(answer.body(), now.wall);
                let issued = issued.map_err(|error| self.malformed(Part::Permissions, &error))?;
                State::Ended(Ok((issued, self.asked)))
            }
            State::Ended(_) => return Ok(()),
        };
        self.state = next;
        self.attempts = 0;
        self.last = None;
        self.pause = Duration::ZERO;
        Ok(())
    }

    /// Checks the endpoint that an issuer names, OpenID Connect Discovery 1.0, 4.3.
    fn checked(&self, discovered: &Discovered) -> Result<Url, IdentityError> {
        let secrets = self.secrets();
        let protocol = |detail: &dyn std::fmt::Display| {
            let detail = secrets.hide(&detail.to_string());
            Err(IdentityError::of(ErrorKind::Protocol, detail))
        };
        let name = |text: &str| text.trim_end_matches('/').to_owned();
        if let Some(expected) = &self.plan.issuer
            && discovered.issuer.as_deref().map(name) != Some(name(expected))
        {
            let found = discovered.issuer.as_deref().unwrap_or("nothing");
            return protocol(&format_args!("the issuer calls itself {found}, not {expected}"));
        }
        match self.plan.discovery.follow(&discovered.token_endpoint) {
            Ok(endpoint) => Ok(endpoint),
            Err(error) => {
                protocol(&format_args!("the token_endpoint of the issuer is wrong: {error}"))
            }
        }
    }

    fn malformed(&self, part: Part, error: &Malformed) -> IdentityError {
        let (name, error) = (part.name(), self.secrets().hide(&error.to_string()));
        let detail = format_args!("the answer to {name} is not understood: {error}");
        IdentityError::of(ErrorKind::Protocol, detail)
    }

    fn end(&mut self, result: Result<(Issued, Moment), IdentityError>) -> Step {
        let result = result.map_err(|error| self.described(error));
        self.state = State::Ended(result.clone());
        Step::End(result)
    }

    /// Adds what was asked, of which server, and how often.
    fn described(&self, error: IdentityError) -> IdentityError {
        let server = match &self.state {
            State::LoggingIn(endpoint) | State::AskingForPermissions(endpoint, _) => endpoint,
            State::Discovering | State::Ended(_) => &self.plan.discovery,
        };
        let client = &self.plan.client;
        let refused = error.kind() == ErrorKind::Unauthenticated && client.depends_on_encoding();
        let named = error.map(|failure| {
            failure
                .with_operation("getting a token for client")
                .with_target(&client.id)
                .with_endpoint(server.endpoint().clone())
                .with_attempts(self.attempts)
        });
        if !refused {
            return named;
        }
        let hint = "issuers differ in how they read characters other than letters and digits of a \
                    secret: try one without them, or the other way to send it";
        named.map(|failure| failure.with_hint(hint))
    }
}

#[cfg(test)]
mod tests {
    use pravega_sdk_types::Outcome;
    use secrecy::ExposeSecret as _;

    use super::*;
    use crate::client::{Client, Encoding, Proof};

    const LIMIT: Duration = Duration::from_secs(20);
    const DISCOVERY: &str = r#"{"issuer":"https://h/r","token_endpoint":"https://h/r/token"}"#;
    const TOKEN: &str = r#"{"access_token":"access-hunter3","expires_in":60}"#;
    const PERMITTED: &str = r#"{"access_token":"permitted","expires_in":300}"#;

    fn at(seconds: f64) -> Moment {
        let steady = Duration::from_secs_f64(seconds);
        Moment { steady, wall: Duration::from_secs(1_700_000_000) + steady }
    }

    fn plan(permissions_on: Option<&str>) -> Plan {
        let proof = Proof::Basic { secret: "hunter2".into(), encoding: Encoding::Form };
        Plan {
            discovery: Url::parse("https://h/r/.well-known/x").unwrap(),
            issuer: None,
            client: Client { id: "c".to_owned(), proof },
            scope: None,
            audience: None,
            permissions_on: permissions_on.map(str::to_owned),
            least_left: Duration::ZERO,
        }
    }

    fn exchange() -> Exchange {
        Exchange::new(Arc::new(plan(Some("pravega"))), None, LIMIT, at(0.0))
    }

    fn answer(status: u16, body: &str) -> Result<Answer, Unanswered> {
        Ok(Answer::new(status, body.as_bytes().to_vec()))
    }

    /// The path of the request that is sent next.
    fn sent(exchange: &mut Exchange, now: f64) -> String {
        match exchange.poll(at(now)) {
            Step::Send { request, .. } => request.url().target().to_owned(),
            other => panic!("{other:?}"),
        }
    }

    fn ended(exchange: &mut Exchange, now: f64) -> Result<(Issued, Moment), IdentityError> {
        match exchange.poll(at(now)) {
            Step::End(result) => result,
            other => panic!("{other:?}"),
        }
    }

    /// Brings a fetch to a part.
    fn at_part(part: Part) -> Exchange {
        let mut exchange = exchange();
        for (before, body) in [(Part::Login, DISCOVERY), (Part::Permissions, TOKEN)] {
            if part == Part::Discovery || exchange.part() == Some(part) {
                break;
            }
            sent(&mut exchange, 0.0);
            exchange.handle(answer(200, body), 0.5, at(0.0));
            assert_eq!(exchange.part(), Some(before));
        }
        exchange
    }

    const PARTS: [Part; 3] = [Part::Discovery, Part::Login, Part::Permissions];

    #[test]
    fn a_fetch_discovers_logs_in_and_asks_for_permissions() {
        let mut exchange = exchange();
        assert_eq!(sent(&mut exchange, 0.0), "/r/.well-known/x");
        exchange.handle(answer(200, DISCOVERY), 0.5, at(1.0));
        assert_eq!(sent(&mut exchange, 1.0), "/r/token");
        exchange.handle(answer(200, TOKEN), 0.5, at(2.0));
        let Step::Send { request, .. } = exchange.poll(at(2.0)) else { panic!() };
        let header = request.authorization().unwrap();
        assert_eq!(header.expose_secret(), "Bearer access-hunter3");
        exchange.handle(answer(200, PERMITTED), 0.5, at(3.0));
        let (issued, asked) = ended(&mut exchange, 3.0).unwrap();
        assert_eq!(issued.token.expose_secret(), "permitted");
        // The life of the token begins before the request, not with its answer.
        assert_eq!((issued.lifetime, asked), (Duration::from_secs(300), at(2.0)));
        let endpoint = exchange.into_endpoint();
        let mut next = Exchange::new(Arc::new(plan(None)), endpoint, LIMIT, at(4.0));
        assert_eq!(sent(&mut next, 4.0), "/r/token", "the endpoint is known");
        next.handle(answer(200, TOKEN), 0.5, at(5.0));
        assert_eq!(ended(&mut next, 5.0).unwrap().0.token.expose_secret(), "access-hunter3");
    }

    #[test]
    fn a_refusal_is_final_and_has_the_kind_of_its_part_and_status() {
        use ErrorKind::{Config, NotFound, PermissionDenied, Protocol, Unauthenticated};
        let refusal = r#"{"error":"unauthorized_client","error_description":"bad \u001b[31m"}"#;
        let scope = r#"{"error":"invalid_scope"}"#;
        for (part, status, body, expected) in [
            (Part::Discovery, 404, "", NotFound),
            (Part::Discovery, 401, "", Unauthenticated),
            (Part::Discovery, 403, "", PermissionDenied),
            (Part::Discovery, 302, "", Protocol),
            (Part::Login, 400, refusal, Unauthenticated),
            (Part::Login, 400, "<html>", Unauthenticated),
            (Part::Login, 400, scope, Config),
            (Part::Login, 401, refusal, Unauthenticated),
            (Part::Login, 403, refusal, PermissionDenied),
            (Part::Login, 404, refusal, NotFound),
            (Part::Login, 418, refusal, Protocol),
            (Part::Login, 204, "", Protocol),
            (Part::Login, 307, "", Protocol),
            (Part::Permissions, 400, refusal, PermissionDenied),
            (Part::Permissions, 401, refusal, Unauthenticated),
            (Part::Permissions, 403, refusal, PermissionDenied),
        ] {
            let mut exchange = at_part(part);
            sent(&mut exchange, 0.0);
            exchange.handle(answer(status, body), 0.5, at(1.0));
            let error = ended(&mut exchange, 1.0).unwrap_err();
            assert_eq!(error.kind(), expected, "{part:?} {status} {body}");
            assert_eq!((error.outcome(), error.attempts()), (Outcome::NotApplied, 1));
            assert!(!error.is_retryable(), "{error}");
            let shown = error.to_string();
            assert!(shown.contains(&format!("status {status}")), "{shown}");
            assert!(shown.contains("for client c at h:443"), "{shown}");
            assert!(!shown.contains('\u{1b}'), "{shown}");
            assert!(exchange.into_endpoint().is_none(), "it is looked up again");
        }
    }

    #[test]
    fn what_may_pass_is_repeated_after_a_wait_until_the_deadline() {
        let failures: [fn() -> Result<Answer, Unanswered>; 6] = [
            || answer(500, "<html>"),
            || answer(503, ""),
            || answer(429, ""),
            || Err(Unanswered::Late(REQUEST_LIMIT)),
            || Err(Unanswered::Unreachable(std::io::ErrorKind::ConnectionRefused.into())),
            || Err(Unanswered::Lost("reset".to_owned())),
        ];
        let kinds = [
            ErrorKind::Unavailable,
            ErrorKind::Unavailable,
            ErrorKind::LimitReached,
            ErrorKind::Timeout,
            ErrorKind::Unreachable,
            ErrorKind::ConnectionLost,
        ];
        for part in PARTS {
            for (failure, kind) in failures.iter().zip(kinds) {
                let mut exchange = at_part(part);
                let (mut now, mut attempts) = (0.0, 0);
                let error = loop {
                    match exchange.poll(at(now)) {
                        Step::Send { .. } => {
                            attempts += 1;
                            exchange.handle(failure(), 1.0, at(now));
                        }
                        Step::Wait { until } => {
                            assert!(until.as_secs_f64() > now);
                            now = until.as_secs_f64();
                        }
                        Step::End(result) => break result.unwrap_err(),
                    }
                };
                assert_eq!((error.kind(), error.attempts()), (kind, attempts), "{part:?}");
                assert!(error.is_retryable());
                // 0.1 s, twice that, and so on up to 5 s.
                assert_eq!(attempts, 9, "{part:?} {kind}");
                assert!((10.0..20.0).contains(&now), "{now}");
            }
        }
    }

    #[test]
    fn a_failure_that_passes_does_not_matter() {
        for part in PARTS {
            let mut exchange = at_part(part);
            let first = sent(&mut exchange, 0.0);
            exchange.handle(answer(500, ""), 1.0, at(0.0));
            let step = exchange.poll(at(0.05));
            assert!(matches!(step, Step::Wait { until } if until == Duration::from_millis(100)));
            assert_eq!(sent(&mut exchange, 0.1), first);
        }
    }

    #[test]
    fn the_issuer_says_when_it_is_asked_again_within_the_deadline() {
        let busy = |seconds| {
            let retry_after = Some(Duration::from_secs(seconds));
            Ok(answer(503, "").unwrap().with_retry_after(retry_after))
        };
        let mut patient = exchange();
        sent(&mut patient, 0.0);
        patient.handle(busy(7), 0.0, at(0.0));
        assert!(matches!(patient.poll(at(6.9)), Step::Wait { .. }));
        sent(&mut patient, 7.0);
        patient.handle(busy(u64::MAX), 0.0, at(7.0));
        assert_eq!(patient.pause(), Duration::from_secs(u64::MAX));
        let error = ended(&mut patient, 7.0).unwrap_err();
        assert_eq!((error.kind(), error.attempts()), (ErrorKind::Unavailable, 2));

        let mut heard = exchange();
        sent(&mut heard, 0.0);
        heard.handle(busy(7), 0.0, at(0.0));
        sent(&mut heard, 7.0);
        heard.handle(answer(200, DISCOVERY), 0.0, at(7.0));
        assert_eq!(heard.pause(), Duration::ZERO, "it has answered since");
    }

    #[test]
    fn one_deadline_covers_all_parts_and_the_last_request_is_cut_to_it() {
        let mut exchange = exchange();
        let until = |step| match step {
            Step::Send { until, .. } => until.as_secs_f64(),
            other => panic!("{other:?}"),
        };
        assert_eq!(until(exchange.poll(at(0.0))), 6.0);
        exchange.handle(answer(200, DISCOVERY), 0.5, at(5.5));
        assert_eq!(until(exchange.poll(at(10.0))), 16.0);
        exchange.handle(answer(200, TOKEN), 0.5, at(15.0));
        assert_eq!(until(exchange.poll(at(15.0))), 20.0);
        exchange.handle(Err(Unanswered::Late(Duration::from_secs(5))), 0.0, at(20.0));
        assert_eq!(ended(&mut exchange, 20.0).unwrap_err().kind(), ErrorKind::Timeout);

        // A task that was not polled for long.
        let mut exchange = at_part(Part::Login);
        let error = ended(&mut exchange, 21.0).unwrap_err();
        assert_eq!((error.kind(), error.attempts()), (ErrorKind::Timeout, 0));
    }

    #[test]
    fn an_answer_that_is_none_of_an_issuer_is_final() {
        for part in PARTS {
            for body in ["", "null", "[1", "{\"expires_in\":1}", "<html>hunter2</html>"] {
                let mut exchange = at_part(part);
                sent(&mut exchange, 0.0);
                exchange.handle(answer(200, body), 0.5, at(0.0));
                let error = ended(&mut exchange, 0.0).unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Protocol, "{part:?} {body}");
                assert!(!format!("{error:?}").contains("hunter2"));
            }
            for failure in [Unanswered::TooLong(9), Unanswered::NotHttp("parse".to_owned())] {
                let mut exchange = at_part(part);
                sent(&mut exchange, 0.0);
                exchange.handle(Err(failure), 0.5, at(0.0));
                assert_eq!(ended(&mut exchange, 0.0).unwrap_err().kind(), ErrorKind::Protocol);
            }
        }
    }

    #[test]
    fn an_issuer_that_repeats_a_secret_does_not_make_it_shown() {
        let mut exchange = at_part(Part::Permissions);
        sent(&mut exchange, 0.0);
        let body = r#"{"error":"hunter2","error_description":"access-hunter3 of hunter2"}"#;
        exchange.handle(answer(403, body), 0.5, at(0.0));
        let error = ended(&mut exchange, 0.0).unwrap_err();
        let shown = format!("{error} {error:?} {exchange:?}");
        assert!(!shown.contains("hunter"), "{shown}");
        assert!(shown.contains("[REDACTED] of [REDACTED]"), "{shown}");
    }

    #[test]
    fn an_endpoint_without_tls_or_of_another_issuer_is_refused() {
        let discovered = |issuer: Option<&str>, page: &str| {
            let plan = Plan { issuer: issuer.map(str::to_owned), ..plan(None) };
            let mut exchange = Exchange::new(Arc::new(plan), None, LIMIT, at(0.0));
            sent(&mut exchange, 0.0);
            exchange.handle(answer(200, page), 0.5, at(0.0));
            match exchange.poll(at(0.0)) {
                Step::Send { .. } => Ok(()),
                Step::End(result) => Err(result.unwrap_err().kind()),
                Step::Wait { .. } => panic!(),
            }
        };
        assert_eq!(discovered(Some("https://h/r"), DISCOVERY), Ok(()));
        assert_eq!(discovered(Some("https://h/r/"), DISCOVERY), Ok(()));
        assert_eq!(discovered(Some("https://h/other"), DISCOVERY), Err(ErrorKind::Protocol));
        let nameless = r#"{"token_endpoint":"https://h/token"}"#;
        assert_eq!(discovered(Some("https://h/r"), nameless), Err(ErrorKind::Protocol));
        assert_eq!(discovered(None, nameless), Ok(()));
        for wrong in ["http://h/token", "https://u:p@h/token", "token", "https://h:0/token"] {
            let page = format!("{{\"token_endpoint\":\"{wrong}\"}}");
            assert_eq!(discovered(None, &page), Err(ErrorKind::Protocol), "{wrong}");
        }
    }

    #[test]
    fn a_refused_secret_that_has_two_forms_gets_advice() {
        let hint = |secret: &str| {
            let proof = Proof::Basic { secret: secret.into(), encoding: Encoding::Form };
            let plan = Plan { client: Client { id: "c".to_owned(), proof }, ..plan(None) };
            let endpoint = Url::parse("https://h/token").unwrap();
            let mut exchange = Exchange::new(Arc::new(plan), Some(endpoint), LIMIT, at(0.0));
            sent(&mut exchange, 0.0);
            exchange.handle(answer(401, ""), 0.5, at(0.0));
            ended(&mut exchange, 0.0).unwrap_err().hint().map(str::to_owned)
        };
        assert!(hint("s3cr:t/+").is_some());
        assert!(hint("plain").is_none());
    }
}
