//! The query contract: catalog, expressions, logical and physical plans.
