//! PostgreSQL's type system: values, input and output, casts, operators and functions.
