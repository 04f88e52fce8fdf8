//! Credentials from an issuer of tokens: Keycloak with its permissions, or OpenID Connect.
//!
//! ```text
//! Keycloak, OpenId ──▶ plan ──▶ machine/life      when the token is renewed
//!  (configuration)       │      machine/exchange  what is sent next, and when again
//!                        │          ▲
//!                        └──────▶ driver ──▶ issuer
//! ```
//!
//! [`Keycloak`] logs in as a client of a realm and exchanges the token of the login for one with
//! the client's permissions on Pravega's controller. [`OpenId`] logs in as a client of any issuer
//! with a discovery document. Both become [`Credentials`] of a client of the controller.
//!
//! # The life of a token
//!
//! The first call that needs a token fetches it; calls that need it meanwhile wait for the same
//! fetch, which is a task of its own and goes on if its callers leave. A token is renewed in the
//! background when a fifth of its life is left, or 30 s if that is less, and is used meanwhile. Its
//! life is counted from when it was asked for, by the clock of this machine: the clock of the
//! issuer does not matter.
//!
//! All requests of a fetch, their repeats included, have one deadline. An issuer that fails or
//! cannot be reached is asked again until then; a refusal is final. A failure is the result of the
//! calls of the next second too, so that a program in a loop does not flood the issuer, or of up to
//! half a minute, if the issuer asks for that with `Retry-After`.
//!
//! A token that the controller refuses, such as after a change of the issuer's keys, is not used
//! any longer, and the call is made once more with the next one. A token is replaced in this way
//! once a second at most.
//!
//! # Security
//!
//! Secrets and tokens appear in no message and no `Debug` output, and their memory is overwritten
//! after use, except where the HTTP library holds a request or an answer. A redirect is not
//! followed, and an issuer that is configured with `https` cannot lead the client to `http`.
//! Answers are read up to 1 MiB.
//!
//! Deliberately absent: the check of a token, which is up to the server; logins of persons;
//! proxies; types of the HTTP library in public signatures.
//!
//! [`Credentials`]: pravega_sdk_controller_client::Credentials

mod adapter;
mod answer;
mod client;
mod driver;
mod error;
mod form;
mod keycloak;
mod machine;
mod open_id;
mod plan;
mod request;
mod secrets;

pub use client::ClientAuthentication;
pub use error::IdentityError;
pub use keycloak::Keycloak;
pub use open_id::OpenId;
