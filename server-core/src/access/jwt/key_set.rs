//! The public keys of a party that signs tokens: a JWK set, RFC 7517 and RFC 7518, 6.
//!
//! A set may have keys that no token is checked with: of unknown kinds, or for encryption. They are
//! left out, each with a reason for the log.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256,
    RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512, RSA_PSS_2048_8192_SHA256,
    RSA_PSS_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512, RsaPublicKeyComponents, UnparsedPublicKey,
    VerificationAlgorithm,
};
use serde::{Deserialize, de::IgnoredAny};
use serde_json::Value;

use super::{
    algorithm::{Algorithm, Kind},
    compact::Compact,
    refusal::{JwtRefusal, place, shown},
};

/// The longest text of a set, in bytes.
pub const MOST_BYTES: usize = 256 << 10;
/// The most keys of a set.
const MOST_KEYS: usize = 100;
/// The most keys that are tried for a token that names none.
const MOST_TRIED: usize = 4;
/// The lengths of RSA keys, in bits, with which ring checks signatures.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;
/// The longest exponent of an RSA key that ring takes: 33 bits.
const LONGEST_EXPONENT: u64 = (1 << 33) - 1;

/// The public keys of a party that signs tokens.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct KeySet(Vec<PublicKey>);

/// A key that is not used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SkippedKey {
    /// Its place in the set, from 1.
    pub number: usize,
    /// The reason.
    pub why: String,
}

/// A text that is no key set.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("it is no JWK set: {0}")]
pub struct KeySetProblem(String);

#[derive(Clone, PartialEq, Eq)]
struct PublicKey {
    id: Option<String>,
    /// The only algorithm that it is for, if the set says so.
    algorithm: Option<Algorithm>,
    material: Material,
}

#[derive(Clone, PartialEq, Eq)]
enum Material {
    Rsa {
        modulus: Vec<u8>,
        exponent: Vec<u8>,
    },
    /// A point in the uncompressed form.
    P256(Vec<u8>),
    P384(Vec<u8>),
    Ed25519(Vec<u8>),
}

impl fmt::Debug for KeySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("KeySet").field(&self.0.len()).finish()
    }
}

/// A set, as its text has it.
#[derive(Deserialize)]
struct SetText {
    keys: Vec<Value>,
}

/// What is read of a key.
#[derive(Deserialize)]
struct KeyText {
    kty: String,
    kid: Option<String>,
    #[serde(rename = "use")]
    purpose: Option<String>,
    key_ops: Option<Vec<String>>,
    alg: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
    /// The private part.
    d: Option<IgnoredAny>,
}

impl KeySet {
    /// Reads a set, and returns the keys that are not used beside it.
    ///
    /// # Errors
    ///
    /// [`KeySetProblem`] if the text is too long or none of a set, or there are too many keys.
    pub fn parse(text: &[u8]) -> Result<(Self, Vec<SkippedKey>), KeySetProblem> {
        if text.len() > MOST_BYTES {
            return Err(KeySetProblem(format!("it has more than {MOST_BYTES} bytes")));
        }
        let SetText { keys } =
            serde_json::from_slice(text).map_err(|error| KeySetProblem(place(&error)))?;
        if keys.len() > MOST_KEYS {
            let found = keys.len();
            return Err(KeySetProblem(format!("it has {found} keys, more than {MOST_KEYS}")));
        }
        let (mut set, mut skipped) = (Self::default(), Vec::new());
        for (index, key) in keys.into_iter().enumerate() {
            if let Err(why) = PublicKey::parse(key).and_then(|key| set.add(key)) {
                skipped.push(SkippedKey { number: index + 1, why });
            }
        }
        Ok((set, skipped))
    }

    /// The number of keys.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns true if no token can be checked.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn add(&mut self, key: PublicKey) -> Result<(), String> {
        let is_same = |other: &PublicKey| {
            other.id.is_some() && other.id == key.id && other.kind() == key.kind()
        };
        if self.0.iter().any(is_same) {
            return Err("a key before it has its id".to_owned());
        }
        self.0.push(key);
        Ok(())
    }

    /// Checks the signature of a token.
    pub(super) fn check(&self, token: &Compact<'_>) -> Result<(), JwtRefusal> {
        let fits = |key: &&PublicKey| key.is_for(token.algorithm);
        let keys: Vec<&PublicKey> = match &token.key_id {
            Some(id) => {
                let has_id = |key: &&PublicKey| key.id.as_ref() == Some(id);
                if !self.0.iter().any(|key| has_id(&key)) {
                    return Err(JwtRefusal::UnknownKey(shown(id)));
                }
                self.0.iter().filter(has_id).filter(fits).collect()
            }
            None => self.0.iter().filter(fits).collect(),
        };
        match keys.len() {
            0 => return Err(JwtRefusal::KeyOfAnother),
            len if len > MOST_TRIED => return Err(JwtRefusal::AmbiguousKey(len)),
            _ => {}
        }
        let is_right = keys.iter().any(|key| key.has_signed(token));
        if is_right { Ok(()) } else { Err(JwtRefusal::Signature) }
    }
}

impl PublicKey {
    fn parse(key: Value) -> Result<Self, String> {
        // An error of the library may show a part of a private key.
        let key: KeyText =
            serde_json::from_value(key).map_err(|_| "its fields are not those of a key")?;
        if key.d.is_some() {
            return Err("it is a private key, which others must not have".to_owned());
        }
        if key.purpose.as_ref().is_some_and(|purpose| purpose != "sig") {
            return Err("it is not for signatures".to_owned());
        }
        let is_verify = |operation: &String| operation == "verify";
        if key.key_ops.as_ref().is_some_and(|operations| !operations.iter().any(is_verify)) {
            return Err("it is not for checking signatures".to_owned());
        }
        let material = key.material()?;
        let algorithm = match &key.alg {
            Some(name) => {
                let found = Algorithm::of(name).filter(|found| found.kind() == material.kind());
                Some(found.ok_or_else(|| format!("it is not for its algorithm {}", shown(name)))?)
            }
            None => None,
        };
        Ok(Self { id: key.kid, algorithm, material })
    }

    fn kind(&self) -> Kind {
        self.material.kind()
    }

    /// Returns true if the key is for an algorithm. A token never chooses what a key is used for.
    fn is_for(&self, algorithm: Algorithm) -> bool {
        match self.algorithm {
            Some(own) => own == algorithm,
            None => self.kind() == algorithm.kind(),
        }
    }

    /// Returns true if the signature of a token is one of this key, which is for its algorithm.
    fn has_signed(&self, token: &Compact<'_>) -> bool {
        let (message, signature) = (token.signed.as_bytes(), &*token.signature);
        let checked = match (&self.material, token.algorithm) {
            (Material::Rsa { modulus, exponent }, algorithm) => {
                let parameters = match algorithm {
                    Algorithm::Rs256 => &RSA_PKCS1_2048_8192_SHA256,
                    Algorithm::Rs384 => &RSA_PKCS1_2048_8192_SHA384,
                    Algorithm::Rs512 => &RSA_PKCS1_2048_8192_SHA512,
                    Algorithm::Ps256 => &RSA_PSS_2048_8192_SHA256,
                    Algorithm::Ps384 => &RSA_PSS_2048_8192_SHA384,
                    Algorithm::Ps512 => &RSA_PSS_2048_8192_SHA512,
                    Algorithm::Es256 | Algorithm::Es384 | Algorithm::EdDsa => return false,
                };
                let key = RsaPublicKeyComponents { n: &**modulus, e: &**exponent };
                key.verify(parameters, message, signature)
            }
            (Material::P256(key), Algorithm::Es256) => {
                verify(&ECDSA_P256_SHA256_FIXED, key, message, signature)
            }
            (Material::P384(key), Algorithm::Es384) => {
                verify(&ECDSA_P384_SHA384_FIXED, key, message, signature)
            }
            (Material::Ed25519(key), Algorithm::EdDsa) => verify(&ED25519, key, message, signature),
            _ => return false,
        };
        checked.is_ok()
    }
}

fn verify(
    algorithm: &'static dyn VerificationAlgorithm,
    key: &[u8],
    message: &[u8],
    signature: &[u8],
) -> Result<(), ring::error::Unspecified> {
    UnparsedPublicKey::new(algorithm, key).verify(message, signature)
}

impl Material {
    fn kind(&self) -> Kind {
        match self {
            Self::Rsa { .. } => Kind::Rsa,
            Self::P256(_) => Kind::P256,
            Self::P384(_) => Kind::P384,
            Self::Ed25519(_) => Kind::Ed25519,
        }
    }
}

impl KeyText {
    fn material(&self) -> Result<Material, String> {
        let curve = self.crv.as_deref();
        match (&*self.kty, curve) {
            ("RSA", _) => self.rsa(),
            ("EC", Some("P-256")) => Ok(Material::P256(self.point(32)?)),
            ("EC", Some("P-384")) => Ok(Material::P384(self.point(48)?)),
            ("OKP", Some("Ed25519")) => Ok(Material::Ed25519(coordinate(&self.x, 32)?)),
            ("EC" | "OKP", curve) => {
                Err(format!("its curve {} is not used", shown(curve.unwrap_or_default())))
            }
            // A shared secret in a set of public keys is one that everyone knows.
            ("oct", _) => Err("it is a shared secret".to_owned()),
            (other, _) => Err(format!("its kind {} is not used", shown(other))),
        }
    }

    fn rsa(&self) -> Result<Material, String> {
        let (n, e) = (number(&self.n)?, number(&self.e)?);
        let bits = n.first().map_or(0, |first| n.len() * 8 - first.leading_zeros() as usize);
        if !RSA_BITS.contains(&bits) || n.last().is_none_or(|last| last % 2 == 0) {
            let (least, most) = (RSA_BITS.start(), RSA_BITS.end());
            return Err(format!("it has {bits} bits, or is none; {least} to {most} are used"));
        }
        let value = (e.len() <= 8)
            .then(|| e.iter().fold(0_u64, |value, byte| (value << 8) | u64::from(*byte)));
        match value {
            Some(value) if value >= 3 && value % 2 == 1 && value <= LONGEST_EXPONENT => {
                Ok(Material::Rsa { modulus: n, exponent: e })
            }
            _ => Err("its exponent is none that is used".to_owned()),
        }
    }

    /// A point in the uncompressed form: SEC 1, 2.3.3.
    fn point(&self, len: usize) -> Result<Vec<u8>, String> {
        let (x, y) = (coordinate(&self.x, len)?, coordinate(&self.y, len)?);
        Ok([&[4], &*x, &*y].concat())
    }
}

fn bytes(text: &Option<String>) -> Result<Vec<u8>, String> {
    let text = text.as_ref().ok_or("a part of it is missing")?;
    BASE64.decode(text).map_err(|_| "a part of it is no Base64".to_owned())
}

/// A number. Some write a zero byte in front of it.
fn number(text: &Option<String>) -> Result<Vec<u8>, String> {
    let bytes = bytes(text)?;
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    Ok(bytes.get(zeros..).unwrap_or_default().to_vec())
}

/// A part of a point: RFC 7518, 6.2.1.2, with its full length.
fn coordinate(text: &Option<String>, len: usize) -> Result<Vec<u8>, String> {
    let bytes = bytes(text)?;
    if bytes.len() != len {
        return Err(format!("a part of it has {} bytes, not {len}", bytes.len()));
    }
    Ok(bytes)
}
