//! Reading Python's pickles without running anything of them.
//!
//! A pickle is a program for a stack machine. Here it makes dictionaries, lists,
//! texts, whole numbers and PyTorch's tensors; every other object that it asks for
//! is one of which only the parts are known, so that tensors in it are found.
//! The opcodes are those of protocols 0 to 5. Source: CPython's `Lib/pickletools.py`.

use std::collections::HashMap;

use super::rebuild::{Global, Storage, Tensor};
use crate::error::{Error, Result};

/// The most steps that a pickle may take, each of which makes one object at most. A
/// state dict of 500 tensors with its optimizer's takes 100,000.
const MAX_STEPS: usize = 1 << 20;

/// A text of the pickle: its bytes' place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Text {
    start: u32,
    len: u32,
}

/// The number of an object in [`Pickle`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Id(u32);

/// A value. Objects that hold others are told by their number, as they may be changed
/// after others hold them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Value {
    None,
    Bool(bool),
    Int(i64),
    Text(Text),
    /// A list, tuple or set.
    Items(Id),
    /// A dictionary, or an object of which the parts are known: keys and values by
    /// turns. Values under the key [`Value::None`] are parts without a name.
    Entries(Id),
    Global(Global),
    Storage(Id),
    Tensor(Id),
    /// A float, bytes, or what else is of no use here.
    Other,
}

impl Value {
    /// The number among [`Pickle::holders`] of a value that holds others.
    pub(super) fn holder(self) -> Option<usize> {
        match self {
            Self::Items(id) | Self::Entries(id) => Some(id.0 as usize),
            _ => None,
        }
    }
}

/// The objects of a pickle.
pub(super) struct Pickle<'a> {
    bytes: &'a [u8],
    holders: Vec<Vec<Value>>,
    storages: Vec<Storage>,
    tensors: Vec<Tensor>,
}

impl<'a> Pickle<'a> {
    /// Reads the pickle with which `bytes` begins. Returns its value, and how many
    /// bytes it takes.
    pub(super) fn read(bytes: &'a [u8]) -> Result<(Self, Value, usize)> {
        let mut machine = Machine {
            pickle: Self {
                bytes,
                holders: Vec::new(),
                storages: Vec::new(),
                tensors: Vec::new(),
            },
            at: 0,
            steps: 0,
            stack: Vec::new(),
            marks: Vec::new(),
            memo: HashMap::new(),
        };
        let value = machine.run().map_err(|error| {
            let place = format!("byte {} of the pickle", machine.at);
            error.at(place)
        })?;
        Ok((machine.pickle, value, machine.at))
    }

    pub(super) fn text(&self, text: Text) -> &'a [u8] {
        &self.bytes[text.start as usize..][..text.len as usize]
    }

    /// The values of a list, tuple, set or dictionary; none for anything else.
    pub(super) fn held(&self, value: Value) -> &[Value] {
        value.holder().map_or(&[], |index| &self.holders[index])
    }

    /// What each list, tuple, set and dictionary holds.
    pub(super) fn holders(&self) -> &[Vec<Value>] {
        &self.holders
    }

    pub(super) fn storages(&self) -> &[Storage] {
        &self.storages
    }

    pub(super) fn storage(&self, id: Id) -> &Storage {
        &self.storages[id.0 as usize]
    }

    pub(super) fn tensor(&self, id: Id) -> &Tensor {
        &self.tensors[id.0 as usize]
    }

    pub(super) fn add_storage(&mut self, storage: Storage) -> Value {
        self.storages.push(storage);
        Value::Storage(last_id(&self.storages))
    }

    pub(super) fn add_tensor(&mut self, tensor: Tensor) -> Value {
        self.tensors.push(tensor);
        Value::Tensor(last_id(&self.tensors))
    }

    fn add_items(&mut self, items: Vec<Value>) -> Value {
        self.holders.push(items);
        Value::Items(last_id(&self.holders))
    }

    pub(super) fn add_entries(&mut self, entries: Vec<Value>) -> Value {
        self.holders.push(entries);
        Value::Entries(last_id(&self.holders))
    }
}

/// [`MAX_STEPS`] bounds the number of objects.
fn last_id<T>(all: &[T]) -> Id {
    Id(all.len() as u32 - 1)
}

struct Machine<'a> {
    pickle: Pickle<'a>,
    at: usize,
    steps: usize,
    stack: Vec<Value>,
    marks: Vec<usize>,
    memo: HashMap<u64, Value>,
}

impl<'a> Machine<'a> {
    fn run(&mut self) -> Result<Value> {
        loop {
            self.count(1)?;
            let opcode = self.number(1)? as u8;
            if opcode == b'.' {
                return self.pop();
            }
            self.step(opcode)?;
        }
    }

    fn step(&mut self, opcode: u8) -> Result<()> {
        match opcode {
            // PROTO, FRAME, READONLY_BUFFER.
            0x80 => drop(self.skip(1)?),
            0x95 => drop(self.skip(8)?),
            0x98 => {}
            b'(' => self.marks.push(self.stack.len()),
            b'0' => self.pop_or_mark()?,
            b'1' => drop(self.pop_to_mark()?),
            b'2' => {
                let top = self.pop()?;
                self.stack.extend([top, top]);
            }
            b'N' => self.stack.push(Value::None),
            0x88 => self.stack.push(Value::Bool(true)),
            0x89 => self.stack.push(Value::Bool(false)),
            b'K' => self.integer(1)?,
            b'M' => self.integer(2)?,
            b'J' => {
                let number = self.number(4)? as u32;
                self.stack.push(Value::Int(i64::from(number.cast_signed())));
            }
            0x8a => self.long(1)?,
            0x8b => self.long(4)?,
            b'I' | b'L' => self.integer_in_digits()?,
            b'G' => self.other(8)?,
            // BINBYTES, SHORT_BINBYTES, BINBYTES8, BYTEARRAY8.
            b'B' => self.counted_other(4)?,
            b'C' => self.counted_other(1)?,
            0x8e | 0x96 => self.counted_other(8)?,
            b'F' | b'P' => {
                self.line()?;
                self.stack.push(Value::Other);
            }
            // EXT1, EXT2, EXT4, NEXT_BUFFER.
            0x82 => self.other(1)?,
            0x83 => self.other(2)?,
            0x84 => self.other(4)?,
            0x97 => self.other(0)?,
            b'U' | 0x8c => self.text(1)?,
            b'T' | b'X' => self.text(4)?,
            0x8d => self.text(8)?,
            b'V' => {
                let line = self.line()?;
                self.stack.push(Value::Text(line));
            }
            b'S' => self.quoted_text()?,
            b']' | b')' | 0x8f => self.push_items(Vec::new()),
            b'l' | b't' | 0x91 => {
                let items = self.pop_to_mark()?;
                self.push_items(items);
            }
            0x85..=0x87 => {
                let items = self.pop_many(usize::from(opcode) - 0x84)?;
                self.push_items(items);
            }
            b'}' => self.push_entries(Vec::new()),
            b'd' => {
                let entries = self.pop_to_mark()?;
                self.push_entries(entries);
            }
            b'a' => {
                let items = self.pop_many(1)?;
                self.append(&items)?;
            }
            b'e' | 0x90 => {
                let items = self.pop_to_mark()?;
                self.append(&items)?;
            }
            b's' => {
                let entries = self.pop_many(2)?;
                self.set(&entries)?;
            }
            b'u' => {
                let entries = self.pop_to_mark()?;
                self.set(&entries)?;
            }
            b'p' => {
                let index = self.digits()?;
                self.remember(index as u64)?;
            }
            b'q' | b'r' => {
                let index = self.number(if opcode == b'q' { 1 } else { 4 })?;
                self.remember(index)?;
            }
            0x94 => self.remember(self.memo.len() as u64)?,
            b'g' => {
                let index = self.digits()?;
                self.recall(index as u64)?;
            }
            b'h' | b'j' => {
                let index = self.number(if opcode == b'h' { 1 } else { 4 })?;
                self.recall(index)?;
            }
            b'c' => {
                let global = self.named_global()?;
                self.stack.push(global);
            }
            0x93 => self.global_from_stack()?,
            b'R' => {
                let (arguments, function) = (self.pop()?, self.pop()?);
                self.call(function, arguments)?;
            }
            b'i' => {
                self.named_global()?;
                let parts = self.pop_to_mark()?;
                self.push_object(&parts);
            }
            // OBJ; NEWOBJ and NEWOBJ_EX with the class first.
            b'o' => {
                let parts = self.pop_to_mark()?;
                self.push_object(&parts);
            }
            0x81 | 0x92 => {
                let parts = self.pop_many(if opcode == 0x81 { 2 } else { 3 })?;
                self.push_object(&parts);
            }
            b'b' => {
                let state = self.pop()?;
                if let Some(&Value::Entries(id)) = self.stack.last() {
                    self.pickle.holders[id.0 as usize].extend([Value::None, state]);
                }
            }
            b'Q' => {
                let id = self.pop()?;
                let storage = self.pickle.storage_from_id(id);
                self.stack.push(storage);
            }
            other => {
                return Err(Error::Malformed(format!(
                    "expected an opcode of Python's pickle, found {other:#04x}"
                )));
            }
        }
        Ok(())
    }

    /// Counts objects that are made or copied.
    fn count(&mut self, objects: usize) -> Result<()> {
        self.steps += objects;
        if self.steps > MAX_STEPS {
            return Err(Error::OverLimit(format!(
                "expected at most {MAX_STEPS} objects beside the tensors' numbers, found more"
            )));
        }
        Ok(())
    }

    // What stands in the pickle.

    fn skip(&mut self, len: u64) -> Result<Text> {
        let rest = self.pickle.bytes.len() - self.at;
        if len > rest as u64 {
            return Err(Error::Malformed("the file is cut off".into()));
        }
        let text = Text {
            start: self.at as u32,
            len: len as u32,
        };
        self.at += len as usize;
        Ok(text)
    }

    /// A little-endian number without a sign.
    fn number(&mut self, len: u64) -> Result<u64> {
        let text = self.skip(len)?;
        let mut number = [0; 8];
        number[..len as usize].copy_from_slice(self.pickle.text(text));
        Ok(u64::from_le_bytes(number))
    }

    /// The rest of a line, without its end.
    fn line(&mut self) -> Result<Text> {
        let rest = &self.pickle.bytes[self.at..];
        let len = rest.iter().position(|&byte| byte == b'\n');
        let len = len.unwrap_or(rest.len());
        let line = self.skip(len as u64)?;
        self.skip(1)?;
        Ok(line)
    }

    fn digits(&mut self) -> Result<i64> {
        let line = self.line()?;
        let digits = std::str::from_utf8(self.pickle.text(line)).ok();
        let number = digits.and_then(|digits| digits.trim_end_matches('L').parse().ok());
        number.ok_or_else(|| Error::Malformed("expected a whole number, found none".into()))
    }

    fn integer(&mut self, len: u64) -> Result<()> {
        let number = self.number(len)?;
        self.stack.push(Value::Int(number.cast_signed()));
        Ok(())
    }

    /// `I01` and `I00` are protocol 0's true and false, which count as 1 and 0 here too.
    fn integer_in_digits(&mut self) -> Result<()> {
        let number = self.digits().map_or(Value::Other, Value::Int);
        self.stack.push(number);
        Ok(())
    }

    /// A little-endian number with a sign and any number of bytes.
    fn long(&mut self, count: u64) -> Result<()> {
        let len = self.number(count)?;
        let text = self.skip(len)?;
        let bytes = self.pickle.text(text);
        let value = if bytes.len() > 8 {
            Value::Other
        } else {
            let is_negative = bytes.last().is_some_and(|&byte| byte >= 0x80);
            let mut number = [if is_negative { 0xff } else { 0 }; 8];
            number[..bytes.len()].copy_from_slice(bytes);
            Value::Int(i64::from_le_bytes(number))
        };
        self.stack.push(value);
        Ok(())
    }

    fn other(&mut self, len: u64) -> Result<()> {
        self.skip(len)?;
        self.stack.push(Value::Other);
        Ok(())
    }

    fn counted_other(&mut self, count: u64) -> Result<()> {
        let len = self.number(count)?;
        self.other(len)
    }

    fn text(&mut self, count: u64) -> Result<()> {
        let len = self.number(count)?;
        let text = self.skip(len)?;
        self.stack.push(Value::Text(text));
        Ok(())
    }

    /// A text as Python prints it. Escapes are kept, as no tensor's key has any.
    fn quoted_text(&mut self) -> Result<()> {
        let Text { start, len } = self.line()?;
        let text = Text {
            start: (start + 1).min(start + len),
            len: len.saturating_sub(2),
        };
        self.stack.push(Value::Text(text));
        Ok(())
    }

    fn named_global(&mut self) -> Result<Value> {
        let (module, name) = (self.line()?, self.line()?);
        let [module, name] = [module, name].map(|text| self.pickle.text(text));
        Ok(Value::Global(Global::named(module, name)))
    }

    // What stands on the stack.

    fn pop(&mut self) -> Result<Value> {
        let least = self.marks.last().copied().unwrap_or(0);
        if self.stack.len() <= least {
            return Err(missing());
        }
        self.stack.pop().ok_or_else(missing)
    }

    fn pop_or_mark(&mut self) -> Result<()> {
        if self.marks.last() == Some(&self.stack.len()) {
            self.marks.pop();
            return Ok(());
        }
        self.pop().map(drop)
    }

    fn pop_many(&mut self, count: usize) -> Result<Vec<Value>> {
        let least = self.marks.last().copied().unwrap_or(0);
        let rest = self.stack.len().checked_sub(count);
        let rest = rest.filter(|&rest| rest >= least).ok_or_else(missing)?;
        Ok(self.stack.split_off(rest))
    }

    fn pop_to_mark(&mut self) -> Result<Vec<Value>> {
        let mark = self.marks.pop().ok_or_else(missing)?;
        Ok(self.stack.split_off(mark))
    }

    fn push_items(&mut self, items: Vec<Value>) {
        let items = self.pickle.add_items(items);
        self.stack.push(items);
    }

    fn push_entries(&mut self, entries: Vec<Value>) {
        let entries = self.pickle.add_entries(entries);
        self.stack.push(entries);
    }

    /// An object of which the parts are known.
    fn push_object(&mut self, parts: &[Value]) {
        let entries = parts.iter().flat_map(|&part| [Value::None, part]);
        self.push_entries(entries.collect());
    }

    fn append(&mut self, items: &[Value]) -> Result<()> {
        match *self.stack.last().ok_or_else(missing)? {
            Value::Items(id) => self.pickle.holders[id.0 as usize].extend(items),
            Value::Entries(id) => {
                let held = &mut self.pickle.holders[id.0 as usize];
                for &item in items {
                    held.extend([Value::Int(held.len() as i64 / 2), item]);
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn set(&mut self, entries: &[Value]) -> Result<()> {
        if let Value::Entries(id) = *self.stack.last().ok_or_else(missing)? {
            // A key without a value has none.
            let whole = entries.len() & !1;
            self.pickle.holders[id.0 as usize].extend(&entries[..whole]);
        }
        Ok(())
    }

    fn remember(&mut self, index: u64) -> Result<()> {
        let top = *self.stack.last().ok_or_else(missing)?;
        self.memo.insert(index, top);
        Ok(())
    }

    fn recall(&mut self, index: u64) -> Result<()> {
        let value = self.memo.get(&index);
        let value = *value.ok_or_else(|| {
            Error::Malformed(format!("expected an object number {index}, found none"))
        })?;
        self.stack.push(value);
        Ok(())
    }

    fn global_from_stack(&mut self) -> Result<()> {
        let (name, module) = (self.pop()?, self.pop()?);
        let global = match (module, name) {
            (Value::Text(module), Value::Text(name)) => {
                Global::named(self.pickle.text(module), self.pickle.text(name))
            }
            _ => Global::Other,
        };
        self.stack.push(Value::Global(global));
        Ok(())
    }

    fn call(&mut self, function: Value, arguments: Value) -> Result<()> {
        let made = match function {
            Value::Global(Global::OrderedDict) => {
                let entries = self.pickle.entries_from_pairs(arguments);
                self.count(entries.len())?;
                Some(self.pickle.add_entries(entries))
            }
            Value::Global(global) => self.pickle.call(global, arguments),
            _ => None,
        };
        match made {
            Some(value) => self.stack.push(value),
            None => self.push_object(&[arguments]),
        }
        Ok(())
    }
}

fn missing() -> Error {
    Error::Malformed("expected a value for an opcode of Python's pickle, found none".into())
}
