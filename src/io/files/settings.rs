//! Reads the files of a configuration; `config/` decides what they mean.
//!
//! The main file, `conf.d/*.yaml` beside it in name order, the platform's file in the state
//! directory if `remote_config:` wants it ([`crate::io::store::remote_config`]), the few
//! environment variables that may be set, and the files and credentials that all of these name.

mod desk;
pub mod limits;
mod line_load;
mod names;
mod reading;
mod remote_ports;
mod upstream_load;

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use self::limits::LimitsOf;
use self::reading::Reading;

use crate::base::text::excerpt;
use crate::cloud::remote_config::FileContent;
use crate::config::{
    Compiled, FirstPass, NamedProfile, NeededSource, PREFIX, Problem, ReadSources, Report,
    SecondPass, Severity, SourcePosition, SourceText, did_you_mean,
};
use crate::field::plan::forecast::forecast;
use crate::field::plan::holes::Holes;
use crate::hub::upstream::Upstream;
use crate::io::files::footprint::Footprint;
use crate::io::files::service_account::ServiceAccount;
use crate::io::log;
use crate::io::store::remote_config;
use crate::spec::{ControlSpec, Spec};

/// Where the configuration is by default.
pub const DEFAULT_PATH: &str = "/etc/alink-gateway/gateway.yaml";

/// Where the platform's secrets and files are kept, unless the configuration or systemd says
/// otherwise.
pub const DEFAULT_STATE: &str = "/var/lib/alink-gateway";

/// A configuration without errors.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The installation it describes.
    pub spec: Spec,
    /// The warnings about it.
    pub warnings: Report,
    /// How many profiles there are, used or not.
    pub profiles: usize,
    /// False while the gateway's identity is still the package's placeholder:
    /// such a gateway runs, but must not connect to the platform.
    pub commissioned: bool,
    /// Where to keep the platform's secrets and files.
    pub state_dir: PathBuf,
    /// The settings of the control socket and metrics.
    pub control: ControlSpec,
    /// The platform's file that is a part of the configuration.
    pub remote: Option<PathBuf>,
    /// What will be sent to the platform; `None` if the load was not judged.
    pub upstream: Option<Upstream>,
    /// The files that it was read from.
    pub footprint: Footprint,
}

/// A file of the platform that has been in force and does not go together with the gateway's
/// own files any more.
#[derive(Clone, Debug)]
pub struct RemoteMismatch {
    /// The file.
    pub file: PathBuf,
    /// What is wrong with both together.
    pub report: Report,
}

/// Where the configuration says what is judged once all of it is known.
struct Positions {
    /// Each port.
    ports: Vec<SourcePosition>,
    /// `cloud.post:`, or `cloud:`.
    post: SourcePosition,
}

/// Which files that cannot be read have a stand-in, for a look at a configuration where only the
/// box has them: a laptop, say. What is started or loaded anew never has any.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DeskMode {
    /// None.
    #[default]
    No,
    /// Those with secrets.
    Secrets,
    /// Those with secrets or certificates, and the variables that a unit sets.
    All,
}

/// The environment of the configuration, which may change its meaning.
#[derive(Clone, Debug, Default)]
pub struct LoadContext {
    /// Environment variables; those without the gateway's prefix do not matter.
    pub environment: Vec<(String, String)>,
    /// Where systemd has put the service's credentials.
    pub credentials: Option<PathBuf>,
    /// The state directory that systemd has made.
    pub state: Option<PathBuf>,
    /// Whether a credential may be absent because there is no directory of credentials: this is
    /// so when a person runs `check` from a shell.
    pub by_hand: bool,
    /// The account with which the service will read the files, if it differs from the current
    /// user and may lack permission.
    pub service: Option<ServiceAccount>,
    /// The directory of the service's configuration. A file of a configuration there that the
    /// service cannot read is an error: it would not start.
    pub service_home: PathBuf,
    /// The directory in which serial adapters have permanent names.
    pub by_id: Option<PathBuf>,
    /// The process or unit whose limits of threads and open files apply.
    pub limits: LimitsOf,
    /// Which files have a stand-in.
    pub desk: DeskMode,
}

impl LoadContext {
    /// Returns the context of this process.
    #[must_use]
    pub fn of_process() -> Self {
        let environment = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value)))
            .filter(|(name, _)| name.starts_with(PREFIX))
            .map(|(name, value)| (name, value.to_string_lossy().into_owned()))
            .collect();
        LoadContext {
            environment,
            credentials: std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from),
            state: std::env::var_os("STATE_DIRECTORY").and_then(first_path),
            by_hand: false,
            service: None,
            service_home: home(),
            by_id: Some(names::BY_ID.into()),
            limits: LimitsOf::Process,
            desk: DeskMode::No,
        }
    }

    /// Returns the context of this process, when a person checks a configuration that the
    /// service will use.
    #[must_use]
    pub fn of_person() -> Self {
        let process = LoadContext::of_process();
        LoadContext {
            by_hand: true,
            service: ServiceAccount::of_service(),
            service_home: process.service_home,
            // A command that a unit runs for a reload is told of the credentials by systemd 252,
            // but may not read them; it knows as little as a person.
            credentials: process.credentials.filter(|d| fs::read_dir(d).is_ok()),
            environment: process.environment,
            state: process.state,
            by_id: process.by_id,
            limits: LimitsOf::Unit,
            desk: DeskMode::No,
        }
    }
}

impl LoadContext {
    /// Notes on a file of the configuration in `base` what the service can do with it.
    fn look_at(&self, source: &mut SourceText, base: &Path) {
        let Some(service) = self.service.as_ref().filter(|_| source.bytes.is_ok()) else {
            return;
        };
        let path = Path::new(&source.path);
        source.is_open_for_the_service = service.reads_as_other(path);
        source.hidden = service.obstacle(path);
        if let Some(hidden) = &mut source.hidden {
            let base = std::path::absolute(base).unwrap_or_else(|_| base.into());
            hidden.is_of_the_service = base.starts_with(&self.service_home);
        }
    }
}

/// Loads the configuration for running it.
///
/// # Errors
/// All errors and warnings, if there is an error.
pub fn load(path: &Path) -> Result<Loaded, Report> {
    load_in(path, &LoadContext::of_process())
}

/// Loads the configuration for a start. A file of the platform that spoils the configuration is
/// left out and reported, because a gateway that has lost its power must start by itself; a
/// file that has not proven itself is not looked at.
///
/// # Errors
/// All errors and warnings, if there is an error in the gateway's own files; the platform's
/// file causes none.
pub fn load_to_start(path: &Path) -> Result<(Loaded, Option<RemoteMismatch>), Report> {
    load_to_start_in(path, &LoadContext::of_process())
}

/// Loads the configuration for a start in this context.
///
/// # Errors
/// As [`load_to_start`].
pub fn load_to_start_in(
    path: &Path,
    context: &LoadContext,
) -> Result<(Loaded, Option<RemoteMismatch>), Report> {
    let proven = told(
        load_fitting(path, context, &RemoteFile::Proven, &mut Vec::new()),
        context,
    );
    let report = match proven {
        Ok(loaded) => return Ok((loaded, None)),
        Err(report) => report,
    };
    let alone = told(
        load_fitting(path, context, &RemoteFile::None, &mut Vec::new()),
        context,
    )?;
    let file = remote_config::proven_path(&alone.state_dir);
    Ok((alone, Some(RemoteMismatch { file, report })))
}

/// Returns the files of a configuration that have changed since it was read, in the order of
/// their names. Reads files, and may block.
#[must_use]
pub fn changed(footprint: &Footprint) -> Vec<PathBuf> {
    let list = |directory: &Path, pattern: &str| reading::list(directory, pattern);
    footprint.changed(|directory, pattern| list(directory, pattern).unwrap_or_default())
}

/// Returns where a file of the platform is kept, if the gateway's own files want one. Nothing
/// of the platform's is read.
///
/// # Errors
/// All errors, if a file cannot be read.
pub fn remote_home(path: &Path) -> Result<Option<PathBuf>, Report> {
    let context = LoadContext::of_process();
    let draft = FirstPass::new(
        &sources(path, &context, &mut Reading::new()),
        &context.environment,
    )?;
    let (policy, state_dir) = draft.remote();
    Ok(policy
        .enabled
        .then(|| state_dir_of(state_dir, path, &context)))
}

/// Loads the configuration as it would be with this file of the platform's instead of the
/// stored one.
///
/// # Errors
/// All errors and warnings, if there is an error.
pub fn load_with(path: &Path, remote_file: &FileContent) -> Result<Loaded, Report> {
    let context = LoadContext::of_process();
    told(
        load_fitting(
            path,
            &context,
            &RemoteFile::This(remote_file),
            &mut Vec::new(),
        ),
        &context,
    )
}

/// Loads the configuration in this context.
///
/// # Errors
/// All errors and warnings, if there is an error.
pub fn load_in(path: &Path, context: &LoadContext) -> Result<Loaded, Report> {
    load_with_stand_ins(path, context).0
}

/// Loads the configuration in this context, and names the files and variables that have a
/// stand-in, also if there is an error.
pub fn load_with_stand_ins(
    path: &Path,
    context: &LoadContext,
) -> (Result<Loaded, Report>, Vec<String>) {
    desk::with_variables(context, &|context, absent| {
        let loaded = load_fitting(path, context, &RemoteFile::Stored, absent);
        told(loaded, context)
    })
}

/// Returns where the service that is given this file is asked, also if other sections of the file
/// are wrong; `None` if it cannot be read, or does not say so.
#[must_use]
pub fn socket_in(path: &Path, context: &LoadContext) -> Option<PathBuf> {
    let sources = sources(path, context, &mut Reading::new());
    let draft = FirstPass::new(&sources, &context.environment).ok()?;
    draft.control().socket
}

/// Loads the configuration as [`load_whatever_the_load`] does, and names the files and variables
/// that have a stand-in.
pub fn look_with_stand_ins(
    path: &Path,
    context: &LoadContext,
) -> (Result<Loaded, Report>, Vec<String>) {
    desk::with_variables(context, &|context, absent| {
        load_files(path, context, &RemoteFile::Stored, absent).map(|(loaded, _)| loaded)
    })
}

/// Which file of the platform is a part of the configuration, if one is wanted.
enum RemoteFile<'a> {
    None,
    /// The file that has proven itself.
    Proven,
    /// The file in force, on probation or not.
    Stored,
    This(&'a FileContent),
}

impl RemoteFile<'_> {
    fn read(&self, state_dir: &Path, reading: &mut Reading) -> Option<SourceText> {
        let path = match self {
            RemoteFile::Stored => remote_config::in_force(state_dir),
            RemoteFile::None | RemoteFile::Proven | RemoteFile::This(_) => {
                remote_config::proven_path(state_dir)
            }
        };
        match self {
            RemoteFile::None => None,
            RemoteFile::This(content) => {
                let bytes = reading.given(content.bytes());
                Some(SourceText::of(remote_config::FILE.into(), bytes))
            }
            RemoteFile::Stored | RemoteFile::Proven => {
                let absent =
                    fs::symlink_metadata(&path).is_err_and(|e| e.kind() == ErrorKind::NotFound);
                (!absent).then(|| reading.config(&path))
            }
        }
    }
}

/// Returns what was loaded, unless the log filter is wrong and nothing could be logged. A
/// target in it that does not exist is a warning.
fn told(loaded: Result<Loaded, Report>, context: &LoadContext) -> Result<Loaded, Report> {
    let Some(problem) = log_filter_problem(context) else {
        return loaded;
    };
    match (problem.severity, loaded) {
        (Severity::Warning, Ok(mut loaded)) => {
            loaded.warnings = loaded.warnings.with([problem]);
            Ok(loaded)
        }
        (_, Ok(Loaded { warnings: told, .. }) | Err(told)) => Err(told.with([problem])),
    }
}

/// Loads the configuration in this context for a look at it: no load is judged.
///
/// # Errors
/// All errors and warnings, if there is another error.
pub fn load_whatever_the_load(path: &Path, context: &LoadContext) -> Result<Loaded, Report> {
    look_with_stand_ins(path, context).0
}

/// Returns what is wrong with the log filter: it is no part of the configuration, but the
/// service does not start with a wrong filter either.
fn log_filter_problem(context: &LoadContext) -> Option<Problem> {
    let (name, said) = context.environment.iter().find(|(n, _)| n == log::FILTER)?;
    // An empty filter counts as not set.
    if said.trim().is_empty() {
        return None;
    }
    let problem = |severity, said: &str, wanted, hint| Problem {
        severity,
        file: "environment".into(),
        line: 0,
        column: 0,
        path: name.clone(),
        said: excerpt(said.as_bytes(), 60),
        wanted,
        hint,
    };
    if log::try_filter(said).is_err() {
        let hint = "one library alone is target=level; several are separated by commas";
        let wanted = "error, warn, info, debug or trace".into();
        return Some(problem(Severity::Error, said, wanted, Some(hint.into())));
    }
    let unknown = *log::unknown_targets(said).first()?;
    // `all` is for a service that runs; a filter has a level alone for that.
    let known: Vec<&str> = log::targets().skip(1).collect();
    let meant = did_you_mean(unknown, known.iter().copied());
    let wanted = format!("a level, or one for a target: {}", known.join(", "));
    Some(problem(Severity::Warning, unknown, wanted, meant))
}

/// Loads the configuration, unless its lines or its connection have to carry more than they can,
/// or it needs more than its unit may have.
fn load_fitting(
    path: &Path,
    context: &LoadContext,
    remote_file: &RemoteFile<'_>,
    absent: &mut Vec<String>,
) -> Result<Loaded, Report> {
    let (mut loaded, positions) = load_files(path, context, remote_file, absent)?;
    if let Some(by_id) = &context.by_id {
        let renamed = names::check(&loaded.spec, &positions.ports, by_id);
        loaded.warnings = loaded.warnings.with(renamed);
    }
    if let Some(limits) = context.limits.find(&unit_of(path)) {
        let beyond = limits::check(&loaded.spec, &positions.ports, &limits);
        loaded.warnings = loaded.warnings.with(beyond);
    }
    // Without the learned holes: the configuration alone decides whether it is right.
    let lines = forecast(&loaded.spec, |_| Holes::new());
    let upstream = Upstream::of(&Arc::new(loaded.spec.clone()), &lines);
    let loads = line_load::problems(&loaded.spec, &lines, &positions.ports).into_iter();
    let loads = loads.chain(upstream_load::problem(&upstream, &positions.post));
    loaded.warnings = loaded.warnings.with(loads);
    loaded.upstream = Some(upstream);
    match loaded.warnings.errors() {
        0 => Ok(loaded),
        _ => Err(loaded.warnings),
    }
}

/// Returns the configuration of this instance of the template unit, or of the unit itself.
#[must_use]
pub fn path_of(instance: Option<&str>) -> PathBuf {
    match instance {
        None => DEFAULT_PATH.into(),
        Some(name) => home().join(name).join("gateway.yaml"),
    }
}

/// Returns the directory of the service's configuration.
fn home() -> PathBuf {
    let home = Path::new(DEFAULT_PATH).parent();
    home.map(Path::to_owned).unwrap_or_default()
}

/// Returns the instance of `alink-gateway@.service` that is given this file: its configuration
/// is in a folder of its name.
fn instance_of(path: &Path) -> Option<String> {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.into());
    let folder = path.parent()?;
    let home = Path::new(DEFAULT_PATH).parent();
    let instance = folder.file_name().and_then(OsStr::to_str);
    let instance = instance.filter(|_| folder.parent() == home);
    instance.map(str::to_owned)
}

/// Returns where the unit that is given this file keeps its state.
fn state_of(path: &Path) -> PathBuf {
    match instance_of(path) {
        Some(name) => format!("{DEFAULT_STATE}@{name}").into(),
        None => DEFAULT_STATE.into(),
    }
}

/// Returns the unit that is given this file.
fn unit_of(path: &Path) -> String {
    match instance_of(path) {
        Some(name) => format!("alink-gateway@{name}.service"),
        None => "alink-gateway.service".into(),
    }
}

/// Reads the gateway's own files.
fn sources(path: &Path, context: &LoadContext, reading: &mut Reading) -> Vec<SourceText> {
    let base = path.parent().unwrap_or(Path::new(""));
    let mut sources = vec![reading.config(path)];
    sources.extend(reading.matching(base, "conf.d/*.yaml"));
    for source in &mut sources {
        context.look_at(source, base);
    }
    sources
}

/// Returns where state is kept: as the configuration says, or systemd, or by default.
fn state_dir_of(said: Option<PathBuf>, path: &Path, context: &LoadContext) -> PathBuf {
    said.or_else(|| context.state.clone())
        .unwrap_or_else(|| state_of(path))
}

fn load_files(
    path: &Path,
    context: &LoadContext,
    remote_file: &RemoteFile<'_>,
    absent: &mut Vec<String>,
) -> Result<(Loaded, Positions), Report> {
    let base = path.parent().unwrap_or(Path::new(""));
    let mut reading = Reading::new();
    let sources = sources(path, context, &mut reading);
    let mut draft = FirstPass::new(&sources, &context.environment)?;
    let (policy, state_dir) = draft.remote();
    let state_dir = state_dir_of(state_dir, path, context);
    let mut unseen = None;
    let remote = remote_file
        .read(&state_dir, &mut reading)
        .filter(|_| policy.enabled);
    let remote = remote.filter(|source| {
        // The person who runs `check` may not be the user that runs the service.
        let hidden = context.by_hand && source.bytes.is_err();
        unseen = hidden.then(|| unseen_by_hand(source));
        !hidden
    });
    if let Some(remote) = &remote {
        draft = FirstPass::with_remote(&sources, remote, &context.environment)?;
    }
    let answers = parts(&draft, base, context, &mut reading, absent);
    let outline = draft.outline(&answers);
    let answers = answer(&outline.wants(), base, context, &mut reading, absent);
    let Compiled {
        mut spec,
        mut warnings,
        profiles,
        commissioned,
        state_dir: _,
        control,
        ports,
        post,
    } = outline.compile(&answers)?;
    if let Some(unseen) = unseen {
        warnings = warnings.with([unseen]);
    }
    if let Some(source) = &remote {
        let adopted = matches!(remote_file, RemoteFile::This(_));
        remote_ports::check(&spec, &ports, &source.path, adopted)?;
    }
    if policy.enabled {
        spec.cloud.remote.failed = remote_config::failures(&state_dir);
    }
    let mut footprint = reading.into_footprint();
    // What the platform has given is kept there, and changed by the service.
    footprint.forget(&state_dir);
    let loaded = Loaded {
        footprint,
        spec,
        warnings,
        profiles,
        commissioned,
        remote: remote.map(|_| match remote_file {
            RemoteFile::Stored => remote_config::in_force(&state_dir),
            RemoteFile::None | RemoteFile::Proven | RemoteFile::This(_) => {
                remote_config::proven_path(&state_dir)
            }
        }),
        state_dir,
        control,
        upstream: None,
    };
    Ok((loaded, Positions { ports, post }))
}

/// Returns all profiles of a configuration, with the product that each names; secrets and ports
/// need not be there.
///
/// # Errors
/// All problems, if there is a profile that cannot be read.
pub fn profiles(path: &Path, context: &LoadContext) -> Result<Vec<NamedProfile>, Report> {
    let mut reading = Reading::new();
    let sources = sources(path, context, &mut reading);
    let outline = outline_of(&sources, path, context, &mut reading)?;
    let profiles = outline.profiles().to_vec();
    match profiles.is_empty() {
        true => Err(outline.into_report()),
        false => Ok(profiles),
    }
}

/// Returns the profile in a file of its own, with the product that it names.
///
/// # Errors
/// All problems, if it cannot be read.
pub fn profile_in(file: &Path, context: &LoadContext) -> Result<Vec<NamedProfile>, Report> {
    let mut reading = Reading::new();
    let name = serde_json::Value::from(file.display().to_string());
    // A configuration without a mistake of its own. JSON is YAML: quotes and all.
    let only = format!(
        "{{\"gateway\":{{\"product_key\":\"a1\",\"device_name\":\"gateway\",\"secret\":\"none\"}},\
         \"cloud\":{{\"url\":\"mqtts://localhost\"}},\"profiles_from\":[{name}]}}"
    );
    let source = SourceText::of(file.display().to_string(), Ok(only.into_bytes().into()));
    let outline = outline_of(&[source], Path::new(""), context, &mut reading)?;
    match outline.has_failed() {
        true => Err(outline.into_report()),
        false => Ok(outline.profiles().to_vec()),
    }
}

fn outline_of(
    sources: &[SourceText],
    path: &Path,
    context: &LoadContext,
    reading: &mut Reading,
) -> Result<SecondPass, Report> {
    let base = path.parent().unwrap_or(Path::new(""));
    let draft = FirstPass::new(sources, &[])?;
    let answers = parts(&draft, base, context, reading, &mut Vec::new());
    Ok(draft.outline(&answers))
}

/// Reads the profiles and tables of a configuration, and the files that those profiles are based
/// on.
fn parts(
    draft: &FirstPass,
    base: &Path,
    context: &LoadContext,
    reading: &mut Reading,
    absent: &mut Vec<String>,
) -> ReadSources {
    let mut answers = answer(&draft.wants(), base, context, reading, absent);
    loop {
        let bases = draft.bases(&answers);
        if bases.is_empty() {
            return answers;
        }
        answers.extend(answer(&bases, base, context, reading, absent));
    }
}

fn unseen_by_hand(source: &SourceText) -> Problem {
    let why = source.bytes.as_ref().err().cloned().unwrap_or_default();
    Problem {
        severity: Severity::Warning,
        file: source.path.as_str().into(),
        line: 0,
        column: 0,
        path: String::new(),
        said: why,
        wanted: "a remote configuration that can be read".into(),
        hint: Some("it is in force and not looked at here: check as root".into()),
    }
}

/// Returns the first directory of a list: systemd lists all directories of a unit, with colons
/// between them (systemd.exec(5), `StateDirectory=`).
fn first_path(list: std::ffi::OsString) -> Option<PathBuf> {
    std::env::split_paths(&list).find(|path| path.is_absolute())
}

fn answer(
    wants: &BTreeSet<NeededSource>,
    base: &Path,
    context: &LoadContext,
    reading: &mut Reading,
    absent: &mut Vec<String>,
) -> ReadSources {
    let mut one = |want: &NeededSource| match want {
        NeededSource::File(name) => vec![reading.config(&base.join(name))],
        NeededSource::Beside(path) => vec![reading.config(Path::new(path))],
        NeededSource::Secret(name) => {
            let source = reading.secret(&base.join(name));
            vec![desk::stand_in(source, want, context.desk, absent)]
        }
        NeededSource::Bundle(name) => {
            let source = reading.bundle(&base.join(name));
            vec![desk::stand_in(source, want, context.desk, absent)]
        }
        NeededSource::Pattern(pattern) => reading.matching(base, pattern),
        NeededSource::Credential(name) => match &context.credentials {
            Some(directory) => vec![reading.secret(&directory.join(name))],
            None if context.by_hand => Vec::new(),
            None => {
                let why = "systemd has handed over no credentials".to_owned();
                vec![SourceText::of("$CREDENTIALS_DIRECTORY".into(), Err(why))]
            }
        },
    };
    let looked_at = |want: &NeededSource| {
        let mut found = one(want);
        // systemd reads the credentials that it hands over as root.
        if !matches!(want, NeededSource::Credential(_)) {
            for source in &mut found {
                context.look_at(source, base);
            }
        }
        (want.clone(), found)
    };
    wants.iter().map(looked_at).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instance_has_its_state_to_itself_whoever_looks() {
        for (file, state) in [
            ("/etc/alink-gateway/gateway.yaml", "/var/lib/alink-gateway"),
            (
                "/etc/alink-gateway/north/gateway.yaml",
                "/var/lib/alink-gateway@north",
            ),
            ("/srv/gateway.yaml", "/var/lib/alink-gateway"),
            (
                "/etc/alink-gateway/a/b/gateway.yaml",
                "/var/lib/alink-gateway",
            ),
        ] {
            assert_eq!(state_of(Path::new(file)), Path::new(state));
            let unit = format!("{}.service", state.trim_start_matches("/var/lib/"));
            assert_eq!(unit_of(Path::new(file)), unit);
        }
    }
}
