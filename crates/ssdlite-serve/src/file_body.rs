//! A file as an answer, read as it is sent: a client that takes it slowly holds
//! no more memory than a piece of it.

use std::io::{self, ErrorKind};
use std::path::PathBuf;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use axum::body::{Body, Bytes, HttpBody};
use hyper::body::{Frame, SizeHint};
use ssdlite_files::open_plain;
use tokio::fs::File;
use tokio::io::{AsyncRead, ReadBuf};

/// The bytes that are read at once.
const PIECE_BYTES: usize = 64 << 10;

/// The body that holds a plain file as it is now.
///
/// # Errors
/// What the operating system said.
pub(crate) async fn body_of_file(path: PathBuf) -> io::Result<Body> {
    let open = move || {
        let file = open_plain(&path)?;
        let length = file.metadata()?.len();
        io::Result::Ok((file, length))
    };
    let opened = tokio::task::spawn_blocking(open).await;
    let (file, left) = opened.map_err(io::Error::other)??;
    let file = File::from_std(file);
    Ok(Body::new(FileBody { file, left }))
}

struct FileBody {
    file: File,
    /// The bytes that are still to be sent.
    left: u64,
}

impl HttpBody for FileBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        let length = usize::try_from(self.left).map_or(PIECE_BYTES, |left| left.min(PIECE_BYTES));
        let mut bytes = vec![0; length];
        let mut buffer = ReadBuf::new(&mut bytes);
        ready!(pin!(&mut self.file).poll_read(context, &mut buffer))?;
        let read = buffer.filled().len();
        if read == 0 {
            // It has become shorter, and its length is told already.
            return Poll::Ready(Some(Err(ErrorKind::UnexpectedEof.into())));
        }
        bytes.truncate(read);
        self.left -= read as u64;
        Poll::Ready(Some(Ok(Frame::data(bytes.into()))))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}
