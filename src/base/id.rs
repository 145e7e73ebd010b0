//! Names of ports, devices, products and requests: dense indices inside, the names of the
//! platform and of the field at the edges. Each name has its own type, so that a unit id
//! can never be taken for a device, nor a product key for a device name.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// A physical port (a serial line or a TCP endpoint): index into
/// [`crate::spec::Spec::ports`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct PortId(pub u16);

/// A configured device: index into [`crate::spec::Spec::devices`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct DeviceId(pub u32);

impl PortId {
    /// Returns the id as an index into a table of ports.
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

impl DeviceId {
    /// Returns the id as an index into a table of devices.
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// A Modbus unit id (slave address) of one device on a line.
///
/// 1–247 on a serial line (Modbus over Serial Line V1.02 §2.2: 0 is broadcast,
/// 248–255 reserved, though some devices answer there); 0–255 behind Modbus TCP,
/// where 0 and 255 commonly mean "the endpoint itself".
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct UnitId(pub u8);

impl fmt::Display for UnitId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

macro_rules! platform_name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(from = "String", into = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            /// Takes the name without a check. The configuration has checked its names, and names
            /// that come from the cloud are only ever compared.
            #[must_use]
            pub fn new(name: &str) -> Self {
                $name(name.into())
            }

            /// Returns the name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl From<String> for $name {
            fn from(s: String) -> Self {
                $name(s.into())
            }
        }

        impl From<$name> for String {
            fn from(n: $name) -> Self {
                n.0.to_string()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", &*self.0)
            }
        }
    };
}

platform_name! {
    /// The platform's name of a product (a device type).
    ProductKey
}

platform_name! {
    /// The platform's name of a device, unique within its product; 4–32
    /// characters of `A-Z a-z 0-9 - _ @ . :`.
    DeviceName
}

/// The id of one request to the platform: decimal text on the wire, 0 to
/// 4 294 967 295, unique per connection ("connect or disconnect sub-devices",
/// parameter `id`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u32);

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
