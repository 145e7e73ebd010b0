//! The kernel's serial ioctls that no library offers: the one place that is unsafe.
//!
//! No library has these ioctls as safe functions. Their numbers are the same on every
//! architecture that Rust supports except MIPS and SPARC (asm/ioctls.h), where nothing is
//! asked.
#![expect(
    unsafe_code,
    reason = "ioctls whose argument is a structure of the kernel's; each call says why it is sound"
)]

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::ioctl::{Getter, Opcode, Setter, Updater, ioctl};

const TIOCGSERIAL: Opcode = 0x541E;
const TIOCSSERIAL: Opcode = 0x541F;
const TIOCSRS485: Opcode = 0x542F;

/// The flag with which received bytes are passed on at once (linux/tty_flags.h: bit 13).
const ASYNC_LOW_LATENCY: u32 = 1 << 13;

/// `struct serial_struct` of linux/serial.h.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
struct Settings {
    kind: i32,
    line: i32,
    port: u32,
    irq: i32,
    flags: u32,
    xmit_fifo_size: i32,
    custom_divisor: i32,
    baud_base: i32,
    close_delay: u16,
    io_type: u8,
    reserved: u8,
    hub6: i32,
    closing_wait: u16,
    closing_wait2: u16,
    iomem_base: usize,
    iomem_reg_shift: u16,
    port_high: u32,
    iomap_base: usize,
}

/// `struct serial_rs485` of linux/serial.h.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Rs485Settings {
    /// `SER_RS485_…`, as in [`rs485_flag`].
    pub flags: u32,
    /// Milliseconds.
    pub delay_before_send: u32,
    /// Milliseconds.
    pub delay_after_send: u32,
    padding: [u32; 5],
}

/// The bits of [`Rs485Settings::flags`].
pub(super) mod rs485_flag {
    pub(crate) const ENABLED: u32 = 1 << 0;
    pub(crate) const RTS_ON_SEND: u32 = 1 << 1;
    pub(crate) const RTS_AFTER_SEND: u32 = 1 << 2;
    pub(crate) const RX_DURING_TX: u32 = 1 << 4;
    pub(crate) const TERMINATE_BUS: u32 = 1 << 5;
}

/// Asks the driver to pass received bytes on at once. FTDI's driver then waits one millisecond
/// for more bytes instead of sixteen (drivers/usb/serial/ftdi_sio.c, `set_serial_info`);
/// drivers that never wait ignore the request. Any process that may open the tty may set this
/// flag: it is one of the few that need no `CAP_SYS_ADMIN` (`ASYNC_USR_MASK` there,
/// `UPF_USR_MASK` in drivers/tty/serial/serial_core.c), while the file `latency_timer` belongs
/// to root.
///
/// # Errors
/// The driver has no such setting (a pseudo terminal: "inappropriate ioctl"), or
/// refuses it.
pub(super) fn pass_on_at_once(tty: &impl AsRawFd) -> io::Result<()> {
    let fd = known(tty)?;
    // SAFETY: with this request the kernel fills in one `serial_struct`, which
    // `Settings` is, field by field; any bit pattern is one.
    let mut settings = unsafe { ioctl(fd, Getter::<TIOCGSERIAL, Settings>::new()) }?;
    settings.flags |= ASYNC_LOW_LATENCY;
    // SAFETY: with this request the kernel reads one `serial_struct`; it is the
    // one it has just filled in, but for one flag.
    unsafe { ioctl(fd, Setter::<TIOCSSERIAL, Settings>::new(settings)) }?;
    Ok(())
}

/// Asks the driver to switch the line's transceiver as `settings` says. Afterwards `settings`
/// holds what the driver made of them.
///
/// # Errors
/// The driver cannot ("inappropriate ioctl").
pub(super) fn switch_transceiver(
    tty: &impl AsRawFd,
    settings: &mut Rs485Settings,
) -> io::Result<()> {
    let fd = known(tty)?;
    // SAFETY: with this request the kernel reads one `serial_rs485`, which
    // `Rs485Settings` is, field by field, and writes one back to the same place,
    // which is borrowed mutably; any bit pattern is one.
    unsafe { ioctl(fd, Updater::<TIOCSRS485, Rs485Settings>::new(settings)) }?;
    Ok(())
}

/// Returns the descriptor on architectures where these ioctl numbers are right.
fn known(tty: &impl AsRawFd) -> io::Result<BorrowedFd<'_>> {
    if cfg!(any(
        target_arch = "mips",
        target_arch = "mips64",
        target_arch = "sparc",
        target_arch = "sparc64"
    )) {
        return Err(io::ErrorKind::Unsupported.into());
    }
    Ok(descriptor(tty))
}

fn descriptor(tty: &impl AsRawFd) -> BorrowedFd<'_> {
    // SAFETY: `tty` is borrowed for longer than what is returned and closes its
    // descriptor no sooner than when it is dropped.
    unsafe { BorrowedFd::borrow_raw(tty.as_raw_fd()) }
}

/// Blocks this thread until the tty has something to read or has ended, or for `limit`.
pub(super) fn await_bytes(tty: &impl AsRawFd, limit: Duration) {
    let tty = descriptor(tty);
    let mut tty = [PollFd::new(&tty, PollFlags::IN)];
    // An error shows up at the next read.
    let _ = poll(&mut tty, Timespec::try_from(limit).ok().as_ref());
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio_serial::SerialStream;

    /// linux/serial.h on a 64-bit machine; on a 32-bit one pointers and longs
    /// have four bytes.
    #[test]
    fn the_structure_is_as_large_as_the_kernels() {
        let expected = if cfg!(target_pointer_width = "64") {
            72
        } else {
            60
        };
        assert_eq!(size_of::<Settings>(), expected);
        assert_eq!(std::mem::offset_of!(Settings, flags), 16);
    }

    #[test]
    fn so_is_the_one_of_rs485() {
        assert_eq!(size_of::<Rs485Settings>(), 32);
    }

    #[tokio::test]
    async fn a_terminal_that_has_no_such_setting_says_so() {
        let (_master, slave) = SerialStream::pair().unwrap();
        let refused = pass_on_at_once(&slave).unwrap_err();
        assert_eq!(
            refused.raw_os_error(),
            Some(rustix::io::Errno::NOTTY.raw_os_error())
        );
    }
}
