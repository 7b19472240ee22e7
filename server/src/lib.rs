//! Protocol, sessions, operations; the composition root.
