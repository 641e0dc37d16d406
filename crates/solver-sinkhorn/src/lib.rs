//! Kernel-domain Sinkhorn, alone and in batches.
