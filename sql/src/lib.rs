//! Text to a bound statement.
