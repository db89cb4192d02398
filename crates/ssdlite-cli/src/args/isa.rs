//! The instruction sets of this machine as values of an option.

use clap::builder::{PossibleValuesParser, TypedValueParser};
use ssdlite_infer::Isa;

/// Reads the name of an instruction set that this machine has; another is answered
/// with those.
pub(crate) fn isa() -> impl TypedValueParser<Value = Isa> {
    let names = Isa::available().into_iter().map(|isa| isa.to_string());
    PossibleValuesParser::new(names).try_map(|name| {
        let mut all = Isa::available().into_iter();
        all.find(|isa| isa.to_string() == name)
            .ok_or("expected one of this machine's")
    })
}
