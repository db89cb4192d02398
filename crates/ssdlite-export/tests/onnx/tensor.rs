//! Tensors of the test's engine.

/// The type of a tensor's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    F32,
    I64,
    U8,
    Bool,
}

/// Numbers of one kind, row-major; each is held exactly.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Tensor {
    pub(crate) kind: Kind,
    pub(crate) shape: Vec<usize>,
    pub(crate) numbers: Vec<f64>,
}

impl Tensor {
    /// Rounds the numbers to their kind.
    pub(crate) fn new(kind: Kind, shape: &[usize], mut numbers: Vec<f64>) -> Self {
        assert_eq!(shape.iter().product::<usize>(), numbers.len(), "{shape:?}");
        if kind == Kind::F32 {
            for number in &mut numbers {
                *number = f64::from(*number as f32);
            }
        } else {
            assert!(numbers.iter().all(|number| number.fract() == 0.0));
        }
        Self {
            kind,
            shape: shape.to_vec(),
            numbers,
        }
    }

    /// The only number.
    pub(crate) fn scalar(&self) -> f64 {
        let [number] = self.numbers[..] else {
            panic!("expected one number, found {:?}", self.shape);
        };
        number
    }

    /// Whole numbers.
    pub(crate) fn ints(&self) -> Vec<i64> {
        assert_eq!(self.kind, Kind::I64);
        self.numbers.iter().map(|&number| number as i64).collect()
    }

    /// Whole numbers from 0 on.
    pub(crate) fn extents(&self) -> Vec<usize> {
        let ints = self.ints().into_iter();
        ints.map(|number| usize::try_from(number).expect("an extent"))
            .collect()
    }

    pub(crate) fn floats(&self) -> Vec<f32> {
        assert_eq!(self.kind, Kind::F32);
        self.numbers.iter().map(|&number| number as f32).collect()
    }

    /// The numbers before, along and after an axis.
    pub(crate) fn around(&self, axis: usize) -> [usize; 3] {
        let before = self.shape[..axis].iter().product();
        let after = self.shape[axis + 1..].iter().product();
        [before, self.shape[axis], after]
    }

    pub(crate) fn map(&self, kind: Kind, map: impl Fn(f64) -> f64) -> Self {
        let numbers = self.numbers.iter().map(|&number| map(number));
        Self::new(kind, &self.shape, numbers.collect())
    }

    /// Both broadcast to one shape.
    pub(crate) fn zip(&self, other: &Self, kind: Kind, map: impl Fn(f64, f64) -> f64) -> Self {
        assert_eq!(self.kind, other.kind);
        let rank = self.shape.len().max(other.shape.len());
        let extent = |tensor: &Self, axis: usize| {
            let missing = rank - tensor.shape.len();
            axis.checked_sub(missing)
                .map_or(1, |axis| tensor.shape[axis])
        };
        let shape: Vec<usize> = (0..rank)
            .map(|axis| match [extent(self, axis), extent(other, axis)] {
                [1, extent] | [extent, 1] => extent,
                [one, two] => {
                    assert_eq!(one, two, "{:?} and {:?}", self.shape, other.shape);
                    one
                }
            })
            .collect();
        let place = |tensor: &Self, indices: &[usize]| {
            (0..rank).fold(0, |place, axis| match extent(tensor, axis) {
                1 => place,
                extent => place * extent + indices[axis],
            })
        };
        let numbers = indices_of(&shape).into_iter().map(|indices| {
            let at = |tensor: &Self| tensor.numbers[place(tensor, &indices)];
            map(at(self), at(other))
        });
        Self::new(kind, &shape, numbers.collect())
    }
}

/// All indices of a shape, the last the fastest.
pub(crate) fn indices_of(shape: &[usize]) -> Vec<Vec<usize>> {
    let count = shape.iter().product();
    let mut all = Vec::with_capacity(count);
    let mut indices = vec![0; shape.len()];
    for _ in 0..count {
        all.push(indices.clone());
        for axis in (0..shape.len()).rev() {
            indices[axis] += 1;
            if indices[axis] < shape[axis] {
                break;
            }
            indices[axis] = 0;
        }
    }
    all
}
