//! Where the embedded servers of the tests keep their data: in memory, or in folders.
//!
//! With `PRAVEGA_TEST_STORAGE=folder` each server has a folder of its own, and the one that the
//! tests share has so little memory that much of what is read comes from files. The folders are
//! removed after the end of the process, however it ends.

use std::{
    env::{self, VarError},
    fs::DirBuilder,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
    process::{self, Child, Command, Stdio},
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
    },
    time::SystemTime,
};

use pravega_sdk_server::{EmbeddedServer, ServerBuilder};

const VARIABLE: &str = "PRAVEGA_TEST_STORAGE";
/// The memory of the shared server: `PRAVEGA_TEST_FILE_MB` may ask for more than a gigabyte.
const MEMORY: u64 = 8 << 30;
/// The same if it has a folder, which need not fit.
const MEMORY_WITH_FOLDER: u64 = 64 << 20;

/// Where servers keep their data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Storage {
    Memory,
    Folder,
}

impl Storage {
    fn chosen() -> Self {
        match env::var(VARIABLE).as_deref() {
            Err(VarError::NotPresent) | Ok("memory") => Self::Memory,
            Ok("folder") => Self::Folder,
            other => panic!("{VARIABLE} is `memory` or `folder`, not {other:?}"),
        }
    }
}

/// A server that keeps its data where the variable says, in a folder that no other one has.
pub fn builder() -> ServerBuilder {
    let builder = EmbeddedServer::builder();
    match Storage::chosen() {
        Storage::Memory => builder,
        Storage::Folder => builder.with_directory(new_folder()),
    }
}

/// The server that the tests of a process share.
pub(super) fn shared() -> ServerBuilder {
    builder().with_memory_limit(match Storage::chosen() {
        Storage::Memory => MEMORY,
        Storage::Folder => MEMORY_WITH_FOLDER,
    })
}

/// A path in the folder of this process.
fn new_folder() -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    static OF_PROCESS: OnceLock<Folders> = OnceLock::new();
    let Folders { path, .. } = OF_PROCESS.get_or_init(Folders::create);
    path.join(NEXT.fetch_add(1, Ordering::Relaxed).to_string())
}

/// A folder that is removed after the end of this process.
#[derive(Debug)]
struct Folders {
    path: PathBuf,
    /// It waits for the end of its input, which is that of this process.
    _remover: Child,
}

impl Folders {
    fn create() -> Self {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_nanos();
        let path = env::temp_dir().join(format!("pravega-tests-{}-{now}", process::id()));
        DirBuilder::new().mode(0o700).create(&path).unwrap();
        Self { _remover: remove_at_the_end(&path), path }
    }
}

/// Starts a process that removes a folder once the result is dropped or this process has ended, by
/// a signal too.
fn remove_at_the_end(path: &Path) -> Child {
    // A key that interrupts the tests interrupts it as well.
    let script = "trap '' INT TERM HUP; cat; rm -rf -- \"$0\"";
    let mut command = Command::new("sh");
    command.args(["-c", script]).arg(path);
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

#[cfg(test)]
mod tests {
    use std::{thread::sleep, time::Duration};

    use super::*;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "no runtime is here")]
    fn a_folder_is_removed_once_the_process_that_had_it_has_ended() {
        let Folders { path, _remover: mut remover } = Folders::create();
        std::fs::create_dir(path.join("data")).unwrap();
        std::fs::write(path.join("data/log-00000001"), "text").unwrap();
        sleep(Duration::from_millis(200));
        assert!(path.join("data/log-00000001").exists());
        // What the end of a process does to its pipes.
        drop(remover.stdin.take());
        assert!(remover.wait().unwrap().success());
        assert!(!path.exists());
    }

    #[test]
    fn each_server_has_a_folder_of_its_own() {
        let (first, second) = (new_folder(), new_folder());
        assert_ne!(first, second);
        assert_eq!(first.parent(), second.parent());
    }
}
