//! The jars of the servers, and what all their processes share.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::Result;

use crate::command::run;

/// A standalone server answers about 8 s after its start on two idle cores.
pub(super) const START_LIMIT: Duration = Duration::from_secs(180);

pub(super) const LOG_CONFIG: &str = "<configuration>\
<appender name=\"C\" class=\"ch.qos.logback.core.ConsoleAppender\"><encoder>\
<pattern>%d %-5level [%t] %logger{20}: %msg%n</pattern></encoder></appender>\
<root level=\"WARN\"><appender-ref ref=\"C\"/></root></configuration>\n";

/// Returns the folder with the jars, which are downloaded once.
pub(super) fn jars(root: &Path) -> Result<PathBuf> {
    let lib = root.join("target/pravega/lib");
    let marker = lib.join("pravega-standalone-0.13.0.jar");
    if !marker.exists() {
        let pom = root.join("integration-tests/java/pom.xml");
        // To a separate folder first, so that an incomplete copy is not used.
        let partial = root.join("target/pravega/lib.partial");
        fs::remove_dir_all(&partial).ok();
        let mut last = Ok(());
        for _ in 0..3 {
            last = run(Command::new("mvn")
                .args(["-q", "-B", "-f"])
                .arg(&pom)
                .arg("dependency:copy-dependencies")
                .arg(format!("-DoutputDirectory={}", partial.display())));
            if last.is_ok() {
                break;
            }
        }
        last?;
        fs::remove_dir_all(&lib).ok();
        fs::rename(&partial, &lib)?;
    }
    Ok(lib)
}
