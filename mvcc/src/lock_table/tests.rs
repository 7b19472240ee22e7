//! The table, driven by hand and by threads.

use super::*;
