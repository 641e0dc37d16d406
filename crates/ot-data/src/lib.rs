//! Readers and writers for the data that optimal transport is fed with: IDX, npy, npz, csv, png, embeddings.
