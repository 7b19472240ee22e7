//! Comparisons along the axes and against peers.
