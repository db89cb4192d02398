//! Whole networks: against torchvision, against each other, against broken
//! files.

mod formula;
mod golden;
mod hostile;
mod variants;
