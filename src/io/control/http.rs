//! Metrics over HTTP, for Prometheus on the same box: `GET /metrics` and nothing
//! else. Only where the configuration says so.

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
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::notice::{Notice, Refusals};
use super::{BREATH, Desk, serve};

/// The version of the text ("OpenMetrics 1.0", section "Protocol Negotiation").
const OPENMETRICS: HeaderValue =
    HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
/// Who only wants to see that it works.
const PLAIN: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
/// One scraper, its neighbour, and a person.
const CONNECTIONS: usize = 4;
/// A connection carries one question and is over within this.
const WITHIN: Duration = Duration::from_secs(15);

/// Opens the port.
///
/// # Errors
/// The system's.
pub async fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    TcpListener::bind(address).await
}

/// Serves whoever connects, until `stop`. Who comes while all places are taken
/// waits in the system's queue.
pub async fn run(listener: TcpListener, desk: Desk, stop: CancellationToken) {
    let (clock, journal) = (desk.clock, desk.journal.clone());
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let tasks = TaskTracker::new();
    let mut refusals = Refusals::default();
    loop {
        let next = async {
            // Never closed.
            let place = Arc::clone(&places).acquire_owned().await;
            (place, listener.accept().await)
        };
        let (place, accepted) = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            next = next => next,
            () = refusals.settles(clock) => {
                if let (_, Some((why, times))) = refusals.settle(clock.now().mono) {
                    journal.tell(&Notice::MetricsNotAccepted { why, times });
                }
                continue;
            }
        };
        match accepted {
            Ok((stream, _)) => {
                let (desk, stop) = (desk.clone(), stop.clone());
                tasks.spawn(async move {
                    let _place = place;
                    tokio::select! {
                        biased;
                        () = stop.cancelled() => {}
                        () = one(stream, &desk) => {}
                    }
                });
            }
            Err(e) => {
                let why = e.to_string();
                if let Some(times) = refusals.not_accepted(clock.now().mono, &why) {
                    journal.tell(&Notice::MetricsNotAccepted { why, times });
                }
                tokio::time::sleep(BREATH).await;
            }
        }
    }
    tasks.close();
    tasks.wait().await;
}

async fn one(stream: TcpStream, desk: &Desk) {
    let answer = service_fn(|request| answer(request, desk));
    let connection = http1::Builder::new()
        .keep_alive(false)
        .max_buf_size(16 * 1024)
        .serve_connection(TokioIo::new(stream), answer);
    // Whether it was broken off or took too long does not matter to us.
    let _ = tokio::time::timeout(WITHIN, connection).await;
}

async fn answer(
    request: Request<Incoming>,
    desk: &Desk,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (status, kind, text) = match (request.method(), request.uri().path()) {
        (&Method::GET | &Method::HEAD, "/metrics") => match serve::metrics(desk).await {
            Ok(text) => (StatusCode::OK, OPENMETRICS, text),
            Err(failure) => (StatusCode::SERVICE_UNAVAILABLE, PLAIN, failure.why),
        },
        (&Method::GET | &Method::HEAD, _) => (
            StatusCode::NOT_FOUND,
            PLAIN,
            "there is only /metrics\n".into(),
        ),
        _ => (
            StatusCode::METHOD_NOT_ALLOWED,
            PLAIN,
            "only GET\n".to_owned(),
        ),
    };
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, kind);
    if status == StatusCode::METHOD_NOT_ALLOWED {
        let methods = HeaderValue::from_static("GET, HEAD");
        response.headers_mut().insert(ALLOW, methods);
    }
    Ok(response)
}
