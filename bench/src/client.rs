//! The process of a client that does some work.

use anyhow::{Context as _, Result};

use crate::work::Work;

/// Does the work of a command line, whose first word was `program`.
pub(crate) fn run<F>(
    program: &str,
    arguments: &[&str],
    do_all: impl FnOnce(Work) -> F,
) -> Result<()>
where
    F: Future<Output = Result<()>> + Send + 'static,
{
    let arguments: Vec<String> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
    let work = Work::parse(&arguments).with_context(|| {
        format!("{program}: URI SCOPE STREAM MODE SIZE SECONDS MAX_BYTES KEYS RATE CALLERS")
    })?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    // As in an application: in a task, beside the writer's own.
    let all = do_all(work);
    let result = runtime.block_on(async { tokio::spawn(all).await? });
    runtime.shutdown_background();
    result
}
