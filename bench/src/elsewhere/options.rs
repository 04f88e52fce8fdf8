//! Options of the command line.

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};

/// Options of `elsewhere`.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    /// The length of a run that writes.
    pub(super) seconds: f64,
    /// The most bytes of events that one run writes.
    pub(super) max_bytes: u64,
    /// The bytes of events that are read from memory.
    pub(super) warm_bytes: u64,
    /// The bytes of events that are read from the disk.
    pub(super) cold_bytes: u64,
    /// The folder in which all data is kept while it is needed; `None` is that of the system for
    /// temporary files.
    pub(super) data: Option<PathBuf>,
    /// The folder of the results.
    pub(super) out: PathBuf,
    /// Only the cases whose names contain this.
    pub(super) only: String,
    /// Only the systems whose names contain this, and the disk.
    pub(super) system: String,
}

impl Options {
    pub(crate) fn parse(arguments: &[&str]) -> Result<Self> {
        let mut options = Self {
            seconds: 60.0,
            max_bytes: 20 << 30,
            warm_bytes: 512 << 20,
            cold_bytes: 4 << 30,
            data: None,
            out: "target/elsewhere".into(),
            only: String::new(),
            system: String::new(),
        };
        let mut rest = arguments.iter();
        while let Some(name) = rest.next() {
            let value = rest.next().with_context(|| format!("{name} needs a value"))?;
            match *name {
                "--seconds" => options.seconds = value.parse()?,
                "--gib" => options.max_bytes = value.parse::<u64>()? << 30,
                "--warm-mib" => options.warm_bytes = value.parse::<u64>()? << 20,
                "--cold-mib" => options.cold_bytes = value.parse::<u64>()? << 20,
                "--data" => options.data = Some(value.into()),
                "--out" => options.out = value.into(),
                "--only" => options.only = (*value).to_owned(),
                "--system" => options.system = (*value).to_owned(),
                other => bail!("there is no option {other}"),
            }
        }
        Ok(options)
    }

    /// A new folder for data, which is removed when the value is dropped.
    pub(super) fn folder(&self) -> Result<tempfile::TempDir> {
        Ok(match &self.data {
            None => tempfile::tempdir()?,
            Some(data) => {
                std::fs::create_dir_all(data)?;
                tempfile::tempdir_in(data)?
            }
        })
    }
}
