//! The tests of the suite under watch: a server with an account, and every log scanned.
//!
//! `PRAVEGA_TEST_CANARIES=1` switches it on. The server that the tests share then has an account
//! and a key for tokens, and their clients its password. A leak ends the process at once, because
//! the test in which it occurs cannot know of it.

use std::{collections::BTreeMap, sync::OnceLock};

use pravega_sdk_client_factory::ClientConfig;
use pravega_sdk_controller_client::Credentials;
use pravega_sdk_server::ServerBuilder;

use super::{Canary, Reaction, Scanner, watch};

const USER: &str = "ann";
/// The password of the account.
const PASSWORD: &str = "canary: 7hU\"&%=+/pW4 of the suite";
/// The key that signs delegation tokens.
const KEY: &[u8] = b"canary+of/the=suite:0123456789abcdefghijklmnopqrstuvw";
/// What begins every delegation token of the embedded server: its header, and the first claim.
pub const TOKEN: &str = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJz";

static SCANNER: OnceLock<Scanner> = OnceLock::new();

/// Returns true if the tests are watched.
pub fn is_on() -> bool {
    std::env::var_os("PRAVEGA_TEST_CANARIES").is_some()
}

/// The server of the tests: one with an account whose secrets are canaries, if they are watched.
pub fn secured(builder: ServerBuilder) -> ServerBuilder {
    if !is_on() {
        return builder;
    }
    begin();
    builder.with_account(USER, PASSWORD).with_token_key(KEY)
}

/// A client of that server.
///
/// # Panics
///
/// If the credentials are none, which they are.
pub fn account(config: ClientConfig) -> ClientConfig {
    if is_on() {
        config.with_credentials(Credentials::basic(USER, PASSWORD).unwrap())
    } else {
        config
    }
}

/// Returns how many bytes of the log were scanned, by crate.
pub fn scanned() -> BTreeMap<String, usize> {
    SCANNER.get().map(Scanner::seen).unwrap_or_default()
}

/// Begins to watch, once.
fn begin() {
    let canaries = [
        Canary::new("the password", PASSWORD),
        Canary::new("the key of tokens", KEY),
        Canary::new("a delegation token", TOKEN),
    ];
    let scanner = Scanner::new(&canaries).with_reaction(Reaction::EndOfProcess);
    watch(SCANNER.get_or_init(|| scanner));
}
