//! MobileNetV3 and SSD-lite as Burn modules.
