"""Runs the peers, one call at a time, for `cargo xtask compare --peers`.

Speaks JSON, one object a line. In: {"op": NAME, ...}; arrays are names of .npy files, read once and kept.
Out: {"seconds": of the call alone, "value": what it found, "said": warnings}, or {"error": text}.
"""

import json
import sys
import time
import warnings

import numpy as np

kept = {}


def array(name):
    if name not in kept:
        kept[name] = np.ascontiguousarray(np.load(name))
    return kept[name]


def versions(_):
    # What they warn of at import is no version.
    warnings.simplefilter("ignore")
    import ot
    import scipy

    found = [f"POT {ot.__version__}", f"SciPy {scipy.__version__}", f"NumPy {np.__version__}"]
    for module, label in (("jax", "JAX"), ("ott", "OTT-JAX"), ("torch", "PyTorch"), ("geomloss", "GeomLoss")):
        try:
            found.append(f"{label} {__import__(module).__version__}")
        except ImportError:
            pass
    return 0.0, 0.0, found


def timed(call):
    begun = time.perf_counter()
    result = call()
    return time.perf_counter() - begun, result


def emd2(job):
    import ot

    a, b, M = array(job["a"]), array(job["b"]), array(job["cost"])
    seconds, value = timed(lambda: ot.emd2(a, b, M, numItermax=100_000_000, numThreads=1))
    return seconds, float(value), []


def emd2_points(job):
    import ot

    x, y, a, b = (array(job[k]) for k in ("x", "y", "a", "b"))
    M = ot.dist(x, y)
    seconds, value = timed(lambda: ot.emd2(a, b, M, numItermax=100_000_000, numThreads=1))
    return seconds, float(value), []


def emd2_lazy(job):
    import ot

    x, y, a, b = (array(job[k]) for k in ("x", "y", "a", "b"))
    seconds, value = timed(lambda: ot.emd2_lazy(x, y, a, b, numItermax=100_000_000, return_matrix=False))
    return seconds, float(value), []


def emd2_1d(job):
    import ot

    x, y, a, b = (array(job[k]) for k in ("x", "y", "a", "b"))
    seconds, value = timed(lambda: ot.emd2_1d(x, y, a, b, metric=job["metric"]))
    return seconds, float(value), []


def emd_1d(job):
    import ot

    x, y, a, b = (array(job[k]) for k in ("x", "y", "a", "b"))
    seconds, plan = timed(lambda: ot.emd_1d(x, y, a, b, metric=job["metric"], dense=False))
    apart = x[plan.row] - y[plan.col]
    cost = apart * apart if job["metric"] == "sqeuclidean" else np.abs(apart)
    return seconds, float(np.sum(plan.data * cost)), []


def partial(job):
    import ot

    a, b, M = array(job["a"]), array(job["b"]), array(job["cost"])
    call = lambda: ot.partial.partial_wasserstein(a, b, M, m=job["mass"], numItermax=100_000_000)
    seconds, plan = timed(call)
    return seconds, float((plan * M).sum()), []


def emd2_loop(job):
    import ot

    A, B, M, sizes = array(job["a"]), array(job["b"]), array(job["cost"]), array(job["sizes"])
    problems = []
    at_point, at_cost = 0, 0
    for n in sizes.astype(int):
        problems.append((
            A[at_point:at_point + n].copy(),
            B[at_point:at_point + n].copy(),
            M[at_cost:at_cost + n * n].reshape(n, n).copy(),
        ))
        at_point += n
        at_cost += n * n
    if "reg" in job:
        call = lambda a, b, M: ot.sinkhorn2(a, b, M, job["reg"] * M.max(), stopThr=1e-9, numItermax=100_000)
    else:
        call = ot.emd2
    seconds, values = timed(lambda: [call(*problem) for problem in problems])
    return seconds, float(np.sum(values)), []


def emd2_pairs(job):
    import ot

    A, B, M = array(job["a"]), array(job["b"]), array(job["cost"])
    seconds, values = timed(lambda: [ot.emd2(A[i], B[j], M) for i, j in job["pairs"]])
    return seconds, float(np.sum(values)), []


def emd2_nearest(job):
    import ot

    A, B, M = array(job["a"]), array(job["b"]), array(job["cost"])
    seconds, values = timed(lambda: [[ot.emd2(a, b, M) for b in B] for a in A])
    return seconds, float(np.min(values, axis=1).sum()), []


def adapt_emd(job):
    import ot

    x, y = array(job["x"]), array(job["y"])

    def call():
        model = ot.da.EMDTransport(norm="max", max_iter=100_000_000)
        model.fit(Xs=x, Xt=y)
        return model, model.transform(Xs=x)

    seconds, (model, _) = timed(call)
    return seconds, float((model.coupling_ * model.cost_).sum()), []


def adapt_group_lasso(job):
    import ot

    x, y, labels = array(job["x"]), array(job["y"]), array(job["labels"]).astype(int)
    reg, weight = job["reg"], job["weight"]

    def call():
        model = ot.da.SinkhornLpl1Transport(reg_e=reg, reg_cl=weight, norm="max")
        model.fit(Xs=x, ys=labels, Xt=y)
        return model, model.transform(Xs=x)

    seconds, (model, _) = timed(call)
    plan, n, m = model.coupling_, len(x), len(y)
    sums = np.array([plan[labels == c].sum(0) for c in np.unique(labels)])
    groups = (np.sqrt(sums + 1e-3) - np.sqrt(1e-3)).sum()
    entropy = (plan * np.log(np.maximum(plan * n * m, 1e-300))).sum()
    off = abs(plan.sum(1) - 1 / n).sum()
    said = [f"marginals off by {off:.1e}"] if off > 1e-6 else []
    return seconds, float((plan * model.cost_).sum() + reg * entropy + weight * groups), said


def convolutional(job):
    import ot

    images = array(job["a"])

    def mean():
        return ot.bregman.convolutional_barycenter2d(images, job["reg"], stopThr=job["tol"], warn=False)

    seconds, q = timed(mean)
    np.save(job["out"], q)
    return seconds, float("nan"), []


def free_support(job):
    import ot

    clouds, start = list(array(job["x"])), array(job["start"])
    uniform = [np.full(len(x), 1 / len(x)) for x in clouds]
    seconds, atoms = timed(lambda: ot.lp.free_support_barycenter(clouds, uniform, start, numItermax=100))
    b = np.full(len(atoms), 1 / len(atoms))
    value = np.mean([ot.emd2(b, a, ot.dist(atoms, x)) for x, a in zip(clouds, uniform)])
    return seconds, float(value), []


def assignment(job):
    from scipy.optimize import linear_sum_assignment

    M = array(job["cost"])
    seconds, (rows, columns) = timed(lambda: linear_sum_assignment(M))
    return seconds, float(M[rows, columns].mean()), []


def highs(job):
    from scipy.optimize import linprog
    from scipy.sparse import csr_array

    a, b, M = array(job["a"]), array(job["b"]), array(job["cost"])
    n, m = M.shape
    pair = np.arange(n * m)
    rows = np.concatenate([pair // m, n + pair % m])
    A = csr_array((np.ones(2 * n * m), (rows, np.concatenate([pair, pair]))), shape=(n + m, n * m))
    right = np.concatenate([a, b])
    seconds, result = timed(lambda: linprog(M.ravel(), A_eq=A, b_eq=right, method="highs"))
    return seconds, float(result.fun), [] if result.status == 0 else [result.message]


def sinkhorn(job):
    import ot

    a, b, M = array(job["a"]), array(job["b"]), array(job["cost"])
    call = lambda: ot.sinkhorn(a, b, M, job["reg"], method="sinkhorn", numItermax=job["iterations"], stopThr=0.0, warn=False)
    seconds, plan = timed(call)
    value = float((plan * M).sum()) if plan.ndim == 2 else float(np.sum(plan))
    return seconds, value, []


def stabilized(job):
    import ot

    a, b, M = array(job["a"]), array(job["b"]), array(job["cost"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        call = lambda: ot.sinkhorn(a, b, M, job["reg"], method=job["method"], numItermax=job["iterations"], stopThr=1e-9)
        seconds, plan = timed(call)
    error = max(np.abs(plan.sum(1) - a).sum(), np.abs(plan.sum(0) - b).sum())
    said = [f"its plan has mass {plan.sum():.3g} and a marginal error of {error:.1e}"]
    return seconds, float((plan * M).sum()), said


def unbalanced(job):
    import ot

    a, b, M = array(job["a"]), array(job["b"]), array(job["cost"])
    call = lambda: ot.unbalanced.sinkhorn_unbalanced(
        a, b, M, job["reg"], (job["gamma_a"], job["gamma_b"]), method="sinkhorn_translation_invariant", reg_type="kl",
        numItermax=100_000, stopThr=job["tol"])
    seconds, plan = timed(call)
    return seconds, float((plan * M).sum()), []


def gemm(job):
    kind = np.float32 if job.get("dtype") == "f32" else np.float64
    K = np.exp(-array(job["cost"]) / job["reg"]).astype(kind)
    V = np.ones((K.shape[1], job["columns"]), dtype=kind)
    out = np.empty((K.shape[0], job["columns"]), dtype=kind)

    def products():
        for _ in range(job["iterations"]):
            np.matmul(K, V, out=out)
            np.matmul(K.T, out, out=V)
            np.divide(V, V.max(), out=V)

    seconds, _ = timed(products)
    return seconds, float("nan"), []


def separable(job):
    # An iteration on a square grid for many targets: four products with the kernel of one axis.
    kind = np.float32 if job.get("dtype") == "f32" else np.float64
    side, columns = job["side"], job["columns"]
    t = np.arange(side)
    k = np.exp(-((t[:, None] - t[None, :]) ** 2) / job["reg"]).astype(kind)
    a = array(job["a"]).astype(kind).reshape(side, side, 1)
    b = array(job["b"]).astype(kind).reshape(side, side, columns)
    V = np.ones_like(b)

    def product(x):
        x = (k @ x.reshape(side, -1)).reshape(side, side, columns)
        return np.matmul(k, x)

    def iterations():
        v = V
        for _ in range(job["iterations"]):
            v = b / product(a / product(v))

    seconds, _ = timed(iterations)
    return seconds, float("nan"), []


def ott(job):
    import jax

    jax.config.update("jax_enable_x64", True)
    import jax.numpy as jnp
    from ott.geometry import geometry
    from ott.problems.linear import linear_problem
    from ott.solvers.linear import sinkhorn as solver

    a, b, M = (jnp.asarray(array(job[k])) for k in ("a", "b", "cost"))
    k = job["iterations"]

    def solve(a, b, M):
        problem = linear_problem.LinearProblem(geometry.Geometry(cost_matrix=M, epsilon=job["reg"]), a, b)
        result = solver.Sinkhorn(threshold=0.0, min_iterations=k, max_iterations=k, inner_iterations=k, lse_mode=True)(problem)
        return result.f, result.g

    key = ("ott", k, M.shape)
    if key not in kept:
        kept[key] = jax.jit(solve).lower(a, b, M).compile()
    run = kept[key]
    seconds, (f, g) = timed(lambda: jax.block_until_ready(run(a, b, M)))
    plan = np.exp((np.asarray(f)[:, None] + np.asarray(g)[None, :] - array(job["cost"])) / job["reg"])
    return seconds, float((plan * array(job["cost"])).sum()), []


def geomloss(job):
    import torch
    from geomloss import SamplesLoss

    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float64)
    a, b, x, y = (torch.from_numpy(array(job[k])) for k in ("a", "b", "x", "y"))
    # Its cost is |x - y|²/2, and ε = blur².
    loss = SamplesLoss("sinkhorn", p=2, blur=(job["reg"] / 2) ** 0.5, scaling=0.5, debias=False, backend="tensorized")
    seconds, value = timed(lambda: loss(a, x, b, y))
    return seconds, 2.0 * float(value), []


OPS = {f.__name__: f for f in (versions, emd2, emd2_points, emd2_lazy, emd2_1d, emd_1d, partial, emd2_loop, emd2_pairs, emd2_nearest, adapt_emd, adapt_group_lasso, convolutional, free_support, assignment, highs, sinkhorn, stabilized, unbalanced, gemm, separable, ott, geomloss)}

# What libraries print belongs on standard error: standard output is for answers.
answers = sys.stdout
sys.stdout = sys.stderr
for line in sys.stdin:
    job = json.loads(line)
    if job["op"] == "forget":
        kept.clear()
        answer = {"seconds": 0.0, "value": None, "said": []}
    else:
        try:
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                seconds, value, said = OPS[job["op"]](job)
            said = list(said) + sorted({str(w.message).split("\n")[0] for w in caught})
            finite = value is not None and np.isfinite(value)
            answer = {"seconds": seconds, "value": value if finite else None, "said": said}
        except Exception as error:  # a peer's failure is an answer too
            answer = {"error": f"{type(error).__name__}: {error}"}
    answers.write(json.dumps(answer) + "\n")
    answers.flush()
