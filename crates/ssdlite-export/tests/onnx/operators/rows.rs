//! Operators on tensors of any rank.

use crate::engine::Call;
use crate::tensor::{Kind, Tensor, indices_of};

pub(crate) fn flatten(call: &Call<'_>) -> Tensor {
    let input = call.input(0);
    let axis = call.axis(1);
    let before = input.shape[..axis].iter().product();
    let after = input.shape[axis..].iter().product();
    Tensor::new(input.kind, &[before, after], input.numbers.clone())
}

/// `x w^T + b`.
pub(crate) fn gemm(call: &Call<'_>) -> Tensor {
    assert_eq!(call.int("transB", 0), 1);
    let (input, weight, bias) = (call.input(0), call.input(1), call.input(2));
    let ([images, length], [outputs, expected]) = (&input.shape[..], &weight.shape[..]) else {
        panic!("expected matrices");
    };
    assert_eq!((length, &bias.shape[..]), (expected, &[*outputs][..]));
    let mut made = Vec::new();
    for row in input.numbers.chunks_exact(*length) {
        let weights = weight.numbers.chunks_exact(*length);
        for (weights, bias) in weights.zip(&bias.numbers) {
            let products = row.iter().zip(weights).map(|(x, w)| x * w);
            made.push(products.sum::<f64>() + bias);
        }
    }
    Tensor::new(Kind::F32, &[*images, *outputs], made)
}

/// Along the last axis.
pub(crate) fn softmax(call: &Call<'_>) -> Tensor {
    let input = call.input(0);
    let axis = call.axis(0);
    assert_eq!(axis + 1, input.shape.len());
    let mut made = Vec::with_capacity(input.numbers.len());
    for row in input.numbers.chunks_exact(input.shape[axis]) {
        let most = row.iter().copied().fold(f64::MIN, f64::max);
        let sum: f64 = row.iter().map(|x| (x - most).exp()).sum();
        made.extend(row.iter().map(|x| (x - most).exp() / sum));
    }
    Tensor::new(Kind::F32, &input.shape, made)
}

/// Along the last axis, which is kept.
pub(crate) fn reduce(call: &Call<'_>, of: fn(f64, f64) -> f64) -> Tensor {
    let input = call.input(0);
    assert_eq!(call.int("keepdims", 1), 1);
    let last = input.shape.len() - 1;
    assert_eq!(call.ints("axes"), [last]);
    let rows = input.numbers.chunks_exact(input.shape[last]);
    let made = rows.map(|row| row.iter().copied().reduce(of).expect("a row"));
    let shape = [&input.shape[..last], &[1]].concat();
    Tensor::new(input.kind, &shape, made.collect())
}

pub(crate) fn transpose(call: &Call<'_>) -> Tensor {
    let input = call.input(0);
    let order = call.ints("perm");
    assert_eq!(order.len(), input.shape.len());
    let shape: Vec<usize> = order.iter().map(|&axis| input.shape[axis]).collect();
    let numbers = indices_of(&shape).into_iter().map(|indices| {
        let mut from = vec![0; indices.len()];
        for (&axis, index) in order.iter().zip(indices) {
            from[axis] = index;
        }
        let place = from.iter().zip(&input.shape);
        input.numbers[place.fold(0, |place, (index, extent)| place * extent + index)]
    });
    let numbers = numbers.collect();
    Tensor::new(input.kind, &shape, numbers)
}

/// 0 stands for the input's extent.
pub(crate) fn reshape(call: &Call<'_>) -> Tensor {
    let input = call.input(0);
    let asked = call.input(1).extents();
    let shape = asked.iter().enumerate();
    let shape: Vec<usize> = shape
        .map(|(axis, &extent)| {
            if extent == 0 {
                input.shape[axis]
            } else {
                extent
            }
        })
        .collect();
    Tensor::new(input.kind, &shape, input.numbers.clone())
}

pub(crate) fn unsqueeze(call: &Call<'_>) -> Tensor {
    let input = call.input(0);
    let [axis] = call.input(1).extents()[..] else {
        panic!("expected one axis");
    };
    let mut shape = input.shape.clone();
    shape.insert(axis, 1);
    Tensor::new(input.kind, &shape, input.numbers.clone())
}

pub(crate) fn concat(call: &Call<'_>) -> Tensor {
    let inputs = call.inputs();
    let axis = call.axis(0);
    let mut shape = inputs[0].shape.clone();
    shape[axis] = inputs.iter().map(|input| input.shape[axis]).sum();
    for input in &inputs {
        let mut expected = shape.clone();
        expected[axis] = input.shape[axis];
        assert_eq!((&input.shape, input.kind), (&expected, inputs[0].kind));
    }
    let [before, ..] = inputs[0].around(axis);
    let mut made = Vec::new();
    for index in 0..before {
        for input in &inputs {
            let [_, along, after] = input.around(axis);
            let part = along * after;
            made.extend(&input.numbers[index * part..(index + 1) * part]);
        }
    }
    Tensor::new(inputs[0].kind, &shape, made)
}

/// Parts of an axis, from the first of each on.
fn part(input: &Tensor, axis: usize, first: usize, length: usize) -> Tensor {
    let [before, along, after] = input.around(axis);
    let mut made = Vec::new();
    for index in 0..before {
        let start = (index * along + first) * after;
        made.extend(&input.numbers[start..start + length * after]);
    }
    let mut shape = input.shape.clone();
    shape[axis] = length;
    Tensor::new(input.kind, &shape, made)
}

pub(crate) fn split(call: &Call<'_>) -> Vec<Tensor> {
    let (input, lengths) = (call.input(0), call.input(1).extents());
    let axis = call.axis(0);
    assert_eq!(lengths.iter().sum::<usize>(), input.shape[axis]);
    assert_eq!(lengths.len(), call.outputs_asked());
    let mut first = 0;
    let parts = lengths.into_iter().map(|length| {
        first += length;
        part(input, axis, first - length, length)
    });
    parts.collect()
}

pub(crate) fn slice(call: &Call<'_>) -> Tensor {
    let [starts, ends, axes] = [1, 2, 3].map(|input| call.input(input).extents());
    let places = starts.into_iter().zip(ends).zip(axes);
    places.fold(call.input(0).clone(), |tensor, ((start, end), axis)| {
        assert!(start < end && end <= tensor.shape[axis]);
        part(&tensor, axis, start, end - start)
    })
}

/// The greatest along the last axis, equal ones in their order.
pub(crate) fn top(call: &Call<'_>) -> Vec<Tensor> {
    let input = call.input(0);
    let [count] = call.input(1).extents()[..] else {
        panic!("expected one number");
    };
    let last = input.shape.len() - 1;
    let length = input.shape[last];
    assert!(count <= length, "{count} of {length}");
    let (mut values, mut places) = (Vec::new(), Vec::new());
    for row in input.numbers.chunks_exact(length) {
        let mut order: Vec<usize> = (0..length).collect();
        order.sort_by(|&a, &b| row[b].total_cmp(&row[a]));
        order.truncate(count);
        values.extend(order.iter().map(|&place| row[place]));
        places.extend(order.iter().map(|&place| place as f64));
    }
    let shape = [&input.shape[..last], &[count]].concat();
    vec![
        Tensor::new(input.kind, &shape, values),
        Tensor::new(Kind::I64, &shape, places),
    ]
}

/// Where a row of indices points to in a shape: the number of the slice.
fn slice_number(shape: &[usize], indices: &[usize]) -> usize {
    let pairs = indices.iter().zip(shape);
    pairs.fold(0, |number, (&index, &extent)| {
        assert!(index < extent, "{index} of {extent}");
        number * extent + index
    })
}

pub(crate) fn gather(call: &Call<'_>) -> Tensor {
    let (data, indices) = (call.input(0), call.input(1));
    let batch_dims = call.int("batch_dims", 0) as usize;
    assert_eq!(data.shape[..batch_dims], indices.shape[..batch_dims]);
    let (&depth, rows) = indices.shape.split_last().expect("indices");
    let batches: usize = data.shape[..batch_dims].iter().product();
    let inner = &data.shape[batch_dims..];
    let slice: usize = inner[depth..].iter().product();
    let in_batch: usize = inner.iter().product();
    let all = indices.extents();
    let rows_of_batch = rows[batch_dims..].iter().product::<usize>();
    let mut made = Vec::new();
    for batch in 0..batches {
        for row in 0..rows_of_batch {
            let row = &all[(batch * rows_of_batch + row) * depth..][..depth];
            let start = batch * in_batch + slice_number(inner, row) * slice;
            made.extend(&data.numbers[start..start + slice]);
        }
    }
    let shape = [rows, &inner[depth..]].concat();
    Tensor::new(data.kind, &shape, made)
}

pub(crate) fn scatter(call: &Call<'_>) -> Tensor {
    let (mut data, indices, updates) = (call.input(0).clone(), call.input(1), call.input(2));
    let (&depth, rows) = indices.shape.split_last().expect("indices");
    let shape = data.shape.clone();
    assert_eq!(updates.shape, [rows, &shape[depth..]].concat());
    let slice: usize = shape[depth..].iter().product();
    let all = indices.extents();
    let updates = updates.numbers.chunks_exact(slice);
    for (row, update) in all.chunks_exact(depth).zip(updates) {
        let start = slice_number(&shape, row) * slice;
        data.numbers[start..start + slice].copy_from_slice(update);
    }
    data
}
