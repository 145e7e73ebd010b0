//! Remote configuration ("Remote configuration", Alink protocol): the newest file of a
//! product, pushed or requested. The file itself lies in a storage elsewhere; the
//! platform knows only the description of the file.

use serde_json::{Value as Json, json};
use sha2::{Digest, Sha256};

use crate::base::{Now, ProductKey};
use crate::lab::platform::messages::reply::Code;
use crate::lab::platform::{Device, Platform};

/// The description of a file by the platform. All of it can be made wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteConfig {
    /// `configId`
    pub config_id: String,
    /// `configSize`, in bytes.
    pub size: usize,
    /// `sign`: its SHA-256, in hexadecimal.
    pub sign: String,
    /// Where the file lies.
    pub url: String,
}

impl RemoteConfig {
    /// Describes a file that lies at `url` truthfully.
    #[must_use]
    pub fn of(config_id: &str, url: &str, file: &[u8]) -> Self {
        let digest: [u8; 32] = Sha256::digest(file).into();
        RemoteConfig {
            config_id: config_id.to_owned(),
            size: file.len(),
            sign: digest.iter().map(|byte| format!("{byte:02x}")).collect(),
            url: url.to_owned(),
        }
    }

    fn body(&self) -> Json {
        json!({
            "configId": self.config_id, "configSize": self.size, "sign": self.sign,
            "signMethod": "Sha256", "url": self.url, "getType": "file",
        })
    }
}

impl Platform {
    /// Saves the newest configuration of a product in the console.
    pub fn configure(&mut self, product: &ProductKey, config: RemoteConfig) {
        self.configs.insert(product.clone(), config);
    }

    /// Pushes the configuration to a device of that product. Returns the id of the
    /// order, as [`Platform::command`] does; `None` if there is no configuration, or
    /// the device is not connected.
    pub fn push_config(&mut self, now: Now, device: &Device) -> Option<String> {
        let params = self.configs.get(&device.product_key)?.body();
        self.command(now, device, "thing.config.push", params)
    }

    /// Answers `thing/config/get`. In the console a product has a switch for it; here
    /// it is on once there is a file.
    pub(crate) fn config_asked(&self, device: &Device, params: &Json) -> (Code, Json) {
        let wanted = ["configScope", "getType"].map(|key| params.get(key).and_then(Json::as_str));
        if wanted != [Some("product"), Some("file")] {
            return (Code::PARAMETER, json!({}));
        }
        match self.configs.get(&device.product_key) {
            Some(config) => (Code::OK, config.body()),
            None => (Code(6713), json!({})),
        }
    }
}
