//! What a signal to stop (SIGINT, SIGTERM) does to the process: the first during a solve cancels it, so that the answer
//! so far is printed; any other ends the process, once the files that are half written are gone.
//!
//! The state is the process's, as signals are. It is kept whoever runs the command; only [`listen`], which
//! [`main`](crate::main) calls, makes signals heard.

use std::path::{Path, PathBuf};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use kantorovich::CancelToken;

static STATE: Mutex<State> = Mutex::new(State {
    solves: 0,
    parts: Vec::new(),
});
static TOKEN: LazyLock<CancelToken> = LazyLock::new(CancelToken::new);

struct State {
    /// Solves that hear the token.
    solves: usize,
    /// Files that are being written beside their places.
    parts: Vec<PathBuf>,
}

fn state() -> MutexGuard<'static, State> {
    // Whoever panicked left counters and names behind, which are right at any moment.
    STATE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Cancelled by the first signal that comes during a solve.
pub(crate) fn token() -> &'static CancelToken {
    &TOKEN
}

/// While it lives, a signal cancels the token and does not end the process.
pub(crate) struct Solving(());

impl Solving {
    /// To be kept only around what heeds the token.
    pub(crate) fn begin() -> Self {
        state().solves += 1;
        Self(())
    }
}

impl Drop for Solving {
    fn drop(&mut self) {
        state().solves -= 1;
    }
}

/// While it lives, no signal ends the process: for what must be done as a whole, and is done at once.
#[must_use]
pub(crate) struct Held(MutexGuard<'static, State>);

/// Waits for nothing but another holder.
pub(crate) fn hold() -> Held {
    Held(state())
}

impl Held {
    /// From now on the file goes with the process, if a signal ends it.
    pub(crate) fn add(&mut self, part: &Path) {
        self.0.parts.push(part.to_owned());
    }

    /// The file stands in its place, or is gone.
    pub(crate) fn forget(&mut self, part: &Path) {
        self.0.parts.retain(|p| p != part);
    }
}

/// Makes signals heard, on a thread of its own. Signals that the process was started to ignore stay ignored, such as
/// those of a terminal in a script's background.
#[cfg(unix)]
pub(crate) fn listen() {
    use signal_hook::consts::{SIGINT, SIGTERM};
    use signal_hook::iterator::Signals;

    let ignored = ignored();
    let wanted = [SIGINT, SIGTERM]
        .into_iter()
        .filter(|signal| ignored & (1 << (signal - 1)) == 0);
    // Without the thread, signals do what they do to any program.
    if let Ok(mut signals) = Signals::new(wanted) {
        let handle = signals.handle();
        let spawned = std::thread::Builder::new()
            .name("signals".to_owned())
            .spawn(move || signals.forever().for_each(heard));
        if spawned.is_err() {
            handle.close();
        }
    }
}

/// Signals end the process as the system does.
#[cfg(not(unix))]
pub(crate) fn listen() {}

#[cfg(unix)]
fn heard(signal: i32) {
    let state = state();
    if state.solves > 0 && !TOKEN.is_cancelled() {
        TOKEN.cancel();
        return;
    }
    for part in &state.parts {
        // Nothing more can be done about a file that can't be removed.
        let _ = std::fs::remove_file(part);
    }
    // Still held: nobody begins another file. The status is the one that shells give to a death by this signal.
    std::process::exit(128 + signal);
}

/// A bit for each signal, from 1, that is ignored; none where the system does not tell.
#[cfg(unix)]
fn ignored() -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = text.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .unwrap_or(0)
}
