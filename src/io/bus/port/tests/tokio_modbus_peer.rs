//! Tests the port against servers that are not ours: tokio-modbus' own, on a real pseudo
//! terminal and a real socket, in real time.

use std::collections::BTreeMap;
use std::future::{Ready, ready};

use tokio::net::TcpListener;
use tokio::time::timeout;
use tokio_modbus::server::{Service, rtu, tcp};
use tokio_modbus::{ExceptionCode, Request, Response, SlaveRequest};
use tokio_serial::{SerialPort, SerialStream};

use super::*;
use crate::base::{
    BusWork, CommandNumber, DeviceId, LivenessEvidence, LivenessProof, Reading, RefusedReason,
    Value, WriteVerdict,
};
use crate::field::test_spec::{installation, number, point, profile, serial, tcp as endpoint};
use crate::spec::{Codec, Number, PointSpec, ProfileSpec, Table};

/// A device in which every register holds three times its address and every third bit is on;
/// there is nothing from 9000 on.
struct Device;

impl Service for Device {
    type Request = SlaveRequest<'static>;
    type Response = Response;
    type Exception = ExceptionCode;
    type Future = Ready<Result<Response, ExceptionCode>>;

    fn call(&self, request: Self::Request) -> Self::Future {
        let registers = |a: u16, n: u16| (a..a + n).map(|i| i * 3).collect();
        let bits = |a: u16, n: u16| (a..a + n).map(|i| i % 3 == 0).collect();
        ready(match request.request {
            Request::ReadHoldingRegisters(9000.., _) => Err(ExceptionCode::IllegalDataAddress),
            Request::ReadCoils(a, n) => Ok(Response::ReadCoils(bits(a, n))),
            Request::ReadDiscreteInputs(a, n) => Ok(Response::ReadDiscreteInputs(bits(a, n))),
            Request::ReadHoldingRegisters(a, n) => {
                Ok(Response::ReadHoldingRegisters(registers(a, n)))
            }
            Request::ReadInputRegisters(a, n) => Ok(Response::ReadInputRegisters(registers(a, n))),
            Request::WriteSingleRegister(9000.., _) => Err(ExceptionCode::IllegalDataAddress),
            Request::WriteSingleCoil(a, on) => Ok(Response::WriteSingleCoil(a, on)),
            Request::WriteSingleRegister(a, word) => Ok(Response::WriteSingleRegister(a, word)),
            Request::MaskWriteRegister(a, and, or) => Ok(Response::MaskWriteRegister(a, and, or)),
            Request::WriteMultipleCoils(a, all) => {
                Ok(Response::WriteMultipleCoils(a, all.len() as u16))
            }
            Request::WriteMultipleRegisters(a, all) => {
                Ok(Response::WriteMultipleRegisters(a, all.len() as u16))
            }
            _ => Err(ExceptionCode::IllegalFunction),
        })
    }
}

fn everything() -> ProfileSpec {
    let mut points = vec![
        point(Table::HoldingRegister, 9000, number(Number::U16), 200),
        point(Table::HoldingRegister, 100, number(Number::U32), 200),
        point(Table::HoldingRegister, 102, number(Number::U16), 200),
        point(Table::HoldingRegister, 103, Codec::Bit(0), 200),
    ];
    points.extend((40..140).map(|a| point(Table::InputRegister, a, number(Number::U16), 200)));
    points.extend((7..30).map(|a| point(Table::Coil, a, Codec::Bool, 200)));
    points.extend((7..17).map(|a| point(Table::DiscreteInput, a, Codec::Bool, 200)));
    for point in &mut points {
        let is_written = matches!(
            point.address.as_modbus().map(|a| a.table),
            Some(Table::Coil | Table::HoldingRegister)
        );
        point.write = is_written.then(Box::default);
    }
    let mut kind = profile(points);
    kind.writes.mask_write = true;
    kind
}

fn expected(profile: &ProfileSpec, index: u16) -> Value {
    let p = &profile.points[usize::from(index)];
    let address = p.address.as_modbus().unwrap();
    let a = u64::from(address.start);
    match (address.table.is_bits(), p.codec.width()) {
        _ if p.codec == Codec::Bit(0) => Value::Bool(a * 3 % 2 == 1),
        (true, _) => Value::Bool(a % 3 == 0),
        (false, 2) => Value::UInt(((a * 3) << 16) + (a + 1) * 3),
        (false, _) => Value::UInt(a * 3),
    }
}

/// Collects until every point but the first has its value and that one its
/// refusal.
async fn reads_everything(hub: &mut mpsc::Receiver<FieldEvent>) {
    let profile = everything();
    let mut values = BTreeMap::new();
    let mut refused = false;
    let all = async {
        while values.len() + 1 < profile.points.len() || !refused {
            match hub.recv().await {
                Some(FieldEvent::Polled {
                    evidence, readings, ..
                }) => {
                    refused |= evidence == LivenessEvidence::Alive(LivenessProof::Exception(2));
                    for Reading { point, value, .. } in readings {
                        values.insert(point, value);
                    }
                }
                Some(_) => {}
                None => panic!("the task ended"),
            }
        }
    };
    timeout(Duration::from_secs(20), all)
        .await
        .expect("in time");
    for (point, value) in values {
        assert_eq!(value, expected(&profile, point));
    }
}

struct Ends {
    hub: mpsc::Receiver<FieldEvent>,
    attempted: oneshot::Receiver<()>,
    commands: mpsc::Sender<BusCommand>,
}

/// Writes in every way, and once where there is nothing. The server keeps nothing, so what is
/// read back is what was there before.
async fn writes_everything(ends: &mut Ends) {
    let profile = everything();
    let index = |table: Table, start: u16| {
        let at = |p: &PointSpec| {
            let address = p.address.as_modbus().unwrap();
            (address.table, address.start) == (table, start)
        };
        profile.points.iter().position(at).unwrap() as u16
    };
    let holding = |start| index(Table::HoldingRegister, start);
    let coil = |start| index(Table::Coil, start);
    let different = |written, point| WriteVerdict::Different {
        written,
        read: expected(&profile, point),
    };
    let bools: Vec<(u16, Value)> = (9..12)
        .map(|a| (coil(a), Value::Bool(a % 3 == 0)))
        .collect();
    let (word, both) = (Value::UInt(0x1234), Value::UInt(0x0012_3456));
    let verified = |read| WriteVerdict::Verified { read };
    for (values, wanted) in [
        (
            vec![(coil(8), Value::Bool(true))],
            vec![different(Value::Bool(true), coil(8))],
        ),
        (
            vec![(holding(102), word.clone())],
            vec![different(word.clone(), holding(102))],
        ),
        (
            vec![(holding(100), Value::UInt(300 << 16 | 303))],
            vec![verified(Value::UInt(300 << 16 | 303))],
        ),
        (
            vec![(holding(100), both.clone()), (holding(102), word.clone())],
            vec![different(both, holding(100)), different(word, holding(102))],
        ),
        (
            vec![(holding(9000), Value::UInt(1))],
            vec![WriteVerdict::Refused(RefusedReason::Exception(2))],
        ),
        (
            vec![(holding(103), Value::Bool(true))],
            vec![verified(Value::Bool(true))],
        ),
        (
            bools.clone(),
            bools.into_iter().map(|(_, v)| verified(v)).collect(),
        ),
    ] {
        let command = BusCommand {
            number: CommandNumber(1),
            device: DeviceId(0),
            work: BusWork::Set(values),
            until: Clock::system().now().mono + Duration::from_secs(10),
        };
        ends.commands.send(command).await.unwrap();
        let ended = async {
            loop {
                match ends.hub.recv().await {
                    Some(FieldEvent::CommandEnded(end)) => return end,
                    Some(_) => {}
                    None => panic!("the task ended"),
                }
            }
        };
        let end = timeout(Duration::from_secs(10), ended).await;
        let points = end.expect("in time").points.into_iter();
        assert_eq!(points.map(|p| p.verdict).collect::<Vec<_>>(), wanted);
    }
}

fn start(port: PortSpec) -> Ends {
    let spec = Arc::new(installation(port, vec![everything()]));
    let (hub_in, hub) = mpsc::channel(64);
    let (told, attempted) = oneshot::channel();
    let (commands, ordered) = mpsc::channel(8);
    tokio::spawn(run(
        PortId(0),
        Arc::clone(&spec),
        Opener::System,
        Learned::in_memory(),
        Rng::new(1),
        Clock::system(),
        Journal::new(spec),
        hub_in,
        Heartbeat::new("line"),
        CancellationToken::new(),
        told,
        ordered.into(),
    ));
    Ends {
        hub,
        attempted,
        commands,
    }
}

#[tokio::test]
async fn reads_and_writes_a_tokio_modbus_server_on_a_pseudo_terminal() {
    let (master, slave) = SerialStream::pair().unwrap();
    let path = slave.name().unwrap();
    drop(slave);
    let mut port = serial(115_200);
    if let LineSpec::Serial(s) = &mut port.line {
        s.path = path.into();
    }
    let mut ends = start(port);
    // Not before: without a process at the other end the server would see a hang-up.
    (&mut ends.attempted).await.unwrap();
    tokio::spawn(rtu::Server::new(master).serve_forever(Device));
    reads_everything(&mut ends.hub).await;
    writes_everything(&mut ends).await;
}

#[tokio::test]
async fn reads_and_writes_a_tokio_modbus_server_on_a_socket() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut port = endpoint();
    if let LineSpec::Tcp(t) = &mut port.line {
        t.host = "127.0.0.1".into();
        t.port = listener.local_addr().unwrap().port();
    }
    tokio::spawn(async move {
        let server = tcp::Server::new(listener);
        let connected = |stream, _| ready(Ok(Some((Device, stream))));
        server.serve(&connected, |_| {}).await
    });
    let mut ends = start(port);
    reads_everything(&mut ends.hub).await;
    writes_everything(&mut ends).await;
}
