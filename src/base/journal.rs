//! What the journal is for programs: the kinds of events with their ids, and the names of
//! fields.
//!
//! Both are interface. `journalctl EVENT=device-silent`, an alarm on a `MESSAGE_ID` and a
//! line of a log shipper's configuration stay for years on machines that no person
//! visits. A name or an id here is therefore never changed and never used again for
//! something else; `tests/house/journal.rs` keeps them in a golden file. The explanations that
//! `journalctl -x` shows are in `packaging/catalog/`, one for each kind.

use std::fmt;

/// Declares a closed set whose members have a name on the outside: an enum, `ALL`, and the
/// name and meaning of each member.
macro_rules! vocabulary {
    (
        $(#[$about:meta])*
        $name:ident {
            $( #[doc = $means:literal] $member:ident = $called:literal, )*
        }
    ) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum $name {
            $( #[doc = $means] $member, )*
        }

        impl $name {
            /// All of them, in the order of their documentation.
            pub const ALL: &'static [$name] = &[$( $name::$member, )*];

            /// What it is called in the journal.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $( $name::$member => $called, )*
                }
            }

            /// What it means, in one sentence.
            #[must_use]
            pub fn meaning(self) -> &'static str {
                let text = match self {
                    $( $name::$member => $means, )*
                };
                text.trim_start()
            }
        }
    };
}

vocabulary! {
    /// Kinds of events, one for each thing an operator can act on: journal field
    /// `EVENT`, and `MESSAGE_ID` ([`EventKind::message_id`]).
    EventKind {
        /// The service has started.
        ServiceStarted = "service-started",
        /// The configuration is wrong, so the service does not start.
        StartRefused = "start-refused",
        /// The service cannot go on, or cannot start for another reason than its configuration.
        ServiceFailed = "service-failed",
        /// The service was asked to stop and logs all devices out.
        ServiceStopping = "service-stopping",
        /// The service has stopped before all devices were logged out.
        StopUnfinished = "stop-unfinished",
        /// A configuration was loaded anew and is in force.
        Reloaded = "reloaded",
        /// A configuration that was to be loaded anew is wrong; the previous one stays in force.
        ReloadRefused = "reload-refused",
        /// A configuration that was to be loaded anew could not be read in time; the previous one stays in force.
        ReloadTooSlow = "reload-too-slow",
        /// A configuration that was to be loaded anew leaves out many devices and is held back; the previous one stays in force.
        ReloadHeldBack = "reload-held-back",
        /// One thing in the configuration is wrong, or odd.
        ConfigProblem = "config-problem",
        /// A part of the service makes no progress; the watchdog is about to restart it.
        TaskStuck = "task-stuck",
        /// A part of the service that was stuck makes progress again.
        TaskRecovered = "task-recovered",
        /// Journal entries were lost because the journal did not take them in time.
        JournalLost = "journal-lost",
        /// A port is open and its devices are polled.
        PortOpened = "port-opened",
        /// A port cannot be opened.
        PortUnavailable = "port-unavailable",
        /// An open port was lost and is opened again.
        PortLost = "port-lost",
        /// A TCP endpoint does not support several requests in flight.
        PortOneAtATime = "port-one-at-a-time",
        /// A port has been down for so long that its devices count as silent.
        PortDevicesSilent = "port-devices-silent",
        /// A port is open and none of its devices answers.
        PortWithoutAnswers = "port-without-answers",
        /// A serial port does not have the settings it was given.
        PortSettingsDiffer = "port-settings-differ",
        /// An adapter holds received bytes back and every poll takes longer.
        PortBytesHeldBack = "port-bytes-held-back",
        /// An adapter hears what it sends, and the configuration does not say so.
        PortEchoHeard = "port-echo-heard",
        /// What was sent should have come back as an echo, and did not.
        PortEchoMissed = "port-echo-missed",
        /// A user of this machine asks devices of a port beside its configuration, with scan, read, poll, sweep or doctor.
        PortSurveyed = "port-surveyed",
        /// A device answers for the first time since the start.
        DeviceResponding = "device-responding",
        /// A device does not answer any more, or never did.
        DeviceSilent = "device-silent",
        /// A device that was silent answers again.
        DeviceReturned = "device-returned",
        /// A device falls silent again and again and is kept offline for a while.
        DeviceHeld = "device-held",
        /// A line is asked for more than it can carry; some points are read less often than configured.
        PortIntervalsStretched = "port-intervals-stretched",
        /// A line carries what it is asked for again.
        PortIntervalsKept = "port-intervals-kept",
        /// Two devices seem to have the same address on one line.
        DeviceAddressShared = "device-address-shared",
        /// A device says its replies twice.
        DeviceRepliesRepeated = "device-replies-repeated",
        /// Another master asks a device, or the device sends by itself.
        DeviceOtherMaster = "device-other-master",
        /// A device is no longer kept offline for falling silent often.
        DeviceHoldEnded = "device-hold-ended",
        /// Replies of a device come spoiled.
        DeviceGarbled = "device-garbled",
        /// Good frames came that were not the reply that was asked for.
        DeviceForeign = "device-foreign",
        /// Replies of a device come after they were given up.
        DeviceLate = "device-late",
        /// A device refuses a request.
        DeviceRefusesRequests = "device-refuses-requests",
        /// A reply of a device holds no value for a point.
        DeviceNoValue = "device-no-value",
        /// The floats of a device are implausible throughout: its profile hardly fits.
        DeviceFloatsImplausible = "device-floats-implausible",
        /// The floats of a device are plausible again.
        DeviceFloatsPlausible = "device-floats-plausible",
        /// A rule raised an event of the thing model.
        ThingEventRaised = "thing-event-raised",
        /// The platform refused an event of the thing model by itself; it is dropped.
        ThingEventRefused = "thing-event-refused",
        /// Too many events of the thing model wait; the oldest are dropped.
        ThingEventsDropped = "thing-events-dropped",
        /// A command was carried out: the device holds the value.
        CommandVerified = "command-verified",
        /// A command was carried out, as far as the device says; nothing reads it back.
        CommandConfirmed = "command-confirmed",
        /// A command was acknowledged by the device, which holds another value.
        CommandDifferent = "command-different",
        /// A command was sent, and it is not known whether it was done.
        CommandUnknown = "command-unknown",
        /// A command was not carried out.
        CommandRefused = "command-refused",
        /// A device cannot be read across some addresses; requests go around them.
        DeviceHoleFound = "device-hole-found",
        /// Points are refused even when they are asked for alone.
        DevicePointsRefused = "device-points-refused",
        /// A meter does not have the data that points are read from.
        DeviceDatumRefused = "device-datum-refused",
        /// The request for points fails again and again while the device answers others.
        DevicePointsFail = "device-points-fail",
        /// A device does not answer long requests; it is asked for less together.
        DeviceLongRequestsFail = "device-long-requests-fail",
        /// A device answers long requests again.
        DeviceLongRequestsAnswered = "device-long-requests-answered",
        /// Points that failed are read again.
        DevicePointsBack = "device-points-back",
        /// What was learned about devices cannot be read and is learned anew.
        LearnedUnreadable = "learned-unreadable",
        /// What is learned about devices cannot be stored.
        LearnedNotKept = "learned-not-kept",
        /// The platform accepted the connection.
        CloudConnected = "cloud-connected",
        /// An attempt to connect to the platform failed.
        CloudConnectFailed = "cloud-connect-failed",
        /// The connection to the platform ended.
        CloudDisconnected = "cloud-disconnected",
        /// Another client seems to use this gateway's certificate.
        CloudTakeoverSuspected = "cloud-takeover-suspected",
        /// The broker refused subscriptions.
        CloudSubscribeRefused = "cloud-subscribe-refused",
        /// The platform did not tell or not delete the desired values of a device.
        DesiredFailed = "desired-failed",
        /// The platform refused a message as malformed.
        CloudRequestRefused = "cloud-request-refused",
        /// The platform asks for fewer messages.
        CloudThrottled = "cloud-throttled",
        /// No more sub-devices may be online.
        CloudQuotaFull = "cloud-quota-full",
        /// A request failed on the platform itself.
        CloudRequestFailed = "cloud-request-failed",
        /// Requests to the platform stay unanswered.
        CloudUnanswered = "cloud-unanswered",
        /// A message from the platform could not be read.
        CloudMalformed = "cloud-malformed",
        /// The session with the platform was ended because the service stops.
        CloudStopped = "cloud-stopped",
        /// Messages for a connection that has ended were not sent.
        LinkDropped = "link-dropped",
        /// A message does not fit into an MQTT packet and was dropped.
        LinkUnsendable = "link-unsendable",
        /// The platform sends more than it may, and is read more slowly.
        LinkFlooded = "link-flooded",
        /// Some of the system's root certificates cannot be read.
        TlsRootsSkipped = "tls-roots-skipped",
        /// The gateway asks for a secret of its own.
        GatewayRegistering = "gateway-registering",
        /// The gateway was given a secret of its own.
        GatewayRegistered = "gateway-registered",
        /// The gateway was not given a secret of its own.
        GatewayNotRegistered = "gateway-not-registered",
        /// The secret the gateway was given by registration is refused.
        GatewaySecretRefused = "gateway-secret-refused",
        /// Devices are online on the platform.
        DeviceOnline = "device-online",
        /// Devices were logged out of the platform.
        DeviceOffline = "device-offline",
        /// The platform refused a device; it is tried again later.
        DeviceRefused = "device-refused",
        /// The platform has lost a device's session.
        DeviceSessionLost = "device-session-lost",
        /// The platform refused to log a device out.
        DeviceLogoutRefused = "device-logout-refused",
        /// The platform gave devices their secrets.
        DeviceRegistered = "device-registered",
        /// Devices were added to the gateway's topology.
        TopologyAdded = "topology-added",
        /// The platform refused a request about the topology.
        TopologyRefused = "topology-refused",
        /// The gateway's topology holds devices that are not configured.
        TopologyExtra = "topology-extra",
        /// Devices that are not configured were deleted from the topology.
        TopologyDeleted = "topology-deleted",
        /// Devices were disabled, enabled, deleted or moved in the console.
        PlatformOrder = "platform-order",
        /// The platform sends an order for a device that is not configured.
        PlatformOrderUnknownDevice = "platform-order-unknown-device",
        /// The platform sends a command that is not supported.
        PlatformCommandUnsupported = "platform-command-unsupported",
        /// The queue of values is full and the oldest are dropped.
        PostQueueFull = "post-queue-full",
        /// The platform refused a device's values; they are dropped.
        PostRefused = "post-refused",
        /// The platform refused stored values of a former device; they are dropped.
        StoredValuesRefused = "stored-values-refused",
        /// The platform does not accept a device's stored values now; they stay in the store.
        StoredValuesHeld = "stored-values-held",
        /// One value is larger than a whole message may be.
        PostTooLarge = "post-too-large",
        /// An event that was reported ever more rarely has not happened for a while.
        RepeatsEnded = "repeats-ended",
        /// The system's clock is not synchronised; values wait.
        ClockUnknown = "clock-unknown",
        /// The time is known; values that waited are stamped.
        ClockKnown = "clock-known",
        /// Too many values wait for the time; the oldest are dropped.
        ClockDropped = "clock-dropped",
        /// The platform pushes a configuration, and remote configuration is not enabled here.
        RemoteConfigNotEnabled = "remote-config-not-enabled",
        /// A configuration from the platform was refused.
        RemoteConfigRefused = "remote-config-refused",
        /// A configuration from the platform could not be downloaded; it is tried again.
        RemoteConfigDownloadFailed = "remote-config-download-failed",
        /// A configuration from the platform is in force.
        RemoteConfigAdopted = "remote-config-adopted",
        /// A configuration from the platform has proven itself and replaces the previous one.
        RemoteConfigProven = "remote-config-proven",
        /// A configuration from the platform failed its probation; the previous one is in force again.
        RemoteConfigFailed = "remote-config-failed",
        /// The decision about a configuration on probation could not be carried out; it is tried again.
        RemoteConfigNotSettled = "remote-config-not-settled",
        /// The configuration that the platform names is in force already.
        RemoteConfigInForce = "remote-config-in-force",
        /// The platform has no configuration for this gateway.
        RemoteConfigNone = "remote-config-none",
        /// The platform's configuration does not fit the gateway's own files any more and is left out.
        RemoteConfigSetAside = "remote-config-set-aside",
        /// The file of kept secrets cannot be read and was set aside.
        SecretStoreDamaged = "secret-store-damaged",
        /// The file of kept secrets was open to others.
        SecretStoreExposed = "secret-store-exposed",
        /// Secrets that were given cannot be stored.
        SecretStoreNotKept = "secret-store-not-kept",
        /// Secrets cannot be stored, so no device is registered.
        SecretStoreUnusable = "secret-store-unusable",
        /// Secrets can be stored again.
        SecretStoreUsable = "secret-store-usable",
        /// The file of kept secrets cannot be used and is left alone.
        SecretStoreClosed = "secret-store-closed",
        /// Readings of an earlier run wait in the store to be delivered.
        ReadingStoreOpened = "reading-store-opened",
        /// Readings cannot be stored, so they wait in memory only.
        ReadingStoreUnusable = "reading-store-unusable",
        /// Readings can be stored again.
        ReadingStoreUsable = "reading-store-usable",
        /// A file of the store is damaged or missing, and the readings in it are lost.
        ReadingStoreDamaged = "reading-store-damaged",
        /// A file of the store ends in the middle of a write, as after a power cut.
        ReadingStoreTorn = "reading-store-torn",
        /// A file of the store is of a later version of the program and is left alone.
        ReadingStoreNewer = "reading-store-newer",
        /// Stored readings were dropped undelivered.
        ReadingStoreDropped = "reading-store-dropped",
        /// Readings are stored because they cannot be delivered.
        ReadingStoreFilling = "reading-store-filling",
        /// All stored readings have been delivered.
        ReadingStoreEmpty = "reading-store-empty",
        /// The control socket could not be made; the service cannot be asked for its status.
        ControlUnavailable = "control-unavailable",
        /// The log level was changed on request.
        LogLevelSet = "log-level-set",
        /// The log level is as at the start again.
        LogLevelOver = "log-level-over",
        /// Metrics are not served; the service runs on.
        MetricsUnavailable = "metrics-unavailable",
        /// A user without permission has tried to ask on the control socket.
        ControlRefused = "control-refused",
        /// The control socket takes no connections.
        ControlNotAccepted = "control-not-accepted",
        /// All places at the control socket were taken, and an idle connection was closed for another.
        ControlPeerReplaced = "control-peer-replaced",
        /// The control socket could be made at last.
        ControlAvailable = "control-available",
        /// Metrics are served at last.
        MetricsAvailable = "metrics-available",
        /// No connection for metrics over HTTP can be accepted.
        MetricsNotAccepted = "metrics-not-accepted",
        /// All places for metrics over HTTP were taken, and an idle connection was closed for another.
        MetricsPeerReplaced = "metrics-peer-replaced",
    }
}

vocabulary! {
    /// Names of the journal's fields, besides `MESSAGE`, `MESSAGE_ID`, `PRIORITY`
    /// and `SYSLOG_IDENTIFIER`, which are systemd.journal-fields(7)'s.
    JournalField {
        /// Name of the kind of event.
        Event = "EVENT",
        /// Name of the device, as configured; one field for each, if there are several.
        Device = "DEVICE",
        /// Name of the port, or of the device's port; one field for each.
        Port = "PORT",
        /// Modbus unit of the device.
        UnitId = "UNIT_ID",
        /// Address of a DL/T 645 meter.
        MeterAddress = "METER_ADDRESS",
        /// ProductKey of the device on the platform.
        ProductKey = "PRODUCT_KEY",
        /// DeviceName of the device on the platform.
        DeviceName = "DEVICE_NAME",
        /// How many the entry is about: devices, messages, certificates, journal entries.
        Count = "COUNT",
        /// How often it happened since the last report, or in a row.
        Times = "TIMES",
        /// Code of a refusal: the platform's, or the exception of a Modbus device.
        Code = "CODE",
        /// Return code of CONNACK with which the broker refused the connection (MQTT 3.1.1 §3.2.2.3).
        Connack = "CONNACK",
        /// How many devices are online in all.
        Online = "ONLINE",
        /// Why the gateway logged the devices out: `silent`, `held`, `port-down`, `removed`, `refused`, `quota-full`, `connection-changes`, `stopping`, `not-heard-of`.
        Reason = "REASON",
        /// Polls in a row without an answer.
        Missed = "MISSED",
        /// Milliseconds since the device last answered.
        QuietMs = "QUIET_MS",
        /// Milliseconds for which the device counted as silent.
        SilentMs = "SILENT_MS",
        /// Attempts to open the port that failed.
        Failed = "FAILED",
        /// Ids of the points concerned.
        Points = "POINTS",
        /// Error word of a DL/T 645 meter, in hexadecimal.
        Word = "WORD",
        /// Who gave a command: the id of the platform's message, or the user.
        Origin = "ORIGIN",
        /// What became of a command: verified, confirmed, different, unknown or refused.
        Verdict = "VERDICT",
        /// Identifier of the service that was called.
        Service = "SERVICE",
        /// Identifier of the event of the thing model.
        ThingEvent = "THING_EVENT",
        /// Identifier of the property.
        Property = "PROPERTY",
        /// Values dropped since the last report.
        Dropped = "DROPPED",
        /// MQTT topic.
        Topic = "TOPIC",
        /// Size in bytes.
        Size = "SIZE",
        /// Names of devices in one line; identities where they are not configured.
        Devices = "DEVICES",
        /// The platform's order, as it came.
        Order = "ORDER",
        /// Devices in the platform's topology.
        Listed = "LISTED",
        /// Those of them that are not configured.
        Extra = "EXTRA",
        /// The file concerned.
        File = "FILE",
        /// The file's new name.
        Aside = "ASIDE",
        /// The configuration's file.
        ConfigFile = "CONFIG_FILE",
        /// Line in that file; 0 for the whole of it.
        ConfigLine = "CONFIG_LINE",
        /// Place in the configuration's structure.
        ConfigPath = "CONFIG_PATH",
        /// The platform's name of a remote configuration.
        ConfigId = "CONFIG_ID",
        /// SHA-256 of a remote configuration.
        Sha256 = "SHA256",
        /// How many errors the configuration has.
        Errors = "ERRORS",
        /// Devices that a reload added.
        DevicesAdded = "DEVICES_ADDED",
        /// Devices that a reload changed.
        DevicesChanged = "DEVICES_CHANGED",
        /// Devices that a reload removed.
        DevicesRemoved = "DEVICES_REMOVED",
        /// Ports that a reload opened anew.
        PortsRestarted = "PORTS_RESTARTED",
        /// 1 if a reload made a new connection to the platform, else 0.
        Reconnected = "RECONNECTED",
        /// The part of the service concerned.
        Task = "TASK",
        /// Priority of the requests concerned: high, normal or low.
        Class = "CLASS",
        /// How much longer intervals have become, in thousandths.
        FactorPermille = "FACTOR_PERMILLE",
        /// Path of the control socket.
        Socket = "SOCKET",
        /// Network address at which metrics were to be served.
        Address = "ADDRESS",
        /// Number of the user who asked on the control socket.
        PeerUid = "PEER_UID",
    }
}

/// A random (version 4) UUID, made once and never changed: sd-id128(3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct MessageId(u128);

impl fmt::Display for MessageId {
    /// 32 lower-case hexadecimal digits, as the journal writes ids.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl EventKind {
    /// The id under which `journalctl -x` finds the explanation of this kind.
    #[must_use]
    pub const fn message_id(self) -> MessageId {
        MessageId(match self {
            EventKind::ThingEventRaised => 0xdb5f_b983_6788_4dc8_a1fb_5502_e253_9af1,
            EventKind::ThingEventRefused => 0x321f_5f28_e57e_4046_af7a_05ef_2ef9_2992,
            EventKind::ThingEventsDropped => 0x3917_8e06_6463_41f7_8618_57ea_92b1_7b4e,
            EventKind::CommandVerified => 0x6e74_6395_19d7_42b6_a2c2_b58d_eb86_6e14,
            EventKind::CommandConfirmed => 0x154a_85fb_1927_4922_aeaa_5776_b318_f1b0,
            EventKind::CommandDifferent => 0x06d6_bbdf_14c2_4e86_9045_f0a7_70c8_9bb8,
            EventKind::CommandUnknown => 0x26c7_65ca_4f0c_43ea_bd7a_6511_98a7_6974,
            EventKind::CommandRefused => 0xa7fc_ed90_1c32_4aa9_b6a2_7273_c376_c006,
            EventKind::ServiceStarted => 0x19c73bda_1a424e15_8cecbda2_c2b1b58e,
            EventKind::StartRefused => 0xf0e74984_71244981_88475fb5_56cccfc7,
            EventKind::ServiceFailed => 0xbce8d1ef_9e3f4a9b_b9a2b153_4013de01,
            EventKind::ServiceStopping => 0x22913b11_31494649_804acd20_d23047b7,
            EventKind::StopUnfinished => 0x8816539c_a9f34044_a7c8390a_0314a0e2,
            EventKind::Reloaded => 0xcf476b45_468a4051_bb3535c4_2169f8aa,
            EventKind::ReloadRefused => 0x8a896054_cdcf45d9_bece1bee_d3d8042f,
            EventKind::ReloadTooSlow => 0x45c21993_726d41df_be5852e2_1d92c71e,
            EventKind::ReloadHeldBack => 0x282ebf5e_948d486d_b60458ca_a190bfd5,
            EventKind::ConfigProblem => 0xe2e08bdf_4e2e4259_b6260207_150f4b3d,
            EventKind::TaskStuck => 0xee414c5e_ebcb4403_b03dd60c_e55b425a,
            EventKind::TaskRecovered => 0x41e93846_f86048ea_838e27b7_aad01292,
            EventKind::JournalLost => 0x98b47366_680345fb_87d5149a_41a4f742,
            EventKind::PortOpened => 0x7f73580d_0f544b3e_81716cf0_694f0f08,
            EventKind::PortUnavailable => 0x705b6ee2_ef40483d_8631ff6d_e72393b8,
            EventKind::PortLost => 0x1e1d65fb_9d5b440a_a5a6b9cd_325d33a9,
            EventKind::PortOneAtATime => 0xa5ea15aa_3cf94c7e_87dc88ec_bb634e5a,
            EventKind::PortDevicesSilent => 0xed7cf121_6b9c41fa_be5cc596_59c0dc7c,
            EventKind::PortWithoutAnswers => 0x98b7f3f3_0c664e26_b05c2623_96b755c0,
            EventKind::PortSettingsDiffer => 0xd9fe4e31_c6f345e3_a2f8adfd_028475b1,
            EventKind::PortBytesHeldBack => 0x21a1fd52_c7eb4434_88a95dad_d1fe7409,
            EventKind::PortEchoHeard => 0x30837548_b3874e4f_83c1b989_3941d776,
            EventKind::PortEchoMissed => 0x38b2c89d_035e4fe0_9d69ae85_5ef816a0,
            EventKind::PortSurveyed => 0xebb2921c_a1a94764_a08572c5_fad6531b,
            EventKind::DeviceResponding => 0x071f23a7_cac64f13_9bb5f0c9_367417ae,
            EventKind::DeviceSilent => 0x8f20cd96_7802430a_8d4e2e1f_7b68ea91,
            EventKind::DeviceReturned => 0x07ca7401_530c4f7b_873c4bb1_1dc64b18,
            EventKind::DeviceHeld => 0x57c5a31e_cf4c4a65_aed87ccf_53d44203,
            EventKind::DeviceHoldEnded => 0x1d0a5cd2_713542e9_88002c7f_a7e3b258,
            EventKind::PortIntervalsStretched => 0xa63f10c3_601e4858_8f71e6d9_975a5fdc,
            EventKind::PortIntervalsKept => 0x5f1a6160_bbd3497a_a3460772_6d3e776a,
            EventKind::DeviceAddressShared => 0x74195c68_74e44a5c_bf62fb2d_225d8b3a,
            EventKind::DeviceRepliesRepeated => 0x0026109d_3a7e4a35_9bf33488_9731a221,
            EventKind::DeviceOtherMaster => 0xfa9afdfd_fef84858_b1e5900d_22a60add,
            EventKind::DeviceGarbled => 0xeb30e3a1_df7d4c40_812d2de9_41286cad,
            EventKind::DeviceForeign => 0x5de5cdd2_003e4af2_8b6d95a6_2d4bb674,
            EventKind::DeviceLate => 0x0108dfc6_0a744ef1_8ecf92c4_bcf7d46e,
            EventKind::DeviceRefusesRequests => 0xe04d7416_6ed240c8_a9b24bf8_d45be97c,
            EventKind::DeviceNoValue => 0xb98a07d1_1e8c4a54_97823d60_a29ff857,
            EventKind::DeviceFloatsImplausible => 0xb3e0b405_2cdc404c_8b650646_2eb4ac3e,
            EventKind::DeviceFloatsPlausible => 0xc75e7984_324f4ebe_becb2403_5c057d20,
            EventKind::DeviceHoleFound => 0xe4deb717_927745d0_9bd37062_d114df10,
            EventKind::DevicePointsRefused => 0xc82b08d5_fae74cfc_8d0a6ea3_f5c25d98,
            EventKind::DeviceDatumRefused => 0x6633c642_c6ab42fc_9e328880_76df0f08,
            EventKind::DevicePointsFail => 0x97b1b672_ca1e4f2a_83a15517_cfd21762,
            EventKind::DeviceLongRequestsFail => 0xd9bf37e0_84564f46_974b96af_9a225e93,
            EventKind::DeviceLongRequestsAnswered => 0x74a83093_57094302_90ee4697_ae47e6ec,
            EventKind::DevicePointsBack => 0x3adcaf17_aede42b5_ac3f2ff1_a3e45c72,
            EventKind::LearnedUnreadable => 0x2002448e_66544806_8401fa51_487b3cef,
            EventKind::LearnedNotKept => 0x9f4e8fc0_cd1e49f2_adb98aaa_13f6905e,
            EventKind::CloudConnected => 0x7c2104f1_36e94ea2_a5d0864a_49141172,
            EventKind::CloudConnectFailed => 0x80998c01_65754118_bdb8640d_ffcadcc9,
            EventKind::CloudDisconnected => 0x6dbb509a_328c4f97_991c2027_e429a3e0,
            EventKind::CloudTakeoverSuspected => 0xfd7bfd9d_033746e2_83fd8418_9a0937a3,
            EventKind::CloudSubscribeRefused => 0xcfe5d721_19e34374_b8a65261_8c43c729,
            EventKind::DesiredFailed => 0xb201c1d9_9b694507_b5a4818b_a9f61dd4,
            EventKind::CloudRequestRefused => 0x48f8995f_893a4c04_8e3ef6be_1cac7257,
            EventKind::CloudThrottled => 0x9056ea55_43d74bee_852c3c96_128ebbd1,
            EventKind::CloudQuotaFull => 0x3ade51d7_377440ea_8034078f_8ec9d970,
            EventKind::CloudRequestFailed => 0x5c9527bb_669749a9_ad39335c_efa255e6,
            EventKind::CloudUnanswered => 0xdc87edb7_f2f0458b_beae1fad_5049aab2,
            EventKind::CloudMalformed => 0xa41b59dc_fa0c44d9_a356098b_10933be8,
            EventKind::CloudStopped => 0xadd8f0a3_2c4646b1_b546e115_7d649393,
            EventKind::LinkDropped => 0x027440f9_65c644eb_b37f07cf_840964e8,
            EventKind::LinkUnsendable => 0x107c2db2_a62040f9_a00a8768_0badf01d,
            EventKind::LinkFlooded => 0x4e6c0358_866c4d6a_9bac215c_7080fa10,
            EventKind::TlsRootsSkipped => 0x5647b5e9_5a584920_a3b68368_0c6f92b9,
            EventKind::GatewayRegistering => 0x412a826a_7fb545b8_a56c5766_42b164d0,
            EventKind::GatewayRegistered => 0x71ba2551_cede493c_9004e84f_45e766e6,
            EventKind::GatewayNotRegistered => 0xa53f3997_75394621_a91456d1_5793b523,
            EventKind::GatewaySecretRefused => 0x320ada44_fb4f4251_8c664b67_b0156995,
            EventKind::DeviceOnline => 0x8a2eeefb_4cb14cb5_afada221_e2316431,
            EventKind::DeviceOffline => 0xb7c33511_76f44136_b1c7df5a_67a216fb,
            EventKind::DeviceRefused => 0x7bc172e1_23104a11_a7acef75_c6143c37,
            EventKind::DeviceSessionLost => 0x404a74d0_fb0d4741_932bf80a_1da5d8bc,
            EventKind::DeviceLogoutRefused => 0x648ded7d_05374dab_a56e0a04_7a7c070e,
            EventKind::DeviceRegistered => 0xecfe0377_53ba4f6d_9e455f63_9a628356,
            EventKind::TopologyAdded => 0x4c551953_dfc14c57_bff56bd4_bb44487f,
            EventKind::TopologyRefused => 0xf9f836eb_23c94b27_b0497cf7_841fd71b,
            EventKind::TopologyExtra => 0x3737b391_15c14189_84e75843_4e3814a7,
            EventKind::TopologyDeleted => 0x74cf2069_53ff4568_8a7130f9_55bf2f89,
            EventKind::PlatformOrder => 0xda0a8666_941e4d0d_8b5dbfb2_b36be443,
            EventKind::PlatformOrderUnknownDevice => 0xe24cedc5_be9b44c7_bff00277_e46752a8,
            EventKind::PlatformCommandUnsupported => 0x4b0d7c92_9e1f4a63_a7d85e30_c16b2f84,
            EventKind::PostQueueFull => 0xc4563e62_15054df4_bb3865fd_5fbd32a4,
            EventKind::PostRefused => 0x925c1865_53f54bae_bcc07b50_86c3a7e7,
            EventKind::StoredValuesRefused => 0x9bfbb8cc_17fc45cd_a4ad34a2_7a604a4d,
            EventKind::StoredValuesHeld => 0xd013b67b_120c404d_a78a9eaf_bcd7221f,
            EventKind::PostTooLarge => 0xf5e4e4d8_279f4d90_b2abf29f_10a32fcb,
            EventKind::RepeatsEnded => 0x8d1f0c6e_4b0f4d63_9a47c1be_52d7e30a,
            EventKind::ClockUnknown => 0xf4e3fe3d_0e664b2e_8ca4afbd_1ea3eefa,
            EventKind::ClockKnown => 0x4354fc6c_d6304404_b247876f_eb4324fc,
            EventKind::ClockDropped => 0x1cfc0c8b_2c9d4dec_b41b401d_fe6d0bb1,
            EventKind::RemoteConfigNotEnabled => 0xcb8733bd_c85e4d97_9703d37c_f0bc8bc5,
            EventKind::RemoteConfigRefused => 0xc568a558_eb0048d6_852c38cf_7c318295,
            EventKind::RemoteConfigDownloadFailed => 0x9249d84e_ec9c4695_baf6f76c_d028e7c1,
            EventKind::RemoteConfigAdopted => 0x7bd35d7f_bef74054_87c7d1c0_a8c8d9c6,
            EventKind::RemoteConfigProven => 0x6ddf3d6f_ec21443c_85199853_3d34476b,
            EventKind::RemoteConfigFailed => 0xabfa1175_b0b44fe8_92dcbf24_addc2433,
            EventKind::RemoteConfigNotSettled => 0x6f10cad9_8d864882_9cce074b_17b43e58,
            EventKind::RemoteConfigInForce => 0x23165d43_f3ad4642_b4142187_994d62eb,
            EventKind::RemoteConfigNone => 0x46fd17e3_66114217_81e2b87f_4e0115f1,
            EventKind::RemoteConfigSetAside => 0x53da5d2a_aeb34a16_bdbe9798_91571b08,
            EventKind::SecretStoreDamaged => 0x1590e047_36ce4e5b_9e5de265_855071d7,
            EventKind::SecretStoreExposed => 0x6eab17e4_c23c489c_ba82ca53_13541584,
            EventKind::SecretStoreNotKept => 0xbd4ab1c0_ad674a68_bbf72d7f_46674731,
            EventKind::SecretStoreUnusable => 0xaadb8fea_256c4840_b1f56aff_e2acfea3,
            EventKind::SecretStoreUsable => 0x08fcc015_5f2d4649_a6b5abcb_538af4b0,
            EventKind::SecretStoreClosed => 0x085edda3_f5784a97_a5b51de9_f3e3b79a,
            EventKind::ReadingStoreOpened => 0x275b6257_6dc84f92_948f90a6_c4dfd3c3,
            EventKind::ReadingStoreUnusable => 0x42b70839_88d0467e_8ed1d789_b0aae037,
            EventKind::ReadingStoreUsable => 0x558d8c47_751f4b3c_a2240493_f982b4d4,
            EventKind::ReadingStoreDamaged => 0x681d34cb_f00d4f75_a03a8690_c74c7ff1,
            EventKind::ReadingStoreTorn => 0xa53ea033_1d8e4394_9427e907_b5dd2552,
            EventKind::ReadingStoreNewer => 0xdd79ee8e_d1d0403a_81f2688a_8af2d780,
            EventKind::ReadingStoreDropped => 0x095723b4_ce774c75_9f1df987_e66d591c,
            EventKind::ReadingStoreFilling => 0x565a8e81_3fee45f1_a71f8d6a_5eb0ca8a,
            EventKind::ReadingStoreEmpty => 0xaa1dfc44_9bd5496e_a63c60b0_f5d54f3e,
            EventKind::ControlUnavailable => 0x4cebe4f5_496d4261_ac79dba1_9bfba445,
            EventKind::LogLevelSet => 0x37db0a48_e9424d1c_9d5c0c0d_e6326efb,
            EventKind::LogLevelOver => 0x6d502c30_76f74499_b5969efc_1769c07b,
            EventKind::MetricsUnavailable => 0x385ccedc_d5dd4ccc_8d6557dc_636f1bed,
            EventKind::ControlRefused => 0x2758f25e_d03748fe_b3601381_517db92e,
            EventKind::ControlNotAccepted => 0xbd238be3_e0454a80_b7227bae_f2a62881,
            EventKind::ControlPeerReplaced => 0x8e11f251_66554d36_a3c4c95d_692ac757,
            EventKind::ControlAvailable => 0xc6d17e18_df0d4545_85b0a48e_35e37bac,
            EventKind::MetricsAvailable => 0xd753b981_e0944a56_a86327a9_27dceafe,
            EventKind::MetricsNotAccepted => 0x5090d970_805f4774_a3a750f5_15bf420f,
            EventKind::MetricsPeerReplaced => 0x92a063d3_f3b14f38_9007e5ba_567991ac,
        })
    }
}
