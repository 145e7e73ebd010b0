//! What one can ask of a running `alink-lab platform` or `alink-lab bus`: one
//! order a line on standard input.

use std::io::{self, BufRead};
use std::time::Duration;

use alink_gateway::base::UnitId;
use alink_gateway::lab::bus::{Fault, Manners};
use alink_gateway::lab::platform::{Device, Fault as Misfortune};
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

/// Orders to a platform, in words.
pub(crate) const PLATFORM_HELP: &str = "\
Orders, one a line on standard input:
  lose-requests N     this many of a thousand requests are lost
  lose-replies N      this many of a thousand replies are lost
  duplicate N         this many of a thousand replies are sent twice
  reorder N [SPAN]    this many of a thousand are held back, by 3s or SPAN
  delay SPAN          replies wait up to this long, such as 400ms
  throttle SPAN       every log-in is answered 429 for so long, such as 60s
  kick PK DN          this device turns up elsewhere
  cut                 the gateway's connection is cut
  deaf                nothing is read or sent any more, nor closed
  heal                all that lasts ends
  help                these words";

/// An order to a bus.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum BusOrder {
    /// Power for a unit, or none.
    Power(UnitId, bool),
    /// What goes wrong with every reply of a unit; `None` for nothing.
    Fault(UnitId, Option<Fault>),
    /// Say what can be ordered.
    Help,
}

impl BusOrder {
    /// What a line asks for, or why it cannot be understood.
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

    /// Carries it out on the manners of the unit with this number; says how it
    /// went.
    pub(crate) fn obey<'a>(
        &self,
        manners: impl FnOnce(UnitId) -> Option<&'a mut Manners>,
    ) -> String {
        let (BusOrder::Power(id, _) | BusOrder::Fault(id, _)) = self else {
            return BUS_HELP.to_owned();
        };
        let Some(manners) = manners(*id) else {
            return format!("there is no unit {}", id.0);
        };
        match self {
            BusOrder::Power(_, alive) => manners.alive = *alive,
            BusOrder::Fault(_, fault) => {
                let always = |fault| alink_gateway::lab::bus::Chance {
                    fault,
                    permille: 1000,
                };
                manners.faults = fault.map(always).into_iter().collect();
            }
            BusOrder::Help => {}
        }
        match (manners.alive, &manners.faults[..]) {
            (false, _) => format!("unit {} is dead", id.0),
            (true, []) => format!("unit {} is well", id.0),
            (true, [first, ..]) => format!("unit {}: {:?}", id.0, first.fault),
        }
    }
}

/// The fault of this name.
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
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum PlatformOrder {
    /// Something goes wrong, or stops going wrong.
    Fault(Misfortune),
    /// Say what can be ordered.
    Help,
}

impl PlatformOrder {
    /// What a line asks for, or why it cannot be understood. `gateway` is whose
    /// connection can be cut.
    pub(crate) fn parse(line: &str, gateway: &Device) -> Result<PlatformOrder, String> {
        let words: Vec<&str> = line.split_whitespace().collect();
        Ok(PlatformOrder::Fault(match words[..] {
            ["help"] => return Ok(PlatformOrder::Help),
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
                least: Duration::ZERO,
                most: span(most)?,
            },
            ["throttle", during] => Misfortune::Throttle {
                during: span(during)?,
            },
            ["kick", product, name] => Misfortune::Kick(Device::new(product, name)),
            ["cut"] => Misfortune::Cut(gateway.clone()),
            ["deaf"] => Misfortune::Deaf(true),
            ["heal"] => Misfortune::Heal,
            _ => {
                return Err(format!(
                    "cannot do \u{201c}{line}\u{201d}; help says what can be ordered"
                ));
            }
        }))
    }
}

/// Thousandths.
pub(crate) fn permille(text: &str) -> Result<u32, String> {
    let number = text.parse().ok().filter(|p| *p <= 1000);
    number.ok_or("of a thousand: a whole number up to 1000".into())
}

/// A span such as `400ms`, `60s` or `2m`; a bare number is milliseconds.
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

/// The lines of standard input, until it ends. None are read by a job in the
/// background of a terminal: the kernel would stop it for trying.
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
        let mut manners = Manners::default();
        let mut said = |line: &str| {
            let order = BusOrder::parse(line)?;
            let told = order.obey(|id| (id == UnitId(3)).then_some(&mut manners));
            Ok::<_, String>((told, manners.alive, manners.faults.first().map(|c| c.fault)))
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
            ("cut", Misfortune::Cut(gateway.clone())),
            ("deaf", Misfortune::Deaf(true)),
            ("heal", Misfortune::Heal),
        ] {
            assert_eq!(parse(line), Ok(PlatformOrder::Fault(fault)), "{line}");
        }
        assert_eq!(parse("help"), Ok(PlatformOrder::Help));
        for wrong in [
            "",
            "reorder",
            "reorder 1001",
            "delay 1h",
            "throttle 99999999999999999999",
            "kick a1",
            "cut it",
        ] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
