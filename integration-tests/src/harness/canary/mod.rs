//! Canaries: secrets that tests put in, and a scanner that finds them in everything that comes out.
//!
//! ```text
//! forms      how a secret may look: as it is, escaped, base64, hexadecimal, percent-encoded, …
//!   │
//! scanner    text in, and which canary is in it; keeps the leaks
//!   │
//! capture    tracing at TRACE, and the records of `log`, from all crates of the process
//!   │
//! suite      the switch that has the tests of the suite watched
//! ```

mod capture;
mod forms;
mod scanner;
mod suite;

pub use self::{
    capture::watch,
    scanner::{Canary, Leak, Reaction, Scanner, Text},
    suite::{TOKEN, account, is_on, scanned, secured},
};
