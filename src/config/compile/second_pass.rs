//! The second half of the way: everything but the secrets, and then the secrets.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use crate::base::{DeviceName, ProductKey, Secret};
use crate::config::compile::device_registry::{DeviceDraft, DeviceRegistry};
use crate::config::reader::contents::contents;
use crate::config::reader::problem::{Expectation, Report, SourcePosition};
use crate::config::reader::section::{Notes, shown};
use crate::config::reader::source::{NeededSource, ReadSources};
use crate::config::reader::tree::OriginId;
use crate::config::sections::cloud::{Platform, check_fleet};
use crate::config::sections::port::Ports;
use crate::config::sections::profile::NamedProfile;
use crate::config::sections::secret;
use crate::config::sections::secret::{SecretProblem, SecretSource, open_to_others, permissions};
use crate::spec::{
    BrokerSpec, BusAddress, CloudSpec, CommandSpec, ControlSpec, DeviceSpec, GatewayCertificate,
    GatewayIdentity, ProductCertificate, Retired, Spec,
};

/// The second step: everything but the secrets.
pub struct SecondPass {
    pub(crate) notes: Notes,
    pub(crate) platform: Platform,
    pub(crate) ports: Ports,
    /// All profiles with the product that each names, by their names.
    pub(crate) profiles: Vec<NamedProfile>,
    /// Products whose secrets are known, once for each profile that gives the secret.
    pub(crate) products: Vec<(String, SecretSource)>,
    pub(crate) registry: DeviceRegistry,
    pub(crate) stop_within: Duration,
    pub(crate) commands: CommandSpec,
    pub(crate) state_dir: Option<PathBuf>,
    pub(crate) control: ControlSpec,
}

/// The third step: what the configuration means.
#[derive(Clone, Debug)]
pub struct Compiled {
    /// The installation.
    pub spec: Spec,
    /// Problems that do not prevent a start.
    pub warnings: Report,
    /// How many profiles there are, used or not.
    pub profiles: usize,
    /// Whether the gateway has an identity. False while its identity is still the package's
    /// placeholder, with which it cannot connect to the platform.
    pub commissioned: bool,
    /// The directory for what the platform hands out, if the configuration names it.
    pub state_dir: Option<PathBuf>,
    /// The entries for questions to the running service.
    pub control: ControlSpec,
    /// Where each port was written.
    pub ports: Vec<SourcePosition>,
    /// Where `cloud.post:` was written, or `cloud:` if it was not.
    pub post: SourcePosition,
}

impl SecondPass {
    /// Returns all profiles that could be read, with the product that each names, by their names,
    /// whatever else is wrong with the configuration.
    #[must_use]
    pub fn profiles(&self) -> &[NamedProfile] {
        &self.profiles
    }

    /// Returns whether there is an error so far.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.notes.failed()
    }

    /// Returns the problems so far.
    #[must_use]
    pub fn into_report(self) -> Report {
        self.notes.report()
    }

    /// Returns what to read next: secrets and the CA file.
    #[must_use]
    pub fn wants(&self) -> BTreeSet<NeededSource> {
        let ca_file = self.platform.ca_file.iter();
        self.secrets()
            .filter_map(SecretSource::want)
            .chain(ca_file.map(|(name, _)| NeededSource::Bundle(name.clone())))
            .collect()
    }

    fn secrets(&self) -> impl Iterator<Item = &SecretSource> {
        let devices = self.registry.all.iter();
        let devices = devices.flat_map(|d| std::iter::once(&d.secret).chain(d.access.sources()));
        let products = self.products.iter().map(|(_, secret)| secret);
        [&self.platform.secret]
            .into_iter()
            .chain(products)
            .chain(devices)
    }

    /// Takes the files that were read and finishes the compilation.
    ///
    /// # Errors
    /// All problems, if any of them is an error.
    pub fn compile(mut self, answers: &ReadSources) -> Result<Compiled, Report> {
        if let Some((name, origin)) = &self.platform.ca_file {
            check_ca(name, *origin, answers, &mut self.notes);
        }
        self.check_permissions(answers);
        let SecondPass {
            mut notes,
            platform,
            ports,
            profiles,
            products,
            registry,
            stop_within,
            commands,
            state_dir,
            control,
        } = self;
        let commissioned = platform.commissioned;
        check_fleet(&platform, registry.all.len(), &mut notes);
        let secret = platform.secret.resolve(answers).unwrap_or_else(|trouble| {
            secret::note(vec![trouble], &mut notes);
            Secret::new("")
        });
        let products = products_of(&products, answers, &mut notes);
        let devices = devices(registry.all, answers, &mut notes);
        let post = notes.position(platform.post_at);
        let positions = ports.origins.iter().map(|at| notes.position(*at)).collect();
        let failed = notes.failed();
        let report = notes.report();
        if failed {
            return Err(report);
        }
        Ok(Compiled {
            spec: Spec {
                cloud: cloud(platform, secret, products),
                ports: ports.all,
                devices,
                stop_within,
                commands,
                retired: Retired::default(),
            },
            warnings: report,
            profiles: profiles.len(),
            commissioned,
            state_dir,
            control,
            ports: positions,
            post,
        })
    }

    /// Notes one warning for all secret files that every user can read, and one for all files
    /// that the service cannot read.
    fn check_permissions(&mut self, answers: &ReadSources) {
        let mut open = BTreeMap::new();
        let mut read = Vec::new();
        for source in self.secrets() {
            let found = source.want().and_then(|w| answers.get(&w)?.first());
            if let (SecretSource::File(_, at), Some(found)) = (source, found)
                && found.bytes.is_ok()
            {
                read.push((found, *at));
                if found.mode.is_some_and(open_to_others) {
                    open.entry(found.path.clone()).or_insert((found, *at));
                }
            }
        }
        for (found, at) in read {
            self.notes.look_at(found, at);
        }
        self.notes.judge_files();
        let more = open.len().saturating_sub(1);
        if let Some((path, (found, at))) = open.into_iter().next() {
            let others = match more {
                0 => String::new(),
                n => format!(" and {n} more"),
            };
            let said = format!("{path}{others}, which every user can read");
            self.notes.warning(at, said, permissions(found));
        }
    }
}

/// Finds the secret of each product. Profiles of one product may repeat it.
fn products_of(
    given: &[(String, SecretSource)],
    answers: &ReadSources,
    notes: &mut Notes,
) -> BTreeMap<ProductKey, Secret> {
    let mut products: BTreeMap<ProductKey, Secret> = BTreeMap::new();
    for (key, source) in given {
        let secret = match source.resolve(answers) {
            Ok(secret) if secret.is_empty() => continue,
            Ok(secret) => secret,
            Err(trouble) => {
                secret::note(vec![trouble], notes);
                continue;
            }
        };
        let known = products
            .entry(ProductKey::new(key))
            .or_insert_with(|| secret.clone());
        if *known != secret
            && let Some(at) = source.at()
        {
            notes.error(
                at,
                format!("another secret for {key}"),
                Expectation::wanted("one ProductSecret for each product")
                    .hint("another profile of the same product gives another one"),
            );
        }
    }
    products
}

fn devices(drafts: Vec<DeviceDraft>, answers: &ReadSources, notes: &mut Notes) -> Vec<DeviceSpec> {
    let mut troubles: BTreeMap<(OriginId, String), Vec<SecretProblem>> = BTreeMap::new();
    let mut of_access: BTreeMap<OriginId, SecretProblem> = BTreeMap::new();
    let devices = drafts
        .into_iter()
        .map(|d| DeviceSpec {
            access: {
                let mut own = Vec::new();
                let access = d.access.resolve(answers, &mut own);
                // What a profile says is said once.
                of_access.extend(own.into_iter().map(|trouble| (trouble.at, trouble)));
                access
            },
            serial: d.serial,
            secret: d.secret.resolve(answers).unwrap_or_else(|trouble| {
                let key = (d.at, trouble.fault.clone());
                troubles.entry(key).or_default().push(trouble);
                Secret::new("")
            }),
            name: d.name,
            port: d.port,
            // What stands in for an address that could not be read is never used: the mistake is
            // noted.
            address: d.address.unwrap_or(BusAddress::Raw(None)),
            profile: d.profile,
            product_key: ProductKey::new(&d.product_key),
            device_name: DeviceName::new(&d.device_name),
            liveness: d.liveness,
            response_timeout: d.response_timeout,
            turnaround: d.turnaround,
        })
        .collect();
    for (_, troubles) in troubles {
        secret::note(troubles, notes);
    }
    for trouble in of_access.into_values() {
        secret::note(vec![trouble], notes);
    }
    devices
}

fn cloud(p: Platform, secret: Secret, products: BTreeMap<ProductKey, Secret>) -> CloudSpec {
    let certificate = match p.registration {
        None => GatewayCertificate::Device(secret),
        Some((registration, instance_id)) => GatewayCertificate::Product(ProductCertificate {
            secret,
            registration,
            instance_id,
        }),
    };
    CloudSpec {
        broker: BrokerSpec {
            host: p.host,
            port: p.port,
            transport: p.transport,
            keepalive: p.keepalive,
            connect_timeout: p.connect_timeout,
            subscriptions: p.subscriptions,
        },
        gateway: GatewayIdentity {
            product_key: ProductKey::new(&p.product_key),
            device_name: DeviceName::new(&p.device_name),
            certificate,
        },
        sign_method: p.sign_method,
        products,
        session: p.session,
        post: p.post,
        store: p.store,
        remote: p.remote,
    }
}

fn check_ca(name: &str, origin: OriginId, answers: &ReadSources, notes: &mut Notes) {
    let want = NeededSource::Bundle(name.to_owned());
    let Some(source) = answers.get(&want).and_then(|a| a.first()) else {
        return;
    };
    let Some(bytes) = contents(source, origin, &want, notes) else {
        return;
    };
    let mark = b"-----BEGIN CERTIFICATE-----";
    if !bytes.windows(mark.len()).any(|w| w == mark) {
        notes.error(
            origin,
            format!("{}, which holds no certificate in PEM", shown(name)),
            Expectation::wanted("a PEM file with -----BEGIN CERTIFICATE-----")
                .hint("openssl x509 -inform der -in FILE -out FILE.pem converts a DER file"),
        );
    }
}
