//! Finding the tensors in a pickle's objects, whatever stands beside them.

use super::pickle::{Id, Pickle, Value};
use crate::error::{Error, Result};

/// The most objects that are looked at; one that several hold counts for each.
const MAX_VISITS: usize = 1 << 20;

/// How often one object is looked at that several hold.
const MAX_VISITS_OF_ONE: u8 = 8;

/// The most tensors of a file.
const MAX_TENSORS: usize = 1 << 16;

/// How deep tensors may lie in dictionaries, lists and objects: a network that was
/// saved whole needs three for each component of its keys.
const MAX_DEPTH: usize = 64;

/// The longest path of keys in bytes.
const MAX_PATH_BYTES: usize = 512;

/// Attributes under which PyTorch's modules hold their tensors and parts. Their names
/// are none of a state dict's.
const MODULE_ATTRIBUTES: [&[u8]; 3] = [b"_parameters", b"_buffers", b"_modules"];

/// A tensor under the keys on the way to it.
pub(super) struct Found {
    pub(super) path: String,
    /// Length of the path of what holds it, with the dot behind it.
    pub(super) container: usize,
    pub(super) tensor: Id,
}

/// All tensors in a value of the pickle.
pub(super) fn tensors(pickle: &Pickle<'_>, value: Value) -> Result<Vec<Found>> {
    let mut walk = Walk {
        pickle,
        holds_tensors: holders_of_tensors(pickle),
        visits_of: vec![0; pickle.holders().len()],
        path: String::new(),
        visits: 0,
        found: Vec::new(),
    };
    walk.visit(value, 0, 0)?;
    Ok(walk.found)
}

/// Which holders have a tensor in them, or in what they hold. Most of what stands
/// beside the weights has none, and may hold itself in many ways.
fn holders_of_tensors(pickle: &Pickle<'_>) -> Vec<bool> {
    let holders = pickle.holders();
    let mut holds = vec![false; holders.len()];
    for pass in 0..MAX_DEPTH {
        let mut has_changed = false;
        for index in 0..holders.len() {
            // What a dictionary holds is made after it, what a tuple holds before.
            let index = if pass % 2 == 0 {
                holders.len() - 1 - index
            } else {
                index
            };
            let is_found = |value: &Value| match value {
                Value::Tensor(_) => true,
                value => value.holder().is_some_and(|held| holds[held]),
            };
            if !holds[index] && holders[index].iter().any(is_found) {
                holds[index] = true;
                has_changed = true;
            }
        }
        if !has_changed {
            break;
        }
    }
    holds
}

struct Walk<'a> {
    pickle: &'a Pickle<'a>,
    holds_tensors: Vec<bool>,
    visits_of: Vec<u8>,
    path: String,
    visits: usize,
    found: Vec<Found>,
}

impl Walk<'_> {
    fn visit(&mut self, value: Value, container: usize, depth: usize) -> Result<()> {
        self.visits += 1;
        if self.visits > MAX_VISITS || self.found.len() > MAX_TENSORS {
            return Err(Error::OverLimit(format!(
                "expected at most {MAX_TENSORS} tensors among {MAX_VISITS} objects, found more"
            )));
        }
        if self.path.len() > MAX_PATH_BYTES || depth > MAX_DEPTH {
            return Ok(());
        }
        if let Some(holder) = value.holder() {
            if !self.holds_tensors[holder] || self.visits_of[holder] == MAX_VISITS_OF_ONE {
                return Ok(());
            }
            self.visits_of[holder] += 1;
        }
        let pickle = self.pickle;
        // The path of what this value holds.
        let inner = if self.path.is_empty() {
            0
        } else {
            self.path.len() + 1
        };
        match value {
            Value::Tensor(tensor) => self.found.push(Found {
                path: self.path.clone(),
                container,
                tensor,
            }),
            Value::Items(_) => {
                for (index, &item) in pickle.held(value).iter().enumerate() {
                    self.under(&index.to_string(), item, inner, depth)?;
                }
            }
            Value::Entries(_) => {
                for &[key, value] in pickle.held(value).as_chunks().0 {
                    match key {
                        Value::None => self.visit(value, inner, depth + 1)?,
                        Value::Text(text) => {
                            let text = pickle.text(text);
                            if MODULE_ATTRIBUTES.contains(&text) {
                                self.visit(value, inner, depth + 1)?;
                            } else {
                                let start = &text[..text.len().min(MAX_PATH_BYTES + 1)];
                                self.under(&String::from_utf8_lossy(start), value, inner, depth)?;
                            }
                        }
                        Value::Int(number) => {
                            self.under(&number.to_string(), value, inner, depth)?;
                        }
                        _ => self.under("?", value, inner, depth)?,
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Looks at a value that stands under a key.
    fn under(&mut self, key: &str, value: Value, container: usize, depth: usize) -> Result<()> {
        let end = self.path.len();
        if end > 0 {
            self.path.push('.');
        }
        self.path.push_str(key);
        let result = self.visit(value, container, depth + 1);
        self.path.truncate(end);
        result
    }
}
