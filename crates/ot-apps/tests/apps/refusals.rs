//! Bad input: every message names the argument, the value and the rule.

use std::sync::Arc;

use ot_apps::{
    Bernoulli, BernoulliMixture, BernoulliSettings, Bregman, BregmanSettings, ClusterBarycenters,
    Coupling, Domain, Error, Images, KMeansSettings, ModelSet, Retrieval, Samples, Score,
    WassersteinKMeans, pixel_cost,
};
use solver_api::{Barycenters, CancelToken, Context, Ground, Measure, Reg};
use solver_exact::NetworkSimplex;

use crate::backends::bars;
use crate::toy::RelaxedOnly;

pub(crate) fn said<T, E: ToString>(result: Result<T, E>) -> String {
    match result {
        Ok(_) => "accepted".to_owned(),
        Err(error) => error.to_string(),
    }
}

#[test]
fn what_is_wrong_with_data_is_said() {
    let (images, labels) = bars(0.0);
    let context = Context::default();
    let fit = |labels: &[i64], models: usize| {
        said(ModelSet::fit(
            &Samples, &images, labels, models, 0, &context,
        ))
    };
    let solver = NetworkSimplex::default();
    let cost = pixel_cost((4, 4), &Ground::Euclidean).expect("a cost");
    let models = ModelSet::fit(&Samples, &images, &labels, 1, 0, &context).expect("models");
    let retrieval = Retrieval::new(
        &solver,
        Arc::clone(&cost),
        models.clone(),
        Score::TransportCost,
    )
    .expect("fits");
    let wide = Images::new("images", (2, 8), images.pixels()).expect("valid");
    let found = retrieval.predict(&images, &context).expect("solved");
    let other = pixel_cost((2, 2), &Ground::Euclidean).expect("a cost");
    let coupling = Coupling::new(&solver, Ground::Euclidean).expect("balanced");
    let fitted = coupling.fit(&[0.0, 1.0], 1, &[1, 2]).expect("labels");
    insta::assert_snapshot!(
        [
            fit(&labels[1..], 1),
            fit(&[], 1),
            fit(&[3; 8], 1),
            fit(&labels, 0),
            fit(&labels, 5),
            fit(&[1, 1, 1, 1, 1, 1, 1, 2], 2),
            said(retrieval.predict(&wide, &context)),
            said(found.accuracy(&labels[..3])),
            said(models.require_classes(&[1, 2, 8])),
            said(models.sparsified(1.5)),
            said(ModelSet::new(&images, &[4; 8])),
            said(Retrieval::new(&solver, other, models, Score::TransportCost)),
            said(coupling.fit(&[0.0, 1.0], 1, &[1])),
            said(coupling.fit(&[0.0, 1.0, 2.0], 2, &[1])),
            said(coupling.fit(&[], 2, &[])),
            said(fitted.predict(&[], &mut Context::default())),
            said(fitted.predict(&[f64::NAN], &mut Context::default())),
        ]
        .join("\n")
    );
}

#[test]
fn what_is_wrong_with_settings_is_said() {
    let bernoulli = |change: fn(&mut BernoulliSettings)| {
        let mut settings = BernoulliSettings::default();
        change(&mut settings);
        said(Bernoulli::new(settings))
    };
    let bregman = |reg: f64, tol: f64, max_iter: u64| {
        said(Bregman::new(BregmanSettings {
            reg: Reg::Relative(reg),
            tol,
            max_iter,
            ..BregmanSettings::default()
        }))
    };
    let solver = NetworkSimplex::default();
    let good = Bregman::default();
    let cost = pixel_cost((4, 4), &Ground::Euclidean).expect("a cost");
    let kmeans = |samples, rounds| {
        let settings = KMeansSettings { samples, rounds };
        said(WassersteinKMeans::new(
            &solver,
            &good,
            Arc::clone(&cost),
            settings,
        ))
    };
    let mixture = |x: &[f64], dim, k| {
        let settings = BernoulliSettings::default();
        said(BernoulliMixture::fit(
            x,
            dim,
            k,
            &settings,
            0,
            &Context::default(),
        ))
    };
    let point = Measure::uniform(16).expect("valid");
    let average = |measures: &[Measure], lambda: &[f64], reg: f64| {
        let settings = BregmanSettings {
            reg: Reg::Relative(reg),
            domain: Domain::Scalings,
            ..BregmanSettings::default()
        };
        let bregman = Bregman::new(settings).expect("valid");
        said(bregman.barycenter(&cost, measures, lambda, &mut Context::default()))
    };
    insta::assert_snapshot!(
        [
            bernoulli(|s| s.restarts = 0),
            bernoulli(|s| s.max_iter = 0),
            bernoulli(|s| s.tol = f64::NAN),
            bernoulli(|s| s.smoothing = 0.0),
            bernoulli(|s| s.threshold = Some(1.0)),
            mixture(&[0.0, 1.0, 0.5], 2, 1),
            mixture(&[0.0, 1.5], 2, 1),
            mixture(&[0.0, 1.0], 2, 2),
            mixture(&[], 2, 1),
            bregman(-1.0, 1e-3, 10),
            bregman(1e-2, 0.0, 10),
            bregman(1e-2, 1e-3, 0),
            average(&[], &[], 0.01),
            average(std::slice::from_ref(&point), &[1.0, 2.0], 0.01),
            average(std::slice::from_ref(&point), &[-1.0], 0.01),
            average(&[Measure::uniform(3).expect("valid")], &[1.0], 0.01),
            average(std::slice::from_ref(&point), &[1.0], 1e-4),
            kmeans(0, 1),
            kmeans(1, 0),
            said(ClusterBarycenters::new(&good, Arc::clone(&cost), 0)),
        ]
        .join("\n")
    );
}

#[test]
fn a_solver_without_the_capability_is_refused_by_name() {
    let cost = pixel_cost((4, 4), &Ground::Euclidean).expect("a cost");
    let (images, labels) = bars(0.0);
    let models = ModelSet::new(&images, &labels).expect("models");
    let missing = "`relaxed-only` can't solve this problem: it lacks `balanced`";
    let retrieval = Retrieval::new(&RelaxedOnly, Arc::clone(&cost), models, Score::Objective);
    assert_eq!(said(retrieval), missing);
    assert_eq!(
        said(Coupling::new(&RelaxedOnly, Ground::Euclidean)),
        missing
    );
    let bregman = Bregman::default();
    let kmeans = WassersteinKMeans::new(&RelaxedOnly, &bregman, cost, KMeansSettings::default());
    assert_eq!(said(kmeans), missing);
}

#[test]
fn a_token_stops_an_application() {
    let (images, labels) = bars(0.0);
    let token = CancelToken::new();
    token.cancel();
    let context = Context::default()
        .cancelled_by(&token)
        .with_threads(1)
        .expect("a pool");
    let stopped = ModelSet::fit(&Samples, &images, &labels, 1, 0, &context).expect_err("stopped");
    assert!(matches!(stopped, Error::Stopped { .. }), "{stopped}");
}
