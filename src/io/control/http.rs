//! Serves metrics over HTTP, for Prometheus on the same box: `GET /metrics` and nothing else.
//! Only where the configuration says so.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Mutex;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::connection_slots::{Admission, ConnectionSlots, OwnSlot, Rules};
use super::events::{ControlEvent, Refusals};
use super::{PAUSE_AFTER_FAILURE, QuestionSender, ask};
use crate::base::Mono;
use crate::control::Failure;
use crate::io::system::clock::Clock;

/// The version of the text ("OpenMetrics 1.0", section "Protocol Negotiation").
const OPENMETRICS: HeaderValue =
    HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
/// The content type for a client that does not ask for OpenMetrics.
const PLAIN: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
/// Slots for two scrapers, a person, and connections that send nothing. There are no users
/// here: all peers count as one user.
const RULES: Rules = Rules {
    most: 32,
    of_a_user: 32,
    for_root: 0,
    // A scraper on the same box takes its answer in milliseconds.
    taken_within: Some(Duration::from_secs(1)),
};
/// The user that all peers have here.
const ANY_USER: u32 = 1;
/// How long a request may take to come, however its bytes come.
const ASKED_WITHIN: Duration = Duration::from_secs(5);
/// How long a connection may last; it carries one question.
const WITHIN: Duration = Duration::from_secs(10);
/// How long to wait before a slot is looked for again, if no peer with a slot is idle.
const SLOT_RETRY: Duration = Duration::from_millis(50);
/// How old the text may be before it is made anew: the text of 2,000 devices takes a while.
const FRESH: Duration = Duration::from_millis(500);

/// Opens the port.
///
/// # Errors
/// The system's error.
pub async fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    TcpListener::bind(address).await
}

/// The text that was made last, and when; the lock lets one task at a time make it.
type Latest = Arc<Mutex<Option<(Mono, Bytes)>>>;

/// Serves all peers that connect, until `stop`. A peer that comes while all slots are taken
/// gets the slot of the peer that has been idle longest (`connection_slots.rs`).
pub async fn run(listener: TcpListener, questions: QuestionSender, stop: CancellationToken) {
    let (clock, journal) = (questions.clock, questions.journal.clone());
    let slots = ConnectionSlots::new(RULES);
    let latest = Latest::default();
    let tasks = TaskTracker::new();
    let mut refusals = Refusals::default();
    loop {
        let accepted = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
            () = refusals.wait_until_due(clock) => {
                let sums = refusals.take_due(clock.now().mono);
                if let Some((why, times)) = sums.not_accepted {
                    journal.tell(&ControlEvent::MetricsNotAccepted { why, times });
                }
                if let Some(times) = sums.crowded {
                    journal.tell(&ControlEvent::MetricsPeerReplaced { times });
                }
                continue;
            }
        };
        match accepted {
            Ok((stream, _)) => {
                let admitted = tokio::select! {
                    biased;
                    () = stop.cancelled() => break,
                    admitted = admit(&slots, clock) => admitted,
                };
                let (slot, cut) = admitted;
                let told = cut
                    .then(|| refusals.peer_replaced(clock.now().mono))
                    .flatten();
                if let Some(times) = told {
                    journal.tell(&ControlEvent::MetricsPeerReplaced { times });
                }
                let (questions, stop, latest) =
                    (questions.clone(), stop.clone(), Arc::clone(&latest));
                tasks.spawn(async move {
                    tokio::select! {
                        biased;
                        () = stop.cancelled() => {}
                        () = slot.cut() => {}
                        () = one(stream, &questions, &slot, &latest) => {}
                    }
                });
                // The peer's request may be there already: it is read before the next peer comes,
                // which might take its slot.
                tokio::task::yield_now().await;
            }
            Err(e) => {
                let why = e.to_string();
                if let Some(times) = refusals.not_accepted(clock.now().mono, &why) {
                    journal.tell(&ControlEvent::MetricsNotAccepted { why, times });
                }
                tokio::time::sleep(PAUSE_AFTER_FAILURE).await;
            }
        }
    }
    tasks.close();
    tasks.wait().await;
}

/// Finds a slot for one more peer; returns also whether another peer was cut for it. A peer
/// with a slot is idle, is answered within milliseconds, or is idle by not taking the answer.
async fn admit(slots: &ConnectionSlots, clock: Clock) -> (OwnSlot, bool) {
    loop {
        match slots.admit(clock.now().mono, ANY_USER) {
            Admission::Admitted(slot, cut) => return (slot, cut),
            Admission::Full => tokio::time::sleep(SLOT_RETRY).await,
        }
    }
}

async fn one(stream: TcpStream, questions: &QuestionSender, slot: &OwnSlot, latest: &Latest) {
    let answer = service_fn(|request| {
        slot.is_answered(questions.clock.now().mono);
        answer(request, questions, latest)
    });
    let connection = http1::Builder::new()
        .keep_alive(false)
        .max_buf_size(16 * 1024)
        .serve_connection(TokioIo::new(stream), answer);
    let mut connection = std::pin::pin!(timeout(WITHIN, connection));
    // It does not matter here whether the connection broke or took too long.
    let asked = timeout(ASKED_WITHIN, &mut connection).await;
    if asked.is_err() && slot.has_asked() {
        let _ = connection.await;
    }
}

/// Returns the text, at most [`FRESH`] old.
async fn text(questions: &QuestionSender, latest: &Latest) -> Result<Bytes, Failure> {
    let mut latest = latest.lock().await;
    let now = questions.clock.now().mono;
    if let Some((made, text)) = &*latest
        && now.since(*made) < FRESH
    {
        return Ok(text.clone());
    }
    let text = Bytes::from(ask::metrics(questions).await?);
    *latest = Some((now, text.clone()));
    Ok(text)
}

async fn answer(
    request: Request<Incoming>,
    questions: &QuestionSender,
    latest: &Latest,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (status, kind, text) = match (request.method(), request.uri().path()) {
        (&Method::GET | &Method::HEAD, "/metrics") => match text(questions, latest).await {
            Ok(text) => (StatusCode::OK, OPENMETRICS, text),
            Err(failure) => (StatusCode::SERVICE_UNAVAILABLE, PLAIN, failure.why.into()),
        },
        (&Method::GET | &Method::HEAD, _) => (
            StatusCode::NOT_FOUND,
            PLAIN,
            "there is only /metrics\n".into(),
        ),
        _ => (StatusCode::METHOD_NOT_ALLOWED, PLAIN, "only GET\n".into()),
    };
    let mut response = Response::new(Full::new(text));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, kind);
    if status == StatusCode::METHOD_NOT_ALLOWED {
        let methods = HeaderValue::from_static("GET, HEAD");
        response.headers_mut().insert(ALLOW, methods);
    }
    Ok(response)
}
