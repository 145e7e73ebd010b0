"""A machine that is thrown away: a Debian with a systemd of its own, in a
network namespace of its own, wired to another one where the cloud is.

Nothing here sleeps and hopes: what is waited for is a line of a program's output,
or a process that ends. Only the boot is asked for again and again, for there
is no program yet that could write a line.
"""

import json
import os
import re
import selectors
import shutil
import signal
import subprocess
import time
from pathlib import Path

GATEWAY_SIDE, CLOUD_SIDE = "10.79.0.1", "10.79.0.2"
CGROUPS = [Path("/sys/fs/cgroup") / h for h in ("unified", "systemd", "")]


class Failed(Exception):
    """What was to be and is not."""


def demand(true, what):
    if not true:
        raise Failed(what)


def run(*command, check=True, **more):
    """Runs a command of the host; what it printed."""
    done = subprocess.run(
        command, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **more
    )
    if check and done.returncode != 0:
        raise Failed(f"{' '.join(map(str, command))}: {done.returncode}\n{done.stdout}")
    return done.stdout


class Talk:
    """A process whose lines are awaited."""

    def __init__(self, command, **more):
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **more
        )
        os.set_blocking(self.process.stdout.fileno(), False)
        self.picker = selectors.DefaultSelector()
        self.picker.register(self.process.stdout, selectors.EVENT_READ)
        self.rest = b""
        self.lines = []
        self.read = 0

    def take(self, patience):
        """Takes up what was said, waiting for it so long; False at the end."""
        if not self.picker.select(max(patience, 0)):
            return True
        piece = self.process.stdout.read()
        if piece == b"":
            return False
        *whole, self.rest = (self.rest + (piece or b"")).split(b"\n")
        self.lines += [line.decode(errors="replace") for line in whole]
        return True

    def forget(self):
        """What was said so far is not what is awaited next."""
        while self.picker.select(0) and self.take(0):
            pass
        self.read = len(self.lines)

    def says(self, pattern, within, times=1):
        """Waits for lines that match; the last match of so many."""
        until = time.monotonic() + within
        seen = 0
        while True:
            while self.read < len(self.lines):
                line = self.lines[self.read]
                self.read += 1
                match = re.search(pattern, line)
                if match:
                    seen += 1
                    if seen == times:
                        return match
            left = until - time.monotonic()
            if left <= 0 or not self.take(left):
                tail = "\n    ".join(said(line) for line in self.lines[-40:])
                raise Failed(
                    f"no line {pattern!r} came {times} times within {within} s"
                    f" ({seen} were seen); the last words:\n    {tail}"
                )

    def end(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.picker.close()
        self.process.stdout.close()


def said(line):
    """A line as people read it; of an entry of the journal its message."""
    try:
        entry = json.loads(line)
        return f"{entry.get('EVENT', '-')}: {entry['MESSAGE']}"
    except (ValueError, KeyError, TypeError, AttributeError):
        return line


class Machine:
    """The box the gateway is installed on."""

    def __init__(self, root, packages, folder):
        self.folder = Path(folder)
        self.tag = f"alink{os.getpid()}"
        self.inside, self.outside = f"{self.tag}-box", f"{self.tag}-cloud"
        self.cgroups = []
        self.talks = []
        self.process = self.leader = None
        try:
            self.wire()
            self.boot(root, packages)
        except BaseException:
            self.halt()
            raise

    def wire(self):
        near, far = f"{self.tag}a"[-15:], f"{self.tag}b"[-15:]
        for space in (self.inside, self.outside):
            run("ip", "netns", "add", space)
            run("ip", "-n", space, "link", "set", "lo", "up")
        run("ip", "link", "add", near, "netns", self.inside,
            "type", "veth", "peer", "name", far, "netns", self.outside)
        for space, link, address in (
            (self.inside, near, GATEWAY_SIDE), (self.outside, far, CLOUD_SIDE),
        ):
            run("ip", "-n", space, "addr", "add", f"{address}/24", "dev", link)
            run("ip", "-n", space, "link", "set", link, "up")

    def boot(self, root, packages):
        # Without a cgroup of its own every container here would share one.
        for hierarchy in CGROUPS:
            if (hierarchy / "cgroup.procs").exists() and hierarchy not in self.cgroups:
                group = hierarchy / self.tag
                group.mkdir(exist_ok=True)
                self.cgroups.append(group)

        own = list(self.cgroups)
        # Those of the host that a service here can enter, for the container's systemd
        # is given none that bounds memory or tasks.
        self.bounding = {}
        for controller in "memory", "pids":
            hierarchy = Path("/sys/fs/cgroup") / controller
            if (hierarchy / "cgroup.procs").exists():
                group = hierarchy / f"{self.tag}-bound"
                group.mkdir(exist_ok=True)
                self.cgroups.append(group)
                # The service enters by itself, and is not root.
                (group / "cgroup.procs").chmod(0o666)
                self.bounding[controller] = group, f"/srv/{controller}"
        binds = [f"--bind={group}:{path}" for group, path in self.bounding.values()]

        def enter():
            for group in own:
                (group / "cgroup.procs").write_text(str(os.getpid()))

        log = open(self.folder / "machine.log", "wb")
        self.process = subprocess.Popen(
            ["systemd-nspawn", "--quiet", "-D", root, "--register=no", "--keep-unit", "--boot",
             "--volatile=overlay", "--hostname=box", "--console=passive", "--capability=all",
             "--system-call-filter=bpf", f"--network-namespace-path=/run/netns/{self.inside}",
             f"--bind-ro={packages}:/packages", *binds],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            preexec_fn=enter,
            env={**os.environ, "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1"},
        )
        until = time.monotonic() + 120
        while True:
            demand(self.process.poll() is None, "systemd-nspawn ended: see machine.log")
            demand(time.monotonic() < until, "no systemd came up within 120 s")
            self.leader = self.leader or self.child()
            if self.leader and self.up():
                return
            time.sleep(0.1)

    def child(self):
        """The machine's first process, once it is there. pgrep names it, since a child that
        prepares the machine may end between two looks at it."""
        found = run("pgrep", "-x", "-P", str(self.process.pid), "systemd", check=False).split()
        return int(found[0]) if found else None

    def up(self):
        state = self.do("systemctl", "is-system-running", check=False)
        return state.split()[-1:] in (["running"], ["degraded"])

    def enter(self, *command):
        """The host's command that runs this one on the machine."""
        path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        return ["nsenter", "-t", str(self.leader), "-a", "env", "-i", path, "LC_ALL=C.UTF-8",
                "DEBIAN_FRONTEND=noninteractive", "SYSTEMD_PAGER=", "TERM=dumb", *command]

    def do(self, *command, **more):
        """Runs a command on the machine; what it printed."""
        return run(*self.enter(*command), **more)

    def status(self, *command):
        """Its exit status and what it printed."""
        done = subprocess.run(self.enter(*command), text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        return done.returncode, done.stdout

    def talk(self, *command):
        talk = Talk(self.enter(*command))
        self.talks.append(talk)
        return talk

    def write(self, path, text, mode=0o644):
        self.do("sh", "-c", f'mkdir -p "$(dirname {path})" && umask 077 && cat >{path} && '
                            f"chmod {mode:o} {path}", input=text)

    def show(self, unit, *properties):
        """Properties of a unit, as strings."""
        text = self.do("systemctl", "show", unit, "-p", ",".join(properties))
        return dict(line.split("=", 1) for line in text.splitlines())

    def journal(self, unit):
        """What a unit has to say from now on, as entries of the journal."""
        said = self.do("journalctl", "-q", "-n", "1", "-o", "cat", "--show-cursor")
        now = re.search(r"^-- cursor: (.*)$", said, re.M)[1]
        return self.talk("journalctl", "-o", "json", "--all", "--no-tail", "-f",
                         f"--after-cursor={now}", "-u", unit)

    def entries(self, *match):
        text = self.do("journalctl", "-o", "json", "--all", "--no-pager", *match)
        return [json.loads(line) for line in text.splitlines() if line.startswith("{")]

    def main_pid(self, unit):
        """The process as the host knows it."""
        inner = self.show(unit, "MainPID")["MainPID"]
        for status in Path("/proc").glob("[0-9]*/status"):
            try:
                text = status.read_text()
            except OSError:
                continue
            ids = re.search(r"^NSpid:\s+\d+\s+(\d+)$", text, re.M)
            if ids and ids[1] == inner and self.here(status.parent):
                return int(status.parent.name)
        raise Failed(f"{unit} has no process {inner}")

    def here(self, process):
        """Whether a process is one of this machine."""
        spaces = [os.readlink(p / "ns/pid") for p in (process, Path(f"/proc/{self.leader}"))]
        return spaces[0] == spaces[1]

    def cut_cloud(self):
        run("ip", "netns", "exec", self.outside, "nft",
            "add table inet cut; add chain inet cut i { type filter hook input priority 0; };"
            " add rule inet cut i meta l4proto tcp drop")

    def mend_cloud(self):
        run("ip", "netns", "exec", self.outside, "nft", "delete table inet cut")

    def halt(self):
        for talk in self.talks:
            talk.end()
        if self.leader and self.process.poll() is None:
            os.kill(self.leader, signal.SIGRTMIN + 4)
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                pass
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        for group in self.cgroups:
            for folder in sorted(group.glob("**/"), reverse=True):
                try:
                    folder.rmdir()
                except OSError:
                    pass
        for space in (self.inside, self.outside):
            run("ip", "netns", "del", space, check=False)


class Cloud(Talk):
    """The lab's platform, in its own network namespace."""

    def __init__(self, machine, lab, config, port=1883, *more):
        super().__init__(
            ["ip", "netns", "exec", machine.outside, lab, "platform",
             "--listen", f"{CLOUD_SIDE}:{port}", "--config", config, *more],
            stdin=subprocess.PIPE,
        )
        machine.talks.append(self)
        self.says(r"^platform for ", 10)


def have(program):
    return shutil.which(program) is not None
