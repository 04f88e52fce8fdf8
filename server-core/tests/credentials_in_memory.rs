//! No copy of a client's password is left in the memory of the server after it was checked.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)]

#[path = "../../secret-file/tests/common/canary.rs"]
mod canary;

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use pravega_sdk_server_core::access::{Account, Accounts, Credentials};

use self::canary::Canary;

/// The header of a user with the secret as the password. The copy that is encoded is overwritten.
fn header(canary: &Canary) -> String {
    let mut pair = canary.text_after("ann:", 0).into_bytes();
    let header = format!("Basic {}", BASE64.encode(&pair));
    pair.fill(0);
    std::hint::black_box(&pair);
    header
}

#[test]
fn the_password_of_a_header_and_that_of_an_account_are_zeroed() {
    let canary = Canary::new();
    let header = header(&canary);
    assert_eq!(canary.copies(), 0);
    let credentials = Credentials::from_header(&header).unwrap();
    assert!(canary.copies() > 0);
    let line = Account::line("bob", "another", b"salt", "prn::/,READ");
    let (mut accounts, _) = Accounts::parse(&line);
    for user in ["ann", "eve"] {
        accounts.add(Account::new(user, "another"));
    }
    assert!(accounts.check(&credentials).is_none());
    credentials.fingerprint(b"a secret of the process");
    drop(credentials.clone());
    drop(credentials);
    assert_eq!(canary.copies(), 0);
}
