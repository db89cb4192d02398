//! What is written, as text and files.

use std::fs;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ssdlite_image::{ImageSize, Limits, RgbImage, decode, encode};
use ssdlite_report::{EvaluatedPage, MOST_PICTURES, ReportFolder};

use crate::fixtures::{
    HOSTILE, ImageData, data, detection, evaluation, images, model, object, write_compared,
    write_evaluated,
};

/// The ids of a page's images, with their files.
fn pictures(page: &str) -> Vec<(&str, Vec<u8>)> {
    let symbols = page.split("<symbol id=\"").skip(1);
    symbols
        .map(|symbol| {
            let (id, rest) = symbol.split_once('"').unwrap();
            let (_, rest) = rest.split_once("href=\"data:image/jpeg;base64,").unwrap();
            let (data, _) = rest.split_once('"').unwrap();
            (id, STANDARD.decode(data).unwrap())
        })
        .collect()
}

/// What a page's attributes of this name say.
fn attributes<'a>(page: &'a str, name: &str) -> Vec<&'a str> {
    let beginning = format!(" {name}=\"");
    let values = page.split(&beginning).skip(1);
    values.map(|rest| rest.split('"').next().unwrap()).collect()
}

#[test]
fn hostile_names_are_text_in_both_pages() {
    let writers: [fn(&Path) -> PathBuf; 2] =
        [|folder| write_evaluated(folder, &images()), write_compared];
    for write in writers {
        let folder = tempfile::tempdir().unwrap();
        let page = fs::read_to_string(write(folder.path())).unwrap();
        assert!(!page.contains(HOSTILE));
        for (tag, count) in [
            ("<script", 1),
            ("</script", 1),
            ("</style", 1),
            ("onerror=\"", 0),
        ] {
            assert_eq!(page.matches(tag).count(), count, "{tag}");
        }
        assert!(page.contains("&lt;/script&gt;&lt;/style&gt;"));
        // Nothing is referred to but what is in the page.
        assert_eq!(attributes(&page, "src"), [""; 0]);
        for address in attributes(&page, "href") {
            let is_within = address.starts_with('#') || address.starts_with("data:image/jpeg;");
            assert!(is_within, "{address:.80}");
        }
        assert!(page.contains("Content-Security-Policy"));
        assert!(!page.contains("http://") && !page.contains("https://"));
    }
}

#[test]
fn the_worst_image_comes_first_and_each_has_its_kinds() {
    let folder = tempfile::tempdir().unwrap();
    let page = fs::read_to_string(write_evaluated(folder.path(), &images())).unwrap();
    let shots = attributes(&page, "data-mistakes");
    // Two are missed and one is on the background; then what costs 1.6 and less.
    assert_eq!(shots[0], "0:0 0:1 1:1");
    let mut others = shots[1..].to_vec();
    others.sort_unstable();
    assert_eq!(others, ["0:0", "0:1 4:0:1", "1:1", "2:0:1", "3:0", "5:1"]);
}

#[test]
fn each_image_that_is_shown_is_in_the_page_once_and_reduced() {
    // All but the first image, which has no mistake; those in which the models differ.
    type Writer = fn(&Path) -> PathBuf;
    let writers: [(Writer, &[usize]); 2] = [
        (
            |folder| write_evaluated(folder, &images()),
            &[1, 2, 3, 4, 5, 6, 7],
        ),
        (write_compared, &[0, 3, 6]),
    ];
    for (write, shown) in writers {
        let folder = tempfile::tempdir().unwrap();
        let path = write(folder.path());
        let page = fs::read_to_string(&path).unwrap();
        let pictures = pictures(&page);
        let ids: Vec<String> = shown.iter().map(|image| format!("image-{image}")).collect();
        assert!(pictures.iter().map(|(id, _)| *id).eq(&ids));
        for (_, file) in &pictures {
            let image = decode::decode(file, &Limits::default()).unwrap();
            assert_eq!(image.size(), ImageSize::new(800, 533));
        }
        // What refers to an image refers to one that is there, and each is shown.
        let uses = page.split("<use href=\"#").skip(1);
        let mut uses: Vec<&str> = uses.map(|rest| rest.split('"').next().unwrap()).collect();
        uses.sort_unstable();
        uses.dedup();
        assert_eq!(uses, ids);
        // It is the only file.
        let report = path.parent().unwrap();
        assert_eq!(fs::read_dir(report).unwrap().count(), 1);
    }
}

#[test]
fn a_page_is_never_too_large_to_send() {
    // What can't be compressed, in every image.
    let mut state = 1_u32;
    let noise = (0..3 * 800 * 800).map(|_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    });
    let size = ImageSize::new(800, 800);
    let noise = RgbImage::new(size, noise.collect()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("noise.jpg");
    encode::save(&path, &noise).unwrap();
    let set: Vec<ImageData> = (0..90)
        .map(|_| (vec![object(1, 0)], vec![detection(0, 0.5, 2)]))
        .collect();
    let mut data = data(folder.path(), 1);
    data.images[0].path = path;
    data.images[0].size = size;
    data.images = vec![data.images[0].clone(); set.len()];
    let page = EvaluatedPage::new(&evaluation(["cat", "dog"], &set), model("small"), data);
    let report = ReportFolder::create(&folder.path().join("report")).unwrap();
    let page = fs::read_to_string(report.write_evaluated(&page.unwrap()).unwrap()).unwrap();
    assert!((15_000_000..25_000_000).contains(&page.len()));
    let shown = attributes(&page, "data-mistakes").len();
    assert!((1..90).contains(&shown), "{shown}");
    assert!(page.contains(&format!("The first {shown} of 90 images are shown.")));
}

#[test]
fn nothing_found_and_nothing_to_find_are_pages_too() {
    for set in [
        vec![],
        vec![(vec![], vec![])],
        vec![(vec![object(0, 0)], vec![])],
        vec![(vec![object(0, 0)], vec![detection(0, 0.9, 0)])],
    ] {
        let folder = tempfile::tempdir().unwrap();
        let page = fs::read_to_string(write_evaluated(folder.path(), &set)).unwrap();
        let images = format!(": {} images, ", set.len());
        assert!(page.contains(&images), "{images}");
        assert!(!page.contains("NaN"));
    }
}

#[test]
fn more_images_than_a_page_shows_are_told() {
    let set: Vec<ImageData> = (0..MOST_PICTURES + 7)
        .map(|_| (vec![], vec![detection(0, 0.5, 0)]))
        .collect();
    let folder = tempfile::tempdir().unwrap();
    let mut data = data(folder.path(), 1);
    let image = &mut data.images[0];
    image.size = ImageSize::new(30, 20);
    encode::save(&image.path, &RgbImage::filled(image.size, [9, 9, 9])).unwrap();
    data.images = vec![data.images[0].clone(); set.len()];
    let found = evaluation(["cat", "dog"], &set);
    let page = EvaluatedPage::new(&found, model("small"), data).unwrap();
    let report = ReportFolder::create(folder.path()).unwrap();
    let page = fs::read_to_string(report.write_evaluated(&page).unwrap()).unwrap();
    let told = format!("The first {MOST_PICTURES} of {} images", set.len());
    assert!(page.contains(&told));
    assert_eq!(pictures(&page).len(), MOST_PICTURES);
}

#[test]
fn what_does_not_fit_together_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let found = evaluation(["cat", "dog"], &images());
    let fewer = EvaluatedPage::new(&found, model("small"), data(folder.path(), 2));
    let told = fewer.unwrap_err().to_string();
    assert!(told.contains("8 images, found 2"), "{told}");
    let mut bad = model("small");
    bad.least_score = f32::NAN;
    let told = EvaluatedPage::new(&found, bad, data(folder.path(), 8));
    assert!(told.unwrap_err().to_string().contains("NaN"));

    let data = data(folder.path(), 8);
    fs::remove_file(&data.images[1].path).unwrap();
    let page = EvaluatedPage::new(&found, model("small"), data).unwrap();
    let report = ReportFolder::create(&folder.path().join("report")).unwrap();
    let told = report.write_evaluated(&page).unwrap_err().to_string();
    assert!(told.contains("photo 1.png"), "{told}");
    assert!(!folder.path().join("report/index.html").exists());
}
