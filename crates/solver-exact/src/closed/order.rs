//! Sorting of numbers with their places.

/// From here on by digits.
const BY_DIGITS: usize = 1 << 11;
/// Bits of a digit: six digits to a number, counts that the first cache holds.
const BITS: u32 = 11;
const DIGITS: usize = u64::BITS.div_ceil(BITS) as usize;

/// The numbers (none is NaN) in ascending order, and where each stood; equal ones in the order of their places. O(n).
pub(super) fn sorted(values: &[f64]) -> (Vec<f64>, Vec<u32>) {
    let mut pairs: Vec<(u64, u32)> = (values.iter().zip(0..))
        .map(|(&v, k)| (key(v), k))
        .collect();
    if pairs.len() < BY_DIGITS {
        pairs.sort_unstable();
    } else {
        by_digits(&mut pairs);
    }
    let places: Vec<u32> = pairs.iter().map(|pair| pair.1).collect();
    (places.iter().map(|&k| values[k as usize]).collect(), places)
}

/// An integer that is in order where the numbers are: of negative ones all bits are turned, of others the sign. −0 is 0.
fn key(value: f64) -> u64 {
    let bits = (value + 0.0).to_bits();
    bits ^ if bits >> 63 == 1 { u64::MAX } else { 1 << 63 }
}

/// Sorts by the lowest digit first, each pass stable.
fn by_digits(pairs: &mut Vec<(u64, u32)>) {
    let digit = |key: u64, d: usize| (key >> (BITS * d as u32)) as usize & ((1 << BITS) - 1);
    let mut counts = vec![[0_u32; 1 << BITS]; DIGITS];
    for &(key, _) in pairs.iter() {
        for (d, counts) in counts.iter_mut().enumerate() {
            counts[digit(key, d)] += 1;
        }
    }
    let mut room = vec![(0, 0); pairs.len()];
    for (d, counts) in counts.iter_mut().enumerate() {
        if counts[digit(pairs[0].0, d)] as usize == pairs.len() {
            continue;
        }
        let mut before = 0;
        for count in counts.iter_mut() {
            (before, *count) = (before + *count, before);
        }
        for &pair in pairs.iter() {
            let at = &mut counts[digit(pair.0, d)];
            room[*at as usize] = pair;
            *at += 1;
        }
        std::mem::swap(pairs, &mut room);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_and_many_numbers_come_in_order() {
        for n in [1, 7, BY_DIGITS - 1, 3 * BY_DIGITS] {
            let values: Vec<f64> = (0..n as u64)
                .map(|k| match k.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 48 {
                    w if w % 7 == 0 => 0.0,
                    w if w % 7 == 1 => -0.0,
                    w => (w as f64 - 3e4) * 10_f64.powi((w % 40) as i32 - 20),
                })
                .collect();
            let (ordered, places) = sorted(&values);
            assert!(ordered.windows(2).all(|w| w[0] <= w[1]));
            for k in 0..n {
                assert_eq!(ordered[k], values[places[k] as usize]);
                assert!(k == 0 || ordered[k - 1] < ordered[k] || places[k - 1] < places[k]);
            }
        }
    }
}
