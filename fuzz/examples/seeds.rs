//! Writes the seeds from which the fuzz targets start, into `corpus/`.
//!
//! ```text
//! cargo +nightly run --example seeds
//! ```

/// The tests' writer of JPEG files in any layout.
#[path = "../../crates/ssdlite-image/tests/images/jpeg_writer.rs"]
mod jpeg_writer;

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Cursor};
use std::path::Path;

use image::{ExtendedColorType, ImageFormat};
use jpeg_encoder::{ColorType, Encoder, SamplingFactor};
use jpeg_writer::{Coefficients, Scan};
use ssdlite_core::{ImageSize, PixelBox};
use ssdlite_data::voc::{VocAnnotation, VocObject};
use ssdlite_fuzz::{classifier_info, detector_info, model, wide_detector_info};
use ssdlite_model::safetensors::{Numbers, TensorView, to_bytes};
use ssdlite_train::{ClassifierConfig, DetectorConfig};

fn main() -> io::Result<()> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    for (target, seeds) in [
        ("model_file", model_files()),
        ("tensors", tensor_files()?),
        ("pth", pytorch_files()?),
        ("detect", [images(), jpeg_layouts()].concat()),
        ("voc_xml", annotations()),
        ("voc_editor", annotations()),
        ("labels", labels()),
        ("config", configurations()),
        ("frames", frames()),
        ("form", forms()),
    ] {
        let folder = corpus.join(target);
        fs::create_dir_all(&folder)?;
        for (name, bytes) in seeds {
            fs::write(folder.join(name), bytes)?;
        }
    }
    Ok(())
}

type Seed = (String, Vec<u8>);

/// Headers `Content-Type`, each with its form.
fn forms() -> Vec<Seed> {
    let part = "Content-Disposition: form-data; name=\"a\"; filename*=utf-8''%C3%A4.png\r\n\
                Content-Type: image/png\r\n\r\nbytes";
    let lf = part.replace("\r\n", "\n");
    [
        (
            "two",
            format!("multipart/form-data; boundary=X\n--X\r\n{part}\r\n--X \r\n\r\n\r\n--X--\r\n"),
        ),
        (
            "lf",
            format!("multipart/form-data; boundary=\"X Y\"\nold\n--X Y\n{lf}\n--X Y--"),
        ),
    ]
    .map(|(name, text)| (name.to_owned(), text.into_bytes()))
    .into()
}

/// Label files in other forms than XML, after a byte that tells which.
fn labels() -> Vec<Seed> {
    [
        ("rows", 0, "0 0.5 0.5 0.25 0.5\n1 0.1 0.1 0.5 0.1 0.5 0.5\n"),
        (
            "description",
            1,
            "path: ../x\ntrain: images\nnc: 2\nnames: {0: a, 1: \"b\"}\n",
        ),
        (
            "coco",
            2,
            r#"{"images": [{"id": 1, "file_name": "one.png", "width": 96, "height": 64}],
                "annotations": [{"image_id": 1, "category_id": 3, "bbox": [1, 2.5, 9, 9],
                "iscrowd": 1, "segmentation": {"counts": [1]}}],
                "categories": [{"id": 3, "name": "a", "supercategory": "b"}]}"#,
        ),
        (
            "labelme",
            3,
            r#"{"shapes": [{"label": "a", "shape_type": "circle", "points": [[9, 9], [12, 13]]}],
                "imagePath": "..\\one.png", "imageWidth": 96, "imageHeight": 64}"#,
        ),
    ]
    .map(|(name, which, text)| (name.to_owned(), [&[which][..], text.as_bytes()].concat()))
    .into()
}

fn model_files() -> Vec<Seed> {
    let mut seeds = Vec::new();
    for (name, info) in [
        ("detector", detector_info()),
        ("wide", wide_detector_info()),
        ("classifier", classifier_info()),
    ] {
        let bytes = model(&info).to_bytes().expect("a sound description");
        let length = u64::from_le_bytes(*bytes.first_chunk().expect("a length")) as usize;
        seeds.push((format!("{name}.header"), bytes[8..8 + length].to_vec()));
        seeds.push((format!("{name}.cut"), bytes[..8 + length + 100].to_vec()));
        seeds.push((format!("{name}.safetensors"), bytes));
    }
    seeds
}

/// A stream of frames as `ffmpeg` writes it: a table of what a frame's first
/// byte stands for, and two frames of different sizes.
fn frames() -> Vec<Seed> {
    const MAIN: &[u8] = b"nut/multimedia container\0\
        NMzV\x1f\x5f\x04\xad\x4a\x03\x01\x81\xff\x7f\x01\x01\x83\xdc\xeb\x94\x00\xc0\x00\
        \x06\x00\x00\x00\x00\x00\x01\xa0\x00\x02\x01\x01\x28\x01\x00\x29\x00\x21\x01\x01\
        \x20\x02\x01\x81\x79\xc0\x00\x06\x00\x00\x00\x00\x00\x01\x06\x03\x00\x00\x01\x04\
        \x00\x00\x01\xb6\x02\xff\xfa\x02\xff\xfb\x02\xff\xfc\x02\xff\xfd\x63\x4e\x58\x23";
    const STREAM: &[u8] = b"NS\x11\x40\x5b\xf2\xf9\xdb\x1a\x00\x00\x04RGB\x18\x00\x0e\x83\xdc\xeb\
        \x94\x00\x00\x00\x00\x04\x04\x04\x01\x01\x00\x42\x34\xe8\xd8";
    let frame = |time: u8, width: usize, height: usize| {
        let pixels = [
            [9, 80, 200].repeat(width * height),
            vec![0; 3 * width],
            vec![255; 3 * width],
        ]
        .concat();
        let length = u8::try_from(pixels.len()).expect("a small frame");
        [&[3, time, length][..], &pixels].concat()
    };
    let bytes = [MAIN, STREAM, &frame(0, 4, 2), &frame(9, 2, 3)].concat();
    vec![("two_sizes.nut".to_owned(), bytes)]
}

/// Few tensors, in each type that is read.
fn tensor_files() -> io::Result<Vec<Seed>> {
    let tensors = BTreeMap::from([
        ("model.a", (&[2, 3][..], Numbers::F32(&[0.5; 6]))),
        ("count", (&[][..], Numbers::I64(&[7]))),
    ]);
    let views = tensors
        .into_iter()
        .map(|(key, (shape, numbers))| (key.to_owned(), TensorView { shape, numbers }));
    let metadata = BTreeMap::from([("ssdlite-checkpoint".to_owned(), "0\nversion = 2".to_owned())]);
    let bytes = to_bytes(metadata, &views.collect()).map_err(io::Error::other)?;
    Ok(vec![("two.safetensors".to_owned(), bytes)])
}

/// Those that the tests read.
fn pytorch_files() -> io::Result<Vec<Seed>> {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/ssdlite-model/tests/golden");
    let mut seeds = Vec::new();
    for name in ["zip.pth", "legacy.pth", "wrapped.pth"] {
        seeds.push((name.to_owned(), fs::read(golden.join(name))?));
    }
    Ok(seeds)
}

/// An image that differs in every direction and channel.
fn ramp(size: ImageSize) -> Vec<u8> {
    let at = |x: u32, y: u32| {
        let (u, v) = (x * 255 / size.width, y * 255 / size.height);
        [u as u8, v as u8, ((u + v) / 2) as u8]
    };
    let points = (0..size.height).flat_map(|y| (0..size.width).map(move |x| (x, y)));
    points.flat_map(|(x, y)| at(x, y)).collect()
}

fn images() -> Vec<Seed> {
    let mut seeds = Vec::new();
    for size in [
        ImageSize::new(1, 1),
        ImageSize::new(17, 5),
        ImageSize::new(40, 33),
    ] {
        let rgb = ramp(size);
        let grey: Vec<u8> = rgb.iter().step_by(3).copied().collect();
        let four: Vec<u8> = rgb.chunks(3).flat_map(|c| [c[0], c[1], c[2], 90]).collect();
        let deep: Vec<u8> = rgb.iter().flat_map(|&c| [c, c]).collect();
        let mut push = |name: &str, bytes| seeds.push((format!("{size}_{name}"), bytes));
        for (name, color, data) in [
            ("rgb", ColorType::Rgb, &rgb),
            ("grey", ColorType::Luma, &grey),
            ("cmyk", ColorType::Cmyk, &four),
            ("ycck", ColorType::CmykAsYcck, &four),
        ] {
            for sampling in [SamplingFactor::F_1_1, SamplingFactor::F_2_2] {
                for progressive in [false, true] {
                    let bytes = jpeg(size, data, color, sampling, progressive);
                    push(&format!("{name}_{sampling:?}_{progressive}.jpg"), bytes);
                }
            }
        }
        for (name, color, data) in [
            ("rgb", ExtendedColorType::Rgb8, &rgb),
            ("rgba", ExtendedColorType::Rgba8, &four),
            ("grey", ExtendedColorType::L8, &grey),
        ] {
            for (ending, format) in [
                ("png", ImageFormat::Png),
                ("bmp", ImageFormat::Bmp),
                ("webp", ImageFormat::WebP),
            ] {
                push(
                    &format!("{name}.{ending}"),
                    encoded(size, data, color, format),
                );
            }
        }
        let deep = encoded(size, &deep, ExtendedColorType::Rgb16, ImageFormat::Png);
        push("deep.png", deep);
    }
    seeds
}

/// Scans of one component, some coarser than others, whole and bit by bit.
fn jpeg_layouts() -> Vec<Seed> {
    let alone = |band, bits| (0..3).map(move |index| Scan::part(&[index], band, bits));
    let whole: Vec<Scan> = alone((0, 63), (None, 0)).collect();
    let parted = vec![Scan::whole(&[0]), Scan::whole(&[1, 2])];
    let mut bits: Vec<Scan> = alone((0, 0), (None, 1)).collect();
    bits.extend(alone((1, 63), (None, 1)));
    bits.extend(alone((0, 0), (Some(1), 0)));
    bits.extend(alone((1, 63), (Some(1), 0)));
    let mut seeds = Vec::new();
    for (kind, factors) in [
        ("fine", [(2, 2), (1, 1), (1, 1)]),
        ("coarse", [(1, 1), (1, 2), (2, 1)]),
    ] {
        let image = Coefficients::new((37, 19), &factors, |component, u, v| {
            128.0 + 90.0 * (u * 9.0 + component as f64).sin() * (v * 7.0).cos()
        });
        for (name, progressive, scans) in [
            ("whole", false, &whole),
            ("parted", false, &parted),
            ("bits", true, &bits),
        ] {
            for interval in [0, 2] {
                let bytes = image.to_jpeg(progressive, scans, interval, None);
                seeds.push((format!("{kind}_{name}_{interval}.jpg"), bytes));
            }
        }
    }
    seeds
}

fn jpeg(
    size: ImageSize,
    data: &[u8],
    color: ColorType,
    sampling: SamplingFactor,
    progressive: bool,
) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = Encoder::new(&mut bytes, 80);
    encoder.set_sampling_factor(sampling);
    encoder.set_progressive(progressive);
    encoder.set_restart_interval(2);
    // An Exif block that holds an orientation and nothing else.
    let mut exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x01".to_vec();
    exif.extend([0x01, 0x12, 0, 3, 0, 0, 0, 1, 0, 6, 0, 0, 0, 0, 0, 0]);
    encoder.add_app_segment(1, exif).expect("a short segment");
    let (width, height) = (size.width as u16, size.height as u16);
    encoder
        .encode(data, width, height, color)
        .expect("a sound image");
    bytes
}

fn encoded(size: ImageSize, data: &[u8], color: ExtendedColorType, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    image::write_buffer_with_format(&mut bytes, data, size.width, size.height, color, format)
        .expect("a sound image");
    bytes.into_inner()
}

/// All options of both tasks.
fn configurations() -> Vec<Seed> {
    let detector = DetectorConfig::new("photos").to_toml();
    let classifier = ClassifierConfig::new("photos").to_toml();
    [("detector", detector), ("classifier", classifier)]
        .map(|(name, text)| {
            let text = text.expect("sound options");
            (format!("{name}.toml"), text.into_bytes())
        })
        .into()
}

fn annotations() -> Vec<Seed> {
    let objects = [
        ("cat", [3.0, 5.0, 40.0, 60.0]),
        ("a&b", [0.0, 0.0, 96.0, 64.0]),
    ];
    let objects = objects.map(|(name, [x1, y1, x2, y2])| VocObject {
        name,
        bbox: PixelBox::new(x1, y1, x2, y2),
        truncated: false,
        difficult: true,
    });
    let annotation = VocAnnotation {
        filename: "one.png",
        size: ImageSize::new(96, 64),
        objects: objects.to_vec(),
    };
    let xml = annotation.to_xml();
    let parts = xml.replace(
        "</bndbox>",
        "</bndbox><part><name>head</name><bndbox><xmin>1</xmin></bndbox></part>",
    );
    let odd = format!("<?xml version=\"1.0\" encoding=\"utf-8\"?><!-- x --><![CDATA[y]]>{xml}");
    let wrapped = xml.replacen("<object>", "<objects><object>", 1).replacen(
        "</object>",
        "</object></objects>",
        1,
    );
    let rotated = xml.replace(
        "</bndbox>",
        "</bndbox><attributes><attribute><name>rotation</name><value>30</value></attribute>\
         </attributes>",
    );
    let latin = format!("<?xml version=\"1.0\" encoding=\"iso-8859-1\"?>{xml}");
    let utf16 = format!("\u{feff}{xml}")
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    let texts = [
        ("plain", xml),
        ("parts", parts),
        ("odd", odd),
        ("wrapped", wrapped),
        ("rotated", rotated),
        ("latin", latin),
    ];
    let mut seeds: Vec<Seed> = texts
        .map(|(name, text)| (format!("{name}.xml"), text.into_bytes()))
        .into();
    seeds.push(("utf16.xml".into(), utf16));
    seeds
}
