//! `alink-gateway import FILE`: what other programs and spreadsheets know of devices, as a part of
//! our configuration.
//!
//! The configuration goes to standard output or a new file, the report to standard error or where
//! `--report` says. A file that exists is not replaced: it may have been worked on since.

#![expect(
    clippy::print_stderr,
    reason = "the report, and why there is no result"
)]

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::language::Language;
use crate::base::text::counted;
use crate::import::{self, FileKind, Imported, Wishes, kind, remark, writer};
use crate::io::files::bounded;
use crate::io::files::create::{self, Existing};
use crate::io::terminal::sink::Sink;

/// How the file is read, and where the results go.
#[derive(Debug, clap::Args)]
pub struct ImportOptions {
    /// The kind of the file [default: told by its content].
    #[arg(long, value_name = "KIND", value_parser = kind::KINDS.map(|(word, _)| word))]
    from: Option<String>,
    /// Write the configuration to this new file instead of standard output.
    #[arg(long, short, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    output: Option<PathBuf>,
    /// Write the report to this file instead of standard error; `-` is standard output.
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    report: Option<PathBuf>,
    /// The name of the profile, or of the first of several [default: from the file].
    #[arg(long, value_name = "NAME")]
    profile_name: Option<String>,
}

/// Imports a file. Exit status 0; 1 if nothing could be carried over, or the result cannot be
/// written.
#[must_use]
pub fn run(file: &Path, options: &ImportOptions, language: Language) -> ExitCode {
    match outcome(file, options, language) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("{}: {}", file.display(), language.say(&why));
            ExitCode::FAILURE
        }
    }
}

fn outcome(file: &Path, options: &ImportOptions, language: Language) -> Result<(), String> {
    let to = |path: &Option<PathBuf>| {
        path.as_deref()
            .filter(|p| *p != Path::new("-"))
            .map(Path::to_owned)
    };
    let (output, report) = (to(&options.output), to(&options.report));
    if output.is_none() && options.report.is_some() && report.is_none() {
        return Err("both the configuration and the report would go to standard output: give --output a file".into());
    }
    // Before the report, which would end in a refusal that the user overlooks.
    if let Some(path) = output.as_deref().filter(|path| path.exists()) {
        return Err(format!(
            "{} is there already and stays as it is: give --output a new file",
            path.display()
        ));
    }
    for path in output.iter().chain(&report) {
        let folder = path.parent().filter(|p| !p.as_os_str().is_empty());
        if let Some(folder) = folder.filter(|folder| !folder.is_dir()) {
            return Err(format!(
                "{} cannot be written: there is no folder {}",
                path.display(),
                folder.display()
            ));
        }
    }
    let bytes = bounded::read(file, import::LARGEST).map_err(|e| format!("not read: {e}"))?;
    let name = file.file_name().map(|n| n.to_string_lossy().into_owned());
    let name = name.unwrap_or_default();
    let imported = import::import(&bytes, &wishes(options, &name)?).map_err(|e| e.to_string())?;
    let yaml = writer::yaml(&imported, &name, &|text| language.say(text));
    let text = remark::report(&name, &imported.remarks);
    let text = language.say(&format!("{text}{}", closing(&imported, output.as_deref())));
    match &options.report {
        None => eprint!("{text}"),
        Some(path) => {
            let written = Sink::at(path).write(text.as_bytes());
            written.map_err(|e| format!("the report is not written: {e}"))?;
        }
    }
    if imported.points() == 0 && imported.devices.is_empty() {
        return Err("nothing was carried over".into());
    }
    match output {
        None => {
            // The reader of the output may have closed it.
            let _ = Sink::Out.write(yaml.as_bytes());
            Ok(())
        }
        Some(path) => {
            let written = create::create(&path, yaml.as_bytes(), Existing::Refuse);
            written.map_err(|e| format!("{} is not written: {e}", path.display()))
        }
    }
}

fn wishes(options: &ImportOptions, name: &str) -> Result<Wishes, String> {
    let kind = options.from.as_deref();
    let kind = kind.and_then(|word| kind::KINDS.iter().find(|(known, _)| *known == word));
    let kind: Option<FileKind> = kind.map(|(_, kind)| *kind);
    let profile = options.profile_name.clone();
    if let Some(wrong) = profile
        .as_deref()
        .filter(|p| import::identifier::name(p).as_deref() != Some(*p))
    {
        return Err(format!(
            "--profile-name: {wrong} is no name of letters, digits and - _ . without blanks"
        ));
    }
    let file = name.to_owned();
    Ok(Wishes {
        kind,
        profile,
        file,
    })
}

/// Sums up, and says what is still missing and what comes next.
fn closing(imported: &Imported, output: Option<&Path>) -> String {
    let mut text = format!(
        "{}: {} from {}; {} and {}\n",
        imported.kind.word(),
        counted(imported.points(), "point"),
        counted(imported.entries, "entry"),
        counted(imported.profiles.len(), "profile"),
        counted(imported.devices.len(), "device"),
    );
    if let Some(encoding) = imported.encoding {
        text.push_str(&format!("the file was read as {encoding}\n"));
    }
    if !imported.devices.is_empty() {
        text.push_str("still missing: the ProductKey of each profile, and a secret for each device (or register: true)\n");
    }
    match output {
        Some(path) if path.parent().is_some_and(|p| p.ends_with("conf.d")) => {
            text.push_str("next: fill these in, then alink-gateway check\n");
        }
        Some(_) | None => {
            text.push_str("next: put the result into conf.d beside gateway.yaml, fill these in, then alink-gateway check\n");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_is_not_there_is_told_before_anything_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let to = folder.path().join("none/result.yaml");
        let options = ImportOptions {
            from: None,
            output: Some(to),
            report: None,
            profile_name: None,
        };
        let why =
            outcome(&folder.path().join("list.csv"), &options, Language::English).unwrap_err();
        let wanted = format!(
            "there is no folder {}",
            folder.path().join("none").display()
        );
        assert!(why.ends_with(&wanted), "{why}");
    }
}
