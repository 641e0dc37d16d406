//! Memory figures of solves in one process. Alone in its binary: the allocator counts what all threads do.

#![allow(clippy::unwrap_used)] // helpers of tests may unwrap, as tests do

use kantorovich::Registry;
use ot_cli::{Cli, Exit, PeakAlloc};
use serde_json::Value;

#[global_allocator]
static PEAK: PeakAlloc = PeakAlloc;

#[cfg(feature = "network-simplex")]
#[test]
fn memory_that_a_thread_keeps_counts_every_time() {
    let folder = tempfile::tempdir().unwrap();
    let n = 100;
    let cost: Vec<f64> = (0..n * n).map(|k| ((k * k) % 1009) as f64).collect();
    let path = folder.path().join("cost.npy");
    ot_data::npy::write(&path, &[n, n], &cost).unwrap();
    let registry = Registry::new();
    let extra = || {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let args = [
            "ot",
            "solve",
            "--backend",
            "network-simplex",
            "--json",
            "--cost",
        ];
        let args = args.map(str::to_owned).into_iter();
        let args = args.chain([path.display().to_string()]);
        let exit = Cli::new(&registry)
            .memory(&PeakAlloc)
            .run(args, &mut out, &mut err);
        assert_eq!(exit, Exit::Solved, "{}", String::from_utf8_lossy(&err));
        let json: Value = serde_json::from_slice(&out).unwrap();
        json["extra_bytes"].as_u64().unwrap()
    };
    let (first, second) = (extra(), extra());
    assert!(first > 50_000, "{first}");
    assert!(2 * second > first, "{first} at first, {second} then");
}
