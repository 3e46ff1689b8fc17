//! The body of an answer, whole or spoiled by a fault on its way.

use std::{
    collections::VecDeque,
    fmt,
    future::Future as _,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use hyper::{
    Response,
    body::{Body, Frame, SizeHint},
    header::{CONTENT_LENGTH, HeaderValue},
};
use tokio::time::Sleep;

use crate::faults::Fault;

/// A body in pieces.
#[derive(Debug)]
pub(crate) struct Answer {
    pieces: VecDeque<Bytes>,
    pause: Duration,
    waiting: Option<Pin<Box<Sleep>>>,
    /// Where the connection is cut once the pieces are sent.
    cut: Option<Arc<AtomicBool>>,
    /// Whether the pieces are as long as the head says.
    is_whole: bool,
}

/// The connection is to be cut.
#[derive(Debug)]
pub(crate) struct Cut;

impl fmt::Display for Cut {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("the connection is cut")
    }
}

impl std::error::Error for Cut {}

impl Body for Answer {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        if self.pieces.is_empty() {
            let Some(cut) = self.cut.take() else { return Poll::Ready(None) };
            // What was sent must have left before the reset overtakes it.
            let waiting = self.waiting.get_or_insert_with(|| Box::pin(tokio::time::sleep(Duration::from_millis(20))));
            if waiting.as_mut().poll(cx).is_pending() {
                self.cut = Some(cut);
                return Poll::Pending;
            }
            cut.store(true, Ordering::SeqCst);
            return Poll::Ready(Some(Err(Cut)));
        }
        if !self.pause.is_zero() {
            let pause = self.pause;
            ready!(self.waiting.get_or_insert_with(|| Box::pin(tokio::time::sleep(pause))).as_mut().poll(cx));
            self.waiting = None;
        }
        Poll::Ready(self.pieces.pop_front().map(|piece| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.pieces.is_empty() && self.cut.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        let bytes = self.pieces.iter().map(|piece| piece.len() as u64).sum();
        if self.is_whole { SizeHint::with_exact(bytes) } else { SizeHint::default() }
    }
}

/// The answer as it arrives.
pub(crate) fn spoiled(answer: Response<Bytes>, fault: Option<Fault>, cut: &Arc<AtomicBool>) -> Response<Answer> {
    let (mut head, mut bytes) = answer.into_parts();
    let (length, mut pause, mut pieces) = (bytes.len(), Duration::ZERO, 1);
    let mut announced = None;
    match fault {
        Some(Fault::WrongLength(more)) => {
            announced = Some(length.saturating_add_signed(isize::try_from(more).unwrap_or(0)));
        }
        Some(Fault::ResetInAnswer) => {
            announced = Some(length.max(1));
            bytes.truncate(length / 2);
        }
        Some(Fault::SlowAnswer { pieces: many, pause: between }) => (pieces, pause) = (many.max(1), between),
        Some(Fault::FlipAnswer) => bytes = flipped(&bytes),
        Some(Fault::WrongChecksum) => {
            let wrong = |(name, value): (&hyper::header::HeaderName, &mut HeaderValue)| {
                if name.as_str().starts_with("x-amz-checksum-") && name != "x-amz-checksum-type" {
                    let mut signs = value.as_bytes().to_vec();
                    // SUBTLE: only the first sign has no bits that must be zero. With a wrong one of those it would be
                    // no base64,
                    // and the SDK passes over a checksum that it cannot read.
                    if let Some(first) = signs.first_mut() {
                        *first = if *first == b'A' { b'B' } else { b'A' };
                    }
                    *value = HeaderValue::from_bytes(&signs).expect("base64 stays base64");
                }
            };
            head.headers.iter_mut().for_each(wrong);
        }
        _ => {}
    }
    if let Some(announced) = announced {
        head.headers.insert(CONTENT_LENGTH, HeaderValue::from(announced));
    }
    let cut = (fault == Some(Fault::ResetInAnswer)).then(|| Arc::clone(cut));
    let size = bytes.len().div_ceil(pieces).max(1);
    let pieces = (0..bytes.len()).step_by(size).map(|from| bytes.slice(from..bytes.len().min(from + size))).collect();
    let body = Answer { pieces, pause, waiting: None, cut, is_whole: announced.is_none() };
    Response::from_parts(head, body)
}

/// The same bytes but for one bit in the middle.
pub(crate) fn flipped(bytes: &Bytes) -> Bytes {
    let mut bytes = bytes.to_vec();
    let middle = bytes.len() / 2;
    if let Some(byte) = bytes.get_mut(middle) {
        *byte ^= 0x10;
    }
    bytes.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Symptom: one wrong checksum in sixteen was taken for right. Cause: its last sign had bits that must be zero, so
    /// it was
    /// no base64, and the SDK passes over a checksum that it cannot read. Cure: only the first sign changes.
    #[test]
    fn a_wrong_checksum_differs_in_its_first_sign_alone() {
        for (right, wrong) in [("M3eFcAZSQlc=", "A3eFcAZSQlc="), ("AAAAAAAAAAA=", "BAAAAAAAAAA=")] {
            let answer = Response::builder().header("x-amz-checksum-crc64nvme", right).body(Bytes::new());
            let cut = Arc::default();
            let spoiled = spoiled(answer.expect("it is well-formed"), Some(Fault::WrongChecksum), &cut);
            assert_eq!(spoiled.headers()["x-amz-checksum-crc64nvme"], wrong);
        }
    }
}
