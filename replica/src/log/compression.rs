//! Bodies, compressed and back: with zstd, where that pays, and within bounds.
//! Layer 3.

use core::cell::RefCell;
use std::io;

use bytes::Bytes;
use zstd::bulk::{Compressor, Decompressor};

/// A body may expand to this much, and to [`EXPANSION_MAX`] times what is stored beside it.
const EXPANSION_FREE: usize = 64 << 10;

/// SUBTLE: without it 500 bytes could make a reader allocate 16 MiB. A body that would shrink further is stored as it is.
const EXPANSION_MAX: usize = 64;

const LEVEL: i32 = 1;

/// For a body of up to this much it takes longer to make a context than to use it. So each thread keeps one, of less than 1 MiB.
const SMALL: usize = 64 << 10;

thread_local! {
    static COMPRESSOR: RefCell<io::Result<Compressor<'static>>> = RefCell::new(Compressor::new(LEVEL));
    static DECOMPRESSOR: RefCell<io::Result<Decompressor<'static>>> = RefCell::new(Decompressor::new());
}

/// The compressed body if that pays: at least an eighth smaller, or it is not worth a reader's time.
pub(super) fn compress(body: &[u8]) -> Option<Vec<u8>> {
    if body.len() < 64 {
        return None;
    }
    let compressed = if body.len() <= SMALL {
        COMPRESSOR.with_borrow_mut(|kept| kept.as_mut().ok()?.compress(body).ok())?
    } else {
        zstd::bulk::compress(body, LEVEL).ok()?
    };
    let pays = compressed.len() <= body.len() - body.len() / 8;
    (pays && body.len() <= expansion_max(compressed.len())).then_some(compressed)
}

/// Exactly `size` bytes from exactly one frame.
///
/// The output buffer serves as the window, so the frame's own window is never allocated, and nothing is written beyond
/// `size`.
pub(super) fn decompress(stored: &[u8], size: usize) -> Result<Bytes, &'static str> {
    if size > expansion_max(stored.len()) {
        return Err("the body would expand beyond the limit");
    }
    if zstd::zstd_safe::find_frame_compressed_size(stored) != Ok(stored.len()) {
        return Err("the body is not exactly one zstd frame");
    }
    let mut body = Vec::with_capacity(size);
    let written = DECOMPRESSOR.with_borrow_mut(|kept| kept.as_mut().ok()?.decompress_to_buffer(stored, &mut body).ok());
    if written == Some(size) && body.len() == size {
        return Ok(body.into());
    }
    Err("the body does not decompress to its size")
}

const fn expansion_max(stored: usize) -> usize {
    EXPANSION_FREE + stored.saturating_mul(EXPANSION_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kept_context_writes_what_a_new_one_would() {
        let mut random = 1_u64;
        let mut noise = || {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (random >> 60) as u8
        };
        for length in (64..2_000).step_by(61).chain([SMALL - 1, SMALL, SMALL + 1]) {
            let body: Vec<u8> = (0..length).map(|_| noise()).collect();
            let compressed = compress(&body).expect("four bits of eight");
            assert_eq!(compressed, zstd::bulk::compress(&body, LEVEL).expect("it compresses"));
            assert_eq!(decompress(&compressed, length).expect("it is whole"), body);
            // What fails leaves nothing behind.
            assert!(decompress(&compressed[..compressed.len() / 2], length).is_err());
            assert!(decompress(&compressed, length - 1).is_err());
        }
    }

    #[test]
    fn a_body_that_would_expand_beyond_the_limit_is_refused_before_it_does() {
        let bomb = zstd::bulk::compress(&vec![0; 16 << 20], 1).unwrap();
        assert_eq!(decompress(&bomb, 16 << 20), Err("the body would expand beyond the limit"));
        let small = zstd::bulk::compress(&[0; 1_000], 1).unwrap();
        assert!(decompress(&small, 1_000).is_ok());
        assert!(decompress(&small, 999).is_err());
        assert!(decompress(&small, 1_001).is_err());
        assert_eq!(decompress(&[small.clone(), small].concat(), 1_000), Err("the body is not exactly one zstd frame"));
    }
}
