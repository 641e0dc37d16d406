//! Reading takes the memory of the array, not of the file and the array.

#![allow(clippy::unwrap_used)] // in a test's helpers a panic is the report

use ot_data::{npy, npz};
use peak_alloc::PeakAlloc;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// One test, so that nothing else allocates meanwhile.
#[test]
fn reading_takes_the_arrays_own_size() {
    let (n, m) = (1000, 2000);
    let megabytes = (n * m * 8) as f32 / (1 << 20) as f32;
    let folder = tempfile::tempdir().unwrap();
    let (plain, archive) = (folder.path().join("c.npy"), folder.path().join("c.npz"));
    {
        let cost: Vec<f64> = (0..n * m).map(|k| k as f64).collect();
        npy::write(&plain, &[n, m], &cost).unwrap();
        let mut writer = npz::Writer::create(&archive).unwrap();
        writer.add("c", &[n, m], &cost).unwrap();
        writer.finish().unwrap();
    }
    for path in [plain, archive] {
        let before = MEMORY.current_usage_as_mb();
        MEMORY.reset_peak_usage();
        let cost = ot_data::read(&path).unwrap().into_matrix().unwrap();
        let taken = MEMORY.peak_usage_as_mb() - before;
        assert_eq!(
            (cost.dim(), cost[[n - 1, m - 1]]),
            ((n, m), (n * m - 1) as f64)
        );
        assert!(
            taken < megabytes + 1.0,
            "{}: {taken} of {megabytes} MB",
            path.display()
        );
    }
}
