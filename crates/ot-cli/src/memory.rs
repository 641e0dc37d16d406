//! Memory figures: what a solve allocated, what the process had at most, what the machine has left.

use peak_alloc::PeakAlloc;

/// Counts the bytes that the process has allocated.
pub trait MemoryProbe {
    /// Bytes allocated now; `None` where nobody counts.
    fn current(&self) -> Option<u64>;

    /// The most bytes allocated at once since the last reset.
    fn peak(&self) -> Option<u64>;

    /// Starts a new peak at what is allocated now.
    fn reset_peak(&self);
}

impl MemoryProbe for PeakAlloc {
    fn current(&self) -> Option<u64> {
        // A running program has allocated something, unless this isn't its allocator.
        Some(self.current_usage() as u64).filter(|&bytes| bytes > 0)
    }

    fn peak(&self) -> Option<u64> {
        Some(self.peak_usage() as u64).filter(|&bytes| bytes > 0)
    }

    fn reset_peak(&self) {
        self.reset_peak_usage();
    }
}

/// The extra memory of one piece of work, and the process's peak around it.
pub(crate) struct Meter<'a> {
    probe: Option<&'a dyn MemoryProbe>,
    start: Option<u64>,
    peak_before: Option<u64>,
}

impl<'a> Meter<'a> {
    /// Starts to measure.
    pub(crate) fn start(probe: Option<&'a dyn MemoryProbe>) -> Self {
        let peak_before = probe.and_then(MemoryProbe::peak);
        if let Some(probe) = probe {
            probe.reset_peak();
        }
        Self {
            probe,
            start: probe.and_then(MemoryProbe::current),
            peak_before,
        }
    }

    /// The peak since the start, beyond what was there at the start.
    pub(crate) fn extra(&self) -> Option<u64> {
        let peak = self.probe?.peak()?;
        Some(peak.saturating_sub(self.start?))
    }

    /// The peak of the process: its resident memory where the system tells (Linux), else what it allocated.
    pub(crate) fn process_peak(&self) -> Option<u64> {
        resident_peak().or_else(|| {
            let now = self.probe.and_then(MemoryProbe::peak);
            self.peak_before.max(now)
        })
    }
}

/// `VmHWM` of this process.
fn resident_peak() -> Option<u64> {
    kib_line(
        &std::fs::read_to_string("/proc/self/status").ok()?,
        "VmHWM:",
    )
}

/// The memory that may still be taken: what the system says it has, or 8 GiB where it does not say.
pub(crate) fn available() -> u64 {
    std::fs::read_to_string("/proc/meminfo")
        .ok()
        .and_then(|text| kib_line(&text, "MemAvailable:"))
        .unwrap_or(8 << 30)
}

/// Bytes from a line such as `VmHWM:    1234 kB`.
fn kib_line(text: &str, label: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(label))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proc_lines_are_read() {
        let text = "Name:\tot\nVmHWM:\t    2048 kB\nVmRSS:\t 1 kB\n";
        assert_eq!(kib_line(text, "VmHWM:"), Some(2 << 20));
        assert_eq!(kib_line("VmHWM: many kB", "VmHWM:"), None);
        assert_eq!(kib_line("", "VmHWM:"), None);
        assert!(available() > 0);
    }
}
