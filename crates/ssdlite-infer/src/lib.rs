//! Model file to folded plan to detections on the CPU.
