//! A service manager that started the gateway: the datagram socket of sd_notify(3), and
//! the messages on it.

use std::path::{Path, PathBuf};

use tokio::net::UnixDatagram;
use tokio::time::timeout;

use crate::child::PATIENCE;

/// The end of the service manager.
pub(crate) struct Manager {
    socket: UnixDatagram,
    path: PathBuf,
}

impl Manager {
    /// Opens a manager that listens in `folder`.
    pub(crate) fn listening(folder: &Path) -> Manager {
        let path = folder.join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        Manager { socket, path }
    }

    /// Returns the environment for its child: where it listens, and how often it wants
    /// to hear `WATCHDOG=1`.
    pub(crate) fn environment(&self, watchdog_micros: u64) -> [(&'static str, String); 2] {
        [
            ("NOTIFY_SOCKET", self.path.to_str().unwrap().to_owned()),
            ("WATCHDOG_USEC", watchdog_micros.to_string()),
        ]
    }

    /// Returns the next message.
    pub(crate) async fn next(&self) -> String {
        let mut message = [0; 4096];
        let received = timeout(PATIENCE, self.socket.recv(&mut message)).await;
        let Ok(length) = received else {
            panic!("the service manager heard nothing for {PATIENCE:?}");
        };
        let message = std::str::from_utf8(&message[..length.unwrap()]).unwrap();
        message.trim_end().to_owned()
    }

    /// Returns the next message that `wanted` accepts.
    pub(crate) async fn hears(&self, what: &str, wanted: impl Fn(&str) -> bool) -> String {
        let found = timeout(PATIENCE, async {
            loop {
                let word = self.next().await;
                if wanted(&word) {
                    return word;
                }
            }
        });
        let Ok(word) = found.await else {
            panic!("the service manager heard no {what} within {PATIENCE:?}");
        };
        word
    }
}
