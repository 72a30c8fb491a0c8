//! Shapes that come from a file.

/// The number of elements of a tensor of this shape; nothing when it, or a stride of the tensor, is beyond what can be counted. A side
/// of 0 hides neither: strides are products of some of the sides.
pub(super) fn elements(shape: &[usize]) -> Option<usize> {
    let without_zeros = shape.iter().try_fold(1usize, |count, side| count.checked_mul((*side).max(1)))?;
    Some(if shape.contains(&0) { 0 } else { without_zeros })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zeros_hide_no_overflow() {
        assert_eq!(elements(&[2, 3]), Some(6));
        assert_eq!(elements(&[]), Some(1));
        assert_eq!(elements(&[0, 5]), Some(0));
        assert_eq!(elements(&[usize::MAX, 2]), None);
        assert_eq!(elements(&[0, usize::MAX, 2]), None);
        assert_eq!(elements(&[usize::MAX, 2, 0]), None);
    }
}
