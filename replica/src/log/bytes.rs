//! Varints and slices: the primitives under every body.
//! Layer 3.

use super::error::{DecodeError, Place};

/// Appends `value` in LEB128: seven bits a byte, the lowest first, the top bit set on all but the last.
#[inline]
pub(crate) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Appends the length of `bytes`, then `bytes`.
pub(crate) fn put_slice(out: &mut Vec<u8>, bytes: &[u8]) {
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Small numbers of either sign as small numbers: 0, -1, 1, -2, …
pub(crate) const fn zigzag(value: i64) -> u64 {
    (value << 1 ^ value >> 63).cast_unsigned()
}

pub(crate) const fn unzigzag(value: u64) -> i64 {
    (value >> 1).cast_signed() ^ -((value & 1).cast_signed())
}

/// Reads a stretch of bytes from front to back. Every length is checked against what is left before it is believed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
    /// Where `rest` ends, counted from the start of `place`: so an error can say where it is.
    end: usize,
    place: Place,
}

impl<'a> Reader<'a> {
    pub(crate) const fn new(bytes: &'a [u8], place: Place) -> Self {
        Self { rest: bytes, end: bytes.len(), place }
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    #[cold]
    pub(crate) const fn corrupt(&self, reason: &'static str) -> DecodeError {
        self.place.corrupt(self.end - self.rest.len(), reason)
    }

    #[inline]
    pub(crate) fn byte(&mut self) -> Result<u8, DecodeError> {
        let Some((first, rest)) = self.rest.split_first() else { return Err(self.corrupt("ends too early")) };
        self.rest = rest;
        Ok(*first)
    }

    /// A varint in its shortest form: any other would give one thing two encodings.
    #[inline]
    pub(crate) fn varint(&mut self) -> Result<u64, DecodeError> {
        match self.rest {
            [first, rest @ ..] if *first < 0x80 => {
                self.rest = rest;
                Ok(u64::from(*first))
            }
            _ => self.long_varint(),
        }
    }

    fn long_varint(&mut self) -> Result<u64, DecodeError> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && byte > 1 {
                return Err(self.corrupt("a varint is larger than 64 bits"));
            }
            value |= bits << shift;
            if byte < 0x80 {
                let shortest = byte != 0 || shift == 0;
                return if shortest { Ok(value) } else { Err(self.corrupt("a varint is not in its shortest form")) };
            }
        }
        Err(self.corrupt("a varint is larger than 64 bits"))
    }

    #[inline]
    pub(crate) fn take(&mut self, length: u64) -> Result<&'a [u8], DecodeError> {
        let split = usize::try_from(length).ok().and_then(|length| self.rest.split_at_checked(length));
        let Some((taken, rest)) = split else { return Err(self.corrupt("a length is larger than what is left")) };
        self.rest = rest;
        Ok(taken)
    }

    /// The next `length` bytes as a reader of their own.
    pub(crate) fn stretch(&mut self, length: u64) -> Result<Self, DecodeError> {
        let taken = self.take(length)?;
        Ok(Self { rest: taken, end: self.end - self.rest.len(), place: self.place })
    }

    /// Bytes behind their length, of which there are at most `limit`.
    pub(crate) fn slice(&mut self, limit: usize) -> Result<&'a [u8], DecodeError> {
        let length = self.varint()?;
        if length > limit as u64 {
            return Err(self.corrupt("a length is larger than the limit"));
        }
        self.take(length)
    }

    pub(crate) const fn finish(&self) -> Result<(), DecodeError> {
        if self.rest.is_empty() { Ok(()) } else { Err(self.corrupt("has bytes left over")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> Result<u64, DecodeError> {
        let mut reader = Reader::new(bytes, Place::Body);
        let value = reader.varint()?;
        reader.finish().map(|()| value)
    }

    #[test]
    fn a_varint_has_one_form() {
        for shift in 0..64 {
            for value in [1_u64 << shift, (1 << shift) - 1, u64::MAX >> shift] {
                let mut out = Vec::new();
                put_varint(&mut out, value);
                assert_eq!(read(&out), Ok(value));
                out.pop();
                assert!(read(&out).is_err());
            }
        }
        let ten = [0xff; 9];
        for bytes in
            [&[0x80, 0x00][..], &[0x81, 0x80, 0x00], &[&ten[..], &[0x02]].concat(), &[&ten[..], &[0x81, 0]].concat()]
        {
            assert!(read(bytes).is_err(), "{bytes:?}");
        }
    }

    #[test]
    fn a_zigzag_keeps_every_number() {
        for value in [0, 1, -1, i64::MAX, i64::MIN, 77, -78] {
            assert_eq!(unzigzag(zigzag(value)), value);
        }
        assert_eq!([0, -1, 1, -2].map(zigzag), [0, 1, 2, 3]);
    }

    #[test]
    fn a_length_is_checked_against_what_is_left() {
        let mut reader = Reader::new(&[3, 1, 2], Place::Body);
        let expected = Place::Body.corrupt(1, "a length is larger than what is left");
        assert_eq!(reader.slice(usize::MAX), Err(expected));
        let mut reader = Reader::new(&[0xff, 0xff, 0xff, 0xff, 0x0f], Place::Body);
        assert!(reader.slice(1 << 20).is_err());
    }
}
