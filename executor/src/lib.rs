//! Physical plan to vectors of columns; tables, indexes and catalog laid out on keys.
