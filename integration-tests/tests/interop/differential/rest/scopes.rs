//! Requests about scopes, about paths that do not exist, and about health.

use serde_json::json;

use super::both::Both;

/// Scopes: good, bad, there already, missing.
pub(super) async fn scopes(both: &mut Both) {
    let path = "/v1/scopes";
    let name = both.scope.clone();
    let scope = json!({ "scopeName": name });
    both.put("a scope", "POST", path, &scope).await;
    both.put("a scope: again", "POST", path, &scope).await;
    for (case, bad) in [
        ("a scope: a bad name", json!({ "scopeName": "a b" })),
        ("a scope: an internal name", json!({ "scopeName": "_a" })),
        ("a scope: the system scope", json!({ "scopeName": "_system" })),
        ("a scope: an empty name", json!({ "scopeName": "" })),
        ("a scope: a long name", json!({ "scopeName": "x".repeat(256) })),
        ("a scope: no name", json!({})),
        ("a scope: a list", json!([])),
        ("a scope: a list of names", json!(["a"])),
        ("a scope: null", json!(null)),
        ("a scope: a number for a name", json!({ "scopeName": 5 })),
    ] {
        both.put(case, "POST", path, &bad).await;
    }
    let more = json!({ "scopeName": format!("{name}-more"), "more": [1, { "a": 2 }] });
    both.put("a scope: unknown fields", "POST", path, &more).await;
    let json = "Content-Type: application/json\r\n";
    both.send("a scope: no body", "POST", path, json, "").await;
    both.send("a scope: half a body", "POST", path, json, "{\"scopeName\"").await;
    let body = scope.to_string();
    both.send("a scope: no type", "POST", path, "", &body).await;
    both.send("a scope: text", "POST", path, "Content-Type: text/plain\r\n", &body).await;
    let form = "Content-Type: application/x-www-form-urlencoded\r\n";
    both.send("a scope: a form", "POST", path, form, "scopeName=a").await;
    let charset = "Content-Type: application/json; charset=utf-8\r\n";
    both.send("a scope: a character set", "POST", path, charset, &body).await;
    let chunked = format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
    let fields = format!("{json}Transfer-Encoding: chunked\r\n");
    both.send("a scope: in chunks", "POST", path, &fields, &chunked).await;

    both.ask("the scope", "GET", &both.path("")).await;
    both.ask("the scope: a slash", "GET", &both.path("/")).await;
    both.ask("the scope: a question", "GET", &both.path("?x=1")).await;
    both.ask("a missing scope", "GET", "/v1/scopes/none-of-this-name").await;
    both.ask("a scope with a bad name", "GET", "/v1/scopes/a%20b").await;
    both.ask("the system scope", "GET", "/v1/scopes/_system").await;
    both.ask("deletion of the system scope", "DELETE", "/v1/scopes/_system").await;
    let streams = "/v1/scopes/_system/streams";
    both.ask("own streams of the system scope", "GET", streams).await;
    let internal = format!("{streams}?filter_type=showInternalStreams");
    both.ask("streams of the system scope", "GET", &internal).await;
    both.ask("groups of the system scope", "GET", "/v1/scopes/_system/readergroups").await;
    let all = both.real.ask("GET", path).await.json();
    let system = json!({ "scopeName": "_system" });
    for scopes in [all, both.embedded.ask("GET", path).await.json()] {
        let scopes = scopes["scopes"].as_array().unwrap().clone();
        assert!(scopes.contains(&scope) && scopes.contains(&system), "{scopes:?}");
    }
    let more = format!("/v1/scopes/{name}-more");
    both.ask("deletion of a scope", "DELETE", &more).await;
    both.ask("deletion of a scope: again", "DELETE", &more).await;
    both.ask("deletion of a missing scope", "DELETE", "/v1/scopes/none-of-this-name").await;
}

/// Paths, methods and fields that the service does not have.
pub(super) async fn paths(both: &mut Both) {
    // `/` lists the paths on the embedded server only.
    for path in ["/v1", "/v1/none", "/v2/scopes", "/v1/scopes/a%2Fb"] {
        both.ask(path, "GET", path).await;
    }
    both.ask("a path that is not UTF-8", "GET", "/v1/scopes/%ff").await;
    both.ask("ping", "GET", "/ping").await;
    let streams = both.path("/streams");
    for (method, path) in [
        ("PUT", "/v1/scopes"),
        ("DELETE", "/v1/scopes"),
        ("PATCH", "/v1/scopes"),
        ("POST", &both.path("")),
        ("DELETE", &streams),
        ("POST", &both.path("/streams/none")),
        ("GET", &both.path("/streams/none/state")),
        ("POST", &both.path("/streams/none/scaling-events")),
        ("POST", &both.path("/readergroups")),
        ("PUT", &both.path("/readergroups/none")),
        ("POST", "/ping"),
    ] {
        let name = format!("{method} {path}");
        match method {
            "GET" | "DELETE" => both.ask(&name, method, path).await,
            _ => both.put(&name, method, path, &json!({})).await,
        };
    }
    both.ask("options", "OPTIONS", "/v1/scopes").await;
    both.send("a response that is JSON", "GET", "/v1/health/status", "Accept: */*\r\n", "").await;
    let html = "Accept: text/html\r\n";
    both.send("a response that is not JSON", "GET", &both.path(""), html, "").await;
    let request =
        format!("GET {} HTTP/1.1\r\nHost: evil.test\r\nConnection: close\r\n\r\n", both.path(""));
    both.raw("a foreign host", request.as_bytes()).await;
}

/// Health, which has no parts here.
pub(super) async fn health(both: &mut Both) {
    both.ask("health", "GET", "/v1/health").await;
    for part in ["status", "readiness", "liveness", "details"] {
        both.ask(part, "GET", &format!("/v1/health/{part}")).await;
        both.ask(&format!("{part} of none"), "GET", &format!("/v1/health/{part}/none")).await;
    }
    both.ask("health of none", "GET", "/v1/health/none").await;
}
