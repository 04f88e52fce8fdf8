//! Access: who a client is, what it may do, and the tokens that say so to the stores.
//!
//! ```text
//! accounts   users, their passwords and their rules      the file is Java's
//!    │ password     PBKDF2, whose work the driver does outside of its threads
//! jwt        users by tokens that others sign            with the feature of that name
//! admission  a client that was let in, by one or the other
//! rules      what a user may do to which resource
//!    │ resource     scopes, streams, groups and tables, by Java's names
//! grant      what a user is granted of what a call needs, or of a token
//! tokens     what the controller allows, for the stores  JWT, signed with a key
//!    │ token_key    that key: of the process, or one that several servers share
//!    │ keyed        HMAC and PBKDF2 of SHA-256
//! ```

mod accounts;
mod admission;
mod grant;
#[cfg(feature = "jwt")]
pub mod jwt;
mod keyed;
mod operation;
mod password;
mod resource;
mod rules;
mod token_key;
mod tokens;

pub use self::{
    accounts::{Account, Accounts, Credentials, Fingerprint, Skipped},
    admission::Admission,
    grant::Grant,
    operation::Operation,
    resource::{Need, Resource, operation_to_write},
    rules::Rules,
    token_key::{TokenKey, WeakKey},
    tokens::{Access, TokenRefusal},
};
pub(crate) use tokens::is_ahead;
