//! The compact form of a signed token: RFC 7515, 7.1. Header, payload and signature, each in Base64
//! for URLs, with dots between them.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use serde::{Deserialize, de::IgnoredAny};

use super::{
    algorithm::Algorithm,
    refusal::{JwtRefusal, place, shown},
};

/// The longest token, in bytes: as long as the headers of a call may be, on a Java server too.
pub(super) const LONGEST: usize = 8 << 10;

/// A token that was taken apart. Nothing of it is proved yet.
pub(super) struct Compact<'a> {
    pub(super) algorithm: Algorithm,
    /// The id of the key with which it was signed, if it says so.
    pub(super) key_id: Option<String>,
    /// What was signed.
    pub(super) signed: &'a str,
    pub(super) signature: Vec<u8>,
    payload: &'a str,
}

/// What is read of a header. A field that is there twice is an error.
#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    typ: Option<String>,
    crit: Option<IgnoredAny>,
}

impl<'a> Compact<'a> {
    /// Takes a token apart.
    pub(super) fn parse(token: &'a str) -> Result<Self, JwtRefusal> {
        if token.len() > LONGEST {
            return Err(JwtRefusal::TooLong { len: token.len(), most: LONGEST });
        }
        let parts = token.rsplit_once('.').and_then(|(signed, signature)| {
            let (header, payload) = signed.split_once('.')?;
            Some((signed, header, payload, signature))
        });
        let (signed, header, payload, signature) =
            parts.ok_or_else(|| JwtRefusal::malformed("it has not three parts"))?;
        if payload.contains('.') {
            return Err(JwtRefusal::malformed("it has more than three parts"));
        }
        let header = Header::parse(&decode(header, "header")?)?;
        let algorithm =
            Algorithm::of(&header.alg).ok_or_else(|| JwtRefusal::Algorithm(shown(&header.alg)))?;
        header.check_use()?;
        let signature = decode(signature, "signature")?;
        Ok(Self { algorithm, key_id: header.kid, signed, signature, payload })
    }

    /// The payload, once the signature was found to be right.
    pub(super) fn payload(&self) -> Result<Vec<u8>, JwtRefusal> {
        decode(self.payload, "payload")
    }
}

impl Header {
    fn parse(text: &[u8]) -> Result<Self, JwtRefusal> {
        // The library takes a list for the fields in their order.
        if text.trim_ascii_start().first() != Some(&b'{') {
            return Err(JwtRefusal::malformed("its header is no object"));
        }
        serde_json::from_slice(text)
            .map_err(|error| JwtRefusal::Malformed(format!("its header: {}", place(&error))))
    }

    /// Refuses what has a meaning that is not understood here.
    fn check_use(&self) -> Result<(), JwtRefusal> {
        // RFC 7515, 4.1.11: extensions that must be understood.
        if self.crit.is_some() {
            return Err(JwtRefusal::malformed("its header has extensions that are not understood"));
        }
        // RFC 7515, 4.1.9: the prefix may be left out. RFC 9068, 2.1: an access token.
        let Some(typ) = &self.typ else { return Ok(()) };
        let lower = typ.to_ascii_lowercase();
        match lower.strip_prefix("application/").unwrap_or(&lower) {
            "jwt" | "at+jwt" => Ok(()),
            _ => Err(JwtRefusal::Use(shown(typ))),
        }
    }
}

fn decode(part: &str, name: &str) -> Result<Vec<u8>, JwtRefusal> {
    // It refuses padding, other alphabets, and bits that no byte has: one token has one text.
    BASE64.decode(part).map_err(|_| JwtRefusal::Malformed(format!("its {name} is no Base64")))
}
