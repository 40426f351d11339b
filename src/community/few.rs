//! A list that nearly always has one element: 16 bytes, and memory of its own only from the second on.

use std::mem;
use std::ops::Deref;
use std::slice;

/// Elements in the order in which they came.
#[derive(Clone, Debug, Default)]
pub(super) enum Few<T> {
    #[default]
    None,
    One(T),
    /// Two or more. The box keeps the enum small.
    #[expect(clippy::box_collection, reason = "a Vec has 24 bytes, and hardly any list needs one")]
    Many(Box<Vec<T>>),
}

const _: () = assert!(size_of::<Few<u32>>() == 16, "every member of every community has two");

impl<T> Deref for Few<T> {
    type Target = [T];
    fn deref(&self) -> &[T] {
        match self {
            Self::None => &[],
            Self::One(one) => slice::from_ref(one),
            Self::Many(many) => many,
        }
    }
}

impl<T> Few<T> {
    pub fn push(&mut self, element: T) {
        *self = match mem::take(self) {
            Self::None => Self::One(element),
            Self::One(one) => Self::Many(Box::new(vec![one, element])),
            Self::Many(mut many) => {
                many.push(element);
                Self::Many(many)
            }
        };
    }

    pub fn retain(&mut self, mut is_kept: impl FnMut(&T) -> bool) {
        *self = match mem::take(self) {
            Self::Many(mut many) => {
                many.retain(|element| is_kept(element));
                match many.len() {
                    0 | 1 => many.pop().map_or(Self::None, Self::One),
                    _ => Self::Many(many),
                }
            }
            Self::One(one) if !is_kept(&one) => Self::None,
            kept => kept,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_a_list() {
        let mut rng = fastrand::Rng::with_seed(5);
        let (mut few, mut plain) = (Few::default(), Vec::new());
        for number in 0..2000 {
            if rng.u8(..3) == 0 {
                let keeps = rng.u32(1..5);
                few.retain(|element| element % keeps == 0);
                plain.retain(|element| element % keeps == 0);
            } else {
                few.push(number);
                plain.push(number);
            }
            assert_eq!(*few, *plain);
            assert_eq!(matches!(few, Few::Many(_)), plain.len() > 1);
        }
    }
}
