//! The events of a life, printed as they happen: for the one seed that is run alone.

use std::cell::Cell;
use std::fmt;
use std::sync::Once;

use alink_gateway::base::Mono;
use alink_gateway::lab::site::Site;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;

static LISTEN: Once = Once::new();

thread_local! {
    static BEGAN: Cell<Option<tokio::time::Instant>> = const { Cell::new(None) };
}

/// Prints the seconds of the life.
struct Lived;

impl FormatTime for Lived {
    fn format_time(&self, w: &mut Writer<'_>) -> fmt::Result {
        let Some(began) = BEGAN.get() else {
            return Ok(());
        };
        write!(w, "{:10.3} gateway  ", began.elapsed().as_secs_f64())
    }
}

/// Prints the log of the gateway, the changes from outside and the events of the
/// platform.
#[derive(Default)]
pub(crate) struct Story {
    told: Option<Told>,
}

#[derive(Default)]
struct Told {
    events: usize,
    asked: usize,
}

impl Story {
    /// Prints the story, or nothing.
    pub(crate) fn new(aloud: bool) -> Story {
        BEGAN.set(Some(tokio::time::Instant::now()));
        if aloud {
            LISTEN.call_once(|| {
                // Another subscriber may exist already.
                let _ = tracing_subscriber::fmt()
                    .with_max_level(tracing::Level::DEBUG)
                    .with_timer(Lived)
                    .with_target(false)
                    .with_level(false)
                    .with_ansi(false)
                    .with_writer(std::io::stderr)
                    .try_init();
            });
        }
        Story {
            told: aloud.then(Told::default),
        }
    }

    /// Prints a change to the site.
    pub(crate) fn blow(&self, what: &dyn fmt::Debug) {
        if self.told.is_some() {
            tracing::info!("------- {what:?}");
        }
    }

    /// Prints what the platform has seen since the last call.
    pub(crate) async fn catch_up(&mut self, site: &Site) {
        let Some(told) = &mut self.told else {
            return;
        };
        let (events, asked) = (told.events, told.asked);
        let (mut lines, seen) = site
            .platform(move |p, _| {
                let ledger = p.ledger();
                let mut lines: Vec<(Mono, String)> = Vec::new();
                for (at, event) in ledger.events().skip(events) {
                    lines.push((*at, format!("{event:?}")));
                }
                for a in ledger.asked().skip(asked) {
                    let names: Vec<_> = a.devices.iter().map(ToString::to_string).collect();
                    let what = format!("{:?} {} -> {:?}", a.ask, names.join(" "), a.code);
                    lines.push((a.at, what));
                }
                (lines, (ledger.events().count(), ledger.asked().count()))
            })
            .await;
        (told.events, told.asked) = seen;
        lines.sort();
        for (at, line) in lines {
            let seconds = at.since(Mono::START).as_secs_f64();
            tracing::info!("{seconds:.3} platform {line}");
        }
    }
}
