//! A sum that tells damaged files and other data.

use ssdlite_core::random::Fnv1a;

/// A hash of texts and of tensors in the order of their names.
#[derive(Default)]
pub(super) struct Checksum(Fnv1a);

impl Checksum {
    pub(super) fn of_header(header: &str) -> Self {
        let mut sum = Self::default();
        sum.add_text(header);
        sum
    }

    /// Hexadecimal.
    pub(super) fn digits(&self) -> String {
        format!("{:016x}", self.0.value())
    }

    /// Adds a text and its end.
    pub(super) fn add_text(&mut self, text: &str) {
        self.0.add_bytes(text.as_bytes());
        // No byte of a text.
        self.0.add(0xff);
    }

    /// Adds a tensor's 32-bit numbers, each at once.
    pub(super) fn add_tensor(&mut self, name: &str, words: impl Iterator<Item = u32>) {
        self.add_text(name);
        for word in words {
            self.0.add(word.into());
        }
    }
}
