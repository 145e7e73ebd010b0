//! Notices that the user wants a tool to end, and waits meanwhile.

use std::io;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};

/// The signals that end programs, from now on caught.
#[derive(Debug)]
pub struct Interrupt {
    signals: Receiver<i32>,
    came: bool,
}

impl Interrupt {
    /// Catches the signals that end programs. The second one ends the process at once: what it
    /// does may take long.
    ///
    /// # Errors
    /// The system's error.
    pub fn catch() -> io::Result<Self> {
        let (tell, told) = mpsc::channel();
        let mut seen = false;
        forward(tell, move |number| {
            if std::mem::replace(&mut seen, true) {
                std::process::exit(128 + number);
            }
        })?;
        Ok(Interrupt {
            signals: told,
            came: false,
        })
    }

    /// Returns whether a signal has come.
    pub fn came(&mut self) -> bool {
        self.wait(Duration::ZERO)
    }

    /// Waits so long, or until a signal comes; returns whether one has come.
    pub fn wait(&mut self, span: Duration) -> bool {
        if !self.came {
            match self.signals.recv_timeout(span) {
                Ok(_) => self.came = true,
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {}
            }
        }
        self.came
    }
}

/// Sends the signals that end programs from now on, on a thread of its own; `each` hears of each
/// first.
pub(super) fn forward(tell: Sender<i32>, each: impl FnMut(i32) + Send + 'static) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()?;
    let kinds = [
        SignalKind::hangup(),
        SignalKind::interrupt(),
        SignalKind::quit(),
        SignalKind::terminate(),
    ];
    let each = std::sync::Arc::new(std::sync::Mutex::new(each));
    for kind in kinds {
        let mut stream = {
            let _inside = runtime.enter();
            signal(kind)?
        };
        let tell = tell.clone();
        let each = std::sync::Arc::clone(&each);
        runtime.spawn(async move {
            while stream.recv().await.is_some() {
                let number = kind.as_raw_value();
                if let Ok(mut each) = each.lock() {
                    each(number);
                }
                if tell.send(number).is_err() {
                    return;
                }
            }
        });
    }
    thread::Builder::new().spawn(move || runtime.block_on(std::future::pending::<()>()))?;
    Ok(())
}
