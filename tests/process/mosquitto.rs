//! Mosquitto with TLS and passwords: a foreign broker, in front of the platform model.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::child::Child;
use crate::tools;

/// A user that may log in at the broker.
pub(crate) struct Account {
    pub(crate) user: String,
    pub(crate) password: String,
}

impl Account {
    /// Returns the user name and password that the gateway `product`/`name` with
    /// `secret` shows in CONNECT, as the platform defines them, computed by openssl and
    /// not by the code under test. Base client id `product.name`; the constant
    /// timestamp of the platform's own C SDK.
    pub(crate) fn of_gateway(product: &str, name: &str, secret: &str) -> Account {
        let content = format!(
            "clientId{product}.{name}deviceName{name}productKey{product}timestamp2524608000000"
        );
        let digest = Command::new("sh")
            .args([
                "-c",
                r#"printf %s "$1" | openssl dgst -sha256 -hmac "$2" -r"#,
                "sh",
                &content,
                secret,
            ])
            .output()
            .unwrap();
        let digest = String::from_utf8(digest.stdout).unwrap();
        Account {
            user: format!("{name}&{product}"),
            password: digest.split(' ').next().unwrap().to_owned(),
        }
    }
}

/// A running broker.
pub(crate) struct Mosquitto {
    process: Child,
    /// The TLS port, on 127.0.0.1.
    pub(crate) tls: u16,
    /// The plain port, on 127.0.0.1: where the platform model attaches.
    pub(crate) plain: u16,
    /// The authority that signed its certificate.
    pub(crate) ca: PathBuf,
}

impl Mosquitto {
    /// Starts it in `folder` with these accounts and no others.
    pub(crate) async fn start(folder: &Path, accounts: &[Account]) -> Mosquitto {
        let ca = authority(folder, "ca");
        certify(folder, "ca");
        for (n, account) in accounts.iter().enumerate() {
            let mut command = Command::new("mosquitto_passwd");
            command.arg("-b").args((n == 0).then_some("-c"));
            command.arg(folder.join("passwords"));
            succeed(command.args([&account.user, &account.password]));
        }
        // It cannot choose a port itself, and between finding a free port and binding
        // it another process may be faster.
        for _ in 0..5 {
            let (tls, plain) = (free_port(), free_port());
            if let Some(process) = listen(folder, tls, plain).await {
                return Mosquitto {
                    process,
                    tls,
                    plain,
                    ca,
                };
            }
        }
        panic!("mosquitto found no free port");
    }

    /// Returns the next line of its log that `wanted` accepts.
    pub(crate) async fn line(&mut self, what: &str, wanted: impl Fn(&str) -> bool) -> String {
        self.process.line(what, wanted).await
    }

    /// Returns its log so far.
    pub(crate) fn seen(&mut self) -> &[String] {
        self.process.seen()
    }
}

/// Starts mosquitto on these ports; `None` if it ends at once.
async fn listen(folder: &Path, tls: u16, plain: u16) -> Option<Child> {
    let at = folder.display();
    // `user root`: as root, mosquitto would drop to a user that cannot read a private
    // folder; for every other user the line has no effect.
    let config = format!(
        "user root\nlog_dest stderr\nlog_type all\npersistence false\n\
         allow_anonymous false\npassword_file {at}/passwords\n\
         listener {plain} 127.0.0.1\n\
         listener {tls} 127.0.0.1\ncertfile {at}/server.pem\nkeyfile {at}/server.key\n"
    );
    let file = folder.join("mosquitto.conf");
    fs::write(&file, config).unwrap();
    let program = tools::path("mosquitto");
    let args = ["-c", file.to_str().unwrap()];
    let mut process = Child::start("mosquitto", program.to_str().unwrap(), &args);
    let running = process.line_or_end("a running broker", |l| l.ends_with(" running"));
    running.await?;
    Some(process)
}

/// Makes a certificate authority `name` in `folder`.
pub(crate) fn authority(folder: &Path, name: &str) -> PathBuf {
    let cert = folder.join(format!("{name}.pem"));
    succeed(
        openssl(folder)
            .args(["req", "-x509", "-days", "30", "-nodes"])
            .args(["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"])
            .args(["-subj", &format!("/CN=test authority {name}")])
            .args(["-keyout", &format!("{name}.key"), "-out"])
            .arg(&cert),
    );
    cert
}

/// Makes `server.key` and `server.pem`, for localhost, signed by `ca`.
pub(crate) fn certify(folder: &Path, ca: &str) {
    fs::write(
        folder.join("server.ext"),
        "subjectAltName=DNS:localhost,IP:127.0.0.1\n",
    )
    .unwrap();
    succeed(
        openssl(folder)
            .args(["req", "-nodes", "-subj", "/CN=localhost"])
            .args(["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"])
            .args(["-keyout", "server.key", "-out", "server.csr"]),
    );
    succeed(
        openssl(folder)
            .args(["x509", "-req", "-days", "30", "-CAcreateserial"])
            .args(["-CA", &format!("{ca}.pem"), "-CAkey", &format!("{ca}.key")])
            .args(["-in", "server.csr", "-extfile", "server.ext"])
            .args(["-out", "server.pem"]),
    );
}

fn openssl(folder: &Path) -> Command {
    let mut command = Command::new("openssl");
    command.current_dir(folder);
    command
}

fn succeed(command: &mut Command) {
    let out = command.output().unwrap();
    let said = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success(), "{command:?}: {said}");
}

/// Returns a port on which no process listens at this moment.
fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}
