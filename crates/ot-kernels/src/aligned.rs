//! A buffer that starts at a cache line: a register of 64 bytes that straddles two lines takes two loads.

use std::collections::TryReserveError;
use std::ops::{Deref, DerefMut};

/// Bytes of a cache line.
pub const LINE: usize = 64;

/// A slice that starts at a multiple of 64 bytes.
#[derive(Debug, Clone, Default)]
pub struct Aligned<T> {
    room: Vec<T>,
    start: usize,
    len: usize,
}

impl<T: Clone + Default> Aligned<T> {
    /// Makes it `len` zeros. Room is reused.
    ///
    /// # Errors
    /// If there is no memory for them.
    pub fn reset(&mut self, len: usize) -> Result<(), TryReserveError> {
        let more = LINE / size_of::<T>();
        self.room.clear();
        // An overflow is too much room as well.
        self.room.try_reserve_exact(len.saturating_add(more))?;
        self.stretch(len);
        Ok(())
    }

    /// Makes it `len` long; what stands in it is what stood in this room before, or zero.
    pub fn stretch(&mut self, len: usize) {
        let more = LINE / size_of::<T>();
        self.room.resize(len + more, T::default());
        let offset = self.room.as_ptr().align_offset(LINE);
        (self.start, self.len) = (offset.min(more), len);
    }
}

impl<T> Deref for Aligned<T> {
    type Target = [T];
    fn deref(&self) -> &[T] {
        &self.room[self.start..self.start + self.len]
    }
}

impl<T> DerefMut for Aligned<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.room[self.start..self.start + self.len]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_starts_at_a_line_and_is_zero_again() {
        let mut x = Aligned::<f32>::default();
        assert!(x.is_empty());
        for len in [0, 1, 15, 16, 1000, 7] {
            x.reset(len).unwrap();
            assert_eq!(x.len(), len);
            assert!(x.iter().all(|&x| x == 0.0));
            assert_eq!(x.as_ptr() as usize % LINE, 0);
            x.fill(1.0);
        }
        assert!(x.reset(usize::MAX).is_err());
    }
}
