"""Running one scenario: every program in turn, round after round, and what comes out."""

import dataclasses
import json
import os
import shutil
import statistics
import tempfile
import time

import machine
import peers

AGAIN = " (again)"
NOISE_LIMIT = 0.05
LONGEST_RUN_SECONDS = 4  # of one run of one program, at the full share
PATIENCE_SECONDS = 500  # then nothing noisy is measured a second time; a quick run has its share


class RunFailed(Exception):
    pass


@dataclasses.dataclass
class Sample:
    figure: float  # CPU per unit, in the scenario's unit
    busy: float  # the same of the whole machine
    result: dict  # what the load client said


@dataclasses.dataclass
class Series:
    """All rounds of one program in one scenario."""

    program: str
    samples: list = dataclasses.field(default_factory=list)
    notes: list = dataclasses.field(default_factory=list)
    failure: str = ""

    def figures(self):
        return [sample.figure for sample in self.samples]

    def median(self):
        return statistics.median(self.figures())

    def median_of(self, pick):
        return statistics.median(pick(sample) for sample in self.samples)


@dataclasses.dataclass
class Outcome:
    """A measured scenario: the figures of `subject` beside those of the others."""

    name: str
    title: str
    unit: str
    targets: list
    programs: dict  # name: Series, without the second half of the A/A pair
    noise: float = None  # by how much the A/A pair disagrees
    subject: str = peers.GATEHOUSE.name
    notes: list = dataclasses.field(default_factory=list)

    def is_noisy(self):
        return self.noise is not None and self.noise > NOISE_LIMIT

    def measured(self):
        return {name: series for name, series in self.programs.items() if series.samples}

    def best_peer(self):
        tuned = [peer.name for peer in peers.PEERS if peer.is_tuned]
        others = [
            series
            for name, series in self.measured().items()
            if name not in (self.subject, peers.FLOOR.name, *tuned)
        ]
        return min(others, key=Series.median, default=None)

    def beside(self, target):
        """The series that a target speaks of."""
        if target.beside == "best":
            return self.best_peer()
        return self.measured().get(target.beside)

    def ratio(self, other):
        """(of the medians, lowest and highest of a round); None where there is none to tell."""
        mine = self.measured().get(self.subject)
        if not mine or not other or other is mine or self.is_noisy():
            return None
        rounds = [a / b for a, b in zip(mine.figures(), other.figures()) if b > 0]
        if not rounds or other.median() <= 0:
            return None
        return mine.median() / other.median(), min(rounds), max(rounds)

    def verdict(self, target):
        """(figure or ratio, met or not); None where there is nothing to judge."""
        if not target.beside:
            mine = self.measured().get(self.subject)
            return (mine.median(), mine.median() < target.limit) if mine else None
        ratio = self.ratio(self.beside(target))
        return (ratio[0], ratio[0] <= target.limit) if ratio else None


class LoadClient:
    """One run of the load client, from "ready" to its result."""

    def __init__(self, bench, port, options, cpus=None):
        argv = [bench.tool("load"), "--to", str(port)]
        for name, value in options.items():
            argv.append(f"--{name}")
            if value is not True:
                argv.append(str(value))
        pipe = {"stdin": machine.subprocess.PIPE, "stdout": machine.subprocess.PIPE}
        log = os.path.join(bench.folder, "load.log")
        open(log, "w").close()
        self.program = machine.Program(argv, cpus or {bench.load_core}, log, **pipe)
        if self._line() != "ready":
            self._fail("did not start")

    def _line(self):
        return self.program.process.stdout.readline().strip()

    def _fail(self, why):
        complaint = self.program.complaint()
        self.program.stop()
        raise RunFailed(f"load client: {why}: {complaint}")

    def start(self):
        """Lets it run, or go on."""
        try:
            self.program.process.stdin.write("go\n")
            self.program.process.stdin.flush()
        except OSError:
            self._fail("gone")

    def result(self):
        try:
            result = json.loads(self._line())
        except ValueError:
            self._fail("no result")
        if result["failures"]:
            self.program.stop()
            raise RunFailed(f"{result['failures']} failed: {result['first_failure']}")
        return result

    def go(self):
        self.start()
        return self.result()

    def stop(self):
        self.program.stop()


class Running:
    """A program under test, started for a task and ready to accept."""

    def __init__(self, bench, peer, kind, is_bulk=False, name=None, cpus=None, workers=1):
        self.peer = peer
        self.name = name or peer.name
        self.folder = tempfile.mkdtemp(dir=bench.folder)
        self.port, backend = bench.next_ports()
        task = peers.Task(
            kind, self.port, backend, self.folder, bench.certs, bench.build, is_bulk, workers
        )
        launch = peer.launch(task)
        log = os.path.join(self.folder, "log")
        self.started = time.monotonic()
        self.program = machine.Program(launch.argv, cpus or {bench.proxy_core}, log, launch.env)
        try:
            machine.wait_for(self._is_ready, 120, f"{self.name} does not listen")
        except RuntimeError as error:
            complaint = self.program.complaint()
            self.program.stop()
            raise RunFailed(f"{error}: {complaint}") from error
        self.share = bench.share
        if peer.forks_per_connection:
            self.program.count_forks()

    def _is_ready(self):
        if not self.program.is_alive():
            raise RuntimeError(f"{self.name} ended at its start")
        return machine.can_connect(self.port)

    def seconds_to_serve(self, bench, options):
        """From its start until now, when a first whole connection has been served."""
        load = LoadClient(bench, self.port, options)
        load.go()
        load.stop()
        return time.monotonic() - self.started

    def stop(self):
        self.program.stop()


class Bench:
    """What all scenarios share: folder, certificates, backend, ports."""

    def __init__(self, build, share, rounds, wanted_peers):
        self.build = os.path.abspath(build)
        self.share = share
        self.rounds = rounds
        self.proxy_core, self.load_core = machine.cores()
        self.folder = tempfile.mkdtemp(prefix="bench-")
        self.certs = os.path.join(self.folder, "certs")
        os.mkdir(self.certs)
        self.run_tool("makecerts", "basic", self.certs)
        self.notes = []
        self.deadline = time.monotonic() + PATIENCE_SECONDS * share * share
        self.programs = self._find(wanted_peers)
        self._start_backend()

    def tool(self, name):
        return os.path.join(self.build, "bench", name)

    def run_tool(self, name, *arguments):
        machine.subprocess.run([self.tool(name), *arguments], check=True)

    def _find(self, wanted):
        found = []
        for peer in [peers.GATEHOUSE, peers.FLOOR, peers.TLS_FLOOR, *peers.PEERS]:
            if wanted and peer in peers.PEERS and peer.name not in wanted:
                continue
            if peer.find(self.build):
                found.append(peer)
            elif peer.package:
                self.notes.append(f"{peer.name} is missing (apt install {peer.package}): left out")
            else:
                self.notes.append(f"{peer.name} is not built: left out")
        return found

    def _start_backend(self):
        """Each program gets a backend port of its own, so that none inherits TIME_WAITs."""
        self.backend_ports = machine.free_ports(16)
        self.next_backend = 0
        argv = [self.tool("backend"), *map(str, self.backend_ports)]
        log = os.path.join(self.folder, "backend.log")
        self.backend = machine.Program(argv, {self.load_core}, log)
        machine.wait_for(
            lambda: machine.can_connect(self.backend_ports[-1]), 5, "the backend does not listen"
        )

    def next_ports(self):
        self.next_backend = (self.next_backend + 1) % len(self.backend_ports)
        return machine.free_ports(1)[0], self.backend_ports[self.next_backend]

    def programs_for(self, scenario):
        return [
            peer
            for peer in self.programs
            if scenario.kind in peer.kinds
            and (scenario.is_bulk or not peer.is_tuned)
            and (scenario.has_tls_floor() or peer is not peers.TLS_FLOOR)
        ]

    def is_late(self):
        """Time to measure nothing twice."""
        return time.monotonic() > self.deadline

    def close(self):
        self.backend.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


def with_certificate(bench, scenario, options):
    if scenario.kind == "mtls":
        options["cert"] = os.path.join(bench.certs, "client.crt")
        options["key"] = os.path.join(bench.certs, "client.key")
    return options


def measure_cpu(bench, scenario, running, share, load_cpus=None):
    options = with_certificate(bench, scenario, scenario.load_options(share))
    load = LoadClient(bench, running.port, options, load_cpus)
    try:
        cpu, busy = running.program.settled_cpu_ns(), machine.busy_seconds()
        result = load.go()
        busy = machine.busy_seconds() - busy
        cpu = running.program.settled_cpu_ns() - cpu
    finally:
        load.stop()
    return Sample(scenario.figure(cpu, result), scenario.figure(busy * 1e9, result), result)


def openssl_alone(bench, scenario):
    """What OpenSSL's server takes for one in memory, without a connection: us CPU."""
    pair = [os.path.join(bench.certs, f"server.{part}") for part in ("crt", "key")]
    how = "resumed" if scenario.load.get("resume") else "full"
    count = max(50, int(scenario.load["connections"] * bench.share / 2))
    done = machine.subprocess.run(
        [bench.tool("handshake"), *pair, scenario.load["tls"], how, str(count)],
        capture_output=True,
        check=True,
        text=True,
        preexec_fn=lambda: os.sched_setaffinity(0, {bench.proxy_core}),
    )
    return float(done.stdout)


def measure_memory(bench, scenario, running):
    """PSS with all connections held less PSS with none, after a first few that warm it up."""
    options = scenario.load_options(1)
    options["connections"] = min(options["connections"], running.peer.max_held)
    warm_up = LoadClient(bench, running.port, {**options, "connections": 32})
    warm_up.go()
    warm_up.go()
    warm_up.stop()
    running.program.settled_cpu_ns()
    descriptors = running.program.descriptors()
    before = running.program.pss_bytes()
    load = LoadClient(bench, running.port, options)
    try:
        load.go()
        count = options["connections"]
        machine.wait_for(
            lambda: running.program.descriptors() >= descriptors + count,
            10,
            f"{running.name} has not accepted {count} connections",
        )
        running.program.settled_cpu_ns()
        held = running.program.pss_bytes() - before
        result = load.go()
    except RuntimeError as error:
        raise RunFailed(str(error)) from error
    finally:
        load.stop()
    return Sample(held / count, 0, result)


def note_tickets(scenario, series):
    """Every peer was asked for the same number of tickets: say so where it sends another."""
    wanted = 0 if scenario.kind == "mtls" else 1
    result = series.samples[-1].result
    if scenario.load.get("tls") != "1.3" or not result["handshakes"] or scenario.is_bulk:
        return
    tickets = result["tickets"] / result["handshakes"]
    if tickets != wanted:
        series.notes.append(f"sends {tickets:g} tickets instead of {wanted}")


def start_all(bench, scenario):
    """The programs for a scenario, the first of them twice: the A/A pair. And who failed."""
    found = bench.programs_for(scenario)
    started, failed = [], []
    plan = [(peer, peer.name) for peer in found]
    reference = next((peer for peer in found if peer.name != peers.FLOOR.name), None)
    if reference and not scenario.hold:
        plan.append((reference, reference.name + AGAIN))
    for peer, name in plan:
        try:
            started.append(Running(bench, peer, scenario.kind, scenario.is_bulk, name))
        except RunFailed as error:
            failed.append(Series(name, failure=str(error)))
    return started, failed


def one_round(bench, scenario, started, collected):
    for running in started:
        series = collected[running.name]
        if series.failure:
            continue
        try:
            if scenario.hold:
                sample = measure_memory(bench, scenario, running)
            else:
                sample = measure_cpu(bench, scenario, running, running.share)
            series.samples.append(sample)
        except RunFailed as error:
            series.failure = str(error)


def warm_up(bench, scenario, started, collected):
    """A tenth of the work, uncounted. Who would take very long at the whole gets less of it."""
    for running in started:
        try:
            sample = measure_cpu(bench, scenario, running, bench.share * 0.1)
            expected = 10 * sample.result["seconds"]
            running.share = bench.share * min(1, LONGEST_RUN_SECONDS * bench.share / expected)
        except RunFailed as error:
            collected[running.name].failure = str(error)


def disagreement(series_by_name):
    """How far the two medians of the A/A pair are apart; None without a pair."""
    for name, series in series_by_name.items():
        twin = series_by_name.get(name + AGAIN)
        if twin and series.samples and twin.samples:
            low, high = sorted([series.median(), twin.median()])
            return high / low - 1
    return None


def measure(bench, scenario):
    """The Outcome. A noisy scenario gets as many rounds again before it is given up."""
    started, failed = start_all(bench, scenario)
    collected = {running.name: Series(running.name) for running in started}
    try:
        if scenario.hold:
            one_round(bench, scenario, started, collected)
        else:
            warm_up(bench, scenario, started, collected)
            for _ in range(2):
                for _ in range(bench.rounds):
                    one_round(bench, scenario, started, collected)
                if (disagreement(collected) or 0) <= NOISE_LIMIT or bench.is_late():
                    break
    finally:
        for running in started:
            running.stop()
    for series in failed:
        collected[series.program] = series
    for series in collected.values():
        if series.samples:
            note_tickets(scenario, series)
    outcome = Outcome(
        scenario.name, scenario.title, scenario.unit, scenario.targets, {}, disagreement(collected)
    )
    if scenario.is_handshake() and scenario.kind == "terminate":
        alone = openssl_alone(bench, scenario)
        outcome.notes.append(f"OpenSSL's server alone, in memory: {alone:.1f} us")
    outcome.programs = {n: s for n, s in collected.items() if not n.endswith(AGAIN)}
    return outcome
