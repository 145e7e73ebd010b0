//! The causes, and what to do about each.

use serde::Serialize;

/// How certain a cause is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Certainty {
    /// Nothing else explains what is seen.
    Certain,
    /// The usual cause of what is seen.
    Likely,
    /// One of several causes of what is seen.
    Possible,
    /// No fault as far as can be seen; it may be wanted so.
    Note,
}

impl Certainty {
    /// Returns the certainty as a word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Certainty::Certain => "certain",
            Certainty::Likely => "likely",
            Certainty::Possible => "possible",
            Certainty::Note => "note",
        }
    }
}

/// What a cause is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Subject {
    /// The service on this box.
    Service,
    /// The gateway as a whole: its box, or its connection to the platform.
    Gateway,
    /// The port with this name.
    Port(String),
    /// The devices with these names; one at least.
    Devices(Vec<String>),
}

/// A cause that explains what is seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The cause.
    pub cause: Cause,
    /// What it is about.
    pub subject: Subject,
    /// How certain it is.
    pub certainty: Certainty,
    /// What is seen that speaks for it, a sentence each; one at least.
    pub evidence: Vec<String>,
}

impl Finding {
    /// Returns whether this is a fault, and not only a note.
    #[must_use]
    pub fn is_fault(&self) -> bool {
        self.certainty != Certainty::Note
    }
}

/// Declares the causes: an enum, `ALL`, and of each its name for programs, what is wrong, and
/// what to do, in words.
macro_rules! causes {
    ($(
        $(#[doc = $about:literal])*
        $cause:ident = $name:literal, $wrong:literal, $remedy:literal;
    )*) => {
        /// What may be wrong. The order is that of causes that are equally certain: what more
        /// depends on comes first.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
        pub enum Cause {
            $(
                $(#[doc = $about])*
                #[serde(rename = $name)]
                $cause,
            )*
        }

        impl Cause {
            /// All causes.
            pub const ALL: &'static [Cause] = &[$(Cause::$cause,)*];

            /// Returns the name for programs.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Cause::$cause => $name,)* }
            }

            /// Returns what is wrong, in a sentence without its full stop.
            #[must_use]
            pub const fn wrong(self) -> &'static str {
                match self { $(Cause::$cause => $wrong,)* }
            }

            /// Returns what to do about it, in a sentence without its full stop.
            #[must_use]
            pub const fn remedy(self) -> &'static str {
                match self { $(Cause::$cause => $remedy,)* }
            }
        }
    };
}

causes! {
    /// The service does not answer, and there is no configuration.
    ConfigurationMissing = "configuration-missing",
        "there is no configuration, and the service does not run without one",
        "make one with: alink-gateway init";
    /// The service does not answer, and its configuration has errors.
    ConfigurationWrong = "configuration-wrong",
        "the configuration is wrong, and the service does not run with it",
        "correct what alink-gateway check names, then: sudo systemctl restart alink-gateway";
    /// The service does not answer, and its configuration is right or cannot be read.
    ServiceStopped = "service-stopped",
        "the service does not run",
        "start it with: sudo systemctl start alink-gateway; if it ends again, journalctl -u alink-gateway says why";
    /// The last reload was refused.
    ConfigurationRefused = "configuration-refused",
        "the changed configuration was refused, and the one before is in force",
        "correct what alink-gateway check names, then: alink-gateway reload";
    /// The main file of the configuration in force is gone.
    ConfigurationGone = "configuration-gone",
        "the file of the configuration in force is gone, and the service would not start again without it",
        "put it back, or make another with: alink-gateway init";
    /// Files have changed, were not loaded, and have errors.
    ConfigurationBroken = "configuration-broken",
        "the configuration on disk has changed and is wrong; the one before is in force until the service starts again",
        "correct what alink-gateway check names, then: alink-gateway reload";
    /// Files have changed and were not loaded.
    ConfigurationChanged = "configuration-changed",
        "the configuration on disk has changed and is not in force yet",
        "alink-gateway check tells every mistake; alink-gateway reload puts it into force";
    /// The gateway has no identity.
    NotCommissioned = "not-commissioned",
        "the gateway has no identity, and does not connect to the platform",
        "write product_key, device_name and secret of the gateway from the console into the configuration, then: alink-gateway reload";
    /// The time is not known.
    ClockUnset = "clock-unset",
        "the clock of this box is not set",
        "let the box reach a time server (timedatectl shows whether it does), or set the time by hand; replace the battery of its clock";
    /// No space for stored readings.
    DiskFull = "disk-full",
        "the disk is full, and readings cannot be stored",
        "delete what is not needed (df -h shows how full it is, journalctl --vacuum-size=50M shortens the journal), or give the store less: store.size";
    /// The store may not be written.
    DiskReadOnly = "disk-read-only",
        "the disk is read-only, and readings cannot be stored",
        "look whether the flash is worn out (dmesg names errors of the file system); make it writable, or replace it";
    /// The store fails for another reason.
    StoreBroken = "store-broken",
        "readings cannot be stored",
        "look at the disk (dmesg names its errors); only one gateway may use the state directory";
    /// The serial port is not there.
    PortMissing = "port-missing",
        "the serial port is not there",
        "plug the adapter in, try another socket of the box, and name the port by its /dev/serial/by-id/ name, which stays";
    /// The serial port may not be opened.
    PortDenied = "port-denied",
        "the service may not open the serial port",
        "install the udev rule of this package, or: sudo chgrp dialout on the port; then replug the adapter";
    /// Another program has the port.
    PortBusy = "port-busy",
        "another program uses the serial port",
        "stop it (sudo fuser -v on the port names it); a serial console or ModemManager is often the one";
    /// Too many files are open.
    TooManyFiles = "too-many-files",
        "the service has too many files open, and opens no more ports",
        "raise LimitNOFILE of the unit (systemctl edit alink-gateway), or use fewer connections";
    /// The host of a port does not answer.
    HostUnreachable = "host-unreachable",
        "the host of the port cannot be reached",
        "look at its power, its network cable and its address; ping it from this box; look whether its port is the one in the configuration";
    /// The host of a port accepts no connection.
    HostRefuses = "host-refuses",
        "the host of the port is there and accepts no connection",
        "look at its port number and whether Modbus TCP is switched on; many servers take only one or two connections at a time";
    /// The name of a port's host is not known.
    HostUnknown = "host-unknown",
        "the name of the port's host is not known",
        "write its IP address as host, or look at the name server of this box";
    /// The platform's configuration names a host that it may not.
    HostForbidden = "host-forbidden",
        "the platform's configuration names a host that the gateway may not connect to",
        "add the host to remote_config.hosts if it is right; else correct it in the platform's configuration";
    /// The port fails in another way.
    PortFails = "port-fails",
        "the port cannot be used",
        "look at the adapter, its cable and its power; replug it";
    /// Requests come back, and the configuration does not say so.
    AdapterEcho = "adapter-echo",
        "the adapter hears what it sends",
        "write echo: true under serial: of the port, or switch the echo of the adapter off";
    /// Requests should come back, and do not.
    EchoMissing = "echo-missing",
        "the echo that the configuration promises does not come",
        "if the adapter does not echo, remove echo: true; else look for a broken or shorted wire";
    /// The adapter passes received bytes on late.
    AdapterLatency = "adapter-latency",
        "the USB adapter holds received bytes back, and every request takes longer",
        "install the udev rule of this package (it sets latency_timer to 1), then replug the adapter";
    /// The port has other settings than configured.
    SettingsNotTaken = "settings-not-taken",
        "the port does not take the settings of the configuration",
        "use a baud rate and a parity that the adapter can have, or another adapter";
    /// Baud rate, parity or stop bits do not fit.
    LineSettings = "line-settings",
        "baud rate, parity or stop bits of the port are not those of the devices",
        "compare baud, parity and stop_bits of the port with the menu of a meter; all devices on the line need the same";
    /// Nothing is heard.
    BusNotConnected = "bus-not-connected",
        "the line is dead: not connected, A and B swapped, or no power at the devices",
        "measure between A and B (0.2 V or more, A positive to B negative as the adapter marks them), swap A and B once, look at the terminals and at the power of the devices";
    /// Noise instead of replies.
    WiresSwapped = "wires-swapped",
        "A and B are swapped, or one wire is open",
        "swap A and B at the adapter; look for a loose terminal and a broken wire";
    /// The only device of a line has another address.
    AddressWrong = "address-wrong",
        "no device answers at this address",
        "compare the address in the menu of the device with the configuration; look at its power and its terminals";
    /// Replies are spoilt on the whole line.
    NoiseOnLine = "noise-on-line",
        "replies are spoilt on the line: no termination, reflections, or interference",
        "put 120 ohm across A and B at both ends and nowhere else, connect devices in one chain without long stubs, use a shielded twisted pair away from power cables; a lower baud rate helps meanwhile";
    /// The line has too little time.
    LineOverloaded = "line-overloaded",
        "the line has too little time for all requests, and points are read less often than configured",
        "use longer intervals, fewer points, a higher baud rate or a second line; alink-gateway plan shows how long each request takes";
    /// Two devices answer at one address.
    AddressTwice = "address-twice",
        "two devices have the same address",
        "disconnect this device and see with alink-gateway trace whether another still answers at its address; give each device on the line an address of its own";
    /// Replies come after their time.
    SlowDevice = "slow-device",
        "the device is slow, and its replies come too late",
        "give the device a longer response_timeout; behind a serial server or a radio link one second or more is usual";
    /// Replies of one device are spoilt.
    DeviceNoise = "device-noise",
        "replies of this device alone are spoilt",
        "look at its terminals and the stub to it; look whether its baud rate and parity are those of the line, and whether another device has its address";
    /// A device falls silent again and again.
    DeviceUnsteady = "device-unsteady",
        "the device falls silent again and again, and is kept offline meanwhile",
        "look at its terminals and its power; if it is only slow, give it a longer response_timeout";
    /// All devices of one protocol fell silent together.
    SharedSupply = "shared-supply",
        "these devices fell silent together: what only they share may have failed, such as a cable, a supply or a converter",
        "look at the supply that feeds these devices, and at the piece of cable that leads to them and to no others";
    /// A Modbus gateway gets no answer.
    NotBehindServer = "not-behind-server",
        "the Modbus gateway on the way gets no answer of the device",
        "look at the device's address and power, and at baud rate and parity in the Modbus gateway";
    /// Points are not there.
    PointsMissing = "points-missing",
        "the device does not have the points that are asked for",
        "compare table, address and type of these points with the manual of exactly this model (many manuals count addresses from 1), or take them out of the profile";
    /// Floats are read in the wrong order.
    WordOrder = "word-order",
        "the values are implausible: order of registers, address or type do not fit",
        "compare a value with the display of the device; set order: of these points as the manual says";
    /// Another master asks.
    SecondMaster = "second-master",
        "another master asks this device, or the device sends by itself",
        "give the line to one master, or use Modbus TCP";
    /// A device was heard before, and is silent.
    DeviceOff = "device-off",
        "the device does not answer any more: switched off, or its wire is open",
        "nothing, if it is switched off on purpose; else look at its power and its terminals";
    /// The name of the platform is not known.
    NameUnknown = "name-unknown",
        "the name of the platform's broker cannot be found",
        "look whether this box has a network (ip route) and a name server (resolvectl status); look at cloud.url for a mistake";
    /// No connection to the platform.
    BrokerUnreachable = "broker-unreachable",
        "the platform's broker cannot be reached",
        "look at the network and the modem; let the firewall pass the port of cloud.url outwards";
    /// The certificate of the platform is out of its time.
    CertificateExpired = "certificate-expired",
        "the certificate of the broker has expired, or this box has the wrong date",
        "look at the date of this box first (timedatectl); if it is right, the broker at cloud.url needs a new certificate";
    /// The root of the broker's certificate is not trusted.
    CaWrong = "ca-wrong",
        "the gateway does not trust the certificate of the broker",
        "name the platform's root certificate as ca_file, and install ca-certificates; look whether a firewall opens TLS connections";
    /// TLS fails in another way.
    TlsFails = "tls-fails",
        "the encrypted connection to the broker fails",
        "look at host and port in cloud.url; a firewall or proxy on the way may be at fault";
    /// The gateway's secret is refused.
    GatewaySecretWrong = "gateway-secret-wrong",
        "the platform refuses the gateway's certificate: product_key, device_name or secret is wrong",
        "copy product_key, device_name and secret of the gateway anew from the console; look whether it exists there and is enabled";
    /// The gateway is refused for another reason.
    GatewayRefused = "gateway-refused",
        "the platform refuses the gateway",
        "look whether it exists and is enabled in the console, in this instance and region; look at product_key and device_name";
    /// The platform takes no connection now.
    PlatformBusy = "platform-busy",
        "the platform takes no connection now",
        "nothing; the gateway tries again. If it lasts, look at the quota of connections of the instance";
    /// What answers does not speak MQTT.
    NotMqtt = "not-mqtt",
        "what answers at cloud.url is not the platform's MQTT endpoint",
        "copy the MQTT endpoint of the instance anew from the console; mqtts:// is with TLS, mqtt:// without";
    /// Another client has the gateway's certificate.
    SecondGateway = "second-gateway",
        "a second gateway uses the certificate of this one, and each ends the other's connection",
        "look for a cloned box or a second copy of this program, and give each gateway a device of its own in the console";
    /// The connection breaks.
    ConnectionBreaks = "connection-breaks",
        "the connection to the platform breaks",
        "look at the network and the modem; a shorter keepalive helps where a network drops idle connections";
    /// Subscriptions are refused.
    SubscribeRefused = "subscribe-refused",
        "the broker refuses to deliver messages to the gateway",
        "look at the access rules of the broker and at product_key and device_name";
    /// No more sub-devices may be online.
    OnlineQuota = "online-quota",
        "more devices ought to be online than the instance takes",
        "ask for a larger quota of online sub-devices, take a larger instance, or use a second gateway; session.online is the limit of the configuration";
    /// More is sent than the platform takes.
    UpstreamOverBudget = "upstream-over-budget",
        "more values are read than the platform takes",
        "use longer intervals and report: on-change for points that seldom change; alink-gateway plan shows what is sent";
    /// The platform does not answer in time.
    PlatformSlow = "platform-slow",
        "the platform leaves requests unanswered",
        "look at the network (a lossy mobile network does this); the gateway sends them again";
    /// Devices are not under this gateway.
    TopologyMissing = "topology-missing",
        "the device does not belong to this gateway in the console",
        "add it as a sub-device under this gateway in the console, and remove it from the other gateway first if it belongs to one";
    /// The topology takes no more devices.
    TopologyFull = "topology-full",
        "the gateway has as many sub-devices in the console as it may have",
        "remove sub-devices that are not used from the gateway in the console, or ask for a larger quota";
    /// Devices are not registered.
    NotRegistered = "not-registered",
        "the platform does not know the device",
        "create it in the console, in this instance; compare product_key and device_name, and look whether dynamic registration is switched on for its product";
    /// Secrets of devices are wrong.
    DeviceSecretWrong = "device-secret-wrong",
        "the platform refuses the secret of the device",
        "copy the secret of the device anew from the console";
    /// Devices are disabled.
    DeviceDisabled = "device-disabled",
        "the device is disabled in the console",
        "enable it in the console";
    /// Devices are online elsewhere.
    DeviceElsewhere = "device-elsewhere",
        "the device is logged in elsewhere",
        "look for another gateway, or the device itself, that uses this identity";
    /// The platform refuses the device in another way.
    DeviceRefused = "device-refused",
        "the platform refuses the device",
        "look at the device in the console; the code says why";
    /// Values do not fit the thing model.
    ValuesRefused = "values-refused",
        "the platform refuses values of the device",
        "compare its profile with the thing model of its product: alink-gateway tsl PROFILE --check FILE";
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_cause_has_a_name_of_its_own_and_is_named_so_for_programs() {
        let names: BTreeSet<&str> = Cause::ALL.iter().map(|c| c.name()).collect();
        assert_eq!(names.len(), Cause::ALL.len());
        for cause in Cause::ALL {
            assert_eq!(serde_json::json!(cause), cause.name());
            for text in [cause.wrong(), cause.remedy()] {
                assert!(!text.is_empty() && !text.ends_with('.'), "{text}");
            }
        }
    }
}
