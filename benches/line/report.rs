//! The figures measured: printed as they come, as one object, and as a page.

use std::process::Command;

/// One figure.
struct Row {
    key: &'static str,
    value: f64,
    what: &'static str,
    target: &'static str,
    detail: String,
}

/// All figures, in the order in which they were measured.
pub(crate) struct Report {
    /// Whether a first look is enough.
    pub(crate) quick: bool,
    rows: Vec<Row>,
    remarks: Vec<String>,
}

impl Report {
    pub(crate) const fn new(quick: bool) -> Self {
        Report {
            quick,
            rows: Vec::new(),
            remarks: Vec::new(),
        }
    }

    /// Adds a figure: its key in the object, its description, its aim, and how it was
    /// measured.
    pub(crate) fn add(
        &mut self,
        key: &'static str,
        value: f64,
        what: &'static str,
        target: &'static str,
        detail: String,
    ) {
        println!("{key:<30} {:>10}   {what}; {detail}", shown(value));
        self.rows.push(Row {
            key,
            value,
            what,
            target,
            detail,
        });
    }

    /// Adds a remark for the reader of the figures.
    pub(crate) fn remark(&mut self, remark: String) {
        println!("{remark}");
        self.remarks.push(remark);
    }

    /// Writes one object on one line.
    pub(crate) fn json(&self) -> String {
        let fields = self.rows.iter().map(|r| (r.key.to_owned(), r.value.into()));
        serde_json::Value::Object(fields.collect()).to_string()
    }

    /// Writes `benches/LINE.md`.
    pub(crate) fn write(&self) -> std::io::Result<()> {
        let mut page = format!(
            "# The line at its limit\n\nWritten by `cargo bench --features lab --bench line -- --write`; \
             what each figure means is said in `benches/line/`.\n\n\
             Measured {} on {}.\n\n| figure | measured | aim | what it is | how |\n|---|---|---|---|---|\n",
            told("date", &["-u", "+%Y-%m-%d %H:%M UTC"]),
            machine(),
        );
        for row in &self.rows {
            page += &format!(
                "| `{}` | {} | {} | {} | {} |\n",
                row.key,
                shown(row.value),
                row.target,
                row.what,
                row.detail
            );
        }
        for remark in &self.remarks {
            page += &format!("\n{remark}\n");
        }
        let place = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/LINE.md");
        std::fs::write(place, page)
    }
}

fn shown(value: f64) -> String {
    if value.fract() == 0.0 {
        format!("{value}")
    } else {
        format!("{value:.4}")
    }
}

fn machine() -> String {
    let cpus = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpus
        .lines()
        .find_map(|l| l.strip_prefix("model name")?.split_once(": "))
        .map_or("an unnamed processor", |(_, name)| name);
    format!(
        "{model}, {} processors, Linux {}",
        std::thread::available_parallelism().map_or(1, usize::from),
        told("uname", &["-r"]),
    )
}

fn told(program: &str, args: &[&str]) -> String {
    let told = Command::new(program).args(args).output();
    told.map_or_else(
        |_| "unknown".into(),
        |out| String::from_utf8_lossy(&out.stdout).trim().to_owned(),
    )
}
