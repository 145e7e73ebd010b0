//! TCP peers that misbehave, on real sockets, in real time: faults of the connection do
//! not count against a device, and no value is lost or wrong.

mod gateway;
mod several;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use alink_gateway::base::{
    FieldEvent, LivenessEvidence, LivenessProof, MissReason, UnitId, UnknownReason, Value,
    WriteVerdict,
};
use alink_gateway::field::modbus::{ascii, rtu};
use alink_gateway::spec::{Framing, PointAddress, Spec, Table, TransactionIds};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{sleep, timeout};

use gateway::{Gateway, Peer, Server, ms, registers};

/// Answers everything, and closes after so long without a request.
async fn hangs_up(mut peer: Peer, idle: Duration, resets: bool) {
    while let Ok(Some(request)) = timeout(idle, peer.request()).await {
        peer.send(&request.reply()).await;
    }
    if resets {
        peer.reset();
    }
}

#[tokio::test]
async fn a_peer_that_closes_an_idle_connection_is_no_event() {
    for resets in [false, true] {
        let server = Server::new(move |peer| hangs_up(peer, ms(100), resets)).await;
        let mut gateway = Gateway::start(registers(server.line(), 1, ms(400), ms(1000)));
        gateway.values(6).await;
        assert_eq!((gateway.misses(), gateway.downs()), (0, 0));
        for event in ["port-lost", "port-unavailable"] {
            assert_eq!(gateway.told(event), [""; 0], "resets: {resets}");
        }
        assert_eq!(gateway.told("port-opened").len(), 1);
        // Once for each poll, and never only because the peer had hung up.
        assert!(
            (5..=7).contains(&server.connections()),
            "{}",
            server.connections()
        );
    }
}

#[tokio::test]
async fn a_request_that_crosses_the_close_is_asked_again() {
    for resets in [false, true] {
        // The close takes the third request of each connection with it.
        let server = Server::new(move |mut peer| async move {
            for _ in 0..2 {
                let Some(request) = peer.request().await else {
                    return;
                };
                peer.send(&request.reply()).await;
            }
            peer.request().await;
            if resets {
                peer.reset();
            }
        })
        .await;
        let mut gateway = Gateway::start(registers(server.line(), 2, ms(150), ms(1000)));
        gateway.values(12).await;
        assert_eq!((gateway.misses(), gateway.downs()), (0, 0));
        assert_eq!(gateway.told("port-lost"), [""; 0]);
    }
}

#[tokio::test]
async fn a_request_that_always_ends_the_connection_is_a_miss_of_its_device_alone() {
    let server = Server::new(|mut peer| async move {
        while let Some(request) = peer.request().await {
            if request.unit == 2 {
                return;
            }
            peer.send(&request.reply()).await;
        }
    })
    .await;
    let mut gateway = Gateway::start(registers(server.line(), 2, ms(200), ms(1000)));
    gateway.run(ms(3000)).await;
    let of = |device: u32, alive: bool| {
        move |e: &FieldEvent| {
            matches!(e, FieldEvent::Polled { device: whose, evidence, .. }
                if whose.0 == device && matches!(evidence, LivenessEvidence::Alive(_)) == alive)
        }
    };
    // Of fifteen polls.
    assert!(gateway.count(of(0, true)) >= 13, "{:?}", gateway.events);
    assert!(gateway.count(of(1, false)) >= 2);
    assert_eq!(gateway.count(of(0, false)) + gateway.count(of(1, true)), 0);
    assert_eq!(gateway.downs(), 0);
    assert!(server.connections() < 40, "{}", server.connections());
}

#[tokio::test]
async fn an_idle_connection_that_cannot_be_made_anew_is_a_port_that_is_down() {
    let server = Server::new(|peer| hangs_up(peer, ms(50), false)).await;
    let mut gateway = Gateway::start(registers(server.line(), 1, ms(600), ms(1000)));
    gateway.values(2).await;
    server.stop.cancel();
    while gateway.downs() == 0 {
        gateway.event().await;
    }
    assert_eq!(gateway.misses(), 0);
}

#[tokio::test]
async fn a_command_that_crosses_the_close_is_not_sent_twice() {
    let writes = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&writes);
    let server = Server::new(move |mut peer| {
        let seen = Arc::clone(&seen);
        async move {
            while let Some(request) = peer.request().await {
                if request.function == 6 {
                    seen.fetch_add(1, Ordering::SeqCst);
                    return;
                }
                peer.send(&request.reply()).await;
            }
        }
    })
    .await;
    let mut gateway = Gateway::start(registers(server.line(), 1, ms(100), ms(1000)));
    gateway.values(2).await;
    let end = gateway.command(3).await;
    assert_eq!(end, WriteVerdict::Unknown(UnknownReason::NoReply));
    gateway.values(2).await;
    assert_eq!(writes.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_command_finds_its_way_to_a_peer_that_had_hung_up() {
    let server = Server::new(|peer| async move {
        let mut peer = peer;
        while let Ok(Some(request)) = timeout(ms(50), peer.request()).await {
            // A write is confirmed by its echo.
            let word = |n: u16| n.to_be_bytes();
            let mut echo = word(request.id).to_vec();
            echo.extend([0, 0, 0, 6, request.unit, request.function]);
            echo.extend(word(request.start));
            echo.extend(word(request.count));
            let reply = if request.function == 6 {
                echo
            } else {
                request.reply()
            };
            peer.send(&reply).await;
        }
    })
    .await;
    let mut gateway = Gateway::start(registers(server.line(), 1, ms(60_000), ms(1000)));
    gateway.values(1).await;
    sleep(ms(200)).await;
    let written = Value::UInt(3);
    assert_eq!(
        gateway.command(3).await,
        WriteVerdict::Confirmed { written }
    );
    assert_eq!(server.connections(), 2);
}

#[tokio::test]
async fn an_idle_connection_is_closed_if_that_is_wanted() {
    let lasted = Arc::new(AtomicUsize::new(0));
    let closed = Arc::clone(&lasted);
    let server = Server::new(move |mut peer| {
        let closed = Arc::clone(&closed);
        async move {
            while let Some(request) = peer.request().await {
                peer.send(&request.reply()).await;
            }
            let lasted = peer.since.elapsed();
            assert!((ms(200)..ms(500)).contains(&lasted), "{lasted:?}");
            closed.fetch_add(1, Ordering::SeqCst);
        }
    })
    .await;
    let mut line = server.line();
    line.connection.close_after = Some(ms(200));
    let mut gateway = Gateway::start(registers(line, 1, ms(600), ms(1000)));
    gateway.values(4).await;
    assert_eq!((gateway.misses(), gateway.downs()), (0, 0));
    assert!(lasted.load(Ordering::SeqCst) >= 3);
}

/// Builds register 7, and one at 3000 that the server does not have.
fn with_one_that_is_absent(line: alink_gateway::spec::TcpSpec) -> Spec {
    let mut spec = registers(line, 1, ms(200), ms(1000));
    let device = &mut spec.devices[0];
    let mut kind = (*device.profile).clone();
    let mut absent = kind.points[0].clone();
    absent.id = "Absent".into();
    absent.address = PointAddress::modbus(Table::HoldingRegister, 3000);
    kind.points.push(absent);
    device.profile = Arc::new(kind);
    spec
}

#[tokio::test]
async fn an_exception_of_any_length_is_a_refusal_and_the_connection_stays() {
    for length in [2, 4, 9, 0xFFFF] {
        for padding in [0, 1, 5] {
            let server = Server::new(move |mut peer| async move {
                while let Some(request) = peer.request().await {
                    let reply = match request.start {
                        3000 => [request.refusal(2, length), vec![0; padding]].concat(),
                        _ => request.reply(),
                    };
                    peer.send(&reply).await;
                }
            })
            .await;
            let mut gateway = Gateway::start(with_one_that_is_absent(server.line()));
            gateway.values(4).await;
            assert_eq!(gateway.misses(), 0, "{length} {padding}");
            let refused = LivenessEvidence::Alive(LivenessProof::Exception(2));
            let is = |e: &FieldEvent| matches!(e, FieldEvent::Polled { evidence, .. } if *evidence == refused);
            assert!(gateway.count(is) > 0, "{length} {padding}");
            assert_eq!(server.connections(), 1);
        }
    }
}

#[tokio::test]
async fn the_reply_is_found_among_bytes_of_no_frame() {
    let server = Server::new(|mut peer| async move {
        let mut n = 0usize;
        while let Some(request) = peer.request().await {
            n += 1;
            let reply = request.reply();
            let mut longer = reply.clone();
            longer[5] += 2;
            let mut shorter = reply.clone();
            shorter[5] -= 1;
            let wire = match n % 6 {
                0 => [b"login: ".to_vec(), reply].concat(),
                // A header that promises bytes that never come.
                1 => [vec![9, 9, 0, 0, 0, 250, 1, 3], reply].concat(),
                2 => [reply, vec![0xAB, 0xCD]].concat(),
                3 => longer,
                4 => shorter,
                _ => reply,
            };
            for piece in wire.chunks(1 + n % 5) {
                peer.send(piece).await;
                sleep(ms(1)).await;
            }
        }
    })
    .await;
    let mut gateway = Gateway::start(registers(server.line(), 1, ms(100), ms(1000)));
    gateway.values(24).await;
    assert_eq!((gateway.misses(), gateway.downs()), (0, 0));
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn a_peer_that_speaks_another_protocol_is_asked_ever_more_rarely_and_told_once() {
    let server = Server::new(|mut peer| async move {
        // Correct at first.
        if peer.nth == 0
            && let Some(request) = peer.request().await
        {
            peer.send(&request.reply()).await;
        }
        while peer.request().await.is_some() {
            peer.send(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        }
    })
    .await;
    let mut gateway = Gateway::start(registers(server.line(), 1, ms(50), ms(50)));
    gateway.run(ms(6000)).await;
    assert!(
        (2..20).contains(&server.connections()),
        "{}",
        server.connections()
    );
    let lost = gateway.told("port-lost");
    assert_eq!(lost.len(), 1, "{lost:?}");
    let why = "what it sends is not Modbus TCP: 48 54 54 50 2F 31 2E 31";
    assert!(lost[0].contains(why), "{lost:?}");
}

/// Replies under transaction ids of its own.
async fn numbers_itself(mut peer: Peer) {
    let mut own = 0;
    while let Some(request) = peer.request().await {
        own += 1;
        let mut reply = request.reply();
        reply[..2].copy_from_slice(&(own ^ 0x5500u16).to_be_bytes());
        peer.send(&reply).await;
    }
}

#[tokio::test]
async fn a_gateway_that_numbers_its_replies_itself_is_named_or_lived_with() {
    let server = Server::new(numbers_itself).await;
    let mut gateway = Gateway::start(registers(server.line(), 1, ms(100), ms(200)));
    while gateway.misses() < 2 {
        gateway.event().await;
    }
    let told = gateway.told("device-foreign");
    assert_eq!(told.len(), 1);
    for words in [
        "transaction id 2",
        "instead of",
        "from the right unit with the right function",
        "transaction_ids: any",
    ] {
        assert!(told[0].contains(words), "{told:?}");
    }

    let mut line = server.line();
    line.connection.transaction_ids = TransactionIds::Any;
    let mut gateway = Gateway::start(registers(line, 1, ms(100), ms(200)));
    gateway.values(10).await;
    assert_eq!(gateway.misses(), 0);
}

/// Delivers, as a serial server, each reply in two halves with this between them.
async fn in_halves(mut peer: Peer, framing: Framing, pause: Duration) {
    let mut request = vec![0; 64];
    loop {
        let bytes = match peer.stream.read(&mut request).await {
            Ok(0) | Err(_) => return,
            Ok(bytes) => bytes,
        };
        let asked = &request[..bytes];
        let reply = match framing {
            Framing::Rtu => rtu::frame(UnitId(asked[0]), &[3, 2, 0, 7]),
            Framing::Ascii => {
                let (unit, _) = ascii::open(asked).unwrap();
                ascii::frame(unit, &[3, 2, 0, 7])
            }
        };
        let (first, second) = reply.split_at(4);
        let _ = peer.stream.write_all(first).await;
        sleep(pause).await;
        let _ = peer.stream.write_all(second).await;
    }
}

#[tokio::test]
async fn halves_of_a_frame_over_tcp_are_put_together_whatever_lies_between() {
    for framing in [Framing::Rtu, Framing::Ascii] {
        for pause in [ms(300), ms(2000)] {
            let server = Server::new(move |peer| in_halves(peer, framing, pause)).await;
            let mut line = server.line();
            line.framing = Some(framing);
            let spec = registers(line, 1, ms(100), Duration::from_secs(5));
            let mut gateway = Gateway::start(spec);
            gateway.values(3).await;
            assert_eq!(gateway.misses(), 0, "{framing:?} {pause:?}");
        }
    }
}

#[tokio::test]
async fn garbage_over_tcp_ends_and_hides_no_reply() {
    // Noise before the reply, a spoilt frame, noise alone; by turns of four, so that
    // the gateway can recover from each.
    let server = Server::new(|mut peer| async move {
        let mut request = [0; 8];
        let mut n = 0;
        while peer.stream.read_exact(&mut request).await.is_ok() {
            let reply = match (request[1], request[5]) {
                (3, count) => {
                    let mut pdu = vec![3, 2 * count];
                    pdu.extend([0, 7].repeat(usize::from(count)));
                    rtu::frame(UnitId(1), &pdu)
                }
                (function, _) => rtu::frame(UnitId(1), &[function | 0x80, 1]),
            };
            let mut spoilt = reply.clone();
            spoilt[4] ^= 1;
            n += 1;
            match n % 12 {
                2 => peer.send(&[&[0xFF, 0x01][..], &reply].concat()).await,
                5 => peer.send(&spoilt).await,
                9 => peer.send(&[0xC0; 20]).await,
                _ => peer.send(&reply).await,
            }
        }
    })
    .await;
    let mut line = server.line();
    line.framing = Some(Framing::Rtu);
    let mut gateway = Gateway::start(registers(line, 1, ms(100), ms(1500)));
    let start = tokio::time::Instant::now();
    gateway.values(12).await;
    // A spoilt frame ends a pause after it has come, noise with the timeout.
    assert!(start.elapsed() < ms(15_000), "{:?}", start.elapsed());
    let garbled = LivenessEvidence::Missed(MissReason::Garbled);
    let is =
        |e: &FieldEvent| matches!(e, FieldEvent::Polled { evidence, .. } if *evidence == garbled);
    assert!(gateway.count(is) >= 2);
}

#[tokio::test]
async fn nothing_is_sent_before_the_connection_has_had_its_rest() {
    // By a key of the port, or by the rest that the unit needs.
    for by_port in [true, false] {
        let server = Server::new(|mut peer| async move {
            while let Some(request) = peer.request().await {
                // A unit that is asked too early stays deaf.
                if peer.since.elapsed() < ms(290) {
                    return std::future::pending().await;
                }
                peer.send(&request.reply()).await;
            }
        })
        .await;
        let mut line = server.line();
        if by_port {
            line.connection.connect_delay = ms(300);
        }
        let mut spec = registers(line, 1, ms(50), ms(1000));
        if !by_port {
            spec.devices[0].turnaround = ms(300);
        }
        let mut gateway = Gateway::start(spec);
        let start = tokio::time::Instant::now();
        gateway.values(3).await;
        let took = start.elapsed();
        assert_eq!(gateway.misses(), 0);
        let least = if by_port { ms(300) } else { ms(900) };
        assert!(took >= least, "{took:?}");
    }
}
