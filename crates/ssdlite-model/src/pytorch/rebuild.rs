//! What PyTorch's pickles call: the functions that make tensors of storages.
//!
//! Source: `torch/_utils.py`, `torch/_tensor.py` and `torch/serialization.py` of
//! PyTorch 2.9.

use super::pickle::{Id, Pickle, Text, Value};
use crate::error::{Error, Result};
use crate::weights::element::{ANOTHER_TYPE, Element};

/// The most dimensions of a tensor; convolutions have four.
const MAX_DIMENSIONS: usize = 16;

/// A class or function that a pickle names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Global {
    OrderedDict,
    Size,
    /// `_rebuild_tensor` and `_rebuild_tensor_v2`.
    Tensor,
    /// `_rebuild_tensor_v3`, which is told the type of the numbers.
    TypedTensor,
    /// `_rebuild_parameter` and its like, which are given a tensor.
    Parameter,
    /// `_rebuild_from_type_v2`, which is given a function and its arguments.
    FromType,
    Quantised,
    Sparse,
    /// Another function that makes a tensor.
    OtherTensor,
    /// A type of numbers or a storage of such.
    Element(Element),
    /// A storage of bytes, or of numbers of another type.
    OtherStorage {
        /// Bytes of a number.
        size: u8,
    },
    Other,
}

impl Global {
    pub(super) fn named(module: &[u8], name: &[u8]) -> Self {
        match (module, name) {
            (b"collections", b"OrderedDict") => Self::OrderedDict,
            (b"torch", b"Size") => Self::Size,
            (b"torch" | b"torch.cuda" | b"torch.storage", name) => {
                element(name).map_or_else(|| other_storage(name), Self::Element)
            }
            (b"torch._utils" | b"torch._tensor", name) => match name {
                b"_rebuild_tensor" | b"_rebuild_tensor_v2" => Self::Tensor,
                b"_rebuild_tensor_v3" => Self::TypedTensor,
                b"_rebuild_parameter" | b"_rebuild_parameter_with_state" => Self::Parameter,
                b"_rebuild_from_type" | b"_rebuild_from_type_v2" => Self::FromType,
                b"_rebuild_qtensor" => Self::Quantised,
                b"_rebuild_sparse_tensor" | b"_rebuild_sparse_csr_tensor" => Self::Sparse,
                name if name.starts_with(b"_rebuild") => Self::OtherTensor,
                _ => Self::Other,
            },
            _ => Self::Other,
        }
    }
}

fn element(name: &[u8]) -> Option<Element> {
    Some(match name {
        b"DoubleStorage" | b"float64" => Element::F64,
        b"FloatStorage" | b"float32" => Element::F32,
        b"HalfStorage" | b"float16" => Element::F16,
        b"BFloat16Storage" | b"bfloat16" => Element::Bf16,
        b"LongStorage" | b"int64" => Element::I64,
        b"IntStorage" | b"int32" => Element::I32,
        b"ShortStorage" | b"int16" => Element::I16,
        b"CharStorage" | b"int8" => Element::I8,
        b"ByteStorage" | b"uint8" => Element::U8,
        b"BoolStorage" | b"bool" => Element::Bool,
        _ => return None,
    })
}

fn other_storage(name: &[u8]) -> Global {
    if !name.ends_with(b"Storage") {
        return Global::Other;
    }
    let size = match name {
        b"ComplexDoubleStorage" => 16,
        b"ComplexFloatStorage" => 8,
        b"QInt32Storage" => 4,
        _ => 1,
    };
    Global::OtherStorage { size }
}

/// The numbers of one or several tensors.
#[derive(Clone, Copy, Debug)]
pub(super) struct Storage {
    /// The name of its record.
    pub(super) key: Text,
    /// `None` for bytes and for a type that is not read.
    element: Option<Element>,
    /// Bytes of a number.
    pub(super) size: usize,
    /// Where it begins in the record, in numbers.
    offset: Value,
}

/// A tensor of a pickle.
#[derive(Clone, Copy, Debug)]
pub(super) enum Tensor {
    Strided {
        storage: Id,
        /// `None` for the storage's.
        element: Option<Element>,
        offset: Value,
        shape: Value,
        strides: Value,
    },
    /// A kind that no network here has, by its name.
    Unread(&'static str),
}

/// A tensor in a storage, its numbers checked for their signs and counts.
pub(super) struct View {
    pub(super) storage: Text,
    pub(super) element: Element,
    pub(super) offset: usize,
    pub(super) shape: Vec<usize>,
    pub(super) strides: Vec<usize>,
}

impl Pickle<'_> {
    /// The storage that a persistent id stands for: "storage", its class, the name
    /// of its record, a device and its length, in old files also the part that it is
    /// of another storage.
    pub(super) fn storage_from_id(&mut self, id: Value) -> Value {
        let held = self.held(id);
        let (Some(&Value::Global(class)), Some(&Value::Text(key))) = (held.get(1), held.get(2))
        else {
            return Value::Other;
        };
        let (element, size) = match class {
            Global::Element(element) => (Some(element), element.size()),
            Global::OtherStorage { size } => (None, usize::from(size)),
            _ => return Value::Other,
        };
        let mut offset = Value::Int(0);
        if let Some(&part) = held.get(5)
            && let &[Value::Text(_), first, _] = self.held(part)
        {
            offset = first;
        }
        self.add_storage(Storage {
            key,
            element,
            size,
            offset,
        })
    }

    /// What a function makes of its arguments, if it is known here.
    pub(super) fn call(&mut self, function: Global, arguments: Value) -> Option<Value> {
        let held = self.held(arguments);
        let argument = |index: usize| held.get(index).copied();
        let tensor = match function {
            Global::FromType => {
                let Value::Global(function) = argument(0)? else {
                    return None;
                };
                let arguments = argument(2)?;
                // It makes no tensor of itself.
                return (function != Global::FromType)
                    .then(|| self.call(function, arguments))
                    .flatten();
            }
            Global::Parameter => {
                return argument(0).filter(|made| matches!(made, Value::Tensor(_)));
            }
            Global::Size => return argument(0),
            Global::Tensor | Global::TypedTensor => {
                let Value::Storage(storage) = argument(0)? else {
                    return None;
                };
                let element = match (function, argument(6)) {
                    (Global::TypedTensor, Some(Value::Global(Global::Element(element)))) => {
                        Some(element)
                    }
                    (Global::TypedTensor, _) => return Some(self.add_tensor(OTHER_TYPE)),
                    _ => None,
                };
                Tensor::Strided {
                    storage,
                    element,
                    offset: argument(1)?,
                    shape: argument(2)?,
                    strides: argument(3)?,
                }
            }
            Global::Quantised => Tensor::Unread("a quantised tensor"),
            Global::Sparse => Tensor::Unread("a sparse tensor"),
            Global::OtherTensor => Tensor::Unread("a tensor of another kind"),
            Global::OrderedDict
            | Global::Element(_)
            | Global::OtherStorage { .. }
            | Global::Other => return None,
        };
        Some(self.add_tensor(tensor))
    }

    /// The keys and values of an ordered dictionary's pairs.
    pub(super) fn entries_from_pairs(&self, arguments: Value) -> Vec<Value> {
        let pairs = self.held(arguments).first().map(|&pairs| self.held(pairs));
        let pairs = pairs.unwrap_or_default().iter();
        let pairs = pairs.filter_map(|&pair| match self.held(pair) {
            &[key, value] => Some([key, value]),
            _ => None,
        });
        pairs.flatten().collect()
    }

    /// Where a tensor's numbers lie, or the name of its kind.
    pub(super) fn view(&self, tensor: Id) -> Result<std::result::Result<View, &'static str>> {
        let (storage, element, offset, shape, strides) = match *self.tensor(tensor) {
            Tensor::Unread(kind) => return Ok(Err(kind)),
            Tensor::Strided {
                storage,
                element,
                offset,
                shape,
                strides,
            } => (self.storage(storage), element, offset, shape, strides),
        };
        let Some(element) = element.or(storage.element) else {
            return Ok(Err(ANOTHER_TYPE));
        };
        let (shape, strides) = (self.extents(shape)?, self.extents(strides)?);
        if shape.len() != strides.len() {
            return Err(Error::Malformed(format!(
                "expected as many strides as extents, found {strides:?} for {shape:?}"
            )));
        }
        let offset = extent(offset)?.checked_add(extent(storage.offset)?);
        Ok(Ok(View {
            storage: storage.key,
            element,
            offset: offset.ok_or_else(no_extent)?,
            shape,
            strides,
        }))
    }

    fn extents(&self, value: Value) -> Result<Vec<usize>> {
        let held = self.held(value);
        if held.len() > MAX_DIMENSIONS {
            return Err(Error::OverLimit(format!(
                "expected a tensor of at most {MAX_DIMENSIONS} dimensions, found {}",
                held.len()
            )));
        }
        held.iter().map(|&value| extent(value)).collect()
    }
}

const OTHER_TYPE: Tensor = Tensor::Unread(ANOTHER_TYPE);

fn extent(value: Value) -> Result<usize> {
    let Value::Int(number) = value else {
        return Err(no_extent());
    };
    usize::try_from(number).map_err(|_| no_extent())
}

fn no_extent() -> Error {
    Error::Malformed("expected whole numbers from 0 on for a tensor's place and shape".into())
}
