//! Finds the end of a message body (RFC 9112, section 6) without changing or copying a byte of it.

use std::borrow::Cow;

/// The part of a body that is still to come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// A number of bytes (`Content-Length`); 0 is the end.
    Length(u64),
    /// Chunks, and the trailers after them.
    Chunked(Chunks),
    /// All bytes until the connection is closed.
    UntilClose,
}

/// A chunk size cannot be read, so the end of the body cannot be found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

impl Framing {
    /// The framing of a message without a body.
    pub(crate) const NONE: Self = Self::Length(0);

    /// Returns the framing of a chunked body, from its beginning.
    pub(crate) fn chunked() -> Self {
        Self::Chunked(Chunks { state: State::Size { digits: 0 }, left: 0 })
    }

    /// Whether the body is complete.
    pub(crate) fn is_done(&self) -> bool {
        matches!(self, Self::Length(0) | Self::Chunked(Chunks { state: State::Done, .. }))
    }

    /// Returns how many of these bytes, the next ones of the stream, belong to the body.
    pub(crate) fn take(&mut self, bytes: &[u8]) -> Result<usize, Malformed> {
        match self {
            Self::UntilClose => Ok(bytes.len()),
            Self::Length(left) => {
                let count = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                *left -= count as u64;
                Ok(count)
            }
            Self::Chunked(chunks) => chunks.take(bytes, |_| {}),
        }
    }

    /// Returns how many of these bytes belong to the body, and how many of those are payload and not chunk framing.
    pub(crate) fn take_payload(&mut self, bytes: &[u8]) -> Result<(usize, usize), Malformed> {
        let Self::Chunked(chunks) = self else { return self.take(bytes).map(|count| (count, count)) };
        let mut payload = 0;
        let count = chunks.take(bytes, |data| payload += data.len())?;
        Ok((count, payload))
    }

    /// Returns how many of the next bytes belong to the body regardless of their values; 0 if their values decide.
    pub(crate) fn unseen(&self) -> u64 {
        match self {
            Self::Length(left) | Self::Chunked(Chunks { state: State::Data, left }) => *left,
            Self::Chunked(_) | Self::UntilClose => 0,
        }
    }

    /// Skips `count` of those bytes.
    pub(crate) fn skip(&mut self, count: u64) {
        match self {
            Self::Length(left) => *left = left.saturating_sub(count),
            Self::Chunked(chunks) => chunks.skip(count),
            Self::UntilClose => {}
        }
    }

    /// Returns the body without its framing, and the bytes after the last of its data. `bytes` is the complete body.
    pub(crate) fn decode(mut self, bytes: &[u8]) -> Result<(Cow<'_, [u8]>, &[u8]), Malformed> {
        let Self::Chunked(chunks) = &mut self else { return Ok((bytes.into(), &[])) };
        let mut body = Vec::with_capacity(bytes.len());
        let mut end = 0;
        chunks.take(bytes, |data| {
            body.extend_from_slice(data);
            end = data.as_ptr().addr() + data.len() - bytes.as_ptr().addr();
        })?;
        Ok((body.into(), &bytes[end..]))
    }
}

/// The position in a chunked body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Chunks {
    state: State,
    /// Bytes of the current chunk that are still to come, or the part of its size that was read.
    left: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// In the hexadecimal size, after this many digits.
    Size { digits: u8 },
    /// After the size, up to the end of its line.
    Extension,
    /// In the data of the chunk.
    Data,
    /// After the data, at the end of its line.
    DataEnd,
    /// At the beginning of a trailer line.
    TrailerLine,
    /// In a trailer line.
    Trailer,
    /// After the last byte of the body.
    Done,
}

/// The number of hexadecimal digits in 64 bits.
const MAX_DIGITS: u8 = 16;

impl Chunks {
    /// Moves over `bytes`, passes the data among them to `data`, and returns how many of them belong to the body.
    fn take(&mut self, bytes: &[u8], mut data: impl FnMut(&[u8])) -> Result<usize, Malformed> {
        let mut at = 0;
        while at < bytes.len() && self.state != State::Done {
            if self.state == State::Data {
                let count = usize::try_from(self.left).unwrap_or(usize::MAX).min(bytes.len() - at);
                data(&bytes[at..at + count]);
                self.skip(count as u64);
                at += count;
            } else {
                self.state = self.step(bytes[at])?;
                at += 1;
            }
        }
        Ok(at)
    }

    /// Moves past `count` bytes of the chunk's data.
    fn skip(&mut self, count: u64) {
        self.left = self.left.saturating_sub(count);
        if self.left == 0 {
            self.state = State::DataEnd;
        }
    }

    fn step(&mut self, byte: u8) -> Result<State, Malformed> {
        match (self.state, byte) {
            (State::Size { digits }, _) if byte.is_ascii_hexdigit() && digits < MAX_DIGITS => {
                let digit = char::from(byte).to_digit(16).unwrap_or(0);
                self.left = self.left << 4 | u64::from(digit);
                Ok(State::Size { digits: digits + 1 })
            }
            (State::Size { digits: 1.. } | State::Extension, b'\n') => Ok(self.after_size()),
            (State::Size { digits: 1.. }, b'\r' | b';' | b' ' | b'\t') | (State::Extension, _) => Ok(State::Extension),
            (State::DataEnd, b'\r') => Ok(State::DataEnd),
            (State::DataEnd, b'\n') => Ok(State::Size { digits: 0 }),
            (State::TrailerLine, b'\n') => Ok(State::Done),
            (State::TrailerLine, b'\r') => Ok(State::TrailerLine),
            (State::Trailer, b'\n') => Ok(State::TrailerLine),
            (State::TrailerLine | State::Trailer, _) => Ok(State::Trailer),
            _ => Err(Malformed),
        }
    }

    fn after_size(&mut self) -> State {
        if self.left == 0 { State::TrailerLine } else { State::Data }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHUNKED: &[u8] = b"4;name=value\r\nWiki\r\nA\r\npedia in\r\n\r\n0\r\nError-Type: x\r\n\r\nNEXT";
    const BODY: &[u8] = b"Wikipedia in\r\n";

    /// Takes the bytes in pieces of `size`.
    fn walk(mut framing: Framing, bytes: &[u8], size: usize) -> (usize, bool) {
        let mut taken = 0;
        for piece in bytes.chunks(size) {
            let count = framing.take(piece).unwrap_or_else(|_| unreachable!("the body is well-formed"));
            taken += count;
            if count < piece.len() || framing.is_done() {
                break;
            }
        }
        (taken, framing.is_done())
    }

    #[test]
    fn chunks_end_after_their_trailers_in_pieces_of_any_size() {
        for size in 1..=CHUNKED.len() {
            assert_eq!(walk(Framing::chunked(), CHUNKED, size), (CHUNKED.len() - 4, true), "in pieces of {size}");
        }
        let tail = &b"\r\n0\r\nError-Type: x\r\n\r\nNEXT"[..];
        assert_eq!(Framing::chunked().decode(CHUNKED), Ok((BODY.into(), tail)));
    }

    #[test]
    fn a_chunk_size_can_have_several_digits() {
        let body = [b'x'; 0x1f3];
        let bytes = [b"1F3\r\n", &body[..], b"\r\n0\r\n\r\n"].concat();
        assert_eq!(Framing::chunked().decode(&bytes).map(|(body, _)| body), Ok(body[..].into()));
    }

    #[test]
    fn skipped_data_counts_like_data_that_was_taken() {
        for skipped in 0..=8 {
            let mut framing = Framing::chunked();
            assert_eq!((framing.unseen(), framing.take(b"8\r\n")), (0, Ok(3)));
            assert_eq!(framing.unseen(), 8);
            framing.skip(skipped);
            assert_eq!(framing.unseen(), 8 - skipped);
            let rest = [&b"12345678"[skipped as usize..], b"\r\n0\r\n\r\n"].concat();
            assert_eq!((framing.take(&rest), framing.is_done()), (Ok(rest.len()), true), "{skipped}");
        }
        let mut framing = Framing::Length(9);
        framing.skip(4);
        assert_eq!((framing.unseen(), framing), (5, Framing::Length(5)));
        assert_eq!(Framing::UntilClose.unseen(), 0);
    }

    #[test]
    fn chunk_framing_does_not_count_as_payload() {
        let all = CHUNKED.len() - 4;
        assert_eq!(Framing::chunked().take_payload(CHUNKED), Ok((all, BODY.len())));
        assert_eq!(Framing::Length(3).take_payload(b"abcdef"), Ok((3, 3)));
        assert_eq!(Framing::UntilClose.take_payload(b"abc"), Ok((3, 3)));
    }

    #[test]
    fn a_body_is_done_at_its_end() {
        assert!(Framing::NONE.is_done());
        assert_eq!(walk(Framing::Length(3), b"abcdef", 2), (3, true));
        assert_eq!(walk(Framing::UntilClose, b"abcdef", 4), (6, false));
        assert_eq!(walk(Framing::chunked(), b"0\r\n\r\n", 1), (5, true));
    }

    #[test]
    fn an_invalid_chunk_size_is_malformed() {
        for bytes in [&b"x\r\n"[..], b"\r\n", b"11111111111111111\r\n", b"1\r\nab", b"-1\r\n"] {
            assert_eq!(Framing::chunked().take(bytes), Err(Malformed), "{}", bytes.escape_ascii());
        }
    }
}
