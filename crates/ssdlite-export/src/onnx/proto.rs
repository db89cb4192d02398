//! Protobuf's wire format, as much of it as ONNX needs: numbers, floats, and whatever
//! has a length.
//!
//! Source: "Encoding" in protobuf's documentation. Repeated numbers are not packed, as
//! `onnx.proto` declares them.

/// Kinds of fields on the wire.
const VARINT: u32 = 0;
const LENGTH: u32 = 2;
const FIXED_32: u32 = 5;

/// The fields of a message, in the order in which they were added.
#[derive(Clone, Debug, Default)]
pub(super) struct Message(Vec<u8>);

impl Message {
    /// An `int32`, `int64` or enumeration.
    pub(super) fn int(&mut self, field: u32, number: i64) {
        self.tag(field, VARINT);
        self.varint(number.cast_unsigned());
    }

    pub(super) fn float(&mut self, field: u32, number: f32) {
        self.tag(field, FIXED_32);
        self.0.extend(number.to_le_bytes());
    }

    pub(super) fn text(&mut self, field: u32, text: &str) {
        self.bytes(field, text.as_bytes());
    }

    pub(super) fn bytes(&mut self, field: u32, bytes: &[u8]) {
        self.tag(field, LENGTH);
        self.varint(bytes.len() as u64);
        self.0.extend(bytes);
    }

    pub(super) fn message(&mut self, field: u32, message: &Self) {
        self.bytes(field, &message.0);
    }

    /// Adds all fields of another.
    pub(super) fn extend(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    fn tag(&mut self, field: u32, kind: u32) {
        self.varint(u64::from((field << 3) | kind));
    }

    /// Seven bits a byte, the lowest first.
    fn varint(&mut self, mut number: u64) {
        const MORE: u64 = 0x80;
        while number >= MORE {
            self.0.push(((number & (MORE - 1)) | MORE) as u8);
            number >>= 7;
        }
        self.0.push(number as u8);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The examples of protobuf's documentation.
    #[test]
    fn fields_are_as_in_protobufs_documentation() {
        let mut message = Message::default();
        message.int(1, 150);
        assert_eq!(message.0, [0x08, 0x96, 0x01]);
        let mut outer = Message::default();
        outer.text(2, "testing");
        outer.message(3, &message);
        assert_eq!(outer.0, b"\x12\x07testing\x1a\x03\x08\x96\x01");
    }

    #[test]
    fn numbers_of_all_sizes_are_told_apart() {
        for (number, bytes) in [
            (0, &[0x08, 0][..]),
            (127, &[0x08, 0x7f]),
            (128, &[0x08, 0x80, 0x01]),
            (-1, b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"),
        ] {
            let mut message = Message::default();
            message.int(1, number);
            assert_eq!(message.0, bytes, "{number}");
        }
        let mut message = Message::default();
        message.float(16, 1.0);
        assert_eq!(message.0, [0x85, 0x01, 0, 0, 0x80, 0x3f]);
    }
}
