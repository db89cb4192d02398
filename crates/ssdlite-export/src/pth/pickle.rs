//! The pickle of a state dict, of opcodes and functions that
//! `torch.load(weights_only=True)` lets pass.
//!
//! Source: CPython's `Lib/pickletools.py` for the opcodes; `torch/_utils.py` and
//! `torch/_weights_only_unpickler.py` of PyTorch 2.9 for what they may say.

use ssdlite_model::{Error, Result};

/// Protocol 2, which PyTorch asks for.
const PROTOCOL: &[u8] = b"\x80\x02";
const ORDERED_DICT: &[u8] = b"ccollections\nOrderedDict\n)R";
const REBUILD_TENSOR: &[u8] = b"ctorch._utils\n_rebuild_tensor_v2\n";
const MARK: u8 = b'(';
const TUPLE: u8 = b't';
const REDUCE: u8 = b'R';
const SET_ITEMS: u8 = b'u';
const PERSISTENT_ID: u8 = b'Q';
const TEXT: u8 = b'X';
const INT: u8 = b'J';
const FALSE: u8 = 0x89;
const STOP: u8 = b'.';

/// A tensor that is all of a record of its own, the last dimension fastest.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry<'a> {
    pub(super) key: &'a str,
    /// The name of the record.
    pub(super) record: usize,
    /// Of `torch`, such as `FloatStorage`.
    pub(super) storage: &'static str,
    pub(super) shape: &'a [usize],
}

/// The pickle of an ordered dictionary of tensors.
///
/// # Errors
/// [`Error::OverLimit`] for a tensor of 2 Gi numbers.
pub(super) fn from_entries<'a>(entries: impl IntoIterator<Item = Entry<'a>>) -> Result<Vec<u8>> {
    let mut pickle = Pickle(PROTOCOL.to_vec());
    pickle.0.extend(ORDERED_DICT);
    pickle.0.push(MARK);
    for entry in entries {
        pickle.text(entry.key);
        pickle.tensor(entry).map_err(|()| {
            Error::OverLimit(format!("{}: expected less than 2 Gi numbers", entry.key))
        })?;
    }
    pickle.0.extend([SET_ITEMS, STOP]);
    Ok(pickle.0)
}

struct Pickle(Vec<u8>);

impl Pickle {
    /// `_rebuild_tensor_v2(storage, offset, shape, strides, requires_grad, hooks)`.
    fn tensor(&mut self, entry: Entry<'_>) -> std::result::Result<(), ()> {
        let tail = |axis: usize| entry.shape[axis..].iter().product::<usize>();
        let strides: Vec<usize> = (1..=entry.shape.len()).map(tail).collect();
        self.0.extend(REBUILD_TENSOR);
        self.0.push(MARK);

        self.0.push(MARK);
        self.text("storage");
        self.0
            .extend(format!("ctorch\n{}\n", entry.storage).bytes());
        self.text(&entry.record.to_string());
        self.text("cpu");
        self.int(tail(0))?;
        self.0.extend([TUPLE, PERSISTENT_ID]);

        self.int(0)?;
        self.tuple(entry.shape)?;
        self.tuple(&strides)?;
        self.0.push(FALSE);
        self.0.extend(ORDERED_DICT);
        self.0.extend([TUPLE, REDUCE]);
        Ok(())
    }

    fn tuple(&mut self, numbers: &[usize]) -> std::result::Result<(), ()> {
        self.0.push(MARK);
        for &number in numbers {
            self.int(number)?;
        }
        self.0.push(TUPLE);
        Ok(())
    }

    fn int(&mut self, number: usize) -> std::result::Result<(), ()> {
        let number = i32::try_from(number).map_err(|_| ())?;
        self.0.push(INT);
        self.0.extend(number.to_le_bytes());
        Ok(())
    }

    fn text(&mut self, text: &str) {
        self.0.push(TEXT);
        // Keys of tensors have less than a hundred bytes.
        self.0.extend((text.len() as u32).to_le_bytes());
        self.0.extend(text.bytes());
    }
}
