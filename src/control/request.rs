//! The requests of the control socket.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};

use super::VERSION;
use super::survey::SurveyAsked;
use crate::base::text::excerpt;

/// The longest request, in bytes with its line break: names are short.
pub const LONGEST_REQUEST: usize = 4096;

/// The longest name in a request, in bytes: a device's name is 64 characters at most.
pub const LONGEST_NAME: usize = 256;

/// The shortest interval of repeated status answers, in milliseconds. A client that asks
/// for a shorter interval gets this one.
pub const SHORTEST_EVERY: u32 = 100;

/// The longest interval of repeated status answers, in milliseconds. A client that wants
/// them more rarely asks again each time.
pub const LONGEST_EVERY: u32 = 60_000;

/// One request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Request {
    /// The status of the whole: [`super::Answer::Status`].
    Status {
        /// Send the status again after so many milliseconds, until the client closes the
        /// connection: 100 at least, 60,000 at most.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        every_ms: Option<u32>,
    },
    /// All devices, one line each, without values: [`super::Answer::Device`].
    Devices {},
    /// Everything about one device: [`super::Answer::Device`].
    Device {
        /// The device's name in the configuration.
        name: String,
    },
    /// Events on one port from now on, until the client closes the connection or the port is
    /// taken out of service: [`super::Answer::Seen`].
    Trace {
        /// The port's name in the configuration.
        port: String,
    },
    /// Everything that is counted, as OpenMetrics text: [`super::Answer::Part`].
    Metrics {},
    /// Everything that a remote helper needs to see, without secrets: [`super::Answer::Part`],
    /// several.
    Diag {},
    /// Load the configuration anew: [`super::Answer::Reload`].
    Reload {
        /// Load it even if more than a third of the devices are not in it.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        force: bool,
    },
    /// Write points of a device, one after the other, and read them back:
    /// [`super::Answer::Command`].
    Write {
        /// The device's name in the configuration.
        device: String,
        /// Each point by its identifier, with its value: `[["Mode","heating"],["Setpoint",45]]`.
        /// A list, because they are written in this order, and the keys of an object have none.
        set: Vec<(String, Json)>,
    },
    /// Run a service of a device's profile: [`super::Answer::Command`].
    Call {
        /// The device's name in the configuration.
        device: String,
        /// The identifier of the service.
        service: String,
        /// Its inputs, by their names; one that has a default may be left out.
        #[serde(default)]
        inputs: Map<String, Json>,
    },
    /// Ask one question on a line, beside its configuration, and say all that was heard:
    /// [`super::Answer::Heard`].
    Survey {
        /// The port's name in the configuration, or what it opens: a device file or `host:port`.
        port: String,
        /// The question. It only reads.
        survey: SurveyAsked,
    },
    /// Make the log louder or quieter: [`super::Answer::Done`].
    LogLevel {
        /// `all`, `alink_gateway` or the name of a library.
        target: String,
        /// `off`, `error`, `warn`, `info`, `debug`, `trace`, or `default` for the level at the
        /// start.
        level: String,
        /// How many milliseconds the level holds; without it, until the next start.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        for_ms: Option<u64>,
    },
}

/// Why a line is no request.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestMistake {
    /// The line is longer than [`LONGEST_REQUEST`].
    #[error("a question is one line of at most {LONGEST_REQUEST} bytes")]
    TooLong,
    /// The line is no JSON object.
    #[error("a question is one JSON object on one line: {0}")]
    NotAnObject(String),
    /// The request is of a version that the service does not speak.
    #[error(
        "the question is in version {said} of the protocol, this service speaks version {VERSION}"
    )]
    Version {
        /// The version in the request.
        said: String,
    },
    /// A value in the request is beyond its bound.
    #[error("{what} is at most {most}")]
    Beyond {
        /// The name of the value.
        what: &'static str,
        /// The bound.
        most: usize,
    },
    /// The line is an object, but no request that is known here.
    #[error("not a question known here: {0}")]
    Unknown(String),
}

impl Request {
    /// Reads a line, with or without its line break.
    ///
    /// # Errors
    /// [`RequestMistake`].
    pub fn read(line: &[u8]) -> Result<Self, RequestMistake> {
        if line.len() > LONGEST_REQUEST {
            return Err(RequestMistake::TooLong);
        }
        let mut said: Map<String, Json> =
            serde_json::from_slice(line).map_err(|e| RequestMistake::NotAnObject(e.to_string()))?;
        match said.remove("v") {
            Some(v) if v.as_u64() == Some(VERSION) => {}
            other => {
                let said = other.map_or_else(|| "none".to_owned(), |v| v.to_string());
                let said = excerpt(said.as_bytes(), 20);
                return Err(RequestMistake::Version { said });
            }
        }
        serde_json::from_value(Json::Object(said))
            .map_err(|e| RequestMistake::Unknown(excerpt(e.to_string().as_bytes(), 200)))
    }

    /// Returns the request, if all its values are within their bounds.
    ///
    /// # Errors
    /// [`RequestMistake::Beyond`].
    pub fn within_bounds(self) -> Result<Self, RequestMistake> {
        let name = |what, text: &str| {
            let most = LONGEST_NAME;
            match text.len() <= most {
                true => Ok(()),
                false => Err(RequestMistake::Beyond { what, most }),
            }
        };
        match &self {
            Request::Status {
                every_ms: Some(every),
            } if *every > LONGEST_EVERY => Err(RequestMistake::Beyond {
                what: "every_ms",
                most: LONGEST_EVERY as usize,
            }),
            Request::Device { name: text } => name("the length of a name", text),
            Request::Trace { port } | Request::Survey { port, .. } => {
                name("the length of a name", port)
            }
            Request::Write { device, set } => std::iter::once(device)
                .chain(set.iter().map(|(point, _)| point))
                .try_for_each(|text| name("the length of a name", text)),
            Request::Call {
                device,
                service,
                inputs,
            } => [device, service]
                .into_iter()
                .chain(inputs.keys())
                .try_for_each(|text| name("the length of a name", text)),
            Request::LogLevel { target, level, .. } => name("the length of a target", target)
                .and_then(|()| name("the length of a level", level)),
            _ => Ok(()),
        }?;
        Ok(self)
    }

    /// Writes the request as a line, with its line break.
    #[must_use]
    pub fn line(&self) -> String {
        let mut said = match serde_json::to_value(self) {
            Ok(Json::Object(said)) => said,
            // An enum with a tag inside is an object.
            _ => Map::new(),
        };
        said.insert("v".into(), VERSION.into());
        format!("{}\n", Json::Object(said))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn values() -> impl Strategy<Value = Json> {
        prop_oneof![
            any::<i64>().prop_map(Json::from),
            any::<bool>().prop_map(Json::from),
            ".*".prop_map(Json::from),
            // Halves are exact in both notations.
            any::<i32>().prop_map(|n| Json::from(f64::from(n) / 2.0)),
            Just(Json::Null),
        ]
    }

    fn requests() -> impl Strategy<Value = Request> {
        prop_oneof![
            proptest::option::of(any::<u32>()).prop_map(|every_ms| Request::Status { every_ms }),
            Just(Request::Devices {}),
            ".*".prop_map(|name| Request::Device { name }),
            ".*".prop_map(|port| Request::Trace { port }),
            Just(Request::Metrics {}),
            Just(Request::Diag {}),
            any::<bool>().prop_map(|force| Request::Reload { force }),
            (".*", proptest::collection::vec((".*", values()), 0..4))
                .prop_map(|(device, set)| Request::Write { device, set }),
            (
                ".*",
                ".*",
                proptest::collection::btree_map(".*", values(), 0..4)
            )
                .prop_map(|(device, service, inputs)| Request::Call {
                    device,
                    service,
                    inputs: inputs.into_iter().collect(),
                }),
            (".*", ".*", proptest::option::of(any::<u64>())).prop_map(|(target, level, for_ms)| {
                Request::LogLevel {
                    target,
                    level,
                    for_ms,
                }
            }),
        ]
    }

    proptest! {
        #[test]
        fn whatever_the_bytes_they_are_a_request_or_a_mistake(
            bytes in proptest::collection::vec(any::<u8>(), 0..200)
        ) {
            let _ = Request::read(&bytes);
        }

        #[test]
        fn a_request_that_was_written_is_read_as_the_same(request in requests()) {
            let line = request.line();
            prop_assert_eq!(line.matches('\n').count(), 1);
            prop_assert!(line.ends_with('\n'));
            if line.len() <= LONGEST_REQUEST {
                prop_assert_eq!(Request::read(line.as_bytes()), Ok(request));
            }
        }

        #[test]
        fn no_change_of_a_byte_makes_it_panic(
            request in requests(), at in any::<prop::sample::Index>(), byte in any::<u8>()
        ) {
            let mut line = request.line().into_bytes();
            let at = at.index(line.len());
            line[at] = byte;
            let _ = Request::read(&line);
        }
    }

    #[test]
    fn a_question_is_read_as_people_type_it() {
        for (line, request) in [
            (
                r#"{"v":1,"ask":"status"}"#,
                Request::Status { every_ms: None },
            ),
            (
                r#" { "ask" : "status", "every_ms": 500, "v": 1 } "#,
                Request::Status {
                    every_ms: Some(500),
                },
            ),
            (r#"{"v":1,"ask":"devices"}"#, Request::Devices {}),
            (
                r#"{"v":1,"ask":"reload"}"#,
                Request::Reload { force: false },
            ),
            (
                r#"{"v":1,"ask":"reload","force":true}"#,
                Request::Reload { force: true },
            ),
            (
                r#"{"v":1,"ask":"log-level","target":"all","level":"debug"}"#,
                Request::LogLevel {
                    target: "all".into(),
                    level: "debug".into(),
                    for_ms: None,
                },
            ),
            (
                r#"{"v":1,"ask":"device","name":"表-1"}"#,
                Request::Device {
                    name: "表-1".into(),
                },
            ),
            (
                r#"{"v":1,"ask":"write","device":"boiler","set":[["Setpoint",45.5],["Mode","on"]]}"#,
                Request::Write {
                    device: "boiler".into(),
                    set: vec![
                        ("Setpoint".into(), 45.5.into()),
                        ("Mode".into(), "on".into()),
                    ],
                },
            ),
            (
                r#"{"v":1,"ask":"call","device":"boiler","service":"Start"}"#,
                Request::Call {
                    device: "boiler".into(),
                    service: "Start".into(),
                    inputs: Map::new(),
                },
            ),
            (
                r#"{"v":1,"ask":"call","device":"boiler","service":"Start","inputs":{"level":45}}"#,
                Request::Call {
                    device: "boiler".into(),
                    service: "Start".into(),
                    inputs: Map::from_iter([("level".to_owned(), Json::from(45))]),
                },
            ),
        ] {
            assert_eq!(Request::read(line.as_bytes()), Ok(request), "{line}");
        }
    }

    #[test]
    fn what_is_beyond_its_bounds_is_a_mistake_that_says_them() {
        let every = |ms| Request::Status { every_ms: Some(ms) };
        for within in [every(0), every(60_000), Request::Metrics {}] {
            assert_eq!(within.clone().within_bounds(), Ok(within));
        }
        let long = "x".repeat(LONGEST_NAME + 1);
        for (beyond, why) in [
            (every(60_001), "every_ms is at most 60000"),
            (every(u32::MAX), "every_ms is at most 60000"),
            (Request::Device { name: long.clone() }, "at most 256"),
            (Request::Trace { port: long.clone() }, "at most 256"),
            (
                Request::Write {
                    device: "boiler".into(),
                    set: vec![("Mode".into(), 1.into()), (long.clone(), 1.into())],
                },
                "a name is at most 256",
            ),
            (
                Request::Call {
                    device: "boiler".into(),
                    service: long.clone(),
                    inputs: Map::new(),
                },
                "a name is at most 256",
            ),
            (
                Request::Call {
                    device: "boiler".into(),
                    service: "Start".into(),
                    inputs: Map::from_iter([(long.clone(), Json::Null)]),
                },
                "a name is at most 256",
            ),
            (
                Request::LogLevel {
                    target: long,
                    level: "debug".into(),
                    for_ms: None,
                },
                "a target is at most 256",
            ),
        ] {
            let mistake = beyond.within_bounds().unwrap_err().to_string();
            assert!(mistake.contains(why), "{mistake}");
        }
    }

    #[test]
    fn every_mistake_says_what_is_wrong() {
        let long = format!(r#"{{"v":1,"ask":"device","name":"{}"}}"#, "x".repeat(5000));
        for (line, why) in [
            ("", "one JSON object"),
            ("status", "one JSON object"),
            ("[]", "one JSON object"),
            (r#"{"ask":"status"}"#, "version none"),
            (r#"{"v":2,"ask":"status"}"#, "version 2"),
            (r#"{"v":"1","ask":"status"}"#, "version \"1\""),
            (r#"{"v":1}"#, "`ask`"),
            (r#"{"v":1,"ask":"statsu"}"#, "statsu"),
            (r#"{"v":1,"ask":"status","every":5}"#, "every"),
            (r#"{"v":1,"ask":"status","every_ms":-5}"#, "-5"),
            (r#"{"v":1,"ask":"device"}"#, "name"),
            (r#"{"v":1,"ask":"write","device":"boiler"}"#, "set"),
            (
                r#"{"v":1,"ask":"write","device":"boiler","set":{"Mode":1}}"#,
                "sequence",
            ),
            (
                r#"{"v":1,"ask":"write","device":"boiler","set":[["Mode"]]}"#,
                "length",
            ),
            (
                r#"{"v":1,"ask":"call","device":"boiler","service":"Start","force":true}"#,
                "force",
            ),
            (&long, "at most 4096 bytes"),
        ] {
            let mistake = Request::read(line.as_bytes()).unwrap_err();
            assert!(mistake.to_string().contains(why), "{line}: {mistake}");
        }
    }
}
