//! What the benches share: floors measured in the same run, ratios to them, and seeded inputs.
//!
//! A floor is the time that the machine needs for the work no implementation can avoid: reading the operands
//! once, or evaluating the exponentials, or the multiply-adds at the rate of a large matrix product. On a shared
//! machine only the ratio means something, so the floor and the work are timed in turn and the fastest of each is
//! taken ([`compare`]).

#![forbid(unsafe_code)]

pub mod floors;

use std::time::Instant;

/// The fastest time of some work and of its floor, in seconds.
#[derive(Clone, Copy, Debug)]
pub struct Comparison {
    /// The fastest run of the work.
    pub work: f64,
    /// The fastest run of the floor.
    pub floor: f64,
}

impl Comparison {
    /// Before the first timing.
    pub const UNTIMED: Self = Self {
        work: f64::INFINITY,
        floor: f64::INFINITY,
    };

    /// How many times the floor the work takes.
    #[must_use]
    pub fn ratio(&self) -> f64 {
        self.work / self.floor
    }

    /// Prints one line: the bench's id, both times, the ratio, and what the floor is.
    pub fn print(&self, id: &str, floor: &str) {
        println!(
            "{id}: {:.4} ms, floor {:.4} ms ({floor}), ratio {:.2}",
            1e3 * self.work,
            1e3 * self.floor,
            self.ratio()
        );
    }
}

/// The time of one call, in seconds.
pub fn seconds(f: impl FnOnce()) -> f64 {
    let start = Instant::now();
    f();
    start.elapsed().as_secs_f64()
}

/// Times `floor` and `work` in turn until `budget` seconds have gone (three rounds at least), and keeps the
/// fastest of each.
pub fn compare(budget: f64, mut floor: impl FnMut(), mut work: impl FnMut()) -> Comparison {
    let mut best = Comparison::UNTIMED;
    let start = Instant::now();
    let mut rounds = 0;
    while rounds < 3 || start.elapsed().as_secs_f64() < budget {
        best.floor = best.floor.min(seconds(&mut floor));
        best.work = best.work.min(seconds(&mut work));
        rounds += 1;
    }
    best
}

/// `n` numbers spread over [0, 1), the same on every machine: the fractional parts of multiples of the golden
/// ratio.
#[must_use]
pub fn spread(n: usize) -> Vec<f64> {
    (0..n)
        .map(|i| (i as f64 * 0.618_033_988_749_894_9).fract())
        .collect()
}

/// [`spread`] rounded to f32.
#[must_use]
pub fn spread_f32(n: usize) -> Vec<f32> {
    spread(n).into_iter().map(|x| x as f32).collect()
}

/// As many threads as asked for: a rayon pool of their own, or none for one thread.
#[derive(Debug)]
pub struct Threads {
    count: usize,
    pool: Option<rayon::ThreadPool>,
}

impl Threads {
    /// Starts them.
    ///
    /// # Panics
    /// If the threads cannot be started.
    #[must_use]
    pub fn new(count: usize) -> Self {
        let pool =
            (count > 1).then(
                || match rayon::ThreadPoolBuilder::new().num_threads(count).build() {
                    Ok(pool) => pool,
                    Err(error) => panic!("no pool of {count} threads: {error}"),
                },
            );
        Self {
            count: count.max(1),
            pool,
        }
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.count
    }

    /// Runs `f` on them; on one thread, without a detour.
    pub fn run<T: Send>(&self, f: impl FnOnce() -> T + Send) -> T {
        match &self.pool {
            Some(pool) => pool.install(f),
            None => f(),
        }
    }
}
