//! An output stream on its way to the disk (agent.md B5).
//!
//! The file holds the complete stream up to a cap; beyond the cap it holds the beginning and the last mebibyte,
//! and a line between them that says how much is missing.
//! The file appears with the first byte, so that silent steps cost nothing.
//! A disk that takes no more never stops a step: the stream is still drained and the reply still has its excerpt.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::excerpt::{Excerpt, Keep};
use super::secrets::{Secrets, Veil};

/// What is kept of the end of a stream that exceeds the cap; held in memory until the stream ends.
const TAIL: u64 = 1024 * 1024;

/// One of a step's two output streams.
#[derive(Debug)]
pub(crate) struct Capture {
    /// None: nothing is written down.
    path: Option<PathBuf>,
    file: Option<File>,
    head_cap: u64,
    written: u64,
    tail: VecDeque<u8>,
    dropped: u64,
    excerpt: Excerpt,
    failure: Option<io::Error>,
    secrets: Secrets,
    veil: Veil,
}

impl Capture {
    /// A stream whose file is at most about `cap` bytes long and whose excerpt has at most `limit` characters.
    pub(crate) fn new(path: PathBuf, cap: u64, limit: usize, keep: Keep) -> Self {
        Self {
            path: Some(path),
            file: None,
            head_cap: cap.saturating_sub(TAIL).max(1),
            written: 0,
            tail: VecDeque::new(),
            dropped: 0,
            excerpt: Excerpt::new(limit, keep),
            failure: None,
            secrets: Secrets::default(),
            veil: Veil::default(),
        }
    }

    /// Hides these secrets, and those that are added to them later.
    pub(crate) fn hiding(self, secrets: &Secrets) -> Self {
        Self {
            secrets: secrets.clone(),
            ..self
        }
    }

    /// A stream that is not written down; only its excerpt is kept.
    pub(crate) fn aside(limit: usize, keep: Keep) -> Self {
        Self {
            path: None,
            ..Self::new(PathBuf::new(), u64::MAX, limit, keep)
        }
    }

    /// Takes the next piece.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        if self.secrets.are_none() {
            return self.take(bytes);
        }
        let shown = self.veil.draw(bytes, &self.secrets);
        self.take(&shown);
    }

    /// Takes what may be shown.
    fn take(&mut self, bytes: &[u8]) {
        self.excerpt.push(bytes);
        let room = usize::try_from(self.head_cap - self.written).unwrap_or(usize::MAX);
        let (head, rest) = bytes.split_at(room.min(bytes.len()));
        self.write(head);
        self.written += head.len() as u64;
        self.tail.extend(rest);
        let surplus = self.tail.len().saturating_sub(TAIL as usize);
        self.tail.drain(..surplus);
        self.dropped += surplus as u64;
    }

    /// Adds a line of the agent's own.
    pub(crate) fn push_line(&mut self, line: &str) {
        self.unveil();
        if !self.excerpt.ends_a_line() {
            self.push(b"\n");
        }
        self.push(line.as_bytes());
        self.push(b"\n");
    }

    /// Writes what was held back. Nothing may be pushed afterwards.
    pub(crate) fn finish(&mut self) {
        self.unveil();
        if self.dropped > 0 {
            let gap = format!("\n--- {} bytes dropped ---\n", self.dropped);
            self.write(gap.as_bytes());
        }
        let tail = std::mem::take(&mut self.tail);
        let (front, back) = tail.as_slices();
        self.write(front);
        self.write(back);
        self.file = None;
    }

    /// What was held back as a possible beginning of a secret is none: something else follows.
    fn unveil(&mut self) {
        let rest = self.veil.rest(&self.secrets);
        self.take(&rest);
    }

    /// What a reply carries.
    pub(crate) fn excerpt(&self) -> &Excerpt {
        &self.excerpt
    }

    /// The same, when the file is finished.
    pub(crate) fn into_excerpt(self) -> Excerpt {
        self.excerpt
    }

    /// Bytes of the middle that the file lacks.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Why the file is incomplete, if it is.
    pub(crate) fn failure(&self) -> Option<&io::Error> {
        self.failure.as_ref()
    }

    fn write(&mut self, bytes: &[u8]) {
        if bytes.is_empty() || self.failure.is_some() {
            return;
        }
        if let Err(error) = self.try_write(bytes) {
            self.failure = Some(error);
        }
    }

    fn try_write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let Some(path) = &self.path else { return Ok(()) };
        let file = match &mut self.file {
            Some(file) => file,
            None => self
                .file
                .insert(File::options().create(true).append(true).mode(0o600).open(path)?),
        };
        file.write_all(bytes)
    }
}

/// Opens an output for reading. The directory may belong to the user of a script: what is no plain file (a link to
/// another user's file, a pipe that would hold us up) is not opened.
pub(crate) fn open_output(path: &Path) -> io::Result<File> {
    let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
    let flags = i32::try_from(flags.bits()).unwrap_or_default();
    let file = File::options().read(true).custom_flags(flags).open(path)?;
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(io::Error::other("no plain file")),
    }
}

#[cfg(test)]
mod tests {
    use zeroize::Zeroizing;

    use super::*;

    fn capture(cap: u64) -> (tempfile::TempDir, Capture) {
        let dir = tempfile::tempdir().unwrap();
        let capture = Capture::new(dir.path().join("stdout"), cap, 100, Keep::default());
        (dir, capture)
    }

    #[test]
    fn a_silent_stream_makes_no_file() {
        let (dir, mut capture) = capture(1 << 30);
        capture.finish();
        assert!(!dir.path().join("stdout").exists());
    }

    #[test]
    fn a_stream_under_the_cap_is_complete() {
        let (dir, mut capture) = capture(4 * TAIL);
        let stream: Vec<u8> = (0..3_500_000u32).map(|n| n as u8).collect();
        for piece in stream.chunks(65_536) {
            capture.push(piece);
        }
        capture.finish();
        assert_eq!(std::fs::read(dir.path().join("stdout")).unwrap(), stream);
        assert_eq!(capture.dropped(), 0);
    }

    #[test]
    fn beyond_the_cap_the_middle_is_dropped_and_counted() {
        let (dir, mut capture) = capture(2 * TAIL);
        capture.push(&vec![b'a'; 3 * TAIL as usize]);
        capture.push(b"the end");
        capture.finish();
        let file = std::fs::read(dir.path().join("stdout")).unwrap();
        assert!(file.len() as u64 <= 2 * TAIL + 64, "{}", file.len());
        assert!(file.ends_with(b"the end"));
        assert_eq!(capture.dropped(), TAIL + 7);
        assert_eq!(capture.excerpt().total(), 3 * TAIL + 7);
    }

    #[test]
    fn a_file_that_cannot_be_written_leaves_the_excerpt() {
        let mut capture = Capture::new("/proc/none/stdout".into(), 1 << 20, 100, Keep::default());
        capture.push(b"hello");
        capture.finish();
        assert!(capture.failure().is_some());
        assert_eq!(capture.excerpt().text(), "hello");
    }

    #[test]
    fn a_secret_is_neither_in_the_file_nor_in_the_excerpt() {
        let (dir, capture) = capture(1 << 20);
        let secrets = Secrets::default();
        let mut capture = capture.hiding(&secrets);
        secrets.add("ssm-secure:a", &Zeroizing::new("hunter2".to_owned()));
        capture.push(b"it is hun");
        capture.push(b"ter2, and hun");
        capture.push_line("failed");
        capture.push(b"hunter");
        capture.finish();
        let shown = "it is ********, and hun\nfailed\nhunter";
        assert_eq!(std::fs::read_to_string(dir.path().join("stdout")).unwrap(), shown);
        assert_eq!(capture.excerpt().text(), shown);
    }

    #[test]
    fn own_lines_start_on_a_line_of_their_own() {
        let (_dir, mut capture) = capture(1 << 20);
        capture.push(b"no end");
        capture.push_line("mine");
        assert_eq!(capture.excerpt().text(), "no end\nmine\n");
    }
}
