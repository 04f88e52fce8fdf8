//! Key sets: what is used of them, and what is not.

use serde_json::{Value, json};

use super::{
    super::{KeySet, MOST_BYTES},
    signer::{Signer, check, claims, golden_key, set},
};

/// The key of RFC 7515, with other values of some fields.
fn rsa(fields: &[(&str, Value)]) -> Value {
    let mut key = golden_key(0);
    for (name, value) in fields {
        key[*name] = value.clone();
    }
    key
}

/// Why a key is not used.
fn why(key: Value) -> String {
    let (set, skipped) = KeySet::parse(json!({ "keys": [key] }).to_string().as_bytes()).unwrap();
    assert!(set.is_empty(), "{skipped:?}");
    skipped[0].why.clone()
}

#[test]
fn the_set_of_a_realm_has_keys_for_other_uses_which_are_left_out() {
    let (signer, next) = (Signer::rsa("RS256"), Signer::p256());
    let keys = json!({ "keys": [
        // As Keycloak publishes them, with the certificate.
        {
            "kid": "enc", "kty": "RSA", "alg": "RSA-OAEP", "use": "enc", "n": "AQ", "e": "AQAB",
            "x5c": ["MIICmzCCAYMCBgF4"], "x5t": "IYIeevIT57t8ppUejM42Bqx6f3I",
        },
        rsa(&[("kid", "old".into()), ("alg", "RS256".into()), ("x5c", json!(["MIIC"]))]),
        { "kty": "AKP", "kid": "later", "alg": "ML-DSA-44", "pub": "AQ" },
        next.jwk("new"),
        "no key",
    ] });
    let (set, skipped) = KeySet::parse(keys.to_string().as_bytes()).unwrap();
    assert_eq!(set.len(), 2);
    assert_eq!(skipped.iter().map(|key| key.number).collect::<Vec<_>>(), [1, 3, 5]);
    assert!(check(&signer.token("old", &claims()), &set).is_ok());
    assert!(check(&next.token("new", &claims()), &set).is_ok());
    assert_eq!(format!("{set:?}"), "KeySet(2)");
}

#[test]
fn a_key_that_must_not_be_used_is_left_out_with_the_reason() {
    let text = |text: &str| Value::from(text);
    let short = text("_w".repeat(84).as_str());
    let even = golden_key(0)["n"].as_str().unwrap().replace("uXpoQ", "uXpoA");
    let point = Signer::p256().jwk("x");
    let with = |mut key: Value, name: &str, value: Value| {
        key[name] = value;
        key
    };
    for (key, expected) in [
        (rsa(&[("d", text("AQ"))]), "private key"),
        (rsa(&[("use", text("enc"))]), "not for signatures"),
        (rsa(&[("key_ops", json!(["encrypt"]))]), "not for checking"),
        (rsa(&[("alg", text("HS256"))]), "not for its algorithm"),
        (rsa(&[("alg", text("ES256"))]), "not for its algorithm"),
        (rsa(&[("alg", text("none"))]), "not for its algorithm"),
        (rsa(&[("kty", text("oct")), ("k", text("c2VjcmV0"))]), "shared secret"),
        (rsa(&[("kty", text("other"))]), "kind \"other\""),
        (rsa(&[("n", short)]), "bits"),
        (rsa(&[("n", text(&even))]), "bits"),
        (rsa(&[("n", text(""))]), "bits"),
        (rsa(&[("n", Value::Null)]), "missing"),
        (rsa(&[("n", text("!"))]), "Base64"),
        (rsa(&[("n", json!(7))]), "fields"),
        (rsa(&[("e", text("AQ"))]), "exponent"),
        (rsa(&[("e", text("BA"))]), "exponent"),
        (rsa(&[("e", text("AQAAAAAAAAAB"))]), "exponent"),
        (with(point.clone(), "crv", text("secp256k1")), "curve"),
        (with(point.clone(), "crv", text("P-384")), "bytes"),
        (with(point.clone(), "y", text("AQ")), "bytes"),
        (with(point.clone(), "kty", text("OKP")), "curve"),
        (json!([]), "fields"),
        (json!({}), "fields"),
    ] {
        let why = why(key.clone());
        assert!(why.contains(expected), "{why} of {key}");
        assert!(!why.contains("c2VjcmV0"), "{why}");
    }
    let skipped =
        |keys: [Value; 2]| KeySet::parse(json!({ "keys": keys }).to_string().as_bytes()).unwrap().1;
    let twice = skipped([Signer::p256().jwk("a"), Signer::p256().jwk("a")]);
    assert_eq!(twice.len(), 1, "{twice:?}");
    assert_eq!(skipped([Signer::p256().jwk("a"), rsa(&[("kid", text("a"))])]), []);
}

#[test]
fn a_key_with_zeros_in_front_is_the_same() {
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};

    let padded = |name: &str| {
        let number = super::signer::decode(golden_key(0)[name].as_str().unwrap());
        Value::from(BASE64.encode([&[0, 0], &*number].concat()))
    };
    let key = rsa(&[("n", padded("n")), ("e", padded("e"))]);
    assert!(check(&Signer::rsa("RS256").token("rsa", &claims()), &set(&[key])).is_ok());
}

#[test]
fn a_text_that_is_no_set_or_too_long_is_refused_without_any_of_it() {
    for bad in ["", "secret", "\"secret\"", "{}", "[]", r#"{"keys":"secret"}"#, r#"{"keys":{}}"#] {
        let problem = KeySet::parse(bad.as_bytes()).unwrap_err().to_string();
        assert!(!problem.contains("secret"), "{problem}");
    }
    let key = golden_key(0);
    let many = |len: usize| json!({ "keys": vec![key.clone(); len] }).to_string();
    assert_eq!(KeySet::parse(many(100).as_bytes()).unwrap().0.len(), 1);
    assert!(KeySet::parse(many(101).as_bytes()).is_err());
    let long = format!(r#"{{"keys":[]{}}}"#, " ".repeat(MOST_BYTES));
    assert!(KeySet::parse(long.as_bytes()).is_err());
    let deep = format!(r#"{{"keys":[{}"#, "[".repeat(100_000));
    assert!(KeySet::parse(deep.as_bytes()).is_err());
    let (none, _) = KeySet::parse(br#"{"keys":[]}"#).unwrap();
    assert!(none.is_empty());
}
