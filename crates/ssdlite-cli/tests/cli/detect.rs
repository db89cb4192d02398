//! `detect`: sources, JSON, images, faults.

use std::fs;
use std::path::Path;
use std::process::Stdio;

use serde_json::Value;

use crate::ffmpeg::has_ffmpeg;
use crate::harness::{Ran, command, files_below, run};
use crate::media::free_port;
use crate::shared::{CLASSES, classifier, detector, photos};

/// Lets a hardly trained network find something.
const LOW: [&str; 2] = ["--score", "0.02"];

fn detect(folder: &Path, sources: &[&str]) -> Ran {
    let model = detector();
    let args = ["detect", model.as_str()];
    run(folder, &[&args[..], sources, &LOW].concat())
}

fn images(ran: &Ran) -> Vec<String> {
    let name = |line: Value| line["image"].as_str().unwrap().to_owned();
    ran.json().into_iter().map(name).collect()
}

#[test]
fn a_file_a_folder_and_a_pattern_are_sources() {
    let folder = tempfile::tempdir().unwrap();
    photos(folder.path(), 3);
    let path = |number| format!("photos/sample_0000{number}.jpg");
    let all = [path(0), path(1), path(2)];
    for (source, expected) in [
        ("photos/sample_00001.jpg", &all[1..2]),
        ("photos", &all[..]),
        ("photos/*.jpg", &all[..]),
        ("photos/*[02].jpg", &[path(0), path(2)]),
    ] {
        let ran = detect(folder.path(), &[source, "--json"]).exits(0);
        assert_eq!(images(&ran), expected, "{source}");
    }
    let ran = detect(folder.path(), &["photos/sample_00002.jpg", "photos"]).exits(0);
    assert_eq!(ran.stdout.matches("sample_00002.jpg: ").count(), 2);
}

#[test]
fn json_has_the_promised_fields() {
    let folder = tempfile::tempdir().unwrap();
    photos(folder.path(), 4);
    let limits = ["--max-detections", "7", "--threads", "1", "--json"];
    let ran = detect(folder.path(), &[&["photos"], &limits[..]].concat()).exits(0);
    let mut count = 0;
    for line in ran.json() {
        let path = folder.path().join(line["image"].as_str().unwrap());
        let size = ssdlite_image::decode::decode_file(&path, &Default::default())
            .unwrap()
            .size();
        let side = |key: &str| line[key].as_u64().unwrap();
        assert_eq!(
            (side("width"), side("height")),
            (size.width.into(), size.height.into())
        );
        let detections = line["detections"].as_array().unwrap();
        assert!(detections.len() <= 7);
        let mut last = 1.0;
        for detection in detections {
            count += 1;
            let class = detection["class"].as_str().unwrap();
            assert!(CLASSES.contains(&class), "{detection}");
            let score = detection["score"].as_f64().unwrap();
            assert!((0.02..=last).contains(&score), "{detection}");
            last = score;
            let corners = detection["box"].as_array().unwrap();
            let corners: Vec<f64> = corners.iter().map(|x| x.as_f64().unwrap()).collect();
            let [x1, y1, x2, y2] = corners.try_into().unwrap();
            assert!(
                0.0 <= x1 && x1 < x2 && x2 <= f64::from(size.width),
                "{detection}"
            );
            assert!(
                0.0 <= y1 && y1 < y2 && y2 <= f64::from(size.height),
                "{detection}"
            );
        }
        assert_eq!(line.as_object().unwrap().len(), 4);
    }
    assert!(count > 0, "nothing was found, so nothing was tested");
}

#[test]
fn images_are_saved_each_under_its_name() {
    let folder = tempfile::tempdir().unwrap();
    photos(folder.path(), 2);
    let other = folder.path().join("other");
    fs::create_dir(&other).unwrap();
    let first = folder.path().join("photos/sample_00000.jpg");
    fs::copy(&first, other.join("sample_00000.jpg")).unwrap();
    let before = files_below(folder.path());
    detect(folder.path(), &["photos", "other", "--save", "found/here"]).exits(0);
    let found = files_below(&folder.path().join("found/here"));
    let names: Vec<_> = found.keys().map(String::as_str).collect();
    let expected = ["sample_00000-2.jpg", "sample_00000.jpg", "sample_00001.jpg"];
    assert_eq!(names, expected);
    let decode = |bytes: &[u8]| ssdlite_image::decode::decode(bytes, &Default::default()).unwrap();
    let drawn = decode(&found["sample_00000.jpg"]);
    let plain = decode(&fs::read(first).unwrap());
    assert_eq!(drawn.size(), plain.size());
    assert_ne!(drawn.pixels(), plain.pixels());
    for (name, bytes) in before {
        assert_eq!(
            fs::read(folder.path().join(&name)).unwrap(),
            bytes,
            "{name}"
        );
    }
}

#[test]
fn what_is_found_does_not_depend_on_the_threads() {
    let folder = tempfile::tempdir().unwrap();
    photos(folder.path(), 5);
    let with = |threads: &str| {
        let ran = detect(folder.path(), &["photos", "--json", "--threads", threads]);
        ran.exits(0).stdout
    };
    let expected = with("1");
    assert_eq!(expected.lines().count(), 5);
    for threads in ["2", "5", "6", "40"] {
        assert_eq!(with(threads), expected, "{threads} threads");
    }
}

/// It is decoded at a quarter, but all that is told and saved is of the whole.
#[test]
fn a_large_photo_is_told_of_and_saved_whole() {
    let folder = tempfile::tempdir().unwrap();
    photos(folder.path(), 1);
    let photo = folder.path().join("photos/sample_00000.jpg");
    let image = ssdlite_image::decode::decode_file(&photo, &Default::default()).unwrap();
    let size = ssdlite_image::ImageSize::new(1501, 1203);
    let large = ssdlite_image::Resizer::new().stretch(&image, size);
    ssdlite_image::encode::save(&photo, &large).unwrap();
    let plain = detect(folder.path(), &["photos", "--json"]).exits(0);
    let saving = detect(folder.path(), &["photos", "--json", "--save", "found"]).exits(0);
    assert_eq!(saving.stdout, plain.stdout);
    let json = plain.json();
    assert_eq!(
        (&json[0]["width"], &json[0]["height"]),
        (&1501.into(), &1203.into())
    );
    let corners = json[0]["detections"].as_array().unwrap().iter();
    let corners = corners.flat_map(|found| found["box"].as_array().unwrap());
    let farthest = corners.map(|at| at.as_f64().unwrap()).fold(0.0, f64::max);
    assert!(farthest > 700.0 && farthest <= 1501.0, "{farthest}");
    let saved = folder.path().join("found/sample_00000.jpg");
    let saved = ssdlite_image::decode::decode_file(&saved, &Default::default()).unwrap();
    assert_eq!(saved.size(), size);
}

#[test]
fn a_broken_image_stops_no_other() {
    let folder = tempfile::tempdir().unwrap();
    photos(folder.path(), 4);
    let broken = folder.path().join("photos/sample_00001.jpg");
    let bytes = fs::read(&broken).unwrap();
    fs::write(&broken, &bytes[..bytes.len() / 2]).unwrap();
    fs::write(folder.path().join("photos/sample_00002.jpg"), "no image").unwrap();
    let ran = detect(folder.path(), &["absent.jpg", "photos", "--json"]).exits(1);
    let expected = ["photos/sample_00000.jpg", "photos/sample_00003.jpg"];
    assert_eq!(images(&ran), expected);
    for name in ["absent.jpg", "sample_00001.jpg", "sample_00002.jpg"] {
        let said = ran
            .stderr
            .lines()
            .filter(|line| line.contains(name))
            .count();
        assert_eq!(said, 1, "{name}: {}", ran.stderr);
    }
    assert!(ran.stderr.contains("3 inputs"), "{}", ran.stderr);
}

#[test]
fn what_a_folder_holds_is_used_or_named() {
    let folder = tempfile::tempdir().unwrap();
    photos(folder.path(), 1);
    let write = |name: &str, bytes: &[u8]| {
        fs::write(folder.path().join("photos").join(name), bytes).unwrap();
    };
    for companion in ["._sample_00000.jpg", ".DS_Store", "Thumbs.db", "a.xml"] {
        write(companion, b"none of our business");
    }
    let ran = detect(folder.path(), &["photos", "--json"]).exits(0);
    assert_eq!(images(&ran), ["photos/sample_00000.jpg"]);
    assert_eq!(notes(&ran).len(), 1, "{}", ran.stderr);

    write("notes.dat", b"what is this?");
    fs::create_dir(folder.path().join("photos/more")).unwrap();
    let ran = detect(folder.path(), &["photos", "--json"]).exits(0);
    for told in ["1 folder (more)", "1 file (notes.dat)"] {
        assert!(ran.stderr.contains(told), "{told}: {}", ran.stderr);
    }

    write("x.ppm", b"P6\n1 1\n255\nabc");
    write("y.tga", &[0; 30]);
    write("z.jp2", b"\0\0\0\x0CjP  \r\n\x87\n");
    for command in [vec!["detect"], vec!["classifier", "predict"]] {
        let model = if command == ["detect"] {
            detector()
        } else {
            classifier()
        };
        let args = [&command[..], &[&model, "photos", "--json"]].concat();
        let ran = run(folder.path(), &args).exits(1);
        assert_eq!(images(&ran), ["photos/sample_00000.jpg"]);
        for (name, format) in [("x.ppm", "PPM"), ("y.tga", "TGA"), ("z.jp2", "JPEG 2000")] {
            let told = ran.stderr.lines().any(|line| {
                line.starts_with(&format!("error: photos/{name}: "))
                    && line.contains(&format!("{format} image"))
                    && line.contains("convert it")
            });
            assert!(told, "{name}: {}", ran.stderr);
        }
        assert!(ran.stderr.contains("3 inputs"), "{}", ran.stderr);
    }
    let ran = detect(folder.path(), &["photos/._sample_00000.jpg"]).exits(1);
    assert!(ran.stderr.contains("._sample_00000.jpg"), "{}", ran.stderr);
}

#[test]
#[cfg(target_os = "linux")]
fn names_that_are_no_text_are_inputs() {
    use std::ffi::{OsStr, OsString};
    use std::os::unix::ffi::OsStrExt;
    let folder = tempfile::tempdir().unwrap();
    photos(folder.path(), 2);
    let name = OsStr::from_bytes(b"b\xe4um.jpg");
    let photo = |name: &OsStr| folder.path().join("photos").join(name);
    fs::rename(photo("sample_00001.jpg".as_ref()), photo(name)).unwrap();
    for command in [vec!["detect"], vec!["classifier", "predict"]] {
        let model = if command == ["detect"] {
            detector()
        } else {
            classifier()
        };
        let mut args: Vec<OsString> = command.into_iter().map(Into::into).collect();
        args.extend([
            model.into(),
            "--json".into(),
            "photos/sample_00000.jpg".into(),
        ]);
        args.push([OsStr::new("photos/"), name].into_iter().collect());
        let ran = run(folder.path(), &args).exits(0);
        let expected = ["photos/sample_00000.jpg", "photos/b\u{FFFD}um.jpg"];
        assert_eq!(images(&ran), expected);
        args.pop();
        args.push("photos/b*.jpg".into());
        let ran = run(folder.path(), &args).exits(0);
        assert_eq!(images(&ran), expected);
    }
}

#[test]
#[cfg(unix)]
fn links_in_a_circle_end() {
    let folder = tempfile::tempdir().unwrap();
    photos(folder.path(), 1);
    for name in ["back", "again"] {
        std::os::unix::fs::symlink(folder.path(), folder.path().join("photos").join(name)).unwrap();
    }
    let ran = detect(folder.path(), &["**/*.jpg", "--json"]).exits(0);
    assert_eq!(images(&ran), ["photos/sample_00000.jpg"]);
}

#[test]
fn a_folder_that_does_not_exist_is_said_not_to() {
    let folder = tempfile::tempdir().unwrap();
    let ran = detect(folder.path(), &["absent/folder"]).exits(1);
    assert!(
        ran.stderr.contains("absent/folder: there is no such"),
        "{}",
        ran.stderr
    );
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let folder = tempfile::tempdir().unwrap();
    photos(folder.path(), 3);
    let mut child = command(folder.path(), &["detect", &detector(), "photos", "--json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let ran = Ran::from(child.wait_with_output().unwrap()).exits(0);
    assert_eq!(ran.stderr, "");
}

#[test]
fn what_is_no_model_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    photos(folder.path(), 1);
    let sound = fs::read(detector()).unwrap();
    let page = b"<!DOCTYPE html><html><body>404</body></html>".to_vec();
    let mut noise = vec![0x5a; 4096];
    noise[..8].copy_from_slice(&u64::MAX.to_le_bytes());
    let mut not_a_number = sound.clone();
    let end = not_a_number.len();
    not_a_number[end - 4..].copy_from_slice(&f32::NAN.to_le_bytes());
    for (name, bytes) in [
        ("empty", Vec::new()),
        ("page", page),
        ("noise", noise),
        ("short", sound[..100].to_vec()),
        ("truncated", sound[..sound.len() - 9].to_vec()),
        ("too long", [&sound[..], b"more"].concat()),
        ("not a number", not_a_number),
    ] {
        fs::write(folder.path().join(name), bytes).unwrap();
        let ran = run(folder.path(), &["detect", name, "photos"]).exits(1);
        assert_eq!(ran.stdout, "", "{name}");
        assert!(
            ran.stderr.starts_with(&format!("error: {name}: ")),
            "{name}: {}",
            ran.stderr
        );
    }
    let ran = run(folder.path(), &["detect", &classifier(), "photos"]).exits(1);
    assert!(ran.stderr.contains("classifier predict"), "{}", ran.stderr);
}

#[test]
fn the_models_own_settings_can_be_overridden() {
    let folder = tempfile::tempdir().unwrap();
    photos(folder.path(), 1);
    let count = |options: &[&str]| {
        let ran = detect(folder.path(), &[&["photos", "--json"], options].concat()).exits(0);
        ran.json()[0]["detections"].as_array().unwrap().len()
    };
    let (strict, lenient) = (count(&["--nms", "0.05"]), count(&["--nms", "0.95"]));
    assert!(strict < lenient, "{strict} {lenient}");
    assert!(count(&["--candidates", "1"]) <= CLASSES.len());
    assert_eq!(count(&["--max-detections", "2"]), 2);
    let model = detector();
    for (option, value) in [("--score", "2"), ("--nms", "-1"), ("--soft-nms", "0")] {
        let ran = run(folder.path(), &["detect", &model, "photos", option, value]);
        assert_ne!(ran.code, 0, "{option} {value}");
        assert!(ran.stderr.contains(value), "{option}: {}", ran.stderr);
    }
    let both = ["--nms", "0.5", "--soft-nms", "0.5"];
    let args = [&["detect", &model, "photos"][..], &both].concat();
    run(folder.path(), &args).exits(2);
}

/// `detect` with another least score.
fn detect_at(folder: &Path, score: &str, sources: &[&str]) -> Ran {
    let model = detector();
    let args = ["detect", model.as_str(), "--conf", score];
    run(folder, &[&args[..], sources].concat())
}

/// The lines of a call's standard error.
fn notes(ran: &Ran) -> Vec<&str> {
    ran.stderr.lines().collect()
}

#[test]
fn it_ends_with_what_was_found_and_where_it_was_saved() {
    let folder = tempfile::tempdir().unwrap();
    photos(folder.path(), 3);
    for json in [&[][..], &["--json"]] {
        let args = ["photos", "--save", "out"];
        let ran = detect(folder.path(), &[&args[..], json].concat()).exits(0);
        let [counts, saved] = notes(&ran)[..] else {
            panic!("{}", ran.stderr);
        };
        assert!(counts.starts_with("3 images, 3 with objects ("), "{counts}");
        assert!(counts.ends_with(" images/s"), "{counts}");
        assert_eq!(saved, "saved in out");
        assert!(!ran.stdout.contains("images/s"), "{}", ran.stdout);
    }
    // Of what failed nothing is counted.
    let ran = detect(folder.path(), &["absent.jpg"]).exits(1);
    assert!(!ran.stderr.contains("image,"), "{}", ran.stderr);
}

#[test]
fn where_nothing_is_sure_enough_the_best_is_told() {
    let folder = tempfile::tempdir().unwrap();
    photos(folder.path(), 2);
    let ran = detect_at(folder.path(), "1", &["photos"]).exits(0);
    let [counts, best] = notes(&ran)[..] else {
        panic!("{}", ran.stderr);
    };
    assert!(counts.contains("0 with objects (0 objects)"), "{counts}");
    let (_, enough) = best.split_once("--score ").unwrap();
    let enough = enough.strip_suffix(" shows").unwrap();
    let shown = detect_at(folder.path(), enough, &["photos"]).exits(0);
    assert!(!shown.stderr.contains("no score"), "{}", shown.stderr);
    let named = best.split_once("(").unwrap().1;
    let (class, image) = named.split_once(" in ").unwrap();
    let image = image.split_once(')').unwrap().0;
    let all: Vec<&str> = shown.stdout.lines().collect();
    let at = all.iter().position(|line| line.starts_with(image)).unwrap();
    assert!(all[at + 1].trim().starts_with(class), "{}", shown.stdout);
}

#[test]
fn one_object_is_no_plural() {
    let folder = tempfile::tempdir().unwrap();
    photos(folder.path(), 1);
    let options = ["photos", "--max-detections", "1"];
    let ran = detect(folder.path(), &options).exits(0);
    let first = ran.stdout.lines().next().unwrap();
    assert!(first.ends_with(": 1 object"), "{first}");
    let counts = "1 image, 1 with objects (1 object)";
    assert!(ran.stderr.starts_with(counts), "{}", ran.stderr);
}

#[test]
fn what_killed_ones_left_is_removed_from_the_folder_of_what_is_saved() {
    let folder = tempfile::tempdir().unwrap();
    photos(folder.path(), 1);
    let out = folder.path().join("out");
    fs::create_dir(&out).unwrap();
    for name in ["b.jpg.7-0.tmp", "c.mp4.7-1.part.mp4", "notes.7-1.tmp"] {
        fs::write(out.join(name), b"half").unwrap();
    }
    detect(folder.path(), &["photos", "--save", "out"]).exits(0);
    let names: Vec<_> = files_below(&out).into_keys().collect();
    if cfg!(unix) {
        assert_eq!(names, ["notes.7-1.tmp", "sample_00000.jpg"]);
    }
}

#[test]
fn a_camera_that_is_not_there_ends_it_at_once() {
    if !has_ffmpeg() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let address = format!("http://127.0.0.1:{}/live", free_port());
    let ran = detect(folder.path(), &[&address]).exits(1);
    let told = format!("error: {address}: can't be opened: ");
    assert!(ran.stderr.starts_with(&told), "{}", ran.stderr);
    for (words, count) in [("--retry goes on trying", 1), ("trying again", 0)] {
        assert_eq!(ran.stderr.matches(words).count(), count, "{}", ran.stderr);
    }
}
