//! The names of splits as values of options.

use clap::builder::{PossibleValuesParser, TypedValueParser};
use ssdlite_data::split::Split;

/// Reads the name of a split; another is answered with those that there are.
pub(crate) fn split() -> impl TypedValueParser<Value = Split> {
    let names = Split::ALL.map(Split::name);
    PossibleValuesParser::new(names).try_map(|name| name.parse())
}
