//! Data sets on disk: sound ones, broken ones, hostile ones.

mod annotations;
mod broken;
mod coco;
mod convert;
mod default_box_fit;
mod division;
mod folders;
mod formats;
mod labelme;
mod layouts;
mod maker;
mod photos;
mod sample;
mod voc;
mod yolo;
