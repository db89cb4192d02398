//! From hostile bytes to pixels to network input, and drawing.
