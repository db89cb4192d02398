//! Data sets on disk: sound ones, broken ones, hostile ones.

mod annotations;
mod broken;
mod default_box_fit;
mod folders;
mod layouts;
mod maker;
mod sample;
mod voc;
