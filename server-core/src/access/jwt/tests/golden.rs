//! Tokens of RFC 7515 (A.2, A.3) and RFC 8037 (A.4), and of pyca/cryptography 48.

use super::{
    super::{JwtRefusal, compact::Compact},
    signer::{Signer, check, claims, golden_key, set},
};

fn tokens() -> Vec<(&'static str, &'static str)> {
    include_str!("tokens.txt").lines().map(|line| line.split_once(' ').unwrap()).collect()
}

#[test]
fn signatures_of_other_implementations_are_right_and_changed_ones_are_wrong() {
    let keys = set(&[0, 1, 2, 3].map(golden_key));
    let signature = |token: &str| keys.check(&Compact::parse(token).unwrap());
    assert_eq!(tokens().len(), 9);
    for (algorithm, token) in tokens() {
        assert_eq!(signature(token), Ok(()), "{algorithm}");
        // A change of the payload, and one of the signature.
        for at in [token.find('.').unwrap() + 5, token.rfind('.').unwrap() + 5] {
            let other = if token.as_bytes()[at] == b'A' { "B" } else { "A" };
            let changed = format!("{}{other}{}", &token[..at], &token[at + 1..]);
            assert_eq!(signature(&changed), Err(JwtRefusal::Signature), "{algorithm} at {at}");
        }
    }
}

#[test]
fn every_algorithm_is_accepted_with_its_key() {
    let signers = [
        Signer::rsa("RS256"),
        Signer::rsa("PS256"),
        Signer::p256(),
        Signer::p384(),
        Signer::ed25519(),
    ];
    for signer in signers {
        let keys = set(&[signer.jwk("one")]);
        let checked = check(&signer.token("one", &claims()), &keys).unwrap();
        assert_eq!(checked.user(), Some("ann"), "{}", signer.algorithm());
        let stranger = Signer::p256();
        let forged = stranger.token("one", &claims());
        assert!(check(&forged, &keys).is_err(), "{}", signer.algorithm());
    }
}
