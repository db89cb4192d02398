//! Data sets on disk: sound ones, broken ones, hostile ones.

mod annotations;
mod broken;
mod checked;
mod coco;
mod convert;
mod default_box_fit;
mod division;
mod folders;
mod formats;
mod labelme;
mod layouts;
mod lists;
mod maker;
mod odd_files;
mod photos;
mod sample;
mod usable_splits;
mod voc;
mod yolo;
