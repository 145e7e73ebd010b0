"""What must be true of the package on a machine, in the order in which a box
lives: installed, commissioned, upgraded, mistreated, and cleared away.

Each is a function of the plant; what it says no to is raised as `Failed`. They
run one after the other on one machine, and each leaves the service running.
"""

import ctypes
import json
import os
import re
import signal
import time
from pathlib import Path

from machine import CLOUD_SIDE, Cloud, Failed, demand

UNIT = "alink-gateway.service"
ROOT = Path(__file__).resolve().parents[2]
README, COMMISSIONING = ROOT / "README.md", ROOT / "docs/commissioning.md"
ETC, STATE = "/etc/alink-gateway", "/var/lib/alink-gateway"
LINE = "/run/field/line1"
SECRET = "GwSecret0123456789abcdefABCDEF00"
METERS = 6
SOON = 30
# The platform takes five CONNECTs a minute, and so does the gateway: who is
# restarted again and again waits for its turn.
TURN = 90
# 30 s are right for a plant; a test need not wait that long.
SHORT_WATCHDOG = "[Service]\nWatchdogSec=4\n"

CONFIG = """\
gateway: {{ product_key: a1GwDemoPk0, device_name: gw-0001, {secret} }}
cloud: {{ url: "mqtt://{cloud}:1883", keepalive: 30 }}
ports:
  - {{ name: line1, serial: {{ device: {line}, baud: 19200 }} }}
profiles:
  - name: meter
    product_key: a1SubDemoPk
    interval: 1s
    points: [{{ id: Voltage, table: holding, address: 0, type: u16 }}]
devices:
  - {{ name: "meter-{{unit}}", port: line1, units: 1-{meters}, profile: meter, secret: known }}
"""
# As many as the platform lets a gateway have online, on its own instance of the
# unit: racks of Modbus TCP, twelve values from each device every ten seconds.
HALL, HALL_PORT = "alink-gateway@hall.service", 1884
RACKS, RACK_UNITS, RACK_PORT, HALL_POINTS = 10, 200, 1500, 12
HALL_CONFIG = f"""\
gateway: {{ product_key: a1GwDemoPk0, device_name: gw-hall, secret: "{SECRET}" }}
cloud: {{ url: "mqtt://{CLOUD_SIDE}:{HALL_PORT}" }}
profiles:
  - name: meter
    product_key: a1SubDemoPk
    interval: 10s
    points:
""" + "".join(
    f"      - {{ id: Value{n}, table: holding, address: {n}, type: u16 }}\n"
    for n in range(HALL_POINTS)
) + "ports:\n" + "".join(
    f"  - {{ name: rack{n}, tcp: {{ host: 127.0.0.1, port: {RACK_PORT + n} }} }}\n"
    for n in range(RACKS)
) + "devices:\n" + "".join(
    f'  - {{ name: "r{n}-{{unit}}", port: rack{n}, units: 1-{RACK_UNITS}, profile: meter,'
    " secret: known }\n"
    for n in range(RACKS)
)
BY_CREDENTIAL, BY_WORD = "secret_credential: gateway-secret", f'secret: "{SECRET}"'


class Plant:
    """The machine, what is around it, and what was found out."""

    def __init__(self, machine, lab, old, new):
        self.machine, self.lab = machine, lab
        self.old, self.new = old, new
        self.cloud = self.siege = None
        self.long = False
        self.found = {}

    def install(self, package):
        return self.machine.do("dpkg", "-i", f"/packages/{package}")

    def configure(self, meters=METERS):
        text = CONFIG.format(secret=BY_CREDENTIAL, cloud=CLOUD_SIDE, line=LINE, meters=meters)
        self.machine.write(f"{ETC}/gateway.yaml", text, 0o640)
        self.machine.do("chgrp", "alink-gateway", f"{ETC}/gateway.yaml")

    def plug_in(self, baud=19200, units=METERS + 2):
        """A serial line with meters; its terminal belongs to dialout, as udev has it."""
        self.machine.do(
            "systemd-run", "-q", "--unit=field", "--collect", "-p", "RuntimeDirectory=field",
            "-p", "Group=dialout", "-p", "User=alink-gateway", "-p", "StandardInput=null",
            "/packages/alink-lab", "bus", "--tty", LINE, "--baud", str(baud),
            "--units", str(units),
        )
        demand_soon(lambda: self.machine.status("test", "-e", LINE)[0] == 0, "a serial line")

    def running(self, **wanted):
        """The unit's state, which is to be active."""
        state = self.machine.show(UNIT, "ActiveState", "MainPID", "NRestarts", "Result",
                                  "InactiveExitTimestampMonotonic",
                                  "ActiveEnterTimestampMonotonic")
        demand(state["ActiveState"] == "active", f"the service is {state['ActiveState']}")
        for name, value in wanted.items():
            demand(state[name] == value, f"{name} is {state[name]}, not {value}")
        return state

    def online(self, within=TURN, meters=METERS):
        """Waits until every meter is logged in, after a connection."""
        self.cloud.says(r"gw-0001 connected", within)
        self.cloud.says(r"meter-\d+ logged in", within, meters)


def demand_soon(true, what, within=10):
    """For what no event announces."""
    until = time.monotonic() + within
    while not true():
        demand(time.monotonic() < until, f"no {what} within {within} s")
        time.sleep(0.05)


def event(talk, name, within=SOON):
    """Waits for an entry of the journal that says so; the entry."""
    return json.loads(talk.says(rf'^\{{.*"EVENT":"{name}".*', within)[0])


# --- a box is installed and commissioned ----------------------------------


def a_fresh_install_runs_polls_nothing_and_keeps_its_secrets(plant):
    box = plant.machine
    box.do("install", "-d", "-m", "700", "/etc/credstore")
    plant.before = listing(box)
    plant.install(plant.old)
    demand_soon(lambda: box.show(UNIT, "ActiveState")["ActiveState"] == "active", "service")
    demand(box.do("systemctl", "is-enabled", UNIT).strip() == "enabled", "not enabled")
    said = box.do("systemctl", "status", UNIT)
    demand('Status: "not commissioned' in said, said)
    demand(" dialout" in " " + box.do("id", "-nG", "alink-gateway"), "not in dialout")
    wanted = {
        ETC: "750 root alink-gateway",
        f"{ETC}/gateway.yaml": "640 root alink-gateway",
        f"{ETC}/conf.d": "750 root alink-gateway",
        f"{ETC}/secrets": "750 root alink-gateway",
        STATE: "700 alink-gateway alink-operators",
        "/run/alink-gateway": "750 alink-gateway alink-operators",
        "/usr/bin/alink-gateway": "755 root root",
        "/usr/share/alink-gateway/profiles/three-phase-meter.yaml": "644 root root",
    }
    for path, mode in wanted.items():
        seen = box.do("stat", "-c", "%a %U %G", path).strip()
        demand(seen == mode, f"{path} is {seen}, not {mode}")
    code, said = box.status("runuser", "-u", "nobody", "--", "cat", f"{ETC}/gateway.yaml")
    demand(code != 0, "every user can read the configuration")
    listening = box.do("ss", "-Hlntu")
    demand(listening.strip() == "", f"a program listens: {listening}")
    said = box.do("alink-gateway", "check")
    demand("no ports, no devices" in said, said)


def a_wrong_configuration_fails_once_and_says_where(plant):
    box = plant.machine
    right = box.do("cat", f"{ETC}/gateway.yaml")
    box.write(f"{ETC}/gateway.yaml", right.replace("ports: []", "ports: [{ name: 7 }]\nprots: []"))
    watch = box.journal(UNIT)
    code, _ = box.status("systemctl", "restart", UNIT)
    demand(code != 0, "systemctl restart succeeded")
    watch.says("Failed to start", SOON)
    state = box.show(UNIT, "ActiveState", "ExecMainStatus", "NRestarts")
    demand(state == {"ActiveState": "failed", "ExecMainStatus": "78", "NRestarts": "0"}, state)
    told = "\n".join(e["MESSAGE"] for e in box.entries("-u", UNIT, "-p", "err"))
    for what in ("gateway.yaml:", "prots", "said", "wanted"):
        demand(what in told, f"the journal does not say {what!r}:\n{told}")
    events = [e["EVENT"] for e in box.entries("-u", UNIT, "-p", "err") if "EVENT" in e]
    demand("config-problem" in events and events[-1] == "start-refused", f"entries: {events}")
    # What people type to know more explains the refusal, with its number filled in.
    explained = box.do("journalctl", "-x", "-b", "-u", UNIT, "--no-pager")
    for words in (r"░░ Subject: The gateway does not start", r"░░ Subject: Wrong in the configuration: prots", r"░░ It has [1-9]\d* error", r"░░ .*alink-gateway check"):
        demand(re.search(words, explained), f"journalctl -x does not say {words!r}:\n{explained}")
    box.write(f"{ETC}/gateway.yaml", right, 0o640)
    box.do("chgrp", "alink-gateway", f"{ETC}/gateway.yaml")
    box.do("systemctl", "restart", UNIT)
    plant.running()


def a_line_of_meters_comes_online_with_a_secret_only_root_can_read(plant):
    box = plant.machine
    by_word = box.folder / "platform.yaml"
    by_word.write_text(
        CONFIG.format(secret=BY_WORD, cloud=CLOUD_SIDE, line=LINE, meters=METERS + 1)
    )
    by_word.chmod(0o600)
    plant.cloud = Cloud(box, plant.lab, by_word)
    plant.plug_in()
    box.write("/etc/credstore/alink-gateway.secret", SECRET, 0o600)
    plant.configure()
    plant.cloud.forget()
    box.do("systemctl", "restart", UNIT)
    plant.online()
    plant.cloud.says("values? accepted", SOON)
    code, _ = box.status("runuser", "-u", "alink-gateway", "--", "cat",
                         "/etc/credstore/alink-gateway.secret")
    demand(code != 0, "the service's user can read the credential itself")
    state = plant.running(NRestarts="0")
    took = int(state["ActiveEnterTimestampMonotonic"]) - int(state["InactiveExitTimestampMonotonic"])
    plant.found["start_to_ready_ms"] = round(took / 1000, 1)


def an_upgrade_keeps_configuration_and_state_and_brings_everybody_back(plant):
    box = plant.machine
    plant.found["upgrade_kept"] = False
    box.do("install", "-o", "alink-gateway", "-g", "alink-gateway", "-m", "600", "/dev/null",
           f"{STATE}/mark")
    kept = ["sha256sum", f"{ETC}/gateway.yaml", f"{STATE}/mark"]
    modes = ["stat", "-c", "%n %a %U %G", ETC, f"{ETC}/gateway.yaml", STATE, f"{STATE}/mark"]
    before = box.do(*kept) + box.do(*modes)
    old = plant.running()["MainPID"]
    usual = box.show(UNIT, "WatchdogUSec")["WatchdogUSec"]
    demand(usual == "30s", f"the watchdog waits {usual}")
    box.write(f"/run/systemd/system/{UNIT}.d/watchdog.conf", SHORT_WATCHDOG)
    plant.cloud.forget()
    said = plant.install(plant.new)
    plant.online()
    demand("Configuration file" not in said, f"dpkg asked something:\n{said}")
    state = plant.running(NRestarts="0")
    demand(state["MainPID"] != old, "the old program still runs")
    after = box.do(*kept) + box.do(*modes)
    demand(before == after, f"changed:\n{before}\n{after}")
    demand(box.do("systemctl", "is-enabled", UNIT).strip() == "enabled", "not enabled any more")
    plant.found["upgrade_kept"] = True


# --- what it is allowed, and what it says ---------------------------------


def the_unit_is_hardened_and_nothing_is_odd_about_it(plant):
    box = plant.machine
    said = box.do("systemd-analyze", "verify", "--man=no", UNIT, "alink-gateway@north.service")
    demand(said == "", f"systemd-analyze verify says:\n{said}")
    said = box.do("systemd-analyze", "security", "--no-pager", UNIT)
    exposure = float(re.search(r"exposure level for \S+: ([\d.]+)", said)[1])
    plant.found["exposure"] = exposure
    demand(exposure <= 1.4, f"exposure {exposure}")
    status = (Path("/proc") / str(box.main_pid(UNIT)) / "status").read_text()
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    demand("0" not in fields["Uid"].split(), "it runs as root")
    for name in ("CapPrm", "CapEff", "CapBnd", "CapAmb"):
        demand(int(fields[name], 16) == 0, f"{name} is {fields[name]}")
    demand(fields["NoNewPrivs"] == "1" and fields["Seccomp"] == "2", "no filter of system calls")
    limits = box.show(UNIT, "MemoryMax", "TasksMax", "LimitCORE", "Restart")
    demand(limits["LimitCORE"] == "0" and limits["Restart"] == "always", limits)
    demand("infinity" not in (limits["MemoryMax"], limits["TasksMax"]), limits)
    # The world as the service sees it, by its own mount namespace.
    inner = ["nsenter", "-t", plant.running()["MainPID"], "-m", "--"]
    for path in ("/etc/alink-gateway/x", "/usr/x", "/var/lib/x", "/home/x"):
        code, _ = box.status(*inner, "touch", path)
        demand(code != 0, f"it can write {path}")


def the_manual_is_there(plant):
    shipped = plant.machine.do("dpkg", "-L", "alink-gateway").split()
    documents = "/usr/share/doc/alink-gateway"
    texts = [path for path in shipped if path.startswith(documents) and path.endswith(".md")]
    demand(len(texts) >= 20, texts)
    for path in texts:
        document = ROOT / path.removeprefix(f"{documents}/")
        for link in re.findall(r"\]\(([^):]*\.(?:md|json|yaml))[)#]", document.read_text()):
            link = os.path.relpath(document.parent / link, ROOT)
            source = link in ("docs/CONTRIBUTING.md", "CHANGELOG.md", "docs/house.md", "packaging/README.md")
            demand(source or f"{documents}/{link}" in shipped, f"{path}: no {link}")
    for page in ("man8/alink-gateway.8.gz", "man8/alink-gateway-check.8.gz",
                 "man5/alink-gateway.yaml.5.gz"):
        demand(f"/usr/share/man/{page}" in shipped, f"no {page}")


def operators_ask_the_service_and_read_no_secret(plant):
    box = plant.machine
    for name, group in (("ada", "alink-operators"), ("bob", None)):
        box.do("useradd", *(["-G", group] if group else []), name)
    try:
        as_ada, as_bob = (["runuser", "-u", name, "--"] for name in ("ada", "bob"))
        code, said = box.status(*as_ada, "alink-gateway", "status")
        demand(code == 0 and "line1" in said, f"an operator may not ask: {said}")
        code, said = box.status(*as_bob, "alink-gateway", "status")
        demand(code != 0 and "adduser bob alink-operators" in said, said)
        secrets = box.do("find", ETC, STATE, "/etc/credstore", "-type", "f").split()
        demand(f"{ETC}/gateway.yaml" in secrets, secrets)
        for path in secrets:
            code, _ = box.status(*as_ada, "cat", path)
            demand(code != 0, f"an operator reads {path}")
        box.do("gpasswd", "-a", "bob", "alink-gateway")
        plant.cloud.forget()
        said = box.do("/var/lib/dpkg/info/alink-gateway.postinst", "configure")
        demand("can read every secret" in said and "bob" in said, said)
        plant.online()
    finally:
        for name in ("ada", "bob"):
            box.do("userdel", name)


# --- life -----------------------------------------------------------------


def a_reload_changes_what_has_changed_and_nothing_else(plant):
    box = plant.machine
    pid = plant.running()["MainPID"]
    plant.cloud.forget()
    begun = len(plant.cloud.lines)
    # A wrong file is refused by the unit's check, and by the daemon as well.
    box.write(f"{ETC}/conf.d/more.yaml", "devices: [{ name: x, port: line9 }]\n", 0o644)
    code, _ = box.status("systemctl", "reload", UNIT)
    demand(code != 0, "a wrong configuration was reloaded")
    watch = box.journal(UNIT)
    box.do("systemctl", "kill", "-s", "HUP", "--kill-who=main", UNIT)
    event(watch, "reload-refused")
    plant.running(MainPID=pid)
    more = "devices: [{ name: meter-7, port: line1, unit: 7, profile: meter, secret: known }]\n"
    box.write(f"{ETC}/conf.d/more.yaml", more, 0o644)
    box.do("systemctl", "reload", UNIT)
    plant.cloud.says("meter-7 logged in", SOON)
    box.do("rm", f"{ETC}/conf.d/more.yaml")
    box.do("systemctl", "reload", UNIT)
    plant.cloud.says("meter-7 logged out", SOON)
    plant.running(MainPID=pid)
    moved = [line for line in plant.cloud.lines[begun:]
             if re.search("logged|connected|refused", line) and "meter-7" not in line]
    demand(not moved, f"others were moved: {moved}")


def the_journal_and_the_status_line_say_who_and_what(plant):
    box = plant.machine
    together = box.entries("-u", UNIT, "EVENT=device-online", "DEVICE=meter-3")
    demand(together, "no entry says that meter-3 is online")
    online = box.entries("-u", UNIT, "EVENT=device-online", "DEVICE=meter-7")
    demand(online, "no entry says that meter-7 is online")
    entry = online[-1]
    for name in ("PORT", "UNIT_ID", "PRODUCT_KEY", "DEVICE_NAME", "PRIORITY", "SYSLOG_IDENTIFIER"):
        demand(entry.get(name), f"no {name} in {entry}")
    demand(box.entries("-u", UNIT, "EVENT=port-opened", "PORT=line1"), "no port-opened")
    all_online = f"{METERS}/{METERS} online"
    demand_soon(lambda: all_online in box.show(UNIT, "StatusText")["StatusText"], all_online)
    for where in ("journalctl", "-u", UNIT), ("systemctl", "show", UNIT), ("ps", "axwwe"):
        demand(SECRET not in box.do(*where), f"the secret is in {where}")


def the_catalog_explains_what_the_journal_says(plant):
    box = plant.machine
    files = [f for f in box.do("dpkg", "-L", "alink-gateway").split() if f.endswith(".catalog")]
    if not files:
        plant.skip("the package has no catalog")
    ours = [e for e in box.entries("-u", UNIT) if "EVENT" in e]
    silent = {e["EVENT"] for e in ours if "MESSAGE_ID" not in e}
    demand(not silent, f"no MESSAGE_ID with {silent}")
    known = box.do("journalctl", "--list-catalog")
    for message, event in sorted({(e["MESSAGE_ID"], e["EVENT"]) for e in ours}):
        demand(message in known, f"the catalog does not know {event}, {message}")
    explain = ["journalctl", "-x", "-u", UNIT, "EVENT=device-online"]
    demand("░░ " in box.do(*explain), "no explanation")
    # The words are in the catalog; of the locale only the name is needed.
    box.do("sh", "-c", "mkdir -p /run/locale && ln -sfn /usr/lib/locale/C.utf8 /run/locale/zh_CN.UTF-8")
    chinese = box.do("env", "LOCPATH=/run/locale", "LC_ALL=zh_CN.UTF-8", *explain)
    demand(re.search("[\u4e00-\u9fff]", chinese), f"no explanation in Chinese: {chinese[:400]}")


def a_killed_service_is_back_with_everybody(plant):
    restarts = int(plant.running()["NRestarts"])
    plant.cloud.forget()
    os.kill(plant.machine.main_pid(UNIT), signal.SIGKILL)
    plant.online()
    plant.running(NRestarts=str(restarts + 1))


def a_frozen_process_is_killed_by_the_watchdog_and_comes_back(plant):
    watch = plant.machine.journal(UNIT)
    restarts = int(plant.running()["NRestarts"])
    plant.cloud.forget()
    os.kill(plant.machine.main_pid(UNIT), signal.SIGSTOP)
    watch.says("Watchdog timeout", SOON)
    watch.says("Failed with result 'watchdog'", SOON)
    plant.online()
    plant.running(NRestarts=str(restarts + 1))


def one_stuck_port_is_enough_for_the_watchdog_and_is_named(plant):
    watch = plant.machine.journal(UNIT)
    restarts = int(plant.running()["NRestarts"])
    plant.cloud.forget()
    tasks = Path("/proc") / str(plant.machine.main_pid(UNIT)) / "task"
    names = {int(t.name): (t / "comm").read_text().strip() for t in tasks.iterdir()}
    stuck = [t for t, name in names.items() if "line1" in name]
    demand(stuck, f"no thread for line1: {names}")
    # A tracer stops one thread; a signal would stop them all.
    libc = ctypes.CDLL(None, use_errno=True)
    seize, interrupt = 0x4206, 0x4207
    for request in (seize, interrupt):
        demand(libc.ptrace(request, stuck[0], None, None) == 0, os.strerror(ctypes.get_errno()))
    named = event(watch, "task-stuck", 10)
    demand("line1" in named["MESSAGE"], named["MESSAGE"])
    try:
        watch.says("Watchdog timeout", SOON)
    finally:
        let_go(libc, stuck[0])
    plant.online()
    plant.running(NRestarts=str(restarts + 1))


def let_go(libc, thread):
    """Ends the tracing. A thread that dies while it is traced has to be taken note of, or its
    process never ends: systemd would wait for it until each of its limits is over."""
    detach, all_threads = 17, 0x40000000  # PTRACE_DETACH, __WALL
    until = time.monotonic() + SOON
    while libc.ptrace(detach, thread, None, None) != 0:
        try:
            if os.waitpid(thread, os.WNOHANG | all_threads)[0] == thread:
                return
        except ChildProcessError:
            return
        demand(time.monotonic() < until, f"thread {thread} neither stops nor ends")
        time.sleep(0.01)


def an_adapter_pulled_out_and_put_back_is_told_and_polled_again(plant):
    watch = plant.machine.journal(UNIT)
    plant.machine.do("systemctl", "stop", "field.service")
    event(watch, "port-lost")
    plant.plug_in()
    event(watch, "port-opened")
    plant.running()


def a_minute_without_the_cloud_is_survived_and_made_good(plant):
    box = plant.machine
    pid = plant.running()["MainPID"]
    watch = box.journal(UNIT)
    plant.cloud.forget()
    begun = time.monotonic()
    box.cut_cloud()
    try:
        event(watch, "cloud-disconnected", 75)
        # The minute is what is tried; whatever is said in it is taken up.
        while (left := begun + 60 - time.monotonic()) > 0:
            watch.take(left)
    finally:
        box.mend_cloud()
    event(watch, "cloud-connected", 120)
    plant.online()
    plant.cloud.says("values? accepted", SOON)
    plant.running(MainPID=pid)
    told = [json.loads(line) for line in watch.lines if line.startswith("{")]
    lost = [e["MESSAGE"] for e in told if e.get("EVENT", "").startswith("port-")]
    demand(not lost, f"the field side noticed: {lost}")


def two_thousand_devices_need_less_than_half_of_the_memory_they_may_have(plant):
    box = plant.machine
    config = box.folder / "hall.yaml"
    config.write_text(HALL_CONFIG)
    config.chmod(0o600)
    racks = [f"rack{n}.service" for n in range(RACKS)]
    cloud = Cloud(box, plant.lab, config, HALL_PORT)
    try:
        for n, rack in enumerate(racks):
            box.do("systemd-run", "-q", f"--unit={rack}", "--collect", "-p", "StandardInput=null",
                   "/packages/alink-lab", "bus", "--tcp", f"127.0.0.1:{RACK_PORT + n}",
                   "--units", str(RACK_UNITS))
        box.write(f"{ETC}/hall/gateway.yaml", HALL_CONFIG)
        box.do("systemd-tmpfiles", "--create", "alink-gateway.conf")
        watch = box.journal(HALL)
        box.do("systemctl", "start", HALL)
        units = RACKS * RACK_UNITS
        cloud.says(r"r\d+-\d+ logged in", TURN, units)
        said = f"{units}/{units} online"
        demand_soon(lambda: said in box.show(HALL, "StatusText")["StatusText"], said)
        # A minute of work is what is tried; whatever is said in it is taken up.
        begun = time.monotonic()
        while (left := begun + 60 - time.monotonic()) > 0:
            cloud.take(left)
        cloud.forget()
        accepted = int(cloud.says(r"([\d,]+) values? accepted", SOON)[1].replace(",", ""))
        demand(accepted > 4 * units * HALL_POINTS, f"only {accepted} values in a minute")
        state = box.show(HALL, "StatusText", "MainPID", "MemoryMax")
        demand(said in state["StatusText"], state)
        process = box.main_pid(HALL)
        plant.found["memory_2000_devices_mib"] = peak_mib(process)
        # The most there ever is to be kept: values that no platform takes; and then all
        # of them on their way at once.
        cloud.end()
        event(watch, "post-queue-full", 150)
        cloud = Cloud(box, plant.lab, config, HALL_PORT)
        cloud.says(r"[1-9][\d,]{6,} values accepted", 300)
        most = plant.found["memory_2000_devices_outage_mib"] = peak_mib(process)
        allowed = int(state["MemoryMax"]) / 2**20
        demand(most < allowed / 2, f"{most} MiB of {allowed}")
        demand(box.show(HALL, "MainPID")["MainPID"] == state["MainPID"], "it was started again")
    finally:
        cloud.end()
        box.do("systemctl", "stop", HALL, *racks, check=False)
        box.do("systemctl", "reset-failed", HALL, check=False)
        box.do("rm", "-rf", f"{ETC}/hall", f"{STATE}@hall")


def peak_mib(process):
    """The most memory a process has had. Of the process and not of its control
    group, for a container is given none that counts memory (tests/usb/adapter.rs has)."""
    status = (Path("/proc") / str(process) / "status").read_text()
    return round(int(re.search(r"^VmHWM:\s+(\d+) kB$", status, re.M)[1]) / 1024, 1)


# --- the package again ----------------------------------------------------


def an_upgrade_that_refuses_the_configuration_leaves_the_old_one_running(plant):
    box = plant.machine
    pid = plant.running()["MainPID"]
    box.write(f"{ETC}/conf.d/wrong.yaml", "nonsense: true\n")
    said = plant.install(plant.new)
    demand("NOT restarted" in said and "nonsense" in said, said)
    plant.running(MainPID=pid)
    box.do("rm", f"{ETC}/conf.d/wrong.yaml")


def who_disabled_the_service_finds_it_disabled_after_an_upgrade(plant):
    box = plant.machine
    box.do("systemctl", "disable", "--now", UNIT)
    plant.install(plant.new)
    demand(box.status("systemctl", "is-enabled", UNIT)[1].strip() == "disabled", "enabled again")
    demand(box.status("systemctl", "is-active", UNIT)[1].strip() == "inactive", "started again")
    plant.cloud.forget()
    box.do("systemctl", "enable", "--now", UNIT)
    plant.online()


def a_second_gateway_runs_beside_the_first(plant):
    box = plant.machine
    north = "alink-gateway@north.service"
    code, _ = box.status("systemctl", "start", north)
    demand(code != 0, "an instance without a configuration was started")
    box.write(f"{ETC}/north/gateway.yaml", "gateway: { product_key: CHANGE-ME, device_name: "
              "CHANGE-ME, secret: x }\ncloud: { url: mqtts://CHANGE-ME.example }\n")
    box.do("systemd-tmpfiles", "--create", "alink-gateway.conf")
    box.do("systemctl", "enable", "--now", north)
    state = box.show(north, "ActiveState", "StatusText")
    demand(state["ActiveState"] == "active", state)
    for path, mode in (
        (f"{ETC}/north/gateway.yaml", "640 root alink-gateway"),
        (f"{STATE}@north", "700 alink-gateway alink-operators"),
        ("/run/alink-gateway@north", "750 alink-gateway alink-operators"),
        ("/run/alink-gateway@north/control.sock", "660 alink-gateway alink-operators"),
    ):
        seen = box.do("stat", "-c", "%a %U %G", path).strip()
        demand(seen == mode, f"{path} is {seen}, not {mode}")
    pid = box.show(north, "MainPID")
    plant.cloud.forget()
    said = plant.install(plant.new)
    demand("NOT restarted" not in said, said)
    demand(box.show(north, "MainPID") != pid, "an upgrade did not restart the instance")
    # The next scenario waits for its own log-ins, not for the rest of these.
    plant.online()


def a_downgrade_keeps_everything_too(plant):
    box = plant.machine
    kept = ["sha256sum", f"{ETC}/gateway.yaml", f"{STATE}/mark"]
    before = box.do(*kept)
    plant.cloud.forget()
    plant.install(plant.old)
    plant.online()
    demand(before == box.do(*kept), "something was lost")
    version = box.do("dpkg-query", "-W", "-f=${Version}", "alink-gateway")
    demand(plant.old.split("_")[1] == version, version)


def stored(box):
    """How many readings the store holds; None while the service does not say."""
    code, said = box.status("alink-gateway", "status", "--json")
    store = json.loads(said).get("store") if code == 0 else None
    return store and store["readings"]


def what_is_stored_survives_upgrade_downgrade_and_removal(plant):
    box = plant.machine
    files = f"{STATE}/readings"
    watch = box.journal(UNIT)
    box.cut_cloud()
    try:
        # A stop stores what could not be delivered.
        plant.install(plant.new)
        demand_soon(lambda: stored(box), "readings stored before the upgrade")
        seen = box.do("stat", "-c", "%a %U", files).strip()
        demand(seen == "700 alink-gateway", f"{files} is {seen}")
        first = stored(box)
        plant.install(plant.old)
        demand_soon(lambda: (stored(box) or 0) >= first, "readings after the downgrade")
        box.do("dpkg", "-r", "alink-gateway")
        kept = box.do("find", files, "-name", "*.readings").split()
        demand(kept, "the removal took the stored readings along")
        plant.install(plant.new)
        demand_soon(lambda: (stored(box) or 0) >= first, "readings after the removal")
    finally:
        plant.cloud.forget()
        box.mend_cloud()
    event(watch, "reading-store-empty", 2 * TURN)
    plant.online()


def a_state_directory_without_room_is_told_and_costs_no_live_value(plant):
    box = plant.machine
    files = f"{STATE}/readings"
    box.do("systemctl", "stop", UNIT)
    who = box.do("id", "-u", "alink-gateway").strip()
    box.do("mount", "-t", "tmpfs", "-o", f"size=4k,mode=700,uid={who}", "tmpfs", files)
    watch = box.journal(UNIT)
    try:
        box.cut_cloud()
        try:
            box.do("systemctl", "start", UNIT)
            said = event(watch, "reading-store-unusable", 2 * TURN)["MESSAGE"]
            demand("No space left" in said, said)
            status = box.do("alink-gateway", "status")
            demand("NOT WORKING" in status, status)
        finally:
            plant.cloud.forget()
            box.mend_cloud()
        plant.online(2 * TURN)
        plant.cloud.says("values? accepted", SOON)
        plant.running(NRestarts="0")
    finally:
        box.do("systemctl", "stop", UNIT)
        box.do("umount", files)
    plant.cloud.forget()
    box.do("systemctl", "start", UNIT)
    plant.online(2 * TURN)


def removing_logs_everybody_out_and_leaves_configuration_and_state(plant):
    box = plant.machine
    plant.cloud.forget()
    box.do("dpkg", "-r", "alink-gateway")
    plant.cloud.says(r"meter-\d+ logged out", SOON, METERS)
    demand(box.status("test", "-e", "/usr/bin/alink-gateway")[0] != 0, "the program is still there")
    demand(box.status("systemctl", "is-active", UNIT, "alink-gateway@north")[0] != 0, "still active")
    box.do("test", "-e", f"{ETC}/gateway.yaml", "-a", "-e", f"{STATE}/mark")
    plant.cloud.forget()
    plant.install(plant.new)
    plant.online()
    state = box.show("alink-gateway@north.service", "ActiveState")
    demand(state == {"ActiveState": "active"}, f"the instance: {state}")


def purging_leaves_nothing(plant):
    box = plant.machine
    box.do("dpkg", "-P", "alink-gateway")
    box.do("systemctl", "stop", "field.service")
    left = sorted(listing(box) - plant.before)
    plant.found["purge_left"] = left
    demand(not left, f"left: {left}")
    said = box.status("systemctl", "status", UNIT, "alink-gateway@north.service")[1]
    demand("could not be found" in said, said)


# --- what the README says -------------------------------------------------


# What a person has to type at most, and how soon after the last command that changes
# something everything is online.
MOST_COMMANDS, ONLINE_WITHIN = 8, 5


def what_the_readme_has_a_newcomer_type_brings_every_device_online(plant):
    box = plant.machine
    text = README.read_text() + COMMISSIONING.read_text()
    blocks = re.findall(r"<!-- newcomer -->\n```sh\n(.*?)```", text, re.S)
    demand(len(blocks) == 2, f"{len(blocks)} blocks are marked in the pages")
    install, commission = ([line.split("#")[0].strip() for line in b.splitlines()] for b in blocks)
    commands = [c for line in [*install, *commission] for c in line.split("&&")]
    plant.found["newcomer_commands"] = len(commands)
    demand(len(commands) <= MOST_COMMANDS, f"{len(commands)} commands: {commands}")
    config = re.search(r"## First configuration.*?```yaml\n(.*?)```", text, re.S)[1]
    # With one's own ports, as the README says.
    config = re.sub(r"device: /dev/serial\S+", f"device: {LINE},", config)
    host, port = re.search(r"url: mqtts://(.*):(\d+)", config).groups()

    # A box that knows nothing of us, the package and its files at hand.
    box.do("systemctl", "stop", "field.service", check=False)
    box.do("dpkg", "-P", "alink-gateway")
    box.do("rm", "-rf", ETC, STATE)
    box.do("sh", "-c", f"mkdir -p /srv/new/target/packages && cp /packages/{plant.new} "
                       f"/srv/new/target/packages && echo {CLOUD_SIDE} {host} >>/etc/hosts")
    # The user of the service stays after a purge; the line is that user's.
    plant.plug_in(9600, 2)
    desk = box.folder / "desk"
    desk.mkdir()
    files = {"gateway.yaml": config, "gateway.secret": f"{SECRET}\n",
             "meter-1.secret": "one\n", "meter-2.secret": "two\n"}
    for name, words in files.items():
        (desk / name).write_text(words)
        (desk / name).chmod(0o600)
    cloud = Cloud(box, plant.lab, desk / "gateway.yaml", int(port), "--tls", desk)
    try:
        files["aliyun-iot-ca.pem"] = (desk / "ca.pem").read_text()
        for name, words in files.items():
            box.write(f"/srv/new/{name}", words)
        # Types what a person would into each file.
        box.write("/usr/local/bin/editor", '#!/bin/sh\nfor file; do cat "/srv/new/$file" >"$file"; done\n',
                  0o755)
        box.do("sh", "-ec", "cd /srv/new\n" + "\n".join(install))
        demand_soon(lambda: box.show(UNIT, "ActiveState")["ActiveState"] == "active", "service")
        # What to do next, before a line was written.
        said = box.do("alink-gateway", "status")
        demand("not commissioned" in said and f"{ETC}/gateway.yaml" in said, said)
        last = next(n for n, line in enumerate(commission) if line.startswith("alink-gateway reload"))
        where = f"cd {commission[0].split()[1]}\n"
        said = box.do("sh", "-ec", "\n".join(commission[:last]))
        demand("no errors" in said or "no warnings" in said, said)
        begun = time.monotonic()
        box.do("sh", "-ec", where + commission[last])
        cloud.says(r"meter-[12] logged in", SOON, 2)
        plant.found["newcomer_online_s"] = took = round(time.monotonic() - begun, 1)
        said = box.do("sh", "-ec", where + "\n".join(commission[last + 1:]))
        demand("2 devices online" in said, said)
        demand(took <= ONLINE_WITHIN, f"online after {took} s")
        complete_a_line(plant)
    finally:
        cloud.end()


def complete_a_line(plant):
    """The completion that the package has for bash, with names of the running service."""
    plant.found["completions"] = False
    script = """
        source /usr/share/bash-completion/completions/alink-gateway
        for COMP_LINE in 'alink-gateway stat' 'alink-gateway devices me' 'alink-gateway trace '; do
            COMP_POINT=${#COMP_LINE}
            _alink_gateway alink-gateway '' ''
            printf '%s\\n' "${COMPREPLY[@]}"
        done"""
    offered = plant.machine.do("bash", "-c", script).split()
    wanted = ["status", "meter-1", "meter-2", "line1", "rack1"]
    demand(offered == wanted, f"completed: {offered}")
    plant.found["completions"] = True


def listing(box):
    """Every file, but those that programs with records of their own keep."""
    records = ["/proc", "/sys", "/dev", "/run", "/tmp", "/var/log", "/var/lib/dpkg",
               "/var/lib/systemd", "/var/cache", "/packages"]
    skip = [w for path in records for w in ("-path", path, "-o")][:-1]
    text = box.do("find", "/", "(", *skip, ")", "-prune", "-o", "-print")
    # The user stays, on purpose: postrm says why.
    return {f for f in text.splitlines() if not re.fullmatch(r"/etc/(g?shadow|group|passwd|sub[ug]id)-?", f)}


ALL = [
    a_fresh_install_runs_polls_nothing_and_keeps_its_secrets,
    a_wrong_configuration_fails_once_and_says_where,
    a_line_of_meters_comes_online_with_a_secret_only_root_can_read,
    an_upgrade_keeps_configuration_and_state_and_brings_everybody_back,
    the_unit_is_hardened_and_nothing_is_odd_about_it,
    the_manual_is_there,
    operators_ask_the_service_and_read_no_secret,
    a_reload_changes_what_has_changed_and_nothing_else,
    the_journal_and_the_status_line_say_who_and_what,
    the_catalog_explains_what_the_journal_says,
    a_killed_service_is_back_with_everybody,
    a_frozen_process_is_killed_by_the_watchdog_and_comes_back,
    one_stuck_port_is_enough_for_the_watchdog_and_is_named,
    an_adapter_pulled_out_and_put_back_is_told_and_polled_again,
    a_minute_without_the_cloud_is_survived_and_made_good,
    two_thousand_devices_need_less_than_half_of_the_memory_they_may_have,
    an_upgrade_that_refuses_the_configuration_leaves_the_old_one_running,
    who_disabled_the_service_finds_it_disabled_after_an_upgrade,
    a_second_gateway_runs_beside_the_first,
    a_downgrade_keeps_everything_too,
    what_is_stored_survives_upgrade_downgrade_and_removal,
    a_state_directory_without_room_is_told_and_costs_no_live_value,
    removing_logs_everybody_out_and_leaves_configuration_and_state,
    purging_leaves_nothing,
    what_the_readme_has_a_newcomer_type_brings_every_device_online,
]


def with_the_siege(siege):
    """The siege comes while the new version runs, before the first upgrade after it."""
    at = ALL.index(an_upgrade_that_refuses_the_configuration_leaves_the_old_one_running)
    return ALL[:at] + siege + ALL[at:]


# What takes minutes, for --long alone.
LONG = {two_thousand_devices_need_less_than_half_of_the_memory_they_may_have}
