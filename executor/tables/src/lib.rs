//! Tables, indexes and the catalog, laid out on keys.
