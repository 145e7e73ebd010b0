//! From a line of unknown devices to values in the cloud, with the commands that a person types.
//!
//! The commands are those of `docs/commissioning.md` and `docs/monitoring.md`, and what they answer
//! is compared with what these pages show, in English and in Chinese (`tests/captures/pages/`):
//! everything but times and, where they vary, numbers. `BLESS=1` writes what has changed.

#![cfg(feature = "lab")]

use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{ChildStderr, ChildStdout, Command};
use tokio::time::timeout;

use crate::lines::{STEP, wait_for};
use crate::ports::free_port;

/// The most commands from nothing to the first value.
const MOST_COMMANDS: usize = 8;

/// The page that shows this way, with its commands and with what they answer.
const PAGE: &str = include_str!("../../docs/commissioning.md");

/// The page that shows what the running service says.
const WATCHING: &str = include_str!("../../docs/monitoring.md");

/// The registers that the page imports.
const REGISTERS: (&str, &str) = ("```text\nName,", "```\n");

/// What an integrator has for a meter of the house: a profile that says what tells it from others.
const PROFILE: (&str, &str) = ("```yaml\nname: lab-meter\n", "```\n");

/// The language of the terminal, and that of its captures.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Language {
    English,
    Chinese,
}

/// What differs from one run to the next.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Varies {
    /// How long something took.
    Times,
    /// Every number: values, counts and times.
    Numbers,
}

impl Language {
    fn locale(self) -> &'static str {
        match self {
            Language::English => "C.UTF-8",
            Language::Chinese => "zh_CN.UTF-8",
        }
    }

    fn prefix(self) -> &'static str {
        match self {
            Language::English => "",
            Language::Chinese => "zh-",
        }
    }
}

/// Returns the block of the page that begins so.
fn block((begin, end): (&str, &str)) -> String {
    let at = PAGE.find(begin).expect(begin);
    let text = &PAGE[at + PAGE[at..].find('\n').unwrap() + 1..];
    text[..text.find(end).unwrap()].to_owned()
}

/// What a status says of a line on a busy machine: replies that came too late for it.
const OF_A_BUSY_MACHINE: [&str; 6] = ["late", "timeout", "probes", "迟到", "超时", "探测"];

/// Returns whether a part of a status is the table of ports.
fn is_ports(part: &str) -> bool {
    part.starts_with("PORT ") || part.starts_with("端口 ")
}

/// Returns whether a status has a table of ports that says the trouble of a busy machine.
fn is_of_a_busy_machine(text: &str) -> bool {
    let mut tables = text.split("\n\n").filter(|part| is_ports(part));
    tables.any(|table| {
        let mut words = table.split(|c: char| !c.is_alphanumeric());
        words.any(|word| OF_A_BUSY_MACHINE.contains(&word))
    })
}

/// Returns a status without the table of ports, whose columns are others if there is trouble.
fn without_ports(text: &str) -> String {
    let parts: Vec<&str> = text.split("\n\n").filter(|part| !is_ports(part)).collect();
    parts.join("\n\n")
}

/// The addresses of a sweep whose values are always taken for the same.
const GUESSED: [&str; 4] = ["0x0000", "0x0001", "0x0002", "0x0008"];

/// Returns a line of a sweep without its guess, if the value changes and may be taken for another
/// thing the next time.
fn without_passing_guess(line: &str) -> &str {
    match line.rfind(" 0x") {
        Some(at)
            if !GUESSED
                .iter()
                .any(|known| line[at + 1..].starts_with(known)) =>
        {
            &line[..at]
        }
        _ => line,
    }
}

/// Returns a text without what varies and without the widths of columns.
fn steady(text: &str, varies: Varies) -> String {
    // Chinese has no blanks beside its signs.
    let sign = |c: char| match "，：；（）".contains(c) {
        true => format!(" {c} "),
        false => c.to_string(),
    };
    let text: String = text.chars().map(sign).collect();
    // The transactions by outcome, one a line.
    let is_outcome = |line: &&str| {
        let words = line.trim_start();
        let begins_with_count =
            line.starts_with(' ') && words.starts_with(|c: char| c.is_ascii_digit());
        begins_with_count || ["so far", "累计"].iter().any(|w| words.starts_with(w))
    };
    let text = match varies {
        Varies::Times => text,
        Varies::Numbers => {
            let lines = text.lines().filter(|line| !is_outcome(line));
            let lines = lines.map(without_passing_guess);
            lines.collect::<Vec<_>>().join("\n")
        }
    };
    let is_number = |word: &str| {
        word.starts_with(|c: char| c.is_ascii_digit())
            || word.len() == 4 && word.chars().all(|c| c.is_ascii_hexdigit())
    };
    let spans = ["ms", "s", "min", "毫秒", "秒", "分钟"];
    let unsigned = |word: &str| {
        word.trim_matches(|c: char| "(),;:；，。（）".contains(c))
            .to_owned()
    };
    let words: Vec<&str> = text.split_whitespace().collect();
    let mut kept = Vec::new();
    for (at, word) in words.iter().enumerate() {
        let next = words
            .get(at + 1)
            .map_or(String::new(), |next| unsigned(next));
        let begins_with_span = spans
            .iter()
            .any(|span| next.starts_with(span) && !span.is_ascii());
        let is_time = spans.contains(&next.as_str()) || begins_with_span;
        let before = at
            .checked_sub(1)
            .map_or(String::new(), |at| unsigned(words[at]));
        if is_number(&unsigned(word)) && (is_time || varies == Varies::Numbers) {
            kept.push("#".to_owned());
        } else if is_number(&before) && spans.contains(&unsigned(word).as_str()) {
            kept.push("time".to_owned());
        } else {
            kept.push((*word).to_owned());
        }
    }
    kept.join(" ")
}

/// Returns whether two answers are the same but for what varies.
fn is_like(shown: &str, said: &str, varies: Varies) -> bool {
    let (shown_alone, said_alone) = (without_ports(shown), without_ports(said));
    steady(shown, varies) == steady(said, varies)
        || is_of_a_busy_machine(said) && steady(&shown_alone, varies) == steady(&said_alone, varies)
}

#[test]
fn the_table_of_ports_may_differ_only_where_it_says_the_trouble_of_a_busy_machine() {
    let status = |first: &str, trouble: &str| {
        format!("{first}\n\nPORT    STATE  TROUBLE\nline-1  up     {trouble}\n\n3 devices\n")
    };
    let shown = status("up", "");
    let is_like = |said: &str| is_like(&shown, said, Varies::Numbers);
    assert!(is_like(&status("up", "timeout 2, late 1")));
    assert!(is_like(
        "up\n\n端口    异常\nline-1  迟到 1，超时 2\n\n3 devices\n"
    ));
    // Words that contain one of those, and one of those elsewhere.
    assert!(!is_like(&status("up", "later, template")));
    assert!(!is_like(&status("late", "")));
    assert!(!is_like(&status("up late", "late 1")));
    assert!(!is_like("up\n\nPORT  STATE\nline-1  down\n\nlate\n"));
}

/// The line, as a file of the same length as `/dev/ttyUSB0`: tables are as wide as on a box.
struct Tty(PathBuf);

impl Drop for Tty {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// What differs on a desk from an installed service.
const DESK: (&str, &str) = ("```yaml\nprofiles_from: [profiles", "```\n");

/// A person at a terminal.
struct Person<'a> {
    folder: &'a Path,
    tty: &'a Path,
    language: Language,
    commands: usize,
}

impl Person<'_> {
    /// Makes a command of what is typed on a box: the line, the service and the package's
    /// profiles are elsewhere here.
    fn command(&mut self, typed: &str) -> Command {
        self.commands += 1;
        let mut command = Command::new(env!("CARGO_BIN_EXE_alink-gateway"));
        let mut quoted = typed.split('"').enumerate();
        let words = quoted.by_ref().flat_map(|(nth, part)| match nth % 2 {
            0 => part.split_whitespace().map(str::to_owned).collect(),
            _ => vec![part.to_owned()],
        });
        for word in words.skip(1) {
            match word.as_str() {
                "/dev/ttyUSB0" => command.arg(self.tty),
                word => command.arg(word),
            };
        }
        command
            .current_dir(self.folder)
            .env("LC_ALL", self.language.locale())
            .env("STATE_DIRECTORY", self.folder)
            .env("RUNTIME_DIRECTORY", self.folder)
            .env_remove("JOURNAL_STREAM")
            .stdin(Stdio::null())
            .kill_on_drop(true);
        command
    }

    /// Types a command, and waits until it has ended; returns what it said, and whether it ended
    /// well.
    async fn runs(&mut self, typed: &str) -> (String, bool) {
        let verb = typed.split_whitespace().nth(1).unwrap_or_default();
        let mut command = self.command(typed);
        let has_config = ["read", "poll", "sweep", "scan", "doctor"].contains(&verb);
        if has_config {
            command.args(["--config", "gateway.yaml"]);
        }
        if ["status", "devices", "trace"].contains(&verb) || has_config {
            command
                .arg("--socket")
                .arg(self.folder.join("control.sock"));
        }
        let Output {
            status,
            stdout,
            stderr,
        } = timeout(STEP, command.output())
            .await
            .unwrap_or_else(|_| panic!("{typed} takes too long"))
            .unwrap();
        let said = String::from_utf8(stdout).unwrap() + &String::from_utf8(stderr).unwrap();
        let profiles = concat!(env!("CARGO_MANIFEST_DIR"), "/config/profiles");
        let said = said
            .replace(self.tty.to_str().unwrap(), "/dev/ttyUSB0")
            .replace(
                &format!("{}/", self.folder.display()),
                "/etc/alink-gateway/",
            )
            .replace(profiles, "/usr/share/alink-gateway/profiles");
        (said, status.success())
    }

    /// Types a command of a page, and compares what it says with the capture that the page shows.
    /// `BLESS=1` writes the capture, to be read before it is committed.
    async fn types(&mut self, page: &str, typed: &str, capture: &str, varies: Varies) -> String {
        let (said, is_well) = self.runs(typed).await;
        assert!(is_well, "{typed}\n{said}");
        self.compares(page, typed, capture, varies, &said);
        said
    }

    /// Returns the file of a capture.
    fn file(&self, capture: &str) -> PathBuf {
        let name = format!("{}{capture}.txt", self.language.prefix());
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/captures/pages");
        folder.join(name)
    }

    fn compares(&self, page: &str, typed: &str, capture: &str, varies: Varies, said: &str) {
        assert!(page.contains(typed), "the page does not have: {typed}");
        let file = self.file(capture);
        let shown = fs::read_to_string(&file).unwrap_or_default();
        let is_same = is_like(&shown, said, varies);
        if !is_same && std::env::var_os("BLESS").is_some() {
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(&file, said).unwrap();
            return;
        }
        let file = file.display();
        assert!(
            is_same,
            "{file}: if this is right, BLESS=1 writes it:\n{said}"
        );
    }

    /// Asks until `is_well` is true of the answer; returns it, or the last one if that takes too
    /// long.
    async fn asks_until(&mut self, typed: &str, is_well: impl Fn(&str) -> bool) -> String {
        let mut said = String::new();
        let asking = async {
            while said.is_empty() || !is_well(&said) {
                (said, _) = self.runs(typed).await;
            }
        };
        // What was said last tells more than the time that has passed.
        let _ = timeout(STEP, asking).await;
        said
    }

    /// Watches the line until each kind of line that the page shows is seen.
    async fn watches(&mut self, page: &str, typed: &str, capture: &str) {
        let kinds = |text: &str| -> BTreeSet<String> {
            let kind = |line: &str| steady(&line.replace(['1', '2', '3'], "1"), Varies::Numbers);
            text.lines().map(kind).collect()
        };
        assert!(page.contains(typed), "the page does not have: {typed}");
        let file = self.file(capture);
        if std::env::var_os("BLESS").is_some() && !file.exists() {
            let (said, _) = self.runs(typed).await;
            let first: Vec<&str> = said.lines().take(12).collect();
            fs::write(&file, first.join("\n") + "\n").unwrap();
        }
        let shown = fs::read_to_string(&file).unwrap_or_default();
        let is_seen = |said: &str| kinds(&shown).is_subset(&kinds(said));
        let said = self.asks_until(typed, is_seen).await;
        assert!(
            !shown.is_empty() && is_seen(&said),
            "{}: without it, BLESS=1 writes it:\n{said}",
            file.display()
        );
    }

    /// Asks until the answer `is_settled` and is what the page shows. Numbers may differ.
    async fn asks(&mut self, page: &str, typed: &str, capture: &str, is_settled: fn(&str) -> bool) {
        let is_blessing = std::env::var_os("BLESS").is_some();
        let shown = self.file(capture);
        let shown = fs::read_to_string(shown).unwrap_or_default();
        let is_well = |said: &str| {
            is_settled(said) && (is_blessing || is_like(&shown, said, Varies::Numbers))
        };
        let said = self.asks_until(typed, is_well).await;
        self.compares(page, typed, capture, Varies::Numbers, &said);
    }
}

#[tokio::test]
async fn a_line_of_unknown_devices_is_in_the_cloud_after_eight_commands() {
    walk(Language::English).await;
}

#[tokio::test]
async fn the_way_to_the_cloud_is_shown_in_chinese() {
    walk(Language::Chinese).await;
}

async fn walk(language: Language) {
    use Varies::{Numbers, Times};
    let is_english = language == Language::English;
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let first = if is_english { 'e' } else { 'c' };
    let pid = std::process::id() % 1_000_000;
    let tty = Tty(PathBuf::from(format!("/tmp/{first}{pid:06}")));
    assert_eq!(tty.0.as_os_str().len(), "/dev/ttyUSB0".len());
    let mut bus = Command::new(env!("CARGO_BIN_EXE_alink-lab"))
        .args(["bus", "--units", "3", "--turnaround", "30", "--tty"])
        .arg(&tty.0)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut plug = bus.stdin.take().unwrap();
    let mut bus_says = BufReader::new(bus.stdout.take().unwrap()).lines();
    wait_for::<ChildStdout>(&mut bus_says, "/tmp/").await;
    fs::create_dir(folder.join("profiles")).unwrap();
    fs::write(folder.join("profiles/lab-meter.yaml"), block(PROFILE)).unwrap();
    fs::create_dir(folder.join("conf.d")).unwrap();
    // The certificate is named once there is one.
    let desk = block(DESK);
    let own = desk.lines().filter(|line| !line.starts_with("cloud:"));
    let own: Vec<&str> = own.collect();
    assert_eq!(own.len(), 3, "{own:?}");
    fs::write(folder.join("conf.d/own.yaml"), own.join("\n")).unwrap();
    let secret = folder.join("given.secret");
    fs::write(&secret, "0123456789abcdef").unwrap();
    fs::set_permissions(&secret, Permissions::from_mode(0o640)).unwrap();
    let mut person = Person {
        folder,
        tty: &tty.0,
        language,
        commands: 0,
    };

    let init = "alink-gateway init gateway.yaml --product-key a1GwDemoPk0 --device-name gw-0001 \
                --url iot-0123abcd.mqtt.iothub.aliyuncs.com --device-secret-file given.secret --yes";
    let said = person.types(PAGE, init, "init", Times).await;
    assert!(said.contains("alink-gateway check gateway.yaml"), "{said}");
    // The package is not installed here.
    let file = folder.join("gateway.yaml");
    let text = fs::read_to_string(&file).unwrap();
    let profiles = concat!(env!("CARGO_MANIFEST_DIR"), "/config/profiles");
    let here = text.replace("/usr/share/alink-gateway/profiles", profiles);
    assert_ne!(here, text);
    fs::write(&file, here).unwrap();
    let scan = "alink-gateway scan /dev/ttyUSB0 --line \"9600 8N1\" --write gateway.yaml --product-key a1SubDemoPk";
    let kinds =
        |said: &str| said.matches("lab-meter (").count() + said.matches("lab-meter（").count();
    // On a busy machine a reply may be torn: then the line is scanned again.
    let before = fs::read_to_string(&file).unwrap();
    let typed = person.commands + 1;
    let mut said = String::new();
    for _ in 0..3 {
        fs::write(&file, &before).unwrap();
        (said, _) = person.runs(scan).await;
        if kinds(&said) == 3 {
            break;
        }
    }
    person.commands = typed;
    assert_eq!(kinds(&said), 3, "{said}");
    person.compares(PAGE, scan, "scan", Times, &said);
    let said = person
        .types(PAGE, "alink-gateway check gateway.yaml", "check", Numbers)
        .await;
    assert!(!is_english || said.contains("1 port, 3 devices"), "{said}");
    let said = person
        .types(PAGE, "alink-gateway plan gateway.yaml", "plan", Times)
        .await;
    assert!(said.contains("lab-meter"), "{said}");
    on_the_way(&tty.0, folder, language).await;

    let port = free_port();
    let mut platform = Command::new(env!("CARGO_BIN_EXE_alink-lab"))
        .args([
            "platform",
            "--config",
            "gateway.yaml",
            "--tls",
            "ca",
            "--listen",
        ])
        .arg(format!("127.0.0.1:{port}"))
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut platform_says = BufReader::new(platform.stdout.take().unwrap()).lines();
    wait_for::<ChildStdout>(&mut platform_says, "ca.pem").await;
    let mut gateway = person
        .command("alink-gateway run --config gateway.yaml")
        .env("ALINK_GATEWAY_URL", format!("mqtts://localhost:{port}"))
        .env("ALINK_GATEWAY_CA_FILE", folder.join("ca/ca.pem"))
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut gateway_says = BufReader::new(gateway.stderr.take().unwrap()).lines();
    wait_for::<ChildStderr>(&mut gateway_says, "lab-meter-3").await;
    wait_for::<ChildStdout>(&mut platform_says, "lab-meter-3").await;
    wait_for::<ChildStdout>(&mut platform_says, "values accepted").await;
    // The command counts once, however often it is asked here.
    let typed = person.commands + 1;
    let is_measured = |said: &str| said.contains("line-1") && !said.contains(" 0 %");
    person
        .asks(PAGE, "alink-gateway status", "status", is_measured)
        .await;
    person.commands = typed;
    let read = "alink-gateway read lab-meter-1";
    let typed = person.commands + 1;
    let has_value = |said: &str| said.contains("Voltage");
    person.asks(PAGE, read, "read", has_value).await;
    person.commands = typed;
    // The line is the service's now: a scan goes through it and disturbs nothing.
    let again = "alink-gateway scan line-1 --units 1-5 --protocol modbus --no-identify \
                 --write gateway.yaml";
    // On a busy machine a reply may come too late for it: then the line is scanned again.
    let typed = person.commands + 1;
    let has_all = |said: &str| {
        let has_all = said.contains("has 3 devices already") || said.contains("3 台设备");
        has_all
            && ["unit 4", "站号 4"]
                .iter()
                .all(|other| !said.contains(other))
    };
    person.asks(PAGE, again, "again", has_all).await;
    person.commands = typed;
    let told = "asks devices of this line beside the configuration";
    wait_for::<ChildStderr>(&mut gateway_says, told).await;
    assert!(person.commands <= MOST_COMMANDS, "{}", person.commands);

    // A meter loses its power, and the service says so.
    plug.write_all(b"kill 3\n").await.unwrap();
    wait_for::<ChildStderr>(&mut gateway_says, "lab-meter-3").await;
    let is_offline = |said: &str| said.contains("offline") || said.contains("离线");
    person
        .asks(WATCHING, "alink-gateway devices", "devices", is_offline)
        .await;
    person
        .asks(
            WATCHING,
            "alink-gateway devices lab-meter-3",
            "device",
            is_offline,
        )
        .await;
    let doctor = "alink-gateway doctor --device lab-meter-3";
    person
        .asks(WATCHING, doctor, "doctor", |said| {
            said.contains("lab-meter-3")
        })
        .await;
    let trace = "alink-gateway trace line-1 --seconds 2";
    person.watches(WATCHING, trace, "trace").await;
}

/// Types what the page has besides the eight commands.
async fn on_the_way(tty: &Path, folder: &Path, language: Language) {
    use Varies::{Numbers, Times};
    let mut person = Person {
        folder,
        tty,
        language,
        commands: 0,
    };
    // On a busy machine a reply may be torn: then it is read again.
    let is_whole = |said: &str| !said.contains("--line");
    let read = "alink-gateway read /dev/ttyUSB0 --unit 1 input:0 u16 scale=0.1 input:18 string registers=8";
    person.asks(PAGE, read, "read-registers", is_whole).await;
    let poll =
        "alink-gateway poll /dev/ttyUSB0 --unit 1 input:0 u16 scale=0.1 --every 500ms --count 3";
    person.asks(PAGE, poll, "poll", is_whole).await;
    let sweep = "alink-gateway sweep /dev/ttyUSB0 1 --to 0x1F --table input";
    person.asks(PAGE, sweep, "sweep", is_whole).await;
    // The import and the check of the desk are in a folder of their own.
    let desk = tempfile::tempdir().unwrap();
    fs::create_dir(desk.path().join("conf.d")).unwrap();
    let table = block(REGISTERS);
    fs::write(desk.path().join("registers.csv"), table).unwrap();
    person.folder = desk.path();
    let import = "alink-gateway import registers.csv --output conf.d/meter.yaml";
    person.types(PAGE, import, "import", Times).await;
    // It wants to be filled in.
    fs::remove_file(desk.path().join("conf.d/meter.yaml")).unwrap();
    let text = fs::read_to_string(folder.join("gateway.yaml")).unwrap();
    let secret = folder.join("given.secret");
    let text = text.replace(secret.to_str().unwrap(), "gateway.secret");
    fs::write(desk.path().join("gateway.yaml"), text).unwrap();
    fs::create_dir(desk.path().join("profiles")).unwrap();
    fs::copy(
        folder.join("profiles/lab-meter.yaml"),
        desk.path().join("profiles/lab-meter.yaml"),
    )
    .unwrap();
    fs::write(
        desk.path().join("conf.d/own.yaml"),
        "profiles_from: [profiles/*.yaml]\n",
    )
    .unwrap();
    let check = "alink-gateway check --desk gateway.yaml";
    person.types(PAGE, check, "desk", Numbers).await;
}
