//! The orders to a running `alink-lab platform` or `alink-lab bus`: one order a line on
//! standard input.

use std::io::{self, BufRead};
use std::str::FromStr;
use std::time::Duration;

use alink_gateway::base::{Secret, UnitId};
use alink_gateway::lab::bus::{Fault, UnitBehaviour, protocol, unit_kind};
use alink_gateway::lab::platform::{
    Act, Code, Device, FailedBatchCode, FailedBatchNames, Fault as Misfortune, PackOutOfSession,
    PostOutOfSession, RequestKind, Switches,
};
use rustix::termios::tcgetpgrp;
use tokio::sync::mpsc;

/// Orders to a bus, in words.
pub(crate) const BUS_HELP: &str = "\
Orders, one a line on standard input:
  kill UNIT           it loses power
  revive UNIT         it has power again
  late UNIT SPAN      from now on each reply is late by this much, such as 400ms
  hiccup UNIT SPAN    each reply pauses for this long in its middle
  noise UNIT [BYTES]  each reply has noise before it
  mute, cut, flip, twice, foreign, wrong-function, short, wrong-transaction,
  echo, babble UNIT   each reply goes wrong like this
  twin UNIT           another unit has its address and answers as well
  well UNIT           its replies are right again
  help                these words";

/// Returns the orders to a bus and what its units hold, in words.
pub(crate) fn bus_help() -> String {
    let mut help = format!("{BUS_HELP}\n\nWhat the units hold, addresses from 0:");
    for (kind, entries) in [
        ("--kind meter", &unit_kind::meter::ENTRIES[..]),
        ("--kind io-module", &unit_kind::io_module::ENTRIES),
        ("--kind marked", &unit_kind::MARKED),
    ] {
        help.push_str(&format!("\n  {kind}"));
        for entry in entries {
            help.push_str(&format!("\n    {entry}"));
        }
    }
    help.push_str("\n  --meters N, DL/T 645-2007, meter 1 has the address 000000000001");
    for (name, id, what) in protocol::meter::DATA {
        help.push_str(&format!("\n    {id:08X}  {name:<25}  {what}"));
    }
    help
}

/// Orders to a platform, in words.
pub(crate) const PLATFORM_HELP: &str = "\
Orders, one a line on standard input. What goes wrong, until heal:
  lose-requests N     this many of a thousand requests are lost
  lose-replies N      this many of a thousand replies are lost
  duplicate N         this many of a thousand replies are sent twice
  reorder N [SPAN]    this many of a thousand are held back, by 3s or SPAN
  delay [LEAST] MOST  replies wait up to this long, such as 400ms, and at least
                      LEAST
  throttle SPAN       every log-in is answered 429 for so long, such as 60s
  answer KIND CODE SPAN
                      every request of a kind is answered with this code for so
                      long; KIND is login, logout, post, topology or registration
  answer-next KIND CODE N
                      the next N of them are
  posts-per-second N  posts above this rate are answered 429
  cap N               no more than N devices may be online (428)
  refuse PK DN CODE   log-ins and posts of this device are answered with this code
  unanswered PK DN    posts on this device's own topic are taken, never answered
  flap LEAST MOST     each connection is closed so long after it began
  rival LEAST MOST    another client with the gateway's certificate connects, so
                      long after the gateway did
  ignore-pings        pings are no longer answered
  deaf                nothing is read or sent any more, nor closed
  heal                all of this ends
Any of them from posts-per-second to rival ends alone with off in place of the
number, code or spans; unanswered with answered PK DN.
What happens once:
  kick PK DN          this device turns up elsewhere
  lose-session PK DN  its session ends without a notice
  lose-session all    those of all devices do
  cut                 the gateway's connection is cut
At the console:
  disable, enable, delete, forget PK DN
  create PK DN        it was deleted, and is created again under the gateway
  add, remove PK DN   it is put under the gateway, or taken from there
  ask-to-add PK DN    the gateway is asked to add it
  secret PK DN TEXT   it has another secret from now on
  say TOPIC TEXT      a message to the gateway, on any topic
What the documents leave open:
  batch-names WHOM    whom a failed batch names: culprits, all or none
  batch-code WHOSE    whose code it has: that of the first or the last refused
  pack-out-of-session HOW
                      taken, refused, dropped or dropped-told-after
  post-out-of-session HOW
                      told, refused or unanswered
And:
  help                these words";

/// An order to a bus.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum BusOrder {
    /// Gives a unit power, or takes it away.
    Power(UnitId, bool),
    /// What goes wrong with every reply of a unit; `None` for nothing.
    Fault(UnitId, Option<Fault>),
    /// Say what can be ordered.
    Help,
}

impl BusOrder {
    /// Parses a line, or says why it cannot be understood.
    pub(crate) fn parse(line: &str) -> Result<BusOrder, String> {
        let words: Vec<&str> = line.split_whitespace().collect();
        let (verb, unit, argument) = match words[..] {
            ["help"] => return Ok(BusOrder::Help),
            [verb, unit] => (verb, unit, None),
            [verb, unit, argument] => (verb, unit, Some(argument)),
            _ => return Err("want WHAT UNIT, or help".into()),
        };
        let unit = unit.parse().map(UnitId);
        let unit = unit.map_err(|_| format!("{verb} wants the number of a unit"))?;
        match (verb, argument) {
            ("kill", None) => Ok(BusOrder::Power(unit, false)),
            ("revive", None) => Ok(BusOrder::Power(unit, true)),
            ("well", None) => Ok(BusOrder::Fault(unit, None)),
            ("noise", None) => Ok(BusOrder::Fault(unit, Some(Fault::Noise(8)))),
            ("kill" | "revive" | "well", Some(_)) => Err(format!("{verb} wants a unit, no more")),
            _ => Ok(BusOrder::Fault(unit, Some(fault(verb, argument)?))),
        }
    }

    /// Carries out the order on the behaviour of the unit with this number; returns the
    /// result in words.
    pub(crate) fn carry_out<'a>(
        &self,
        behaviour: impl FnOnce(UnitId) -> Option<&'a mut UnitBehaviour>,
    ) -> String {
        let (BusOrder::Power(id, _) | BusOrder::Fault(id, _)) = self else {
            return BUS_HELP.to_owned();
        };
        let Some(behaviour) = behaviour(*id) else {
            return format!("there is no unit {}", id.0);
        };
        match self {
            BusOrder::Power(_, alive) => behaviour.alive = *alive,
            BusOrder::Fault(_, fault) => {
                let always = |fault| alink_gateway::lab::bus::Chance {
                    fault,
                    permille: 1000,
                };
                behaviour.faults = fault.map(always).into_iter().collect();
            }
            BusOrder::Help => {}
        }
        match (behaviour.alive, &behaviour.faults[..]) {
            (false, _) => format!("unit {} is dead", id.0),
            (true, []) => format!("unit {} is well", id.0),
            (true, [first, ..]) => format!("unit {}: {:?}", id.0, first.fault),
        }
    }
}

/// Returns the fault of this name.
pub(crate) fn fault(name: &str, argument: Option<&str>) -> Result<Fault, String> {
    let wanted = argument.ok_or(format!("{name} wants a number, such as 20"));
    let of_span = |make: fn(Duration) -> Fault| Ok(make(span(wanted.clone()?)?));
    if let "late" | "hiccup" = name {
        return of_span(if name == "late" {
            Fault::Late
        } else {
            Fault::Hiccup
        });
    }
    if name == "noise" {
        let bytes = wanted?.parse().map_err(|_| "at most 255 bytes")?;
        return Ok(Fault::Noise(bytes));
    }
    let fault = match name {
        "mute" => Fault::Mute,
        "cut" => Fault::Cut,
        "flip" => Fault::Flip,
        "twice" => Fault::Twice,
        "foreign" => Fault::Foreign,
        "wrong-function" => Fault::WrongFunction,
        "short" => Fault::Short,
        "wrong-transaction" => Fault::WrongTransaction,
        "echo" => Fault::Echo,
        "babble" => Fault::Babble,
        "twin" => Fault::Twin,
        other => return Err(format!("there is no fault called {other}")),
    };
    match argument {
        None => Ok(fault),
        Some(_) => Err(format!("{name} takes no number")),
    }
}

/// An order to a platform.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum PlatformOrder {
    /// Something goes wrong, or stops going wrong.
    Fault(Misfortune),
    /// Something is done at the console.
    Act(Act),
    /// What the documents leave open is so from now on.
    Switch(Switch),
    /// Say what can be ordered.
    Help,
}

/// What the documents leave open, as far as it can be ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Switch {
    /// [`Switches::failed_batch_names`]
    Names(FailedBatchNames),
    /// [`Switches::failed_batch_code`]
    Code(FailedBatchCode),
    /// [`Switches::pack_out_of_session`]
    Pack(PackOutOfSession),
    /// [`Switches::post_out_of_session`]
    Post(PostOutOfSession),
}

impl Switch {
    pub(crate) const fn set(self, switches: &mut Switches) {
        match self {
            Switch::Names(names) => switches.failed_batch_names = names,
            Switch::Code(code) => switches.failed_batch_code = code,
            Switch::Pack(how) => switches.pack_out_of_session = how,
            Switch::Post(how) => switches.post_out_of_session = how,
        }
    }

    fn parse(words: &[&str]) -> Option<Switch> {
        Some(match words {
            ["batch-names", "culprits"] => Switch::Names(FailedBatchNames::Culprits),
            ["batch-names", "all"] => Switch::Names(FailedBatchNames::All),
            ["batch-names", "none"] => Switch::Names(FailedBatchNames::NoDevice),
            ["batch-code", "first"] => Switch::Code(FailedBatchCode::First),
            ["batch-code", "last"] => Switch::Code(FailedBatchCode::Last),
            ["pack-out-of-session", "taken"] => Switch::Pack(PackOutOfSession::Taken),
            ["pack-out-of-session", "refused"] => Switch::Pack(PackOutOfSession::Refused),
            ["pack-out-of-session", "dropped"] => Switch::Pack(PackOutOfSession::DroppedAndTold),
            ["pack-out-of-session", "dropped-told-after"] => {
                Switch::Pack(PackOutOfSession::DroppedToldAfter)
            }
            ["post-out-of-session", "told"] => Switch::Post(PostOutOfSession::Told),
            ["post-out-of-session", "refused"] => Switch::Post(PostOutOfSession::Refused),
            ["post-out-of-session", "unanswered"] => Switch::Post(PostOutOfSession::Unanswered),
            _ => return None,
        })
    }
}

impl PlatformOrder {
    /// Parses a line, or says why it cannot be understood. `gateway` is the gateway
    /// whose connection can be cut.
    pub(crate) fn parse(line: &str, gateway: &Device) -> Result<PlatformOrder, String> {
        let words: Vec<&str> = line.split_whitespace().collect();
        if words == ["help"] {
            return Ok(PlatformOrder::Help);
        }
        if let Some(switch) = Switch::parse(&words) {
            return Ok(PlatformOrder::Switch(switch));
        }
        if let Some(act) = act(&words, line, gateway) {
            return Ok(PlatformOrder::Act(act));
        }
        Ok(PlatformOrder::Fault(
            misfortune(&words, gateway)?.ok_or_else(|| {
                format!("cannot do \u{201c}{line}\u{201d}; help says what can be ordered")
            })?,
        ))
    }
}

/// Parses an action at the console; `None` if the line names none.
fn act(words: &[&str], line: &str, gateway: &Device) -> Option<Act> {
    if let ["say", topic, ..] = *words {
        // Blanks within the text count.
        let payload = line.split_once(topic)?.1.trim().to_owned();
        return Some(Act::Downlink {
            gateway: gateway.clone(),
            topic: topic.to_owned(),
            payload,
        });
    }
    if let ["secret", product, name, secret] = *words {
        return Some(Act::ChangeSecret {
            device: Device::new(product, name),
            secret: Secret::new(secret),
        });
    }
    let [verb, product, name] = *words else {
        return None;
    };
    let (device, gateway) = (Device::new(product, name), gateway.clone());
    Some(match verb {
        "disable" => Act::Disable(device),
        "enable" => Act::Enable(device),
        "delete" => Act::Delete(device),
        "forget" => Act::Forget(device),
        "create" => Act::CreateAgain { gateway, device },
        "add" => Act::AddTopology { gateway, device },
        "remove" => Act::RemoveTopology(device),
        "ask-to-add" => Act::AskToAdd { gateway, device },
        _ => return None,
    })
}

/// Parses a fault; `None` if the line names none; an error if it has a wrong number.
fn misfortune(words: &[&str], gateway: &Device) -> Result<Option<Misfortune>, String> {
    let zero = Duration::ZERO;
    Ok(Some(match *words {
        ["lose-requests", n] => Misfortune::LoseRequests {
            permille: permille(n)?,
        },
        ["lose-replies", n] => Misfortune::LoseReplies {
            permille: permille(n)?,
        },
        ["duplicate", n] => Misfortune::Duplicate {
            permille: permille(n)?,
        },
        ["reorder", n] => Misfortune::Reorder {
            permille: permille(n)?,
            by: Duration::from_secs(3),
        },
        ["reorder", n, by] => Misfortune::Reorder {
            permille: permille(n)?,
            by: span(by)?,
        },
        ["delay", most] => Misfortune::Delay {
            least: zero,
            most: span(most)?,
        },
        ["delay", least, most] => Misfortune::Delay {
            least: span(least)?,
            most: span(most)?,
        },
        ["throttle", during] => Misfortune::Throttle {
            during: span(during)?,
        },
        ["answer", what, code, during] => Misfortune::Answer {
            what: kind(what)?,
            code: self::code(code)?,
            during: span(during)?,
        },
        ["answer-next", what, code, times] => Misfortune::AnswerNext {
            what: kind(what)?,
            code: self::code(code)?,
            times: number(times)?,
        },
        ["posts-per-second", "off"] => Misfortune::PostsPerSecond(None),
        ["posts-per-second", n] => Misfortune::PostsPerSecond(Some(number(n)?)),
        ["cap", "off"] => Misfortune::Cap(None),
        ["cap", n] => Misfortune::Cap(Some(number(n)?)),
        ["refuse", product, name, what] => Misfortune::Refuse {
            device: Device::new(product, name),
            code: (what != "off").then(|| self::code(what)).transpose()?,
        },
        [verb @ ("unanswered" | "answered"), product, name] => Misfortune::Unanswered {
            device: Device::new(product, name),
            on: verb == "unanswered",
        },
        ["flap" | "rival", "off"] => Misfortune::Flap {
            least: zero,
            most: zero,
        },
        ["flap", least, most] => Misfortune::Flap {
            least: span(least)?,
            most: span(most)?,
        },
        ["rival", least, most] => Misfortune::Rival {
            least: span(least)?,
            most: span(most)?,
        },
        ["kick", product, name] => Misfortune::Kick(Device::new(product, name)),
        ["lose-session", "all"] => Misfortune::LoseSession(None),
        ["lose-session", product, name] => {
            Misfortune::LoseSession(Some(Device::new(product, name)))
        }
        ["cut"] => Misfortune::Cut(gateway.clone()),
        ["ignore-pings"] => Misfortune::IgnorePings(true),
        ["deaf"] => Misfortune::Deaf(true),
        ["heal"] => Misfortune::Heal,
        _ => return Ok(None),
    }))
}

/// Returns the kind of request of this name.
fn kind(name: &str) -> Result<RequestKind, String> {
    Ok(match name {
        "login" => RequestKind::Login,
        "logout" => RequestKind::Logout,
        "post" => RequestKind::Post,
        "topology" => RequestKind::Topology,
        "registration" => RequestKind::Registration,
        _ => return Err("a kind is login, logout, post, topology or registration".into()),
    })
}

/// Parses a code of the platform, such as 429.
fn code(text: &str) -> Result<Code, String> {
    number(text).map(Code)
}

fn number<N: FromStr>(text: &str) -> Result<N, String> {
    text.parse()
        .map_err(|_| format!("{text} is not a number, or too large a one"))
}

/// Parses thousandths.
pub(crate) fn permille(text: &str) -> Result<u32, String> {
    let number = text.parse().ok().filter(|p| *p <= 1000);
    number.ok_or("of a thousand: a whole number up to 1000".into())
}

/// Parses a span such as `400ms`, `60s` or `2m`; a bare number is milliseconds.
pub(crate) fn span(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit: u64 = match &text[digits.len()..] {
        "" | "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        _ => return Err("a span is such as 400ms, 60s or 2m".into()),
    };
    let number = digits.parse().ok().and_then(|n: u64| n.checked_mul(unit));
    let longest = 24 * 60 * 60_000;
    let millis = number.filter(|n| *n <= longest);
    let millis = millis.ok_or("a span is such as 400ms, 60s or 2m, up to a day")?;
    Ok(Duration::from_millis(millis))
}

/// Returns the lines of standard input, until it ends. No line is read by a process in
/// the background of a terminal: the kernel would stop it for trying.
pub(crate) fn lines() -> mpsc::Receiver<String> {
    let (tell, lines) = mpsc::channel(16);
    let in_background =
        tcgetpgrp(io::stdin()).is_ok_and(|front| front != rustix::process::getpgrp());
    if !in_background {
        // A thread of its own: a read from a terminal cannot be called off, and
        // the runtime would wait for it at the end.
        std::thread::spawn(move || {
            for line in io::stdin().lock().lines().map_while(Result::ok) {
                if tell.blocking_send(line).is_err() {
                    return;
                }
            }
        });
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_to_a_bus_are_carried_out() {
        let mut behaviour = UnitBehaviour::default();
        let mut said = |line: &str| {
            let order = BusOrder::parse(line)?;
            let told = order.carry_out(|id| (id == UnitId(3)).then_some(&mut behaviour));
            Ok::<_, String>((
                told,
                behaviour.alive,
                behaviour.faults.first().map(|c| c.fault),
            ))
        };
        let late = Some(Fault::Late(Duration::from_millis(400)));
        for (line, alive, fault) in [
            ("kill 3", false, None),
            ("revive 3", true, None),
            ("late 3 400ms", true, late),
            ("kill 4", true, late),
            ("noise 3", true, Some(Fault::Noise(8))),
            ("noise 3 20", true, Some(Fault::Noise(20))),
            ("twin 3", true, Some(Fault::Twin)),
            ("  flip   3 ", true, Some(Fault::Flip)),
            ("help", true, Some(Fault::Flip)),
            ("well 3", true, None),
        ] {
            let (_, lives, goes_wrong) = said(line).expect(line);
            assert_eq!((lives, goes_wrong), (alive, fault), "{line}");
        }
        assert_eq!(said("kill 4").map(|s| s.0), Ok("there is no unit 4".into()));
        for wrong in [
            "",
            "kill",
            "kill x",
            "kill 3 4",
            "late 3",
            "late 3 x",
            "noise 3 300",
            "flip 3 9",
            "sulk 3",
        ] {
            assert!(said(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn orders_to_a_platform_are_understood() {
        let gateway = Device::new("pk", "gw");
        let parse = |line: &str| PlatformOrder::parse(line, &gateway);
        let ms = Duration::from_millis;
        for (line, fault) in [
            (
                "lose-requests 10",
                Misfortune::LoseRequests { permille: 10 },
            ),
            ("lose-replies 0", Misfortune::LoseReplies { permille: 0 }),
            ("duplicate 1000", Misfortune::Duplicate { permille: 1000 }),
            (
                "reorder 200",
                Misfortune::Reorder {
                    permille: 200,
                    by: ms(3_000),
                },
            ),
            (
                "reorder 200 1s",
                Misfortune::Reorder {
                    permille: 200,
                    by: ms(1_000),
                },
            ),
            (
                "delay 400ms",
                Misfortune::Delay {
                    least: ms(0),
                    most: ms(400),
                },
            ),
            (
                "throttle 2m",
                Misfortune::Throttle {
                    during: ms(120_000),
                },
            ),
            (
                "kick a1 meter-1",
                Misfortune::Kick(Device::new("a1", "meter-1")),
            ),
            (
                "delay 1s 2s",
                Misfortune::Delay {
                    least: ms(1_000),
                    most: ms(2_000),
                },
            ),
            (
                "answer post 429 20s",
                Misfortune::Answer {
                    what: RequestKind::Post,
                    code: Code::THROTTLED,
                    during: ms(20_000),
                },
            ),
            (
                "answer-next logout 500 5",
                Misfortune::AnswerNext {
                    what: RequestKind::Logout,
                    code: Code(500),
                    times: 5,
                },
            ),
            ("posts-per-second 3", Misfortune::PostsPerSecond(Some(3))),
            ("posts-per-second off", Misfortune::PostsPerSecond(None)),
            ("cap 150", Misfortune::Cap(Some(150))),
            ("cap off", Misfortune::Cap(None)),
            (
                "refuse a1 meter-1 522",
                Misfortune::Refuse {
                    device: Device::new("a1", "meter-1"),
                    code: Some(Code(522)),
                },
            ),
            (
                "refuse a1 meter-1 off",
                Misfortune::Refuse {
                    device: Device::new("a1", "meter-1"),
                    code: None,
                },
            ),
            (
                "unanswered a1 meter-1",
                Misfortune::Unanswered {
                    device: Device::new("a1", "meter-1"),
                    on: true,
                },
            ),
            (
                "flap 2s 15s",
                Misfortune::Flap {
                    least: ms(2_000),
                    most: ms(15_000),
                },
            ),
            (
                "rival 1s 1s",
                Misfortune::Rival {
                    least: ms(1_000),
                    most: ms(1_000),
                },
            ),
            (
                "flap off",
                Misfortune::Flap {
                    least: ms(0),
                    most: ms(0),
                },
            ),
            ("lose-session all", Misfortune::LoseSession(None)),
            (
                "lose-session a1 meter-1",
                Misfortune::LoseSession(Some(Device::new("a1", "meter-1"))),
            ),
            ("ignore-pings", Misfortune::IgnorePings(true)),
            ("cut", Misfortune::Cut(gateway.clone())),
            ("deaf", Misfortune::Deaf(true)),
            ("heal", Misfortune::Heal),
        ] {
            assert_eq!(parse(line), Ok(PlatformOrder::Fault(fault)), "{line}");
        }
        let meter = || Device::new("a1", "meter-1");
        for (line, act) in [
            ("disable a1 meter-1", Act::Disable(meter())),
            (
                "create a1 meter-1",
                Act::CreateAgain {
                    gateway: gateway.clone(),
                    device: meter(),
                },
            ),
            (
                "secret a1 meter-1 new",
                Act::ChangeSecret {
                    device: meter(),
                    secret: Secret::new("new"),
                },
            ),
            (
                "say /ext/rrpc/7 {\"id\": 7}",
                Act::Downlink {
                    gateway: gateway.clone(),
                    topic: "/ext/rrpc/7".into(),
                    payload: "{\"id\": 7}".into(),
                },
            ),
        ] {
            assert_eq!(parse(line), Ok(PlatformOrder::Act(act)), "{line}");
        }
        let mut switches = Switches::default();
        for line in ["pack-out-of-session dropped", "batch-code last"] {
            match parse(line) {
                Ok(PlatformOrder::Switch(switch)) => switch.set(&mut switches),
                other => panic!("{line}: {other:?}"),
            }
        }
        assert_eq!(
            switches.pack_out_of_session,
            PackOutOfSession::DroppedAndTold
        );
        assert_eq!(switches.failed_batch_code, FailedBatchCode::Last);
        assert_eq!(parse("help"), Ok(PlatformOrder::Help));
        for wrong in [
            "",
            "reorder",
            "reorder 1001",
            "delay 1h",
            "throttle 99999999999999999999",
            "kick a1",
            "cut it",
            "answer posts 429 20s",
            "answer post 99999 20s",
            "cap -1",
            "refuse a1 meter-1",
            "flap 2s",
            "secret a1 meter-1",
            "batch-names some",
            "pack-out-of-session lost",
        ] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
