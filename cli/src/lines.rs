//! Lines of any input, in bounded memory.

use std::{
    io::{self, BufRead, BufReader, Read},
    path::Path,
};

use crate::failure::{Failure, Outcome};

/// The longest line, in bytes. A value of 1 MiB, every byte of which is escaped, fits.
pub(crate) const LINE_BYTES_MAX: usize = 8 << 20;

/// What is read at a time.
const BUFFER_BYTES: usize = 1 << 20;

/// Input, line by line.
pub(crate) struct Lines {
    input: BufReader<Box<dyn Read + Send>>,
    line: Vec<u8>,
    has_begun: bool,
}

/// What some programs write before UTF-8.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// What the input gives next.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next<'a> {
    /// A line, without its end.
    Line(&'a [u8]),
    /// A line that is longer than may be, of which so many bytes with this hash were passed over.
    TooLong(u64, blake3::Hash),
}

impl Lines {
    /// Those of a file; of standard input when there is none, or `-`.
    pub(crate) fn open(file: Option<&Path>) -> Outcome<Self> {
        let input: Box<dyn Read + Send> = match file.filter(|file| *file != Path::new("-")) {
            None => Box::new(io::stdin()),
            Some(file) => {
                let opened = std::fs::File::open(file);
                Box::new(opened.map_err(|error| Failure::failed(format!("{}: {error}", file.display())))?)
            }
        };
        Ok(Self::of(input))
    }

    fn of(input: Box<dyn Read + Send>) -> Self {
        Self { input: BufReader::with_capacity(BUFFER_BYTES, input), line: Vec::new(), has_begun: false }
    }

    /// The next line. The last one may lack its end.
    pub(crate) fn next(&mut self) -> io::Result<Option<Next<'_>>> {
        self.line.clear();
        let mut passed = 0;
        let mut hasher = None;
        let mut is_there = false;
        loop {
            let buffer = match self.input.fill_buf() {
                Ok(buffer) => buffer,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            if buffer.is_empty() {
                break;
            }
            is_there = true;
            let end = buffer.iter().position(|byte| *byte == b'\n');
            let piece = &buffer[..end.unwrap_or(buffer.len())];
            if self.line.len() + piece.len() > LINE_BYTES_MAX {
                hasher.get_or_insert_with(blake3::Hasher::new).update(&self.line);
                passed += self.line.len() as u64;
                self.line.clear();
            }
            if let Some(hasher) = &mut hasher {
                hasher.update(piece);
                passed += piece.len() as u64;
            } else {
                self.line.extend_from_slice(piece);
            }
            let used = piece.len() + usize::from(end.is_some());
            self.input.consume(used);
            if end.is_some() {
                break;
            }
        }
        let is_first = !std::mem::replace(&mut self.has_begun, true);
        if is_first && self.line.starts_with(BYTE_ORDER_MARK) {
            self.line.drain(..BYTE_ORDER_MARK.len());
        }
        if is_first && (self.line.starts_with(b"\xff\xfe") || self.line.starts_with(b"\xfe\xff")) {
            let says = "it is UTF-16, and UTF-8 is needed: `iconv -f UTF-16 -t UTF-8` makes it that";
            return Err(io::Error::new(io::ErrorKind::InvalidData, says));
        }
        Ok(match (is_there, hasher) {
            (false, _) => None,
            (true, None) => Some(Next::Line(self.line.strip_suffix(b"\r").unwrap_or(&self.line))),
            (true, Some(hasher)) => Some(Next::TooLong(passed, hasher.finalize())),
        })
    }

    /// True when asking for the next line may have to wait for whoever writes it.
    pub(crate) fn may_wait(&self) -> bool {
        !self.input.buffer().contains(&b'\n')
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives its bytes a few at a time.
    struct Dripping(Vec<u8>, usize);

    impl Read for Dripping {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let few = self.1.min(self.0.len()).min(buffer.len());
            buffer[..few].copy_from_slice(&self.0[..few]);
            self.0.drain(..few);
            Ok(few)
        }
    }

    fn read(input: &[u8], few: usize) -> Vec<String> {
        let mut lines = Lines::of(Box::new(Dripping(input.to_vec(), few)));
        let mut read = Vec::new();
        while let Some(next) = lines.next().unwrap() {
            read.push(match next {
                Next::Line(line) => String::from_utf8_lossy(line).into_owned(),
                Next::TooLong(bytes, _) => format!("{bytes} bytes"),
            });
        }
        read
    }

    #[test]
    fn lines_end_where_they_end_however_they_arrive() {
        for few in [1, 2, 3, 100] {
            assert_eq!(read(b"", few), [""; 0]);
            assert_eq!(read(b"a\n\nbc\r\nd", few), ["a", "", "bc", "d"]);
            assert_eq!(read(b"\n", few), [""]);
        }
    }

    #[test]
    fn a_line_that_is_too_long_is_passed_over_in_bounded_memory() {
        let long = vec![b'x'; LINE_BYTES_MAX + 1];
        let input = [b"a\n", &long[..], b"\nb\n", &long[1..], b"\nc"].concat();
        let mut lines = read(&input, 1 << 16);
        assert_eq!(lines.remove(3).len(), LINE_BYTES_MAX);
        assert_eq!(lines, ["a", &format!("{} bytes", LINE_BYTES_MAX + 1), "b", "c"]);
    }

    #[test]
    fn a_line_that_is_too_long_is_known_by_all_of_it() {
        let mut other = vec![b'x'; LINE_BYTES_MAX + 1];
        other[7] = b'y';
        let hash = |line: &[u8], few| {
            let mut lines = Lines::of(Box::new(Dripping(line.to_vec(), few)));
            match lines.next().unwrap() {
                Some(Next::TooLong(_, hash)) => hash,
                next => panic!("{next:?}"),
            }
        };
        assert_eq!(hash(&other, 1 << 14), hash(&other, 1 << 20));
        assert_ne!(hash(&other, 1 << 20), hash(&vec![b'x'; LINE_BYTES_MAX + 1], 1 << 20));
    }

    #[test]
    fn a_byte_order_mark_is_passed_over_and_utf_16_is_named() {
        assert_eq!(read(b"\xef\xbb\xbfa\n\xef\xbb\xbfb", 100), ["a", "\u{feff}b"]);
        for input in [b"\xff\xfea\0\n\0".to_vec(), b"\xfe\xff\0a\0\n".to_vec()] {
            let error = Lines::of(Box::new(Dripping(input, 100))).next().unwrap_err();
            assert!(error.to_string().contains("UTF-16"), "{error}");
        }
    }
}
