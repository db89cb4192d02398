//! Networks' weights come out of a file however a script has saved them.

use std::collections::BTreeMap;
use std::fs;

use ssdlite_core::{ClassNames, MobileNetV3, ModelInfo, Variant};
use ssdlite_model::safetensors::{Numbers, TensorView, to_bytes};
use ssdlite_model::{
    Error, ModelFile, StateDict, StateTensor, Values, Weights, WeightsKind, read_weights,
};
use ssdlite_testing::state_from_formula;
use tempfile::TempDir;

use crate::writer::{File, Object, Packing, Storage, Tensor, dict, tensors, text, zip};

fn info() -> ModelInfo {
    let network = MobileNetV3 {
        width_multiplier: 0.1,
        ..MobileNetV3::new(Variant::Small)
    };
    let classes = ClassNames::new(["cat", "dog"]).expect("distinct names");
    ModelInfo::classifier(network, classes, 32)
}

fn plain() -> StateDict {
    state_from_formula(&info().tensors())
}

fn negated(state: &StateDict) -> StateDict {
    let tensors = state.iter().map(|(key, tensor)| {
        let mut tensor = tensor.clone();
        if let Values::F32(values) = &mut tensor.values {
            values.iter_mut().for_each(|value| *value = -*value);
        }
        (key.to_owned(), tensor)
    });
    tensors.collect()
}

fn prefixed(state: &StateDict, prefix: &str) -> StateDict {
    let tensors = state.iter();
    tensors
        .map(|(key, tensor)| (format!("{prefix}{key}"), tensor.clone()))
        .collect()
}

fn try_read(bytes: &[u8], kind: WeightsKind) -> Result<Weights, Error> {
    let folder = TempDir::new().expect("a temporary folder");
    let path = folder.path().join("w.pth.tar");
    fs::write(&path, bytes).expect("a writable folder");
    read_weights(&path, kind)
}

fn read(bytes: &[u8]) -> Weights {
    try_read(bytes, WeightsKind::Plain).expect("a sound file")
}

/// A file with a state dict in dictionaries of these keys, the outermost first.
fn wrapped(state: &StateDict, wrappers: &[&str]) -> File {
    let mut storages = Vec::new();
    let mut object = Object::Dict(tensors(state, &mut storages));
    for wrapper in wrappers.iter().rev() {
        object = dict([("epoch", Object::Int(3)), (*wrapper, object)]);
    }
    File { object, storages }
}

#[test]
fn wrappers_and_prefixes_change_no_tensor() {
    let expected = plain();
    for wrappers in [
        &[][..],
        &["state_dict"],
        &["model_state_dict"],
        &["model"],
        &["net"],
        &["ema"],
        &["model_ema", "state_dict"],
        &["checkpoint", "model", "state_dict"],
    ] {
        for prefix in [
            "",
            "module.",
            "_orig_mod.",
            "model.",
            "net.",
            "module._orig_mod.model.",
            "any.thing.0.",
        ] {
            let file = wrapped(&prefixed(&expected, prefix), wrappers);
            for bytes in [file.zip("archive"), file.legacy()] {
                let weights = read(&bytes);
                assert_eq!(weights.state, expected, "{wrappers:?} {prefix}");
                let taken_off = [wrappers.join("."), prefix.to_owned()].join(".");
                let taken_off = taken_off.trim_matches('.');
                let notes = weights.notes.join("\n");
                assert_eq!(notes.is_empty(), taken_off.is_empty(), "{notes}");
                assert!(notes.contains(taken_off), "{notes}");
            }
        }
    }
}

#[test]
fn the_name_of_an_archive_does_not_matter() {
    let file = wrapped(&plain(), &[]);
    for length in 1..=70 {
        let weights = read(&file.zip(&"n".repeat(length)));
        assert_eq!(weights.state, plain(), "{length}");
    }
    let deflated = read(&zip("archive", &file.records(), Packing::Deflated));
    assert_eq!(deflated.state, plain());
}

/// Pickles of what scripts keep beside the weights.
fn companions() -> Vec<Object> {
    let named = |class: &[u8], rest: &[u8]| {
        let mut pickle = [b"c", class].concat();
        pickle.extend(rest);
        Object::Pickle(pickle)
    };
    let mut attributes = b"\x81}(".to_vec();
    text(&mut attributes, "lr");
    attributes.extend(b"G?\xf0\0\0\0\0\0\0ub");
    let mut metrics = b"c__builtin__\nlist\n\x85R(".to_vec();
    text(&mut metrics, "loss");
    metrics.extend(b"](K\x01K\x02eu");
    vec![
        named(b"collections\ndefaultdict\n", &metrics),
        named(b"collections\ndeque\n", b")R(K\x01K\x02e"),
        named(b"argparse\nNamespace\n)", &attributes),
        named(b"my.trainer\nConfig\n)", &attributes),
        named(
            b"numpy.core.multiarray\nscalar\n",
            b"(cnumpy\ndtype\nU\x02f8K\0K\x01\x87R(K\x03N\x4e\x4eJ\xff\xff\xff\xffK\0tbU\x0801234567tR",
        ),
        named(b"datetime\ndatetime\n", b"U\x0a0123456789\x85R"),
        // A set, a frozen set, bytes, a bytearray, long numbers of both signs.
        Object::Pickle(b"\x8f(K\x01\x90".to_vec()),
        Object::Pickle(b"(K\x01\x91".to_vec()),
        Object::Pickle(b"C\x02ab".to_vec()),
        Object::Pickle(b"\x96\x02\0\0\0\0\0\0\0ab".to_vec()),
        Object::Pickle(b"\x8a\x0a0123456789".to_vec()),
        // Protocol 0: an instance of an old class, a float, a text, a number.
        Object::Pickle(b"(imodule\nOld\n(dV1\nF1.5\nsb".to_vec()),
        Object::Pickle(b"I01\n".to_vec()),
        // Protocol 4: a frame, short texts, a global of two texts, a memo without numbers.
        Object::Pickle(
            b"\x95\x20\0\0\0\0\0\0\0}\x94(\x8c\x01a\x94\x8c\x08builtins\x94\x8c\x03set\x94\x93\x94\
              ]\x94(K\x01K\x02e\x85\x94R\x94u"
                .to_vec(),
        ),
        // An object that holds itself in two ways.
        Object::Pickle(b"cmodule\nA\n)\x81q\xc8}(U\x01ah\xc8U\x01b}U\x01ch\xc8sub".to_vec()),
        // A dictionary with keys that are no texts.
        Object::Pickle(b"}(NK\x01K\x07K\x02K\x01\x85K\x03u".to_vec()),
    ]
}

#[test]
fn what_stands_beside_the_tensors_does_not_matter() {
    let expected = plain();
    for (index, companion) in companions().into_iter().enumerate() {
        let mut storages = Vec::new();
        let weights = Object::Dict(tensors(&expected, &mut storages));
        // A momentum of the optimizer's, which is none of the network's tensors.
        storages.push(Storage::floats(&[0.5; 6]));
        let momentum = Object::Tensor(Tensor::dense(storages.len() - 1, &[6]));
        let object = dict([
            ("companion", companion),
            ("model", weights),
            ("optimizer", dict([("exp_avg", momentum)])),
        ]);
        let file = File { object, storages };
        for bytes in [file.zip("archive"), file.legacy()] {
            assert_eq!(read(&bytes).state, expected, "companion {index}");
        }
    }
}

#[test]
fn averaged_weights_are_told_from_plain_ones() {
    let (first, second) = (plain(), negated(&plain()));
    let number = StateTensor {
        shape: Vec::new(),
        values: Values::I64(vec![3]),
    };
    for (name, prefix) in [
        ("ema", ""),
        ("ema", "module."),
        ("model_ema", ""),
        ("ema_state_dict", "module."),
        ("model_ema_state_dict", "_orig_mod."),
        // timm's.
        ("state_dict_ema", ""),
        ("ema_model", "model."),
        ("averaged_model", ""),
        ("swa", ""),
    ] {
        let mut storages = Vec::new();
        let object = dict([
            (
                name,
                Object::Dict(tensors(&prefixed(&second, prefix), &mut storages)),
            ),
            ("model", Object::Dict(tensors(&first, &mut storages))),
        ]);
        let bytes = File { object, storages }.zip("archive");
        for (kind, expected) in [
            (WeightsKind::Plain, &first),
            (WeightsKind::Averaged, &second),
        ] {
            let weights = try_read(&bytes, kind).expect("both kinds");
            assert_eq!(&weights.state, expected, "{name}");
            let notes = weights.notes.join("\n");
            assert!(
                notes.contains("`model.`") && notes.contains(name),
                "{notes}"
            );
        }
    }
    // `AveragedModel` of PyTorch, known by its count under whatever name, and an average
    // that is kept in its network.
    let counted = prefixed(&first, "net.").into_iter();
    let counted = counted.chain(prefixed(&second, "best.module."));
    let counted = counted.chain([("best.n_averaged".to_owned(), number.clone())]);
    let within = first.clone().into_iter();
    let within = within.chain(prefixed(&second, "ema."));
    for state in [counted.collect(), within.collect()] {
        let bytes = wrapped(&state, &[]).zip("archive");
        for (kind, expected) in [
            (WeightsKind::Plain, &first),
            (WeightsKind::Averaged, &second),
        ] {
            let weights = try_read(&bytes, kind).expect("both kinds");
            let (state, _) = weights.state.without_bookkeeping(&info().tensors());
            assert_eq!(&state, expected, "{:?}", weights.notes);
        }
    }
    let parameters = prefixed(&second, "ema.").into_iter();
    let parameters = parameters.filter(|(key, _)| !key.contains("running_"));
    let state = prefixed(&first, "model.").into_iter().chain(parameters);
    let parameters = wrapped(&state.collect(), &[]).zip("archive");
    let error = try_read(&parameters, WeightsKind::Averaged).expect_err("a part");
    assert!(error.to_string().contains("under `ema.`"), "{error}");
    let alone = wrapped(&first, &["model"]).zip("archive");
    let error = try_read(&alone, WeightsKind::Averaged).expect_err("no average");
    assert!(error.to_string().contains("`model.`"), "{error}");
}

#[test]
fn networks_that_were_saved_whole_are_read() {
    let expected = plain();
    let mut storages = Vec::new();
    let modules = {
        let tensors = tensors(&expected, &mut storages);
        tensors
            .into_iter()
            .fold(Module::default(), |mut root, (key, tensor)| {
                root.insert(&key, tensor);
                root
            })
    };
    let mut file = File {
        object: Object::Int(0),
        storages,
    };
    let mut pickle = Vec::new();
    modules.pickle(&file, &mut pickle);
    file.object = dict([("epoch", Object::Int(1)), ("net", Object::Pickle(pickle))]);
    for bytes in [file.zip("archive"), file.legacy()] {
        assert_eq!(read(&bytes).state, expected);
    }
}

/// A module of PyTorch's with its parts.
#[derive(Default)]
struct Module {
    tensors: BTreeMap<String, Object>,
    modules: BTreeMap<String, Module>,
}

impl Module {
    fn insert(&mut self, key: &str, tensor: Object) {
        match key.split_once('.') {
            None => drop(self.tensors.insert(key.to_owned(), tensor)),
            Some((part, rest)) => {
                let part = self.modules.entry(part.to_owned()).or_default();
                part.insert(rest, tensor);
            }
        }
    }

    /// An object with a state of which parameters and parts are each a dictionary.
    fn pickle(&self, file: &File, bytes: &mut Vec<u8>) {
        bytes.extend(b"ctorch.nn.modules\nModule\n)\x81}(");
        text(bytes, "training");
        bytes.push(0x88);
        text(bytes, "_parameters");
        bytes.extend(b"ccollections\nOrderedDict\n)R(");
        for (name, tensor) in &self.tensors {
            text(bytes, name);
            let Object::Tensor(tensor) = tensor else {
                panic!("expected a tensor");
            };
            // torch._utils._rebuild_parameter(data, True, OrderedDict()).
            bytes.extend(b"ctorch._utils\n_rebuild_parameter\n");
            file.tensor(bytes, tensor);
            bytes.extend(b"\x88}\x87R");
        }
        bytes.push(b'u');
        text(bytes, "_modules");
        bytes.extend(b"}(");
        for (name, module) in &self.modules {
            text(bytes, name);
            module.pickle(file, bytes);
        }
        bytes.extend(b"uub");
    }
}

/// The plain weights with floats of another type.
fn with_floats(class: &'static str, number: impl Fn(f32) -> Vec<u8>) -> File {
    let mut file = wrapped(&plain(), &[]);
    for storage in &mut file.storages {
        if storage.class == "FloatStorage" {
            let numbers = storage.bytes.as_chunks().0.iter();
            let numbers = numbers.flat_map(|&x| number(f32::from_le_bytes(x)));
            storage.bytes = numbers.collect();
            storage.class = class;
        }
    }
    file
}

/// The plain weights with all but the highest bits of each float cleared.
fn rounded(kept_bits: u32) -> StateDict {
    let round = |x: f32| f32::from_bits(x.to_bits() & !0 << (32 - kept_bits));
    let tensors = plain().into_iter().map(|(key, mut tensor)| {
        if let Values::F32(values) = &mut tensor.values {
            values.iter_mut().for_each(|value| *value = round(*value));
        }
        (key, tensor)
    });
    tensors.collect()
}

#[test]
fn batch_counts_in_vectors_become_numbers() {
    let vectors = plain().into_iter().map(|(key, mut tensor)| {
        if key.ends_with("num_batches_tracked") {
            tensor.shape = vec![1];
        }
        (key, tensor)
    });
    let file = wrapped(&vectors.collect(), &[]);
    assert_eq!(read(&file.zip("archive")).state, plain());
}

#[test]
fn floats_of_other_widths_become_those_of_the_network() {
    let doubled = with_floats("DoubleStorage", |x| f64::from(x).to_le_bytes().to_vec());
    let halved = with_floats("BFloat16Storage", |x| x.to_le_bytes()[2..].to_vec());
    for (file, expected) in [(doubled, plain()), (halved, rounded(16))] {
        for bytes in [file.zip("archive"), file.legacy()] {
            let state = read(&bytes).state;
            assert_eq!(state, expected);
            ModelFile::new(info(), state).expect("a model");
        }
    }
}

#[test]
fn a_state_dict_that_is_half_floats_throughout_is_read() {
    // As {key: value.half()} makes it: the batch counts too.
    let mut file = wrapped(&plain(), &[]);
    for storage in &mut file.storages {
        storage.class = "HalfStorage";
        storage.bytes = 0x3c00_u16.to_le_bytes().repeat(storage.count);
    }
    let state = read(&file.zip("archive")).state;
    for (key, tensor) in state.iter() {
        match &tensor.values {
            Values::F32(values) => assert!(values.iter().all(|&value| value == 1.0), "{key}"),
            Values::I64(values) => assert_eq!(values, &[1], "{key}"),
            Values::Unread(kind) => panic!("{key}: {kind}"),
        }
    }
    ModelFile::new(info(), state).expect("a model");
}

#[test]
fn big_endian_archives_are_read() {
    let mut file = wrapped(&plain(), &[]);
    for storage in &mut file.storages {
        let size = storage.bytes.len() / storage.count;
        storage.bytes.chunks_mut(size).for_each(<[u8]>::reverse);
    }
    let mut records = file.records();
    records.push(("byteorder".into(), b"big".to_vec()));
    let weights = read(&zip("archive", &records, Packing::Stored));
    assert_eq!(weights.state, plain());
}

#[test]
fn damaged_numbers_are_refused() {
    let file = wrapped(&plain(), &[]);
    let mut bytes = file.zip("archive");
    let numbers = &file.storages[0].bytes;
    let at = bytes
        .windows(numbers.len())
        .position(|bytes| bytes == numbers);
    bytes[at.expect("the numbers of a storage") + 1] ^= 1;
    let error = try_read(&bytes, WeightsKind::Plain).expect_err("a damaged file");
    assert!(error.to_string().contains("the file is damaged"), "{error}");
}

#[test]
fn tensors_of_other_kinds_are_named() {
    for (function, kind) in [
        ("_rebuild_qtensor", "a quantised tensor"),
        ("_rebuild_sparse_tensor", "a sparse tensor"),
        ("_rebuild_wrapper_subclass", "a tensor of another kind"),
    ] {
        let pickle = format!("ctorch._utils\n{function}\n)R").into_bytes();
        let mut file = wrapped(&plain(), &[]);
        let Object::Dict(entries) = &mut file.object else {
            panic!("expected a dictionary");
        };
        entries[0].1 = Object::Pickle(pickle);
        let key = entries[0].0.clone();
        let state = read(&file.zip("archive")).state;
        let tensor = state.get(&key).expect("the tensor");
        assert_eq!(tensor.values, Values::Unread(kind.into()));
        let error = ModelFile::new(info(), state).expect_err("a tensor without numbers");
        let words = format!("for {key}, found {kind}");
        assert!(error.to_string().ends_with(&words), "{error}");
    }
}

#[test]
fn bookkeeping_is_left_out_and_other_networks_parts_are_not() {
    let number = StateTensor {
        shape: Vec::new(),
        values: Values::F32(vec![1.0]),
    };
    let mut state = plain();
    let names = [
        "criterion.weight",
        "features.0.0.total_ops",
        "n_averaged",
        "total_params",
    ];
    for name in names {
        state.insert(name.to_owned(), number.clone());
    }
    let (kept, others) = state.clone().without_bookkeeping(&info().tensors());
    assert_eq!(kept, plain());
    assert_eq!(others, names);
    state.insert("features.99.0.weight".into(), number);
    let (kept, _) = state.without_bookkeeping(&info().tensors());
    let error = ModelFile::new(info(), kept).expect_err("a layer too many");
    assert!(
        error.to_string().contains("features.99.0.weight"),
        "{error}"
    );
}

#[test]
fn safetensors_of_others_are_read_as_pytorchs_files_are() {
    let expected = plain();
    let state = prefixed(&expected, "model.");
    let views = state.iter().filter_map(|(key, tensor)| {
        let numbers = match &tensor.values {
            Values::F32(numbers) => Numbers::F32(numbers),
            Values::I64(numbers) => Numbers::I64(numbers),
            Values::Unread(_) => return None,
        };
        let shape = &tensor.shape[..];
        Some((key.to_owned(), TensorView { shape, numbers }))
    });
    let metadata = BTreeMap::from([("format".to_owned(), "pt".to_owned())]);
    let bytes = to_bytes(metadata, &views.collect()).expect("a sound file");
    let weights = read(&bytes);
    assert_eq!(weights.state, expected);
    assert!(weights.info.is_none());
    // Ours are told from them.
    let model = ModelFile::new(info(), expected.clone()).expect("a model");
    let weights = read(&model.to_bytes().expect("a model"));
    assert_eq!((weights.state, weights.info), (expected, Some(info())));
    // One tensor of half floats.
    let key = "features.0.0.weight";
    let of_shape = |shape: &str| {
        let header =
            format!(r#"{{"{key}":{{"dtype":"BF16","shape":{shape},"data_offsets":[0,4]}}}}"#);
        let length = (header.len() as u64).to_le_bytes();
        [&length[..], header.as_bytes(), &[0x80, 0x3f, 0xc0, 0xbf]].concat()
    };
    let state = read(&of_shape("[1,2]")).state;
    assert_eq!(
        state.get(key).and_then(|t| t.floats()),
        Some(&[1.0, -1.5][..])
    );
    for shape in ["[1]", "[3]", "[0]", "[4294967296,4294967296]"] {
        let error = try_read(&of_shape(shape), WeightsKind::Plain).expect_err(shape);
        assert!(error.to_string().contains("as many bytes"), "{error}");
    }
}

#[test]
fn views_of_one_storage_come_out_right() {
    let numbers: Vec<f32> = (0..12).map(|n| n as f32).collect();
    let view = |offset, shape: &[usize], strides: &[usize]| {
        Object::Tensor(Tensor {
            storage: 0,
            offset,
            shape: shape.to_vec(),
            strides: strides.to_vec(),
        })
    };
    let file = File {
        object: dict([
            ("columns", view(1, &[2, 3], &[1, 4])),
            ("expanded", view(5, &[2, 2], &[0, 0])),
            ("empty", view(12, &[0, 5], &[5, 1])),
            ("scalar", view(11, &[], &[])),
        ]),
        storages: vec![Storage::floats(&numbers)],
    };
    for bytes in [file.zip("archive"), file.legacy()] {
        let state = read(&bytes).state;
        for (key, expected) in [
            ("columns", &[1.0, 5.0, 9.0, 2.0, 6.0, 10.0][..]),
            ("expanded", &[5.0; 4]),
            ("empty", &[]),
            ("scalar", &[11.0]),
        ] {
            let floats = state.get(key).and_then(|tensor| tensor.floats());
            assert_eq!(floats, Some(expected), "{key}");
        }
    }
}
