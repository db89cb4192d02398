//! Options that several commands have.

pub(crate) mod config;
pub(crate) mod format;
pub(crate) mod isa;
pub(crate) mod labels;
pub(crate) mod limits;
pub(crate) mod lists;
pub(crate) mod model;
pub(crate) mod network;
pub(crate) mod number;
pub(crate) mod post_processing;
pub(crate) mod reading;
pub(crate) mod run;
pub(crate) mod server;
pub(crate) mod split;
pub(crate) mod stall;
pub(crate) mod threads;
pub(crate) mod tiles;
pub(crate) mod train_options;
pub(crate) mod verbosity;
