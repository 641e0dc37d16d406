//! What the benches share: floors measured in the same run, and seeded inputs.
