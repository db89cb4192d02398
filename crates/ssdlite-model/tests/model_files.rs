//! Model files come back as they were written, and broken ones are refused with
//! words that say how they are broken.

use std::fs;
use std::path::Path;

use ssdlite_core::model_info::METADATA_KEY;
use ssdlite_core::{ClassNames, MobileNetV3, ModelInfo, Variant};
use ssdlite_model::safetensors::{Contents, MAX_HEADER_BYTES, RawNumbers};
use ssdlite_model::{Error, MAX_MODEL_BYTES, ModelFile, StateDict, StateTensor, Values};
use ssdlite_testing::{fractions, model_from_formula, state_from_formula};
use tempfile::TempDir;

/// The smallest network there is: reading it is quick.
fn info() -> ModelInfo {
    let network = MobileNetV3 {
        width_multiplier: 0.1,
        ..MobileNetV3::new(Variant::Small)
    };
    let classes = ClassNames::new(["cat", "dog", "eel"]).expect("distinct names");
    ModelInfo::detector(network, classes, 32)
}

fn bytes() -> Vec<u8> {
    model_from_formula(&info()).to_bytes().expect("a model")
}

fn state() -> StateDict {
    state_from_formula(&info().tensors())
}

const STEM: &str = "backbone.features.0.0.0.weight";
const VARIANCE: &str = "backbone.features.0.0.1.running_var";
const COUNT: &str = "backbone.features.0.0.1.num_batches_tracked";

fn without(state: &StateDict, key: &str) -> StateDict {
    let kept = state.iter().filter(|(other, _)| *other != key);
    kept.map(|(key, tensor)| (key.to_owned(), tensor.clone()))
        .collect()
}

/// The state with one tensor changed.
fn changed(key: &str, change: impl FnOnce(&mut StateTensor)) -> StateDict {
    let mut state = state();
    let mut tensor = state.get(key).expect(key).clone();
    change(&mut tensor);
    state.insert(key.to_owned(), tensor);
    state
}

fn set(index: usize, value: f32) -> impl FnOnce(&mut StateTensor) {
    move |tensor| {
        if let Values::F32(values) = &mut tensor.values {
            values[index] = value;
        }
    }
}

#[test]
fn what_is_written_is_read_back() {
    let folder = TempDir::new().expect("a temporary folder");
    let path = folder.path().join("model.safetensors");
    let file = model_from_formula(&info());
    file.write(&path).expect("a writable folder");
    // Replacing leaves nothing else behind.
    file.write(&path).expect("a writable folder");
    assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 1);
    let back = ModelFile::read(&path).expect("a model file");
    assert_eq!(back, file);
    assert_eq!((back.info(), back.state()), (&info(), &state()));
    assert_eq!(
        back.numbers(STEM),
        state().get(STEM).and_then(|t| t.floats())
    );
    assert_eq!(back.numbers(COUNT), None);
    assert_eq!(fs::read(&path).expect("the file"), bytes());
}

/// PyTorch's reader of the format makes views of the file's bytes.
#[test]
fn all_numbers_are_aligned() {
    let bytes = bytes();
    let contents = Contents::from_bytes(&bytes).expect("a sound file");
    let start = bytes.as_ptr() as usize;
    for (key, tensor) in &contents.tensors {
        let (place, size) = match tensor.numbers {
            RawNumbers::F32(numbers) => (numbers.as_ptr() as usize, 4),
            RawNumbers::I64(numbers) => (numbers.as_ptr() as usize, 8),
            RawNumbers::Other(_) => panic!("{key}: expected f32 or i64"),
        };
        assert_eq!((place - start) % size, 0, "{key}");
    }
}

#[test]
fn missing_batch_counts_are_nothing_amiss() {
    let file = ModelFile::new(info(), without(&state(), COUNT)).expect("a model");
    let count = file.state().get(COUNT).expect("a count");
    assert_eq!(count.values, Values::I64(vec![0]));
}

#[test]
fn tensors_that_do_not_fit_are_named() {
    let mut more = state();
    more.insert("head.more".into(), more.get(STEM).expect("a stem").clone());
    let cases = [
        (without(&state(), STEM), format!("1 missing: {STEM}")),
        (more, "1 unexpected: head.more".to_owned()),
        (
            changed(STEM, |tensor| tensor.shape = vec![8, 27]),
            format!("expected f32[8,3,3,3] for {STEM}, found f32[8,27]"),
        ),
        (
            changed(STEM, |tensor| tensor.values = Values::Unread("f16".into())),
            format!("expected f32[8,3,3,3] for {STEM}, found f16[8,3,3,3]"),
        ),
    ];
    for (state, expected) in cases {
        let error = ModelFile::new(info(), state).expect_err(&expected);
        assert!(matches!(error, Error::WeightsMismatch(_)), "{error}");
        assert!(error.to_string().contains(&expected), "{error}");
    }
}

#[test]
fn numbers_that_are_not_sound_are_named() {
    let no_number =
        |shown| format!("expected finite numbers in {STEM}, found {shown} at element 17");
    let cases = [
        (changed(STEM, set(17, f32::NAN)), no_number("NaN")),
        (changed(STEM, set(17, f32::INFINITY)), no_number("inf")),
        (changed(STEM, set(17, f32::NEG_INFINITY)), no_number("-inf")),
        (
            changed(VARIANCE, set(2, -0.5)),
            format!("expected no negative variance in {VARIANCE}, found -0.5 at element 2"),
        ),
        (
            changed(STEM, |tensor| tensor.values = Values::F32(vec![1.0; 7])),
            format!("expected as many numbers for {STEM} as f32[8,3,3,3] asks for, found 7"),
        ),
    ];
    for (state, expected) in cases {
        let error = ModelFile::new(info(), state.clone()).expect_err(&expected);
        assert!(matches!(error, Error::Malformed(_)), "{error}");
        assert_eq!(error.to_string(), expected);
        // As well where only a part is taken over.
        let error = state
            .select_fitting(&info().tensors())
            .expect_err(&expected);
        assert_eq!(error.to_string(), expected);
    }
}

#[test]
fn every_truncation_and_many_damages_are_errors_or_models() {
    let bytes = bytes();
    let header = u64::from_le_bytes(*bytes.first_chunk().expect("a length")) as usize;
    for length in (0..header + 64).step_by(97).chain([bytes.len() - 1]) {
        let error = ModelFile::from_bytes(&bytes[..length]).expect_err("half a model is none");
        assert!(matches!(error, Error::Malformed(_)), "{length}: {error}");
    }
    let mut draws = fractions("model file");
    let random = (0..100).map(|_| {
        let [place, byte] = [(); 2].map(|()| draws.next().unwrap_or(0.0));
        (8 + (place * header as f64) as usize, (byte * 256.0) as u8)
    });
    let regular = (8..8 + header).step_by(61);
    let regular = regular.flat_map(|at| [0, b'"', b'}', b'9', 0xff].map(|byte| (at, byte)));
    for (at, byte) in regular.chain(random) {
        let mut damaged = bytes.clone();
        damaged[at] = byte;
        // A damaged file may still be sound, such as with another digit in a
        // metric; all that counts is that nothing panics.
        let _ = ModelFile::from_bytes(&damaged);
    }
}

#[test]
fn lengths_that_lie_are_errors() {
    let with_length = |length: u64| {
        let mut bytes = bytes();
        bytes[..8].copy_from_slice(&length.to_le_bytes());
        ModelFile::from_bytes(&bytes).expect_err("a length that lies")
    };
    for length in [0, 1, bytes().len() as u64] {
        let error = with_length(length);
        assert!(matches!(error, Error::Malformed(_)), "{length}: {error}");
    }
    for length in [u64::MAX, u64::MAX / 2, 1 << 40, MAX_HEADER_BYTES + 1] {
        let error = with_length(length);
        assert!(matches!(error, Error::OverLimit(_)), "{length}: {error}");
    }
    let nested = format!("{{\"__metadata__\":{}", "[".repeat(100_000));
    let error = ModelFile::from_bytes(&file_of(&nested, &[])).expect_err("too deep");
    assert!(matches!(error, Error::Malformed(_)), "{error}");
}

/// A file of a header and the tensors' bytes.
fn file_of(header: &str, numbers: &[u8]) -> Vec<u8> {
    let length = (header.len() as u64).to_le_bytes();
    [&length[..], header.as_bytes(), numbers].concat()
}

/// The model's file with its header's text changed.
fn with_header(change: impl FnOnce(&str) -> String) -> Vec<u8> {
    let bytes = bytes();
    let (length, rest) = bytes.split_first_chunk().expect("a length");
    let (header, numbers) = rest.split_at(u64::from_le_bytes(*length) as usize);
    file_of(&change(std::str::from_utf8(header).expect("text")), numbers)
}

/// The message of the error that a changed header gives.
fn fault(change: impl FnOnce(&str) -> String) -> String {
    let error = ModelFile::from_bytes(&with_header(change)).expect_err("a broken header");
    assert!(matches!(error, Error::Malformed(_)), "{error}");
    error.to_string()
}

#[test]
fn every_byte_belongs_to_one_tensor() {
    let mut longer = bytes();
    longer.push(0);
    let error = ModelFile::from_bytes(&longer).expect_err("a byte too many");
    assert!(matches!(error, Error::Malformed(_)), "{error}");
    let offsets = |name: &str| format!("backbone.features.0.0.1.{name}");
    let shared = fault(|header| {
        let mut json: serde_json::Value = serde_json::from_str(header).expect("JSON");
        let shared = json[offsets("running_var")]["data_offsets"].clone();
        json[offsets("running_mean")]["data_offsets"] = shared;
        json.to_string()
    });
    assert!(shared.contains("gap or overlap"), "{shared}");
}

#[test]
fn tensors_have_as_many_bytes_as_their_shape_asks_for() {
    let one = |dtype: &str, shape: &str, bytes: usize| {
        let header =
            format!(r#"{{"a":{{"dtype":"{dtype}","shape":{shape},"data_offsets":[0,{bytes}]}}}}"#);
        let bytes = file_of(&header, &vec![0; bytes]);
        Contents::from_bytes(&bytes).map(|contents| contents.tensors["a"].description())
    };
    assert_eq!(one("F32", "[2,3]", 24).expect("a sound file"), "f32[2,3]");
    assert_eq!(one("I64", "[]", 8).expect("a sound file"), "i64[]");
    assert_eq!(one("BF16", "[2]", 4).expect("a sound file"), "bf16[2]");
    for (dtype, shape, bytes) in [
        ("F32", "[2,3]", 20),
        ("F32", "[2,3]", 0),
        ("I64", "[3]", 12),
        ("F32", "[4294967296,4294967296,4]", 0),
    ] {
        let error = one(dtype, shape, bytes).expect_err("a size that lies");
        assert!(matches!(error, Error::Malformed(_)), "{error}");
    }
}

#[test]
fn keys_that_stand_twice_are_refused() {
    let tensor = r#"{"dtype":"F32","shape":[1],"data_offsets":[0,4]}"#;
    for (key, more) in [
        (STEM, format!(r#"{{"{STEM}":{tensor},"#)),
        ("__metadata__", r#"{"__metadata__":{},"#.to_owned()),
    ] {
        let message = fault(|header| header.replacen('{', &more, 1));
        assert!(
            message.contains(&format!("`{key}` stands twice")),
            "{message}"
        );
    }
    let inner = r#""__metadata__":{"a":"","a":"","#;
    let message = fault(|header| header.replacen(r#""__metadata__":{"#, inner, 1));
    assert!(message.contains("`a` stands twice"), "{message}");
    let described = r#"\"training\":{\"epochs\":\"1\",\"epochs\":\"2\""#;
    let message = fault(|header| {
        let changed = header.replacen(r#"\"training\":{"#, described, 1);
        assert_ne!(changed, header);
        changed
    });
    assert!(message.contains("`epochs` stands twice"), "{message}");
}

#[test]
fn other_safetensors_files_are_told_what_they_lack() {
    let header = r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#;
    let error = ModelFile::from_bytes(&file_of(header, &[0; 4])).expect_err("no model file");
    let expected = format!("expected the key `{METADATA_KEY}` in the metadata");
    assert!(error.to_string().contains(&expected), "{error}");
}

#[test]
fn what_is_refused_is_named() {
    let folder = TempDir::new().expect("a temporary folder");
    let named = |path: &Path| {
        let error = ModelFile::read(path).expect_err("no model");
        let text = error.to_string();
        assert!(text.starts_with(&format!("{}: ", path.display())), "{text}");
        error
    };
    let path = folder.path().join("model.safetensors");
    assert!(matches!(named(&path), Error::Io { .. }));
    assert!(matches!(named(folder.path()), Error::Malformed(_)));
    fs::write(&path, &bytes()[..1000]).expect("a writable folder");
    assert!(matches!(named(&path), Error::Malformed(_)));
    let mut file = fs::File::create(&path).expect("a writable folder");
    file.set_len(MAX_MODEL_BYTES + 1).expect("room for a hole");
    assert!(matches!(named(&path), Error::OverLimit(_)));
    // Of a large file that is none no more than its first bytes is read.
    std::io::Write::write_all(&mut file, &[b' '; 8]).expect("a writable file");
    file.set_len(MAX_MODEL_BYTES).expect("room for a hole");
    assert!(matches!(named(&path), Error::OverLimit(_)));
    let unwritable = folder.path().join("none/model.safetensors");
    let error = model_from_formula(&info())
        .write(&unwritable)
        .expect_err("no folder");
    assert!(
        error.to_string().contains("none/model.safetensors"),
        "{error}"
    );
}

/// A file of nothing but a hole takes no room on the disk, and would take much in
/// memory.
#[test]
fn no_more_is_read_than_the_described_network_needs() {
    let folder = TempDir::new().expect("a temporary folder");
    let path = folder.path().join("model.safetensors");
    let bytes = bytes();
    let header = u64::from_le_bytes(*bytes.first_chunk().expect("a length"));
    let (start, hole) = (bytes.len() as u64 - 8 - header, 900_000_000);
    let more = with_header(|header| {
        let end = start + hole;
        let hole = format!(
            r#"{{"hole":{{"dtype":"F32","shape":[{}],"data_offsets":[{start},{end}]}},"#,
            hole / 4
        );
        header.replacen('{', &hole, 1)
    });
    fs::write(&path, &more).expect("a writable folder");
    let file = fs::File::options().write(true).open(&path);
    let file = file.expect("the file");
    file.set_len(more.len() as u64 + hole)
        .expect("room for a hole");
    let error = ModelFile::read(&path).expect_err("a hole");
    assert!(matches!(error, Error::WeightsMismatch(_)), "{error}");
    assert!(error.to_string().contains("expected at most"), "{error}");
}
