"""What the driver reads from and does to the machine: cores, clocks, memory, processes, ports."""

import ctypes
import os
import random
import resource
import signal
import socket
import struct
import subprocess
import time

PR_SET_PDEATHSIG = 1
CPUCLOCK_SCHED = 2
EVERY_CORE = os.sched_getaffinity(0)


def cores():
    """(core for the proxy, core for load and backend): the last and the first that we may use."""
    usable = sorted(EVERY_CORE)
    return usable[-1], usable[0]


def pin_by_default():
    """The driver itself stays off the proxy's core."""
    os.sched_setaffinity(0, {cores()[1]})


def free_ports(count):
    """Ports below the usual ephemeral range, so that no outgoing connection takes them first."""
    found = []
    for port in random.sample(range(20000, 32000), 12000):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        found.append(port)
        if len(found) == count:
            return found
    raise RuntimeError("no free ports")


def can_connect(port):
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
        return True
    except OSError:
        return False


def wait_for(condition, seconds, what):
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise RuntimeError(f"{what}: not within {seconds} s")
        time.sleep(0.01)


class TaskClock:
    """The CPU time of a process and of all that it forks from now on, counted by the kernel's
    software event task-clock: for programs that fork for each connection and never wait for the
    children, whose time no file in /proc then keeps."""

    PERF_EVENT_OPEN = {"x86_64": 298, "aarch64": 241}
    TYPE_SOFTWARE, TASK_CLOCK, INHERIT = 1, 1, 1 << 1

    def __init__(self, pid):
        attributes = struct.pack("IIQQQQQ", self.TYPE_SOFTWARE, 64, self.TASK_CLOCK, 0, 0, 0, self.INHERIT)
        attributes = ctypes.create_string_buffer(attributes.ljust(64, b"\0"))
        number = self.PERF_EVENT_OPEN[os.uname().machine]
        self.fd = ctypes.CDLL(None, use_errno=True).syscall(number, attributes, pid, -1, -1, 0)
        if self.fd < 0:
            raise OSError(ctypes.get_errno(), "perf_event_open")

    def ns(self):
        return struct.unpack("Q", os.read(self.fd, 8))[0]

    def close(self):
        os.close(self.fd)


class Program:
    """A process in the foreground, with its descendants: started, measured and stopped together."""

    def __init__(self, argv, cpus, log, env=None, stdin=None, stdout=None):
        self.argv = argv
        self.log = log
        self.task_clocks = []
        with open(log, "ab") as errors:
            self.process = subprocess.Popen(
                argv,
                stdin=stdin or subprocess.DEVNULL,
                stdout=stdout or errors,
                stderr=errors,
                env={**os.environ, **(env or {})},
                preexec_fn=lambda: self._prepare(cpus),
                text=True,
            )

    @staticmethod
    def _prepare(cpus):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        os.sched_setaffinity(0, cpus)
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))

    def is_alive(self):
        return self.process.poll() is None

    def complaint(self):
        with open(self.log, errors="replace") as log:
            lines = [line.strip() for line in log if line.strip()]
        return lines[-1][:200] if lines else "no message"

    def pids(self):
        """This process and its living descendants."""
        children = {}
        for entry in os.listdir("/proc"):
            if entry.isdigit():
                parent = _parent(int(entry))
                children.setdefault(parent, []).append(int(entry))
        found, waiting = [], [self.process.pid]
        while waiting:
            pid = waiting.pop()
            found.append(pid)
            waiting += children.get(pid, [])
        return found

    def cpu_ns(self):
        """User and system time of all threads, dead ones too, of the process and its descendants.

        The process CPU clock (clock_getcpuclockid(3)) has the scheduler's own nanoseconds. The
        fields of /proc/PID/stat come from the same counter, rounded to 10 ms; schedstat is per
        thread and forgets threads that have ended. Children that were reaped are only in stat.
        """
        if self.task_clocks:
            return sum(clock.ns() for clock in self.task_clocks)
        total = _reaped_children_ns(self.process.pid)
        for pid in self.pids():
            try:
                total += time.clock_gettime_ns((~pid << 3) | CPUCLOCK_SCHED)
            except OSError:
                pass
        return total

    def pin(self, cpus):
        for thread in os.listdir(f"/proc/{self.process.pid}/task"):
            os.sched_setaffinity(int(thread), cpus)

    def count_forks(self):
        """From now on cpu_ns() counts what these processes and all their forks use."""
        self.task_clocks = [TaskClock(pid) for pid in self.pids()]

    def settled_cpu_ns(self):
        """The clock once the last closes are done and it stands still."""
        before = self.cpu_ns()
        for _ in range(50):
            time.sleep(0.002)
            now = self.cpu_ns()
            if now - before < 20_000:
                return now
            before = now
        return before

    def pss_bytes(self):
        total = 0
        for pid in self.pids():
            try:
                with open(f"/proc/{pid}/smaps_rollup") as rollup:
                    total += sum(int(line.split()[1]) for line in rollup if line.startswith("Pss:"))
            except OSError:
                pass
        return total * 1024

    def peak_bytes(self):
        with open(f"/proc/{self.process.pid}/status") as status:
            return sum(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM:"))

    def descriptors(self):
        return sum(_count(f"/proc/{pid}/fd") for pid in self.pids())

    def stop(self):
        for clock in self.task_clocks:
            clock.close()
        self.task_clocks = []
        if self.process.stdin:
            self.process.stdin.close()
        if self.is_alive():
            pids = self.pids()
            self.process.terminate()
            try:
                self.process.wait(timeout=2)
            except subprocess.TimeoutExpired:
                for pid in pids:
                    _kill(pid)
                self.process.wait()
        if self.process.stdout:
            self.process.stdout.close()


def _kill(pid):
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def _stat_fields(pid):
    """The fields after the command name; [0] is the state, so field n of proc(5) is [n - 3]."""
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rpartition(")")[2].split()
    except OSError:
        return None


def _parent(pid):
    fields = _stat_fields(pid)
    return int(fields[1]) if fields else 0


def _reaped_children_ns(pid):
    fields = _stat_fields(pid)
    if not fields:
        return 0
    ticks = int(fields[13]) + int(fields[14])
    return ticks * 1_000_000_000 // os.sysconf("SC_CLK_TCK")


def _count(directory):
    try:
        return len(os.listdir(directory))
    except OSError:
        return 0


def busy_seconds():
    """Time that all cores together were not idle, by the kernel's 10 ms ticks."""
    with open("/proc/stat") as stat:
        user, nice, system, _, _, irq, softirq, steal = map(int, stat.readline().split()[1:9])
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def describe():
    model = "unknown processor"
    with open("/proc/cpuinfo") as info:
        for line in info:
            if line.startswith("model name"):
                model = line.partition(":")[2].strip()
                break
    with open("/proc/sys/net/ipv4/tcp_congestion_control") as setting:
        congestion = setting.read().strip()
    return {
        "processor": model,
        "cores": len(EVERY_CORE),
        "kernel": os.uname().release,
        "congestion_control": congestion,
    }
