//! An instruction set as an option's value.

use ssdlite_infer::Isa;

/// Reads the name of an instruction set that this machine has; another is answered
/// with those.
pub(crate) fn isa(name: &str) -> Result<Isa, String> {
    let all = Isa::available();
    let names: Vec<_> = all.iter().map(Isa::to_string).collect();
    let found = names.iter().position(|known| known == name);
    found.map(|index| all[index]).ok_or_else(|| {
        format!(
            "expected what this machine has, {}, found {name}",
            names.join(", ")
        )
    })
}
