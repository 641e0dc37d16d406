//! Numbers in order together with what belongs to them.

use rayon::prelude::*;

/// How many entries a bucket is meant to hold: they and their copy stay in the first-level cache.
const BUCKET: usize = 512;
/// More streams than these at once and each write waits for its page.
const BUCKETS: usize = 4096;
/// Below so many entries a comparison sort is the faster one.
const FEW: usize = 32;
/// A bucket with so many entries at one of its places is left to comparisons.
const CROWD: u32 = 24;
/// From so many entries on buckets are sorted in parallel.
const MANY: usize = 1 << 15;

/// Numbers with what they carry.
pub type Entry<C> = (f64, C);

/// `keys` in ascending order, each with `carry(position)`; equal keys in order of position. No key may be NaN.
///
/// Two rounds, each by a number's place between the least and the largest: once into buckets that fit the cache, once
/// within each of them. So what is carried moves twice, where an order of positions would fetch it from anywhere. O(n)
/// where numbers don't crowd at a few places of their range; a bucket that holds many starts anew with its own range, and
/// O(n log n) in any case. Memory two entries a key.
#[must_use]
pub fn carried<C: Copy + Default + Send + Sync>(
    keys: &[f64],
    carry: impl Fn(usize) -> C,
) -> Vec<Entry<C>> {
    let entry = |i: usize| (keys[i], carry(i));
    let Some(range) = Range::of(keys.iter().copied()) else {
        return (0..keys.len()).map(entry).collect();
    };
    let count = buckets(keys.len());
    let Some(scale) = range.scale(count).filter(|_| keys.len() > FEW) else {
        let mut all: Vec<_> = (0..keys.len()).map(entry).collect();
        by_comparison(&mut all);
        return all;
    };
    let mut ends = vec![0_usize; count];
    for &key in keys {
        ends[range.place(key, scale, count)] += 1;
    }
    let mut next = 0;
    for end in &mut ends {
        (*end, next) = (next, next + *end);
    }
    let mut all = vec![(0.0, C::default()); keys.len()];
    for (i, &key) in keys.iter().enumerate() {
        let at = &mut ends[range.place(key, scale, count)];
        all[*at] = (key, carry(i));
        *at += 1;
    }
    let mut rest = all.as_mut_slice();
    let mut before = 0;
    let mut parts = Vec::with_capacity(count);
    for end in ends {
        let (part, behind) = rest.split_at_mut(end - before);
        parts.push(part);
        (rest, before) = (behind, end);
    }
    let most = keys.len() - keys.len() / 8;
    if keys.len() >= MANY {
        let shared = parts.into_par_iter().with_min_len(16);
        shared.for_each_init(Scratch::default, |scratch, part| {
            scratch.sort(part, most);
        });
    } else {
        let mut scratch = Scratch::default();
        parts.into_iter().for_each(|part| scratch.sort(part, most));
    }
    all
}

/// Buckets of `len` entries, a power of two.
fn buckets(len: usize) -> usize {
    (len / BUCKET).next_power_of_two().min(BUCKETS)
}

/// Halves of the least and the largest, so that their difference is finite.
#[derive(Clone, Copy)]
struct Range {
    low: f64,
    high: f64,
}

impl Range {
    /// `None` where the keys are in order already.
    fn of(keys: impl Iterator<Item = f64>) -> Option<Self> {
        let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
        let (mut sorted, mut before) = (true, f64::NEG_INFINITY);
        for key in keys {
            low = if key < low { key } else { low };
            high = if key > high { key } else { high };
            sorted &= before <= key;
            before = key;
        }
        let (low, high) = (0.5 * low, 0.5 * high);
        (!sorted).then_some(Self { low, high })
    }

    /// Places for a unit of half a key; `None` where the range has no length or no end.
    fn scale(self, places: usize) -> Option<f64> {
        let scale = places as f64 / (self.high - self.low);
        (scale.is_finite() && scale > 0.0).then_some(scale)
    }

    /// Ascends with the key: each of its steps does.
    #[inline(always)]
    fn place(self, key: f64, scale: f64, places: usize) -> usize {
        (((0.5 * key - self.low) * scale) as u32 as usize).min(places - 1)
    }
}

/// A stable sort; signed zeros are the same number.
fn by_comparison<C>(entries: &mut [Entry<C>]) {
    entries.sort_by(|x, y| x.0.partial_cmp(&y.0).unwrap_or_else(|| x.0.total_cmp(&y.0)));
}

/// Room for a bucket.
struct Scratch<C> {
    counts: Vec<u32>,
    copy: Vec<Entry<C>>,
}

impl<C> Default for Scratch<C> {
    fn default() -> Self {
        Self {
            counts: Vec::new(),
            copy: Vec::new(),
        }
    }
}

impl<C: Copy + Default + Send + Sync> Scratch<C> {
    /// Sorts a bucket of an array; one with more than `most` entries would go through the same again and again.
    fn sort(&mut self, entries: &mut [Entry<C>], most: usize) {
        let len = entries.len();
        if len <= FEW {
            return insert(entries);
        }
        let Some(range) = Range::of(entries.iter().map(|e| e.0)) else {
            return;
        };
        if len > 16 * BUCKET && len <= most {
            let keys: Vec<f64> = entries.iter().map(|e| e.0).collect();
            let sorted = carried(&keys, |i| entries[i].1);
            return entries.copy_from_slice(&sorted);
        }
        // Above that size it is one that holds nearly all of them.
        let scale = range.scale(len).filter(|_| len <= 16 * BUCKET);
        let Some(scale) = scale else {
            return by_comparison(entries);
        };
        self.counts.clear();
        self.counts.resize(len, 0);
        for (key, _) in &*entries {
            self.counts[range.place(*key, scale, len)] += 1;
        }
        let (mut next, mut largest) = (0, 0);
        for count in &mut self.counts {
            largest = largest.max(*count);
            (*count, next) = (next, next + *count);
        }
        if largest > CROWD {
            return by_comparison(entries);
        }
        self.copy.clear();
        self.copy.extend_from_slice(entries);
        for entry in &self.copy {
            let at = &mut self.counts[range.place(entry.0, scale, len)];
            entries[*at as usize] = *entry;
            *at += 1;
        }
        insert(entries);
    }
}

/// Insertion sort, for entries that stand near their places.
fn insert<C: Copy>(entries: &mut [Entry<C>]) {
    for i in 1..entries.len() {
        let entry = entries[i];
        let mut at = i;
        while at > 0 && entries[at - 1].0 > entry.0 {
            entries[at] = entries[at - 1];
            at -= 1;
        }
        entries[at] = entry;
    }
}
