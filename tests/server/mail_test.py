#!/usr/bin/env python3
"""Outcomes of upload syncs reach people: a real server mails through a real SMTP sink on loopback.

usage: mail_test.py TIDEMARK [unittest arguments]
"""

import email
import email.policy
import json
import ssl
import subprocess
import sys
import threading
import unittest

try:
    from aiosmtpd.controller import Controller
    from aiosmtpd.smtp import AuthResult
except ModuleNotFoundError:
    print("SKIPPED: python3-aiosmtpd is not installed; tools/install_packages does it", file=sys.stderr)
    sys.exit(77)

import serving
from serving import ServerTest


class Sink:
    """Takes mails, or refuses the first few."""

    def __init__(self, refuse=0):
        self.arrived = threading.Condition()
        self.refuse = refuse
        self.attempts = 0
        self.mails = []
        self.logins = []

    async def handle_DATA(self, server, session, envelope):  # noqa: N802: the name is the library's
        with self.arrived:
            self.attempts += 1
            self.arrived.notify_all()
            if self.attempts <= self.refuse:
                return "451 not now"
            message = email.message_from_bytes(envelope.content, policy=email.policy.default)
            self.mails.append((envelope.mail_from, envelope.rcpt_tos, message, session.ssl is not None))
            return "250 taken"

    def wait(self, count):
        with self.arrived:
            if not self.arrived.wait_for(lambda: len(self.mails) >= count, timeout=30):
                raise AssertionError(f"{len(self.mails)} mails of {count}, {self.attempts} attempts")
            return self.mails

    def authenticate(self, server, session, envelope, mechanism, data):
        self.logins.append((data.login, data.password))
        return AuthResult(success=data.password == b"s3cret")


class MailTest(ServerTest):
    def sink(self, sink, port=0, **options):
        controller = Controller(sink, hostname="127.0.0.1", port=port or free_port(), **options)
        controller.start()
        self.addCleanup(lambda: controller.loop.is_running() and controller.stop())
        return controller

    def configure(self, port, *lines):
        path = self.folder / "server.toml"
        path.write_text("\n".join([
            f'mail_url = "smtp://127.0.0.1:{port}"', 'mail_from = "tidemark@example.org"',
            'mail_to = ["ada@example.org", "bob@example.org"]', 'public_url = "https://sync.example.org"',
            *lines]) + "\n")
        return str(path)

    def upload(self, server, records):
        started = server.call("POST", "/v2/integrations-sync/instances/default/syncs")
        self.assertEqual(started.status, 201, started.body)
        sync = started.json()["data"]["sync_id"]
        page = json.dumps({"entity_name": "users", "page_number": 1, "records": records})
        sent = server.call("POST", f"/v2/integrations-sync/syncs/{sync}/snapshot-data", body=page)
        self.assertEqual(sent.status, 200, sent.body)
        finished = server.call("PUT", f"/v2/integrations-sync/syncs/{sync}/finish")
        self.assertEqual(finished.status, 200, finished.body)
        return sync

    def test_an_outcome_is_told_in_words(self):
        sink = Sink()
        server = self.serve("--config", self.configure(self.sink(sink).port, "mail_tls = false"))
        sync = self.upload(server, [{"id": "u1", "email": "u1@x.org"}, {"id": "u2"}])
        ((sender, recipients, message, encrypted),) = sink.wait(1)
        self.assertEqual(sender, "tidemark@example.org")
        self.assertEqual(recipients, ["ada@example.org", "bob@example.org"])
        self.assertFalse(encrypted)
        self.assertIn("default", message["Subject"])
        self.assertIn("1 row rejected", message["Subject"])
        self.assertTrue(message["Message-ID"].startswith(f"<{sync}-"))
        text = message.get_content()
        self.assertIn(sync, text)
        self.assertIn(f"https://sync.example.org/v2/integrations-sync/syncs/{sync}/errors.csv", text)
        (counts,) = [line.split() for line in text.splitlines() if line.startswith("users ")]
        self.assertEqual(counts, ["users", "1", "0", "0", "0", "0", "1"])

    def test_what_is_refused_is_tried_again_in_order_also_after_a_crash(self):
        sink = Sink(refuse=2)
        controller = self.sink(sink)
        configuration = self.configure(controller.port, "mail_tls = false")
        server = self.serve("--config", configuration)
        first = self.upload(server, [{"id": "u1", "email": "u1@x.org"}])
        with sink.arrived:
            sink.arrived.wait_for(lambda: sink.attempts >= 1, timeout=30)
        server.kill()
        server = self.serve("--config", configuration)
        second = self.upload(server, [{"id": "u2", "email": "u2@x.org"}])
        mails = sink.wait(2)
        self.assertEqual([mail[2]["Message-ID"].split("-")[0] for mail in mails], ["<" + first, "<" + second])

    def test_starttls_and_a_login(self):
        key, certificate = self.folder / "key.pem", self.folder / "certificate.pem"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
                        "-nodes", "-keyout", key, "-out", certificate, "-days", "2", "-subj", "/CN=127.0.0.1",
                        "-addext", "subjectAltName=IP:127.0.0.1"], check=True, capture_output=True)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        sink = Sink()
        controller = self.sink(sink, tls_context=context, require_starttls=True, auth_required=True,
                               authenticator=sink.authenticate)
        server = self.serve("--config", self.configure(
            controller.port, 'mail_user = "tide"', 'mail_password = "s3cret"',
            f'mail_certificate_authority = "{certificate}"'))
        self.upload(server, [{"id": "u1", "email": "u1@x.org"}])
        ((_, _, _, encrypted),) = sink.wait(1)
        self.assertTrue(encrypted)
        self.assertEqual(sink.logins, [(b"tide", b"s3cret")])

    def test_without_tls_nothing_is_said(self):
        sink = Sink()
        server = self.serve("--config", self.configure(self.sink(sink).port))
        self.upload(server, [{"id": "u1", "email": "u1@x.org"}])
        line = b""
        while b"delivery" not in line:
            line = server.process.stderr.readline()
        self.assertIn("will be tried again", json.loads(line)["data"]["what"])
        self.assertEqual((sink.attempts, sink.mails), (0, []))


def free_port():
    with serving.socket.create_server(("127.0.0.1", 0)) as one:
        return one.getsockname()[1]


if __name__ == "__main__":
    serving.TIDEMARK = sys.argv[1]
    unittest.main(argv=[sys.argv[0], *sys.argv[2:]])
