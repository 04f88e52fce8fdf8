//! What the system knows of this process and its files, and figures of many measurements.

use std::{fs, io, path::Path, time::Duration};

use rustix::fs::{Advice, fadvise};

/// An error of any kind, as the program ends with it.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Returns the number after a name in a file of `/proc/self`.
pub fn proc_number(file: &str, name: &str) -> Result<u64, Failure> {
    let text = fs::read_to_string(format!("/proc/self/{file}"))?;
    let line = text.lines().find_map(|line| line.strip_prefix(name)).ok_or("no such line")?;
    Ok(line.trim_matches([':', ' ', '\t', 'k', 'B']).parse()?)
}

/// The bytes that this process has handed to the system to write, and in how many calls.
///
/// What the system counts as written to the disk is no measure: it counts a large page as a whole.
pub fn written() -> Result<(u64, u64), Failure> {
    Ok((proc_number("io", "wchar")?, proc_number("io", "syscw")?))
}

/// The processor time of all threads of this process so far, in microseconds.
pub fn processor_time() -> Result<f64, Failure> {
    let text = fs::read_to_string("/proc/self/stat")?;
    let (_, fields) = text.rsplit_once(')').ok_or("no name")?;
    let mut fields = fields.split_whitespace().skip(11);
    let mut ticks = || -> Result<f64, Failure> { Ok(fields.next().ok_or("no time")?.parse()?) };
    // A tick is a hundredth of a second.
    Ok((ticks()? + ticks()?) * 1e4)
}

/// The resident memory that is not of mapped files, in MiB.
pub fn resident() -> Result<f64, Failure> {
    Ok(proc_number("status", "RssAnon")? as f64 / 1024.0)
}

/// Calls a function with each file below a folder.
pub fn each_file(dir: &Path, call: &mut dyn FnMut(&Path) -> io::Result<()>) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() { each_file(&path, call)? } else { call(&path)? }
    }
    Ok(())
}

/// The blocks that the files below a folder take on the disk, in bytes.
pub fn disk_usage(dir: &Path) -> io::Result<u64> {
    use std::os::unix::fs::MetadataExt as _;
    let mut sum = 0;
    each_file(dir, &mut |path| {
        sum += fs::metadata(path)?.blocks() * 512;
        Ok(())
    })?;
    Ok(sum)
}

/// Makes the files below a folder durable, and takes them out of the page cache.
pub fn forget_pages(dir: &Path) -> io::Result<()> {
    each_file(dir, &mut |path| {
        let file = fs::File::open(path)?;
        file.sync_all()?;
        fadvise(&file, 0, None, Advice::DontNeed)?;
        Ok(())
    })
}

/// Numbers that look random, the same in each run.
pub struct Random(pub u64);

impl Random {
    /// The next number.
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// The next number below a bound.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// The next bytes.
    pub fn bytes(&mut self, len: usize) -> Vec<u8> {
        let mut out = Vec::with_capacity(len + 8);
        while out.len() < len {
            out.extend_from_slice(&self.next().to_le_bytes());
        }
        out.truncate(len);
        out
    }
}

/// The value below which a share of others is, in microseconds.
pub fn quantile(sorted: &[Duration], share: f64) -> f64 {
    let at = ((sorted.len() as f64 * share) as usize).min(sorted.len().saturating_sub(1));
    sorted.get(at).map_or(f64::NAN, |time| time.as_secs_f64() * 1e6)
}

/// Prints a figure, as the parent reads it.
pub fn tell(name: &str, value: f64) {
    println!("{name} {value}");
}
