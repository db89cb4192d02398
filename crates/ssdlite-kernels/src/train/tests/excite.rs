//! Squeeze-and-excite where finite differences say nothing.

use super::super::map::MapShape;
use super::super::squeeze_excite::{Excite, Excited, excite_backward};
use super::for_each_context;

#[test]
fn a_factor_that_is_no_number_keeps_its_gradient_and_ends_have_none() {
    let map = MapShape::new(1, 2, 3).expect("a possible shape");
    let excite = Excite {
        squeeze: &[1.0; 3],
        squeeze_bias: &[0.0],
        expand: &[1.0; 3],
        expand_bias: &[0.0; 3],
    };
    let excited = Excited {
        pooled: vec![1.0; 3],
        hidden: vec![3.0],
        scale: vec![f32::NAN, 0.0, 1.0],
    };
    for_each_context(|cx| {
        let gradients = excite_backward(cx, map, excite, &excited, &[6.0; 3]);
        let found = gradients.expect("lengths fit").expand_bias;
        assert_eq!(found, [1.0, 0.0, 0.0]);
    });
}
