//! The command line of ssdlite.

fn main() {}
mod weights;
