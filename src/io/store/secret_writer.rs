//! Carries secrets of devices from the coordinator to the secret store and back.
//!
//! A device that has no secret in the configuration is registered by the coordinator. The
//! coordinator is handed the secrets that an earlier process was given ([`SecretWriter::kept`],
//! [`SecretWriter::respec`]) and hands out the new ones ([`SecretWriter::keep`]). Neither the
//! coordinator nor its loop waits for a disk: one write is under way at a time, in a task of
//! its own, and the next one takes along all secrets that have gathered meanwhile.
//!
//! Before a device is registered it is found out whether a secret could be kept
//! ([`SecretWriter::is_usable`]). No device is registered unless the last write succeeded, and
//! succeeded lately, because disks fill up between a start and the day a device is added.
//!
//! Contract: [`SecretWriter::start`] once per turn of the loop, [`SecretWriter::written`]
//! among what it waits for, [`SecretWriter::finish`] at the end.
//!
//! Invariants:
//! - Of each device at most one secret waits, the newest.
//! - A secret that could not be written is reported, waits, and is tried again.
//! - The secret store is written to only if there is a secret to keep, or the coordinator wants
//!   to request secrets that would have to be kept.
//! - A secret that the configuration has is never replaced by one from the secret store.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;

use crate::base::{DeviceId, Mono, RateLimit, Secret};
use crate::io::log::Journal;
use crate::io::store::secret_store::{SecretStore, SecretStoreError, SecretStoreEvent};
use crate::io::system::clock::Clock;
use crate::spec::{Changes, Spec};

/// How long after a failed write the next one is tried: a full disk is emptied by a person.
const AGAIN: Duration = Duration::from_secs(60);

/// How long a write that succeeded shows that the next one would.
const PROVEN: Duration = Duration::from_secs(60);

/// Secrets by device.
type Secrets = BTreeMap<DeviceId, Secret>;

/// The writer of secrets.
#[derive(Debug)]
pub struct SecretWriter {
    secret_store: SecretStore,
    spec: Arc<Spec>,
    journal: Journal,
    waiting: Secrets,
    /// The secrets that are being written; none if the write only finds out whether they could
    /// be.
    under_way: Option<(Secrets, JoinHandle<Result<(), SecretStoreError>>)>,
    not_before: Mono,
    failed: RateLimit,
    /// When the last write succeeded, unless one has failed since.
    proven: Option<Mono>,
    /// Whether it has been reported that nothing can be kept.
    told: bool,
}

impl SecretWriter {
    /// Makes a writer that keeps in `secret_store` the secrets of the devices of `spec`.
    #[must_use]
    pub fn new(secret_store: SecretStore, spec: Arc<Spec>, journal: Journal) -> Self {
        SecretWriter {
            secret_store,
            spec,
            journal,
            waiting: Secrets::new(),
            under_way: None,
            not_before: Mono::START,
            failed: RateLimit::default(),
            proven: None,
            told: false,
        }
    }

    /// Returns whether a secret could be kept, as a recent write has shown.
    #[must_use]
    pub fn is_usable(&self, now: Mono) -> bool {
        self.proven.is_some_and(|at| now.since(at) < PROVEN)
    }

    /// Returns the secrets that an earlier process was given for devices without a secret in
    /// the configuration.
    #[must_use]
    pub fn kept(&self) -> Vec<(DeviceId, Secret)> {
        let known = self.spec.devices().filter_map(|(id, _)| self.given(id));
        known.collect()
    }

    /// Takes over another installation; returns the kept secrets of devices that had no use for
    /// them before.
    pub fn respec(&mut self, spec: Arc<Spec>, changes: &Changes) -> Vec<(DeviceId, Secret)> {
        self.spec = spec;
        let changed = changes.devices.changed.iter();
        let changed = changed.filter(|(_, c)| c.secret).map(|(id, _)| id);
        let added = changes.devices.added.iter();
        added
            .chain(changed)
            .filter_map(|id| self.given(*id))
            .collect()
    }

    /// Returns the kept secret of a device that has none in the configuration.
    fn given(&self, id: DeviceId) -> Option<(DeviceId, Secret)> {
        let device = self.spec.device(id).filter(|d| d.secret.is_empty())?;
        let writing = self.under_way.as_ref().map(|(secrets, _)| secrets);
        let new = self.waiting.get(&id).or(writing.and_then(|s| s.get(&id)));
        let secret = match new {
            Some(secret) => secret.clone(),
            None => self
                .secret_store
                .device(&device.product_key, &device.device_name)?,
        };
        Some((id, secret))
    }

    /// Queues a secret to be kept.
    pub fn keep(&mut self, device: DeviceId, secret: Secret) {
        self.waiting.insert(device, secret);
    }

    /// Begins to write the waiting secrets, or, if `wanted`, to find out whether secrets could
    /// be written; unless a write is under way or has just failed.
    pub fn start(&mut self, now: Mono, wanted: bool) {
        if self.under_way.is_some() || now < self.not_before {
            return;
        }
        if self.waiting.is_empty() {
            if wanted && !self.is_usable(now) {
                let secret_store = self.secret_store.clone();
                let task = tokio::spawn(async move { secret_store.probe().await });
                self.under_way = Some((Secrets::new(), task));
            }
            return;
        }
        let secrets = std::mem::take(&mut self.waiting);
        // A device id stands for one identity for ever.
        let list = secrets.iter().filter_map(|(id, secret)| {
            let device = self.spec.device(*id)?;
            let whose = (device.product_key.clone(), device.device_name.clone());
            Some((whose.0, whose.1, secret.clone()))
        });
        let (secret_store, list) = (self.secret_store.clone(), list.collect());
        let task = tokio::spawn(async move { secret_store.keep_devices(list).await });
        self.under_way = Some((secrets, task));
    }

    /// Waits until the write under way has ended; for ever if there is none. Returns true if
    /// this write succeeded and the one before failed, or there was none before: then
    /// [`SecretWriter::kept`] may be more. May be dropped and called again.
    pub async fn written(&mut self, clock: Clock) -> bool {
        let Some((_, task)) = &mut self.under_way else {
            return std::future::pending().await;
        };
        // The task ends early only together with the runtime.
        let done = task
            .await
            .unwrap_or_else(|e| Err(SecretStoreError::Closed(e.to_string())));
        let secrets = self.under_way.take().map(|(secrets, _)| secrets);
        match done {
            Ok(()) => {
                self.failed.over();
                if std::mem::take(&mut self.told) {
                    self.journal.tell(&SecretStoreEvent::Usable);
                }
                self.proven.replace(clock.now().mono).is_none()
            }
            Err(e) => {
                self.put_back(clock.now().mono, secrets.unwrap_or_default(), &e);
                false
            }
        }
    }

    fn put_back(&mut self, now: Mono, secrets: Secrets, why: &SecretStoreError) {
        let devices = secrets.len();
        for (id, secret) in secrets {
            // A secret that came meanwhile is newer.
            self.waiting.entry(id).or_insert(secret);
        }
        self.not_before = now + AGAIN;
        self.proven = None;
        let news = !std::mem::replace(&mut self.told, true);
        let why_in_words = why.to_string();
        if devices > 0 {
            if self.failed.hit(now, 1).is_some() {
                let why = why_in_words;
                self.journal
                    .tell(&SecretStoreEvent::NotKept { devices, why });
            }
        } else if news && !matches!(why, SecretStoreError::Closed(_)) {
            // A closed store was reported when it was opened.
            self.journal
                .tell(&SecretStoreEvent::Unusable { why: why_in_words });
        }
    }

    /// Writes the secrets that are left, once. The caller bounds the time.
    pub async fn finish(&mut self, clock: Clock) {
        if self.under_way.is_some() {
            self.written(clock).await;
        }
        self.not_before = Mono::START;
        self.start(clock.now().mono, false);
        if self.under_way.is_some() {
            self.written(clock).await;
        }
    }
}

#[cfg(test)]
mod tests;
