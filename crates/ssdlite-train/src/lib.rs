//! Losses, recipes and training runs.
