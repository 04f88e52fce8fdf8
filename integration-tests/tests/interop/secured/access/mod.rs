//! The reference server and the embedded one with the same accounts: each lets in the same clients,
//! and refuses the others in the same way.

mod answers;
mod calls;
mod commands;
mod tokens;
