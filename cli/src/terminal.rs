//! Questions on the terminal, and what is typed there or comes from stdin.

use std::{
    io::{self, BufRead as _, IsTerminal as _, Read as _, Write as _},
    sync::atomic::{AtomicBool, Ordering},
};

use secrecy::{SecretString, zeroize::Zeroizing};

use crate::failure::{Failure, Result};

/// A limit far above real answers and passwords.
const MAX_LEN: u64 = 1 << 16;

/// Returns true if a person can be asked.
pub(crate) fn is_present() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// The width of the terminal that stdout is, in columns; `None` if it is none.
#[cfg(unix)]
pub(crate) fn width() -> Option<u16> {
    let size = rustix::termios::tcgetwinsize(io::stdout()).ok()?;
    Some(size.ws_col).filter(|columns| *columns > 0)
}

#[cfg(not(unix))]
pub(crate) fn width() -> Option<u16> {
    None
}

/// Asks a question to which only a yes is one, and returns true for it.
///
/// # Cancel safety
///
/// As [`ask`].
pub(crate) async fn agrees(question: &str) -> Result<bool> {
    let answer = ask(&format!("{question} [y/N] ")).await?;
    Ok(matches!(answer.to_ascii_lowercase().as_str(), "y" | "yes"))
}

/// Asks a question, and returns the answer without the white space around it.
///
/// # Cancel safety
///
/// After the future is dropped, the next line on stdin is lost.
pub(crate) async fn ask(question: &str) -> Result<String> {
    show(question)?;
    Ok(line().await?.trim().to_owned())
}

/// Asks for a secret, which the terminal does not show.
///
/// # Cancel safety
///
/// As [`ask`]. The terminal shows what is typed again.
pub(crate) async fn ask_secret(question: &str) -> Result<SecretString> {
    // First of all, or the beginning of the answer would be shown.
    let hidden = Hidden::new()?;
    show(question)?;
    let secret = line().await;
    drop(hidden);
    show("\n")?;
    secret.map(|line| SecretString::from(line.as_str()))
}

/// Reads a secret from the first line of stdin.
///
/// # Cancel safety
///
/// As [`ask`].
pub(crate) async fn read_secret() -> Result<SecretString> {
    line().await.map(|line| SecretString::from(line.as_str()))
}

/// Reads a line of stdin, without its end.
async fn line() -> Result<Zeroizing<String>> {
    ASKING.store(true, Ordering::Relaxed);
    let read = tokio::task::spawn_blocking(|| {
        // With its whole capacity from the start, no part of a secret is left behind by its growth.
        let mut line = Zeroizing::new(String::with_capacity(MAX_LEN as usize));
        io::stdin().lock().take(MAX_LEN).read_line(&mut line)?;
        let text = line.strip_suffix('\n').unwrap_or(&line);
        Ok(Zeroizing::new(text.strip_suffix('\r').unwrap_or(text).to_owned()))
    });
    let unreadable =
        |error: io::Error| Failure::other(format_args!("cannot read from stdin: {error}"));
    let read = read.await;
    ASKING.store(false, Ordering::Relaxed);
    read.map_err(|error| unreadable(error.into()))?.map_err(unreadable)
}

/// True while an answer is waited for.
static ASKING: AtomicBool = AtomicBool::new(false);

/// Returns true while a person is asked.
pub(crate) fn is_asking() -> bool {
    ASKING.load(Ordering::Relaxed)
}

fn show(text: &str) -> Result<()> {
    let mut stderr = io::stderr().lock();
    stderr
        .write_all(text.as_bytes())
        .and_then(|()| stderr.flush())
        .map_err(|error| Failure::other(format_args!("cannot ask: {error}")))
}

/// A terminal that does not show what is typed, until this is dropped.
#[cfg(unix)]
struct Hidden(rustix::termios::Termios);

#[cfg(unix)]
impl Hidden {
    fn new() -> Result<Self> {
        use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
        let shown = tcgetattr(io::stdin()).map_err(|error| cannot_hide(&error))?;
        let mut hidden = shown.clone();
        hidden.local_modes.remove(LocalModes::ECHO);
        // What was typed before belongs to no question.
        tcsetattr(io::stdin(), OptionalActions::Flush, &hidden)
            .map_err(|error| cannot_hide(&error))?;
        Ok(Self(shown))
    }
}

#[cfg(unix)]
impl Drop for Hidden {
    fn drop(&mut self) {
        use rustix::termios::{OptionalActions, tcsetattr};
        tcsetattr(io::stdin(), OptionalActions::Now, &self.0).ok();
    }
}

#[cfg(not(unix))]
struct Hidden;

#[cfg(not(unix))]
impl Hidden {
    fn new() -> Result<Self> {
        Err(cannot_hide(&"not on this system"))
    }
}

fn cannot_hide(reason: &dyn std::fmt::Display) -> Failure {
    Failure::other(format_args!("the terminal cannot hide what is typed: {reason}"))
        .with_hint("give the password with --password-stdin, or --password-file")
}
