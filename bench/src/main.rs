//! Benchmarks that are programs: `cargo run --release -p pravega-sdk-bench -- raw-client [SECONDS]`.

mod raw_client;

use anyhow::{Result, bail};

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["raw-client"] => raw_client::run(5),
        ["raw-client", seconds] => raw_client::run(seconds.parse()?),
        _ => bail!("usage: raw-client [SECONDS]"),
    }
}
