//! What does a step of a small network take: forward, backward and Adam?
//!
//! - 2-w-w-1 with rectifiers, of widths 8 to 1024, at batch 100, as critics and generators of SPOT are; in f64 and f32.
//!   At width 64 with spectral normalization as well, a power iteration a step.
//! - Two convolutions and a linear layer with cross-entropy, on 28×28 pixels at batch 64.
//!
//! The floor is the same products and nothing else, timed in the same run. With `--features candle` the same network in
//! candle is timed in that run, too, on one thread (`RAYON_NUM_THREADS=1`).

use std::hint::black_box;
use std::time::Duration;

use benches::{compare, spread};
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use ot_kernels::gemm::{Matrix, multiply};
use ot_nn::{Adam, Conv, Layer, Network, Number, Optimizer, Spectral, Tape, cross_entropy};

/// What keeps a bench from running: its own inputs would have to be wrong.
const VALID: &str = "the inputs of a bench are valid";

const BATCH: usize = 100;
const IMAGES: usize = 64;
const CLASSES: usize = 10;

fn numbers<T: Number>(count: usize) -> Vec<T> {
    let numbers = spread(count).into_iter();
    numbers.map(|x| T::from_f64(x - 0.5)).collect()
}

/// A product that a network makes: rows, terms, columns, and how often.
#[derive(Clone, Copy)]
struct Product(usize, usize, usize, usize);

/// One with operands and room of its own.
struct Made<T> {
    product: Product,
    a: Vec<T>,
    b: Vec<T>,
    out: Vec<T>,
    turned: (bool, bool),
}

/// The products of one step.
struct Floor<T> {
    products: Vec<Made<T>>,
}

impl<T: Number> Floor<T> {
    /// Of layers out = x Wᵀ, of which the first needs no gradient by x.
    fn of(layers: &[Product]) -> Self {
        let mut products = Vec::new();
        for (at, &Product(rows, terms, columns, times)) in layers.iter().enumerate() {
            let mut add = |m: usize, k: usize, n: usize, turned| {
                products.push(Made {
                    product: Product(m, k, n, times),
                    a: numbers(m * k),
                    b: numbers(k * n),
                    out: numbers(m * n),
                    turned,
                });
            };
            add(rows, terms, columns, (false, true));
            if at > 0 {
                add(rows, columns, terms, (false, false));
            }
            add(columns, rows, terms, (true, false));
        }
        Self { products }
    }

    fn run(&mut self) {
        for made in &mut self.products {
            let Product(m, k, n, times) = made.product;
            let a = match made.turned.0 {
                false => Matrix::new(&made.a, m, k),
                true => Matrix::new(&made.a, k, m).turned(),
            };
            let b = match made.turned.1 {
                false => Matrix::new(&made.b, k, n),
                true => Matrix::new(&made.b, n, k).turned(),
            };
            for _ in 0..times {
                multiply(T::from_f64(1.0), a, b, false, black_box(&mut made.out));
            }
        }
    }
}

/// A network under training.
struct Training<T> {
    network: Network<T>,
    tape: Tape<T>,
    adam: Adam<T>,
    gradient: Vec<T>,
    x: Vec<T>,
    by_out: Vec<T>,
    labels: Option<Vec<usize>>,
}

impl<T: Number> Training<T> {
    fn new(layers: &[Layer], rows: usize, labels: Option<Vec<usize>>) -> Self {
        let network = Network::new(layers, 0).expect(VALID);
        let outputs = rows * network.outputs();
        Self {
            gradient: vec![T::ZERO; network.parameters().len()],
            x: numbers(rows * network.inputs()),
            by_out: vec![T::from_f64(1.0 / outputs as f64); outputs],
            tape: Tape::default(),
            adam: Adam::new(1e-4),
            network,
            labels,
        }
    }

    fn step(&mut self) {
        self.network.normalize();
        let out = self.network.forward(&self.x, &mut self.tape).expect(VALID);
        if let Some(labels) = &self.labels {
            cross_entropy(out, CLASSES, labels, &mut self.by_out).expect(VALID);
        }
        let gradient = &mut self.gradient;
        let done = self
            .network
            .backward_parameters(&self.by_out, &mut self.tape, gradient);
        done.expect(VALID);
        self.adam
            .step(gradient, self.network.parameters_mut())
            .expect(VALID);
    }
}

fn report<T: Number>(
    criterion: &mut Criterion,
    id: &str,
    layers: &[Layer],
    rows: usize,
    products: &[Product],
    peer: Option<&mut dyn FnMut()>,
) {
    // A filter is for the ratios, too.
    let mut filters = std::env::args()
        .skip(1)
        .filter(|arg| !arg.starts_with('-'))
        .peekable();
    if filters.peek().is_some() && !filters.any(|filter| id.contains(&filter)) {
        return;
    }
    let labels = (rows == IMAGES).then(|| (0..rows).map(|k| k % CLASSES).collect());
    let mut floor = Floor::<T>::of(products);
    let mut training = Training::<T>::new(layers, rows, labels);
    // Enough of the smallest for a clock.
    let flops: usize = products
        .iter()
        .map(|Product(m, k, n, times)| m * k * n * times)
        .sum();
    let many = (2_000_000 / flops).max(1);
    let best = compare(
        1.5,
        || (0..many).for_each(|_| floor.run()),
        || (0..many).for_each(|_| training.step()),
    );
    best.print(
        &format!("nn/{id}"),
        &format!("{many} times the products alone"),
    );
    println!("nn/{id}: {:.0} steps/s", many as f64 / best.work);
    if let Some(peer) = peer {
        let both = compare(
            1.5,
            || (0..many).for_each(|_| peer()),
            || (0..many).for_each(|_| training.step()),
        );
        let rate = |time: f64| many as f64 / time;
        println!(
            "nn/{id}: candle {:.0} steps/s, here {:.0}: {:.1} times as many",
            rate(both.floor),
            rate(both.work),
            both.floor / both.work
        );
    }
    let mut group = criterion.benchmark_group("nn");
    group.bench_function(BenchmarkId::new("step", id), |b| b.iter(|| training.step()));
}

fn dense<T: Number>(criterion: &mut Criterion, name: &str) {
    let leaky = Layer::LeakyRelu { slope: 0.2 };
    for width in [8, 16, 32, 64, 128, 256, 512, 1024] {
        let layers = [
            Layer::linear(2, width),
            leaky,
            Layer::linear(width, width),
            leaky,
            Layer::linear(width, 1),
        ];
        let products = [
            Product(BATCH, 2, width, 1),
            Product(BATCH, width, width, 1),
            Product(BATCH, width, 1, 1),
        ];
        let mut peer = peer::dense(width, name);
        let peer = peer.as_mut().map(|peer| &mut **peer as &mut dyn FnMut());
        let id = format!("2-{width}-{width}-1/{name}");
        report::<T>(criterion, &id, &layers, BATCH, &products, peer);
        if width == 64 {
            let layers = layers.map(|layer| layer.normalized(Spectral::default()));
            let id = format!("2-64-64-1-normalized/{name}");
            report::<T>(criterion, &id, &layers, BATCH, &products, None);
        }
    }
}

/// Two convolutions with strides, from 1 channel to 16 to 32.
fn convolutions() -> [Conv; 2] {
    let first = Conv {
        channels: 1,
        height: 28,
        width: 28,
        filters: 16,
        kernel: 3,
        stride: 2,
        padding: 1,
    };
    let second = Conv {
        channels: 16,
        height: 14,
        width: 14,
        filters: 32,
        ..first
    };
    [first, second]
}

fn images<T: Number>(criterion: &mut Criterion, name: &str) {
    let leaky = Layer::LeakyRelu { slope: 0.2 };
    let [first, second] = convolutions();
    let flat = 32 * 7 * 7;
    let layers = [
        Layer::convolution(first),
        leaky,
        Layer::convolution(second),
        leaky,
        Layer::linear(flat, CLASSES),
    ];
    // Patches of sixteen images as rows.
    let products = [
        Product(16 * 14 * 14, 9, 16, IMAGES / 16),
        Product(16 * 7 * 7, 16 * 9, 32, IMAGES / 16),
        Product(IMAGES, flat, CLASSES, 1),
    ];
    let mut peer = peer::images(name);
    let peer = peer.as_mut().map(|peer| &mut **peer as &mut dyn FnMut());
    let id = format!("28x28-c16-c32-10/{name}");
    report::<T>(criterion, &id, &layers, IMAGES, &products, peer);
}

#[cfg(not(feature = "candle"))]
mod peer {
    pub(super) type Step = Box<dyn FnMut()>;

    pub(super) fn dense(_: usize, _: &str) -> Option<Step> {
        None
    }

    pub(super) fn images(_: &str) -> Option<Step> {
        None
    }
}

#[cfg(feature = "candle")]
mod peer {
    use candle_core::{DType, Device, Module, Result, Tensor};
    use candle_nn::{
        AdamW, Conv2dConfig, Optimizer, ParamsAdamW, VarBuilder, VarMap, conv2d, linear, loss, ops,
    };

    use super::{BATCH, CLASSES, IMAGES, VALID, convolutions};

    pub(super) type Step = Box<dyn FnMut()>;

    fn kind(name: &str) -> DType {
        if name == "f64" {
            DType::F64
        } else {
            DType::F32
        }
    }

    fn adam(variables: &VarMap) -> Result<AdamW> {
        let settings = ParamsAdamW {
            lr: 1e-4,
            weight_decay: 0.0,
            ..ParamsAdamW::default()
        };
        AdamW::new(variables.all_vars(), settings)
    }

    pub(super) fn dense(width: usize, name: &str) -> Option<Step> {
        Some(make_dense(width, kind(name)).expect(VALID))
    }

    fn make_dense(width: usize, kind: DType) -> Result<Step> {
        let variables = VarMap::new();
        let path = VarBuilder::from_varmap(&variables, kind, &Device::Cpu);
        let layers = [
            linear(2, width, path.pp("a"))?,
            linear(width, width, path.pp("b"))?,
            linear(width, 1, path.pp("c"))?,
        ];
        let x = Tensor::randn(0.0, 1.0, (BATCH, 2), &Device::Cpu)?.to_dtype(kind)?;
        let mut adam = adam(&variables)?;
        let mut step = move || -> Result<()> {
            let h = ops::leaky_relu(&layers[0].forward(&x)?, 0.2)?;
            let h = ops::leaky_relu(&layers[1].forward(&h)?, 0.2)?;
            adam.backward_step(&layers[2].forward(&h)?.mean_all()?)
        };
        Ok(Box::new(move || step().expect(VALID)))
    }

    pub(super) fn images(name: &str) -> Option<Step> {
        // Its convolutions have no f64 gradients on every version.
        (name == "f32").then(|| make_images(kind(name)).expect(VALID))
    }

    fn make_images(kind: DType) -> Result<Step> {
        let variables = VarMap::new();
        let path = VarBuilder::from_varmap(&variables, kind, &Device::Cpu);
        let settings = Conv2dConfig {
            padding: 1,
            stride: 2,
            ..Conv2dConfig::default()
        };
        let [first, second] = convolutions();
        let convs = [
            conv2d(first.channels, first.filters, 3, settings, path.pp("a"))?,
            conv2d(second.channels, second.filters, 3, settings, path.pp("b"))?,
        ];
        let last = linear(32 * 7 * 7, CLASSES, path.pp("c"))?;
        let x = Tensor::randn(0.0, 1.0, (IMAGES, 1, 28, 28), &Device::Cpu)?.to_dtype(kind)?;
        let labels: Vec<u32> = (0..IMAGES as u32).map(|k| k % CLASSES as u32).collect();
        let labels = Tensor::new(labels, &Device::Cpu)?;
        let mut adam = adam(&variables)?;
        let mut step = move || -> Result<()> {
            let h = ops::leaky_relu(&convs[0].forward(&x)?, 0.2)?;
            let h = ops::leaky_relu(&convs[1].forward(&h)?, 0.2)?;
            let scores = last.forward(&h.flatten_from(1)?)?;
            adam.backward_step(&loss::cross_entropy(&scores, &labels)?)
        };
        Ok(Box::new(move || step().expect(VALID)))
    }
}

fn nn(criterion: &mut Criterion) {
    dense::<f64>(criterion, "f64");
    dense::<f32>(criterion, "f32");
    images::<f64>(criterion, "f64");
    images::<f32>(criterion, "f32");
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_secs(1));
    targets = nn
}
criterion_main!(benches);
