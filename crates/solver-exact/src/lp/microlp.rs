//! microlp, through good_lp.

use super::{Library, LpFactory, good};

/// `lp-microlp`.
pub const MICROLP: LpFactory = LpFactory(Library {
    name: "lp-microlp",
    summary: "the linear program, by microlp: an oracle for small problems",
    minimise: |network| good::minimise(network, |program| program.using(good_lp::microlp)),
});
