//! The choice of a backend when none was named.

use solver_api::{
    Batch, Capabilities, Capability, Context, Cost, CostKind, Error, Factory, Ground, Options,
    Problem, Reg, SettingSpec, Solution, Solver,
};

use crate::Registry;

/// Up to this many pairs of positive weight an exact solver is a matter of seconds (16 384 × 16 384).
const EXACT_PAIRS: u64 = 1 << 28;

/// Backends of this project, best first within their group. Any other is a stranger's and picked last.
const RANKING: [&str; 11] = [
    "line",
    "circle",
    "tree",
    "exact-points",
    "network-simplex",
    "sinkhorn",
    "sinkhorn-stabilized",
    "lp-highs",
    "lp-microlp",
    "lp-minilp",
    "ipot",
];

/// Never picked: the closed form between Gaussians bounds what samples cost from below, and networks come near it in seconds
/// where others are exact in milliseconds.
const APPROXIMATE_FOR_SAMPLES: [&str; 2] = ["gaussian", "spot"];

/// Iterates on a kernel: iterations grow as 1/reg, until the kernel underflows.
const KERNEL_DOMAIN: &str = "sinkhorn";
/// From here down, relative to the largest cost, [`KERNEL_DOMAIN`] is slower than what works in the log domain: at 1e-3 by
/// 3 on a digit, 8 on documents, 4 on a grid of 64×64, by nothing on cells; faster, by 4, on a grid of 32×32 alone
/// (`cargo xtask compare`). Further down it refuses.
const SMALL_REG: f64 = 1e-3;

/// The setting of backends that can do with a matrix and without.
const COST: &str = "cost";
/// Exact without a matrix, by trees.
const WITHOUT_MATRIX: &str = "exact-points";
/// Up to this many pairs in fewer dimensions, and in more of them, the simplex with a matrix is at least as fast: with 1000 points
/// in the plane by 1 to 2, with 2000 slower by 2; with 2000 in 16 dimensions faster by 2, with 4000 slower by 1.2, and with 10 000
/// digits in 8 to 32 principal axes by 1.1 to 2.3. Costs other than squared distances, 10 000 points: slower by 1 to 4 where clouds
/// overlap, faster by 1 to 25 where they are far apart.
const MATRIX_PAIRS: u64 = 1 << 21;
const MATRIX_PAIRS_OF_MANY: u64 = 1 << 24;
const MANY_DIMENSIONS: usize = 7;

/// Picks a backend for each problem.
///
/// A backend is *eligible* if it runs on this machine, has **all** options given (an option is never dropped: with
/// a `reg` no exact backend is eligible: nor `ipot`, whose step it would be, beside one that solves the regularized
/// problem), and has what the problem needs: its marginal condition, and forbidden
/// pairs where there are some. Among the eligible ones, the first of these rules that tells two apart decides:
///
/// | rule | picked first |
/// |---|---|
/// | whose | a backend of this project; a stranger's only where none of these is eligible |
/// | the context | one that starts from potentials if a warm start is given, and can be interrupted if there is a deadline |
/// | `reg` given | one that solves the regularized problem |
/// | no `reg`, up to 2²⁸ pairs of positive weight (or allowed ones, for sparse costs) | an exact one |
/// | no `reg`, more pairs | one that computes point costs on the fly, or uses the product structure of a grid, if that is the cost; exact before entropic. Then entropic ones, then exact ones |
/// | `reg` of 1e-3 of the largest cost or less | any other before `sinkhorn`, which needs 1/reg iterations or refuses |
/// | up to 2²¹ pairs, 2²⁴ in seven dimensions or more, or 2²⁸ where the cost is no squared distance | any other before `exact-points`: a matrix is faster, or never much slower |
/// | rank | the closed forms `line`, `circle`, `tree` for the costs they are exact for, `exact-points`, `network-simplex`, `sinkhorn`, `sinkhorn-stabilized`, `lp-highs`, `lp-microlp`, `lp-minilp`, `ipot` |
///
/// When the one picked refuses (the kernel underflows, memory would not suffice, a tolerance is out of its reach, a
/// library underneath fails), the next eligible one is asked; when all refuse, the first refusal is the error. So
/// with a `reg` too small for `sinkhorn`, on which its kernel underflows though it is above 1e-3 of the largest cost,
/// `sinkhorn-stabilized` answers; where no other entropic backend is there the refusal stands, since an exact answer is
/// not what was asked for. An answer that merely missed its tolerance is an answer.
///
/// After a tolerance that is out of reach only those are asked whose tolerance means the same: an exact backend that
/// can't be that exact never hands over to an entropic one, whose `tol` is a marginal error and not a gap. Any other
/// value that a picked backend refuses is an error at once.
///
/// [`Solution::solver`] names the backend that answered.
pub struct Auto {
    candidates: Vec<Candidate>,
    reg: Option<Reg>,
}

/// A backend that has the options.
struct Candidate {
    name: String,
    /// Or why it refuses a value of one of them.
    solver: Result<Box<dyn Solver>, Error>,
    capabilities: Capabilities,
    rank: usize,
}

impl Candidate {
    fn is_entropic(&self) -> bool {
        self.capabilities.has(Capability::Entropic)
    }

    fn accepts(&self, problem: &Problem) -> bool {
        match &self.solver {
            Ok(solver) => solver.accepts(problem).is_ok(),
            // A value that is refused is the answer where this one would have been asked.
            Err(_) => self.capabilities.require(&self.name, problem).is_ok(),
        }
    }
}

impl std::fmt::Debug for Auto {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<_> = self.candidates.iter().map(|c| &c.name).collect();
        f.debug_tuple("Auto").field(&names).finish()
    }
}

impl Auto {
    /// Its name in place of a backend's.
    pub const NAME: &'static str = "auto";

    /// Builds every backend that has `options`. Error: what the best-ranked one says if none takes them.
    pub(crate) fn new(registry: &Registry, options: &Options) -> Result<Self, Error> {
        Self::of(registry, options, |_| None)
    }

    /// Among backends that need no n×m array; those that may make one are told not to.
    pub(crate) fn lazily(registry: &Registry, options: &Options) -> Result<Self, Error> {
        let lazy = registry.restricted_to(&[Capability::LazyCost]);
        Self::of(&lazy, options, |factory| {
            let chooses = factory.settings().iter().any(|s| s.name == COST);
            (chooses && !options.set.contains_key(COST)).then(|| {
                let mut told = options.clone();
                told.set.insert(COST.to_owned(), "lazy".to_owned());
                told
            })
        })
    }

    /// `told` has options of its own for some backends.
    fn of(
        registry: &Registry,
        options: &Options,
        told: impl Fn(&dyn Factory) -> Option<Options>,
    ) -> Result<Self, Error> {
        let reg_given = options.reg.is_some();
        let mut candidates = Vec::new();
        let mut lacking: Option<((bool, usize), Error)> = None;
        for factory in registry.iter() {
            let capabilities = factory.capabilities();
            let rank = rank(factory.name());
            let own = told(factory.as_ref());
            let options = own.as_ref().unwrap_or(options);
            match factory.available().and_then(|()| factory.build(options)) {
                Err(error @ (Error::UnknownSetting { .. } | Error::Unavailable { .. })) => {
                    let key = (off_topic(&capabilities, reg_given), rank);
                    if lacking.as_ref().is_none_or(|(best, _)| key < *best) {
                        lacking = Some((key, error));
                    }
                }
                solver => candidates.push(Candidate {
                    name: factory.name().to_owned(),
                    solver,
                    capabilities,
                    rank,
                }),
            }
        }
        if candidates.iter().all(|c| c.solver.is_err()) {
            let best = candidates
                .into_iter()
                .min_by_key(|c| (off_topic(&c.capabilities, reg_given), c.rank));
            let none = || Error::Unavailable {
                backend: Self::NAME.to_owned(),
                reason: "no backend is compiled in".to_owned(),
            };
            // A value that is refused tells more than "no such setting".
            let refusal = best.and_then(|c| c.solver.err());
            return Err(refusal.or(lacking.map(|(_, e)| e)).unwrap_or_else(none));
        }
        Ok(Self {
            candidates,
            reg: options.reg,
        })
    }

    /// The backend that would be asked first for `problem`, with its capabilities. Error: the capability that all
    /// backends lack, or the value of an option that the preferred one refuses.
    pub fn pick(
        &self,
        problem: &Problem,
        context: &Context,
    ) -> Result<(&str, &Capabilities), Error> {
        let order = self.in_order(problem, context)?;
        ask(&order, |c, _| Ok((c.name.as_str(), &c.capabilities)))
    }

    /// The eligible backends, best first; never empty.
    fn in_order(&self, problem: &Problem, context: &Context) -> Result<Vec<&Candidate>, Error> {
        let mut eligible: Vec<_> = self
            .candidates
            .iter()
            .filter(|c| !APPROXIMATE_FOR_SAMPLES.contains(&c.name.as_str()) && c.accepts(problem))
            .collect();
        // What takes a `reg` for a step of its own answers another question than the one that was asked.
        if self.reg.is_some() && eligible.iter().any(|c| c.is_entropic()) {
            eligible.retain(|c| c.rank == STRANGER || c.is_entropic());
        }
        if eligible.is_empty() {
            // Nobody has it all. Name what the union lacks, or else what the best one lacks.
            self.capabilities().require(Self::NAME, problem)?;
            let best = self.candidates.iter().min_by_key(|c| c.rank);
            if let Some(best) = best {
                best.capabilities.require(&best.name, problem)?;
            }
            return Err(Error::unsupported(Self::NAME, "a capable backend"));
        }
        let pairs = pairs(problem);
        let small_reg = self.is_reg_small(problem);
        let with_matrix = has_room_for_a_matrix(problem, pairs);
        eligible.sort_by_key(|c| {
            (
                c.rank == STRANGER,
                unmet(&c.capabilities, context),
                self.group(&c.capabilities, problem, pairs),
                small_reg && c.name == KERNEL_DOMAIN,
                with_matrix && c.name == WITHOUT_MATRIX,
                c.rank,
            )
        });
        Ok(eligible)
    }

    fn is_reg_small(&self, problem: &Problem) -> bool {
        let limit = SMALL_REG * problem.cost().range().max_abs();
        self.reg.is_some_and(|reg| reg.resolve(problem) <= limit)
    }

    /// The rows of the table on `reg` and size.
    fn group(&self, has: &Capabilities, problem: &Problem, pairs: u64) -> u8 {
        let exact = has.has(Capability::Exact);
        if self.reg.is_some() {
            return u8::from(!has.has(Capability::Entropic));
        }
        if pairs <= EXACT_PAIRS {
            return u8::from(!exact);
        }
        let fits = match problem.cost().kind() {
            CostKind::Points(_) | CostKind::Tree(_) => has.has(Capability::LazyCost),
            CostKind::Grid(_) => has.has(Capability::GridCost),
            _ => false,
        };
        match (fits, exact) {
            (true, true) => 0,
            (true, false) => 1,
            (false, false) => 2,
            (false, true) => 3,
        }
    }
}

const STRANGER: usize = RANKING.len();

fn rank(name: &str) -> usize {
    RANKING.iter().position(|r| *r == name).unwrap_or(STRANGER)
}

/// Whether a complaint of a backend is beside the point: with a `reg`, that of one which has none.
fn off_topic(has: &Capabilities, reg_given: bool) -> bool {
    reg_given && !has.has(Capability::Entropic)
}

/// How many of the context's wishes a backend would ignore.
fn unmet(has: &Capabilities, context: &Context) -> u8 {
    let warm = context.warm_start.is_some() && !has.has(Capability::WarmStart);
    let late = context.deadline().is_some() && !has.has(Capability::Interruptible);
    u8::from(warm) + u8::from(late)
}

/// Whether the simplex with a matrix is at least as fast as without.
fn has_room_for_a_matrix(problem: &Problem, pairs: u64) -> bool {
    let most = match problem.cost().kind() {
        CostKind::Points(points) if !matches!(points.ground(), Ground::SqEuclidean) => EXACT_PAIRS,
        CostKind::Points(points) if points.dim() >= MANY_DIMENSIONS => MATRIX_PAIRS_OF_MANY,
        _ => MATRIX_PAIRS,
    };
    pairs <= most
}

/// The pairs that can carry mass.
fn pairs(problem: &Problem) -> u64 {
    if let CostKind::Sparse(sparse) = problem.cost().kind() {
        let (n, m) = problem.shape();
        return n as u64 * m as u64 - sparse.range().forbidden;
    }
    problem.a().support_len() as u64 * problem.b().support_len() as u64
}

/// Whether another backend may do better: the refusal is about the backend, not about the problem.
fn is_refusal(error: &Error) -> bool {
    matches!(
        error,
        Error::Unsupported { .. }
            | Error::KernelUnderflow { .. }
            | Error::TooLarge { .. }
            | Error::TooManyPairs { .. }
            | Error::Unavailable { .. }
            | Error::UnreachableTolerance { .. }
            | Error::Backend { .. }
    )
}

/// Whether its tolerance is about the marginals; the others' is about the gap.
fn judges_marginals(has: &Capabilities) -> bool {
    has.has(Capability::Entropic) && !has.has(Capability::Exact)
}

/// The first answer of `order`, going on to the next backend after a refusal. Error: the first refusal.
fn ask<'a, R>(
    order: &[&'a Candidate],
    mut question: impl FnMut(&'a Candidate, &'a dyn Solver) -> Result<R, Error>,
) -> Result<R, Error> {
    let mut first_refusal = None;
    // The meaning of the tolerance that could not be reached.
    let mut meant = None;
    for &candidate in order {
        let marginals = judges_marginals(&candidate.capabilities);
        if meant.is_some_and(|meant| meant != marginals) {
            continue;
        }
        let answer = match &candidate.solver {
            Ok(solver) => question(candidate, solver.as_ref()),
            Err(error) => Err(error.clone()),
        };
        match answer {
            Err(error) if is_refusal(&error) => {
                if matches!(error, Error::UnreachableTolerance { .. }) {
                    meant.get_or_insert(marginals);
                }
                first_refusal.get_or_insert(error);
            }
            answer => return answer,
        }
    }
    Err(first_refusal.unwrap_or_else(|| Error::unsupported(Auto::NAME, "this problem")))
}

impl Solver for Auto {
    fn name(&self) -> &str {
        Self::NAME
    }

    /// What any of the backends can do.
    fn capabilities(&self) -> Capabilities {
        union(self.candidates.iter().map(|c| &c.capabilities))
    }

    fn solve_with(&self, problem: &Problem, context: &mut Context) -> Result<Solution, Error> {
        let order = self.in_order(problem, context)?;
        ask(&order, |_, solver| solver.solve_with(problem, context))
    }

    /// Where one backend is picked for all problems, its own batch is used, and what it refuses goes to the next;
    /// otherwise the problems are solved side by side.
    fn solve_batch(&self, batch: &Batch, context: &mut Context) -> Vec<Result<Solution, Error>> {
        if let Some(solver) = self.common_pick(batch, context) {
            let mut answers = solver.solve_batch(batch, context);
            for (k, answer) in answers.iter_mut().enumerate() {
                if answer.as_ref().is_err_and(is_refusal)
                    && let Ok(problem) = batch.problem(k)
                {
                    *answer = self.solve_with(&problem, &mut context.for_problem(k));
                }
            }
            return answers;
        }
        one_by_one(self, batch, context)
    }
}

impl Auto {
    /// The backend picked for every problem of the batch that is valid and solvable at all, if it is the same.
    fn common_pick(&self, batch: &Batch, context: &Context) -> Option<&dyn Solver> {
        let mut common: Option<(&Candidate, &dyn Solver)> = None;
        for k in 0..batch.len() {
            let Ok(problem) = batch.problem(k) else {
                continue;
            };
            let Ok(order) = self.in_order(&problem, context) else {
                continue;
            };
            // A value that is refused for one problem is that problem's answer.
            let (picked, solver) = ask(&order, |c, solver| Ok((c, solver))).ok()?;
            match common {
                Some((c, _)) if !std::ptr::eq(c, picked) => return None,
                _ => common = Some((picked, solver)),
            }
        }
        common.map(|(_, solver)| solver)
    }
}

/// The trait's own way with a batch, which an overriding method can't call.
fn one_by_one(auto: &Auto, batch: &Batch, context: &mut Context) -> Vec<Result<Solution, Error>> {
    struct Plain<'a>(&'a Auto);
    impl Solver for Plain<'_> {
        fn name(&self) -> &str {
            self.0.name()
        }
        fn capabilities(&self) -> Capabilities {
            self.0.capabilities()
        }
        fn solve_with(&self, problem: &Problem, context: &mut Context) -> Result<Solution, Error> {
            self.0.solve_with(problem, context)
        }
    }
    Plain(auto).solve_batch(batch, context)
}

fn union<'a>(sets: impl Iterator<Item = &'a Capabilities>) -> Capabilities {
    let all: Vec<_> = sets.flat_map(Capabilities::iter).collect();
    Capabilities::of(&all)
}

/// Makes [`Auto`] by the name `auto`.
pub(crate) struct AutoFactory {
    registry: Registry,
}

impl AutoFactory {
    pub(crate) fn new(registry: Registry) -> Self {
        Self { registry }
    }
}

impl Factory for AutoFactory {
    fn name(&self) -> &str {
        Auto::NAME
    }

    fn summary(&self) -> &str {
        "picks a backend by size, cost and what was asked, and says which"
    }

    fn capabilities(&self) -> Capabilities {
        let sets: Vec<_> = self.registry.iter().map(|f| f.capabilities()).collect();
        union(sets.iter())
    }

    fn settings(&self) -> Vec<SettingSpec> {
        let of_picked = |name, doc| SettingSpec {
            name,
            default: "that of the backend picked".to_owned(),
            doc,
        };
        vec![
            of_picked("reg", "regularization: picks an entropic backend"),
            of_picked("tol", "tolerance"),
            of_picked("max_iter", "iteration limit"),
            of_picked("seed", "seed: picks a backend that has one"),
        ]
    }

    fn build(&self, options: &Options) -> Result<Box<dyn Solver>, Error> {
        Ok(Box::new(Auto::new(&self.registry, options)?))
    }
}
