//! Closed forms: optimal plans without a search.
