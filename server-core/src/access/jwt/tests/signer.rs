//! A party that signs tokens.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use ring::{
    rand::SystemRandom,
    rsa::{KeyPair as RsaKeyPair, KeyPairComponents, PublicKeyComponents},
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair,
        EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256, RSA_PSS_SHA256,
    },
};
use serde_json::{Value, json};

use super::super::{Checked, Demands, JwtRefusal, KeySet};
use crate::record::Millis;

/// The present of the tests, in seconds since 1970.
pub(super) const NOW: i64 = 1_800_000_000;
pub(super) const ISSUER: &str = "https://id.example.com/realms/shop";
pub(super) const AUDIENCE: &str = "pravega-controller";

/// The private parts of the RSA key of RFC 7515, A.2, whose public part is in `keys.json`.
const RSA: [&str; 6] = [
    "Eq5xpGnNCivDflJsRQBXHx1hdR1k6Ulwe2JZD50LpXyWPEAeP88vLNO97IjlA7_GQ5sLKMgvfTeXZx9SE-7YwVol\
     2NXOoAJe46sui395IW_GO-pWJ1O0BkTGoVEn2bKVRUCgu-GjBVaYLU6f3l9kJfFNS3E0QbVdxzubSu3Mkqzjkn43\
     9X0M_V51gfpRLI9JYanrC4D4qAdGcopV_0ZHHzQlBjudU2QvXt4ehNYTCBr6XCLQUShb1juUO1ZdiYoFaFQT5Tw8\
     bGUl_x_jTj3ccPDVZFD9pIuhLhBOneufuBiB4cS98l2SR_RQyGWSeWjnczT0QU91p1DhOVRuOopznQ",
    "4BzEEOtIpmVdVEZNCqS7baC4crd0pqnRH_5IB3jw3bcxGn6QLvnEtfdUdiYrqBdss1l58BQ3KhooKeQTa9AB0Hw_\
     Py5PJdTJNPY8cQn7ouZ2KKDcmnPGBY5t7yLc1QlQ5xHdwW1VhvKn-nXqhJTBgIPgtldC-KDV5z-y2XDwGUc",
    "uQPEfgmVtjL0Uyyx88GZFF1fOunH3-7cepKmtH4pxhtCoHqpWmT8YAmZxaewHgHAjLYsp1ZSe7zFYHj7C6ul7Tje\
     LQeZD_YwD66t62wDmpe_HlB-TnBA-njbglfIsRLtXlnDzQkv5dTltRJ11BKBBypeeF6689rjcJIDEz9RWdc",
    "BwKfV3Akq5_MFZDFZCnW-wzl-CCo83WoZvnLQwCTeDv8uzluRSnm71I3QCLdhrqE2e9YkxvuxdBfpT_PI7Yz-FOK\
     nu1R6HsJeDCjn12Sk3vmAktV2zb34MCdy7cpdTh_YVr7tss2u6vneTwrA86rZtu5Mbr1C1XsmvkxHQAdYo0",
    "h_96-mK1R_7glhsum81dZxjTnYynPbZpHziZjeeHcXYsXaaMwkOlODsWa7I9xXDoRwbKgB719rrmI2oKr6N3Do9U\
     0ajaHF-NKJnwgjMd2w9cjz3_-kyNlxAr2v4IKhGNpmM5iIgOS1VZnOZ68m6_pbLBSp3nssTdlqvd0tIiTHU",
    "IYd7DHOhrWvxkwPQsRM2tOgrjbcrfvtQJipd-DlcxyVuuM9sQLdgjVk2oy26F0EmpScGLq2MowX7fhd_QJQ3ydy5\
     cY7YIBi87w93IKLEdfnbJtoOPLUW0ITrJReOgo1cq9SbsxYawBgfp_gh6A5603k2-ZQwVK0JKSHuLFkuQ3U",
];

pub(super) fn decode(text: &str) -> Vec<u8> {
    BASE64.decode(text).unwrap()
}

/// A key pair, and the algorithm that it signs with.
pub(super) enum Signer {
    Rsa(RsaKeyPair, &'static str),
    Ecdsa(EcdsaKeyPair, &'static str),
    Ed25519(Ed25519KeyPair),
}

impl Signer {
    pub(super) fn rsa(algorithm: &'static str) -> Self {
        let modulus = golden_key(0)["n"].as_str().map(decode).unwrap();
        let [d, p, q, dp, dq, qi] = RSA.map(decode);
        let components = KeyPairComponents {
            public_key: PublicKeyComponents { n: modulus, e: vec![1, 0, 1] },
            d,
            p,
            q,
            dP: dp,
            dQ: dq,
            qInv: qi,
        };
        Self::Rsa(RsaKeyPair::from_components(&components).unwrap(), algorithm)
    }

    pub(super) fn p256() -> Self {
        Self::Ecdsa(ecdsa(&ECDSA_P256_SHA256_FIXED_SIGNING), "ES256")
    }

    pub(super) fn p384() -> Self {
        Self::Ecdsa(ecdsa(&ECDSA_P384_SHA384_FIXED_SIGNING), "ES384")
    }

    pub(super) fn ed25519() -> Self {
        let pair = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
        Self::Ed25519(Ed25519KeyPair::from_pkcs8(pair.as_ref()).unwrap())
    }

    pub(super) fn algorithm(&self) -> &'static str {
        match self {
            Self::Rsa(_, algorithm) | Self::Ecdsa(_, algorithm) => algorithm,
            Self::Ed25519(_) => "EdDSA",
        }
    }

    /// The public key as a set has it.
    pub(super) fn jwk(&self, id: &str) -> Value {
        let encode = |bytes: &[u8]| BASE64.encode(bytes);
        let mut jwk = match self {
            Self::Rsa(..) => golden_key(0),
            Self::Ecdsa(pair, algorithm) => {
                let (x, y) = pair.public_key().as_ref()[1..]
                    .split_at((pair.public_key().as_ref().len() - 1) / 2);
                let curve = if *algorithm == "ES256" { "P-256" } else { "P-384" };
                json!({ "kty": "EC", "crv": curve, "x": encode(x), "y": encode(y) })
            }
            Self::Ed25519(pair) => {
                let x = encode(pair.public_key().as_ref());
                json!({ "kty": "OKP", "crv": "Ed25519", "x": x })
            }
        };
        jwk["kid"] = id.into();
        jwk
    }

    fn sign(&self, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match self {
            Self::Rsa(pair, algorithm) => {
                let encoding: &dyn ring::signature::RsaEncoding =
                    if *algorithm == "RS256" { &RSA_PKCS1_SHA256 } else { &RSA_PSS_SHA256 };
                let mut signature = vec![0; pair.public().modulus_len()];
                pair.sign(encoding, &random, message, &mut signature).unwrap();
                signature
            }
            Self::Ecdsa(pair, _) => pair.sign(&random, message).unwrap().as_ref().to_vec(),
            Self::Ed25519(pair) => pair.sign(message).as_ref().to_vec(),
        }
    }

    /// Signs texts of a header and a payload as they are.
    pub(super) fn sign_text(&self, header: &str, payload: &str) -> String {
        let signed = format!("{}.{}", BASE64.encode(header), BASE64.encode(payload));
        let signature = self.sign(signed.as_bytes());
        format!("{signed}.{}", BASE64.encode(signature))
    }

    /// A token with an id of its key.
    pub(super) fn token(&self, id: &str, claims: &Value) -> String {
        let header = json!({ "alg": self.algorithm(), "typ": "JWT", "kid": id });
        self.sign_text(&header.to_string(), &claims.to_string())
    }
}

fn ecdsa(algorithm: &'static EcdsaSigningAlgorithm) -> EcdsaKeyPair {
    let random = SystemRandom::new();
    let pair = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
    EcdsaKeyPair::from_pkcs8(algorithm, pair.as_ref(), &random).unwrap()
}

pub(super) fn golden_key(index: usize) -> Value {
    let keys: Value = serde_json::from_str(include_str!("keys.json")).unwrap();
    keys["keys"][index].clone()
}

/// A set of keys that are all used.
pub(super) fn set(keys: &[Value]) -> KeySet {
    let (set, skipped) = KeySet::parse(json!({ "keys": keys }).to_string().as_bytes()).unwrap();
    assert_eq!(skipped, []);
    set
}

/// Claims that are right.
pub(super) fn claims() -> Value {
    json!({
        "iss": ISSUER,
        "aud": ["account", AUDIENCE],
        "sub": "ann",
        "preferred_username": "Ann",
        "exp": NOW + 300,
        "iat": NOW,
        "typ": "Bearer",
    })
}

/// Right claims, with another value of one.
pub(super) fn claims_with(name: &str, value: impl Into<Value>) -> Value {
    let mut claims = claims();
    claims[name] = value.into();
    claims
}

pub(super) fn claims_without(name: &str) -> Value {
    let mut claims = claims();
    claims.as_object_mut().unwrap().remove(name).unwrap();
    claims
}

pub(super) fn demands() -> Demands {
    Demands {
        audience: AUDIENCE.to_owned(),
        issuer: Some(ISSUER.to_owned()),
        skew: std::time::Duration::from_secs(30),
        user_claim: "sub".to_owned(),
    }
}

pub(super) fn check(token: &str, keys: &KeySet) -> Result<Checked, JwtRefusal> {
    check_at(token, keys, NOW)
}

pub(super) fn check_at(token: &str, keys: &KeySet, now: i64) -> Result<Checked, JwtRefusal> {
    demands().check(token, keys, Millis(now * 1000))
}
