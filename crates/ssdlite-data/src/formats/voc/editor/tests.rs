use ssdlite_image::RgbImage;
use ssdlite_image::decode::header;
use ssdlite_image::encode::png_from_image;

use super::*;

const SIZE: ImageSize = ImageSize::new(97, 61);

fn image() -> Header {
    header(&png_from_image(&RgbImage::filled(SIZE, [9, 9, 9])).unwrap()).unwrap()
}

fn editor(text: &str) -> VocEditor {
    VocEditor::new(text.as_bytes(), &image()).unwrap()
}

fn object(name: &str, [xmin, ymin, xmax, ymax]: [u32; 4]) -> String {
    format!(
        "<object id='7'>\n\t\t<name> {name} </name><score>0.5</score>\n\t\t<bndbox>\
         <xmin>{xmin}.0</xmin><ymin>{ymin}</ymin><xmax>{xmax}</xmax><ymax>{ymax}</ymax>\
         </bndbox>\n\t</object>"
    )
}

fn annotation(objects: &[String]) -> String {
    let objects: String = objects
        .iter()
        .map(|object| format!("\n\t{object}"))
        .collect();
    format!(
        "<?xml version=\"1.0\"?>\n<annotation verified=\"yes\">\n\t<size><width>97</width>\
         <height>61</height></size><!-- mine -->{objects}\n\t<note>a &amp; b</note>\n</annotation>\n"
    )
}

fn changed(index: usize, name: Option<&str>, bbox: Option<[f32; 4]>) -> Corrections {
    let name = name.map(str::to_owned);
    let bbox = bbox.map(|[x1, y1, x2, y2]| PixelBox::new(x1, y1, x2, y2));
    Corrections {
        changed: vec![ChangedObject { index, name, bbox }],
        ..Corrections::default()
    }
}

fn added(name: &str, [x1, y1, x2, y2]: [f32; 4]) -> Corrections {
    let bbox = PixelBox::new(x1, y1, x2, y2);
    let name = name.to_owned();
    Corrections {
        added: vec![AddedObject { name, bbox }],
        ..Corrections::default()
    }
}

fn named_boxes(text: &str) -> Vec<(String, [f32; 4])> {
    let objects = editor(text).objects().to_vec();
    let of = |object: FiledObject| (object.name.unwrap(), object.bbox.unwrap().to_array());
    objects.into_iter().map(of).collect()
}

#[test]
fn nothing_corrected_leaves_the_text_as_it_is() {
    let text = annotation(&[object("a", [1, 2, 30, 40])]);
    assert_eq!(
        editor(&text).corrected(&Corrections::default()).unwrap(),
        text
    );
}

#[test]
fn a_change_replaces_what_is_changed_and_nothing_else() {
    let (first, second) = (object("a", [1, 2, 30, 40]), object("b", [5, 6, 7, 8]));
    let text = annotation(&[first.clone(), second.clone()]);
    let objects = editor(&text).objects().to_vec();
    assert_eq!(objects[0].name.as_deref(), Some("a"));
    assert_eq!(objects[1].bbox, Ok(PixelBox::new(4.0, 5.0, 7.0, 8.0)));
    let renamed = editor(&text)
        .corrected(&changed(1, Some(" <é> "), None))
        .unwrap();
    assert_eq!(
        renamed,
        text.replace("<name> b </name>", "<name>&lt;é&gt;</name>")
    );
    let moved = changed(0, None, Some([9.6, 10.4, 300.0, 20.0]));
    let moved = editor(&text).corrected(&moved).unwrap();
    let expected = first
        .replace("<xmin>1.0<", "<xmin>11<")
        .replace("<ymin>2<", "<ymin>11<")
        .replace("<xmax>30<", "<xmax>97<")
        .replace("<ymax>40<", "<ymax>20<");
    assert_eq!(moved, annotation(&[expected, second]));
}

#[test]
fn what_is_added_is_read_back_and_what_is_deleted_is_gone() {
    let objects = [object("a", [1, 2, 30, 40]), object("b", [5, 6, 7, 8])];
    let text = annotation(&objects);
    let mut corrections = added("x & y", [0.0, 3.0, 31.0, 17.0]);
    corrections.deleted = vec![1];
    let text = editor(&text).corrected(&corrections).unwrap();
    assert_eq!(
        named_boxes(&text),
        [
            ("a".to_owned(), [0.0, 1.0, 30.0, 40.0]),
            ("x & y".to_owned(), [0.0, 3.0, 31.0, 17.0]),
        ]
    );
    assert!(
        text.contains("</object>\n\t<object>\n\t\t<name>x &amp; y</name>"),
        "{text}"
    );
    assert!(
        text.ends_with("</object>\n\t<note>a &amp; b</note>\n</annotation>\n"),
        "{text}"
    );
    assert!(text.contains("<truncated>1</truncated>"));
    let corrections = Corrections {
        deleted: vec![1, 0],
        ..Corrections::default()
    };
    assert_eq!(
        editor(&text).corrected(&corrections).unwrap(),
        annotation(&[])
    );
}

#[test]
fn an_annotation_without_objects_gets_some() {
    for text in [
        "<annotation/>",
        "<annotation a='/>' />",
        "<annotation></annotation>",
        "<annotation>\n</annotation>\n",
    ] {
        let corrections = added("a", [1.0, 2.0, 3.0, 4.0]);
        let text = editor(text).corrected(&corrections).unwrap();
        let expected = [("a".to_owned(), [1.0, 2.0, 3.0, 4.0])];
        assert_eq!(named_boxes(&text), expected, "{text}");
    }
}

#[test]
fn other_encodings_become_utf8() {
    let text = "<?xml version='1.0' encoding='ISO-8859-1'?><annotation>\
                <object><name>K\u{e4}fer</name><bndbox><xmin>1</xmin><ymin>1</ymin>\
                <xmax>9</xmax><ymax>9</ymax></bndbox></object></annotation>";
    let latin: Vec<u8> = text.chars().map(|c| c as u8).collect();
    let editor = VocEditor::new(&latin, &image()).unwrap();
    let corrected = editor.corrected(&changed(0, Some("Wolf"), None)).unwrap();
    let expected = text.replace("ISO-8859-1", "UTF-8");
    assert_eq!(corrected, expected.replace("K\u{e4}fer", "Wolf"));
}

#[test]
fn what_has_no_plain_box_can_be_deleted_alone() {
    let bndbox = "<bndbox><xmin>1</xmin><ymin>1</ymin><xmax>9</xmax><ymax>9</ymax></bndbox>";
    for object in [
        "<object><name>a</name><polygon/></object>".to_owned(),
        "<object><name>a</name><bndbox><xmin>x</xmin></bndbox></object>".into(),
        format!("<object>{bndbox}</object>"),
        format!("<object><name>a</name>{bndbox}{bndbox}</object>"),
        format!("<object><name>a</name>{bndbox}<polygon/></object>"),
        format!("<object><name>a</name>{bndbox}<angle>0.5</angle></object>"),
        "<object/>".into(),
    ] {
        let text = annotation(std::slice::from_ref(&object));
        let editor = editor(&text);
        assert!(editor.objects()[0].bbox.is_err(), "{object}");
        let change = changed(0, Some("b"), None);
        let error = editor.corrected(&change).unwrap_err();
        assert!(error.to_string().contains("can't be changed"), "{error}");
        let deletion = Corrections {
            deleted: vec![0],
            ..Corrections::default()
        };
        assert_eq!(editor.corrected(&deletion).unwrap(), annotation(&[]));
    }
}

#[test]
fn what_can_not_be_done_is_refused() {
    let text = annotation(&[object("a", [1, 2, 30, 40])]);
    let twice = Corrections {
        deleted: vec![0],
        ..changed(0, Some("b"), None)
    };
    let nan = f32::NAN;
    for (corrections, expected) in [
        (changed(1, Some("b"), None), "index below 1"),
        (twice, "corrected twice"),
        (changed(0, Some(" "), None), "the name is empty"),
        (changed(0, Some("a\nb"), None), "control character"),
        (
            changed(0, None, Some([nan, 1.0, 2.0, 3.0])),
            "a pixel at least",
        ),
        (
            changed(0, None, Some([9.0, 1.0, 2.0, 3.0])),
            "a pixel at least",
        ),
        (added("a", [-50.0, 1.0, 0.2, 3.0]), "a pixel at least"),
        (added("background", [0.0, 1.0, 2.0, 3.0]), "background"),
    ] {
        let error = editor(&text).corrected(&corrections).unwrap_err();
        assert!(matches!(error, Error::InvalidRequest(_)), "{error:?}");
        assert!(error.to_string().contains(expected), "{error}");
    }
}

#[test]
fn what_is_no_annotation_of_the_image_is_refused() {
    let other = annotation(&[object("a", [1, 2, 30, 40])]).replace(">97<", ">1000<");
    for text in [
        other.as_str(),
        "<html/>",
        "",
        "<annotation><object>",
        "\0\0",
    ] {
        let error = VocEditor::new(text.as_bytes(), &image()).unwrap_err();
        assert!(matches!(error, Error::Malformed(_)), "{text}: {error:?}");
    }
}
