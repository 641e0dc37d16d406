//! The order of numbers, by their places in their range; and of points.

mod carried;
mod kd;

pub use carried::{Entry, carried};
pub use kd::kd;

/// Bits of a number's place between the least and the largest that a pass sorts by: three passes for 32.
const DIGITS: [(u32, u32); 3] = [(0, 11), (11, 11), (22, 10)];
/// Below so many numbers a comparison sort is the faster one.
const FEW: usize = 256;
/// A stretch of numbers with one place is sorted by comparisons up to this length, and by its own places above it.
const STRETCH: usize = 2048;

/// The positions of `keys` in ascending order of key, equal keys in order of position. No key may be NaN.
///
/// O(n) for any distribution whose numbers don't crowd at one place of their range, which costs a further round for the
/// crowd: each number's place in the range, in 32 bits, is sorted by radix (three passes over 8 bytes each), and what
/// shares one is sorted by itself. Memory 16 bytes a key.
///
/// # Panics
/// If there are more than 2³² keys.
#[must_use]
pub fn ascending(keys: &[f64]) -> Vec<u32> {
    assert!(
        u32::try_from(keys.len()).is_ok(),
        "positions are counted in 32 bits"
    );
    let mut order: Vec<u32> = (0..keys.len() as u32).collect();
    sort(keys, &mut order);
    order
}

/// Sorts `order`, whose positions ascend, by their keys.
fn sort(keys: &[f64], order: &mut [u32]) {
    let compare = |i: &u32, j: &u32| keys[*i as usize].total_cmp(&keys[*j as usize]);
    let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
    let (mut sorted, mut before) = (true, f64::NEG_INFINITY);
    for &i in order.iter() {
        let key = keys[i as usize];
        low = low.min(key);
        high = high.max(key);
        sorted &= before <= key;
        before = key;
    }
    if sorted {
        return;
    }
    // Halves, so that the range of finite keys is finite.
    let scale = f64::from(u32::MAX) / (0.5 * high - 0.5 * low);
    if order.len() < FEW || !scale.is_finite() {
        // Signed zeros are the same number: a stable sort of numbers, not of bits.
        order.sort_by(|i, j| {
            let (x, y) = (keys[*i as usize], keys[*j as usize]);
            x.partial_cmp(&y).unwrap_or_else(|| compare(i, j))
        });
        return;
    }
    let place = |key: f64| ((0.5 * key - 0.5 * low) * scale) as u32;
    let mut counts = [[0_u32; 1 << 11]; 3];
    let mut from: Vec<u64> = Vec::with_capacity(order.len());
    for &i in order.iter() {
        let place = place(keys[i as usize]);
        for ((shift, bits), counts) in DIGITS.iter().zip(&mut counts) {
            counts[(place >> shift & ((1 << bits) - 1)) as usize] += 1;
        }
        from.push(u64::from(place) << 32 | u64::from(i));
    }
    let mut to = vec![0_u64; order.len()];
    for ((shift, bits), counts) in DIGITS.iter().zip(&mut counts) {
        let mut next = 0;
        for count in counts.iter_mut() {
            (*count, next) = (next, next + *count);
        }
        for &entry in &from {
            let at = &mut counts[(entry >> (32 + shift) & ((1 << bits) - 1)) as usize];
            to[*at as usize] = entry;
            *at += 1;
        }
        std::mem::swap(&mut from, &mut to);
    }
    drop(to);
    for (slot, entry) in order.iter_mut().zip(&from) {
        *slot = *entry as u32;
    }
    let mut start = 0;
    while start < from.len() {
        let place = from[start] >> 32;
        let length = from[start..]
            .iter()
            .take_while(|e| *e >> 32 == place)
            .count();
        if length > 1 {
            let stretch = &mut order[start..start + length];
            if length > STRETCH && length < order_limit(from.len()) {
                sort(keys, stretch);
            } else {
                stretch.sort_by(|i, j| {
                    let (x, y) = (keys[*i as usize], keys[*j as usize]);
                    x.partial_cmp(&y).unwrap_or_else(|| compare(i, j))
                });
            }
        }
        start += length;
    }
}

/// A stretch that holds nearly everything is compared: with an outlier beyond 2³² times the rest, each round would take
/// off one number alone.
fn order_limit(all: usize) -> usize {
    all - all / 8
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(keys: &[f64]) {
        let found = ascending(keys);
        let mut want: Vec<u32> = (0..keys.len() as u32).collect();
        want.sort_by(|i, j| keys[*i as usize].partial_cmp(&keys[*j as usize]).unwrap());
        assert_eq!(found, want);
        let carried = carried(keys, |i| i as u32);
        let positions: Vec<u32> = carried.iter().map(|(_, i)| *i).collect();
        assert_eq!(positions, want);
        assert!(carried.iter().all(|(key, i)| *key == keys[*i as usize]));
    }

    /// Numbers in [0, 1).
    fn noise(n: usize) -> Vec<f64> {
        let mut state = 88_172_645_463_325_252_u64;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 11) as f64 / (1_u64 << 53) as f64
        };
        (0..n).map(|_| next()).collect()
    }

    #[test]
    fn any_distribution_is_ordered() {
        for n in [0, 1, 2, 100, 255, 256, 1000, 20_000, 40_000] {
            let u = noise(n);
            check(&u);
            check(&u.iter().map(|u| (8.0 * u).floor()).collect::<Vec<_>>());
            check(&u.iter().map(|u| 1.0 + 1e-13 * u).collect::<Vec<_>>());
            check(&u.iter().map(|u| (u - 0.5).powi(-9)).collect::<Vec<_>>());
            check(
                &u.iter()
                    .map(|u| (1e3 * (u - 0.5)).exp())
                    .collect::<Vec<_>>(),
            );
            check(
                &u.iter()
                    .map(|u| if *u < 0.5 { -0.0 } else { 0.0 })
                    .collect::<Vec<_>>(),
            );
            check(&u.iter().rev().copied().collect::<Vec<_>>());
            let mut extreme: Vec<f64> = u.iter().map(|u| 1e-300 * u).collect();
            extreme.extend([f64::MAX, f64::MIN, f64::MIN_POSITIVE, -5e-324]);
            check(&extreme);
        }
    }

    #[test]
    fn infinities_stand_at_the_ends() {
        let mut keys = noise(1000);
        (keys[3], keys[500]) = (f64::INFINITY, f64::NEG_INFINITY);
        check(&keys);
    }
}
