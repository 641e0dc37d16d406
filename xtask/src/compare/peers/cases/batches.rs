//! Many problems in one call: with one cost, and each with its own.

use std::sync::Arc;

use kantorovich::{
    Batch, Context, Cost, DenseCost, GridCost, GridGround, Measure, Options, PointCost, Problem,
    Reg,
};
use ot_compare::case;
use serde_json::json;

use super::super::duel::{Duel, per_iteration};
use super::tools::{
    one_thread, random_problem, random_weights, sinkhorn, solve_batch, threads, with,
};
use super::{Failure, Ring};

impl Ring<'_> {
    /// One source against many targets that share a cost: 28×28 pixels, against the two products that an
    /// iteration can't do without, and against POT's call for many targets.
    pub(super) fn shared_cost(&mut self, columns: usize) -> Result<(), Failure> {
        if !self.has("sinkhorn") {
            return Ok(());
        }
        self.worker.forget()?;
        let side = 28;
        let n = side * side;
        let points = case::grid_points(&[side, side]);
        let ground = kantorovich::Ground::parse("sqeuclidean")?;
        let cost = DenseCost::materialize(&PointCost::from_arrays(
            points.view(),
            points.view(),
            ground,
        )?)?;
        let entries = cost
            .as_f64()
            .ok_or("a materialized cost is in double precision")?;
        let reg = 3e-3 * entries.iter().copied().fold(0.0, f64::max);
        let weights: Vec<Vec<f64>> = (0..=columns).map(|k| random_weights(n, k as u64)).collect();
        let by_column: Vec<f64> = (0..n)
            .flat_map(|i| weights[1..].iter().map(move |w| w[i]))
            .collect();
        let files = json!({
            "a": self.put("batch-a", &[n], &weights[0])?,
            "b": self.put("batch-b", &[n, columns], &by_column)?,
            "cost": self.put("batch-cost", &[n, n], entries)?,
        });
        let measure = |w: &Vec<f64>| Measure::new(w.clone());
        let batch = Batch::OneToMany {
            source: measure(&weights[0])?,
            targets: weights[1..].iter().map(measure).collect::<Result<_, _>>()?,
            cost: Arc::new(cost),
        };
        let (few, many) = (10, 40);
        let context = one_thread()?;
        for precision in ["f64", "f32"] {
            let registry = self.registry;
            let mut peers = vec![(
                "gemm",
                format!("NumPy, two gemms, {precision}"),
                Some((0.8, 0.91)),
            )];
            if precision == "f64" {
                peers.push(("sinkhorn", "POT sinkhorn, many targets".to_owned(), None));
            }
            for (op, peer, marks) in peers {
                (self.tell)(&format!("sinkhorn {precision} · {n} × {columns} · {peer}"));
                let duel = Duel {
                    goal: "shared-cost batch, per iteration",
                    case: format!("{n} bins × {columns} targets"),
                    ours: format!("sinkhorn, batch, {precision}"),
                    peer,
                    must: marks.map(|m| m.0),
                    aim: marks.map(|m| m.1),
                };
                let worker = &mut *self.worker;
                let job = |iterations: u64| {
                    let call = json!({"op": op, "reg": reg, "iterations": iterations, "columns": columns, "dtype": precision});
                    with(&files, call)
                };
                let row = duel.fight(
                    &mut || {
                        per_iteration(few, many, &mut |iterations| {
                            let solver = sinkhorn(registry, reg, iterations, Some(precision))?;
                            solve_batch(solver.as_ref(), &batch, &context)
                        })
                    },
                    &mut || per_iteration(few, many, &mut |k| worker.call(&job(k))),
                );
                self.finish(row);
            }
        }
        Ok(())
    }

    /// One source against many targets on a grid, axis by axis, against NumPy's products axis by axis.
    pub(super) fn shared_grid(&mut self, columns: usize) -> Result<(), Failure> {
        if !self.has("sinkhorn") {
            return Ok(());
        }
        self.worker.forget()?;
        let side = 28;
        let n = side * side;
        let grid = GridCost::new(&[side, side], GridGround::SqEuclidean)?;
        let reg = 1e-2 * grid.range().max;
        let weights: Vec<Vec<f64>> = (0..=columns).map(|k| random_weights(n, k as u64)).collect();
        let by_column: Vec<f64> = (0..n)
            .flat_map(|i| weights[1..].iter().map(move |w| w[i]))
            .collect();
        let files = json!({
            "a": self.put("grid-a", &[n], &weights[0])?,
            "b": self.put("grid-b", &[n, columns], &by_column)?,
        });
        let measure = |w: &Vec<f64>| Measure::new(w.clone());
        let batch = Batch::OneToMany {
            source: measure(&weights[0])?,
            targets: weights[1..].iter().map(measure).collect::<Result<_, _>>()?,
            cost: Arc::new(grid),
        };
        let context = one_thread()?;
        let registry = self.registry;
        for precision in ["f64", "f32"] {
            (self.tell)(&format!(
                "sinkhorn · {side}×{side} grid × {columns} · NumPy {precision}"
            ));
            let duel = Duel {
                goal: "28×28 grid, separable, per iteration",
                case: format!("{n} cells × {columns} targets"),
                ours: "sinkhorn, grid, batch".to_owned(),
                peer: format!("NumPy, axis by axis, {precision}"),
                must: None,
                aim: None,
            };
            let worker = &mut *self.worker;
            let job = |iterations: u64| {
                let call = json!({
                    "op": "separable", "reg": reg, "iterations": iterations, "columns": columns,
                    "side": side, "dtype": precision,
                });
                with(&files, call)
            };
            let row = duel.fight(
                &mut || {
                    per_iteration(5, 25, &mut |iterations| {
                        let solver = sinkhorn(registry, reg, iterations, None)?;
                        solve_batch(solver.as_ref(), &batch, &context)
                    })
                },
                &mut || per_iteration(5, 25, &mut |k| worker.call(&job(k))),
            );
            self.finish(row);
        }
        Ok(())
    }

    /// Separate problems of 20 to 100 points a side, in one call of ours and in a loop of Python's.
    pub(super) fn many_small(&mut self, count: usize) -> Result<(), Failure> {
        self.worker.forget()?;
        let sizes: Vec<usize> = (0..count).map(|k| 20 + (k * 37) % 81).collect();
        let mut problems = Vec::new();
        let (mut a, mut b, mut costs) = (Vec::new(), Vec::new(), Vec::new());
        for (k, &n) in sizes.iter().enumerate() {
            let lazy = random_problem(n, 2, false, k as u64)?;
            let dense = DenseCost::materialize(lazy.cost())?;
            a.extend_from_slice(lazy.a().weights());
            b.extend_from_slice(lazy.b().weights());
            costs.extend_from_slice(
                dense
                    .as_f64()
                    .ok_or("a materialized cost is in double precision")?,
            );
            problems.push(Problem::new(
                lazy.a().clone(),
                lazy.b().clone(),
                Arc::new(dense),
            )?);
        }
        let sizes_as_numbers: Vec<f64> = sizes.iter().map(|&n| n as f64).collect();
        let files = json!({
            "a": self.put("many-a", &[a.len()], &a)?,
            "b": self.put("many-b", &[b.len()], &b)?,
            "cost": self.put("many-cost", &[costs.len()], &costs)?,
            "sizes": self.put("many-sizes", &[count], &sizes_as_numbers)?,
        });
        let batch = Batch::Separate(problems);
        let reg = 0.05;
        let entropic = Options {
            reg: Some(Reg::Relative(reg)),
            ..Options::default()
        };
        for (name, options, peer, job) in [
            (
                "network-simplex",
                Options::default(),
                "POT emd2 in a loop",
                json!({"op": "emd2_loop"}),
            ),
            (
                "sinkhorn",
                entropic,
                "POT sinkhorn2 in a loop",
                json!({"op": "emd2_loop", "reg": reg}),
            ),
        ] {
            let Some(solver) = self.solver(name, &options)? else {
                continue;
            };
            (self.tell)(&format!("{name} · {count} small problems"));
            let (one, two) = (one_thread()?, threads(2)?);
            let job = with(&files, job);
            let duel = |ours: &str, peer: &str, must, aim| Duel {
                goal: "many small problems",
                case: format!("{count} problems, n = 20–100"),
                ours: ours.to_owned(),
                peer: peer.to_owned(),
                must,
                aim,
            };
            let worker = &mut *self.worker;
            let beside = duel(&format!("{name}, batch"), peer, Some(10.0), Some(20.0));
            let first = beside.fight(
                &mut || solve_batch(solver.as_ref(), &batch, &one),
                &mut || worker.call(&job),
            );
            self.finish(first);
            let second = duel(
                &format!("{name}, two threads"),
                &format!("{name}, one thread"),
                Some(1.8),
                None,
            );
            // Each side twice, the second time counts: a virtual core that the other side's turn has left idle takes
            // milliseconds to come back, as much as half a batch.
            let warmed = |context: &Context| {
                solve_batch(solver.as_ref(), &batch, context)?;
                solve_batch(solver.as_ref(), &batch, context)
            };
            let row = second.fight(&mut || warmed(&two), &mut || warmed(&one));
            self.finish(row);
        }
        Ok(())
    }
}
