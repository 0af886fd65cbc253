//! Framing of a run's log: length, checksum, payload, and a torn tail that is recognised as such.
//!
//! ```text
//! u32 length of the payload, little-endian
//! u32 CRC-32 of the payload, little-endian
//! payload
//! ```
//!
//! A write that was interrupted, by a crash or by a full disk, leaves an incomplete or wrong last frame.
//! Reading stops before it; the next writer cuts it off.

/// A frame that claims to be longer than this is damage.
/// The largest real payload is a work item, which travels in one message of at most 1 MiB.
const LONGEST: usize = 16 * 1024 * 1024;
const HEADER: usize = 8;

/// Appends `payload` to `bytes` as a frame.
pub(crate) fn append(bytes: &mut Vec<u8>, payload: &[u8]) {
    let length = u32::try_from(payload.len()).expect("a payload is far smaller than 4 GiB");
    bytes.extend_from_slice(&length.to_le_bytes());
    bytes.extend_from_slice(&crc32fast::hash(payload).to_le_bytes());
    bytes.extend_from_slice(payload);
}

/// The payloads of the intact frames at the beginning of `bytes`.
pub(crate) fn read(bytes: &[u8]) -> Frames<'_> {
    Frames { bytes, end: 0 }
}

/// Walks over frames; `end` tells how far they were intact.
#[derive(Debug)]
pub(crate) struct Frames<'a> {
    bytes: &'a [u8],
    end: usize,
}

impl Frames<'_> {
    /// Where the last frame that was read ends.
    pub(crate) fn end(&self) -> usize {
        self.end
    }
}

impl<'a> Iterator for Frames<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let rest = &self.bytes[self.end..];
        let length = u32::from_le_bytes(*rest.first_chunk()?) as usize;
        let checksum = u32::from_le_bytes(*rest.get(4..)?.first_chunk()?);
        // No entry is empty, but a file that was extended and never written is full of zeros, and the checksum of
        // nothing is zero too.
        if length == 0 || length > LONGEST {
            return None;
        }
        let payload = rest.get(HEADER..HEADER + length)?;
        if crc32fast::hash(payload) != checksum {
            return None;
        }
        self.end += HEADER + length;
        Some(payload)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn framed(payloads: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for payload in payloads {
            append(&mut bytes, payload);
        }
        bytes
    }

    fn payloads() -> impl Strategy<Value = Vec<Vec<u8>>> {
        proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..40), 0..8)
    }

    proptest! {
        #[test]
        fn what_was_framed_is_read_back(payloads in payloads()) {
            let bytes = framed(&payloads);
            let mut frames = read(&bytes);
            let back: Vec<Vec<u8>> = frames.by_ref().map(<[u8]>::to_vec).collect();
            prop_assert_eq!(back, payloads);
            prop_assert_eq!(frames.end(), bytes.len());
        }

        #[test]
        fn a_log_cut_anywhere_keeps_its_complete_frames(payloads in payloads(), cut in any::<prop::sample::Index>()) {
            let bytes = framed(&payloads);
            let cut = cut.index(bytes.len() + 1);
            let mut frames = read(&bytes[..cut]);
            let back: Vec<Vec<u8>> = frames.by_ref().map(<[u8]>::to_vec).collect();
            prop_assert_eq!(&back[..], &payloads[..back.len()]);
            prop_assert!(frames.end() <= cut);
            prop_assert_eq!(frames.end(), framed(&payloads[..back.len()]).len());
        }

        #[test]
        fn a_flipped_bit_ends_the_log_before_it(
            payloads in payloads().prop_filter("needs a frame", |all| !all.is_empty()),
            at in any::<prop::sample::Index>(),
            bit in 0..8u32,
        ) {
            let mut bytes = framed(&payloads);
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
            let mut frames = read(&bytes);
            let read_back = frames.by_ref().count();
            prop_assert!(frames.end() <= at);
            prop_assert!(read_back < payloads.len());
        }
    }

    #[test]
    fn zeros_after_a_crash_are_an_end() {
        let mut bytes = framed(&[b"one".to_vec()]);
        let end = bytes.len();
        bytes.extend_from_slice(&[0; 64]);
        let mut frames = read(&bytes);
        assert_eq!(frames.by_ref().count(), 1);
        assert_eq!(frames.end(), end);
    }
}
