//! The reader of a verb's output may close the pipe early: `plan | head`.

use std::fs;
use std::io;
use std::process::{Command, Stdio};

#[test]
fn a_reader_that_has_gone_changes_no_exit_status() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("gateway.yaml");
    let right = "gateway: { product_key: a1GwDemoPk0, device_name: gw-0001, secret: hunter2 }
cloud: { url: mqtts://iot-060a0bcd.mqtt.iothub.aliyuncs.com }
";
    for (text, verb, status) in [
        (right, "check", 0),
        (right, "plan", 0),
        ("nonsense: 1\n", "check", 78),
        ("nonsense: 1\n", "plan", 78),
        ("nonsense: 1\n", "run", 78),
    ] {
        fs::write(&file, text).unwrap();
        let (read, write) = io::pipe().unwrap();
        drop(read);
        let mut command = Command::new(env!("CARGO_BIN_EXE_alink-gateway"));
        command.arg(verb);
        if verb == "run" {
            command.arg("--config");
        }
        let ended = command
            .arg(&file)
            .env_remove("JOURNAL_STREAM")
            .stdin(Stdio::null())
            .stdout(write.try_clone().unwrap())
            .stderr(write)
            .status()
            .unwrap();
        assert_eq!(ended.code(), Some(status), "{verb} of {text}");
    }
}
