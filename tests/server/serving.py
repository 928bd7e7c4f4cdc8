"""A real `tidemark serve`, and what tests ask of it."""

import http.client
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import unittest

MEMORY = "/dev/shm"
TIDEMARK = None
BATCH = "application/vnd.tidemark.batch"


def environment():
    return {key: value for key, value in os.environ.items() if "TIDEMARK_" not in key}


class Answer:
    """Status, headers with lower-case names, body."""

    def __init__(self, status, headers, body):
        self.status = status
        self.headers = headers
        self.body = body

    def json(self):
        return json.loads(self.body)

    @property
    def code(self):
        return self.json()["errors"][0]["error"]["code"]


class Server:
    """The process; killed when the test ends."""

    def __init__(self, data, *arguments):
        self.process = subprocess.Popen(
            [TIDEMARK, "serve", "--data", str(data), "--listen", "127.0.0.1:0", *arguments],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment())
        self.ready = self.process.stdout.readline().decode()
        match = re.fullmatch(r"tidemark: serving (.*) on (http://127\.0\.0\.1:(\d+))\n", self.ready)
        if not match:
            raise AssertionError(f"{self.ready!r} {self.process.communicate()[1]!r}")
        self.url = match.group(2)
        self.port = int(match.group(3))

    def kill(self):
        self.process.kill()
        self.process.communicate()

    def stop(self, how=signal.SIGTERM):
        """Ends it cleanly; the exit code."""
        self.process.send_signal(how)
        self.process.communicate(timeout=30)
        return self.process.returncode

    def call(self, method, path, body=None, headers=None, timeout=30):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            connection.request(method, path, body=body, headers=headers or {})
            answer = connection.getresponse()
            named = {name.lower(): value for name, value in answer.getheaders()}
            return Answer(answer.status, named, answer.read())
        finally:
            connection.close()

    def raw(self, text):
        """Bytes as they are; the answer until the server closes."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as connection:
            connection.sendall(text.encode())
            received = b""
            while True:
                piece = connection.recv(65536)
                if not piece:
                    return received.decode()
                received += piece


class Device:
    """A client of the Sell protocol, as the published ones behave: a map, and acks page by page."""

    def __init__(self, server, name, token=None):
        self.server = server
        self.name = name
        self.headers = {"X-Basecrm-Device-UUID": name, "Accept": "application/json"}
        if token:
            self.headers["Authorization"] = "Bearer " + token
        self.records = {}

    def start(self, query="", body=None, timeout=90):
        return self.server.call("POST", "/v2/sync/start" + query, body=body, headers=self.headers, timeout=timeout)

    def page(self, session, query=""):
        return self.server.call("GET", f"/v2/sync/{session}/queues/main{query}", headers=self.headers)

    def ack(self, keys):
        body = json.dumps({"data": {"ack_keys": keys}})
        return self.server.call("POST", "/v2/sync/ack", body=body,
                                headers={**self.headers, "Content-Type": "application/json"})

    def apply(self, item):
        """The ack key of an item that was applied."""
        key = (item["meta"]["type"], str(item["data"]["id"]))
        if item["meta"]["sync"]["event_type"] == "deleted":
            self.records.pop(key, None)
        else:
            self.records[key] = item["data"]
        return item["meta"]["sync"]["ack_key"]

    def sync(self, acknowledge=True, query=""):
        """One whole sync; the event types in the order they came."""
        started = self.start()
        if started.status == 204:
            return []
        assert started.status == 201, started.body
        session = started.json()["data"]["id"]
        events = []
        while True:
            page = self.page(session, query)
            if page.status == 204:
                return events
            assert page.status == 200, page.body
            items = page.json()["items"]
            assert items
            keys = [self.apply(item) for item in items]
            events += [item["meta"]["sync"]["event_type"] for item in items]
            if acknowledge:
                assert self.ack(keys).status == 202


class ServerTest(unittest.TestCase):
    def setUp(self):
        parent = MEMORY if os.access(MEMORY, os.W_OK) else None
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="tidemark-server-", dir=parent))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.data = self.folder / "data"

    def serve(self, *arguments):
        server = Server(self.data, *arguments)
        self.addCleanup(server.kill)
        return server

    def run_tool(self, *arguments, stdin=b""):
        return subprocess.run([TIDEMARK, *map(str, arguments)], input=stdin, capture_output=True,
                              env=environment(), timeout=60, check=False)

    def token(self, role="reader", instance="default", device=None):
        """A new token and its short id."""
        arguments = ["token", "create", "--data", self.data, "--instance", instance, "--role", role]
        if device:
            arguments += ["--device", device]
        made = self.run_tool(*arguments, "--output", "json")
        self.assertEqual(made.returncode, 0, made.stderr)
        fields = json.loads(made.stdout)
        return fields["token"], fields["id"]

    def write(self, server, *changes, token=None):
        headers = {"Authorization": "Bearer " + token} if token else {}
        lines = "".join(json.dumps(change) + "\n" for change in changes)
        answer = server.call("POST", "/v1/changes", body=lines, headers=headers)
        self.assertEqual(answer.status, 200, answer.body)
        return answer.json()["data"]["sequence"]

    def put(self, server, entity, record, data, token=None):
        return self.write(server, {"op": "put", "entity": entity, "id": record, "data": data}, token=token)

    def delete(self, server, entity, record, token=None):
        return self.write(server, {"op": "delete", "entity": entity, "id": record}, token=token)

    def assert_error(self, answer, status, code):
        """The full envelope, as every client parses it."""
        self.assertEqual(answer.status, status, answer.body)
        self.assertIn("application/json", answer.headers["content-type"])
        body = answer.json()
        self.assertEqual(body["meta"]["type"], "errors")
        self.assertTrue(body["meta"]["http_status"].startswith(str(status) + " "), body)
        self.assertEqual(body["meta"]["logref"], answer.headers["x-request-id"])
        self.assertEqual(body["errors"][0]["error"]["code"], code, body)
        self.assertTrue(body["errors"][0]["error"]["message"])
