//! The calls that a standalone server must answer before tests begin.
//!
//! A controller carries out scales, commits, seals and changes of groups and tables as events of
//! internal streams, after it has answered other calls for some time. If it starts while other
//! programs take all cores, the readers of these streams may never start: all other calls are
//! answered, these are not, for as long as the server runs. Another start helps.

use std::{
    env,
    ffi::OsString,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};

/// Time for all calls together on a busy machine. They take about 10 s on two idle cores, and 20 s
/// beside several builds.
const LIMIT: Duration = Duration::from_secs(180);
/// Pause before the calls are repeated, and between checks of a process.
const PAUSE: Duration = Duration::from_millis(100);

/// The `pravega` tool that was built beside this program, with the environment for one server.
pub(super) struct Tool {
    program: OsString,
    variables: Vec<(&'static str, String)>,
}

impl Tool {
    pub(super) fn new(variables: Vec<(&'static str, String)>) -> Result<Self> {
        let program = env::current_exe()?.with_file_name("pravega");
        Ok(Self { program: program.into(), variables })
    }

    /// Runs the tool and returns its output; fails if it fails, and ends it at the deadline.
    fn run(&self, arguments: &str, deadline: Instant) -> Result<String> {
        let mut process = Command::new(&self.program)
            .args(arguments.split_whitespace())
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {}", self.program.display()))?;
        while process.try_wait()?.is_none() {
            if Instant::now() > deadline {
                process.kill().ok();
                process.wait().ok();
                bail!("no answer to `pravega {arguments}`");
            }
            thread::sleep(PAUSE);
        }
        // A line or two, which fit in the pipes.
        let output = process.wait_with_output()?;
        if !output.status.success() {
            let error = String::from_utf8_lossy(&output.stderr);
            bail!("`pravega {arguments}` failed: {}", error.trim_end());
        }
        Ok(String::from_utf8_lossy(&output.stdout).trim_end().to_owned())
    }
}

/// Waits until the server answers calls of every kind; fails if it does not within [`LIMIT`].
pub(super) fn wait(tool: &Tool) -> Result<()> {
    let deadline = Instant::now() + LIMIT;
    let run = |arguments: &str| tool.run(arguments, deadline);
    let expired = || Instant::now() > deadline;
    repeat(run, expired).context("the server does not answer all calls")
}

/// Makes the calls, in a scope of its own each time, until all are answered. The last failure is
/// the result after the time has expired.
fn repeat(mut run: impl FnMut(&str) -> Result<String>, expired: impl Fn() -> bool) -> Result<()> {
    let mut attempt = 0_u32;
    loop {
        attempt += 1;
        let Err(error) = calls(&mut run, &format!("ready-{attempt}")) else { return Ok(()) };
        if expired() {
            return Err(error);
        }
        thread::sleep(PAUSE);
    }
}

/// Makes one call of every kind, and removes what they created.
fn calls(run: &mut impl FnMut(&str) -> Result<String>, scope: &str) -> Result<()> {
    run(&format!("scope create {scope}"))?;
    run(&format!("stream create {scope}/stream"))?;
    run(&format!("stream scale {scope}/stream --to 2"))?;
    let transaction = run(&format!("txn begin {scope}/stream"))?;
    run(&format!("txn commit {scope}/stream {transaction} --wait 2m"))?;
    run(&format!("group create {scope}/group --stream {scope}/stream"))?;
    run(&format!("group delete {scope}/group"))?;
    run(&format!("table create {scope}/table --primary-key-length 8"))?;
    run(&format!("table delete {scope}/table"))?;
    run(&format!("stream delete {scope}/stream --seal"))?;
    run(&format!("scope delete {scope}"))?;
    Ok(())
}

/// Starts a server and checks it. One that does not pass is dropped, and a second one is started;
/// if that does not pass either, its failure is the result.
pub(super) fn second_start<S>(
    mut start: impl FnMut() -> Result<S>,
    mut check: impl FnMut(&S) -> Result<()>,
    drop_first: impl FnOnce(S),
) -> Result<S> {
    let first = start()?;
    let Err(error) = check(&first) else { return Ok(first) };
    println!("{error:#}; the server is started a second time");
    drop_first(first);
    let second = start()?;
    check(&second)?;
    Ok(second)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    /// Answers a call of the tool, as a server that is ready does.
    fn answer(arguments: &str) -> Result<String> {
        Ok(if arguments.starts_with("txn begin") { "id".to_owned() } else { String::new() })
    }

    #[test]
    fn a_server_is_ready_after_it_has_answered_a_call_of_every_kind() {
        for refused in ["stream scale", "txn commit", "group create", "table create", "--seal"] {
            let run = |arguments: &str| {
                if arguments.contains(refused) { bail!("no answer") } else { answer(arguments) }
            };
            assert!(repeat(run, || true).is_err(), "without an answer to {refused}");
        }
        assert!(repeat(answer, || true).is_ok());
    }

    #[test]
    fn calls_are_repeated_in_another_scope_until_the_time_has_expired() {
        let mut failures = 3;
        let mut scopes = Vec::new();
        let run = |arguments: &str| {
            if let Some(scope) = arguments.strip_prefix("scope create ") {
                scopes.push(scope.to_owned());
            }
            if arguments.contains("commit") && failures > 0 {
                failures -= 1;
                bail!("aborted");
            }
            answer(arguments)
        };
        assert!(repeat(run, || false).is_ok());
        assert_eq!(scopes, ["ready-1", "ready-2", "ready-3", "ready-4"]);
    }

    #[test]
    fn a_tool_that_waits_for_an_answer_ends_at_the_deadline() {
        let tool = Tool { program: "sleep".into(), variables: Vec::new() };
        let error = tool.run("100000", Instant::now()).unwrap_err();
        assert_eq!(error.to_string(), "no answer to `pravega 100000`");
    }

    #[test]
    fn a_server_that_does_not_answer_is_started_a_second_time_and_no_third_time() {
        for (answers, starts) in [([true, true], 1), ([false, true], 2), ([false, false], 2)] {
            let (started, dropped) = (Cell::new(0), Cell::new(0));
            let result = second_start(
                || {
                    started.set(started.get() + 1);
                    Ok(started.get())
                },
                |number: &usize| {
                    if answers[number - 1] { Ok(()) } else { bail!("no answer") }
                },
                |_| dropped.set(dropped.get() + 1),
            );
            assert_eq!(started.get(), starts);
            assert_eq!(dropped.get(), starts - 1);
            assert_eq!(result.is_ok(), answers[starts - 1]);
        }
    }
}
