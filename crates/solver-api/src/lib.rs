//! The vocabulary of optimal transport: measures, costs, problems, solvers, solutions, certificates.
