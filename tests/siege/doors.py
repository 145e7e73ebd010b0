"""The siege: every door of the service is flooded for a bounded time, under the
unit's own limits of memory, tasks and descriptors, on the machine of tests/package.

What must hold throughout: memory is bounded, the watchdog is fed, the neighbours of
what is flooded keep their intervals, and the service runs afterwards. docs/doors.md
says for each door what it may cost.
"""

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

from machine import CLOUD_SIDE, Cloud, Failed, Talk, demand, run

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
from floods import FIRST_PORT, MODES, PROTOCOLS  # noqa: E402

NAME = "siege"
UNIT = f"alink-gateway@{NAME}.service"
ETC, STATE = f"/etc/alink-gateway/{NAME}", f"/var/lib/alink-gateway@{NAME}"
GATEWAY, DEVICE = "a1GwDemoPk0/gw-siege", "a1SubDemoPk/neighbour"
SECRET = "GwSecret0123456789abcdefABCDEF00"
PLATFORM_PORT, BROKER_PORT, FILES_PORT, METRICS_PORT = 1895, 1896, 8443, 9465
TTY = "/run/siege/line"
# How often the neighbour is asked, and what may be missing for the edges of a span.
INTERVAL = 0.25
# The unit's limits (systemd/alink-gateway.service), where the container's own systemd
# is given no controller for them.
MEMORY_MAX, TASKS_MAX = 512 << 20, 256
# The most memory the service may have had (siege_rss_mib_max).
MOST_MIB = 128
KEPT = 0.95
# Shorter than the unit's 30 s, so that a gap shows within a flood.
WATCHDOG = 10
SOON, LATER = 30, 150

CONFIG = f"""\
gateway: {{ product_key: a1GwDemoPk0, device_name: gw-siege, secret: "{SECRET}" }}
cloud: {{ url: "mqtt://{CLOUD_SIDE}:{{port}}" }}
metrics: {{ listen: "127.0.0.1:{METRICS_PORT}" }}
remote_config: {{ enabled: true, probation: 20s, downloads: [{CLOUD_SIDE}] }}
ports:
  - {{ name: neighbour, tcp: {{ host: {CLOUD_SIDE}, port: {FIRST_PORT} }} }}
  - {{ name: tcp, tcp: {{ host: {CLOUD_SIDE}, port: {FIRST_PORT + 1} }} }}
  - {{ name: rtu, tcp: {{ host: {CLOUD_SIDE}, port: {FIRST_PORT + 2}, framing: rtu }} }}
  - {{ name: ascii, tcp: {{ host: {CLOUD_SIDE}, port: {FIRST_PORT + 3}, framing: ascii }} }}
  - {{ name: dlt645, tcp: {{ host: {CLOUD_SIDE}, port: {FIRST_PORT + 4}, framing: rtu }} }}
  - {{ name: raw, tcp: {{ host: {CLOUD_SIDE}, port: {FIRST_PORT + 5}, framing: rtu }} }}
  - {{ name: serial, serial: {{ device: {TTY}, baud: 115200 }} }}
profiles:
  - name: meter
    product_key: a1SubDemoPk
    interval: {INTERVAL}s
    points: [{{ id: Voltage, table: holding, address: 0, type: u16 }}, {{ id: Current, table: holding, address: 1, type: u16 }}]
  - name: grid
    product_key: a1SubDemoPk
    protocol: dlt645-2007
    interval: 1s
    points: [{{ id: Energy, data: energy-active-forward }}]
  - name: module
    product_key: a1SubDemoPk
    protocol: raw
    interval: 1s
    requests: [{{ name: ask, send: '"#01" 0D', reply: {{ until: 0D, begins: '"!"' }} }}]
    points: [{{ id: Level, request: ask, type: decimal, at: 1, length: 8 }}]
devices:
  - {{ name: neighbour, port: neighbour, unit: 1, profile: meter, secret: known }}
  - {{ name: on-tcp, port: tcp, unit: 1, profile: meter, secret: known }}
  - {{ name: on-rtu, port: rtu, unit: 1, profile: meter, secret: known }}
  - {{ name: on-ascii, port: ascii, unit: 1, profile: meter, secret: known }}
  - {{ name: on-dlt645, port: dlt645, address: "000000000001", profile: grid, secret: known }}
  - {{ name: on-raw, port: raw, profile: module, secret: known }}
  - {{ name: on-serial, port: serial, unit: 1, profile: meter, secret: known }}
"""
# All but the one on the serial line, which never answers.
DEVICES, ONLINE = 7, 6

# A serial line on a pseudo terminal whose other end sends what the file says, as fast
# as the terminal takes it; an empty file is silence. Debian's perl-base is on every
# machine and has nothing for pseudo terminals, hence the numbers: TIOCSPTLCK and
# TIOCGPTN (ioctl_tty(2)).
BABBLER = r"""
use strict; use Fcntl;
my ($link, $order) = @ARGV;
sysopen(my $pty, '/dev/ptmx', O_RDWR | O_NOCTTY) or die $!;
my $off = pack('i', 0); ioctl($pty, 0x40045431, $off) or die $!;
my $number = pack('I', 0); ioctl($pty, 0x80045430, $number) or die $!;
unlink $link; symlink('/dev/pts/' . unpack('I', $number), $link) or die $!;
# Held open, so that the terminal stays when the gateway closes it.
sysopen(my $held, $link, O_RDWR | O_NOCTTY) or die $!;
my $flags = fcntl($pty, F_GETFL, 0); fcntl($pty, F_SETFL, $flags | O_NONBLOCK);
while (1) {
    my $said = '';
    if (open(my $f, '<', $order)) { local $/; $said = <$f> // ''; }
    if ($said eq '') { sysread($pty, my $heard, 4096); select(undef, undef, undef, 0.02); next; }
    for (1 .. 200) { syswrite($pty, $said) // select(undef, undef, undef, 0.001); sysread($pty, my $heard, 4096); }
}
"""


class Watch:
    """What the service costs from now on: the most memory, whether the watchdog is
    fed, and whether it is the same process."""

    def __init__(self, siege):
        self.siege = siege
        self.most = self.gaps = 0
        self.pid = siege.main_pid()
        self.begun = time.monotonic()
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.look, daemon=True)
        self.thread.start()

    def look(self):
        late = False
        while not self.over.wait(0.5):
            self.most = max(self.most, memory(self.siege.pid_on_host()))
            fed = self.siege.box.show(UNIT, "WatchdogTimestampMonotonic")
            at = int(fed["WatchdogTimestampMonotonic"] or 0) / 1e6
            # Nothing is fed while the service is being started again.
            was, late = late, at > 0 and time.monotonic() - at > WATCHDOG
            self.gaps += late and not was

    def end(self):
        self.over.set()
        self.thread.join()
        self.most = max(self.most, memory(self.siege.pid_on_host()))
        found = self.siege.plant.found
        found["siege_rss_mib_max"] = max(found["siege_rss_mib_max"], round(self.most, 1))
        found["siege_watchdog_gaps"] += self.gaps


def memory(pid):
    """The most a process has had so far, in MiB."""
    try:
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    except OSError:
        pass
    return 0


class Siege:
    """The instance under siege, and what is around it."""

    def __init__(self, plant):
        self.plant, self.box = plant, plant.machine
        self.host_pid = None
        folder = self.box.folder / "siege"
        folder.mkdir()
        self.folder = folder
        (folder / "files").mkdir()
        self.certify(folder)
        by_word = folder / "platform.yaml"
        by_word.write_text(CONFIG.replace("{port}", str(PLATFORM_PORT)))
        by_word.chmod(0o600)
        self.cloud = Cloud(self.box, plant.lab, by_word, PLATFORM_PORT)
        self.rack = self.outside("rack", CLOUD_SIDE)
        self.broker = self.outside("broker", CLOUD_SIDE, str(BROKER_PORT), f"{CLOUD_SIDE}:{PLATFORM_PORT}")
        self.files = self.outside("files", CLOUD_SIDE, str(FILES_PORT), str(folder / "files"),
                                  str(folder / "server.pem"), str(folder / "server.key"))
        self.order(self.broker, f"names {GATEWAY} {DEVICE}")
        said = self.broker.says(r"^floods (.*)", SOON)[1]
        self.floods = said.split()
        self.install()

    def certify(self, folder):
        """A root, and a server's certificate signed by it."""
        quiet = {"cwd": folder}
        run("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=siege root",
            "-keyout", "ca.key", "-out", "ca.pem", **quiet)
        run("openssl", "req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=files", "-keyout", "server.key",
            "-out", "server.csr", **quiet)
        (folder / "names").write_text(f"subjectAltName=IP:{CLOUD_SIDE}\n")
        run("openssl", "x509", "-req", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial",
            "-days", "2", "-extfile", "names", "-out", "server.pem", **quiet)

    def outside(self, *role):
        talk = Talk(["ip", "netns", "exec", self.box.outside, sys.executable, "-B", HERE / "floods.py", *role],
                    stdin=subprocess.PIPE)
        self.box.talks.append(talk)
        talk.says("^ready", SOON)
        return talk

    @staticmethod
    def order(talk, line):
        talk.process.stdin.write(line.encode() + b"\n")
        talk.process.stdin.flush()

    def install(self):
        box = self.box
        box.write("/run/siege.pl", BABBLER)
        box.do("install", "-d", "-o", "alink-gateway", "/run/siege")
        box.write("/run/siege/babble", "")
        # As tests/package plugs in a line: the terminal belongs to the service's account.
        box.do("systemd-run", "-q", "--unit=siege-line", "--collect", "-p", "User=alink-gateway", "-p", "Group=dialout",
               "-p", "StandardInput=null", "perl", "/run/siege.pl", TTY, "/run/siege/babble")
        box.write(f"{ETC}/gateway.yaml", CONFIG.replace("{port}", str(BROKER_PORT)))
        box.write("/run/siege/ca.pem", (self.folder / "ca.pem").read_text())
        box.do("systemd-tmpfiles", "--create", "alink-gateway.conf")
        box.write(f"/run/systemd/system/{UNIT}.d/siege.conf", self.limits())
        box.do("systemctl", "daemon-reload")
        box.do("systemctl", "start", UNIT)
        self.all_online()

    def limits(self):
        """The unit's limits of memory and tasks: by its own systemd where that is given
        the controllers, else by control groups of the host's, as processes enter them
        themselves."""
        # The roots of this machine: the broker is reached without TLS, so no ca_file is.
        lines = ["[Service]", f"WatchdogSec={WATCHDOG}", "Environment=SSL_CERT_FILE=/run/siege/ca.pem"]
        files = {"memory": ("memory.limit_in_bytes", MEMORY_MAX), "pids": ("pids.max", TASKS_MAX)}
        paths = []
        for controller, (group, path) in self.box.bounding.items():
            file, limit = files[controller]
            (group / file).write_text(str(limit))
            paths.append(path)
        if paths:
            entering = " && ".join(f"echo 0 >{path}/cgroup.procs" for path in paths)
            lines += ["ReadWritePaths=" + " ".join(paths), "ExecStart=",
                      f"ExecStart=/bin/sh -c '{entering} && exec /usr/bin/alink-gateway run --config {ETC}/gateway.yaml'"]
        return "\n".join(lines) + "\n"

    def main_pid(self):
        return self.box.show(UNIT, "MainPID")["MainPID"]

    def pid_on_host(self):
        if not (self.host_pid and Path(f"/proc/{self.host_pid}").exists()):
            try:
                self.host_pid = self.box.main_pid(UNIT)
            except Failed:
                self.host_pid = None
        return self.host_pid

    def push(self, name, data):
        """The platform hands out a file, with its size and digest."""
        (self.folder / "files" / name).write_bytes(data)
        order = {"id": name, "version": "1.0", "method": "thing.config.push", "params": {
            "configId": name, "configSize": len(data), "sign": hashlib.sha256(data).hexdigest(),
            "signMethod": "Sha256", "getType": "file", "url": f"https://{CLOUD_SIDE}:{FILES_PORT}/{name}"}}
        self.order(self.broker, f"push /sys/{GATEWAY}/thing/config/push {json.dumps(order)}")

    def all_online(self, within=LATER, meanwhile=None):
        """Waits until all devices are online; something is done meanwhile every 10 s."""
        said, until = f"{ONLINE}/{DEVICES} online", time.monotonic() + within
        again = time.monotonic()
        while said not in (text := self.box.show(UNIT, "StatusText")["StatusText"]):
            if time.monotonic() > until:
                why = self.box.status("alink-gateway", "devices", "--instance", NAME)[1]
                raise Failed(f"not all devices are online within {within} s: {text}\n{why}")
            if meanwhile and time.monotonic() >= again:
                meanwhile()
                again = time.monotonic() + 10
            time.sleep(0.2)

    def requests(self):
        self.order(self.rack, "count")
        return json.loads(self.rack.says(r"^count (.*)", SOON)[1])["requests"]["neighbour"]

    @contextmanager
    def kept(self, what):
        """The neighbour keeps its interval meanwhile."""
        before, begun = self.requests(), time.monotonic()
        yield
        asked, took = self.requests() - before, time.monotonic() - begun
        share = min(1.0, (asked + 1) / (took / INTERVAL))
        found = self.plant.found
        found["siege_neighbours_kept"] = min(found["siege_neighbours_kept"], round(share, 3))
        demand(share >= KEPT, f"{what}: the neighbour was asked {asked} times in {took:.1f} s")

    @contextmanager
    def watched(self, same=True):
        """The service is bounded meanwhile, and, if so wanted, the same process after."""
        watch = Watch(self)
        try:
            yield watch
        finally:
            watch.end()
        demand(watch.most <= MOST_MIB, f"{watch.most:.0f} MiB")
        demand(not watch.gaps, f"the watchdog was not fed for {WATCHDOG} s, {watch.gaps} times")
        if same:
            demand(self.main_pid() == watch.pid, "the service was started again")


# --- scenarios ------------------------------------------------------------


def siege_is_laid_to_an_instance_with_the_units_limits(plant):
    plant.found.update(siege_rss_mib_max=0, siege_watchdog_gaps=0, siege_neighbours_kept=1.0,
                       bad_configs_survived=False)
    plant.siege = Siege(plant)
    limits = plant.machine.show(UNIT, "MemoryMax", "TasksMax", "LimitNOFILE")
    demand(limits["MemoryMax"] == str(MEMORY_MAX) and limits["TasksMax"] == str(TASKS_MAX), limits)
    opened = plant.machine.entries("-u", UNIT, "EVENT=port-opened")
    silent = {"neighbour", "serial", *PROTOCOLS} - {e["PORT"] for e in opened}
    demand(not silent, f"not open: {silent}")
    with plant.siege.kept("nothing is flooded"):
        time.sleep(5)


def siege_of_the_field_ports(plant):
    siege = plant.siege
    span = 20 if plant.long else 5
    with siege.watched():
        for mode in MODES[1:]:
            siege.order(siege.rack, f"mode {mode}")
            siege.rack.says(f"^mode {mode}", SOON)
            with siege.kept(mode):
                time.sleep(span)
        siege.order(siege.rack, "mode well")
        siege.rack.says("^mode well", SOON)
        for what in (bytes(200), b"\x01\x03\x04\x00\x01\x00\x02", random.Random(1).randbytes(4000)):
            Path(f"/proc/{plant.machine.leader}/root/run/siege/babble").write_bytes(what)
            with siege.kept("a serial line that never ends"):
                time.sleep(span)
        Path(f"/proc/{plant.machine.leader}/root/run/siege/babble").write_bytes(b"")
    told = plant.machine.entries("-u", UNIT, "-p", "warning")
    for port in PROTOCOLS[1:]:
        demand(any(e.get("PORT") == port for e in told), f"nothing is told of the port {port}")
    siege.box.do("alink-gateway", "status", "--instance", NAME)


# What no broker may send: the connection ends.
ENDS = {"longest", "garbage", "connack", "qos2"}
# What is two to five bytes long: reading a backlog of it takes until the gateway gives
# the connection up.
TINY = {"puback", "pubrec", "pubrel", "pubcomp", "suback", "unsuback"}


def siege_by_the_broker(plant):
    siege = plant.siege

    def enable():
        """The neighbour is enabled again: of two floods, the one that did so may have been
        cut off, and a device that is disabled waits for five minutes, as it should."""
        siege.order(siege.broker, "flood topic-enable 0.1")
        siege.broker.says(r"^flooded topic-enable ", LATER)

    span = 10 if plant.long else 1.5
    # Each takes a minute of waiting: for a backlog, or for the next connection.
    rare = (ENDS | TINY) - {"longest"}
    with siege.watched():
        for name in siege.floods:
            if name in rare and not plant.long:
                continue
            siege.cloud.forget()
            with siege.kept(f"the broker floods: {name}"):
                siege.order(siege.broker, f"flood {name} {span}")
                said = siege.broker.says(rf"^flooded {name} (\d+) (\w+)", span + LATER)
            demand(said[2] != "stuck", f"what the broker sends is not read: {name}")
            if said[2] == "cut" or name in ENDS:
                siege.cloud.says("gw-siege connected", LATER)
        # Whatever still waits in the network, values are delivered again.
        siege.cloud.forget()
        siege.cloud.says("values? accepted", LATER)
        siege.all_online(meanwhile=enable)
    siege.box.do("alink-gateway", "status", "--instance", NAME)


def siege_by_people_who_ask_half_a_question(plant):
    siege, box = plant.siege, plant.machine
    box.do("useradd", "-G", "alink-operators", "eve")
    ids = [box.do("id", flag, *user).strip() for flag, *user in (("-u", "eve"), ("-g", "eve"))]
    group = box.do("getent", "group", "alink-operators").split(":")[2]
    socket = f"/proc/{box.leader}/root/run/alink-gateway@{NAME}/control.sock"
    half = [sys.executable, "-B", HERE / "floods.py", "idle"]
    inside = ["ip", "netns", "exec", box.inside]
    idle = []
    try:
        with siege.watched(), siege.kept("people ask half a question"):
            idle.append(Talk([*half, "unix", socket, "60", ids[0], group], stdin=subprocess.PIPE))
            idle.append(Talk([*inside, *half, "tcp", "127.0.0.1", str(METRICS_PORT), "300"], stdin=subprocess.PIPE))
            for talk in idle:
                talk.says("^idle", SOON)
            for _ in range(5):
                begun = time.monotonic()
                box.do("alink-gateway", "status", "--instance", NAME)
                took = time.monotonic() - begun
                demand(took < 2, f"root's status took {took:.1f} s")
                begun = time.monotonic()
                scrape = "import urllib.request as u; print(u.urlopen('http://127.0.0.1:%d/metrics', timeout=10).read()[-6:])"
                said = run(*inside, sys.executable, "-c", scrape % METRICS_PORT)
                took = time.monotonic() - begun
                demand("# EOF" in said and took < 2, f"a scrape took {took:.1f} s: {said}")
    finally:
        for talk in idle:
            talk.end()
        box.do("userdel", "eve")


# Local files that are damaged or cost more than they may: name and text, or what is made.
def hostile_files():
    yield "aliases.yaml", "a: &a [" + ",".join(["x" * 2000] * 8) + "]\nports: [" + ",".join(["*a"] * 9000) + "]\n"
    yield "many.yaml", "ports:\n" + "".join(
        f"  - {{ name: p{n}, tcp: {{ host: h{n}.example }} }}\n" for n in range(70_000))
    yield "unknown.yaml", "".join(f"k{n}: 1\n" for n in range(200_000))
    yield "deep.yaml", "[" * 100_000
    yield "table.yaml", "devices_file: table.csv\n"


def siege_by_local_files(plant):
    siege, box = plant.siege, plant.machine
    rows = "".join(f"m{n},neighbour,{n},meter,secret{n}\n" for n in range(10, 20))
    box.write(f"{ETC}/table.csv", "name,port,unit,profile,secret\n" + rows.replace("secret15", '"secret15'))
    with siege.watched(), siege.kept("damaged files are loaded"):
        for name, text in hostile_files():
            box.write(f"{ETC}/conf.d/{name}", text)
            box.do("chgrp", "-R", "alink-gateway", ETC)
            box.do("chmod", "-R", "g+rX", ETC)
            begun = time.monotonic()
            code, said = box.status("systemctl", "reload", UNIT)
            took = time.monotonic() - begun
            demand(code != 0, f"{name} was taken: {said}")
            demand(took < SOON, f"{name} took {took:.0f} s")
            # And by the service itself, without the check before it.
            watch = box.journal(UNIT)
            box.do("systemctl", "kill", "-s", "HUP", "--kill-who=main", UNIT)
            watch.says('"EVENT":"reload-refused"', SOON)
            box.do("rm", f"{ETC}/conf.d/{name}")
        box.do("mkfifo", f"{ETC}/conf.d/fifo.yaml")
        code, said = box.status("timeout", "20", "systemctl", "reload", UNIT)
        demand(code not in (0, 124), f"a FIFO: {code} {said}")
        box.do("rm", f"{ETC}/conf.d/fifo.yaml", f"{ETC}/table.csv")
    box.do("systemctl", "reload", UNIT)
    siege.all_online()


def pushed(**sections):
    """A configuration from the platform: one that is right, but for these sections."""
    right = {
        "ports": [{"name": "n", "tcp": {"host": CLOUD_SIDE, "port": FIRST_PORT}}],
        "profiles": [{"name": "meter", "product_key": "a1SubDemoPk", "interval": "1s",
                      "points": [{"id": "Voltage", "table": "holding", "address": 0, "type": "u16"}]}],
        "devices": [{"name": "neighbour", "port": "n", "unit": 1, "profile": "meter", "secret": "known"}],
    }
    return json.dumps({**right, **sections})


# Configurations from the platform that are refused: name and text.
def hostile_pushes():
    text = pushed
    right = json.loads(pushed())
    [port], [device] = right["ports"], right["devices"]
    serial = [{"name": f"s{n}", "serial": {"device": f"/dev/ttyS{n}"}} for n in range(300)]

    yield "threads", text(ports=[port, *serial])
    yield "aliases", 'ports: [ &a "%s", %s ]\n' % ("x" * 32_000, ",".join(["*a"] * 10_800))
    yield "spellings", text(devices=[{**device, "name": f"meter-{n}", "unit": n, "secret": None,
                                      "secret_file": "/" * n + "usr/bin/alink-gateway"} for n in range(1, 200)])
    yield "deep", "[" * 60_000
    yield "loopback", text(ports=[{"name": "n", "tcp": {"host": "127.0.0.1", "port": METRICS_PORT, "framing": "rtu"}}])
    yield "fifo", text(devices=[{**device, "secret": None, "secret_file": "/run/siege/fifo"}])
    yield "terminal", text(ports=[{"name": "n", "serial": {"device": "/dev/ptmx"}}])
    yield "binary", bytes(range(256)) * 100


def siege_by_configurations_from_the_platform(plant):
    siege, box = plant.siege, plant.machine
    box.do("mkfifo", "-m", "666", "/run/siege/fifo")
    restarts = int(box.show(UNIT, "NRestarts")["NRestarts"])
    with siege.watched(same=False):
        for name, text in hostile_pushes():
            data = text if isinstance(text, bytes) else text.encode()
            siege.push(name, data)
            answer = siege.broker.says(rf'^answer (.*"id":"{name}".*)', LATER)[1]
            demand('"code":200' not in answer, f"{name} was adopted: {answer}")
            # A service that ends with it comes back by itself, once.
            siege.all_online()
            now = int(box.show(UNIT, "NRestarts")["NRestarts"])
            demand(now - restarts <= 1, f"{name}: started again {now - restarts} times")
            restarts = now
        # One that is right, and with which the service ends all the same.
        siege.push("deadly", pushed().encode())
        siege.broker.says(r'^answer .*"code":200.*"id":"deadly"', LATER)
        siege.cloud.forget()
        os.kill(siege.pid_on_host(), signal.SIGKILL)
        # Back, and with the devices of the configuration before it.
        siege.cloud.says("gw-siege connected", LATER)
        siege.cloud.says("on-tcp logged in", LATER)
        siege.all_online()
        refused = r'^answer .*"code":100009.*"id":"deadly"'
        # What became of it is reported first, and only then is it pushed again.
        siege.broker.says(refused, LATER)
        siege.push("deadly", pushed().encode())
        siege.broker.says(refused, LATER)
        now = int(box.show(UNIT, "NRestarts")["NRestarts"])
        demand(now - restarts == 1, f"started again {now - restarts} times")
    plant.found["bad_configs_survived"] = True


def siege_is_over_and_the_service_stops_as_ever(plant):
    siege, box = plant.siege, plant.machine
    siege.all_online()
    box.do("systemctl", "stop", UNIT)
    state = box.show(UNIT, "Result", "ActiveState")
    demand(state == {"Result": "success", "ActiveState": "inactive"}, state)
    box.do("systemctl", "stop", "siege-line.service", check=False)
    box.do("rm", "-rf", ETC, STATE, f"/run/systemd/system/{UNIT}.d", "/run/siege", "/run/siege.pl")
    box.do("systemctl", "daemon-reload")
    for talk in (siege.rack, siege.broker, siege.files, siege.cloud):
        talk.end()


SIEGE = [
    siege_is_laid_to_an_instance_with_the_units_limits,
    siege_of_the_field_ports,
    siege_by_the_broker,
    siege_by_people_who_ask_half_a_question,
    siege_by_local_files,
    siege_by_configurations_from_the_platform,
    siege_is_over_and_the_service_stops_as_ever,
]
