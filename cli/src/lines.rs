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
}

/// What the input gives next.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next<'a> {
    /// A line, without its end.
    Line(&'a [u8]),
    /// A line that is longer than may be, of which so many bytes were passed over.
    TooLong(u64),
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
        Self { input: BufReader::with_capacity(BUFFER_BYTES, input), line: Vec::new() }
    }

    /// The next line. The last one may lack its end.
    pub(crate) fn next(&mut self) -> io::Result<Option<Next<'_>>> {
        self.line.clear();
        let mut passed = 0;
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
                passed += self.line.len() as u64;
                self.line.clear();
            }
            if passed > 0 || piece.len() > LINE_BYTES_MAX {
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
        Ok(match (is_there, passed) {
            (false, _) => None,
            (true, 0) => Some(Next::Line(self.line.strip_suffix(b"\r").unwrap_or(&self.line))),
            (true, passed) => Some(Next::TooLong(passed)),
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
                Next::TooLong(bytes) => format!("{bytes} bytes"),
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
}
