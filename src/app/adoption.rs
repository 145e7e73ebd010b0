//! A configuration from the platform put into force, or out of it.
//!
//! Checked, stored, applied, in this order. When it is stored it has been
//! checked; when the power goes before it is applied, the next start applies it,
//! and the platform is answered then, when it pushes it again, that it is in
//! force.

use std::path::Path;

use super::notice::Notice;
use super::service::Service;
use super::{take, tell_refused};
use crate::cloud::Done;
use crate::cloud::remote::Content;
use crate::config::{Report, Severity};
use crate::io::log::Journal;
use crate::io::remote;
use crate::io::settings::{self, Loaded, Misfit};

/// Checks it with the gateway's own files as they are now, stores it and goes on
/// with it; the mind hears how that ended.
pub(super) async fn adopt(
    service: &mut Service,
    config: &Path,
    serial: u64,
    content: Content,
    journal: &Journal,
) {
    let path = config.to_owned();
    let storing = tokio::task::spawn_blocking(move || check_and_store(&path, &content));
    let result = match storing.await {
        Err(e) => Err(e.to_string()),
        Ok(Err(Unfit::Wrong(report))) => {
            let why = in_short(&report);
            tell_refused(&report, journal);
            Err(why)
        }
        Ok(Err(Unfit::NotEnabled)) => {
            Err("not enabled any more in the gateway's own files".to_owned())
        }
        Ok(Err(Unfit::NotStored(why))) => Err(why),
        Ok(Ok(loaded)) => {
            take(service, *loaded, journal).await;
            Ok(())
        }
    };
    service.done(Done::Adopted { serial, result }).await;
}

/// Takes a file out of force that does not go together with the gateway's own
/// any more.
pub(super) fn set_aside(misfit: Misfit, state_dir: &Path, journal: &Journal) {
    let aside = remote::set_aside(state_dir).map_err(|e| e.to_string());
    journal.tell(&Notice::RemoteSetAside {
        file: misfit.file,
        aside,
    });
    for notice in Notice::problems(&misfit.report) {
        journal.tell(&notice);
    }
}

enum Unfit {
    Wrong(Report),
    NotEnabled,
    NotStored(String),
}

fn check_and_store(config: &Path, content: &Content) -> Result<Box<Loaded>, Unfit> {
    let loaded = settings::load_with(config, content).map_err(Unfit::Wrong)?;
    let Some(file) = loaded.remote.clone() else {
        return Err(Unfit::NotEnabled);
    };
    let not_stored = |e| Unfit::NotStored(cannot_store(&file, &e));
    remote::store(&loaded.state_dir, content.bytes()).map_err(not_stored)?;
    Ok(Box::new(loaded))
}

fn cannot_store(file: &Path, e: &std::io::Error) -> String {
    format!("{} cannot be written: {e}", file.display())
}

/// The first error on one line, and how many more there are.
fn in_short(report: &Report) -> String {
    let mut errors = report.problems().iter();
    let Some(first) = errors.find(|p| p.severity == Severity::Error) else {
        return "the configuration is wrong".into();
    };
    let first = Notice::Problem(Box::new(first.clone()));
    let first = crate::base::Tell::sentence(&first);
    match report.errors() - 1 {
        0 => first,
        n => format!("{first}; and {n} more"),
    }
}
