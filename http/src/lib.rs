//! One HTTP request over a connection of its own: how a client asks an issuer for a token, and a
//! server for the keys that sign tokens.
//!
//! ```text
//! Url ──▶ Request ──▶ HttpClient ──▶ Answer, or Unanswered
//! ```
//!
//! Both ask rarely, and of a party that may be wrong, slow or hostile. So each request has:
//!
//! - one limit on its time, from the look-up of the name to the last byte of the answer;
//! - limits on the head of the answer, 64 KiB and 100 fields, and on its body;
//! - a connection that ends with it.
//!
//! No redirect is followed: the answer has its target. With TLS the certificate must be for the
//! host, and what is wrong with one is in the error. An address with a user or a password is
//! refused, and what an `https` page names is no `http` address ([`Url::follow`]).
//!
//! The request is made by hyper, and its connections by the connector of hyper-util, which tries
//! both kinds of addresses of a name. Secrets and queries of addresses appear in no message and no
//! `Debug` output. The memory of a body is overwritten after use, except where the library holds
//! parts of it.
//!
//! Deliberately absent: connections that are kept, compression, cookies, proxies, types of the
//! library in public signatures.

mod answer;
mod client;
mod request;
mod unanswered;
mod url;

pub use answer::Answer;
pub use client::HttpClient;
pub use request::Request;
pub use unanswered::Unanswered;
pub use url::{Url, UrlError};
