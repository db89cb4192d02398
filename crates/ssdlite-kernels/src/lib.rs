//! CPU kernels of MobileNetV3 and SSD-lite, forward and backward, channels-last.
