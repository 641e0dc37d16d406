//! Ordinary differential equations by the pair of Dormand and Prince, orders 5 and 4, in steps of their own length.

use crate::Error;

/// Why an integration had to end.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum IntegrationError {
    /// The steps allowed did not reach the end.
    #[error(
        "{steps} steps came from t = {start} to {t} only, of {end}: allow more by `max_steps`, or raise `rtol` and `atol`"
    )]
    StepLimit {
        /// Steps taken, rejected ones included.
        steps: usize,
        /// Where it began.
        start: f64,
        /// Where it stood.
        t: f64,
        /// Where it was to end.
        end: f64,
    },
    /// Steps became shorter than numbers can tell: the solution has a pole or a jump there, or its tolerance is below rounding.
    #[error("step {step}: its length fell to {length:e} at t = {t}, below what rounding can tell")]
    StepTooSmall {
        /// The step, from 1 on.
        step: usize,
        /// Where it stood.
        t: f64,
        /// The length.
        length: f64,
    },
    /// The solution or its slope is no number, however short the step.
    #[error("step {step}: entry {place} at t = {t}, or its slope, is not finite")]
    NotFinite {
        /// The step, from 1 on.
        step: usize,
        /// Where it stood.
        t: f64,
        /// The entry.
        place: usize,
    },
}

/// An equation: from t and y it writes dy/dt.
pub type Slope<'a> = dyn FnMut(f64, &[f64], &mut [f64]) + 'a;

/// How an integration went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Steps {
    /// Steps that were accepted.
    pub taken: usize,
    /// Steps that were tried again at a smaller length.
    pub rejected: usize,
}

/// The adaptive Runge–Kutta pair DOPRI5 (Dormand and Prince, *A family of embedded Runge–Kutta formulae*, Journal of
/// Computational and Applied Mathematics 6, 1980), whose solution of order 5 goes on and whose difference to that of order 4
/// is held to the tolerances.
///
/// The state is one slice of f64 with one step length for all of it: a batch is integrated together. A step is accepted
/// where |difference| ≤ `atol` + `rtol`·max(|y|, |y after|) for *every* entry, so that no row of a batch is lost in a mean. Step
/// lengths follow the PI rule of Gustafsson (Hairer, Nørsett and Wanner, *Solving ordinary differential equations I*, II.4 and
/// IV.2). Time: 6 slopes a step, the seventh is the next step's first; memory: 9 states, kept from call to call in
/// [`Stages`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DormandPrince {
    /// Relative tolerance of each entry. Default: 1e-8.
    pub rtol: f64,
    /// Absolute tolerance of each entry. Default: 1e-8.
    pub atol: f64,
    /// Steps at most, rejected ones included. Default: 10 000.
    pub max_steps: usize,
    /// Length of the first step, without a sign; chosen from the first slopes if omitted.
    pub first_step: Option<f64>,
}

impl Default for DormandPrince {
    fn default() -> Self {
        Self {
            rtol: 1e-8,
            atol: 1e-8,
            max_steps: 10_000,
            first_step: None,
        }
    }
}

/// The room of an integration: nothing is allocated for a state of a length that it has seen.
#[derive(Debug, Clone, Default)]
pub struct Stages {
    slopes: [Vec<f64>; 7],
    argument: Vec<f64>,
    next: Vec<f64>,
}

/// Where the stages stand.
const C: [f64; 7] = [0.0, 0.2, 0.3, 0.8, 8.0 / 9.0, 1.0, 1.0];
/// What each stage adds of those before it; the last row is the solution of order 5.
const A: [&[f64]; 7] = [
    &[],
    &[1.0 / 5.0],
    &[3.0 / 40.0, 9.0 / 40.0],
    &[44.0 / 45.0, -56.0 / 15.0, 32.0 / 9.0],
    &[
        19372.0 / 6561.0,
        -25360.0 / 2187.0,
        64448.0 / 6561.0,
        -212.0 / 729.0,
    ],
    &[
        9017.0 / 3168.0,
        -355.0 / 33.0,
        46732.0 / 5247.0,
        49.0 / 176.0,
        -5103.0 / 18656.0,
    ],
    &[
        35.0 / 384.0,
        0.0,
        500.0 / 1113.0,
        125.0 / 192.0,
        -2187.0 / 6784.0,
        11.0 / 84.0,
    ],
];
/// Order 5 less order 4.
const E: [f64; 7] = [
    71.0 / 57600.0,
    0.0,
    -71.0 / 16695.0,
    71.0 / 1920.0,
    -17253.0 / 339_200.0,
    22.0 / 525.0,
    -1.0 / 40.0,
];

impl DormandPrince {
    /// # Errors
    /// A setting outside of its range.
    pub fn check(&self) -> Result<(), Error> {
        let refuse = |name, value, rule| Err(Error::Setting { name, value, rule });
        let fits = |value: f64| value >= 0.0 && value.is_finite();
        if !fits(self.rtol) {
            return refuse("rtol", self.rtol, "must be 0 or positive, and finite");
        }
        if !(fits(self.atol) && self.atol + self.rtol > 0.0) {
            let rule = "must be 0 or positive, and finite; `rtol` may be 0, too, but not both";
            return refuse("atol", self.atol, rule);
        }
        if self.max_steps == 0 {
            return refuse("max_steps", 0.0, "must be at least 1");
        }
        match self.first_step {
            Some(step) if !(step > 0.0 && step.is_finite()) => {
                refuse("first_step", step, "must be positive and finite")
            }
            _ => Ok(()),
        }
    }

    /// Takes `y` from t = `start` to `end`, forward or backward; `slope(t, y, dy)` writes dy/dt.
    ///
    /// # Errors
    /// Settings outside of their range; [`IntegrationError`], with `y` where the integration stood.
    pub fn integrate(
        &self,
        slope: &mut Slope<'_>,
        (start, end): (f64, f64),
        y: &mut [f64],
        room: &mut Stages,
    ) -> Result<Steps, Error> {
        self.check()?;
        let mut steps = Steps::default();
        let length = (end - start).abs();
        if !length.is_finite() {
            let value = if start.is_finite() { end } else { start };
            return Err(Error::NotFinite {
                argument: "times",
                place: usize::from(start.is_finite()),
                value,
            });
        }
        if length == 0.0 || y.is_empty() {
            return Ok(steps);
        }
        if let Some(place) = y.iter().position(|y| !y.is_finite()) {
            return Err(Error::NotFinite {
                argument: "y",
                place,
                value: y[place],
            });
        }
        let sign = (end - start).signum();
        room.resize(y.len());
        slope(start, y, &mut room.slopes[0]);
        check_slope(&room.slopes[0], 1, start)?;
        let first = self
            .first_step
            .unwrap_or_else(|| self.first(slope, (start, sign), y, room));
        let (mut h, mut done, mut last_error) = (first.min(length), 0.0, 1e-4_f64);
        let mut again = false;
        while done < length {
            let number = steps.taken + steps.rejected + 1;
            let t = start + sign * done;
            if number > self.max_steps {
                return Err(IntegrationError::StepLimit {
                    steps: number - 1,
                    start,
                    t,
                    end,
                }
                .into());
            }
            // A rest that is hardly longer than a step is taken with it.
            let whole = done + h * (1.0 + 1e-10) >= length;
            if whole {
                h = length - done;
            }
            let least = 4.0 * f64::EPSILON * t.abs().max(f64::MIN_POSITIVE);
            let error = match self.step(slope, (t, sign * h), y, room, number) {
                Ok(_) if h <= least => {
                    return Err(IntegrationError::StepTooSmall {
                        step: number,
                        t,
                        length: h,
                    }
                    .into());
                }
                // A step that was too long may have left the range of numbers; a shorter one is tried first.
                Err(failed) if h <= 10.0 * least => return Err(failed),
                error => error.unwrap_or(f64::INFINITY),
            };
            if error <= 1.0 {
                done = if whole { length } else { done + h };
                y.copy_from_slice(&room.next);
                room.slopes.swap(0, 6);
                let factor = 0.9 * error.max(1e-10).powf(-0.17) * last_error.powf(0.04);
                let most = if again { 1.0 } else { 10.0 };
                h *= factor.clamp(0.2, most);
                last_error = error.max(1e-4);
                again = false;
                steps.taken += 1;
            } else {
                h *= (0.9 * error.powf(-0.2)).max(0.1);
                again = true;
                steps.rejected += 1;
            }
        }
        Ok(steps)
    }

    /// A step of `h` from `t`: `room.next`, its slope, and the largest ratio of an entry's error to its tolerance.
    fn step(
        &self,
        slope: &mut Slope<'_>,
        (t, h): (f64, f64),
        y: &[f64],
        room: &mut Stages,
        number: usize,
    ) -> Result<f64, Error> {
        for s in 1..7 {
            let argument = if s == 6 {
                &mut room.next
            } else {
                &mut room.argument
            };
            argument.copy_from_slice(y);
            for (a, slope) in A[s].iter().zip(&room.slopes) {
                if *a != 0.0 {
                    let weight = h * a;
                    argument
                        .iter_mut()
                        .zip(slope)
                        .for_each(|(y, k)| *y += weight * k);
                }
            }
            slope(t + C[s] * h, argument, &mut room.slopes[s]);
            check_slope(&room.slopes[s], number, t + C[s] * h)?;
        }
        let mut worst = 0.0_f64;
        for (place, (y, next)) in y.iter().zip(&room.next).enumerate() {
            let error: f64 = E.iter().zip(&room.slopes).map(|(e, k)| e * k[place]).sum();
            let scale = self.atol + self.rtol * y.abs().max(next.abs());
            let error = (h * error).abs();
            if !next.is_finite() {
                return Err(IntegrationError::NotFinite {
                    step: number,
                    t: t + h,
                    place,
                }
                .into());
            }
            // 0/0 is no error: an entry that stands still at 0 under a relative tolerance.
            if error > 0.0 {
                worst = worst.max(error / scale);
            }
        }
        Ok(worst)
    }

    /// A first step such that its error is about the tolerance (Hairer, Nørsett and Wanner, II.4).
    fn first(
        &self,
        slope: &mut Slope<'_>,
        (start, sign): (f64, f64),
        y: &[f64],
        room: &mut Stages,
    ) -> f64 {
        let scale = |y: f64| (self.atol + self.rtol * y.abs()).max(f64::MIN_POSITIVE);
        let size = |values: &[f64]| {
            let all = values.iter().zip(y).map(|(v, y)| v.abs() / scale(*y));
            all.fold(0.0_f64, f64::max)
        };
        let (of_y, of_slope) = (size(y), size(&room.slopes[0]));
        let rough = if of_y < 1e-5 || of_slope < 1e-5 {
            1e-6
        } else {
            0.01 * of_y / of_slope
        };
        room.argument.copy_from_slice(y);
        let ahead = room.argument.iter_mut().zip(&room.slopes[0]);
        ahead.for_each(|(y, k)| *y += sign * rough * k);
        slope(start + sign * rough, &room.argument, &mut room.slopes[1]);
        let change = room.slopes[1].iter().zip(&room.slopes[0]).zip(y);
        let bend = change
            .map(|((after, before), y)| (after - before).abs() / scale(*y))
            .fold(0.0_f64, f64::max)
            / rough;
        let steepest = of_slope.max(bend);
        let fine = if steepest <= 1e-15 {
            (1e-3 * rough).max(1e-6)
        } else {
            (0.01 / steepest).powf(0.2)
        };
        // A slope that is no number is found in the step.
        if fine.is_finite() {
            fine.min(100.0 * rough)
        } else {
            rough
        }
    }
}

fn check_slope(slope: &[f64], step: usize, t: f64) -> Result<(), Error> {
    match slope.iter().position(|k| !k.is_finite()) {
        Some(place) => Err(IntegrationError::NotFinite { step, t, place }.into()),
        None => Ok(()),
    }
}

impl Stages {
    fn resize(&mut self, len: usize) {
        for room in &mut self.slopes {
            room.resize(len, 0.0);
        }
        self.argument.resize(len, 0.0);
        self.next.resize(len, 0.0);
    }
}
