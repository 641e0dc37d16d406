//! The registry with strangers in it, and what `auto` picks.

#![allow(clippy::unwrap_used)] // helpers of tests may unwrap, as tests do

use std::sync::Arc;
use std::time::{Duration, Instant};

use kantorovich::{
    Batch, Capabilities, Capability, Context, DenseCost, DensePlan, Error, Factory, Measure,
    OptionReader, Options, Outcome, Plan, PointCost, Potentials, Problem, Reg, Registry,
    SettingSpec, Solution, Solver, SparseCost, Termination,
};
use kantorovich::{CostKind, Ground};

/// A stand-in for any backend: answers with the product plan, or refuses.
#[derive(Clone)]
struct Toy {
    name: &'static str,
    /// The smallest tolerance that it takes.
    reaches: f64,
    capabilities: Capabilities,
    refuses: Option<Error>,
    available: bool,
}

fn toy(name: &'static str, list: &[Capability]) -> Toy {
    Toy {
        name,
        reaches: 0.0,
        capabilities: Capabilities::of(list),
        refuses: None,
        available: true,
    }
}

impl Factory for Toy {
    fn name(&self) -> &str {
        self.name
    }
    fn summary(&self) -> &str {
        "a toy"
    }
    fn capabilities(&self) -> Capabilities {
        self.capabilities.clone()
    }
    fn settings(&self) -> Vec<SettingSpec> {
        vec![]
    }
    fn build(&self, options: &Options) -> Result<Box<dyn Solver>, Error> {
        let mut reader = OptionReader::new(self.name, options);
        // The step of `ipot` is set by `reg` too.
        if self.capabilities.has(Entropic) || self.name == "ipot" {
            reader.reg()?;
        }
        let tol = reader.tol()?;
        reader.finish()?;
        if tol.is_some_and(|tol| tol < self.reaches) {
            return Err(unreachable(self.name));
        }
        Ok(Box::new(self.clone()))
    }
    fn available(&self) -> Result<(), Error> {
        if self.available {
            return Ok(());
        }
        Err(Error::Unavailable {
            backend: self.name.to_owned(),
            reason: "no such device".to_owned(),
        })
    }
}

impl Solver for Toy {
    fn name(&self) -> &str {
        self.name
    }
    fn capabilities(&self) -> Capabilities {
        self.capabilities.clone()
    }
    fn solve_with(&self, problem: &Problem, context: &mut Context) -> Result<Solution, Error> {
        let started = Instant::now();
        self.capabilities.require(self.name, problem)?;
        if let Some(error) = &self.refuses {
            return Err(error.clone());
        }
        let (a, b) = (problem.a().weights(), problem.b().weights());
        let product = a
            .iter()
            .flat_map(|a| b.iter().map(move |b| a * b / problem.mass()))
            .collect();
        let outcome = Outcome {
            plan: Plan::from(DensePlan::new(a.len(), b.len(), product)?),
            potentials: Potentials::new(vec![0.0; a.len()], vec![0.0; b.len()]),
            reg: 0.0,
            termination: Termination::Converged,
            iterations: Some(1),
            history: vec![],
            certificate: None,
        };
        Ok(Solution::assemble(
            self.name, problem, outcome, started, context,
        ))
    }
}

use Capability::{
    Balanced, Entropic, Exact, ForbiddenPairs, Interruptible, LazyCost, Relaxed, WarmStart,
};

/// Stand-ins for the two backends of the default features, and a stranger who can do everything.
fn registry() -> Registry {
    Registry::empty()
        .with(toy(
            "stranger",
            &[
                Balanced,
                Relaxed,
                Exact,
                Entropic,
                ForbiddenPairs,
                WarmStart,
                Interruptible,
            ],
        ))
        .with(toy(
            "sinkhorn",
            &[Balanced, Entropic, ForbiddenPairs, Interruptible],
        ))
        .with(toy("network-simplex", &[Balanced, Exact, WarmStart]))
}

fn small() -> Problem {
    Problem::from_slices(&[0.5, 0.5], &[0.25, 0.75], &[0.0, 1.0, 1.0, 0.0]).unwrap()
}

fn with_reg(reg: f64) -> Options {
    Options {
        reg: Some(Reg::Absolute(reg)),
        ..Options::default()
    }
}

fn picked(registry: &Registry, options: &Options, problem: &Problem) -> String {
    let solver = registry.build("auto", options).unwrap();
    solver.solve(problem).unwrap().solver
}

#[test]
fn a_stranger_is_added_found_and_replaced() {
    let registry = Registry::new().with(toy("mine", &[Balanced]));
    let before = registry.len();
    assert_eq!(registry.names().last(), Some(&"mine"));
    let solution = registry.build("mine", &Options::default()).unwrap();
    assert_eq!(solution.solve(&small()).unwrap().solver, "mine");
    // The same name again takes its place.
    let registry = registry.with(toy("mine", &[Balanced, Relaxed]));
    assert_eq!(registry.len(), before);
    assert_eq!(registry.having(Relaxed).last(), Some(&"mine"));
    assert!(!registry.names().contains(&"auto"));
}

#[test]
fn ipot_stands_in_for_other_exact_backends_and_its_step_is_no_reg() {
    let ipot = || toy("ipot", &[Balanced, Exact]);
    let alone = Registry::empty()
        .with(ipot())
        .with(toy("sinkhorn", &[Balanced, Entropic]));
    assert_eq!(picked(&alone, &Options::default(), &small()), "ipot");
    assert_eq!(picked(&alone, &with_reg(0.1), &small()), "sinkhorn");
    let only = Registry::empty().with(ipot());
    assert_eq!(picked(&only, &with_reg(0.1), &small()), "ipot");
    let all = registry().with(ipot());
    assert_eq!(
        picked(&all, &Options::default(), &small()),
        "network-simplex"
    );
}

#[test]
fn unknown_names_list_what_there_is() {
    let error = registry().get("simplex").map(|_| ()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "`backend` = simplex: no such backend is compiled in; there are stranger, sinkhorn, network-simplex, auto"
    );
}

#[test]
fn reg_decides_between_exact_and_entropic() {
    let registry = registry();
    assert_eq!(
        picked(&registry, &Options::default(), &small()),
        "network-simplex"
    );
    assert_eq!(picked(&registry, &with_reg(0.1), &small()), "sinkhorn");
}

#[test]
fn a_stranger_answers_only_where_nobody_else_can() {
    let a = Measure::uniform(2).unwrap();
    let cost = small().shared_cost();
    let relaxed = Problem::relaxed(a.clone(), a.clone(), cost, 1.0, 1.0).unwrap();
    assert_eq!(
        picked(&registry(), &Options::default(), &relaxed),
        "stranger"
    );
    // Forbidden pairs: sinkhorn can, though an exact answer was preferred.
    let diagonal = SparseCost::from_triples(2, 2, vec![(0, 0, 1.0), (1, 1, 1.0)]).unwrap();
    let masked = Problem::new(a.clone(), a, Arc::new(diagonal)).unwrap();
    assert_eq!(
        picked(&registry(), &Options::default(), &masked),
        "sinkhorn"
    );
}

#[test]
fn no_option_is_dropped() {
    let exact_only = Registry::empty().with(toy("network-simplex", &[Balanced, Exact]));
    let error = exact_only.auto(&with_reg(0.1)).unwrap_err().to_string();
    assert_eq!(
        error,
        "`reg` = 0.1: `network-simplex` has no such setting; it has tol"
    );
    let error = registry().auto(&with_reg(-1.0)).unwrap_err().to_string();
    assert_eq!(error, "`reg` = -1: must be positive and finite");
    assert!(Registry::empty().auto(&Options::default()).is_err());
}

fn unreachable(solver: &str) -> Error {
    Error::UnreachableTolerance {
        solver: solver.into(),
        tol: 1e-13,
        reachable: 1e-12,
    }
}

#[test]
fn a_tolerance_out_of_reach_never_turns_an_exact_answer_into_an_entropic_one() {
    let tight = Options {
        tol: Some(1e-13),
        ..Options::default()
    };
    let simplex = Toy {
        reaches: 1e-12,
        ..toy("network-simplex", &[Balanced, Exact])
    };
    let native = Registry::empty()
        .with(toy("sinkhorn", &[Balanced, Entropic, ForbiddenPairs]))
        .with(simplex.clone());
    let auto = native.auto(&tight).unwrap();
    let refused = unreachable("network-simplex");
    assert_eq!(
        auto.pick(&small(), &Context::new()).unwrap_err(),
        refused.clone()
    );
    assert_eq!(auto.solve(&small()).unwrap_err(), refused.clone());
    let both = Batch::Separate(vec![small(), small()]);
    for answer in auto.solve_batch(&both, &mut Context::new()) {
        assert_eq!(answer.unwrap_err(), refused.clone());
    }
    // The same where only the solve can tell.
    let late = native.clone().with(Toy {
        refuses: Some(refused.clone()),
        ..toy("network-simplex", &[Balanced, Exact])
    });
    let auto = late.auto(&tight).unwrap();
    assert_eq!(auto.solve(&small()).unwrap_err(), refused.clone());
    // Another exact backend that is better means the same by it.
    let better = native.clone().with(toy("lp-highs", &[Balanced, Exact]));
    assert_eq!(picked(&better, &tight, &small()), "lp-highs");
    // Where the problem leaves nothing but the entropic one, it was not the tolerance that decided.
    let cost = DenseCost::new(2, 2, vec![0.0, f64::INFINITY, 1.0, 0.0]).unwrap();
    let masked = small().with_cost(Arc::new(cost)).unwrap();
    assert_eq!(picked(&native, &tight, &masked), "sinkhorn");
    // The preferred one is named, though all refuse.
    let none = Registry::empty()
        .with(Toy {
            reaches: 1e-12,
            ..toy("sinkhorn", &[Balanced, Entropic])
        })
        .with(simplex);
    assert_eq!(none.auto(&tight).unwrap_err(), refused);
}

#[cfg(all(feature = "network-simplex", feature = "sinkhorn"))]
#[test]
fn the_simplex_says_what_it_reaches() {
    for tol in [5e-13, 1e-40] {
        let tight = Options {
            tol: Some(tol),
            ..Options::default()
        };
        let auto = Registry::new().build("auto", &tight).unwrap();
        let said = auto.solve(&small()).unwrap_err().to_string();
        let wanted = format!("`tol` = {tol:e}: `network-simplex` reaches 1e-12 at best");
        assert!(said.starts_with(&wanted), "{said}");
    }
}

fn underflow() -> Error {
    Error::KernelUnderflow {
        solver: "sinkhorn".into(),
        reg: 1e-6,
        safe_reg: 1e-2,
        reason: "a column has no normal entry".into(),
    }
}

#[test]
fn a_refusal_goes_to_the_next_that_takes_all_options() {
    let refusing = Toy {
        refuses: Some(underflow()),
        ..toy("sinkhorn", &[Balanced, Entropic])
    };
    let native = Registry::empty()
        .with(toy("network-simplex", &[Balanced, Exact]))
        .with(refusing);
    // An exact answer is not what was asked for: the refusal stands …
    let refused = native
        .build("auto", &with_reg(1e-6))
        .unwrap()
        .solve(&small());
    assert_eq!(refused.unwrap_err(), underflow());
    // … unless another one has a `reg`.
    let helped = native.with(toy("sinkhorn-of-mine", &[Balanced, Entropic]));
    assert_eq!(
        picked(&helped, &with_reg(1e-6), &small()),
        "sinkhorn-of-mine"
    );
}

#[test]
fn a_small_reg_is_for_the_log_domain() {
    let both = Registry::empty()
        .with(toy("sinkhorn", &[Balanced, Entropic]))
        .with(toy("sinkhorn-stabilized", &[Balanced, Entropic]));
    let relative = |reg| Options {
        reg: Some(Reg::Relative(reg)),
        ..Options::default()
    };
    // The largest cost is 1, then 1000.
    let scaled = Problem::from_slices(&[1.0], &[0.5, 0.5], &[1000.0, 0.0]).unwrap();
    for (options, problem, name) in [
        (with_reg(0.1), small(), "sinkhorn"),
        (with_reg(2e-3), small(), "sinkhorn"),
        (with_reg(1e-4), small(), "sinkhorn-stabilized"),
        (with_reg(0.1), scaled.clone(), "sinkhorn-stabilized"),
        (relative(0.1), scaled.clone(), "sinkhorn"),
        (relative(1e-4), scaled, "sinkhorn-stabilized"),
    ] {
        assert_eq!(picked(&both, &options, &problem), name, "{options:?}");
    }
    // It is a preference only.
    let alone = Registry::empty()
        .with(toy("sinkhorn", &[Balanced, Entropic]))
        .with(toy("network-simplex", &[Balanced, Exact]));
    assert_eq!(picked(&alone, &with_reg(1e-4), &small()), "sinkhorn");
}

#[test]
fn a_proof_of_infeasibility_is_final() {
    let proof = kantorovich::Infeasible {
        sources: vec![0],
        targets: vec![],
        supply: 1.0,
        capacity: 0.0,
    };
    let infeasible = Error::Infeasible(Box::new(proof));
    let registry = Registry::empty()
        .with(toy("sinkhorn", &[Balanced, Entropic]))
        .with(Toy {
            refuses: Some(infeasible.clone()),
            ..toy("network-simplex", &[Balanced, Exact])
        });
    let answer = registry.build("auto", &Options::default()).unwrap();
    assert_eq!(answer.solve(&small()).unwrap_err(), infeasible);
}

#[test]
fn what_cannot_run_here_is_passed_over() {
    let registry = registry().with(Toy {
        available: false,
        ..toy("network-simplex", &[Balanced, Exact])
    });
    assert_eq!(picked(&registry, &Options::default(), &small()), "sinkhorn");
    assert!(
        registry
            .build("network-simplex", &Options::default())
            .is_err()
    );
    assert_eq!(registry.having(Exact), ["stranger"]);
}

#[test]
fn the_context_is_heard() {
    let auto = registry().auto(&Options::default()).unwrap();
    let pick = |context: &Context| auto.pick(&small(), context).unwrap().0.to_owned();
    assert_eq!(pick(&Context::new()), "network-simplex");
    let hurried = Context::new().time_limit(Duration::from_secs(60));
    assert_eq!(pick(&hurried), "sinkhorn");
    let warm = hurried.warm(Potentials::new(vec![0.0; 2], vec![0.0; 2]));
    // Each of the two hears one wish; exact decides.
    assert_eq!(pick(&warm), "network-simplex");
}

#[test]
fn size_counts_positive_weights_and_lazy_costs_matter_above_it() {
    let n = 20_000;
    let points: Vec<f64> = (0..n).map(f64::from).collect();
    let cost = PointCost::new(points.clone(), points, 1, Ground::Euclidean).unwrap();
    let cost: Arc<PointCost> = Arc::new(cost);
    assert!(matches!(
        kantorovich::Cost::kind(&*cost),
        CostKind::Points(_)
    ));
    let full = Measure::uniform(n as usize).unwrap();
    let mut few = vec![0.0; n as usize];
    few[..100].fill(0.01);
    let few = Measure::new(few).unwrap();
    let large = Problem::new(full.clone(), full.clone(), cost.clone()).unwrap();
    let thin = Problem::new(full, few, cost).unwrap();
    let pick = |registry: &Registry, problem: &Problem| {
        let auto = registry.auto(&Options::default()).unwrap();
        auto.pick(problem, &Context::new()).unwrap().0.to_owned()
    };
    let registry = registry();
    assert_eq!(pick(&registry, &large), "sinkhorn");
    assert_eq!(pick(&registry, &thin), "network-simplex");
    let lazy = registry.with(toy("network-simplex", &[Balanced, Exact, LazyCost]));
    assert_eq!(pick(&lazy, &large), "network-simplex");
}

#[test]
fn a_batch_goes_to_its_backend_and_refusals_to_the_next() {
    let problems = vec![small(), small()];
    let registry = registry();
    let auto = registry.auto(&Options::default()).unwrap();
    let names = |batch: &Batch| -> Vec<String> {
        let answers = auto.solve_batch(batch, &mut Context::new());
        answers.into_iter().map(|s| s.unwrap().solver).collect()
    };
    assert_eq!(
        names(&Batch::Separate(problems)),
        ["network-simplex", "network-simplex"]
    );
    let a = Measure::uniform(2).unwrap();
    let cost: Arc<dyn kantorovich::Cost> =
        Arc::new(DenseCost::new(2, 2, vec![0.0, f64::INFINITY, 1.0, 0.0]).unwrap());
    let masked = Problem::new(a.clone(), a, cost).unwrap();
    assert_eq!(
        names(&Batch::Separate(vec![small(), masked])),
        ["network-simplex", "sinkhorn"]
    );

    let refusing = Toy {
        refuses: Some(underflow()),
        ..toy("network-simplex", &[Balanced, Exact])
    };
    let auto = registry.with(refusing).auto(&Options::default()).unwrap();
    let answers = auto.solve_batch(&Batch::Separate(vec![small()]), &mut Context::new());
    assert_eq!(answers[0].as_ref().unwrap().solver, "sinkhorn");
}

#[test]
fn a_missing_capability_is_named_with_those_who_have_it() {
    let registry = registry();
    let a = Measure::uniform(2).unwrap();
    let relaxed =
        Problem::relaxed(a.clone(), a, small().shared_cost(), 1.0, f64::INFINITY).unwrap();
    let solver = registry
        .build("network-simplex", &Options::default())
        .unwrap();
    let error = registry.with_hint(solver.solve(&relaxed).unwrap_err());
    assert_eq!(
        error.to_string(),
        "`network-simplex` can't solve this problem: it lacks `relaxed`; stranger can"
    );
}
