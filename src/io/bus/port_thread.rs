//! A separate thread for one serial port, and exact waits on it.
//!
//! A line is at its limit when no time is lost between the end of one frame and the beginning
//! of the next except the silence that the standard asks for. tokio's timers count whole
//! milliseconds, and shared threads are busy with other tasks: at 115,200 bit/s that alone
//! costs a tenth of the line. So a serial port's task runs on a thread of its own, with a
//! runtime that has nothing else to do. Waits that may be late by a millisecond (for the next
//! poll, for a unit that does not answer) are the runtime's. Two waits may not be late: the
//! silence before a request and the rest of an arriving frame. The thread sleeps through them:
//! the silence to the microsecond ([`block_until`]), the rest of a frame until shortly before the last
//! character ([`block_for`]), for which the thread then listens.
//!
//! While the thread sleeps it does not hear the tty: that is why a reply of fifty characters
//! wakes it four times and not fifty. The sleeping thread does not hear an order to stop
//! either, which is why no blocking wait is longer than [`LONGEST_BLOCK`].

use std::future::Future;
use std::io;
use std::num::NonZeroU64;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;

use crate::base::Mono;
use crate::io::system::clock::Clock;

/// The longest doze; a time further off is waited for in the ordinary way.
pub const LONGEST_BLOCK: Duration = Duration::from_millis(20);

/// How long the last part of an exact wait is spent looking at the clock: waking a thread takes
/// about this long, and a sleeping thread would be too late by that.
pub const SPIN_BEFORE_DUE: Duration = Duration::from_micros(40);

/// How many descriptors a thread's runtime and its tty need: an epoll instance, the event that
/// wakes it, the pair for signals, and the tty.
pub const DESCRIPTORS: u64 = 5;

/// How late the kernel may wake a sleeper to save power, in nanoseconds: not at
/// all. The usual 50 µs are one percent of a transaction at 115,200 bit/s.
const SLACK: NonZeroU64 = NonZeroU64::MIN;

/// The work that a thread is handed together with its runtime; the work lasts until the thread
/// ends.
type ThreadWork = Box<dyn FnOnce(Runtime) + Send>;

/// A started thread, with a runtime of its own, that waits for its work. If dropped, the thread
/// ends.
pub struct Thread {
    work: oneshot::Sender<ThreadWork>,
}

impl Thread {
    /// Makes a thread. The unit allows only so many (`TasksMax`), and its runtime needs
    /// descriptors: the caller tries again if a thread cannot be made.
    ///
    /// # Errors
    /// The system's.
    pub async fn start(name: &str) -> io::Result<Thread> {
        let (ready, is_ready) = oneshot::channel();
        let (work, given) = oneshot::channel::<ThreadWork>();
        let thread = std::thread::Builder::new().name(name.into());
        thread.spawn(move || {
            // If the kernel refuses, waits end a little late and nothing worse happens.
            let _ = rustix::thread::set_current_timer_slack(Some(SLACK));
            let runtime = match Builder::new_current_thread().enable_all().build() {
                Ok(runtime) => runtime,
                Err(e) => return drop(ready.send(Err(e))),
            };
            if ready.send(Ok(())).is_ok()
                && let Ok(work) = given.blocking_recv()
            {
                work(runtime);
            }
        })?;
        match is_ready.await {
            Ok(made) => made.map(|()| Thread { work }),
            Err(_) => Err(io::Error::other("its thread has ended")),
        }
    }

    /// Does `work` on the thread and returns when it has ended, by itself or by a panic; all
    /// that the work held is free then. If this future is dropped the work is dropped soon,
    /// too.
    pub async fn run<W>(self, work: impl FnOnce() -> W + Send + 'static)
    where
        W: Future<Output = ()>,
    {
        let (mut alive, mut ended) = oneshot::channel::<()>();
        let given = self.work.send(Box::new(move |runtime| {
            runtime.block_on(async {
                tokio::select! {
                    biased;
                    () = alive.closed() => {}
                    () = work() => {}
                }
            });
            drop(runtime);
            drop(alive);
        }));
        if given.is_ok() {
            // Nothing is ever sent: the channel closes when the thread drops its sender.
            let _ = (&mut ended).await;
        }
    }
}

/// Blocks this thread until `at`, exactly, but for [`LONGEST_BLOCK`] at most. Only for a thread
/// that has nothing else to do.
pub fn block_until(clock: &Clock, at: Mono) {
    let now = clock.now().mono;
    let left = at.since(now).min(LONGEST_BLOCK);
    block_for(left.saturating_sub(SPIN_BEFORE_DUE));
    while clock.now().mono < now + left {
        std::hint::spin_loop();
    }
}

/// Blocks this thread for about this long, at most for [`LONGEST_BLOCK`], and never looks at the
/// clock: for waits in which some microseconds more do not matter.
#[expect(
    clippy::disallowed_methods,
    reason = "the thread belongs to one port, which has nothing to do until then"
)]
pub fn block_for(span: Duration) {
    if !span.is_zero() {
        std::thread::sleep(span.min(LONGEST_BLOCK));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::thread;

    async fn run<W>(name: &str, work: impl FnOnce() -> W + Send + 'static)
    where
        W: Future<Output = ()>,
    {
        Thread::start(name).await.unwrap().run(work).await;
    }

    #[tokio::test]
    async fn work_is_done_on_another_thread_and_its_end_is_noticed() {
        let here = thread::current().id();
        let (told, there) = oneshot::channel();
        run("solo", move || async move {
            told.send(thread::current().id()).unwrap();
        })
        .await;
        assert_ne!(there.await.unwrap(), here);
    }

    #[tokio::test]
    async fn a_panic_ends_it() {
        let ended = run("solo", || async { panic!("on purpose") });
        let ended = tokio::time::timeout(Duration::from_secs(30), ended).await;
        assert!(ended.is_ok(), "the panic is not noticed");
    }

    #[tokio::test]
    async fn work_nobody_waits_for_any_more_is_dropped() {
        struct DropSignal(Arc<AtomicBool>, Option<oneshot::Sender<()>>);
        impl Drop for DropSignal {
            fn drop(&mut self) {
                self.0.store(true, Ordering::SeqCst);
                drop(self.1.take());
            }
        }
        let dropped = Arc::new(AtomicBool::new(false));
        let (gone, is_gone) = oneshot::channel();
        let (begun, has_begun) = oneshot::channel();
        let held = DropSignal(Arc::clone(&dropped), Some(gone));
        let work = tokio::spawn(run("solo", move || async move {
            let _held = held;
            begun.send(()).unwrap();
            std::future::pending().await
        }));
        has_begun.await.unwrap();
        assert!(!dropped.load(Ordering::SeqCst));
        work.abort();
        let _ = is_gone.await;
        assert!(dropped.load(Ordering::SeqCst));
    }

    #[test]
    fn a_doze_is_never_short_and_has_an_end() {
        let clock = Clock::system();
        for micros in [0, 10, 300, 1750] {
            let at = clock.now().mono + Duration::from_micros(micros);
            block_until(&clock, at);
            assert!(clock.now().mono >= at);
        }
        let begun = clock.now().mono;
        block_until(&clock, begun + Duration::from_secs(3600));
        assert!(clock.now().mono.since(begun) >= LONGEST_BLOCK);
    }
}
