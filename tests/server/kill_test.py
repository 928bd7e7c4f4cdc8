#!/usr/bin/env python3
"""kill -9 of a real server in each phase of its work; what it answered before must be so afterwards.

usage: kill_test.py TIDEMARK [unittest arguments]

TIDEMARK_TEST_LONG=1 kills more often.
"""

import http.client
import http.server
import json
import os
import random
import sys
import threading
import time
import unittest

import serving
from serving import Device, ServerTest

ROUNDS = 25 if os.environ.get("TIDEMARK_TEST_LONG") == "1" else 2
GONE = (ConnectionError, http.client.HTTPException, TimeoutError)
SYNCS = "/v2/integrations-sync/instances/default/syncs"


class KillTest(ServerTest):
    def setUp(self):
        super().setUp()
        self.seed = random.randrange(2**32)
        self.random = random.Random(self.seed)
        self.server = self.serve()

    def run(self, result=None):
        before = len(result.failures) + len(result.errors) if result else 0
        super().run(result)
        if result and len(result.failures) + len(result.errors) > before:
            print(f"seed {self.seed}", file=sys.stderr)

    def killed_while(self, work):
        """Calls `work` again and again until the server is killed under it; then serves again."""
        def kill():
            time.sleep(self.random.uniform(0.02, 0.3))
            self.server.process.kill()

        killer = threading.Thread(target=kill)
        killer.start()
        try:
            while True:
                work()
        except GONE:
            pass
        killer.join()
        self.server.kill()
        self.server = self.serve()

    def records(self, entity):
        found, after = {}, ""
        while True:
            page = self.server.call("GET", f"/v1/entities/{entity}/records?limit=1000&after={after}").json()
            found.update((item["meta"]["id"], item["data"]) for item in page["items"])
            after = page["meta"]["next"]
            if after is None:
                return found

    def call(self, method, path, body=None, status=200):
        answer = self.server.call(method, path, body=body and json.dumps(body))
        self.assertEqual(answer.status, status, answer.body)
        return answer.json() if answer.body else None

    def test_changes_are_whole_and_stay(self):
        answered, sent = 0, 0

        def write():
            nonlocal answered, sent
            sent += 1
            lines = [{"op": "put", "entity": "lead", "id": i, "data": {"batch": sent}} for i in range(20)]
            self.write(self.server, *lines)
            answered = sent

        for _ in range(ROUNDS):
            self.killed_while(write)
            batches = {value["batch"] for value in self.records("lead").values()}
            self.assertEqual(len(batches), 1, "a batch is seen whole or not at all")
            self.assertIn(batches.pop(), (answered, sent))

    def test_a_device_converges_whatever_was_cut(self):
        """start, page, ack: each is cut somewhere; what was acknowledged never comes again."""
        lines = [{"op": "put", "entity": "lead", "id": i, "data": {"v": i}} for i in range(400)]
        self.write(self.server, *lines)
        device = Device(self.server, "d1")
        acknowledged = set()
        version = 0

        def sync():
            device.server = self.server
            started = device.start()
            if started.status == 204:
                change()
                return
            session = started.json()["data"]["id"]
            while (page := device.page(session, "?limit=20")).status == 200:
                items = page.json()["items"]
                for item in items:
                    known = (item["data"]["id"], item["meta"]["sync"]["revision"])
                    self.assertNotIn(known, acknowledged)
                keys = [device.apply(item) for item in items]
                self.assertEqual(device.ack(keys).status, 202)
                acknowledged.update((item["data"]["id"], item["meta"]["sync"]["revision"]) for item in items)

        def change():
            nonlocal version
            version += 1
            self.put(self.server, "lead", self.random.randrange(400), {"v": -version})

        for _ in range(3 * ROUNDS):
            self.killed_while(sync)
        device.server = self.server
        while device.sync():
            pass
        held = {key[1]: {"v": value["v"]} for key, value in device.records.items()}
        self.assertEqual(held, {str(name): value for name, value in self.records("lead").items()})

    def test_upload_pages_that_were_answered_are_kept(self):
        sync = self.call("POST", SYNCS, status=201)["data"]["sync_id"]
        base = "/v2/integrations-sync/syncs/" + sync
        hashes, number = {}, 0

        def upload():
            nonlocal number
            number += 1
            records = [{"id": f"u{number}-{i}", "email": "e@x.org"} for i in range(50)]
            page = {"entity_name": "users", "page_number": number, "records": records}
            hashes[number] = self.call("POST", base + "/snapshot-data", page)["data"]["hash"]

        for _ in range(ROUNDS):
            self.killed_while(upload)
            shown = self.call("GET", base + "?limit=1000")["data"]
            self.assertEqual(shown["state"], "started")
            kept = {page["page_number"]: page["hash"] for page in shown["pages"]}
            self.assertEqual({key: kept.get(key) for key in hashes}, hashes)
            self.assertLessEqual(len(kept), number)
        expected = len(self.call("GET", base + "?limit=1000")["data"]["pages"])
        finished = self.call("PUT", base + "/finish", {"expected_pages": {"users": expected}})
        self.assertEqual(finished["data"]["entities"]["users"]["created"], 50 * expected)

    def test_a_finish_is_seen_whole_or_not_at_all(self):
        generation, before = 0, {}
        wanted = {}

        def replace():
            nonlocal generation, before, wanted
            generation += 1
            sync = self.call("POST", SYNCS, {"force": True}, status=201)["data"]["sync_id"]
            base = "/v2/integrations-sync/syncs/" + sync
            wanted = {f"u{i}": generation for i in range(generation % 3, 600, 2)}
            records = [{"id": name, "email": "e@x.org", "generation": generation} for name in wanted]
            self.call("POST", base + "/snapshot-data",
                      {"entity_name": "users", "page_number": 1, "records": records})
            self.call("PUT", base + "/finish")
            before = wanted

        for _ in range(2 * ROUNDS):
            self.killed_while(replace)
            now = {name: value["generation"] for name, value in self.records("users").items()}
            self.assertIn(now, (before, wanted))
            before = now
            active = self.call("GET", SYNCS)["meta"]["active"]
            if active:
                shown = self.call("GET", "/v2/integrations-sync/syncs/" + active)["data"]
                self.assertEqual(shown["state"], "started", "nothing runs, so nothing is processing")

    def test_outcomes_reach_the_webhook_in_order(self):
        taken = []

        class Receiver(http.server.BaseHTTPRequestHandler):
            def do_POST(self):  # noqa: N802: the name is the library's
                self.rfile.read(int(self.headers["Content-Length"]))
                taken.append(self.headers["X-Tidemark-Delivery"])
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_):
                pass

        receiver = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
        threading.Thread(target=receiver.serve_forever, daemon=True).start()
        self.addCleanup(receiver.server_close)
        self.addCleanup(receiver.shutdown)
        configuration = self.folder / "server.toml"
        configuration.write_text(
            f'webhook_url = "http://127.0.0.1:{receiver.server_port}/"\nwebhook_secret = "s"\n')
        serve = self.serve
        self.serve = lambda: serve("--config", str(configuration))
        self.server.stop()
        self.server = self.serve()
        told = []

        def abort():
            sync = self.call("POST", SYNCS, {"force": True}, status=201)["data"]["sync_id"]
            self.call("PUT", f"/v2/integrations-sync/syncs/{sync}/abort")
            told.append(sync + "-aborted")

        for _ in range(ROUNDS):
            self.killed_while(abort)
        deadline = time.monotonic() + 30
        while not set(told) <= set(taken) and time.monotonic() < deadline:
            time.sleep(0.05)
        missing = [index for index, delivery in enumerate(told) if delivery not in taken]
        self.assertEqual(missing, [], f"of {len(told)}")
        first_time = [delivery for delivery in dict.fromkeys(taken) if delivery in told]
        self.assertEqual(first_time, told)


if __name__ == "__main__":
    serving.TIDEMARK = sys.argv[1]
    unittest.main(argv=[sys.argv[0], *sys.argv[2:]])
