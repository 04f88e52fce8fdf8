//! Accounts of clients that say by a JWT who they are.
//!
//! ```text
//! config     where the keys come from, and what a token must be like
//!    │
//! tokens     the check of a client's token             told   how often a refusal is logged
//!    │
//! keys       the keys in use: of a text, of a file that is followed, or fetched
//!    │
//! realm      what a party publishes: its discovery, and its keys
//! ```
//!
//! What a token must be like is decided in `server-core`, and when keys are fetched as well. No
//! type of the libraries is in the public interface.

mod config;
mod failure;
mod keys;
mod realm;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod tokens;
mod told;

pub use self::config::JwtAccounts;
pub(crate) use self::{
    keys::Keys,
    tokens::{Denied, Tokens},
};
