//! Runs the Java programs that share data with the SDK.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use pravega_sdk_integration_tests::harness::url;
use tokio::{process::Command, time::timeout};

/// Runs a program of `integration-tests/java` about a stream or table of a scope, and returns its
/// output.
pub(crate) async fn java(program: &str, place: [&str; 2], arguments: &[&str]) -> String {
    let printed = File::of(b"");
    let mut command = command(program, printed.path.parent().unwrap());
    command.env("PEER_OUTPUT", &printed.path).args(place).args(arguments);
    // The process is killed with the test, also after a timeout.
    let mut command = Command::from(command);
    let output = timeout(LIMIT, command.kill_on_drop(true).output()).await;
    let output = output
        .unwrap_or_else(|_| panic!("{program} {arguments:?} was not done within {LIMIT:?}"))
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    std::fs::read_to_string(&printed.path).unwrap()
}

/// Returns a command that runs a program of `integration-tests/java` in a folder. Its first
/// argument is the URL of the server.
pub(crate) fn command(program: &str, folder: &Path) -> std::process::Command {
    command_for(program, folder, &url())
}

/// As [`command`], for another server.
pub(crate) fn command_for(program: &str, folder: &Path, url: &str) -> std::process::Command {
    let jars =
        std::env::var("PRAVEGA_TEST_JARS").expect("run these tests with `cargo xtask interop`");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("java/{program}.java"));
    let mut command = std::process::Command::new("java");
    // The client writes its log into a folder below the one that it runs in.
    command.current_dir(folder);
    // The programs end soon, so the JVM should start soon.
    command.args(["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"]);
    command.arg("-cp").arg(format!("{jars}/*")).arg(source).arg(url);
    command
}

/// A JVM starts, compiles the program and connects within a few seconds on a quiet machine.
pub(crate) const LIMIT: Duration = Duration::from_secs(240);

/// A file of the test, in a folder of its own.
pub(crate) struct File {
    _folder: tempfile::TempDir,
    pub(crate) path: PathBuf,
}

impl File {
    pub(crate) fn of(content: &[u8]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, content).unwrap();
        Self { _folder: folder, path }
    }

    pub(crate) fn text(&self) -> &str {
        self.path.to_str().unwrap()
    }
}
