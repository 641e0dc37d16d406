//! The memory column. Alone in its binary: the allocator counts what all threads do.

use std::path::Path;

use kantorovich::Registry;
use ot_compare::{Args, MemoryMeter};
use peak_alloc::PeakAlloc;

#[global_allocator]
static PEAK: PeakAlloc = PeakAlloc;

struct Meter(usize);

impl MemoryMeter for Meter {
    fn start(&mut self) {
        PEAK.reset_peak_usage();
        self.0 = PEAK.current_usage();
    }

    fn extra(&mut self) -> Option<u64> {
        Some(PEAK.peak_usage().saturating_sub(self.0) as u64)
    }
}

/// The network simplex keeps the memory of a small problem on its thread; every row has to count it all the same.
#[test]
fn memory_that_a_thread_keeps_counts_in_every_row() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let extra = |repeat| -> Vec<u64> {
        let args = Args {
            backends: vec![
                "network-simplex".into(),
                "auto".into(),
                "network-simplex".into(),
            ],
            problems: vec!["palettes".into()],
            repeat,
            ..Args::default()
        };
        let registry = Registry::new();
        let report = ot_compare::run(&root, &registry, &args, &mut Meter(0), &mut |_| {})
            .expect("the fixtures of the repository");
        let rows = report.problems.iter().flat_map(|p| &p.rows);
        let bytes = rows.map(|row| row.figures().and_then(|f| f.extra_bytes));
        bytes
            .map(|bytes| bytes.expect("solved and measured"))
            .collect()
    };
    let (once, often) = (extra(1), extra(5));
    let (least, most) = (
        once.iter().chain(&often).min().expect("rows"),
        once.iter().chain(&often).max().expect("rows"),
    );
    assert!(*least > 10_000 && 2 * least > *most, "{once:?} {often:?}");
}
