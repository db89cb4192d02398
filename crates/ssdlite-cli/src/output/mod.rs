//! What commands print, save and show of their progress.

pub(crate) mod charts;
pub(crate) mod findings;
pub(crate) mod found;
pub(crate) mod run_end;
pub(crate) mod save_folder;
pub(crate) mod saved_video;
pub(crate) mod shell;
pub(crate) mod training_progress;
pub(crate) mod video_progress;
