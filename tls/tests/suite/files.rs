//! PEM files: those that cannot be used, and those that change.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::{fs, path::Path, time::Duration};

use pravega_sdk_tls::{TlsConfig, TlsConnector};
use pravega_sdk_types::ErrorKind;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    time::timeout,
};

use crate::{
    common::{Authority, connect, refused, serve, server},
    texts::Table,
};

const BROKEN: &str = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
const CUT: &str = "-----BEGIN CERTIFICATE-----\nAAAA";

fn check(config: &TlsConfig) -> (Option<&'static str>, String) {
    let error = TlsConnector::new(config, None).check().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config, "{error}");
    (error.setting(), error.to_string())
}

#[test]
fn every_unusable_file_is_refused_with_its_own_text() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, content: &str| {
        let path = folder.path().join(name);
        fs::write(&path, content).unwrap();
        path
    };
    let (authority, mut table) = (Authority::new(), Table::default());
    let (one, two) = (authority.client(|_| {}), authority.client(|_| {}));
    let chain = file("chain", &one.chain_pem());
    let key = file("key", &one.key_pem());
    let trust = |path: &Path| TlsConfig::new().with_trust_file(path);
    let client =
        |chain: &Path, key: &Path| authority.trusted().with_client_certificate_files(chain, key);
    TlsConnector::new(&client(&chain, &key), None).check().unwrap();
    let both = file("both", &(one.chain_pem() + &one.key_pem()));
    TlsConnector::new(&client(&both, &both), None).check().unwrap();

    let missing = folder.path().join("missing");
    let cases = [
        (trust(&missing), "trust_store", "cannot be read: No such file"),
        (trust(folder.path()), "trust_store", "it is a folder, not a PEM file"),
        (trust(&file("empty", "")), "trust_store", "is empty"),
        (trust(&file("text", "hello")), "trust_store", "holds no PEM certificate"),
        (trust(&key), "trust_store", "holds no PEM certificate"),
        (trust(&file("broken", BROKEN)), "trust_store", "is bad"),
        (trust(&file("cut", CUT)), "trust_store", "is not PEM"),
        (client(&missing, &key), "client_certificate", "cannot be read: No such file"),
        (client(&key, &key), "client_certificate", "holds no PEM certificate"),
        (client(&chain, &missing), "client_key", "cannot be read: No such file"),
        (client(&chain, &chain), "client_key", "holds no PEM private key"),
        (client(&chain, &file("two", &two.key_pem())), "client_key", "is not that of the client"),
    ];
    for (config, setting, expected) in cases {
        let (found, text) = check(&config);
        assert_eq!(found, Some(setting), "{text}");
        table.expect(text, expected);
    }
}

#[test]
fn a_key_that_cannot_be_read_is_not_quoted() {
    let authority = Authority::new();
    let pem = "-----BEGIN PRIVATE KEY-----\nhunter2!\n-----END PRIVATE KEY-----\n".to_owned();
    let chain = authority.client(|_| {}).chain_pem();
    let config = authority.trusted().with_client_certificate_pem(chain, &pem.into());
    let (setting, text) = check(&config);
    assert_eq!(setting, Some("client_key"));
    assert!(!format!("{text} {config:?}").contains("hunter2"), "{text}");
}

#[tokio::test]
async fn replaced_files_are_used_by_the_next_handshake_and_connections_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trust.pem");
    let (old, new) = (Authority::new(), Authority::new());
    fs::write(&path, old.pem()).unwrap();
    let connector = TlsConnector::new(&TlsConfig::new().with_trust_file(&path), None);
    let old_server = serve(server(&old.server("localhost"), None)).await;
    let new_server = serve(server(&new.server("localhost"), None)).await;
    let mut before = connect(&connector, &old_server).await.unwrap();
    assert!(connect(&connector, &new_server).await.is_err());

    fs::write(&path, new.pem()).unwrap();
    connect(&connector, &new_server).await.unwrap();
    assert!(connect(&connector, &old_server).await.is_err());
    before.write_u8(9).await.unwrap();
    before.flush().await.unwrap();
    assert_eq!(before.read_u8().await.unwrap(), 9, "a connection outlives its trust store");

    // While a file is written, and after it was removed, the last good one is used.
    for half in ["", CUT, BROKEN, &new.pem()[..200]] {
        fs::write(&path, half).unwrap();
        connect(&connector, &new_server).await.unwrap();
    }
    fs::remove_file(&path).unwrap();
    connect(&connector, &new_server).await.unwrap();
    fs::write(&path, old.pem()).unwrap();
    connect(&connector, &old_server).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn handshakes_go_on_with_the_last_good_files_while_a_file_system_hangs() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trust.pem");
    let authority = Authority::new();
    fs::write(&path, authority.pem()).unwrap();
    let connector = TlsConnector::new(&TlsConfig::new().with_trust_file(&path), None);
    let endpoint = serve(server(&authority.server("localhost"), None)).await;
    connect(&connector, &endpoint).await.unwrap();
    fs::remove_file(&path).unwrap();
    // Opening it waits for a program that writes.
    let (fifo, mode) = (rustix::fs::FileType::Fifo, rustix::fs::Mode::RWXU);
    rustix::fs::mknodat(rustix::fs::CWD, &path, fifo, mode, 0).unwrap();
    for _ in 0..2 {
        let connected = timeout(Duration::from_secs(30), connect(&connector, &endpoint)).await;
        connected.expect("a handshake waits for the file").unwrap();
    }
    // Lets the thread go.
    drop(fs::OpenOptions::new().write(true).open(&path).unwrap());
}

#[tokio::test]
async fn a_client_certificate_and_its_key_rotate_one_after_the_other() {
    let folder = tempfile::tempdir().unwrap();
    let (chain, key) = (folder.path().join("chain.pem"), folder.path().join("key.pem"));
    let authority = Authority::new();
    let endpoint = serve(server(&authority.server("localhost"), Some(&authority))).await;
    let first = authority.client(|_| {});
    fs::write(&chain, first.chain_pem()).unwrap();
    fs::write(&key, first.key_pem()).unwrap();
    let config = authority.trusted().with_client_certificate_files(&chain, &key);
    let connector = TlsConnector::new(&config, None);
    connect(&connector, &endpoint).await.unwrap();
    for _ in 0..50 {
        let next = authority.client(|_| {});
        fs::write(&chain, next.chain_pem()).unwrap();
        // The new certificate with the old key is no pair, and the old pair is used.
        connect(&connector, &endpoint).await.unwrap();
        fs::write(&key, next.key_pem()).unwrap();
        connect(&connector, &endpoint).await.unwrap();
    }
    // An expired one is used too, as it is a good file, and the server says what is wrong.
    let last = authority.client(|params| params.not_after = rcgen::date_time_ymd(2002, 1, 1));
    fs::write(&chain, last.chain_pem()).unwrap();
    fs::write(&key, last.key_pem()).unwrap();
    let error = connect(&connector, &endpoint).await.err().unwrap();
    assert!(error.to_string().contains("it has expired"), "{error}");
}

#[tokio::test]
async fn a_file_that_never_was_good_is_an_error_of_the_handshake() {
    let missing = TlsConfig::new().with_trust_file("/no/such/file");
    let authority = Authority::new();
    let endpoint = serve(server(&authority.server("localhost"), None)).await;
    let error = refused(&missing, &endpoint).await;
    assert_eq!((error.kind(), error.setting()), (ErrorKind::Config, Some("trust_store")));
}
