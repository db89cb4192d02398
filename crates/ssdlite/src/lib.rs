//! Detect objects in images on the CPU: the stable library.
