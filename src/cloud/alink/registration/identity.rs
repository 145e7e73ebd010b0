//! The three things a gateway can show in CONNECT: its own secret, the secret of its
//! product while it asks for a secret of its own, and the token it was given instead of a
//! secret.
//!
//! Plain functions of the configuration and of the issued identity; [`super::enrolment`]
//! decides which to show at which time.

use crate::base::Secret;
use crate::spec::{
    CloudSpec, ProductCertificate, Registration, SignMethod, Subscriptions, Transport,
};

use crate::cloud::alink::wire::sign;

/// The content of CONNECT ("Establish MQTT connections over TCP").
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// `{base}|securemode=…,signmethod=…,timestamp=…[,_ss=1]|`
    pub client_id: String,
    /// `{deviceName}&{productKey}`
    pub username: String,
    /// The signature, or the token.
    pub password: Secret,
}

/// The identity that dynamic registration hands out. Losing it may mean a journey to the
/// site: a device that has connected once is not given another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IssuedCredential {
    /// A DeviceSecret, as the console would have shown it.
    Secret(Secret),
    /// A DeviceToken, and the client id it belongs to.
    Token {
        /// The client id as the platform chose it.
        client_id: String,
        /// The token, shown as it is, without signing anything.
        token: Secret,
    },
}

/// Which `securemode` a registration without a pre-registered name carries: the
/// page of 2020 says −2, older texts and the SDKs say 2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecureMode {
    /// `-2`, "without certificate".
    Minus2,
    /// `2`, TLS.
    Two,
}

/// The constant that the official C SDK (4.x) sends and signs, 2050-01-01T00:00
/// UTC+8, so that a box whose clock is unset can connect.
const TIMESTAMP: &str = "2524608000000";

/// Returns the credentials of a gateway that has a secret of its own.
#[must_use]
pub fn credentials(spec: &CloudSpec, secret: &Secret) -> Credentials {
    let (pk, dn) = names(spec);
    let base = format!("{pk}.{dn}");
    let securemode = match spec.broker.transport {
        Transport::Tls { .. } => 2,
        Transport::Plain => 3,
    };
    let content = sign::device_content(&base, dn, pk, Some(TIMESTAMP));
    Credentials {
        client_id: format!(
            "{base}|securemode={securemode},signmethod={},timestamp={TIMESTAMP}{}|",
            spec.sign_method.as_str(),
            subscribe(spec),
        ),
        username: format!("{dn}&{pk}"),
        password: Secret::new(sign::sign(spec.sign_method, secret, &content)),
    }
}

/// Returns the credentials of a gateway that has an issued identity.
#[must_use]
pub fn issued_credentials(spec: &CloudSpec, issued: &IssuedCredential) -> Credentials {
    let (client_id, token) = match issued {
        IssuedCredential::Secret(secret) => return credentials(spec, secret),
        IssuedCredential::Token { client_id, token } => (client_id, token),
    };
    let (pk, dn) = names(spec);
    Credentials {
        client_id: format!(
            "{client_id}|securemode=-2,authType=connwl{}|",
            subscribe(spec)
        ),
        username: format!("{dn}&{pk}"),
        password: token.clone(),
    }
}

/// Returns the credentials of a gateway that asks for a secret of its own ("MQTT-based
/// dynamic registration"). The client id is no part of what is signed. Always HMAC-SHA256,
/// which every version of the page has.
#[must_use]
pub fn registration_credentials(
    spec: &CloudSpec,
    product: &ProductCertificate,
    mode: SecureMode,
    random: u32,
) -> Credentials {
    let (pk, dn) = names(spec);
    let (auth_type, securemode) = match (product.registration, mode) {
        (Registration::Register, _) => ("register", "2"),
        (Registration::RegNwl, SecureMode::Two) => ("regnwl", "2"),
        (Registration::RegNwl, SecureMode::Minus2) => ("regnwl", "-2"),
    };
    let method = SignMethod::HmacSha256;
    let instance = match &product.instance_id {
        Some(id) => format!(",instanceId={id}"),
        None => String::new(),
    };
    let content = sign::registration_content(dn, pk, &random.to_string());
    Credentials {
        client_id: format!(
            "{pk}.{dn}|securemode={securemode},authType={auth_type},random={random},signmethod={}{instance}|",
            method.as_str()
        ),
        username: format!("{dn}&{pk}"),
        password: Secret::new(sign::sign(method, &product.secret, &content)),
    }
}

fn names(spec: &CloudSpec) -> (&str, &str) {
    let gateway = &spec.gateway;
    (gateway.product_key.as_str(), gateway.device_name.as_str())
}

/// Returns the extension that asks the platform to subscribe the system topics it lists for
/// us.
const fn subscribe(spec: &CloudSpec) -> &'static str {
    match spec.broker.subscriptions {
        Subscriptions::Platform => ",_ss=1",
        Subscriptions::Broker => "",
    }
}
