//! A line on a terminal, exact enough to measure a master that is itself exact.
//!
//! The line has a thread of its own, which does not sleep while something is about to
//! happen: just before a character is due, and after the last character of a reply for
//! as long as the next request may well come. While it looks it lets other threads have
//! the processor first: the kernel worker of the terminal may have been given this
//! processor. The thread itself is late by a few microseconds. What is written to a
//! pseudo terminal is carried to the other side by a worker of the kernel, which takes
//! some 10 to 40 µs each way on an idle machine that is awake, and a time slice of
//! another process, 3 ms, on a busy one.
//!
//! All these delays count against the master. A character that arrives late lengthens
//! the silence the master keeps, a request that is seen late lengthens its transaction:
//! with 50 µs each time, 0.0007 of a line at 9600 bit/s and 0.006 at 115,200 with
//! replies of 45 characters. The utilisation measured is never more than the master
//! reached, and the error is the same for every master on the same machine. A violation
//! of silence that is counted was one; a violation that is shorter than those delays
//! can be missed.

use std::fs::File;
use std::io::{self, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::super::bus::{Line, LineOutput};
use super::{Handle, Terminal};
use crate::base::Mono;
use crate::io::bus::port_thread;

/// The thread is awake for this long before anything that is due.
const SPIN_BEFORE_DUE: Duration = Duration::from_micros(150);

/// A master that means to be on time asks within this much of the end of the
/// silence.
const PUNCTUAL: Duration = Duration::from_millis(1);

/// Changes made from outside are noticed after this long at most.
const LONGEST_SLEEP: Duration = Duration::from_millis(5);

/// Whether the plug has been pulled.
#[derive(Clone, Debug, Default)]
pub(super) struct Pulled(Arc<AtomicBool>);

impl Pulled {
    pub(super) fn pull(&self) {
        self.0.store(true, Ordering::Release);
    }

    fn is_pulled(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// Carries characters between a line and a terminal until the plug is pulled;
/// the terminal is closed then.
pub(super) async fn drive(terminal: Terminal<File>, handle: Handle<Line>, pulled: Pulled) {
    // Without a thread there is nothing on the line.
    let Ok(thread) = port_thread::Thread::start("lab line").await else {
        return;
    };
    let carrying = move || async move {
        // A terminal that fails is one that hung up.
        let _ = carry(terminal, &handle, &pulled);
    };
    thread.run(carrying).await;
}

fn carry(terminal: Terminal<File>, handle: &Handle<Line>, pulled: &Pulled) -> io::Result<()> {
    let mut master = &terminal.master;
    let mut buffer = [0_u8; 1024];
    let mut expected = Mono::START;
    while !pulled.is_pulled() {
        let due = handle.step(|line, now| {
            while let Some(LineOutput::Bytes(bytes)) = line.poll(now) {
                // Bytes without room are lost, as in a UART that no process reads.
                let _ = master.write(&bytes);
                expected = now.mono + line.pace().silence() + PUNCTUAL;
            }
            line.wake_at().map(|wake| wake.at)
        });
        loop {
            match master.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(n) => {
                    handle.step(|line, now| line.on_bytes(now, &buffer[..n]));
                    break;
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                Err(e) => return Err(e),
            }
            let now = handle.clock.now().mono;
            let asleep = match due {
                Some(due) if due <= now => break,
                Some(due) => due.since(now + SPIN_BEFORE_DUE),
                None if now < expected => Duration::ZERO,
                None => LONGEST_SLEEP,
            };
            if asleep.is_zero() {
                std::thread::yield_now();
            } else {
                sleep(master, asleep.min(LONGEST_SLEEP))?;
                break;
            }
        }
    }
    Ok(())
}

/// Sleeps until the master has written something, or for this long.
fn sleep(master: &File, span: Duration) -> io::Result<()> {
    let span = Timespec {
        tv_sec: 0,
        tv_nsec: span.subsec_nanos().into(),
    };
    match poll(&mut [PollFd::new(master, PollFlags::IN)], Some(&span)) {
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
        Err(e) => Err(e.into()),
    }
}
