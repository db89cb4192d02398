//! Mistakes of the caller end in a panic, never in a wrong result.

use super::*;

const SHAPE: MapShape = MapShape {
    channels: BLOCK,
    height: 2,
    width: 3,
    padding: 1,
};

#[test]
fn maps_that_no_slice_can_hold_are_refused() {
    // Each product wraps around to the length of the slice.
    let half = usize::MAX / 2 + 1;
    for shape in [
        MapShape {
            height: half,
            width: 2,
            padding: 0,
            ..SHAPE
        },
        MapShape {
            padding: half,
            width: 0,
            ..SHAPE
        },
        MapShape {
            padding: half - 1,
            width: 2,
            ..SHAPE
        },
    ] {
        let read = || MapRef::new(shape, &[]).shape();
        let write = || MapMut::new(shape, &mut []).shape();
        assert!(std::panic::catch_unwind(read).is_err(), "{shape:?}");
        assert!(std::panic::catch_unwind(write).is_err(), "{shape:?}");
    }
}

fn layer() -> Pointwise {
    Pointwise::new(&[0.5; BLOCK * BLOCK], &[1.0; BLOCK], Activation::None)
}

#[test]
#[should_panic(expected = "no residual with an output in rows")]
fn a_residual_of_rows_is_refused() {
    let pool = Pool::single();
    let cells = vec![Block::ZERO; SHAPE.len()];
    let map = MapRef::new(SHAPE, &cells);
    let mut rows = vec![0.0; SHAPE.pixels() * BLOCK];
    pointwise(
        Context::detect(&pool),
        &layer(),
        Input::Map(map),
        Some(map),
        Output::Rows(&mut rows),
        &mut [],
    );
}

#[test]
#[should_panic(expected = "no residual with an output in rows")]
fn a_chains_residual_of_rows_is_refused() {
    let pool = Pool::single();
    let context = Context::detect(&pool);
    let cells = vec![Block::ZERO; SHAPE.len()];
    let depthwise = Depthwise::new(&[1.0; 9 * BLOCK], &[0.0; BLOCK], 3, 1, Activation::None);
    let project = layer();
    let kind = SourceKind::Map;
    let needed = separable_scratch(context, kind, &depthwise, Some(&project), SHAPE);
    let mut rows = vec![0.0; SHAPE.pixels() * BLOCK];
    let layers = Separable {
        source: Source::Map(MapRef::new(SHAPE, &cells)),
        depthwise: &depthwise,
        epilogue: Epilogue::Project {
            layer: &project,
            residual: Residual::Input,
            output: Output::Rows(&mut rows),
        },
    };
    separable(context, layers, &mut vec![Block::ZERO; needed]);
}

#[test]
#[should_panic(expected = "half the size of the output")]
fn upsampling_to_another_size_is_refused() {
    let pool = Pool::single();
    let cells = vec![Block::ZERO; SHAPE.len()];
    let larger = MapShape { width: 7, ..SHAPE };
    let mut out = vec![Block::ZERO; larger.len()];
    let output = MapMut::new(larger, &mut out);
    upsample_nearest(Context::detect(&pool), MapRef::new(SHAPE, &cells), output);
}
