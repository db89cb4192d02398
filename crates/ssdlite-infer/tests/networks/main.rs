//! Whole networks: against torchvision, against each other.

mod formula;
mod golden;
