//! Data sets: readers, checks, splits, augmentation and the batch loader.
