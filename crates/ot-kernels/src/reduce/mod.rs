//! Reductions over rows and vectors: soft and hard minima, sums that keep their accuracy, and a scan for
//! values that have no place in an input.

mod bounds;
mod rows;
mod sums;

pub use bounds::{
    RoundedRow, both_minima, both_minima_with, extremes, extremes_with, rounded_row,
    rounded_row_with,
};
pub use rows::{
    col_min_update, col_min_update_with, row_log_sum_exp, row_log_sum_exp_f32,
    row_log_sum_exp_f32_with, row_log_sum_exp_with, row_min_arg, row_min_arg_with,
};
pub use sums::{
    Scan, dot, dot_with, l1_distance, l1_distance_with, plain_sum, plain_sum_with, scan, scan_with,
    sum, sum_with,
};
