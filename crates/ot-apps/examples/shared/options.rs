//! The options that examples share.

use std::error::Error;
use std::path::PathBuf;

pub(crate) type Outcome<T = ()> = Result<T, Box<dyn Error>>;

/// `--full`, `--data DIR` and counts such as `--seeds 3`.
pub(crate) struct Args {
    pub(crate) full: bool,
    pub(crate) data: Option<PathBuf>,
    counts: Vec<(String, usize)>,
}

impl Args {
    /// Of the process; `counts` are the names that take a number.
    pub(crate) fn read(counts: &[&str]) -> Outcome<Self> {
        let mut read = Self {
            full: false,
            data: None,
            counts: Vec::new(),
        };
        let mut args = std::env::args().skip(1);
        while let Some(arg) = args.next() {
            let mut value = || args.next().ok_or_else(|| format!("`{arg}` needs a value"));
            match arg.strip_prefix("--") {
                Some("full") => read.full = true,
                Some("data") => read.data = Some(value()?.into()),
                Some(name) if counts.contains(&name) => {
                    let text = value()?;
                    let count = text.parse().ok().filter(|count| *count > 0);
                    let count =
                        count.ok_or(format!("`{arg}` = {text}: must be a count, 1 or more"))?;
                    read.counts.push((name.to_owned(), count));
                }
                _ => {
                    let counts = counts.iter().map(|c| format!(", --{c} N"));
                    let known: String = counts.collect();
                    return Err(format!("`{arg}`: there are --full, --data DIR{known}").into());
                }
            }
        }
        Ok(read)
    }

    /// A count that was given, or the one of the quick or the full protocol.
    pub(crate) fn count(&self, name: &str, quick: usize, full: usize) -> usize {
        let given = self.counts.iter().rev().find(|(n, _)| n == name);
        given.map_or(if self.full { full } else { quick }, |(_, count)| *count)
    }
}
