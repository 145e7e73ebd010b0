//! The file storage of the platform: the least of HTTP/1.1 that a client needs, over
//! TLS or not, and the ways in which a storage fails.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_util::task::AbortOnDropHandle;
use tracing::debug;

/// The time for a whole request.
const TIME_LIMIT: Duration = Duration::from_secs(10);

/// What is answered for a path.
#[derive(Clone, Debug)]
pub enum StorageAnswer {
    /// The file.
    File(Vec<u8>),
    /// The file, after this span.
    Slow(Vec<u8>, Duration),
    /// This status and nothing else: 403 for a URL that no longer holds.
    Status(u16),
    /// A redirect to this URL.
    Redirect(String),
    /// Bytes without end.
    Endless,
    /// The file; the connection is closed before the announced length is reached.
    Torn(Vec<u8>),
}

type StoredFiles = Arc<Mutex<BTreeMap<String, (StorageAnswer, u32)>>>;

/// A file storage on a socket. Dropping it closes the socket.
#[derive(Debug)]
pub struct Storage {
    addr: SocketAddr,
    tls: bool,
    files: StoredFiles,
    _door: AbortOnDropHandle<()>,
}

impl Storage {
    /// Listens on `addr` (port 0 takes a free port).
    ///
    /// # Errors
    /// If binding the address fails.
    pub async fn start(
        addr: SocketAddr,
        tls: Option<Arc<rustls::ServerConfig>>,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind(addr).await?;
        let addr = listener.local_addr()?;
        let files = StoredFiles::default();
        let acceptor = tls.map(TlsAcceptor::from);
        let storage = Storage {
            addr,
            tls: acceptor.is_some(),
            files: files.clone(),
            _door: AbortOnDropHandle::new(tokio::spawn(accept(listener, acceptor, files))),
        };
        Ok(storage)
    }

    /// Stores a file under this name and returns its URL.
    pub fn put(&self, name: &str, served: StorageAnswer) -> String {
        let path = format!("/{name}?Expires=1&Signature=signature-of-{name}");
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        files.insert(path.clone(), (served, 0));
        let (scheme, host) = match self.tls {
            true => ("https", "localhost"),
            false => ("http", "127.0.0.1"),
        };
        format!("{scheme}://{host}:{}{path}", self.addr.port())
    }

    /// Returns how often the file of this name was requested.
    #[must_use]
    pub fn asked(&self, name: &str) -> u32 {
        let files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        let prefix = format!("/{name}?");
        let found = files.iter().find(|(path, _)| path.starts_with(&prefix));
        found.map_or(0, |(_, (_, times))| *times)
    }
}

async fn accept(listener: TcpListener, tls: Option<TlsAcceptor>, files: StoredFiles) {
    loop {
        let Ok((socket, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let (tls, files) = (tls.clone(), files.clone());
        tokio::spawn(async move {
            let served = match tls {
                None => serve(socket, &files).await,
                Some(tls) => match timeout(TIME_LIMIT, tls.accept(socket)).await {
                    Ok(Ok(stream)) => serve(stream, &files).await,
                    Ok(Err(error)) => Err(error),
                    Err(late) => Err(late.into()),
                },
            };
            if let Err(error) = served {
                debug!(%error, "a download ended");
            }
        });
    }
}

/// Serves one request with one answer and closes the connection.
async fn serve<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    files: &StoredFiles,
) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    let path = timeout(TIME_LIMIT, request(&mut stream)).await??;
    let served = {
        let mut files = files.lock().unwrap_or_else(PoisonError::into_inner);
        files.get_mut(&path).map(|(served, times)| {
            *times += 1;
            served.clone()
        })
    };
    let of =
        |n: usize| format!("HTTP/1.1 200 OK\r\nContent-Length: {n}\r\nConnection: close\r\n\r\n");
    let (head, body) = match served.unwrap_or(StorageAnswer::Status(404)) {
        StorageAnswer::File(file) => (of(file.len()), file),
        StorageAnswer::Slow(file, span) => {
            tokio::time::sleep(span).await;
            (of(file.len()), file)
        }
        StorageAnswer::Torn(file) => (of(file.len() + 1), file),
        StorageAnswer::Endless => {
            let head = "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n";
            stream.write_all(head.as_bytes()).await?;
            loop {
                stream.write_all(&[b'#'; 4096]).await?;
                stream.flush().await?;
            }
        }
        StorageAnswer::Status(status) => (
            format!("HTTP/1.1 {status} Refused\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"),
            Vec::new(),
        ),
        StorageAnswer::Redirect(to) => (
            format!(
                "HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            ),
            Vec::new(),
        ),
    };
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(&body).await?;
    stream.shutdown().await
}

/// Returns the path of a GET; its headers are read and forgotten.
async fn request<S: AsyncRead + Unpin>(stream: &mut BufReader<S>) -> io::Result<String> {
    let mut first = String::new();
    stream.read_line(&mut first).await?;
    let mut header = String::new();
    while stream.read_line(&mut header).await? > 2 {
        header.clear();
    }
    match first.split(' ').collect::<Vec<_>>()[..] {
        ["GET", path, _] => Ok(path.to_owned()),
        _ => Err(io::ErrorKind::InvalidData.into()),
    }
}
