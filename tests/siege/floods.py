#!/usr/bin/env python3
"""Counterparts that flood a gateway, one part of them a process.

    floods.py rack HOST            field devices on ports from 15020 on
    floods.py broker HOST PORT TO  a broker's traffic, with floods in between
    floods.py files HOST PORT DIR CERT KEY   files over HTTPS
    floods.py idle tcp HOST PORT N           N connections that ask half a question
    floods.py idle unix PATH N UID GID       the same on a socket of the file system

Standard library only. Each takes orders, a line each, on its standard input, and
says on its standard output what it did, a line each. Without orders it behaves as
its kind should.
"""

import http.server
import json
import os
import re
import select
import selectors
import socket
import ssl
import struct
import sys
import threading
import time

# Bytes of one write of a flood, about.
BLOB = 64 * 1024
# Seconds within which what was sent must have been read, or the connection ended.
PATIENCE = 60
SPEAKING = threading.Lock()


def say(*words):
    # print() writes in pieces, and several threads speak.
    with SPEAKING:
        sys.stdout.write(" ".join(map(str, words)) + "\n")
        sys.stdout.flush()


def orders():
    for line in sys.stdin:
        if line.strip():
            yield line.split()


# --- field devices --------------------------------------------------------

# What is spoken on which port. The first is the neighbour and always well.
PROTOCOLS = ("neighbour", "tcp", "rtu", "ascii", "dlt645", "raw")
FIRST_PORT = 15020


def crc(data):
    """The checksum of Modbus over Serial Line V1.02, section 6.2.2, low byte first."""
    value = 0xFFFF
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = (value >> 1) ^ 0xA001 if value & 1 else value >> 1
    return struct.pack("<H", value)


def rtu(unit, pdu):
    frame = bytes([unit]) + pdu
    return frame + crc(frame)


def ascii_frame(unit, pdu):
    data = bytes([unit]) + pdu
    lrc = -sum(data) & 0xFF
    return b":" + (data + bytes([lrc])).hex().upper().encode() + b"\r\n"


def mbap(transaction, unit, pdu):
    return struct.pack(">HHHB", transaction, 0, 1 + len(pdu), unit) + pdu


def meter(address, control, data):
    """A frame of DL/T 645; data with 33h added, as it travels."""
    body = bytes([0x68]) + address + bytes([0x68, control, len(data)])
    body += bytes((b + 0x33) & 0xFF for b in data)
    return body + bytes([sum(body) & 0xFF, 0x16])


VALUES = b"\x03\x04" + struct.pack(">HH", 2200, 15)


def foreign(protocol):
    """Well-formed frames that the gateway has not asked for, as many as fit into a blob."""
    one = {
        "tcp": lambda n: mbap(0x4000 + n % 256, 1, VALUES),
        "rtu": lambda n: rtu(100 + n % 100, VALUES),
        "ascii": lambda n: ascii_frame(100 + n % 100, VALUES),
        "dlt645": lambda n: meter(bytes([n % 256, 9, 9, 9, 9, 9]), 0x91, bytes(8)),
        "raw": lambda n: b"~nobody asked %d\r" % n,
    }[protocol]
    out, n = [], 0
    while sum(map(len, out[-1:])) * n < BLOB:
        out.append(one(n))
        n += 1
    return b"".join(out)


def begun(protocol):
    """The beginning of a frame, and bytes by which it is never ended."""
    return {
        "tcp": (struct.pack(">HHHB", 0, 0, 250, 1), b"\x03"),
        "rtu": (b"\x01\x03\xfa", b"\x00"),
        "ascii": (b":01", b"0"),
        "dlt645": (b"\x68\x01\x00\x00\x00\x00\x00\x68\x91\xff", b"\x33"),
        "raw": (b"!", b"x"),
    }[protocol]


MODES = ("well", "foreign", "garbage", "zeros", "longest", "restless", "trickle")


class Rack:
    """A neighbour that is always well, and devices of each protocol that are not."""

    def __init__(self, host):
        self.host, self.mode = host, "well"
        self.requests = dict.fromkeys(PROTOCOLS, 0)
        self.sent = dict.fromkeys(PROTOCOLS, 0)
        for n, protocol in enumerate(PROTOCOLS):
            listener = socket.create_server((host, FIRST_PORT + n), backlog=64)
            threading.Thread(target=self.accept, args=(listener, protocol), daemon=True).start()

    def accept(self, listener, protocol):
        while True:
            stream, _ = listener.accept()
            stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self.serve, args=(stream, protocol), daemon=True).start()

    def serve(self, stream, protocol):
        try:
            while True:
                if protocol == "neighbour" or self.mode == "well":
                    self.answer(stream, protocol)
                else:
                    self.flood(stream, protocol, self.mode)
        except OSError:
            pass
        finally:
            stream.close()

    def answer(self, stream, protocol):
        stream.settimeout(0.2)
        try:
            asked = stream.recv(512)
        except TimeoutError:
            return
        if not asked:
            raise ConnectionError
        self.requests[protocol] += 1
        reply = {
            "neighbour": lambda: mbap(struct.unpack(">H", asked[:2])[0], asked[6], VALUES),
            "tcp": lambda: mbap(struct.unpack(">H", asked[:2])[0], asked[6], VALUES),
            "rtu": lambda: rtu(asked[0], VALUES),
            "ascii": lambda: ascii_frame(int(asked[1:3], 16), VALUES),
            "dlt645": lambda: self.meter_says(asked),
            "raw": lambda: b"!+00123.4\r",
        }[protocol]()
        stream.sendall(reply)

    def meter_says(self, asked):
        start = asked.index(0x68)
        address, length = asked[start + 1:start + 7], asked[start + 9]
        what = bytes((b - 0x33) & 0xFF for b in asked[start + 10:start + 10 + length])
        return meter(address, 0x91, what + bytes([0x56, 0x34, 0x12, 0x00]))

    def flood(self, stream, protocol, mode):
        stream.settimeout(1)
        first, more = b"", {
            "foreign": lambda: foreign(protocol),
            "garbage": lambda: os.urandom(BLOB),
            "zeros": lambda: bytes(BLOB),
            "longest": lambda: b"",
            "restless": lambda: b"",
            "trickle": lambda: b"",
        }[mode]()
        rest = 0
        if mode == "longest":
            # A length no frame may have.
            first, more = struct.pack(">HHHB", 0, 0, 0xFFFF, 1), bytes(BLOB)
        elif mode == "restless":
            # A frame is begun and a megabyte a second follows.
            (first, byte), rest = begun(protocol), 0.01
            more = byte * 10_000
        elif mode == "trickle":
            (first, more), rest = begun(protocol), 0.1
        stream.sendall(first)
        while self.mode == mode:
            stream.sendall(more)
            self.sent[protocol] += len(more)
            if rest:
                time.sleep(rest)


def rack(host):
    here = Rack(host)
    say("ready")
    for order in orders():
        if order[0] == "mode":
            here.mode = order[1]
            say("mode", order[1])
        elif order[0] == "count":
            say("count", json.dumps({"requests": here.requests, "sent": here.sent}))


# --- a broker -------------------------------------------------------------


def packet(first, body):
    """A packet of MQTT 3.1.1, section 2.2."""
    length, left = b"", len(body)
    while True:
        digit, left = left % 128, left // 128
        length += bytes([digit | (0x80 if left else 0)])
        if not left:
            return bytes([first]) + length + body


def publish(topic, payload, qos=0, identifier=1):
    name = topic.encode()
    head = struct.pack(">H", len(name)) + name
    head += struct.pack(">H", identifier) if qos else b""
    return packet(0x30 | qos << 1, head + payload)


def split(buffer):
    """The first packet of the buffer and what follows it, or None."""
    length, shift, at = 0, 0, 1
    while at < len(buffer) and at < 5:
        length |= (buffer[at] & 0x7F) << shift
        shift += 7
        at += 1
        if not buffer[at - 1] & 0x80:
            end = at + length
            return (buffer[:end], at, buffer[end:]) if len(buffer) >= end else None
    return None


def topics(gateway, device):
    """Topics the platform sends on (product key/device name of both)."""
    system = {
        "push": f"/sys/{gateway}/thing/config/push",
        "config": f"/sys/{gateway}/thing/config/get_reply",
        "error": f"/ext/error/{gateway}",
        "clock": f"/ext/ntp/{gateway}/response",
        "login": f"/ext/session/{gateway}/combine/batch_login_reply",
        "logout": f"/ext/session/{gateway}/combine/batch_logout_reply",
        "topology": f"/sys/{gateway}/thing/topo/get_reply",
        "change": f"/sys/{gateway}/thing/topo/change",
        "register": f"/sys/{gateway}/thing/sub/register_reply",
        "pack": f"/sys/{gateway}/thing/event/property/pack/post_reply",
        "post": f"/sys/{device}/thing/event/property/post_reply",
        "disable": f"/sys/{device}/thing/disable",
        "enable": f"/sys/{device}/thing/enable",
        "set": f"/sys/{device}/thing/service/property/set",
        "service": f"/sys/{device}/thing/service/reset",
        "rrpc": f"/sys/{gateway}/rrpc/request/7",
        "ext-rrpc": f"/ext/rrpc/7/sys/{device}/thing/service/reset",
        "ota": f"/ota/device/upgrade/{gateway}",
        "nobody": "/somebody/elses/topic",
    }
    return system


def floods(gateway, device):
    """Every flood by its name: bytes to be sent again and again."""

    def many(one, size=BLOB // 4):
        out, total, n = [], 0, 0
        while total < size:
            out.append(one(n))
            total += len(out[-1])
            n += 1
        return b"".join(out)

    def asked(n, text="x"):
        return json.dumps({"id": f"{n}", "version": "1.0", "code": 200, "params": {},
                           "data": {}, "message": text, "method": "thing.x"}).encode()

    made = {}
    for name, topic in topics(gateway, device).items():
        made[f"topic-{name}"] = lambda t=topic: many(lambda n: publish(t, asked(n)))
    everywhere = topics(gateway, device)
    made.update({
        "large": lambda: publish(everywhere["push"], b" " * 250_000, 0),
        "long-words": lambda: many(lambda n: publish(everywhere["post"], asked(n, "w" * 60_000)), 500_000),
        "long-ids": lambda: many(lambda n: publish(everywhere["push"], asked("i" * 60_000)), 500_000),
        "deep": lambda: publish(everywhere["push"], b'{"id":"1","params":' + b"[" * 60_000),
        "no-json": lambda: many(lambda n: publish(everywhere["set"], os.urandom(1000))),
        "qos1": lambda: many(lambda n: publish(everywhere["set"], asked(n), 1, n % 65_535 + 1)),
        "qos2": lambda: many(lambda n: publish(everywhere["set"], asked(n), 2, n % 65_535 + 1)),
        "puback": lambda: many(lambda n: packet(0x40, struct.pack(">H", n % 65_535 + 1))),
        "pubrec": lambda: many(lambda n: packet(0x50, struct.pack(">H", n % 65_535 + 1))),
        "pubrel": lambda: many(lambda n: packet(0x62, struct.pack(">H", n % 65_535 + 1))),
        "pubcomp": lambda: many(lambda n: packet(0x70, struct.pack(">H", n % 65_535 + 1))),
        "suback": lambda: many(lambda n: packet(0x90, struct.pack(">HB", n % 65_535 + 1, 0))),
        "unsuback": lambda: many(lambda n: packet(0xB0, struct.pack(">H", n % 65_535 + 1))),
        "pingresp": lambda: many(lambda n: packet(0xD0, b"")),
        "connack": lambda: many(lambda n: packet(0x20, b"\0\0")),
        "longest": lambda: b"\x30\xff\xff\xff\x7f" + bytes(BLOB),
        "garbage": lambda: os.urandom(BLOB),
    })
    return made


class Broker:
    """Passes everything on between the gateway and a platform, and floods the
    gateway in between, at the boundaries of packets."""

    def __init__(self, host, port, upstream):
        self.upstream = upstream
        self.flood = None
        self.lock = threading.Lock()
        self.client = None
        self.sent = self.connections = 0
        self.listener = socket.create_server((host, port))
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            client, _ = self.listener.accept()
            # What waits on this side of the network would be flooded long after.
            client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BLOB)
            self.connections += 1
            threading.Thread(target=self.pump, args=(client,), daemon=True).start()

    def pump(self, client):
        try:
            server = socket.create_connection(self.upstream)
        except OSError as e:
            say("no platform:", e)
            client.close()
            return
        self.client = client
        threading.Thread(target=self.up, args=(client, server), daemon=True).start()
        buffer = b""
        try:
            while piece := server.recv(65_536):
                buffer += piece
                while whole := split(buffer):
                    one, _, buffer = whole
                    with self.lock:
                        client.sendall(one)
        except OSError:
            pass
        for end in (client, server):
            end.close()

    def up(self, client, server):
        buffer = b""
        try:
            while piece := client.recv(65_536):
                server.sendall(piece)
                buffer += piece
                while whole := split(buffer):
                    one, at, buffer = whole
                    self.overhear(one, at)
        except OSError:
            pass
        for end in (client, server):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def overhear(self, one, at):
        """What the gateway answers to a push."""
        if one[0] & 0xF0 != 0x30:
            return
        length = struct.unpack(">H", one[at:at + 2])[0]
        topic = one[at + 2:at + 2 + length].decode(errors="replace")
        if topic.endswith("/config/push_reply"):
            qos = one[0] >> 1 & 3
            say("answer", one[at + 2 + length + (2 if qos else 0):].decode(errors="replace"))

    def send_for(self, blob, seconds):
        """Sends it again and again; what was sent, and what became of it. What has been
        begun is sent to its end, however slowly it is read: half a packet would be
        another flood."""
        client, sent = self.client, 0
        until = time.monotonic() + seconds
        try:
            while time.monotonic() < until:
                with self.lock:
                    rest = memoryview(blob)
                    while rest:
                        if time.monotonic() > until + PATIENCE:
                            return sent, "stuck"
                        if not select.select([], [client], [], 0.2)[1]:
                            continue
                        try:
                            n = client.send(rest, socket.MSG_DONTWAIT)
                        except BlockingIOError:
                            continue
                        rest, sent = rest[n:], sent + n
            return sent, "held"
        except (OSError, ValueError, AttributeError):
            return sent, "cut"


def broker(host, port, to):
    upstream = to.rsplit(":", 1)
    here = Broker(host, int(port), (upstream[0], int(upstream[1])))
    known = {}
    say("ready")
    for order in orders():
        if order[0] == "names":
            known = floods(order[1], order[2])
            say("floods", " ".join(known))
        elif order[0] == "flood":
            sent, held = here.send_for(known[order[1]](), float(order[2]))
            say("flooded", order[1], sent, held)
        elif order[0] == "push":
            with here.lock:
                here.client.sendall(publish(order[1], " ".join(order[2:]).encode()))


# --- files ----------------------------------------------------------------


def files(host, port, directory, cert, key):
    handler = type("Quiet", (http.server.SimpleHTTPRequestHandler,), {
        "log_message": lambda self, *words: None,
        "__init__": lambda self, *args, **more: http.server.SimpleHTTPRequestHandler.__init__(
            self, *args, directory=directory, **more),
    })
    server = http.server.ThreadingHTTPServer((host, int(port)), handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    say("ready")
    for _ in orders():
        pass


# --- peers that ask half a question ---------------------------------------


def idle(kind, *place):
    streams = []
    if kind == "tcp":
        host, port, count = place
        for _ in range(int(count)):
            stream = socket.socket()
            stream.setblocking(False)
            stream.connect_ex((host, int(port)))
            streams.append(stream)
        half = b"GET /metrics HTTP/1.1\r\nHost: x\r\nX-"
    else:
        path, count, user, group = place
        os.setgroups([int(group)])
        os.setgid(int(group))
        os.setuid(int(user))
        for _ in range(int(count)):
            stream = socket.socket(socket.AF_UNIX)
            stream.settimeout(1)
            try:
                stream.connect(path)
            except OSError:
                continue
            streams.append(stream)
        half = b'{"v":1,"ask":"sta'
    picker = selectors.DefaultSelector()
    for stream in streams:
        stream.setblocking(False)
        picker.register(stream, selectors.EVENT_WRITE)
    asked = 0
    until = time.monotonic() + 5
    while picker.get_map() and time.monotonic() < until:
        for key, _ in picker.select(0.5):
            picker.unregister(key.fileobj)
            try:
                key.fileobj.send(half)
                asked += 1
            except OSError:
                pass
    say("idle", asked)
    for _ in orders():
        pass


ROLES = {"rack": rack, "broker": broker, "files": files, "idle": idle}

if __name__ == "__main__":
    if len(sys.argv) < 2 or not re.fullmatch("|".join(ROLES), sys.argv[1]):
        sys.exit(__doc__)
    ROLES[sys.argv[1]](*sys.argv[2:])
