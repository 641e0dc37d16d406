//! The solvers that applications are tried with: every backend that is compiled in, and toys.

use solver_api::{Factory, Options, Reg, Solver};
use solver_exact::NetworkSimplexFactory;
use solver_exact::lp::MICROLP;
use solver_ipot::IpotFactory;
use solver_sinkhorn::SinkhornFactory;
use solver_stabilized::SinkhornStabilizedFactory;

use crate::toy::Matching;

fn build(factories: &[&dyn Factory], options: &Options) -> Vec<Box<dyn Solver>> {
    let solver = |factory: &&dyn Factory| factory.build(options).expect("a solver");
    factories.iter().map(solver).collect()
}

/// Every exact backend.
pub(crate) fn exact() -> Vec<Box<dyn Solver>> {
    let factories: [&dyn Factory; 3] = [&NetworkSimplexFactory, &MICROLP, &IpotFactory];
    build(&factories, &Options::default())
}

/// Every entropic backend.
pub(crate) fn entropic(options: &Options) -> Vec<Box<dyn Solver>> {
    build(&[&SinkhornFactory, &SinkhornStabilizedFactory], options)
}

/// Options of entropic backends whose answers are to be compared with others'.
pub(crate) fn sharp(reg: f64) -> Options {
    Options {
        reg: Some(Reg::Absolute(reg)),
        tol: Some(1e-9),
        max_iter: Some(100_000),
        ..Options::default()
    }
}

/// Every backend that solves balanced problems, and one of the test's own.
pub(crate) fn solvers() -> Vec<Box<dyn Solver>> {
    let mut all = exact();
    all.extend(entropic(&Options {
        reg: Some(Reg::Relative(0.01)),
        ..Options::default()
    }));
    all.push(Box::new(Matching));
    all
}
