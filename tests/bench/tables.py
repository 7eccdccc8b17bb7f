"""The large tables: a million hosts, ten thousand certificates; and two workers beside one."""

import dataclasses
import json
import os
import signal
import socket
import ssl
import time

import machine
import measure
import peers
import scenarios

Sample, Series, Outcome = measure.Sample, measure.Series, measure.Outcome

FRESH = "fresh.bench.test"  # reaches a backend only after the reload
RELOAD_RATE = 1000  # connections a second while a table is reloaded


def series(name, figures, result=None):
    return Series(name, [Sample(figure, 0, result or {}) for figure in figures])


class GatehouseHosts(peers.Gatehouse):
    """Nine exact names to each wildcard, and "*" for the rest, all passed to one backend."""

    def __init__(self, count):
        self.exact = count - count // 10
        self.wild = count // 10

    def names(self):
        for number in range(self.exact):
            yield f"h{number:07}.bench.test"
        for number in range(self.wild):
            yield f"*.w{number:07}.bench.test"
        yield "*"

    def write_config(self, task, is_fresh):
        """A line for each host, without a tree of a million in memory; put in place at once."""
        config = {key: value for key, value in self.config(task).items() if key != "hosts"}
        route = f'{{"mode":"passthrough","backend":"127.0.0.1:{task.backend}"}}'
        nowhere = '{"mode":"passthrough","backend":"127.0.0.1:1"}'
        path = os.path.join(task.folder, "gatehouse.json")
        with open(path + ".new", "w") as file:
            file.write(json.dumps(config)[:-1] + ',\n"hosts":{\n')
            file.writelines(f'"{name}":{route},\n' for name in self.names())
            file.write(f'"{FRESH}":{route if is_fresh else nowhere}\n}}}}\n')
        os.rename(path + ".new", path)
        return path

    def launch(self, task):
        self.task = task
        return peers.Launch([self.find(task.build), "-c", self.write_config(task, False)])


class HAProxyHosts(peers.HAProxy):
    """The same names in a map file."""

    def __init__(self, hosts):
        self.hosts = hosts

    def rules(self, task):
        path = os.path.join(task.folder, "hosts.map")
        with open(path, "w") as file:
            file.writelines(f"{name} app\n" for name in self.hosts.names())
        return (
            "  tcp-request inspect-delay 600s\n"
            "  tcp-request content accept if { req.ssl_hello_type 1 }\n"
            f"  use_backend %[req.ssl_sni,lower,map_str({path},app)]\n"
        )


def lookup_scenario(what, pattern, names):
    load = {"connections": 6000, "flows": 64, "name": pattern, "names": names}
    return scenarios.Scenario(
        f"lookup-{what}",
        f"lookup, {what}",
        "pass",
        "us CPU/connection",
        load,
        [scenarios.beside("10 hosts", 3)],
    )


def measure_lookup(bench, what, small, large):
    """The same kind of name, looked up among ten hosts and among all."""

    def counts(hosts):
        return {
            "hit": ("h#######.bench.test", hosts.exact),
            "wildcard": ("a.w#######.bench.test", hosts.wild),
            "miss": ("n#######.bench.test", hosts.exact),
        }[what]

    collected = {}
    for _ in range(bench.rounds):
        for running in (small, large):
            scenario = lookup_scenario(what, *counts(running.peer))
            found = measure.measure_cpu(bench, scenario, running, bench.share)
            collected.setdefault(running.name, Series(running.name)).samples.append(found)
    return Outcome(
        scenario.name,
        f"{scenario.title} among {large.name}",
        scenario.unit,
        scenario.targets,
        collected,
        subject=large.name,
    )


def is_fresh(bench, running):
    try:
        load = measure.LoadClient(bench, running.port, {"name": FRESH})
        load.go()
        load.stop()
        return True
    except measure.RunFailed:
        return False


def paced(bench, running, seconds, meanwhile):
    """Worst latency in ms of connections opened by the clock, on any core."""
    options = {
        "connections": max(1, int(seconds * RELOAD_RATE)),
        "flows": 2000,
        "rate": RELOAD_RATE,
        "name": "h#######.bench.test",
        "names": running.peer.exact,
    }
    load = measure.LoadClient(bench, running.port, options, machine.EVERY_CORE)
    try:
        load.start()
        meanwhile()
        result = load.result()
    finally:
        load.stop()
    return result["max_us"] / 1000


def measure_reload(bench, running):
    """The gatehouse under test may use all cores: a reload is another thread's work."""
    seconds = 2 + 3 * running.start_seconds
    quiet = [paced(bench, running, 2, lambda: None) for _ in range(3)]
    added, took = [], []
    for fresh in (True, False, True):
        running.peer.write_config(running.peer.task, not fresh)
        running.program.process.send_signal(signal.SIGHUP)
        machine.wait_for(lambda: is_fresh(bench, running) != fresh, 60, "no reload")

        def reload_once(wanted=fresh):
            time.sleep(0.3)
            running.peer.write_config(running.peer.task, wanted)
            started = time.monotonic()
            running.program.process.send_signal(signal.SIGHUP)
            machine.wait_for(lambda: is_fresh(bench, running) == wanted, 60, "no reload")
            took.append(time.monotonic() - started)

        added.append(max(0, paced(bench, running, seconds, reload_once) - min(quiet)))
    outcome = Outcome(
        "hosts-reload",
        f"reload of {running.name} under load: worst added latency",
        "ms",
        [scenarios.under(5)],
        {running.name: series(running.name, added)},
        subject=running.name,
    )
    outcome.notes.append(f"no failed connection; a reload took {sorted(took)[1]:.2f} s")
    return outcome


def start_of(bench, title, unit, target, started):
    return Outcome(
        "hosts-start",
        title,
        unit,
        [target],
        {name: series(name, [value]) for name, value in started.items()},
    )


def hosts(bench, count):
    """All that a large table of hosts is measured by; yields Outcomes as they come."""
    every_core = machine.EVERY_CORE
    title = f"{count:,} hosts"
    first = {"name": "h0000000.bench.test"}
    running = []
    try:
        small = measure.Running(bench, GatehouseHosts(10), "pass", name="10 hosts")
        running.append(small)
        large = measure.Running(bench, GatehouseHosts(count), "pass", name=title, cpus=every_core)
        running.append(large)
        large.start_seconds = large.seconds_to_serve(bench, first)
        ready = {"gatehouse": large.start_seconds}
        size = {"gatehouse": (large.program.pss_bytes() - small.program.pss_bytes()) / count}
        peak = large.program.peak_bytes() / count
        for peer in bench.programs:
            if peer.name == "haproxy":
                other = measure.Running(bench, HAProxyHosts(large.peer), "pass", cpus=every_core)
                ready["haproxy"] = other.seconds_to_serve(bench, first)
                size["haproxy"] = other.program.pss_bytes() / count
                other.stop()
        yield start_of(bench, f"{title}: ready to accept", "s", scenarios.under(3), ready)
        memory = start_of(bench, f"{title}: memory", "bytes/host", scenarios.under(250), size)
        memory.name = "hosts-memory"
        memory.notes.append(f"at its peak while it started: {peak:.0f} bytes/host")
        yield memory
        large.program.pin({bench.proxy_core})
        for what in ("hit", "miss", "wildcard"):
            yield measure_lookup(bench, what, small, large)
        large.program.pin(every_core)
        yield measure_reload(bench, large)
    finally:
        for each in running:
            each.stop()


class GatehouseCerts(peers.Gatehouse):
    def __init__(self, folder, count):
        self.folder = folder
        self.count = count

    def config(self, task):
        def host(number):
            return {
                "mode": "terminate",
                "cert": os.path.join(self.folder, f"{number:06}.crt"),
                "key": os.path.join(self.folder, f"{number:06}.key"),
                "backend": f"127.0.0.1:{task.backend}",
            }

        names = {f"h{number:07}.bench.test": host(number) for number in range(self.count)}
        return {**super().config(task), "hosts": names}


class HAProxyCerts(peers.HAProxy):
    def __init__(self, folder):
        self.folder = folder

    def bind(self, task):
        return f" ssl crt {os.path.join(self.folder, 'pem')}/"


def served_certificate(port, name):
    """DER of what is served to a client that asks for the name."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        with context.wrap_socket(connection, server_hostname=name) as tls:
            return tls.getpeercert(binary_form=True)


def replace_pair(bench, folder, number):
    """A new key and certificate for one host, put in place as an editor would."""
    beside = os.path.join(folder, "new")
    os.makedirs(beside, exist_ok=True)
    bench.run_tool("makecerts", "one", beside, str(number))
    for kind in ("key", "crt"):
        name = f"{number:06}.{kind}"
        os.rename(os.path.join(beside, name), os.path.join(folder, name))
    with open(os.path.join(folder, f"{number:06}.crt")) as file:
        return ssl.PEM_cert_to_DER_cert(file.read())


def reload_certificate(bench, running, folder, number):
    name = f"h{number:07}.bench.test"
    wanted = replace_pair(bench, folder, number)
    started = time.monotonic()
    running.program.process.send_signal(signal.SIGHUP)
    machine.wait_for(
        lambda: served_certificate(running.port, name) == wanted, 60, "the old certificate stays"
    )
    return time.monotonic() - started


def certificates(bench, count):
    folder = os.path.join(bench.folder, "pairs")
    os.mkdir(folder)
    bench.run_tool("makecerts", "many", folder, str(count))
    every_core = machine.EVERY_CORE
    first = {"name": "h0000000.bench.test", "tls": "1.3"}
    ready = {}
    if any(peer.name == "haproxy" for peer in bench.programs):
        haproxy = measure.Running(bench, HAProxyCerts(folder), "terminate", cpus=every_core)
        ready["haproxy"] = haproxy.seconds_to_serve(bench, first)
        haproxy.stop()
    gatehouse = measure.Running(bench, GatehouseCerts(folder, count), "terminate", cpus=every_core)
    try:
        ready["gatehouse"] = gatehouse.seconds_to_serve(bench, first)
        yield Outcome(
            "certs-start",
            f"{count:,} certificate pairs: ready to accept",
            "s",
            [scenarios.beside("haproxy", 0.25)],
            {name: series(name, [value]) for name, value in ready.items()},
        )
        numbers = [count // 2, count // 3, count - 1]
        reloads = [reload_certificate(bench, gatehouse, folder, number) for number in numbers]
    finally:
        gatehouse.stop()
    yield Outcome(
        "certs-reload",
        f"{count:,} certificate pairs: reload after one changed",
        "s",
        [scenarios.under(0.5)],
        {"gatehouse": series("gatehouse", reloads)},
    )


def two_workers(bench):
    """Two workers on two cores beside one on one; the load may use both cores each time."""
    every_core = machine.EVERY_CORE
    if len(every_core) < 2:
        return
    base = next(s for s in scenarios.SCENARIOS if s.name == "conn")
    scenario = dataclasses.replace(base, name="two-workers")
    one = measure.Running(bench, peers.GATEHOUSE, "pass", name="1 worker")
    two = measure.Running(bench, peers.GATEHOUSE, "pass", name="2 workers", cpus=every_core, workers=2)
    collected = {running.name: Series(running.name) for running in (one, two)}
    try:
        for _ in range(bench.rounds):
            for running in (one, two):
                found = measure.measure_cpu(bench, scenario, running, bench.share, every_core)
                collected[running.name].samples.append(found)
    finally:
        one.stop()
        two.stop()
    yield Outcome(
        scenario.name,
        "two workers on two cores beside one on one: a connection",
        scenario.unit,
        [scenarios.beside("1 worker", 1.10)],
        collected,
        subject="2 workers",
    )


class GatehouseRsa(peers.Gatehouse):
    """A signature costs the proxy ten times what it costs the client: one client is enough."""

    def host(self, task):
        pair = {"cert": task.cert("rsa.crt"), "key": task.cert("rsa.key")}
        return {**super().host(task), **pair}


def cost_of_answers(bench, running, options):
    """(ms of the proxy's time for an answer, ms that the slowest percent waited)"""
    load = measure.LoadClient(bench, running.port, options)
    try:
        before = running.program.settled_cpu_ns()
        result = load.go()
        used = running.program.settled_cpu_ns() - before
    finally:
        load.stop()
    return used / 1e6 / result["units"], result["p99_us"] / 1000


def wait_beside_burst(bench, running, burst, chat):
    """ms that the slowest percent of messages took while all of a burst connected at once."""
    beside = measure.LoadClient(bench, running.port, chat)
    crowd = measure.LoadClient(bench, running.port, burst)
    try:
        crowd.start()
        beside.start()
        wait = beside.result()["p99_us"] / 1000
        crowd.result()
    finally:
        crowd.stop()
        beside.stop()
    return wait


def overload(bench):
    """New connections at twice the rate that one core can take; or all at once, beside others.

    A core that is full at work gives answers as fast as each takes of its time: that is what is
    compared, and not the rate of a machine that does other things too."""
    tls = {"tls": "1.3", "rsa": True}
    chat = {**tls, "connections": 8, "flows": 8, "send": 100, "receive": 100}
    running = measure.Running(bench, GatehouseRsa(), "terminate")
    peak, answers, waits, beside = [], [], [], []
    try:
        cost_of_answers(bench, running, {**tls, "connections": 64})
        for _ in range(min(bench.rounds, 3)):
            steady = {**tls, "connections": int(800 * bench.share), "flows": 16}
            peak.append(cost_of_answers(bench, running, steady)[0])
            rate = int(2000 / peak[-1])
            crowd = {**tls, "connections": 2 * rate, "flows": 2 * rate}
            cost, wait = cost_of_answers(bench, running, {**crowd, "rate": rate})
            answers.append(cost)
            waits.append(wait)
            beside.append(wait_beside_burst(bench, running, crowd, {**chat, "rounds": 400}))
    finally:
        running.stop()
    outcome = Outcome(
        "overload",
        "new connections at twice the capacity: the proxy's time for a good answer",
        "ms CPU/answer",
        [scenarios.beside("at capacity", 1 / 0.9)],
        {"at twice": series("at twice", answers), "at capacity": series("at capacity", peak)},
        subject="at twice",
    )
    outcome.notes.append(f"none failed; p99 of the wait for an answer {max(waits):,.0f} ms")
    yield outcome
    yield Outcome(
        "overload-others",
        "a message on a connection that stands, beside a burst of new ones: p99",
        "ms",
        [scenarios.under(50)],
        {"gatehouse": series("gatehouse", beside)},
    )


TABLES = {
    "hosts-1m": lambda bench: hosts(bench, 1_000_000),
    "certs-10k": lambda bench: certificates(bench, 10_000),
    "two-workers": two_workers,
    "overload": overload,
}
