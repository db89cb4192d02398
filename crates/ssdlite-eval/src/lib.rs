//! Metrics on plain detections and class scores.
