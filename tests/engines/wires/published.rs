//! Exchanges that manuals and other programs publish, between the port task and a
//! device that answers them to the byte: the configuration that yields the values which
//! the source prints.

use super::*;
use alink_gateway::field::modbus::tcp;

/// The values read, by device and point, and how often no value came.
type Read = (BTreeMap<String, Value>, u32);

fn bytes(hex: &str) -> Vec<u8> {
    hex.split_whitespace()
        .map(|b| u8::from_str_radix(b, 16).unwrap())
        .collect()
}

/// Builds a device that answers each request of the table with its reply.
fn answering(table: &[(Vec<u8>, Vec<u8>)]) -> BusProtocol {
    let mut plain = Plain::default();
    for (asked, answer) in table {
        plain.set(asked, answer);
    }
    BusProtocol::Plain(plain)
}

async fn collect(spec: &Spec, hub: &mut mpsc::Receiver<FieldEvent>, span: Duration) -> Read {
    let (mut values, mut misses) = (BTreeMap::new(), 0);
    let end = tokio::time::Instant::now() + span;
    while let Ok(Some(event)) = tokio::time::timeout_at(end, hub.recv()).await {
        let FieldEvent::Polled {
            device,
            evidence,
            readings,
            ..
        } = event
        else {
            continue;
        };
        let device = spec.device(device).unwrap();
        for reading in readings {
            let point = &device.profile.points[usize::from(reading.point)];
            values.insert(format!("{} {}", device.name, point.id), reading.value);
        }
        misses += u32::from(!matches!(
            evidence,
            LivenessEvidence::Alive(LivenessProof::Answer)
        ));
    }
    (values, misses)
}

async fn read(text: &str, devices: Vec<BusProtocol>) -> Read {
    let spec = spec(text);
    let mut line = line(&spec, 1);
    for device in devices {
        line.join(device);
    }
    let mut w = World::new(Arc::clone(&spec), line, 1).await;
    collect(&spec, &mut w.hub, Duration::from_secs(20)).await
}

fn values<const N: usize>(all: [(&str, Value); N]) -> BTreeMap<String, Value> {
    all.map(|(name, value)| (name.to_owned(), value)).into()
}

const CJT188: &str = r#"
ports:
  - name: line1
    serial: { device: /dev/ttyUSB0, baud: 2400, parity: even }
profiles:
  - name: water
    product_key: a1SubDemoPk
    protocol: raw
    address_digits: 14
    interval: 5s
    requests:
      - name: read
        send: "FE FE FE 68 10 {address} 01 03 1F 90 00 {check} 16"
        check: { sum: sum8, from: 3 }
        reply:
          length: 35
          begins: "68 10 {address} 81 16"
          contains: [{ at: 18, bytes: 2C }]
          check: { sum: sum8 }
          behind_check: 1
          preamble: FE
    points:
      - { id: Volume, request: read, type: bcd32, at: 14, order: DCBA, scale: 0.01 }
      - { id: Settled, request: read, type: bcd32, at: 19, order: DCBA, scale: 0.01 }
      - { id: ValveFault, request: read, type: bit, at: 31, bit: 1 }
  - name: heat
    product_key: a1SubDemoPk
    protocol: raw
    address_digits: 14
    interval: 5s
    requests:
      - name: read
        send: "FE FE FE 68 20 {address} 01 03 1F 90 12 {check} 16"
        check: { sum: sum8, from: 3 }
        reply:
          length: 59
          begins: "68"
          contains: [{ at: 2, bytes: "{address} 81 2E" }]
          check: { sum: sum8 }
          behind_check: 1
          preamble: FE
    points:
      - { id: Heat, request: read, type: bcd32, at: 19, order: DCBA, scale: 0.01 }
      - { id: FlowIn, request: read, type: bcd24, at: 39, order: DCBA, scale: 0.01 }
      - { id: FlowBack, request: read, type: bcd24, at: 42, order: DCBA, scale: 0.01 }
devices:
  - { name: water-1, port: line1, address: "78330011223344", profile: water, secret: s3cret }
  - { name: water-2, port: line1, address: "00000805000001", profile: water, secret: s3cret }
  - { name: heat-1, port: line1, address: "11110017312151", profile: heat, secret: s3cret }
  - { name: heat-2, port: line1, address: "00312718241912", profile: heat, secret: s3cret }
"#;

/// Checks CJ/T 188 by `protocol: raw`: the exchange with a water meter that
/// cnblogs.com/yangykaifa/p/7010777.html and others explain byte by byte (the sum of
/// the reply is 13, as later copies have it), a second one whose reply names its datum
/// in the other order, and two heat meters from programs that read them, one of which
/// answers with another type and serial number than the request names.
#[tokio::test(start_paused = true)]
async fn meters_with_addresses_of_fourteen_digits_are_read() {
    let exchange = [
        (
            "FE FE FE 68 10 44 33 22 11 00 33 78 01 03 1F 90 00 80 16",
            "FE FE FE FE 68 10 44 33 22 11 00 33 78 81 16 1F 90 00 00 77 66 55 2C 00 77 66 55 2C 31 01 22 11 05 15 20 21 84 13 16",
        ),
        (
            "FE FE FE 68 10 01 00 00 05 08 00 00 01 03 1F 90 00 39 16",
            "FE FE FE 68 10 01 00 00 05 08 00 00 81 16 90 1F 00 00 23 01 00 2C 00 00 00 00 2C 00 00 00 00 00 00 00 00 00 48 16",
        ),
        (
            "FE FE FE 68 20 51 21 31 17 00 11 11 01 03 1F 90 12 29 16",
            "68 20 51 21 31 17 00 11 11 81 2E 1F 90 12 00 00 00 00 05 00 00 00 00 05 00 00 00 00 14 00 00 00 00 35 19 00 00 00 2C 76 30 00 68 30 00 73 02 00 32 41 11 12 09 07 20 04 00 E9 16",
        ),
        (
            "FE FE FE 68 20 12 19 24 18 27 31 00 01 03 1F 90 12 0C 16",
            "68 25 12 19 24 18 27 31 00 81 2E 1F 90 03 11 74 02 00 05 88 27 44 05 05 00 00 00 00 17 00 00 00 00 35 08 56 71 00 2C 79 26 00 64 26 00 66 47 07 11 52 17 03 09 25 20 00 05 2A 16",
        ),
    ];
    let device = answering(&exchange.map(|(asked, answer)| (bytes(asked), bytes(answer))));
    let (read, misses) = read(CJT188, vec![device]).await;
    let f = Value::Float;
    assert_eq!(
        read,
        values([
            ("water-1 Volume", f(556_677.0)),
            ("water-1 Settled", f(556_677.0)),
            ("water-1 ValveFault", Value::Bool(false)),
            ("water-2 Volume", f(123.0)),
            ("water-2 Settled", f(0.0)),
            ("water-2 ValveFault", Value::Bool(false)),
            ("heat-1 Heat", f(0.0)),
            ("heat-1 FlowIn", f(30.76)),
            ("heat-1 FlowBack", f(30.68)),
            ("heat-2 Heat", f(54_427.88)),
            ("heat-2 FlowIn", f(26.79)),
            ("heat-2 FlowBack", f(26.64)),
        ])
    );
    assert_eq!(misses, 0);
}

/// ICP DAS DCON modules: the worked examples of the I-7018 manual (`#AA`, eight
/// channels; `$AAM`) without checksum and of the I-7000 manuals with one. They are
/// text, so that a line of seven bits carries them too.
#[tokio::test(start_paused = true)]
async fn replies_that_begin_like_a_prompt_and_end_with_a_return_are_read() {
    let text = |serial: &str| {
        format!(
            r##"
ports:
  - name: line1
    serial: {{ device: /dev/ttyUSB0, {serial} }}
profiles:
  - name: thermocouples
    product_key: a1SubDemoPk
    protocol: raw
    interval: 2s
    requests:
      - {{ name: all, send: '"#" {{unit:02X}} 0D', reply: {{ until: 0D, begins: '">"' }} }}
      - name: type
        send: '"$" {{unit:02X}} "M" 0D'
        reply: {{ until: 0D, begins: '"!" {{unit:02X}}' }}
    points:
      - {{ id: First, request: all, type: decimal, at: 1, length: 7 }}
      - {{ id: Last, request: all, type: decimal, at: 50, length: 7 }}
      - {{ id: Type, request: type, type: text, at: 3, length: 4 }}
  - name: checked
    product_key: a1SubDemoPk
    protocol: raw
    interval: 2s
    requests:
      - name: settings
        send: '"$" {{unit:02X}} "2" {{check}} 0D'
        check: {{ sum: sum8, as: hex }}
        reply: {{ until: 0D, begins: '"!" {{unit:02X}}', check: {{ sum: sum8, as: hex }} }}
    points:
      - {{ id: Settings, request: settings, type: hex, at: 3, length: 6 }}
devices:
  - {{ name: tc-2, port: line1, unit: 2, profile: thermocouples, secret: s3cret }}
  - {{ name: io-1, port: line1, unit: 1, profile: checked, secret: s3cret }}
"##
        )
    };
    let exchange: [(&[u8], &[u8]); 3] = [
        (
            b"#02\r",
            b">+025.12+020.45+012.78+018.97+003.24+015.35+008.07+014.79\r",
        ),
        (b"$02M\r", b"!027018\r"),
        (b"$012B7\r", b"!01200600AA\r"),
    ];
    for serial in ["baud: 9600", "baud: 9600, framing: ascii"] {
        let device = answering(&exchange.map(|(a, b)| (a.to_vec(), b.to_vec())));
        let (read, misses) = read(&text(serial), vec![device]).await;
        assert_eq!(
            read,
            values([
                ("tc-2 First", Value::Float(25.12)),
                ("tc-2 Last", Value::Float(14.79)),
                ("tc-2 Type", Value::Text("7018".into())),
                ("io-1 Settings", Value::Int(0x20_0600)),
            ]),
            "{serial}"
        );
        assert_eq!(misses, 0, "{serial}");
    }
}

/// Checks the published comparison of RTU and ASCII (bbs.21ic.com/icview-162927-1-1),
/// with the check that its reply has in ASCII; and the same device without the LF at
/// the end, or with another first character.
#[tokio::test(start_paused = true)]
async fn modbus_ascii_without_line_feeds_is_read() {
    let text = r#"
ports:
  - name: line1
    serial: { device: /dev/ttyUSB0, baud: 9600, framing: ascii }
profiles:
  - name: module
    product_key: a1SubDemoPk
    interval: 2s
    points:
      - { id: First, table: holding, address: 107, type: u16 }
      - { id: Last, table: holding, address: 109, type: u16 }
devices:
  - { name: io-1, port: line1, unit: 17, profile: module, secret: s3cret }
"#;
    for answer in [
        &b":110306AE4156524340CC\r\n"[..],
        b":110306AE4156524340CC\r",
        b">110306AE4156524340CC\r",
        b">110306AE4156524340CC\r\n",
    ] {
        let asked = b":1103006B00037E\r\n".to_vec();
        let device = answering(&[(asked, answer.to_vec())]);
        let (read, misses) = read(text, vec![device]).await;
        let shown = String::from_utf8_lossy(answer).into_owned();
        assert_eq!(
            read,
            values([
                ("io-1 First", Value::UInt(0xAE41)),
                ("io-1 Last", Value::UInt(0x4340)),
            ]),
            "{shown:?}"
        );
        assert_eq!(misses, 0, "{shown:?}");
    }
}

/// Checks a function of the vendor's own on a line of Modbus ASCII, beside registers.
#[tokio::test(start_paused = true)]
async fn functions_of_the_vendors_own_are_asked_in_modbus_ascii() {
    let text = r#"
ports:
  - name: line1
    serial: { device: /dev/ttyUSB0, baud: 9600, framing: ascii }
profiles:
  - name: vendor
    product_key: a1SubDemoPk
    protocol: raw
    interval: 2s
    requests:
      - name: module
        send: '":" {unit:02X} "4600" {check} 0D 0A'
        check: { sum: lrc-ascii, as: hex, from: 1 }
        reply: { until: 0D 0A, begins: '":" {unit:02X} "4600"', check: { sum: lrc-ascii, as: hex, from: 1 } }
    points:
      - { id: Module, request: module, type: text, at: 9, length: 4 }
devices:
  - { name: io-17, port: line1, unit: 17, profile: vendor, secret: s3cret }
"#;
    let device = answering(&[(
        b":114600A9\r\n".to_vec(),
        b":11460000701800"
            .iter()
            .chain(b"21\r\n")
            .copied()
            .collect(),
    )]);
    let (read, misses) = read(text, vec![device]).await;
    let name = Value::Text("7018".into());
    assert_eq!((read, misses), (values([("io-17 Module", name)]), 0));
}

/// Checks that units that Modbus over Serial Line V1.02 §2.2 reserves are read like any
/// other.
#[tokio::test(start_paused = true)]
async fn units_above_the_standards_are_read() {
    let text = r#"
ports:
  - name: line1
    serial: { device: /dev/ttyUSB0, baud: 9600 }
profiles:
  - name: module
    product_key: a1SubDemoPk
    interval: 2s
    points:
      - { id: VoltageA, table: input, address: 0, type: u16 }
devices:
  - { name: general, port: line1, unit: 248, profile: module, secret: s3cret }
  - { name: new-module, port: line1, unit: 255, profile: module, secret: s3cret }
  - { name: ordinary, port: line1, unit: 1, profile: module, secret: s3cret }
"#;
    let spec = spec(text);
    let mut line = line(&spec, 1);
    for unit in [1, 248, 255] {
        line.attach(UnitId(unit), Unit::new(UnitKind::Meter, u64::from(unit)));
    }
    let mut w = World::new(spec, line, 1).await;
    w.run(Duration::from_secs(20)).await;
    w.check();
    for name in ["general", "new-module", "ordinary"] {
        assert!(w.values(name) >= 9, "{name}: {:?}", w.values);
    }
    assert!(w.misses.is_empty(), "{:?}", w.misses);
}

/// Checks the block of rates in the log of a handheld reader (2014-11-28): the request
/// goes to any meter on the line, and the meter answers with its address. Three values
/// of one reply, one more by its position in bytes, and one that this meter does not have.
#[tokio::test(start_paused = true)]
async fn several_values_of_one_block_are_read_from_a_meter_whose_address_nobody_knows() {
    let text = r#"
ports:
  - name: line1
    serial: { device: /dev/ttyUSB0, baud: 2400, parity: even }
profiles:
  - name: meter
    product_key: a1SubDemoPk
    protocol: dlt645-2007
    interval: 2s
    points:
      - { id: Total, data: energy-active-forward-all, value: 1 }
      - { id: Peak, data: energy-active-forward-all, value: 3 }
      - { id: Valley, data: energy-active-forward-all, value: 5 }
      - { id: Eighth, data: energy-active-forward-all, value: 9 }
      - { id: Flat, data: "0001FF00", at: 12, format: XXXXXX.XX }
      - { id: VoltageA, data: "0201FF00", value: 1, format: XXX.X }
devices:
  - { name: mtr-1, port: line1, address: any, profile: meter, secret: s3cret }
"#;
    let block = "68 00 36 19 00 00 00 68 91 18 33 32 34 33 63 69 33 33 89 35 33 33 4C 33 33 33 6B 33 33 33 4A 66 33 33 E9 16";
    let exchange = [
        (
            "FE FE FE FE 68 AA AA AA AA AA AA 68 11 04 33 32 34 33 AD 16",
            block,
        ),
        // A meter with one phase has a block of one value: two bytes.
        (
            "FE FE FE FE 68 AA AA AA AA AA AA 68 11 04 33 32 34 35 AF 16",
            "68 00 36 19 00 00 00 68 91 06 33 32 34 35 38 56 12 16",
        ),
    ];
    let device = answering(&exchange.map(|(asked, answer)| (bytes(asked), bytes(answer))));
    let (read, misses) = read(text, vec![device]).await;
    let f = Value::Float;
    assert_eq!(
        read,
        values([
            ("mtr-1 Total", f(36.3)),
            ("mtr-1 Peak", f(0.19)),
            ("mtr-1 Flat", f(0.38)),
            ("mtr-1 Valley", f(33.17)),
            ("mtr-1 VoltageA", f(230.5)),
        ])
    );
    assert_eq!(misses, 0);
}

/// Functions of the vendor's own in frames of Modbus TCP, beside registers of the same
/// unit and of another: ICP DAS 46h subfunction 00 (read module name), and 2Bh/0Eh of
/// V1.1b3 §6.21.
#[tokio::test]
async fn functions_of_the_vendors_own_are_asked_in_frames_of_modbus_tcp() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = listener.local_addr().unwrap().port();
    let spec = spec(&format!(
        r#"
ports:
  - name: rack
    tcp: {{ host: 127.0.0.1, port: {server} }}
profiles:
  - name: vendor
    product_key: a1SubDemoPk
    protocol: raw
    interval: 100ms
    requests:
      - {{ name: module, send: 46 00, reply: {{ length: 6, begins: 46 00 }} }}
      - {{ name: maker, send: 2B 0E 01 00, reply: {{ length: any, begins: 2B 0E 01 }} }}
      - {{ name: denied, send: 47 01, reply: {{ length: any, begins: "47" }} }}
    points:
      - {{ id: Module, request: module, type: u32, at: 2 }}
      - {{ id: Maker, request: maker, type: text, at: 9, length: 22 }}
      - {{ id: Denied, request: denied, type: u8, at: 1 }}
  - name: module
    product_key: a1SubDemoPk
    interval: 100ms
    points:
      - {{ id: A, table: holding, address: 7, type: u16 }}
devices:
  - {{ name: vendor-1, port: rack, unit: 1, profile: vendor, secret: s3cret }}
  - {{ name: vendor-2, port: rack, unit: 2, profile: vendor, secret: s3cret }}
  - {{ name: module-3, port: rack, unit: 3, profile: module, secret: s3cret }}
"#
    ));
    tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        let (mut unread, mut buffer) = (Vec::new(), [0; 256]);
        while let Ok(n @ 1..) = socket.read(&mut buffer).await {
            unread.extend_from_slice(&buffer[..n]);
            while let Some(frame) = tcp::take(&mut unread).unwrap() {
                let unit = frame.unit.0;
                let pdu = match (unit, &frame.pdu[..]) {
                    (1 | 2, [0x46, 0]) => vec![0x46, 0, 0, 0x70, 0x18, unit],
                    (1 | 2, [0x2B, 0x0E, 1, 0]) => {
                        b"\x2B\x0E\x01\x01\x00\x00\x01\x00\x16Company identification".to_vec()
                    }
                    (3, [3, 0, 7, 0, 1]) => vec![3, 2, 0, 42],
                    (_, pdu) => vec![pdu[0] | 0x80, 1],
                };
                let reply = tcp::frame(frame.transaction, frame.unit, &pdu);
                socket.write_all(&reply).await.unwrap();
            }
        }
    });
    let clock = Clock::starting_at(Wall::from_millis(1_790_000_000_000));
    let mut port = port_task::start(&spec, Opener::System, clock, 1);
    let (read, _) = collect(&spec, &mut port.events, Duration::from_secs(3)).await;
    port.stop.cancel();
    let maker = || Value::Text("Company identification".into());
    let module = |unit: i64| Value::Int(0x0070_1800 | unit);
    assert_eq!(
        read,
        values([
            ("vendor-1 Module", module(1)),
            ("vendor-1 Maker", maker()),
            ("vendor-2 Module", module(2)),
            ("vendor-2 Maker", maker()),
            ("module-3 A", Value::UInt(42)),
        ])
    );
}
