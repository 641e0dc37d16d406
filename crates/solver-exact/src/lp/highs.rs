//! HiGHS, through good_lp.

use super::{Library, LpFactory, good};

/// `lp-highs`.
pub const HIGHS: LpFactory = LpFactory(Library {
    name: "lp-highs",
    summary: "the linear program, by HiGHS: an oracle for problems of moderate size",
    minimise: |network| good::minimise(network, |program| program.using(good_lp::highs)),
});
