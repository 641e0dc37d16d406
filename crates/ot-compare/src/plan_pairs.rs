//! The plan of a small case by an exact and an entropic solver, in an order in which its shape shows.

use ndarray::Array2;
use ot_data::fixtures::{Fixture, FixtureCost};
use solver_api::Solution;

use crate::picture::{DrawnPlan, PlanPair, shares, triples};

/// Drawings of more cells than this would be heavy, and too fine to see.
const MOST_CELLS: usize = 60_000;
/// Cells below this share of the largest are not drawn.
const FAINTEST: f64 = 1e-3;
/// Groups into which a palette is drawn.
const GROUPS: usize = 28;

/// Whether the plans of `fixture` are drawn: it is small, and its points have an order.
pub(crate) fn is_drawn(fixture: &Fixture) -> bool {
    let (n, m) = fixture.cost.dim();
    n * m <= MOST_CELLS
        && matches!(&fixture.cost, FixtureCost::Points { x, .. } if x.ncols() == 1 || is_colours(fixture))
}

fn is_colours(fixture: &Fixture) -> bool {
    fixture.entry.kind == "colours"
}

/// The first exact and the first two entropic of `solved`, if there is an exact one.
pub(crate) fn pair(fixture: &Fixture, solved: &[(String, Solution)]) -> Option<PlanPair> {
    let FixtureCost::Points { x, y, .. } = &fixture.cost else {
        return None;
    };
    let coloured = is_colours(fixture);
    let side = |points: &Array2<f64>, weights: Vec<f64>| {
        Side::new(triples(points), &shares(&weights), coloured)
    };
    let (rows, cols) = (side(x, fixture.a.to_vec()), side(y, fixture.b.to_vec()));
    let exact = solved.iter().find(|(_, s)| s.reg == 0.0)?;
    let entropic = solved.iter().filter(|(_, s)| s.reg > 0.0).take(2);
    let plans = std::iter::once(exact)
        .chain(entropic)
        .map(|(label, solution)| drawn(label, solution, &rows, &cols))
        .collect();
    Some(PlanPair {
        title: fixture.entry.title.clone(),
        plans,
        colours: coloured.then_some([rows.colours, cols.colours]),
        marginals: [rows.mass, cols.mass],
    })
}

/// The points of one side in the order in which they are drawn; colours in groups, since hundreds of cells
/// would be too fine to see.
struct Side {
    /// Where point i is drawn.
    place: Vec<usize>,
    /// Mass at each place.
    mass: Vec<f64>,
    /// Mean colour at each place.
    colours: Vec<[f64; 3]>,
}

impl Side {
    fn new(points: Vec<[f64; 3]>, shares: &[f64], coloured: bool) -> Self {
        // Positions on the line, or how light a colour is.
        let key = |p: &[f64; 3]| {
            if coloured {
                0.299 * p[0] + 0.587 * p[1] + 0.114 * p[2]
            } else {
                p[0]
            }
        };
        let mut order: Vec<usize> = (0..points.len()).collect();
        order.sort_by(|&i, &j| key(&points[i]).total_cmp(&key(&points[j])));
        let mut place = vec![0; points.len()];
        let (mut mass, mut colours): (Vec<f64>, Vec<[f64; 3]>) = (Vec::new(), Vec::new());
        let mut before = 0.0;
        let mut group = None;
        for (rank, &i) in order.iter().enumerate() {
            let wanted = if coloured {
                ((before + 0.5 * shares[i]) * GROUPS as f64) as usize
            } else {
                rank
            };
            if group != Some(wanted) {
                group = Some(wanted);
                mass.push(0.0);
                colours.push([0.0; 3]);
            }
            let at = mass.len() - 1;
            place[i] = at;
            before += shares[i];
            mass[at] += shares[i];
            for (sum, channel) in colours[at].iter_mut().zip(points[i]) {
                *sum += shares[i] * channel;
            }
        }
        for (colour, mass) in colours.iter_mut().zip(&mass) {
            colour
                .iter_mut()
                .for_each(|c| *c /= mass.max(f64::MIN_POSITIVE));
        }
        Self {
            place,
            mass,
            colours,
        }
    }
}

fn drawn(label: &str, solution: &Solution, rows: &Side, cols: &Side) -> DrawnPlan {
    let mut grid = vec![0.0; rows.mass.len() * cols.mass.len()];
    let (mut values, mut fullest) = (Vec::new(), 0.0_f64);
    solution.plan.for_each_above(0.0, |i, j, p| {
        grid[rows.place[i] * cols.mass.len() + cols.place[j]] += p / solution.mass;
        fullest = fullest.max(p);
        values.push(p);
    });
    let cells = values.iter().filter(|p| **p > FAINTEST * fullest).count();
    let largest = grid.iter().copied().fold(0.0, f64::max);
    let entries = grid
        .iter()
        .enumerate()
        .filter(|(_, p)| **p > FAINTEST * largest)
        .map(|(k, &p)| (k / cols.mass.len(), k % cols.mass.len(), p))
        .collect();
    DrawnPlan {
        label: label.to_owned(),
        cells,
        entries,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_are_drawn_in_order() {
        let side = Side::new(
            vec![[3.0, 0.0, 0.0], [1.0, 0.0, 0.0], [2.0, 0.0, 0.0]],
            &[0.5, 0.2, 0.3],
            false,
        );
        assert_eq!(side.place, [2, 0, 1]);
        assert_eq!(side.mass, [0.2, 0.3, 0.5]);
    }

    #[test]
    fn colours_are_drawn_in_groups_that_keep_the_mass() {
        let greys: Vec<[f64; 3]> = (0..200).map(|k| [f64::from(k) / 200.0; 3]).collect();
        let side = Side::new(greys, &[0.005; 200], true);
        assert_eq!(side.mass.len(), GROUPS);
        assert!((side.mass.iter().sum::<f64>() - 1.0).abs() < 1e-12);
        assert!(side.colours.windows(2).all(|w| w[0][0] < w[1][0]));
    }
}
