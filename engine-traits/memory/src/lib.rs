//! The in-memory engine: the model that specifies the others.
