//! The comments of the YAML, in English; [`super::writer`] has each translated as it writes it.

/// Returns what the file is made of.
#[must_use]
pub fn imported_from(file: &str) -> String {
    format!("Imported from {file}.")
}

/// Where the remarks are.
pub const REPORT: &str =
    "What could not be carried over, and what is to be checked, is in the report of the import.";

/// Why no point has `write:`.
pub const NO_WRITES: &str =
    "Nothing here may be written to: a point is written only with write: (alink-gateway.yaml(5)).";

/// Beside the key of a product.
pub const PRODUCT: &str =
    "The ProductKey of its product in the console; its thing model has the ids below.";

/// Beside a profile of the package.
pub const PACKAGED: &str =
    "The package has it: profiles_from: [/usr/share/alink-gateway/profiles/*.yaml]";

/// Beside the first secret.
pub const SECRET: &str =
    "A file with its DeviceSecret and nothing else, mode 0640; or instead register: true.";

/// Beside a port that is an example.
pub const EXAMPLE: &str = "An example: write the device file and the line settings of your port.";

/// Behind a point that the source allows to write.
pub const WRITABLE: &str = "can be written";
