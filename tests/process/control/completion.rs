//! Command lines completed by bash, zsh and fish: their scripts as the package has them, the real
//! programs, and names of a running service.

use std::collections::BTreeSet;
use std::os::unix::fs::symlink;

use super::*;

/// A command line and what is offered; `$SOCKET` and `$FOLDER` stand for the service's.
const LINES: [(&str, &[&str]); 21] = [
    ("alink-gateway log", &["log-level"]),
    ("alink-gateway complet", &[]),
    ("alink-gateway help log", &["log-level"]),
    ("alink-gateway status --w", &["--watch"]),
    ("alink-gateway status --watch --js", &["--json"]),
    ("alink-gateway log-level ru", &["rumqttc", "rustls"]),
    ("alink-gateway log-level rustls de", &["debug", "default"]),
    ("alink-gateway log-level all debug f", &["for"]),
    (
        "alink-gateway devices --socket $SOCKET ",
        &["meter-4", "meter-5", "meter-6"],
    ),
    (
        "alink-gateway devices --socket=$SOCKET meter-5",
        &["meter-5"],
    ),
    ("alink-gateway trace --socket $SOCKET ", &["rack1"]),
    (
        "alink-gateway scope --socket $SOCKET --seconds 5 r",
        &["rack1"],
    ),
    (
        "alink-gateway write --socket $SOCKET meter-4 ",
        &["Relay", "Voltage"],
    ),
    (
        "alink-gateway write --socket $SOCKET meter-4 Relay 1 V",
        &["Voltage"],
    ),
    ("alink-gateway call --socket $SOCKET meter-4 ", &["Start"]),
    (
        "alink-gateway call --socket $SOCKET meter-4 Start l",
        &["level="],
    ),
    // Without a service, and for a device that there is not, nothing is offered or complained of.
    ("alink-gateway devices --socket $FOLDER/none m", &[]),
    ("alink-gateway write --socket $SOCKET meter-9 V", &[]),
    ("alink-gateway check $FOLDER/gateway.y", &["gateway.yaml"]),
    ("alink-lab bus --kind io", &["io-module"]),
    ("alink-lab help plat", &["platform"]),
];

/// Writes the scripts as `packaging/build-deb` does.
fn write_scripts(folder: &Path) {
    let packaging = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/completions");
    for program in ["alink-gateway", "alink-lab"] {
        for (shell, name) in [
            ("bash", format!("{program}.bash")),
            ("zsh", format!("_{program}")),
            ("fish", format!("{program}.fish")),
        ] {
            let script = packaging.join(format!("program.{shell}"));
            let script = fs::read_to_string(script).unwrap();
            let script = script.replace("@PROGRAM@", program);
            let script = script.replace("@NAME@", &program.replace('-', "_"));
            fs::write(folder.join(name), script).unwrap();
        }
    }
}

/// Checks one shell against all lines.
async fn completes(shell: &str) {
    if !tools::have(&[shell]) {
        return;
    }
    let mut house = House::running("").await;
    let folder = house.folder.path();
    write_scripts(folder);
    let programs = folder.join("bin");
    fs::create_dir(&programs).unwrap();
    for (name, program) in [
        ("alink-gateway", env!("CARGO_BIN_EXE_alink-gateway")),
        ("alink-lab", env!("CARGO_BIN_EXE_alink-lab")),
    ] {
        symlink(program, programs.join(name)).unwrap();
    }
    let socket = house.socket().display().to_string();
    let lines = LINES.map(|(line, _)| {
        let line = line.replace("$SOCKET", &socket);
        line.replace("$FOLDER", &folder.display().to_string())
    });
    let driver = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/process/completion");
    let path = std::env::var("PATH").unwrap();
    let mut command = Command::new(shell);
    command
        .arg(driver.join(shell))
        .arg(folder)
        .args(&lines)
        .env("PATH", format!("{}:{path}", programs.display()))
        .env("HOME", folder)
        .env("TERM", "dumb")
        .stdin(Stdio::null());
    let said = said(command).await;
    assert_eq!((said.status, said.err.as_str()), (0, ""), "{}", said.out);

    let mut offered = said.out.lines();
    for (line, wanted) in LINES {
        let words = offered.by_ref().take_while(|word| !word.is_empty());
        // Of a name of a file zsh says the last part.
        let words = words.map(|word| word.rsplit('/').next().unwrap_or(word));
        let words: BTreeSet<&str> = words.collect();
        let wanted: BTreeSet<&str> = wanted.iter().copied().collect();
        assert_eq!(words, wanted, "{shell}: {line}");
    }
    assert_eq!(offered.next(), None);
    gateway::stop(&mut house.gateway).await;
}

#[tokio::test]
async fn bash_completes_verbs_options_values_and_names() {
    completes("bash").await;
}

#[tokio::test]
async fn zsh_completes_verbs_options_values_and_names() {
    completes("zsh").await;
}

#[tokio::test]
async fn fish_completes_verbs_options_values_and_names() {
    completes("fish").await;
}
