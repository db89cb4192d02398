//! What operators compute.

pub(crate) mod maps;
pub(crate) mod rows;
pub(crate) mod suppression;
