//! No copy of a secret is left in memory after its last use.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)]

#[path = "common/canary.rs"]
mod canary;

use secrecy::ExposeSecret as _;

use self::canary::Canary;

#[test]
fn the_content_of_a_file_is_zeroed_when_it_is_dropped_and_a_plain_copy_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let (canary, path) = (Canary::new(), folder.path().join("secret"));
    canary.write(&path);
    assert_eq!(canary.copies(), 0);
    let content = pravega_sdk_secret_file::read(&path).unwrap();
    assert_eq!(canary.copies(), 1, "one, and nothing of its reading");
    // The search finds what is freed without being zeroed.
    drop(content.expose_secret().to_vec());
    assert_eq!(canary.copies(), 2);
    drop(content);
    assert_eq!(canary.copies(), 1);
}
