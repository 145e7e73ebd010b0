//! A line as a tool surveys it: through the service that has the port, or opened here.
//!
//! The service is asked first, so that the tool never fights it for the port. Only if there is no
//! service, or the service does not have the line, the tool opens it.
//!
//! The calls block, for tools that have nothing else to do.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};

use super::bus::bus_monitor::BusMonitor;
use super::bus::exchange::{Exchange, LineLoss};
use super::bus::line::{OpenLine, Opener};
use super::control::client::{self, AnswerError};
use super::system::clock::Clock;
use crate::base::{Mono, UnitId};
use crate::control::{Answer, Failure, FailureKind, Request, SurveyAsked};
use crate::spec::survey::{SurveyReply, SurveyRequest, SurveySettings};
use crate::spec::{BusAddress, LineSpec};

/// A line that is surveyed.
pub struct SurveyLine {
    socket: PathBuf,
    named: String,
    line: LineSpec,
    clock: Clock,
    way: LineRoute,
    /// Something to know about the line that was opened here: settings that it did not take, bytes
    /// that its adapter holds back.
    notice: Option<String>,
    /// The settings that the adapter took instead of others, as they were told last.
    told_differ: Option<String>,
}

/// How the line is reached.
enum LineRoute {
    /// The first request shows it.
    Unknown,
    /// The service asks.
    Service,
    /// The line is open here; with the address whose last request got no reply, and how long was
    /// waited for it.
    Own(Runtime, Box<Exchange>, Option<(BusAddress, Duration)>),
}

/// What was heard after one request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Surveyed {
    /// What was heard after the request.
    pub heard: SurveyReply,
    /// When the request had been sent, about.
    pub sent: Mono,
    /// The units whose replies came before the request was sent.
    pub units_before: Vec<UnitId>,
    /// How many bytes came before the request was sent that belong to no frame.
    pub noise_before: usize,
    /// Whether the line fell quiet, so that the request was sent.
    pub is_sent: bool,
    /// Whether the reply could be one that was owed to a poll of the service.
    pub may_be_stale: bool,
    /// The settings that the adapter took instead of those that were asked for, in words.
    pub settings_differ: Option<String>,
}

/// Why a line cannot be surveyed.
#[derive(Debug, thiserror::Error)]
pub enum SurveyError {
    /// The line cannot be opened here.
    #[error("{named}: {why}")]
    NotOpened {
        /// What the user named.
        named: String,
        /// Why not.
        why: String,
    },
    /// The line was lost, in the system's words.
    #[error("{named}: the line was lost: {why}")]
    Lost {
        /// What the user named.
        named: String,
        /// Why.
        why: String,
    },
    /// The adapter refuses the settings that were asked for. The line goes on with its own.
    #[error("{named}: the adapter refuses these settings of the line: {why}; --line sets others")]
    Refused {
        /// What the user named.
        named: String,
        /// Why, in the system's words.
        why: String,
    },
    /// The service says why not.
    #[error(transparent)]
    Service(AnswerError),
}

impl SurveyError {
    /// Returns whether the service had no time, so that the same may be asked again.
    #[must_use]
    pub const fn is_busy(&self) -> bool {
        matches!(
            self,
            SurveyError::Service(AnswerError::Failure(Failure {
                kind: FailureKind::Busy,
                ..
            }))
        )
    }
}

impl SurveyLine {
    /// Returns the line that a user has named so, which is asked for at the service behind this
    /// socket, and if need be opened as `line` says.
    #[must_use]
    pub fn new(socket: PathBuf, named: String, line: LineSpec) -> Self {
        // The service has another working directory.
        let named = match named.contains('/') {
            true => {
                std::path::absolute(&named).map_or(named.clone(), |path| path.display().to_string())
            }
            false => named,
        };
        SurveyLine {
            socket,
            named,
            line,
            clock: Clock::system(),
            way: LineRoute::Unknown,
            notice: None,
            told_differ: None,
        }
    }

    /// Returns what the user has named.
    #[must_use]
    pub fn named(&self) -> &str {
        &self.named
    }

    /// Returns the time by which [`Surveyed::sent`] counts.
    #[must_use]
    pub fn now(&self) -> Mono {
        self.clock.now().mono
    }

    /// Returns whether the service has the line, as far as a request has shown.
    #[must_use]
    pub const fn is_shared(&self) -> bool {
        matches!(self.way, LineRoute::Service)
    }

    /// Returns something to know about the line that was opened here, once.
    pub const fn take_notice(&mut self) -> Option<String> {
        self.notice.take()
    }

    /// Finds out who has the line: the service, or this process from now on.
    ///
    /// # Errors
    /// The service has the line and does not answer, or the line cannot be opened here.
    pub fn reach(&mut self, first: &SurveyRequest) -> Result<Surveyed, SurveyError> {
        match self.by_service(first) {
            Ok((surveyed, settings)) => {
                self.way = LineRoute::Service;
                self.taken(surveyed, settings)
            }
            Err(AnswerError::Failure(Failure {
                kind: FailureKind::Unknown,
                ..
            }))
            | Err(AnswerError::NotThere(_)) => {
                self.open()?;
                self.ask(first)
            }
            // It may be just starting, and about to open the line itself.
            Err(AnswerError::NotResponding(_)) => {
                self.open()?;
                let said = self.ask(first);
                self.notice.get_or_insert_with(|| {
                    "the service does not answer, killed or just starting: the line is opened here"
                        .into()
                });
                said
            }
            // A second connection may cost the service its own. A port may be one that the service
            // does not have; if it has, the port cannot be opened here.
            Err(forbidden @ AnswerError::Forbidden { .. }) if self.is_tcp() => {
                Err(SurveyError::Service(forbidden))
            }
            Err(forbidden @ AnswerError::Forbidden { .. }) => match self.open() {
                Ok(()) => self.ask(first),
                Err(_) => Err(SurveyError::Service(forbidden)),
            },
            Err(e) => Err(SurveyError::Service(e)),
        }
    }

    /// Asks one question.
    ///
    /// # Errors
    /// [`SurveyError`].
    pub fn ask(&mut self, request: &SurveyRequest) -> Result<Surveyed, SurveyError> {
        let lost = |named: &str, lost: LineLoss| SurveyError::Lost {
            named: named.to_owned(),
            why: lost.why,
        };
        match &mut self.way {
            LineRoute::Unknown => self.reach(request),
            LineRoute::Service => {
                let said = self.by_service(request);
                let (surveyed, settings) = said.map_err(SurveyError::Service)?;
                self.taken(surveyed, settings)
            }
            LineRoute::Own(runtime, exchange, unanswered) => {
                let address = request.question.address();
                let owed = unanswered.take().filter(|(unit, _)| *unit == address);
                let asking = async {
                    let mut late = Vec::new();
                    if let Some((_, waited)) = owed {
                        // The reply to the last request would be taken for that to this one.
                        let until = exchange.idle_since() + waited;
                        late = exchange.listen_for_late(until).await?.overheard;
                    }
                    let mut surveyed = exchange.survey(request, Duration::ZERO).await?;
                    surveyed.before.extend(late);
                    Ok(surveyed)
                };
                let surveyed = runtime.block_on(asking).map_err(|e| lost(&self.named, e))?;
                let mut frames = surveyed.heard.frames.iter();
                if !frames.any(|frame| frame.answers(&request.question)) {
                    *unanswered = Some((address, request.wait));
                }
                let units = surveyed.before.iter().filter_map(|sender| sender.unit());
                let settings = surveyed.settings;
                let surveyed = Surveyed {
                    units_before: units.collect(),
                    noise_before: usize::try_from(surveyed.noise_before).unwrap_or(usize::MAX),
                    is_sent: surveyed.is_sent,
                    sent: surveyed.sent,
                    heard: surveyed.heard,
                    may_be_stale: false,
                    settings_differ: None,
                };
                self.taken(surveyed, settings)
            }
        }
    }

    /// Adds to what was heard whether the line had the settings that were asked for.
    fn taken(
        &mut self,
        surveyed: Surveyed,
        settings: SurveySettings,
    ) -> Result<Surveyed, SurveyError> {
        let settings_differ = match settings {
            SurveySettings::AsAsked => None,
            SurveySettings::Differ(what) => Some(what),
            SurveySettings::Refused(why) => {
                let named = self.named.clone();
                return Err(SurveyError::Refused { named, why });
            }
        };
        if settings_differ.is_some() && settings_differ != self.told_differ {
            self.told_differ.clone_from(&settings_differ);
            let what = settings_differ.as_deref().unwrap_or_default();
            self.notice = Some(format!("the line has {what}"));
        }
        Ok(Surveyed {
            settings_differ,
            ..surveyed
        })
    }

    const fn is_tcp(&self) -> bool {
        matches!(self.line, LineSpec::Tcp(_))
    }

    fn by_service(
        &self,
        request: &SurveyRequest,
    ) -> Result<(Surveyed, SurveySettings), AnswerError> {
        let asked = Request::Survey {
            port: self.named.clone(),
            survey: SurveyAsked::of(request),
        };
        let answer = client::ask_once(&self.socket, &asked)?;
        let strange = || {
            let why = io::Error::other("an answer to another request");
            AnswerError::Broken(why)
        };
        let Answer::Heard(said) = answer else {
            return Err(strange());
        };
        let heard = said.heard().ok_or_else(strange)?;
        let since = heard.last_after.unwrap_or(request.wait);
        let surveyed = Surveyed {
            sent: self.now().before(since),
            units_before: said.units_before.iter().copied().map(UnitId).collect(),
            noise_before: usize::try_from(said.noise_before).unwrap_or(usize::MAX),
            is_sent: said.is_sent,
            may_be_stale: said.may_be_stale,
            settings_differ: None,
            heard,
        };
        Ok((surveyed, said.settings()))
    }

    /// Opens the line here.
    fn open(&mut self) -> Result<(), SurveyError> {
        let not_opened = |e: io::Error| SurveyError::NotOpened {
            named: self.named.clone(),
            why: e.to_string(),
        };
        // A tty is this thread's own: nothing else runs on it.
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(not_opened)?;
        let opened = runtime.block_on(Opener::System.open(&self.line));
        let opened = opened.map_err(not_opened)?;
        let held_back = opened.held_back.map(|wait| {
            let ms = wait.as_millis();
            format!(
                "the adapter holds received bytes back for {ms} ms, and only root may change that"
            )
        });
        let differs = opened
            .differs
            .as_ref()
            .map(|differs| format!("the line has {differs}"));
        self.told_differ = opened.differs;
        self.notice = differs.or(held_back);
        let line: OpenLine = opened.line;
        let exchange = {
            let _inside = runtime.enter();
            Exchange::new(line, &self.line, self.clock, BusMonitor::default(), 1)
        };
        self.way = LineRoute::Own(runtime, Box::new(exchange), None);
        Ok(())
    }
}
