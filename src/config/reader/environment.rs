//! The environment as a layer: the few variables that override a value of the files.

use std::collections::BTreeMap;

use super::layers::Layer;
use super::problem::Expectation;
use super::section::Notes;
use super::tree::{Node, NodeContent, Origin, PathStep};
use super::word_parsers::or;
use crate::config::reader::suggestions;

/// Environment variables that may be set, and the key each of them sets. The list is short on
/// purpose: an installation should be described by its files.
pub const VARIABLES: [(&str, [&str; 2]); 3] = [
    ("ALINK_GATEWAY_URL", ["cloud", "url"]),
    (SECRET, ["gateway", "secret"]),
    ("ALINK_GATEWAY_CA_FILE", ["cloud", "ca_file"]),
];

/// Sets the level of the log. It is read where the log is set up, and is no part of the
/// configuration.
const LOG_LEVEL_VARIABLE: &str = "ALINK_GATEWAY_LOG";

/// Sets the gateway's secret. The variable works, no document names it, and its use gives a
/// warning: every user of the machine can read a unit's environment with `systemctl show`.
const SECRET: &str = "ALINK_GATEWAY_SECRET";

/// The prefix of all variables of this service.
pub const PREFIX: &str = "ALINK_GATEWAY_";

/// Builds the layer that these variables describe.
pub(crate) fn layer(environment: &[(String, String)], notes: &mut Notes) -> Layer {
    let file = notes.origins.add_file("environment");
    let mut sections: BTreeMap<String, Node> = BTreeMap::new();
    for (name, value) in environment {
        if !name.starts_with(PREFIX) || name == LOG_LEVEL_VARIABLE {
            continue;
        }
        let origin = notes.origins.add(Origin {
            file,
            at: (0, 0),
            key_at: (0, 0),
            parent: None,
            step: PathStep::Key(name.as_str().into()),
        });
        let Some((_, [section, key])) = VARIABLES.iter().find(|(n, _)| n == name) else {
            let known = || VARIABLES.iter().map(|(n, _)| *n).filter(|n| *n != SECRET);
            let wrong = Expectation::wanted(or(known()))
                .maybe_hint(suggestions::did_you_mean(name, known()));
            notes.warning(origin, "a variable that means nothing here", wrong);
            continue;
        };
        if name == SECRET {
            let wrong = Expectation::wanted("a secret that only root and the service can read").hint(
                "every user of the box can read what a unit sets, with `systemctl show`: put the secret \
                 into /etc/credstore/alink-gateway.secret (0600, root) and say `secret_credential: \
                 gateway-secret` under `gateway:`",
            );
            notes.warning(origin, "a secret in an environment variable", wrong);
        }
        let node = sections.entry((*section).to_owned()).or_insert(Node {
            origin,
            is: NodeContent::Map(BTreeMap::new()),
        });
        if let NodeContent::Map(map) = &mut node.is {
            let is = NodeContent::Text(value.clone());
            map.insert((*key).to_owned(), Node { origin, is });
        }
    }
    Layer::new("environment", sections)
}
