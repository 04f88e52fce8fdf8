//! The other clients, unchanged: Java's 0.13.0 and `pravega-client` 0.3.7 use all their features on
//! a server.

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use bytes::Bytes;
use futures_util::TryStreamExt as _;
use pravega_sdk_client_factory::ClientFactory;
use pravega_sdk_integration_tests::harness::{self, eventually, url};
use pravega_sdk_server::{EmbeddedServer, ServerTls, account_line};
use pravega_sdk_table_synchronizer::{OuterMapEntry, TableConfig, TableSegment};
use tempfile::TempDir;
use tokio::time::timeout;

use crate::program::{LIMIT, command_for};

const PASSWORD: &str = "1111_aaaa";

/// Runs a program that checks its own results. The process is killed with the test, also after a
/// timeout. Returns what it has printed.
async fn run(command: Command) -> String {
    let shown = format!("{command:?}");
    let mut command = tokio::process::Command::from(command);
    let output = timeout(LIMIT, command.kill_on_drop(true).output()).await;
    let output =
        output.unwrap_or_else(|_| panic!("{shown} was not done within {LIMIT:?}")).unwrap();
    let (stdout, stderr) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let all = format!("{stdout}\n{stderr}");
    assert!(output.status.success() && all.contains("all scenarios hold"), "{all}");
    all.lines().filter(|line| line.starts_with("holds: ")).for_each(|line| println!("{line}"));
    all
}

#[tokio::test]
async fn every_feature_of_the_java_client_works() {
    let folder = tempfile::tempdir().unwrap();
    run(command_for("Scenarios", folder.path(), &url())).await;
}

/// A reply that the Java client answers by waiting for the next write would make it wait forever.
#[tokio::test(flavor = "multi_thread")]
async fn a_java_writer_goes_on_after_its_server_was_full() {
    let server = EmbeddedServer::builder().with_memory_limit(4 << 20).start().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut command = command_for("Scenarios", folder.path(), &server.url());
    command.arg("full");
    let freed = async {
        let is_full = folder.path().join("full");
        eventually("the server is full", async || is_full.exists()).await;
        let factory = ClientFactory::connect(&server.url()).await.unwrap();
        let stream = "java/full".parse().unwrap();
        let tail = factory.batch_client(&stream).await.unwrap().tail_cut().await.unwrap();
        factory.controller().truncate_stream(&tail).await.unwrap();
    };
    tokio::join!(run(command), freed);
}

/// A server with TLS and a file of accounts, which has the accounts of the Java server of the other
/// tests.
struct Secured {
    server: EmbeddedServer,
    folder: TempDir,
}

impl Secured {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let accounts = [
            ("admin", "prn::*,READ_UPDATE"),
            ("reader", "prn::/,READ;prn::/scope:open,READ;prn::/scope:open/*,READ"),
        ];
        let lines = accounts.map(|(user, rules)| account_line(user, PASSWORD, rules) + "\n");
        std::fs::write(folder.path().join("accounts"), lines.concat()).unwrap();
        let server = harness::builder()
            .with_accounts_file(folder.path().join("accounts"))
            .with_tls(ServerTls::made_in(folder.path().join("tls")))
            // The Java client waits for one.
            .with_watermark_interval(Duration::from_secs(1))
            .start()
            .await
            .unwrap();
        assert!(server.url().starts_with("tls://"), "{}", server.url());
        Self { server, folder }
    }

    fn certificate(&self) -> PathBuf {
        self.folder.path().join("tls/server.crt")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_feature_of_the_java_client_works_over_tls_with_an_account() {
    let secured = Secured::start().await;
    let mut command = command_for("Scenarios", secured.folder.path(), &secured.server.url());
    command.env("PEER_TRUST_STORE", secured.certificate());
    // The client itself reads these.
    command.env("pravega_client_auth_method", "Basic");
    let account = BASE64.encode(format!("admin:{PASSWORD}"));
    command.env("pravega_client_auth_token", account);
    run(command).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn accounts_let_the_java_client_do_what_they_may_and_give_it_its_own_errors() {
    let secured = Secured::start().await;
    accounts(&secured.server.url(), &secured.certificate(), PASSWORD, "groups").await;
}

/// Requires that accounts of a server with TLS mean the same to the Java client everywhere.
/// `readable` is "groups" if the right to read is enough for a reader group, otherwise "streams".
pub(crate) async fn accounts(url: &str, certificate: &Path, password: &str, readable: &str) {
    let folder = tempfile::tempdir().unwrap();
    let mut command = command_for("Scenarios", folder.path(), url);
    command.env("PEER_TRUST_STORE", certificate).env("PEER_PASSWORD", password);
    command.args(["accounts", readable]);
    run(command).await;
}

#[tokio::test]
async fn every_feature_of_pravega_client_works() {
    let program = std::env::var("PRAVEGA_TEST_RUST_PEER")
        .expect("run these tests with `cargo xtask interop`");
    let mut command = Command::new(program);
    // It needs only the address of a controller.
    command.arg(url().replace("tcp://", "").replace("localhost", "127.0.0.1"));
    let printed = run(command).await;
    let scope = printed.lines().find_map(|line| line.strip_prefix("scope: "));
    entries_of_its_synchronizer_are_read(scope.expect("its scope")).await;
}

/// Reads the table that the synchronizer of `pravega-client` has left: two values of one map, and
/// the record of the map. A third value was removed.
async fn entries_of_its_synchronizer_are_read(scope: &str) {
    let factory = ClientFactory::connect(&url()).await.unwrap();
    let name = format!("{scope}/synchronizer").parse().unwrap();
    let (context, config) = (factory.segment_context(), TableConfig::default());
    let table = TableSegment::open(context, &name, 0.into(), config).await.unwrap();
    let entries: Vec<_> = table.entries().try_collect().await.unwrap();
    let (mut values, mut maps) = (Vec::new(), Vec::new());
    for entry in &entries {
        match OuterMapEntry::decode(entry).unwrap() {
            OuterMapEntry::Value { map, key, type_id, data, version } => {
                assert_eq!(version, entry.version);
                values.push((map, key, type_id, data));
            }
            OuterMapEntry::Map { map, .. } => maps.push(map),
            other => panic!("{other:?}"),
        }
    }
    values.sort();
    let value = |key: &str, type_id: &str, data: &'static [u8]| {
        ("outer".to_owned(), key.to_owned(), type_id.to_owned(), Bytes::from_static(data))
    };
    // In CBOR a text of 4 bytes, and a number of 2.
    let expected =
        [value("name/first", "String", b"\x64kept"), value("number", "i32", b"\x19\x01\x2C")];
    assert_eq!((&values[..], &maps[..]), (&expected[..], &["outer".to_owned()][..]));
}
