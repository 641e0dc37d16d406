//! Contract 1: bad input is refused with argument, index, value and rule; odd but valid input gets a correct answer.

use std::sync::Arc;

use super::cases::{self, Case, Random, dense, text};
use super::domain;
use super::subject::Subject;
use super::{Suite, Verdict, verify};
use crate::{
    Capability, Cost, CostRange, DenseCost, Error, GridCost, GridGround, Ground, Infeasible,
    Marginals, Measure, Options, PointCost, Problem, Reg, SparseCost,
};

pub(super) fn section(suite: &mut Suite<'_>) {
    use Capability::{Balanced, Entropic, ForbiddenPairs};
    suite.check_anywhere("bad measures, costs and shapes are refused", &[], |_| {
        bad_data()
    });
    suite.check_anywhere("bad settings are refused", &[], bad_settings);
    suite.check_anywhere("a bad regularization is refused", &[Entropic], bad_reg);
    suite.check("odd but valid problems are solved", &[Balanced], |s| {
        solve_all(s, cases::odd()?)
    });
    if suite.subject.expect.domain.is_some() {
        suite.check_anywhere(
            "odd but valid problems of the domain are solved",
            &[Balanced],
            domain::odd,
        );
        suite.check_anywhere(
            "problems beyond the domain are refused",
            &[Balanced],
            domain::beyond,
        );
    }
    suite.check(
        "every way to store a cost gives the same answer",
        &[Balanced],
        kinds_of_cost,
    );
    suite.check(
        "forbidden pairs are left empty",
        &[Balanced, ForbiddenPairs],
        |s| solve_all(s, cases::masked()?),
    );
    suite.check(
        "infeasible problems come back with a proof",
        &[Balanced, ForbiddenPairs],
        infeasible,
    );
    suite.check(
        "a hard side of a relaxed problem needs partners",
        &[Capability::Relaxed, ForbiddenPairs],
        lonely,
    );
    suite.check_anywhere("what the solver lacks is refused by name", &[], unsupported);
}

fn solve_all(subject: &Subject<'_>, list: Vec<Case>) -> Verdict {
    for Case { name, problem } in list {
        subject.solve(name, &problem)?;
    }
    Ok(())
}

/// A cost that is nothing but its accessors.
#[derive(Debug)]
struct Opaque(DenseCost);

impl Cost for Opaque {
    fn shape(&self) -> (usize, usize) {
        self.0.shape()
    }
    fn row(&self, i: usize, out: &mut [f64]) {
        self.0.row(i, out);
    }
    fn range(&self) -> CostRange {
        self.0.range()
    }
}

/// Gives NaN at (1, 0), which only `Problem` can notice.
#[derive(Debug)]
struct Lying;

impl Cost for Lying {
    fn shape(&self) -> (usize, usize) {
        (2, 2)
    }
    fn row(&self, i: usize, out: &mut [f64]) {
        out.copy_from_slice(if i == 0 {
            &[0.0, 1.0]
        } else {
            &[f64::NAN, 1.0]
        });
    }
    fn range(&self) -> CostRange {
        CostRange {
            min: 0.0,
            max: 1.0,
            forbidden: 0,
        }
    }
}

fn bad_data() -> Verdict {
    let (nan, inf) = (f64::NAN, f64::INFINITY);
    let half = [0.5, 0.5];
    let cost = [0.0, 1.0, 1.0, 0.0];
    let of = |a: &[f64], b: &[f64], c: &[f64]| Problem::from_slices(a, b, c).map(|_| ());
    refused(
        "NaN in `a`",
        of(&[0.5, nan], &half, &cost),
        &["`a`", "[1]", "NaN"],
    )?;
    refused(
        "infinite weight",
        of(&[inf, 0.5], &half, &cost),
        &["`a`", "[0]", "inf"],
    )?;
    refused(
        "negative weight",
        of(&half, &[1.5, -0.5], &cost),
        &["`b`", "[1]", "-0.5"],
    )?;
    refused(
        "zero mass",
        of(&half, &[0.0, 0.0], &cost),
        &["`b`", "mass 0"],
    )?;
    refused("no weights", of(&[], &half, &cost), &["`a`", "0 entries"])?;
    refused(
        "NaN cost",
        of(&half, &half, &[0.0, 1.0, nan, 0.0]),
        &["`cost`", "[1, 0]", "NaN"],
    )?;
    refused(
        "−∞ cost",
        of(&half, &half, &[0.0, -inf, 1.0, 0.0]),
        &["`cost`", "[0, 1]", "-inf"],
    )?;
    refused(
        "short cost",
        of(&half, &half, &cost[..3]),
        &["`cost`", "3", "2×2"],
    )?;
    let shared: Arc<dyn Cost> = Arc::new(text(DenseCost::new(2, 2, cost.as_slice()))?);
    let (two, three) = (text(Measure::uniform(2))?, text(Measure::uniform(3))?);
    let of = |a: &Measure, b: &Measure| {
        Problem::new(a.clone(), b.clone(), Arc::clone(&shared)).map(|_| ())
    };
    refused(
        "`a` does not fit",
        of(&three, &two),
        &["`a`", "3", "2 rows"],
    )?;
    refused(
        "`b` does not fit",
        of(&two, &three),
        &["`b`", "3", "2 columns"],
    )?;
    let off = |by: f64| text(Measure::new(vec![0.5, 0.5 + by]));
    refused(
        "masses differ by 1e-8",
        of(&two, &off(1e-8)?),
        &["mass", "1e-9"],
    )?;
    accepted("masses differ by 5e-10", of(&two, &off(5e-10)?))?;
    let narrow = |by: f32| text(Measure::from_f32("b", &[0.5, 0.5 + by]));
    accepted(
        "single-precision masses differ by 5e-6",
        of(&two, &narrow(5e-6)?),
    )?;
    refused(
        "single-precision masses differ by 1e-4",
        of(&two, &narrow(1e-4)?),
        &["mass", "1e-5"],
    )?;
    let lying = Problem::new(two.clone(), two.clone(), Arc::new(Lying)).map(|_| ());
    refused(
        "a cost of the caller's that gives NaN",
        lying,
        &["`cost`", "[1, 0]", "NaN"],
    )?;
    let points = PointCost::new(vec![0.0, nan], vec![0.0, 0.0], 2, Ground::Euclidean).map(|_| ());
    refused("NaN coordinate", points, &["`x`", "[0, 1]", "NaN"])?;
    let gamma =
        Problem::relaxed(two.clone(), two.clone(), Arc::clone(&shared), nan, 1.0).map(|_| ());
    refused("NaN γ", gamma, &["gamma_a", "NaN"])?;
    let mass = Problem::partial(two.clone(), two, shared, 1.5).map(|_| ());
    refused("more mass than there is", mass, &["mass", "1.5"])
}

fn refused(what: &str, result: Result<(), Error>, words: &[&str]) -> Verdict {
    let Err(error) = result else {
        return Err(format!("{what} was accepted"));
    };
    let message = error.to_string();
    match words.iter().find(|w| !message.contains(**w)) {
        None => Ok(()),
        Some(word) => Err(format!(
            "{what}: the message does not say {word}: {message}"
        )),
    }
}

fn accepted(what: &str, result: Result<(), Error>) -> Verdict {
    result.map_err(|e| format!("{what}: refused: {e}"))
}

fn bad_settings(subject: &Subject<'_>) -> Verdict {
    let base = subject.options(subject.has(Capability::Entropic).then_some(1.0));
    let mut unknown = base.clone();
    unknown.set.insert("no-such-setting".into(), "1".into());
    let with = |change: &dyn Fn(&mut Options)| {
        let mut options = base.clone();
        change(&mut options);
        options
    };
    let list = [
        ("no-such-setting", unknown),
        ("tol", with(&|o| o.tol = Some(f64::NAN))),
        ("tol", with(&|o| o.tol = Some(-1.0))),
        ("max_iter", with(&|o| o.max_iter = Some(0))),
    ];
    build_refuses(subject, &list)
}

fn bad_reg(subject: &Subject<'_>) -> Verdict {
    let base = subject.options(Some(1.0));
    let with = |reg: Reg| Options {
        reg: Some(reg),
        ..base.clone()
    };
    build_refuses(
        subject,
        &[
            ("reg", with(Reg::Absolute(0.0))),
            ("reg", with(Reg::Absolute(-1.0))),
            ("reg", with(Reg::Absolute(f64::NAN))),
            ("reg", with(Reg::Relative(f64::INFINITY))),
        ],
    )
}

fn build_refuses(subject: &Subject<'_>, list: &[(&str, Options)]) -> Verdict {
    for (name, options) in list {
        match (subject.build)(options) {
            Ok(_) => return Err(format!("{options:?} was accepted")),
            Err(e) if e.to_string().contains(name) => {}
            Err(e) => {
                return Err(format!(
                    "the refusal of {options:?} does not name `{name}`: {e}"
                ));
            }
        }
    }
    Ok(())
}

/// Points, grids, sparse, single-precision and opaque costs against the same entries in a matrix.
fn kinds_of_cost(subject: &Subject<'_>) -> Verdict {
    let mut random = Random::new(23);
    let (x, y) = (random.vec(14, 0.0, 1.0), random.vec(10, 0.0, 1.0));
    let points = text(PointCost::new(x, y, 2, Ground::SqEuclidean))?;
    let written = text(DenseCost::materialize(&points))?;
    let grid = text(GridCost::new(&[2, 3], GridGround::SqEuclidean))?;
    let triples = (0..7).flat_map(|i| (0..5).map(move |j| (i, j)));
    let triples = triples.map(|(i, j)| (i, j, written.entry(i, j))).collect();
    let sparse = text(SparseCost::from_triples(7, 5, triples))?;
    // Entries that single precision holds exactly.
    let narrow: Vec<f32> = (0..35).map(|k| ((k * 29) % 32) as f32 / 32.0).collect();
    let narrow = text(DenseCost::from_f32(7, 5, narrow))?;
    let list: [(&str, Arc<dyn Cost>, Option<Capability>); 5] = [
        ("points", Arc::new(points), Some(Capability::LazyCost)),
        ("a grid", Arc::new(grid), Some(Capability::GridCost)),
        (
            "sparse triples",
            Arc::new(sparse),
            Some(Capability::ForbiddenPairs),
        ),
        ("single precision", Arc::new(narrow), None),
        (
            "a cost of the caller's own",
            Arc::new(Opaque(written)),
            None,
        ),
    ];
    for (name, cost, promised_by) in list {
        let (n, m) = cost.shape();
        let (a, b) = (random.weights(n, 1.0), random.weights(m, 1.0));
        let dense_cost = text(DenseCost::materialize(cost.as_ref()))?;
        let measure = |w: Vec<f64>| text(Measure::new(w));
        let written = text(Problem::new(
            measure(a.clone())?,
            measure(b.clone())?,
            Arc::new(dense_cost),
        ))?;
        let stored = text(Problem::new(measure(a)?, measure(b)?, cost))?;
        let wanted = subject.solve(name, &written)?;
        let reg = subject.reg(&written);
        let solver = subject.make(&subject.options(reg))?;
        // A kind of cost that the solver has no use for may be refused, but not if its capability is declared.
        match solver.solve(&stored) {
            Err(Error::Unsupported { .. }) if promised_by.is_some_and(|c| !subject.has(c)) => {}
            Err(e) => return Err(format!("a cost as {name}: refused: {e}")),
            Ok(found) => {
                let found = subject.converged(name, &stored, found)?;
                let values = [wanted.transport_cost, wanted.objective];
                verify::same_value(subject, name, &stored, &found, values)?;
            }
        }
    }
    Ok(())
}

fn infeasible(subject: &Subject<'_>) -> Verdict {
    let mut list = cases::infeasible()?;
    if subject.has(Capability::Partial) {
        let x = f64::INFINITY;
        let cost = text(DenseCost::new(2, 2, vec![x, x, 1.0, x]))?;
        let ones = text(Measure::new(vec![1.0, 1.0]))?;
        let problem = text(Problem::partial(ones.clone(), ones, Arc::new(cost), 1.5))?;
        list.push(Case {
            name: "partial: one pair for a mass of 1.5",
            problem,
        });
    }
    for Case { name, problem } in list {
        match subject.solver(&problem)?.solve(&problem) {
            Err(Error::Infeasible(proof)) => proof_holds(name, &problem, &proof)?,
            Err(e) => return Err(format!("{name}: an error other than `Infeasible`: {e}")),
            Ok(s) => {
                return Err(format!(
                    "{name}: there is no plan, but one came back: {}",
                    s.convergence.termination
                ));
            }
        }
    }
    Ok(())
}

/// Of a relaxed problem only the hard side can be infeasible: an entry of it without a partner.
fn lonely(subject: &Subject<'_>) -> Verdict {
    let x = f64::INFINITY;
    let cost: Arc<dyn Cost> = Arc::new(text(DenseCost::new(2, 2, vec![0.0, x, 1.0, x]))?);
    let half = text(Measure::uniform(2))?;
    let problem = text(Problem::relaxed(half.clone(), half, cost, 1.0, x))?;
    for (name, problem, hard_source) in [
        ("a hard target without partner", problem.clone(), false),
        (
            "a hard source without partner",
            text(problem.transposed())?,
            true,
        ),
    ] {
        let answer = subject.solver(&problem)?.solve(&problem);
        let named = match &answer {
            Err(Error::Infeasible(proof)) if hard_source => proof.sources == [1],
            Err(Error::Infeasible(proof)) => proof.sources.is_empty() && proof.targets == [1],
            _ => false,
        };
        if !named {
            let said = answer.map(|s| s.convergence.termination);
            return Err(format!(
                "{name}: not `Infeasible` with entry 1 as proof: {said:?}"
            ));
        }
    }
    // The same pairs with two soft sides: the lonely target goes without.
    let soft = text(Problem::relaxed(
        problem.a().clone(),
        problem.b().clone(),
        problem.shared_cost(),
        1.0,
        1.0,
    ))?;
    subject
        .solve("a soft target without partner", &soft)
        .map(|_| ())
}

/// The sources named must send more than all targets that they may reach can take.
pub(super) fn proof_holds(name: &str, problem: &Problem, proof: &Infeasible) -> Verdict {
    let (a, b) = (problem.a().weights(), problem.b().weights());
    let of = |w: &[f64], set: &[usize]| set.iter().map(|&k| w[k]).sum::<f64>();
    let supply = match problem.marginals() {
        // The other sources can send all they have; the rest must come from these.
        Marginals::Partial { mass } => mass - (problem.a().mass() - of(a, &proof.sources)),
        _ => of(a, &proof.sources),
    };
    let capacity = of(b, &proof.targets);
    let mass = problem.mass();
    let wrong = |why: String| Err(format!("{name}: the proof does not hold: {why}; {proof}"));
    for &i in &proof.sources {
        for j in 0..b.len() {
            let allowed = problem.cost().entry(i, j) < f64::INFINITY;
            if allowed && b[j] > 0.0 && !proof.targets.contains(&j) {
                return wrong(format!("source {i} may also reach target {j}"));
            }
        }
    }
    if (supply - proof.supply).abs() > 1e-12 * mass
        || (capacity - proof.capacity).abs() > 1e-12 * mass
    {
        return wrong(format!("supply is {supply:e}, capacity {capacity:e}"));
    }
    if supply <= capacity {
        return wrong("the targets can take it".to_owned());
    }
    Ok(())
}

/// Each kind of problem beyond the declared ones is `Unsupported`, and the missing capability is named.
fn unsupported(subject: &Subject<'_>) -> Verdict {
    let problem = match subject.expect.domain {
        None => dense(&[0.5, 0.5], &[0.5, 0.5], &[0.0, 1.0, 2.0, 0.5])?,
        Some(_) => subject.generic(24, 2, 2, 1.0)?,
    };
    let (a, b, cost) = (problem.a(), problem.b(), problem.shared_cost());
    let mut list = vec![
        (Capability::Balanced, problem.clone()),
        (
            Capability::Relaxed,
            text(Problem::relaxed(
                a.clone(),
                b.clone(),
                Arc::clone(&cost),
                1.0,
                2.0,
            ))?,
        ),
        (
            Capability::Partial,
            text(Problem::partial(a.clone(), b.clone(), cost, 0.5))?,
        ),
    ];
    // Whether a cost of a domain may forbid pairs is the domain's to say.
    if subject.expect.domain.is_none() {
        let x = f64::INFINITY;
        let problem = dense(&[0.5, 0.5], &[0.5, 0.5], &[0.0, 1.0, 1.0, x])?;
        list.push((Capability::ForbiddenPairs, problem));
    }
    for (capability, problem) in list {
        let solver = subject.solver(&problem)?;
        match (solver.solve(&problem), subject.has(capability)) {
            (Err(Error::Unsupported { needs, .. }), false) if needs == capability.name() => {}
            (Err(Error::Unsupported { needs, .. }), false)
                if capability == Capability::ForbiddenPairs && needs == "balanced" => {}
            (Err(e), false) => {
                return Err(format!(
                    "{capability}: refused, but not as unsupported: {e}"
                ));
            }
            (Ok(_), false) => return Err(format!("{capability}: solved, though not declared")),
            (Err(e @ Error::Unsupported { .. }), true) => {
                return Err(format!("{capability}: declared, but refused: {e}"));
            }
            (_, true) => {}
        }
    }
    Ok(())
}
