//! A computer with a USB socket: QEMU, with the image that `tests/usb/image`
//! makes.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::{Value as Json, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::time::{Instant, sleep, timeout};

/// How long a step may take in the machine: it is emulated instruction by instruction,
/// on a host that may have other work.
pub(crate) const PATIENCE: Duration = Duration::from_secs(240);

/// The serial number of the adapter, and the name udev makes of it.
pub(crate) const NAME: &str = "/dev/serial/by-id/usb-QEMU_QEMU_USB_SERIAL_A1B2C3-if00-port0";

/// The address under which the guest finds the host's loopback.
pub(crate) const HOST: &str = "10.0.2.2";

/// A running machine; it is switched off when dropped.
pub(crate) struct Machine {
    qemu: std::process::Child,
    folder: PathBuf,
    shell: BufReader<UnixStream>,
    monitor: BufReader<UnixStream>,
    commands: u32,
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = self.qemu.kill();
        let _ = self.qemu.wait();
        if std::thread::panicking() {
            let console = fs::read_to_string(self.folder.join("console")).unwrap_or_default();
            eprintln!("--- console\n{console}");
        }
    }
}

impl Machine {
    /// Boots the image with `files` (path in the guest, and from where) added.
    pub(crate) async fn boot(image: &Path, folder: &Path, files: &[(&str, PathBuf)]) -> Machine {
        pack(image, folder, files);
        let socket = |name: &str| format!("unix:{}/{name},server=on,wait=off", folder.display());
        // QEMU does not outlive the test.
        let mut qemu = Command::new("setpriv");
        qemu.args(["--pdeathsig", "KILL"]);
        qemu.arg(crate::tools::path("qemu-system-x86_64"));
        qemu.args(["-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2"])
            .args([
                "-m",
                "1024",
                "-display",
                "none",
                "-vga",
                "none",
                "-no-reboot",
            ])
            .arg("-kernel")
            .arg(image.join("vmlinuz"))
            .arg("-initrd")
            .arg(folder.join("initrd"))
            .arg("-append")
            .arg("console=ttyS0 quiet systemd.unit=test.target systemd.getty_auto=no net.ifnames=0")
            .arg("-serial")
            .arg(format!("file:{}/console", folder.display()))
            .args(["-serial", &socket("shell"), "-qmp", &socket("monitor")])
            .args([
                "-nic",
                "user,model=virtio-net-pci",
                "-device",
                "qemu-xhci,id=xhci",
            ])
            .arg("-chardev")
            .arg(format!(
                "socket,id=line,path={}/line,server=on,wait=off",
                folder.display()
            ));
        let mut qemu = qemu.stdin(Stdio::null()).spawn().unwrap();
        let begun = Instant::now();
        let sockets = ["shell", "monitor", "line"];
        while !sockets.iter().all(|name| folder.join(name).exists()) {
            assert_eq!(qemu.try_wait().unwrap(), None, "QEMU has ended");
            assert!(begun.elapsed() < PATIENCE);
            sleep(Duration::from_millis(50)).await;
        }
        let connect = async |name: &str| UnixStream::connect(folder.join(name)).await.unwrap();
        let mut machine = Machine {
            shell: BufReader::new(connect("shell").await),
            monitor: BufReader::new(connect("monitor").await),
            folder: folder.to_owned(),
            qemu,
            commands: 0,
        };
        machine.order("qmp_capabilities", json!({})).await;
        // Characters typed before a shell listens may be lost.
        let begun = Instant::now();
        loop {
            let said = timeout(Duration::from_secs(2), machine.run("echo up")).await;
            if said.is_ok_and(|said| said.contains("up")) {
                break;
            }
            assert!(begun.elapsed() < PATIENCE, "it does not come up");
        }
        machine
    }

    /// Returns the end of the adapter's cable.
    pub(crate) async fn line(&self) -> UnixStream {
        UnixStream::connect(self.folder.join("line")).await.unwrap()
    }

    /// Puts the adapter into the socket.
    pub(crate) async fn plug(&mut self) {
        let adapter = json!({
            "driver": "usb-serial", "id": "adapter", "bus": "xhci.0", "port": "1",
            "chardev": "line", "serial": "A1B2C3",
        });
        // QEMU lets go of the cable a moment after the adapter was pulled out.
        let begun = Instant::now();
        while let Err(why) = self.try_order("device_add", adapter.clone()).await {
            assert!(why.contains("in use"), "{why}");
            assert!(begun.elapsed() < PATIENCE, "{why}");
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// Pulls the adapter out.
    pub(crate) async fn unplug(&mut self) {
        self.order("device_del", json!({"id": "adapter"})).await;
    }

    async fn order(&mut self, what: &str, with: Json) {
        self.try_order(what, with).await.unwrap();
    }

    /// Gives the monitor an order; returns its objection.
    async fn try_order(&mut self, what: &str, with: Json) -> Result<(), String> {
        let order = json!({"execute": what, "arguments": with});
        let order = format!("{order}\n");
        self.monitor.write_all(order.as_bytes()).await.unwrap();
        loop {
            let mut said = String::new();
            let read = timeout(PATIENCE, self.monitor.read_line(&mut said));
            assert_ne!(read.await.unwrap().unwrap(), 0, "the monitor is gone");
            let said: Json = serde_json::from_str(&said).unwrap();
            if said.get("error").is_some() {
                return Err(format!("{what}: {said}"));
            }
            if said.get("return").is_some() {
                return Ok(());
            }
        }
    }

    /// Returns the output of root's shell.
    pub(crate) async fn run(&mut self, command: &str) -> String {
        // The rest of the output of an earlier command is skipped.
        self.commands += 1;
        eprintln!("# {command}");
        let (begin, end) = (
            format!("@@begin {}", self.commands),
            format!("@@end {}", self.commands),
        );
        let command = format!("echo {begin}\n{command}\necho {end}\n");
        self.shell.write_all(command.as_bytes()).await.unwrap();
        let mut said = String::new();
        loop {
            let mut line = String::new();
            let read = timeout(PATIENCE, self.shell.read_line(&mut line));
            let read = read.await.expect("the shell does not answer");
            assert_ne!(read.unwrap(), 0, "the shell is gone");
            match line.trim_end() {
                line if line == end => return said,
                line if line == begin => said.clear(),
                _ => said.push_str(&line),
            }
        }
    }
}

/// Writes the image with more files behind it: the kernel unpacks both.
fn pack(image: &Path, folder: &Path, files: &[(&str, PathBuf)]) {
    let more = folder.join("more");
    for (path, from) in files {
        let to = more.join(path);
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(from, to).unwrap();
    }
    let script =
        "cd \"$1\" && find . -print0 | cpio -o0 -H newc --quiet -R 0:0 | cat \"$2\" - >\"$3\"";
    let packed = Command::new("sh")
        .args(["-c", script, "sh"])
        .arg(&more)
        .arg(image.join("root.cpio"))
        .arg(folder.join("initrd"))
        .status();
    assert!(packed.unwrap().success(), "packing the image");
}
