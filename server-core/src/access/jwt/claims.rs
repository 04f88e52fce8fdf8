//! What a token says: the claims of RFC 7519, 4.1 that are checked, and those of Keycloak.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, Error as _, IgnoredAny, MapAccess, Visitor},
};

use super::{
    permissions::Authorization,
    refusal::{JwtRefusal, place},
};
use crate::record::Millis;

/// What is read of the payload of a token. A claim that is there twice is an error.
#[derive(Deserialize)]
pub(super) struct Claims {
    pub(super) iss: Option<String>,
    pub(super) aud: Option<Audience>,
    pub(super) exp: Option<Date>,
    pub(super) nbf: Option<Date>,
    pub(super) iat: Option<Date>,
    /// What Keycloak says a token is for; not the field of a header with this name.
    pub(super) typ: Option<String>,
    pub(super) authorization: Option<Authorization>,
}

/// RFC 7519, 4.1.3: one or many.
#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum Audience {
    One(String),
    Many(Vec<String>),
}

/// A date: RFC 7519, 2. The seconds since 1970 may have a fraction.
#[derive(Debug, Clone, Copy)]
pub(super) struct Date(pub(super) Millis);

/// The seconds since 1970 that a date may have; a number with more is none of a date, and has no
/// exact value.
const FARTHEST: f64 = 1e12;

impl<'de> Deserialize<'de> for Date {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let seconds = f64::deserialize(deserializer)?;
        if !(-FARTHEST..=FARTHEST).contains(&seconds) {
            return Err(D::Error::custom("a date is too far away"));
        }
        // In range, so nothing is cut off but the fraction.
        Ok(Self(Millis((seconds * 1000.0) as i64)))
    }
}

impl Audience {
    pub(super) fn has(&self, audience: &str) -> bool {
        match self {
            Self::One(one) => one == audience,
            Self::Many(many) => many.iter().any(|one| one == audience),
        }
    }

    /// For the log.
    pub(super) fn text(&self) -> String {
        match self {
            Self::One(one) => one.clone(),
            Self::Many(many) => many.join(" "),
        }
    }
}

impl Claims {
    pub(super) fn parse(payload: &[u8]) -> Result<Self, JwtRefusal> {
        serde_json::from_slice(payload).map_err(malformed)
    }
}

/// The text of a claim that has a name; `None` if it is missing.
pub(super) fn text_of(payload: &[u8], name: &str) -> Result<Option<String>, JwtRefusal> {
    let mut deserializer = serde_json::Deserializer::from_slice(payload);
    Find(name).deserialize(&mut deserializer).map_err(malformed)
}

fn malformed(error: serde_json::Error) -> JwtRefusal {
    JwtRefusal::Malformed(format!("its claims: {}", place(&error)))
}

/// Finds a claim by its name.
struct Find<'a>(&'a str);

impl<'de> DeserializeSeed<'de> for Find<'_> {
    type Value = Option<String>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Find<'_> {
    type Value = Option<String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("claims")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
        let mut found = None;
        while let Some(name) = map.next_key::<String>()? {
            if name != self.0 {
                map.next_value::<IgnoredAny>()?;
                continue;
            }
            let value: String = map.next_value()?;
            if found.replace(value).is_some() {
                return Err(M::Error::custom("a claim is there twice"));
            }
        }
        Ok(found)
    }
}
