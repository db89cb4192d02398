//! What a model is: MobileNetV3 and SSD-lite as tables, boxes, matching and post-processing.
