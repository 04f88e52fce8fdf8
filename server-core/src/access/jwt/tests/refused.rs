//! Tokens that are wrong in one way each.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use proptest::prelude::*;
use serde_json::json;

use super::{
    super::{JwtRefusal, KeySet},
    signer::{
        AUDIENCE, NOW, Signer, check, check_at, claims, claims_with, claims_without, decode,
        demands, golden_key, set,
    },
};
use crate::{access::keyed::Key, record::Millis};

/// A signer whose key has the id `one`.
fn party() -> (Signer, KeySet) {
    let signer = Signer::p256();
    let keys = set(&[signer.jwk("one"), Signer::p256().jwk("other")]);
    (signer, keys)
}

fn malformed(token: &str, keys: &KeySet) -> bool {
    matches!(check(token, keys), Err(JwtRefusal::Malformed(_)))
}

#[test]
fn a_token_is_valid_from_its_first_moment_to_its_last_with_the_skew() {
    let (signer, keys) = party();
    let mut claims = claims_with("nbf", NOW + 100);
    claims["iat"] = json!(NOW + 60);
    let token = signer.token("one", &claims);
    let at = |now| check_at(&token, &keys, now).map(|_| ());
    assert_eq!(at(NOW + 29), Err(JwtRefusal::NotYetValid(Duration::from_secs(71))));
    assert_eq!(at(NOW + 69), Err(JwtRefusal::NotYetValid(Duration::from_secs(31))));
    assert_eq!(at(NOW + 70), Ok(()));
    assert_eq!(at(NOW + 329), Ok(()));
    assert_eq!(at(NOW + 330), Err(JwtRefusal::Expired(Duration::from_secs(30))));
    let token = signer.token("one", &claims_with("iat", NOW + 31));
    let issued = check(&token, &keys).unwrap_err();
    assert_eq!(issued, JwtRefusal::IssuedLater(Duration::from_secs(31)));
    assert!(check_at(&token, &keys, NOW + 1).is_ok());
    // A fraction of a second, and none of the two that may be missing.
    let mut fraction = claims_with("exp", NOW as f64 - 29.5);
    fraction.as_object_mut().unwrap().remove("iat");
    let fraction = signer.token("one", &fraction);
    assert!(demands().check(&fraction, &keys, Millis(NOW * 1000 + 499)).is_ok());
    assert!(demands().check(&fraction, &keys, Millis(NOW * 1000 + 500)).is_err());
}

#[test]
fn a_token_without_an_end_or_with_one_that_is_no_date_is_refused() {
    let (signer, keys) = party();
    let missing = check(&signer.token("one", &claims_without("exp")), &keys);
    assert_eq!(missing.unwrap_err(), JwtRefusal::Missing("exp"));
    for bad in [json!("1900000000"), json!(1e300), json!(-1e300), json!([1]), json!(true)] {
        assert!(malformed(&signer.token("one", &claims_with("exp", bad.clone())), &keys), "{bad}");
    }
    let null = check(&signer.token("one", &claims_with("exp", ())), &keys);
    assert_eq!(null.unwrap_err(), JwtRefusal::Missing("exp"));
    let huge = claims().to_string().replace(&(NOW + 300).to_string(), "1e400");
    let header = r#"{"alg":"ES256","kid":"one"}"#;
    assert!(malformed(&signer.sign_text(header, &huge), &keys));
}

#[test]
fn a_token_of_another_issuer_or_for_others_is_refused() {
    let (signer, keys) = party();
    let why = |claims| check(&signer.token("one", &claims), &keys).unwrap_err();
    assert_eq!(why(claims_without("iss")), JwtRefusal::Missing("iss"));
    assert_eq!(why(claims_without("aud")), JwtRefusal::Missing("aud"));
    for issuer in ["", "https://id.example.com/realms/shop/", "https://id.example.com/realms/Shop"]
    {
        assert!(matches!(why(claims_with("iss", issuer)), JwtRefusal::Issuer { .. }), "{issuer}");
    }
    for audience in [json!("account"), json!([]), json!(["pravega"]), json!("")] {
        let why = why(claims_with("aud", audience.clone()));
        assert!(matches!(why, JwtRefusal::Audience { .. }), "{audience}");
    }
    assert!(check(&signer.token("one", &claims_with("aud", AUDIENCE)), &keys).is_ok());
    let any = super::super::Demands { issuer: None, ..demands() };
    let token = signer.token("one", &claims_with("iss", "other"));
    assert!(any.check(&token, &keys, Millis(NOW * 1000)).is_ok());
}

#[test]
fn a_token_for_another_use_is_refused() {
    let (signer, keys) = party();
    for typ in ["ID", "Refresh", "Offline", ""] {
        let why = check(&signer.token("one", &claims_with("typ", typ)), &keys).unwrap_err();
        assert!(matches!(why, JwtRefusal::Use(_)), "{typ}");
    }
    assert!(check(&signer.token("one", &claims_without("typ")), &keys).is_ok());
    let of_type = |typ: &str| {
        let header = json!({ "alg": "ES256", "kid": "one", "typ": typ });
        check(&signer.sign_text(&header.to_string(), &claims().to_string()), &keys)
    };
    for typ in ["JWT", "jwt", "at+jwt", "application/at+jwt"] {
        assert!(of_type(typ).is_ok(), "{typ}");
    }
    for typ in ["JWE", "dpop+jwt", "", "secevent+jwt"] {
        assert!(matches!(of_type(typ), Err(JwtRefusal::Use(_))), "{typ}");
    }
}

#[test]
fn an_algorithm_without_a_key_pair_is_refused_whatever_its_signature() {
    let rsa = Signer::rsa("RS256");
    let keys = set(&[rsa.jwk("rsa")]);
    let payload = BASE64.encode(claims().to_string());
    let with = |algorithm: &str, secret: &[u8]| {
        let header = BASE64.encode(json!({ "alg": algorithm, "kid": "rsa" }).to_string());
        let signed = format!("{header}.{payload}");
        let signature = BASE64.encode(Key::new(secret).sign(&[signed.as_bytes()]));
        let refused = |token: &str| check(token, &keys).unwrap_err();
        [refused(&format!("{signed}.{signature}")), refused(&format!("{signed}."))]
    };
    let modulus = golden_key(0)["n"].as_str().unwrap().to_owned();
    let secrets = [decode(&modulus), modulus.into_bytes(), rsa.jwk("rsa").to_string().into_bytes()];
    for secret in secrets {
        for algorithm in ["HS256", "HS384", "HS512", "none", "None", "NONE", "", "rs256", "RS1"] {
            for refused in with(algorithm, &secret) {
                assert!(matches!(refused, JwtRefusal::Algorithm(_)), "{algorithm}: {refused}");
            }
        }
    }
    assert!(check(&rsa.token("rsa", &claims()), &keys).is_ok());
}

#[test]
fn a_key_is_used_with_its_own_algorithm_alone() {
    let (pkcs, pss) = (Signer::rsa("RS256"), Signer::rsa("PS256"));
    let mut jwk = pkcs.jwk("rsa");
    jwk["alg"] = "PS256".into();
    let keys = set(&[jwk]);
    assert!(check(&pss.token("rsa", &claims()), &keys).is_ok());
    assert_eq!(check(&pkcs.token("rsa", &claims()), &keys), Err(JwtRefusal::KeyOfAnother));
    let (signer, keys) = party();
    for algorithm in ["RS256", "ES384", "EdDSA"] {
        let header = json!({ "alg": algorithm, "kid": "one" }).to_string();
        let token = signer.sign_text(&header, &claims().to_string());
        assert_eq!(check(&token, &keys), Err(JwtRefusal::KeyOfAnother), "{algorithm}");
    }
}

#[test]
fn the_key_is_the_one_that_the_token_names() {
    let (signer, keys) = party();
    assert_eq!(check(&signer.token("other", &claims()), &keys), Err(JwtRefusal::Signature));
    let unknown = check(&signer.token("three", &claims()), &keys).unwrap_err();
    assert!(unknown.may_have_a_newer_key(), "{unknown}");
    assert!(!check(&signer.token("other", &claims()), &keys).unwrap_err().may_have_a_newer_key());
    let stranger = Signer::p256();
    assert_eq!(check(&stranger.token("one", &claims()), &keys), Err(JwtRefusal::Signature));
    // A key that the token brings along is none.
    let header = json!({ "alg": "ES256", "kid": "one", "jwk": stranger.jwk("one") });
    let own = stranger.sign_text(&header.to_string(), &claims().to_string());
    assert_eq!(check(&own, &keys), Err(JwtRefusal::Signature));
}

#[test]
fn a_token_without_the_id_of_a_key_is_tried_with_the_few_that_fit() {
    let signers: Vec<_> = (0..5).map(|_| Signer::p256()).collect();
    let jwks: Vec<_> =
        signers.iter().enumerate().map(|(at, signer)| signer.jwk(&at.to_string())).collect();
    let token = |signer: &Signer| signer.sign_text(r#"{"alg":"ES256"}"#, &claims().to_string());
    let mut four = vec![Signer::ed25519().jwk("fifth")];
    four.extend_from_slice(&jwks[..4]);
    let four = set(&four);
    assert!(check(&token(&signers[3]), &four).is_ok());
    assert_eq!(check(&token(&signers[4]), &four), Err(JwtRefusal::Signature));
    let five = set(&jwks);
    assert_eq!(check(&token(&signers[0]), &five), Err(JwtRefusal::AmbiguousKey(5)));
}

#[test]
fn what_is_no_token_of_the_one_form_is_refused() {
    let (signer, keys) = party();
    let good = signer.token("one", &claims());
    assert!(check(&good, &keys).is_ok());
    let parts: Vec<_> = good.split('.').collect();
    let [header, payload, signature] = parts[..] else { panic!("{good}") };
    for bad in [
        String::new(),
        ".".to_owned(),
        "..".to_owned(),
        "...".to_owned(),
        format!("{header}.{payload}"),
        format!("{good}.{signature}"),
        format!("{header}..{payload}.{signature}"),
        format!(".{good}"),
        format!(" {good}"),
        format!("{good}="),
        format!("{good}\n"),
        format!("{header}=.{payload}.{signature}"),
        format!("\u{e4}{good}"),
        good.replacen(header, &BASE64.encode("{}"), 1),
        good.replacen(header, &BASE64.encode("[]"), 1),
        good.replacen(header, &BASE64.encode(r#"["ES256","one","JWT",null]"#), 1),
        good.replacen(header, &BASE64.encode("\u{e4}"), 1),
        good.replacen(header, &BASE64.encode([0xFF]), 1),
        good.replacen(header, &BASE64.encode(r#"{"alg":["ES256"]}"#), 1),
    ] {
        assert!(malformed(&bad, &keys), "{bad:?}");
    }
    for len in 0..good.len() {
        assert!(check(&good[..len], &keys).is_err(), "{len} bytes");
    }
    let extension = r#"{"alg":"ES256","kid":"one","crit":["b64"],"b64":false}"#;
    assert!(malformed(&signer.sign_text(extension, &claims().to_string()), &keys));
}

#[test]
fn a_signature_has_one_text() {
    let (signer, keys) = party();
    let good = signer.token("one", &claims());
    // The last character of 64 bytes has four bits that no byte has.
    let (start, last) = good.split_at(good.len() - 1);
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let others = alphabet.chars().filter(|other| last != other.to_string());
    for other in others {
        assert!(check(&format!("{start}{other}"), &keys).is_err(), "{other}");
    }
}

#[test]
fn no_other_byte_at_any_place_makes_a_token_that_is_accepted() {
    let (signer, keys) = party();
    let good = signer.token("one", &claims());
    for at in 0..good.len() {
        for other in ['A', 'z', '_', '.', '='] {
            let changed = format!("{}{other}{}", &good[..at], &good[at + 1..]);
            assert!(changed == good || check(&changed, &keys).is_err(), "{other} at {at}");
        }
    }
}

proptest! {
    #[test]
    fn any_bytes_are_no_token_and_no_key_set(
        bytes in proptest::collection::vec(any::<u8>(), 0..200),
        text in "[{}\\[\\]\":,.a-z0-9]{0,60}",
    ) {
        let (_, keys) = party();
        let parts = [&*bytes, text.as_bytes()];
        for part in parts {
            KeySet::parse(part).ok();
            let header = BASE64.encode(part);
            let (token, text) = ([&*header; 3].join("."), String::from_utf8_lossy(part));
            prop_assert!(check(&token, &keys).is_err());
            prop_assert!(check(&text, &keys).is_err());
        }
    }
}

#[test]
fn a_field_or_claim_that_is_there_twice_is_refused() {
    let (signer, keys) = party();
    let header = r#"{"alg":"ES256","kid":"one"}"#;
    let text = claims().to_string();
    let twice = |claim: &str| {
        let payload = format!("{{{claim},{}", &text[1..]);
        malformed(&signer.sign_text(header, &payload), &keys)
    };
    assert!(!twice(r#""other":1,"other":2"#), "what is not read does not count");
    for claim in [
        r#""exp":9999999999"#,
        r#""iat":0"#,
        r#""iss":"x""#,
        r#""aud":"x""#,
        r#""sub":"root""#,
        r#""typ":"Bearer""#,
        r#""\u0065xp":9999999999"#,
    ] {
        assert!(twice(claim), "{claim}");
    }
    for header in [
        r#"{"alg":"none","alg":"ES256","kid":"one"}"#,
        r#"{"alg":"ES256","kid":"two","kid":"one"}"#,
    ] {
        assert!(malformed(&signer.sign_text(header, &text), &keys), "{header}");
    }
}

#[test]
fn a_long_or_deep_token_costs_little() {
    let (signer, keys) = party();
    let long = "a".repeat(1 << 20);
    let refused = check(&long, &keys);
    assert_eq!(refused, Err(JwtRefusal::TooLong { len: 1 << 20, most: 8 << 10 }));
    let longest = claims_with("other", "a".repeat(5000));
    assert!(check(&signer.token("one", &longest), &keys).is_ok());
    let deep = format!(r#"{{"alg":"ES256","kid":"one","x":{}"#, "[".repeat(4000));
    assert!(malformed(&signer.sign_text(&deep, "{}"), &keys));
    let dots = ".".repeat(8 << 10);
    assert!(malformed(&dots, &keys));
}

#[test]
fn names_may_be_of_any_script_and_a_name_of_another_type_is_refused() {
    let (signer, keys) = party();
    let user =
        |claims| check(&signer.token("one", &claims), &keys).map(|it| it.user().map(str::to_owned));
    assert_eq!(user(claims_with("sub", "\u{e4}nn \u{4e2d}")), Ok(Some("\u{e4}nn \u{4e2d}".into())));
    assert_eq!(user(claims_with("sub", "")), Ok(None));
    assert_eq!(user(claims_without("sub")), Ok(None));
    assert!(matches!(user(claims_with("sub", 7)), Err(JwtRefusal::Malformed(_))));
    let by_name = super::super::Demands { user_claim: "preferred_username".into(), ..demands() };
    let token = signer.token("one", &claims());
    let checked = by_name.check(&token, &keys, Millis(NOW * 1000)).unwrap();
    assert_eq!(checked.user(), Some("Ann"));
}

#[test]
fn a_reason_for_the_log_is_short_and_forges_no_line() {
    let (signer, keys) = party();
    let evil = format!("x\n\u{1b}[31m{}", "y".repeat(2000));
    let mut reasons = vec![check(&signer.token(&evil, &claims()), &keys).unwrap_err()];
    for header in [
        json!({ "alg": evil.clone(), "kid": "one" }),
        json!({ "alg": "ES256", "kid": "one", "typ": evil.clone() }),
        json!({ "alg": "ES256", "kid": [evil.clone()] }),
        json!({ evil.clone(): 1 }),
    ] {
        let token = signer.sign_text(&header.to_string(), &claims().to_string());
        reasons.push(check(&token, &keys).unwrap_err());
    }
    for name in ["iss", "aud", "typ", "exp"] {
        let token = signer.token("one", &claims_with(name, evil.clone()));
        reasons.push(check(&token, &keys).unwrap_err());
    }
    for reason in reasons {
        let text = reason.to_string();
        assert!(text.len() < 300 && !text.contains(['\n', '\u{1b}']), "{text}");
    }
}
