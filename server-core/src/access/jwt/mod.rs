//! Clients that say who they are by a JWT that another party has signed.
//!
//! ```text
//! compact       the three parts of a token, and its header          bytes from any client
//!    │ algorithm   what signs it: never one that the key is not for
//! key_set       the keys of the party that signs, by their ids       JWKS, as Keycloak publishes
//! claims        what a token with a right signature says
//!    │ permissions  what Keycloak grants, as rules
//! check         all of it, in that order
//! refusal       why a token is refused: for the log, never for the client
//! refresh       when keys are fetched
//! ```
//!
//! RFC 7515 and RFC 7519, with the advice of RFC 8725. Nothing of a token is used before its
//! signature is right, but the algorithm and the id of the key; keys and addresses in a header
//! (`jwk`, `jku`, `x5u`) are not read at all.

mod algorithm;
mod check;
mod claims;
mod compact;
mod key_set;
mod permissions;
mod refresh;
mod refusal;

pub use self::{
    check::{Checked, Demands},
    key_set::{KeySet, KeySetProblem, MOST_BYTES, SkippedKey},
    refresh::{Answer, Fetched, Refresh, RefreshIntervals},
    refusal::JwtRefusal,
};

#[cfg(test)]
mod tests;
