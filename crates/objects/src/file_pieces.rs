//! A file on its way into the store, piece by piece, compressed where it is wanted.

use std::io::{self, Write as _};
use std::path::Path;

use bytes::{Bytes, BytesMut};
use flate2::Compression;
use flate2::write::GzEncoder;
use tokio::fs::File;
use tokio::io::AsyncReadExt as _;

use crate::Encoding;

/// Most bytes of the file that are read at once.
const READ: usize = 1024 * 1024;

pub(crate) struct FilePieces {
    file: File,
    /// Compresses into memory, which is emptied for each piece; `None` when nothing more comes, or for a plain file.
    gzip: Option<GzEncoder<Vec<u8>>>,
}

impl FilePieces {
    pub(crate) async fn open(path: &Path, encoding: Encoding) -> io::Result<Self> {
        let gzip = match encoding {
            Encoding::Plain => None,
            Encoding::Gzip => Some(GzEncoder::new(Vec::new(), Compression::default())),
        };
        let file = File::open(path).await?;
        Ok(Self { file, gzip })
    }

    /// The next piece, which may be empty; `None` at the end.
    pub(crate) async fn next(&mut self) -> io::Result<Option<Bytes>> {
        let mut piece = BytesMut::with_capacity(READ);
        let is_end = self.file.read_buf(&mut piece).await? == 0;
        if is_end {
            return match self.gzip.take() {
                Some(gzip) => Ok(Some(gzip.finish()?.into())),
                None => Ok(None),
            };
        }
        match &mut self.gzip {
            None => Ok(Some(piece.freeze())),
            Some(gzip) => {
                gzip.write_all(&piece)?;
                Ok(Some(std::mem::take(gzip.get_mut()).into()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[tokio::test]
    async fn what_is_compressed_piece_by_piece_is_the_file() {
        let content: Vec<u8> = (0..3 * READ + 5)
            .map(|at| u8::try_from(at / 7 % 251).unwrap())
            .collect();
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), &content).unwrap();
        for encoding in [Encoding::Plain, Encoding::Gzip] {
            let mut pieces = FilePieces::open(file.path(), encoding).await.unwrap();
            let mut all = Vec::new();
            while let Some(piece) = pieces.next().await.unwrap() {
                all.extend_from_slice(&piece);
            }
            if encoding == Encoding::Gzip {
                assert!(all.len() < content.len() / 2, "{}", all.len());
                let compressed = std::mem::take(&mut all);
                flate2::read::GzDecoder::new(compressed.as_slice())
                    .read_to_end(&mut all)
                    .unwrap();
            }
            assert!(all == content, "{encoding:?}");
        }
    }
}
