//! The virtual disk: loses, tears and reorders what was not synced, and fails on command.
