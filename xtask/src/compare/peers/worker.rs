//! The Python process that runs the peers: one JSON object a line, in and out.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde::Deserialize;
use serde_json::{Value, json};

/// What a call gave.
#[derive(Debug, Clone)]
pub(super) struct Timed {
    /// Of the solver alone.
    pub(super) seconds: f64,
    /// The transport cost, or what else the two sides must agree on.
    pub(super) value: Option<f64>,
    /// Warnings.
    pub(super) said: Vec<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Answer {
    Failed {
        error: String,
    },
    Done {
        seconds: f64,
        value: Option<f64>,
        said: Vec<String>,
    },
}

/// A running worker; it ends when this is dropped.
pub(super) struct Worker {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Worker {
    /// Starts `script` with one thread for every numerical library.
    pub(super) fn start(python: &Path, script: &Path) -> Result<Self, String> {
        let mut command = Command::new(python);
        command
            .arg(script)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        for name in [
            "OMP_NUM_THREADS",
            "OPENBLAS_NUM_THREADS",
            "MKL_NUM_THREADS",
            "NUMBA_NUM_THREADS",
        ] {
            command.env(name, "1");
        }
        command.env(
            "XLA_FLAGS",
            "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1",
        );
        // Where these two are set for the sake of old builds, a current NumPy runs slower than it can.
        command
            .env_remove("OPENBLAS_CORETYPE")
            .env_remove("OPENBLAS_L2_SIZE");
        let mut child = command
            .spawn()
            .map_err(|e| format!("{}: {e}", python.display()))?;
        let (input, output) = (child.stdin.take(), child.stdout.take());
        let output = output.ok_or("the worker has no standard output")?;
        Ok(Self {
            child,
            input,
            output: BufReader::new(output),
        })
    }

    /// One call; `Err` holds what the peer said.
    pub(super) fn call(&mut self, job: &Value) -> Result<Timed, String> {
        let lost = |what: &str| format!("the Python worker {what}");
        let input = self.input.as_mut().ok_or_else(|| lost("was stopped"))?;
        writeln!(input, "{job}")
            .and_then(|()| input.flush())
            .map_err(|e| lost(&format!("is gone: {e}")))?;
        let mut line = String::new();
        let read = self
            .output
            .read_line(&mut line)
            .map_err(|e| lost(&format!("can't be read: {e}")))?;
        if read == 0 {
            return Err(lost("ended without an answer"));
        }
        match serde_json::from_str(&line).map_err(|e| lost(&format!("said {line:?}: {e}")))? {
            Answer::Failed { error } => Err(error),
            Answer::Done {
                seconds,
                value,
                said,
            } => Ok(Timed {
                seconds,
                value,
                said,
            }),
        }
    }

    /// Frees the arrays that were read.
    pub(super) fn forget(&mut self) -> Result<(), String> {
        self.call(&json!({"op": "forget"})).map(|_| ())
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // Its loop ends with its input.
        drop(self.input.take());
        // Nothing can be done about a child that can't be waited for.
        let _ = self.child.wait();
    }
}
