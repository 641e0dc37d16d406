//! parts
use ot_entropic::{
    dense::Dense,
    dual::{Dual, Point},
    newton::Store,
};
use ot_kernels::kernel_product::*;
use std::time::Instant;
fn main() {
    let n = 2000;
    let cost: Vec<f64> = (0..n * n)
        .map(|i| ((i as f64 * 0.618_033).fract()))
        .collect();
    let a = vec![1.0 / n as f64; n];
    let dual = Dual {
        cost: &cost,
        a: &a,
        b: &a,
        gamma_a: f64::INFINITY,
        gamma_b: f64::INFINITY,
    };
    let mut dense = Dense::new(dual, 1);
    let mut point = Point::new(n, vec![0.0; n], 0.01);
    dense.pass(&mut point);
    let t = Instant::now();
    for _ in 0..10 {
        dense.pass(&mut point);
    }
    println!("pass {:.2} ms", t.elapsed().as_secs_f64() * 100.0);
    dense.exact = true;
    let t = Instant::now();
    for _ in 0..10 {
        dense.pass(&mut point);
    }
    println!("exact {:.2} ms", t.elapsed().as_secs_f64() * 100.0);
    let (mut r, mut c) = (vec![0.0; n], vec![0.0; n]);
    let t = Instant::now();
    for _ in 0..10 {
        dense.entropy(&point, &mut r, &mut c);
    }
    println!("entropy {:.2} ms", t.elapsed().as_secs_f64() * 100.0);
    let k: Vec<f32> = cost.iter().map(|c| *c as f32).collect();
    let mut w = ProductWorkspace::new(n, 1);
    let mut out = vec![0.0; n];
    let t = Instant::now();
    for _ in 0..10 {
        gram(&k, &a, &a, &mut out, &mut w);
    }
    println!("gram {:.2} ms", t.elapsed().as_secs_f64() * 100.0);
    let mut s = 0.0;
    let neg = vec![0.1; n];
    let t = Instant::now();
    for _ in 0..10 {
        for i in 0..n {
            s += ot_kernels::pricing::row_min(&cost[i * n..(i + 1) * n], &neg);
        }
    }
    println!("row_min {:.2} ms {s}", t.elapsed().as_secs_f64() * 100.0);
    let mut row = vec![0f32; n];
    let t = Instant::now();
    for _ in 0..10 {
        for i in 0..n {
            s += ot_kernels::soft::weigh_row(&cost[i * n..(i + 1) * n], &neg, 0.0, 100.0, &mut row);
        }
    }
    println!("weigh {:.2} ms {s}", t.elapsed().as_secs_f64() * 100.0);
    let t = Instant::now();
    for _ in 0..10 {
        for i in 0..n {
            s += ot_kernels::soft::weigh_row(&cost[..n], &neg, 0.0, 100.0, &mut row);
        }
    }
    println!("weigh hot {:.2} ms {s}", t.elapsed().as_secs_f64() * 100.0);
    let t = Instant::now();
    for _ in 0..10 {
        for _ in 0..n {
            ot_kernels::soft::add_row(&row, 1.0, &mut out);
        }
    }
    println!("add hot {:.2} ms {s}", t.elapsed().as_secs_f64() * 100.0);
}
