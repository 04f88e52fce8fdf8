//! Features of the embedded server: a clock that tests move, limits, faults, a folder, REST,
//! accounts, tokens, TLS.

mod access;
mod backup;
mod bounds;
mod clock;
mod contradiction;
mod damage;
mod deletion;
mod descriptors;
pub(super) mod disk;
mod failing_disk;
mod faults;
mod file_systems;
mod folder;
mod jwt;
mod large;
mod largest;
mod lifecycle;
mod limits;
mod lost_files;
mod misuse;
mod process;
mod rest;
mod rest_sizes;
mod rotation;
mod small_memory;
mod support;
mod tls;
