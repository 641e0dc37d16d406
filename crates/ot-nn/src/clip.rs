//! Gradients kept from growing.

use crate::finite::check_finite;
use crate::{Error, Number};

fn check(limit: f64) -> Result<(), Error> {
    if limit > 0.0 && limit.is_finite() {
        return Ok(());
    }
    Err(Error::Setting {
        name: "limit",
        value: limit,
        rule: "must be positive and finite",
    })
}

/// Takes every number to the nearest one from −`limit` to `limit`.
///
/// # Errors
/// A limit that is not positive and finite, and a gradient that is not finite, which is left as it was: an infinite entry cut
/// down to `limit` would hide that a step has gone wrong.
pub fn clip_value<T: Number>(gradient: &mut [T], limit: f64) -> Result<(), Error> {
    check(limit)?;
    check_finite("gradient", gradient)?;
    let most = T::from_f64(limit);
    for g in gradient {
        *g = if *g > most {
            most
        } else if *g < -most {
            -most
        } else {
            *g
        };
    }
    Ok(())
}

/// Scales all `gradients` together so that their norm, the root of the sum of all squares, is at most `limit`, and returns what
/// it was (Pascanu, Mikolov and Bengio, 2013, algorithm 1). One network: `clip_norm(&mut [&mut gradient], limit)`.
///
/// # Errors
/// A limit that is not positive and finite, and gradients that are not finite, which are left as they were.
pub fn clip_norm<T: Number>(gradients: &mut [&mut [T]], limit: f64) -> Result<f64, Error> {
    check(limit)?;
    for gradient in gradients.iter() {
        check_finite("gradient", gradient)?;
    }
    let of = |scale: f64| {
        let all = gradients.iter().flat_map(|gradient| gradient.iter());
        all.map(|g| (g.wide() * scale).powi(2)).sum::<f64>().sqrt() / scale
    };
    let mut norm = of(1.0);
    if !norm.is_finite() {
        // Squares beyond the range of numbers.
        norm = of(1e-200);
    }
    if norm > limit {
        let factor = T::from_f64(limit / norm);
        for gradient in gradients.iter_mut() {
            gradient.iter_mut().for_each(|g| *g *= factor);
        }
    }
    Ok(norm)
}
