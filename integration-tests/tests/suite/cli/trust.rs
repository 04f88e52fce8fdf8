//! Whom the tool trusts, with which certificate it comes, and what it says of what is wrong.

use std::{io::Write as _, process::Stdio};

use pravega_sdk_integration_tests::harness::port::Refusing;
use pravega_sdk_server::{EmbeddedServer, ServerTls};
use rcgen::{DnType, ExtendedKeyUsagePurpose};
use serde_json::Value;
use tokio::{io::AsyncReadExt as _, net::TcpListener};

use super::contexts::{User, checked};
use crate::hops::{
    authority::{Authority, Certified, server},
    proxy,
};

/// The variables that replace the certificates of the system.
fn of_system(path: &str) -> [(&str, &str); 2] {
    // An empty folder would be one more place of them.
    [("SSL_CERT_FILE", path), ("SSL_CERT_DIR", "")]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_a_root_of_the_system_vouches_for_is_trusted_and_no_other() {
    let user = User::new();
    let (root, other) = (Authority::new(), Authority::new());
    let names = ["localhost", "127.0.0.1"];
    let certified = root.sign(&names, ExtendedKeyUsagePurpose::ServerAuth, |_| {});
    let chain = user.file("chain.pem", &certified.chain_pem());
    let key = user.file("key.pem", &certified.key_pem());
    let server = EmbeddedServer::builder().with_tls(ServerTls::with_files(chain, key));
    let server = server.start().await.unwrap();
    let url = server.url();
    let trusted = user.file("root.pem", &root.pem());
    let untrusted = user.file("other.pem", &other.pem());
    let at = |arguments: &[&str]| -> Vec<String> {
        let server = ["--controller", &url, "--timeout", "20s"];
        server.iter().chain(arguments).map(|word| (*word).to_owned()).collect()
    };
    let run = |system: &str, code: i32, arguments: &[&str]| {
        let arguments = at(arguments);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        user.run_with(&of_system(system), code, &arguments)
    };
    // Both hops: a scope and a stream of the controller, an event of the segment store.
    run(&trusted, 0, &["scope", "create", "s"]);
    run(&trusted, 0, &["stream", "create", "s/t"]);
    let write = at(&["write", "s/t"]);
    let write: Vec<&str> = write.iter().map(String::as_str).collect();
    let mut writing = user
        .command(&of_system(&trusted), &write)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    writing.stdin.take().unwrap().write_all(b"an event\n").unwrap();
    checked(&writing.wait_with_output().unwrap(), 0, &write);
    let (events, _) = run(&trusted, 0, &["read", "s/t"]);
    assert_eq!(events, "an event\n");

    let (_, err) = run(&untrusted, 1, &["scope", "list"]);
    assert!(err.contains("the server's certificate is"), "{err}");
    assert!(err.contains("help: check the scheme (tcp or tls), --ca and --cert"), "{err}");
    // A trust store that is named counts in place of the system's.
    run(&untrusted, 0, &["--ca", &trusted, "scope", "list"]);
    run(&trusted, 1, &["--ca", &untrusted, "scope", "list"]);
    server.shutdown().await;
}

/// Writes a certificate, its key, and both into one file.
fn files(user: &User, name: &str, certified: &Certified) -> [String; 3] {
    let (chain, key) = (certified.chain_pem(), certified.key_pem());
    [
        user.file(&format!("{name}.crt"), &chain),
        user.file(&format!("{name}.key"), &key),
        user.file(&format!("{name}.pem"), &(chain.clone() + &key)),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_asks_for_a_certificate_lets_in_the_right_one_only() {
    let user = User::new();
    let plain = EmbeddedServer::builder().start().await.unwrap();
    let authority = Authority::new();
    let stranger = Authority::with(|params| {
        params.distinguished_name.push(DnType::CommonName, "another authority");
    });
    let config = server(&authority.server("localhost"), Some(&authority));
    let proxy = proxy::with_tls(plain.port(), config).await;
    // The segment stores of the server have no TLS.
    let url = format!("tls://localhost:{}?tls_to_segment_store=off", proxy.port());
    let ca = user.file("ca.pem", &authority.pem());
    let [chain, key, both] = files(&user, "ann", &authority.client(|_| {}));
    let [of_stranger, key_of_stranger, _] = files(&user, "eve", &stranger.client(|_| {}));
    let run = |code: i32, options: &[&str]| {
        let all = [&["--controller", &url, "--ca", &ca], options, &["scope", "list"]].concat();
        user.run(code, &all).1
    };
    run(0, &["--cert", &chain, "--key", &key]);
    run(0, &["--cert", &both]);
    assert_eq!(proxy.forwarded(), 2);

    for (options, code, reason) in [
        (&[][..], 1, "the server requires a certificate of the client, and none is set"),
        (
            &["--cert", &of_stranger, "--key", &key_of_stranger],
            1,
            "the server refuses the client's certificate: its authority is not trusted there",
        ),
        (&["--key", &key], 2, "--key needs --cert"),
        (&["--cert", &chain], 2, "ann.crt holds no PEM private key"),
        (
            &["--cert", &chain, "--key", &key_of_stranger],
            2,
            "the client key is not that of the client certificate",
        ),
        (&["--cert", "none.crt", "--key", &key], 2, "none.crt cannot be read"),
        (&["--cert", &chain, "--key", "none.key"], 2, "none.key cannot be read"),
        (&["--cert", &key, "--key", &key], 2, "ann.key holds no PEM certificate"),
    ] {
        let err = run(code, options);
        assert!(err.contains(reason), "{options:?}: {err}");
        assert!(!err.contains("PRIVATE KEY"), "{err}");
    }
    assert_eq!(proxy.forwarded(), 2, "a client was let in");
    plain.shutdown().await;
}

/// The findings of `pravega doctor`, which fails.
fn findings(user: &User, system: &str, options: &[&str]) -> Vec<Value> {
    findings_within("20s", user, system, options)
}

fn findings_within(limit: &str, user: &User, system: &str, options: &[&str]) -> Vec<Value> {
    let arguments = [&["-o", "json"], options, &["--timeout", limit, "doctor"]].concat();
    let (out, _) = user.run_with(&of_system(system), 1, &arguments);
    out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Returns the detail of the last check, which has failed with a fix. No check before has.
#[track_caller]
fn failed(findings: &[Value], check: &str, fix: &str) -> String {
    let (last, before) = findings.split_last().unwrap();
    assert_eq!((&last["check"], &last["state"]), (&check.into(), &"failed".into()), "{last}");
    assert!(last["fix"].as_str().unwrap().contains(fix), "{last}");
    assert!(before.iter().all(|finding| finding["state"] != "failed"), "{before:?}");
    last["detail"].as_str().unwrap().to_owned()
}

fn has(findings: &[Value], check: &str) -> bool {
    findings.iter().any(|finding| finding["check"] == check)
}

#[tokio::test(flavor = "multi_thread")]
async fn doctor_says_what_to_do_about_a_certificate_and_a_password() {
    let user = User::new();
    let server = EmbeddedServer::builder().with_tls(ServerTls::made_in_memory());
    let server = server.with_account("ann", "a canary").start().await.unwrap();
    let url = server.url();
    let none = user.file("other.pem", &Authority::new().pem());

    let found = findings(&user, &none, &["--controller", &url]);
    let detail = failed(&found, "tls", "give --ca the PEM file of the authority");
    assert!(detail.contains("self-signed and not in the trust store"), "{detail}");
    assert!(has(&found, "connect controller") && !has(&found, "controller"), "{found:?}");

    let ca = user.file("ca.pem", &server.certificate().unwrap());
    let trusting = ["--controller", &url, "--ca", &ca];
    let found = findings(&user, &none, &trusting);
    failed(&found, "authentication", "give --user and --password-file");
    let wrong = user.file("wrong", "another canary");
    let options = [&trusting[..], &["--user", "ann", "--password-file", &wrong]].concat();
    let found = findings(&user, &none, &options);
    failed(&found, "authentication", "has no such user, or another password for it");
    assert!(has(&found, "tls") && has(&found, "controller"), "{found:?}");
    let options = [&trusting[..], &["--token-file", &wrong]].concat();
    let found = findings(&user, &none, &options);
    failed(&found, "authentication", "correct what the detail names");
    let token = user.file("token", "canary");
    let options = [&trusting[..], &["--token-file", &token]].concat();
    let found = findings(&user, &none, &options);
    failed(&found, "authentication", "check --token-file or --keycloak-file");
    server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn doctor_tells_an_issuer_that_is_away_from_a_controller_that_is() {
    let user = User::new();
    let server = EmbeddedServer::builder().with_account("ann", "a canary").start().await.unwrap();
    let down = Refusing::bind();
    let adapter = format!(
        "{{\"realm\":\"r\",\"auth-server-url\":\"http://{}\",\"resource\":\"c\",\
         \"credentials\":{{\"secret\":\"canary\"}}}}",
        down.address()
    );
    let adapter = user.file("keycloak.json", &adapter);
    let url = server.url();
    let options = ["--controller", &url, "--keycloak-file", &adapter];
    // An issuer that is away is asked again, until there is no time left.
    let found = findings_within("2s", &user, &adapter, &options);
    let detail = failed(&found, "authentication", "the file or the issuer");
    assert!(detail.contains("the issuer cannot be reached"), "{detail}");
    assert!(!has(&found, "controller"), "no controller was asked: {found:?}");
    server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn doctor_says_that_a_port_which_closes_without_a_word_may_speak_tls_only() {
    let user = User::new();
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let url = format!("tcp://{}", listener.local_addr().unwrap());
    let closing = tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let received = socket.read(&mut [0; 1024]).await;
            drop((socket, received));
        }
    });
    let found = findings(&user, "none.pem", &["--controller", &url]);
    let detail = failed(&found, "tls", "use the scheme tls or pravegas if the cluster has TLS");
    assert!(detail.contains("its port may speak TLS only"), "{detail}");
    closing.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn doctor_tells_a_port_of_http_from_a_server_that_does_not_answer() {
    let user = User::new();
    let server = EmbeddedServer::builder().with_rest_port(0).start().await.unwrap();
    let url = format!("tcp://127.0.0.1:{}", server.rest_port().unwrap());
    let found = findings(&user, "none.pem", &["--controller", &url]);
    failed(&found, "controller", "a server of HTTP/1 answers there");
    server.shutdown().await;

    // The system takes connections for a listener that does not.
    let silent = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let url = format!("tcp://{}", silent.local_addr().unwrap());
    let found = findings_within("1s", &user, "none.pem", &["--controller", &url]);
    failed(&found, "controller", "it takes connections and does not answer");
}
