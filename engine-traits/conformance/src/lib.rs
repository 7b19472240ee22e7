//! The contracts, executable: suites that any implementation runs in one line.
