//! The story of a password of any characters, for any server with accounts.

use pravega_sdk_client_factory::{ClientConfig, ClientFactory};
use pravega_sdk_controller_client::Credentials;
use pravega_sdk_types::{ErrorKind, Scope};

/// The password of the account `odd`, which `SecureFiles.java` has too.
pub const ODD: &str = "pass:w\u{f6}rd \u{2615}\u{1f600}:";

/// Requires that the account `odd`, which may read, is let in by its password and by nothing that
/// is like it.
///
/// # Panics
///
/// If it is not.
pub async fn a_password_may_have_any_characters(config: ClientConfig) {
    let ask = async |user: &str, password: &str| {
        let credentials = Credentials::basic(user, password).unwrap();
        let factory = ClientFactory::new(config.clone().with_credentials(credentials)).unwrap();
        let exists = factory.controller().scope_exists(&Scope::new("any").unwrap()).await;
        exists.map_err(|error| (error.kind(), error.attempts()))
    };
    assert_eq!(ask("odd", ODD).await, Ok(false));
    // The first colon ends the name of the user, so this is the same account.
    let (start, rest) = ODD.split_once(':').unwrap();
    assert_eq!(ask(&format!("odd:{start}"), rest).await, Ok(false));
    for wrong in [
        "",
        "pass",
        "pass:",
        &ODD[..ODD.len() - 1],
        &format!("{ODD} "),
        // The same letter in another form, and without its mark.
        &ODD.replace('\u{f6}', "o\u{308}"),
        &ODD.replace('\u{f6}', "o"),
        // What Latin-1 and UTF-16 make of it.
        &ODD.replace('\u{f6}', "\u{c3}\u{b6}"),
        &ODD.replace('\u{1f600}', "\u{fffd}"),
    ] {
        assert_eq!(ask("odd", wrong).await, Err((ErrorKind::Unauthenticated, 1)), "{wrong}");
    }
}
