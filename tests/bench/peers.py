"""The programs that are measured: how each is configured and started for a task."""

import dataclasses
import json
import os
import shutil

HOST = "app.bench.test"
BACKLOG = 4096


@dataclasses.dataclass
class Task:
    """What a proxy has to do: kind is pass, plaintext (ssh and http beside TLS), terminate or mtls."""

    kind: str
    port: int
    backend: int
    folder: str
    certs: str
    build: str
    is_bulk: bool = False
    workers: int = 1

    def write(self, name, text):
        path = os.path.join(self.folder, name)
        with open(path, "w") as file:
            file.write(text)
        return path

    def cert(self, name):
        return os.path.join(self.certs, name)


@dataclasses.dataclass
class Launch:
    argv: list
    env: dict = dataclasses.field(default_factory=dict)


class Peer:
    name = ""
    package = ""
    binary = ""
    kinds = ()
    max_held = 4000
    is_tuned = False  # beyond its usual fast settings, for bulk: shown, but no target is set by it
    forks_per_connection = False

    def find(self, build):
        """The path of the program, or None."""
        del build
        return shutil.which(self.binary, path="/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin")

    def launch(self, task):
        raise NotImplementedError


def openssl_env(task):
    """OpenSSL's own configuration sets the ticket count where a peer has no option for it: one
    ticket, and none where a client certificate is asked for, as gatehouse does it."""
    tickets = 0 if task.kind == "mtls" else 1
    path = task.write(
        "openssl.cnf",
        "openssl_conf = all\n[all]\nssl_conf = ssl\n[ssl]\nsystem_default = defaults\n"
        f"[defaults]\nNumTickets = {tickets}\nMinProtocol = TLSv1.2\n",
    )
    return {"OPENSSL_CONF": path}


class Gatehouse(Peer):
    name = "gatehouse"
    kinds = ("pass", "plaintext", "terminate", "mtls")

    def find(self, build):
        path = os.path.join(build, "gatehouse")
        return path if os.access(path, os.X_OK) else None

    def host(self, task):
        host = {"mode": "passthrough", "backend": f"127.0.0.1:{task.backend}"}
        if task.kind in ("terminate", "mtls"):
            host["mode"] = "terminate"
            host["cert"] = task.cert("server.crt")
            host["key"] = task.cert("server.key")
        if task.kind == "mtls":
            host["client_auth"] = "required"
            host["ca"] = task.cert("ca.crt")
            host["acl"] = {"allow_cn": ["bench-client"]}
        return host

    def listener(self, task):
        address = f"127.0.0.1:{task.port}"
        if task.kind != "plaintext":
            return address
        backend = f"127.0.0.1:{task.backend}"
        return {"address": address, "plaintext": {"http": backend, "ssh": backend}}

    def config(self, task):
        return {
            "listen": self.listener(task),
            "workers": task.workers,
            "hosts": {HOST: self.host(task)},
            "proxy": {"hello_timeout": "10m", "idle_timeout": "1h"},
            "logging": {"level": "error"},
        }

    def launch(self, task):
        path = task.write("gatehouse.json", json.dumps(self.config(task), indent=1))
        return Launch([self.find(task.build), "-c", path])


class Floor(Peer):
    """The bare program: no routing, no limits, only the system calls. Bulk goes by splice."""

    name = "floor"
    kinds = ("pass",)

    def find(self, build):
        return os.path.join(build, "bench", "floor")

    def launch(self, task):
        how = "splice" if task.is_bulk else "copy"
        return Launch([self.find(task.build), how, str(task.port), str(task.backend)])


class TlsFloor(Floor):
    """The bare program that terminates TLS."""

    kinds = ("terminate", "mtls")

    def find(self, build):
        return os.path.join(build, "bench", "floor_tls")

    def launch(self, task):
        argv = [self.find(task.build), str(task.port), str(task.backend)]
        argv += [task.cert("server.crt"), task.cert("server.key")]
        return Launch(argv + ([task.cert("ca.crt")] if task.kind == "mtls" else []))


class HAProxy(Peer):
    name = "haproxy"
    package = "haproxy"
    binary = "haproxy"
    kinds = ("pass", "terminate", "mtls")
    pipes = ""
    splice = "  option splice-auto\n"

    def bind(self, task):
        if task.kind == "pass":
            return ""
        tls = f" ssl crt {task.cert('server.pem')}"
        if task.kind == "mtls":
            tls += f" ca-file {task.cert('ca.crt')} verify required"
        return tls

    def rules(self, task):
        if task.kind == "pass":
            return (
                "  tcp-request inspect-delay 600s\n"
                "  tcp-request content accept if { req.ssl_hello_type 1 }\n"
                f"  use_backend app if {{ req.ssl_sni -i {HOST} }}\n"
            )
        if task.kind == "mtls":
            return (
                "  tcp-request content reject unless { ssl_c_s_dn(cn) -m str bench-client }\n"
                "  default_backend app\n"
            )
        return "  default_backend app\n"

    def launch(self, task):
        path = task.write(
            "haproxy.cfg",
            "global\n"
            "  nbthread 1\n"
            "  maxconn 6000\n"
            "  maxpipes 1000\n"
            f"{self.pipes}"
            "  ssl-default-bind-curves X25519:P-256\n"
            "  ssl-default-bind-options ssl-min-ver TLSv1.2\n"
            "defaults\n"
            "  mode tcp\n"
            f"{self.splice}"
            "  option tcp-smart-connect\n"
            "  backlog 4096\n"
            "  timeout client 1h\n"
            "  timeout server 1h\n"
            "  timeout connect 10s\n"
            "frontend all\n"
            f"  bind 127.0.0.1:{task.port}{self.bind(task)}\n"
            f"{self.rules(task)}"
            "backend app\n"
            f"  server one 127.0.0.1:{task.backend}\n",
        )
        return Launch([self.find(task.build), "-db", "-f", path], openssl_env(task))


class HAProxyTuned(HAProxy):
    """Splice always, not when HAProxy thinks that it pays, and through pipes of 1 MiB."""

    name = "haproxy-tuned"
    kinds = ("pass",)
    is_tuned = True
    pipes = "  tune.pipesize 1048576\n"
    splice = "  option splice-request\n  option splice-response\n"


class Nginx(Peer):
    name = "nginx"
    package = "nginx libnginx-mod-stream"
    binary = "nginx"
    kinds = ("pass", "terminate", "mtls")
    buffer_size = ""
    module = "/usr/lib/nginx/modules/ngx_stream_module.so"

    def find(self, build):
        return super().find(build) if os.path.exists(self.module) else None

    def server(self, task):
        if task.kind == "pass":
            return (
                f"  map $ssl_preread_server_name $backend {{ {HOST} 127.0.0.1:{task.backend}; }}\n"
                f"  server {{ listen 127.0.0.1:{task.port} backlog={BACKLOG};\n"
                "    ssl_preread on; preread_timeout 600s; proxy_pass $backend;\n  }\n"
            )
        tls = (
            f"    ssl_certificate {task.cert('server.crt')};\n"
            f"    ssl_certificate_key {task.cert('server.key')};\n"
            "    ssl_protocols TLSv1.2 TLSv1.3; ssl_ecdh_curve X25519:P-256;\n"
            f"    proxy_pass {'$backend' if task.kind == 'mtls' else f'127.0.0.1:{task.backend}'};\n"
        )
        before = ""
        if task.kind == "mtls":
            tls += (
                f"    ssl_verify_client on; ssl_client_certificate {task.cert('ca.crt')};\n"
                "    ssl_session_tickets off;\n"
            )
            before = (
                "  map $ssl_client_s_dn $backend "
                f"{{ CN=bench-client 127.0.0.1:{task.backend}; }}\n"
            )
        listen = f"listen 127.0.0.1:{task.port} ssl backlog={BACKLOG};"
        return f"{before}  server {{ {listen}\n{tls}  }}\n"

    def launch(self, task):
        path = task.write(
            "nginx.conf",
            f"load_module {self.module};\n"
            "daemon off;\n"
            f"{'user root;' if os.getuid() == 0 else ''}\n"
            "worker_processes 1;\n"
            "worker_rlimit_nofile 20000;\n"
            "error_log stderr crit;\n"
            f"pid {task.folder}/nginx.pid;\n"
            "events { worker_connections 19000; multi_accept on; }\n"
            "stream {\n"
            "  tcp_nodelay on; proxy_timeout 1h;\n"
            f"{self.buffer_size}"
            f"{self.server(task)}"
            "}\n",
        )
        argv = [self.find(task.build), "-c", path, "-p", task.folder, "-e", "stderr"]
        return Launch(argv, openssl_env(task))


class NginxTuned(Nginx):
    """Copies through 256 KiB at a time, which it then holds twice for each connection."""

    name = "nginx-tuned"
    kinds = ("pass",)
    is_tuned = True
    buffer_size = "  proxy_buffer_size 256k;\n"


class Hitch(Peer):
    name = "hitch"
    package = "hitch"
    binary = "hitch"
    kinds = ("terminate", "mtls")

    def launch(self, task):
        verify = ""
        if task.kind == "mtls":
            verify = f'client-verify = required\nclient-verify-ca = "{task.cert("ca.crt")}"\n'
        user = 'user = "nobody"\n' if os.getuid() == 0 else ""
        path = task.write(
            "hitch.conf",
            f"{user}"
            f'frontend = "[127.0.0.1]:{task.port}"\n'
            f'backend = "[127.0.0.1]:{task.backend}"\n'
            f'pem-file = "{task.cert("server.pem")}"\n'
            "workers = 1\n"
            f"backlog = {BACKLOG}\n"
            'ciphers = "ECDHE-ECDSA-AES128-GCM-SHA256"\n'
            'ciphersuites = "TLS_AES_128_GCM_SHA256"\n'
            "tls-protos = TLSv1.2 TLSv1.3\n"
            'ecdh-curve = "X25519:P-256"\n'
            'ocsp-dir = ""\n'
            "daemon = off\nquiet = on\nsyslog = off\nlog-level = 0\n"
            f"{verify}",
        )
        return Launch([self.find(task.build), f"--config={path}"], openssl_env(task))


class Stunnel(Peer):
    """A thread for each connection: there is no other way to run it."""

    name = "stunnel"
    package = "stunnel4"
    binary = "stunnel4"
    kinds = ("terminate", "mtls")

    def launch(self, task):
        verify = ""
        if task.kind == "mtls":
            verify = f"verifyChain = yes\nCAfile = {task.cert('ca.crt')}\n"
        path = task.write(
            "stunnel.conf",
            "foreground = yes\ndebug = 0\nsyslog = no\npid =\n"
            "socket = l:TCP_NODELAY=1\nsocket = r:TCP_NODELAY=1\n"
            "[app]\n"
            f"accept = 127.0.0.1:{task.port}\n"
            f"connect = 127.0.0.1:{task.backend}\n"
            f"cert = {task.cert('server.crt')}\nkey = {task.cert('server.key')}\n"
            "sslVersionMin = TLSv1.2\ncurves = X25519:P-256\nTIMEOUTidle = 3600\n"
            f"{verify}",
        )
        return Launch([self.find(task.build), path], openssl_env(task))


class SniProxy(Peer):
    name = "sniproxy"
    package = "sniproxy"
    binary = "sniproxy"
    kinds = ("pass",)

    def launch(self, task):
        user = "user root\n" if os.getuid() == 0 else ""
        path = task.write(
            "sniproxy.conf",
            f"{user}"
            f"pidfile {task.folder}/sniproxy.pid\n"
            f"error_log {{\n filename {task.folder}/sniproxy.log\n priority alert\n}}\n"
            f"listen 127.0.0.1:{task.port} {{\n proto tls\n table hosts\n}}\n"
            f"table hosts {{\n ^app\\.bench\\.test$ 127.0.0.1:{task.backend}\n}}\n",
        )
        return Launch([self.find(task.build), "-f", "-c", path])


class Sslh(Peer):
    """A process for each connection. (sslh-select loses connections as soon as several are open.)"""

    name = "sslh"
    package = "sslh"
    binary = "sslh"
    kinds = ("pass", "plaintext")
    max_held = 200
    forks_per_connection = True

    def launch(self, task):
        user = "" if os.getuid() else 'user: "root";\n'
        plaintext = "".join(
            f'  {{ name: "{name}"; host: "127.0.0.1"; port: "{task.backend}"; log_level: 0; }},\n'
            for name in ("ssh", "http")
            if task.kind == "plaintext"
        )
        path = task.write(
            "sslh.cfg",
            "foreground: true;\nnumeric: true;\nverbose: 0;\ntimeout: 600;\n"
            f"{user}"
            f'pidfile: "{task.folder}/sslh.pid";\n'
            f'listen: ( {{ host: "127.0.0.1"; port: "{task.port}"; }} );\n'
            "protocols: (\n"
            f"{plaintext}"
            f'  {{ name: "tls"; host: "127.0.0.1"; port: "{task.backend}";'
            f' sni_hostnames: [ "{HOST}" ]; log_level: 0; }}\n'
            ");\n",
        )
        return Launch([self.find(task.build), "-F" + path])


GATEHOUSE = Gatehouse()
FLOOR = Floor()
TLS_FLOOR = TlsFloor()
PEERS = [
    HAProxy(),
    Nginx(),
    Hitch(),
    Stunnel(),
    SniProxy(),
    Sslh(),
    HAProxyTuned(),
    NginxTuned(),
]
