//! What the tests of all receivers do: bytes come at once or in chunks, and then silence.

use crate::base::MissReason;
use crate::field::receiver::{FrameFinder, ListeningEnd, OtherTraffic, Receiver};

/// The verdict on what came, what else was on the line, and how the request was missed if there
/// is no verdict.
pub(crate) type Heard<F> = (
    Option<ListeningEnd<<F as FrameFinder>::Reply>>,
    OtherTraffic,
    MissReason,
);

/// Hears everything at once, then silence.
pub(crate) fn hear<F: FrameFinder>(request: impl Into<F::Request>, bytes: &[u8]) -> Heard<F> {
    hear_in_chunks::<F>(request, bytes, bytes.len().max(1))
}

/// Hears the bytes in chunks of this length, then silence.
pub(crate) fn hear_in_chunks<F: FrameFinder>(
    request: impl Into<F::Request>,
    bytes: &[u8],
    length: usize,
) -> Heard<F> {
    let mut receiver = Receiver::<F>::new(request);
    let mut verdict = None;
    for chunk in bytes.chunks(length) {
        verdict = verdict.or_else(|| receiver.push(chunk));
    }
    let verdict = verdict.or_else(|| receiver.silence());
    let miss = receiver.miss();
    (verdict, receiver.traffic(), miss)
}
