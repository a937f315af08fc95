"""The command-line tool where there is nothing but it: a root folder with this one program, a network namespace with a DNS
server of the test's on port 53. Needs ENCLAYER_BUILD_DIR (what was built), and root or user namespaces, without which it
is skipped.
"""

import fcntl
import http.server
import os
import shutil
import socket
import socketserver
import ssl
import struct
import subprocess
import sys
import tempfile
import threading
import unittest
from pathlib import Path

BUILD = Path(os.environ["ENCLAYER_BUILD_DIR"])
ADDRESSES = {"pccs.test": "127.0.0.1", "short.site.test": "127.0.0.1"}  # what DNS knows
AUTHORITIES = ("etc/ssl/certs/ca-certificates.crt", "etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", "etc/ssl/ca-bundle.pem")
APART = "ENCLAYER_TEST_APART"  # set in the network namespace


def unshare():
    return ["unshare", "--net", *([] if os.geteuid() == 0 else ["--user", "--map-root-user"])]


def loopback_up():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        name_and_flags = struct.pack("16sH14x", b"lo", 0x1 | 0x40)  # IFF_UP | IFF_RUNNING
        fcntl.ioctl(any_socket, 0x8914, name_and_flags)  # SIOCSIFFLAGS


class Dns(socketserver.BaseRequestHandler):
    """A records of ADDRESSES; no other kinds, no other names. RFC 1035, section 4."""

    def handle(self):
        question, sender = self.request
        end, labels = 12, []
        while length := question[end]:
            labels.append(question[end + 1 : end + 1 + length].decode())
            end += 1 + length
        name, (kind,) = ".".join(labels).lower(), struct.unpack_from("!H", question, end + 1)
        self.server.asked.append(name)
        address = ADDRESSES.get(name)
        answers = b"\xc0\x0c" + struct.pack("!HHIH", 1, 1, 60, 4) + socket.inet_aton(address) if address and kind == 1 else b""
        header = question[:2] + struct.pack("!HHHHH", 0x8580 | (0 if address else 3), 1, int(bool(answers)), 0, 0)
        sender.sendto(header + question[12 : end + 5] + answers, self.client_address)


class Unknown(http.server.BaseHTTPRequestHandler):
    """A provisioning service that knows no platform."""

    def do_GET(self):
        self.send_response(404)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


def served(server):
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


class Static(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        loopback_up()
        cls.dns = served(socketserver.ThreadingUDPServer(("127.0.0.1", 53), Dns))
        cls.dns.asked = []
        cls.http = served(http.server.ThreadingHTTPServer(("127.0.0.1", 0), Unknown))

    @classmethod
    def tearDownClass(cls):
        for server in (cls.dns, cls.http):
            server.shutdown()
            server.server_close()

    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.root = Path(temporary.name)
        shutil.copy(BUILD / "bin/enclayer", self.root / "enclayer")
        self.write("etc/resolv.conf", "nameserver 127.0.0.1\nsearch site.test\noptions attempts:1 timeout:5\n")
        self.dns.asked.clear()

    def write(self, name, text):
        (self.root / name).parent.mkdir(parents=True, exist_ok=True)
        (self.root / name).write_text(text)

    def run_in_root(self, *argv):
        def enter():
            os.chroot(self.root)
            os.chdir("/")

        return subprocess.run(["/enclayer", *argv], capture_output=True, text=True, env={}, preexec_fn=enter, timeout=60)

    def fetch(self, url):
        return self.run_in_root("collateral", "fetch", "--fmspc", "00606a000000", "--ca", "platform", "--no-cache", "--timeout", "20", "--pccs", url)

    def finds(self, host):
        said = self.fetch(f"http://{host}:{self.http.server_port}")
        self.assertEqual(said.returncode, 3, said.stderr)  # it was asked, and does not know the platform
        self.assertIn("404", said.stderr)

    def test_it_needs_no_file_to_run(self):
        said = self.run_in_root("--version")
        self.assertEqual((said.returncode, said.stdout.split()[0]), (0, "enclayer"), said.stderr)
        segments = subprocess.run(["readelf", "-lW", self.root / "enclayer"], capture_output=True, text=True, check=True).stdout
        self.assertNotIn("INTERP", segments)

    def test_names_are_found_by_dns(self):
        self.finds("pccs.test")
        self.assertIn("pccs.test", self.dns.asked)
        self.finds("short")  # in the domain of resolv.conf
        said = self.fetch("http://nobody.test")
        self.assertEqual(said.returncode, 4, said.stderr)
        self.assertRegex(said.stderr, "(?i)nobody.test.*host not found")

    def test_names_are_found_in_the_file_of_hosts_first(self):
        self.write("etc/hosts", "127.0.0.1 localhost beside.test\n")
        self.finds("beside.test")
        self.assertEqual(self.dns.asked, [])

    def test_no_shared_library_is_looked_for_whatever_the_machine_is_set_to(self):
        """Libraries and settings that nobody ever writes to: who opens one waits for ever."""
        for module in ("resolve", "mdns4_minimal", "dns", "files", "compat"):
            for folder in ("lib", "usr/lib", "lib64", "lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu"):
                (self.root / folder).mkdir(parents=True, exist_ok=True)
                os.mkfifo(self.root / folder / f"libnss_{module}.so.2")
        self.write("etc/nsswitch.conf", "hosts: mdns4_minimal [NOTFOUND=return] resolve\npasswd: compat\n")
        self.finds("pccs.test")
        (self.root / "usr/lib/ssl").mkdir()
        os.mkfifo(self.root / "usr/lib/ssl/openssl.cnf")
        said = self.fetch(f"https://pccs.test:{self.http.server_port}")  # which speaks no TLS
        self.assertEqual(said.returncode, 4, said.stderr)

    @unittest.skipUnless(shutil.which("openssl"), "openssl is not here")
    def test_the_authorities_of_other_distributions_are_found(self):
        key, certificate = self.root / "key.pem", self.root / "certificate.pem"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=test",
                        "-addext", "subjectAltName=DNS:pccs.test", "-keyout", key, "-out", certificate], check=True, capture_output=True)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Unknown)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        url = f"https://pccs.test:{served(server).server_port}"
        self.assertIn("certificate is refused", self.fetch(url).stderr)
        for path in AUTHORITIES:
            with self.subTest(path):
                self.write(path, certificate.read_text())
                said = self.fetch(url)
                self.assertEqual((said.returncode, "404" in said.stderr), (3, True), said.stderr)
                (self.root / path).unlink()


if __name__ == "__main__":
    if APART not in os.environ:
        if subprocess.run([*unshare(), "true"], capture_output=True).returncode != 0:
            print("skipped: neither root nor user namespaces are to be had here")
            sys.exit(77)
        os.environ[APART] = "1"
        os.execvp("unshare", [*unshare(), sys.executable, *sys.argv])
    unittest.main()
