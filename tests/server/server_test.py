#!/usr/bin/env python3
"""Runs the real server: the Sell wire as its public clients speak it, tokens, crashes.

usage: server_test.py TIDEMARK [unittest arguments]
"""

import json
import pathlib
import signal
import socket
import subprocess
import sys
import threading
import time
import unittest

import serving
from serving import BATCH, Device, ServerTest


class SellWireTest(ServerTest):
    def test_nothing_owed_is_204_without_a_body_or_a_type(self):
        server = self.serve()
        answer = Device(server, "d1").start()
        self.assertEqual(answer.status, 204)
        self.assertEqual(answer.body, b"")
        self.assertNotIn("content-type", answer.headers)
        self.assertIn("x-request-id", answer.headers)

    def test_a_session_as_java_reads_it(self):
        server = self.serve()
        self.put(server, "lead", 1, {"name": "A"})
        started = Device(server, "java").start()
        self.assertEqual(started.status, 201)
        self.assertIn("application/json", started.headers["content-type"])
        body = started.json()
        self.assertEqual(body["meta"]["type"], "sync_session")
        self.assertIsInstance(body["data"]["id"], str)
        (queue,) = body["data"]["queues"]
        self.assertEqual(queue["data"]["name"], "main")
        for field in ("pages", "total_count"):
            self.assertIs(type(queue["data"][field]), int)
            self.assertLess(queue["data"][field], 2**31)
        self.assertEqual(queue["data"]["total_count"], 1)
        self.assertEqual(queue["meta"]["type"], "sync_queue")

    def test_items(self):
        server = self.serve()
        self.put(server, "lead", 7, {"name": "A"})
        self.put(server, "contact", "x-1", {"id": "x-1", "name": "B"})
        self.put(server, "note", "n", [1, 2])
        self.put(server, "photo", "p", {"$base64": "AAEC"})
        device = Device(server, "d1")
        session = device.start().json()["data"]["id"]
        page = device.page(session)
        self.assertEqual(page.status, 200)
        body = page.json()
        self.assertEqual(body["meta"], {"type": "collection", "count": 4, "count_left": 0, "failed_objects": []})
        items = {item["meta"]["type"]: item for item in body["items"]}
        self.assertEqual(json.dumps(items["lead"]["data"]), '{"id": 7, "name": "A"}')
        self.assertEqual(items["lead"]["meta"]["id"], 7)
        self.assertEqual(items["contact"]["data"], {"id": "x-1", "name": "B"})
        self.assertEqual(items["contact"]["meta"]["id"], "x-1")
        self.assertEqual(items["note"]["data"], [1, 2])
        self.assertEqual(items["photo"]["data"], {"$base64": "AAEC"})
        for item in body["items"]:
            sync = item["meta"]["sync"]
            self.assertEqual(sync["event_type"], "created")
            self.assertIsInstance(sync["ack_key"], str)
            self.assertIs(type(sync["revision"]), int)
        self.assertEqual(device.page(session).status, 204)
        self.assertEqual(device.page(session).status, 204)

    def test_created_updated_deleted(self):
        server = self.serve()
        device = Device(server, "d1")
        self.put(server, "lead", 1, {"v": 1})
        self.assertEqual(device.sync(), ["created"])
        self.put(server, "lead", 1, {"v": 2})
        self.assertEqual(device.sync(), ["updated"])
        self.delete(server, "lead", 1)
        session = device.start().json()["data"]["id"]
        (item,) = device.page(session).json()["items"]
        self.assertEqual(item["data"], {"id": 1})
        self.assertEqual(item["meta"]["sync"]["event_type"], "deleted")
        device.ack([device.apply(item)])
        self.assertEqual(device.start().status, 204)
        self.assertEqual(device.records, {})

    def test_what_is_not_acknowledged_comes_again(self):
        server = self.serve()
        device = Device(server, "d1")
        for i in range(5):
            self.put(server, "lead", i, {"v": i})
        self.assertEqual(device.sync(acknowledge=False), ["created"] * 5)
        self.assertEqual(device.sync(), ["created"] * 5)
        self.assertEqual(device.sync(), [])

    def test_ack_is_202_without_a_body_or_a_type(self):
        server = self.serve()
        device = Device(server, "d1")
        for keys in ([], ["unknown"], ["forged.key", "User-1234-1"], ["x"] * 10_000):
            answer = device.ack(keys)
            self.assertEqual(answer.status, 202, keys[:3])
            self.assertEqual(answer.body, b"")
            self.assertNotIn("content-type", answer.headers)
        self.assert_error(device.ack(["x"] * 10_001), 422, "invalid_argument")

    def test_malformed_acks(self):
        server = self.serve()
        headers = {"X-Basecrm-Device-UUID": "d1"}
        for body, status, code in (("", 400, "malformed_json"), ("{", 400, "malformed_json"),
                                   ('{"data":{"ack_keys":[]}}x', 400, "malformed_json"),
                                   ('{"data":{},"data":{}}', 400, "malformed_json"),
                                   ('{"ack_keys":[]}', 422, "invalid_argument"),
                                   ("[]", 422, "invalid_argument"), ('{"data":[]}', 422, "invalid_argument"),
                                   ('{"data":{"ack_keys":"k"}}', 422, "invalid_argument"),
                                   ('{"data":{"ack_keys":[1]}}', 422, "invalid_argument")):
            self.assert_error(server.call("POST", "/v2/sync/ack", body=body, headers=headers), status, code)

    def test_an_ack_of_another_device_counts_for_nobody(self):
        server = self.serve()
        self.put(server, "lead", 1, {})
        one, two = Device(server, "one"), Device(server, "two")
        session = one.start().json()["data"]["id"]
        (item,) = one.page(session).json()["items"]
        two.start()
        self.assertEqual(two.ack([item["meta"]["sync"]["ack_key"]]).status, 202)
        self.assertEqual(two.sync(), ["created"])
        self.assertEqual(one.sync(), ["created"])

    def test_device_ids(self):
        server = self.serve()
        self.put(server, "lead", 1, {})
        for name in ("", "   ", "x" * 129):
            answer = server.call("POST", "/v2/sync/start", headers={"X-Basecrm-Device-UUID": name})
            self.assert_error(answer, 422, "invalid_argument")
        self.assert_error(server.call("POST", "/v2/sync/start"), 422, "invalid_argument")
        self.assertEqual(Device(server, "x" * 128).start().status, 201)

    def test_limits(self):
        server = self.serve()
        for i in range(150):
            self.put(server, "lead", i, {})
        device = Device(server, "d1")
        session = device.start().json()["data"]["id"]
        for bad in ("0", "1001", "-1", "x", ""):
            self.assert_error(device.page(session, "?limit=" + bad), 422, "invalid_argument")
        self.assertEqual(device.page(session, "?limit=1").json()["meta"]["count"], 1)
        page = device.page(session).json()
        self.assertEqual((page["meta"]["count"], page["meta"]["count_left"]), (100, 49))
        self.assertEqual(device.page(session, "?limit=1000").json()["meta"]["count"], 49)
        self.assertEqual(device.page(session).status, 204)

    def test_sessions_that_are_not_there_not_yours_or_not_the_newest(self):
        server = self.serve()
        self.put(server, "lead", 1, {})
        one, two = Device(server, "one"), Device(server, "two")
        first = one.start().json()["data"]["id"]
        unknown = one.page("unknown")
        self.assert_error(unknown, 404, "not_found")
        foreign = two.page(first)
        self.assert_error(foreign, 404, "not_found")
        self.assertEqual(foreign.json()["errors"], unknown.json()["errors"])
        self.assert_error(server.call("GET", f"/v2/sync/{first}/queues/other", headers=one.headers), 404, "not_found")
        second = one.start().json()["data"]["id"]
        self.assert_error(one.page(first), 409, "superseded")
        self.assertEqual(one.page(second).status, 200)

    def test_workers_share_a_session(self):
        server = self.serve()
        for i in range(60):
            self.put(server, "lead", i, {})
        device = Device(server, "d1")
        session = device.start().json()["data"]["id"]
        seen = []

        def work():
            while True:
                page = device.page(session, "?limit=3")
                if page.status == 204:
                    return
                seen.extend(item["data"]["id"] for item in page.json()["items"])

        workers = [threading.Thread(target=work) for _ in range(4)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        self.assertEqual(sorted(seen), list(range(60)))

    def test_pages_stay_below_four_mebibytes(self):
        server = self.serve()
        for i in range(12):
            self.put(server, "big", i, {"text": "x" * 900_000})
        device = Device(server, "d1")
        session = device.start().json()["data"]["id"]
        records = 0
        while (page := device.page(session, "?limit=1000")).status == 200:
            self.assertLessEqual(len(page.body), 4 * 1024 * 1024)
            records += page.json()["meta"]["count"]
        self.assertEqual(records, 12)


class ClientsTest(ServerTest):
    """Requests byte by byte as the public clients send them."""

    def exchange(self, server, *lines):
        head, _, body = server.raw("\r\n".join(lines) + "\r\n\r\n").partition("\r\n\r\n")
        return int(head.split(" ")[1]), head.lower(), body

    def test_php_sends_no_content_length(self):
        server = self.serve()
        self.put(server, "lead", 1, {})
        status, head, body = self.exchange(
            server, "POST /v2/sync/start HTTP/1.1", "Host: 127.0.0.1", "User-Agent: BaseCRM/v2 PHP/1.4.4",
            "Accept: application/json", "Authorization: Bearer " + "t" * 64, "X-Basecrm-Device-UUID: php",
            "Connection: close")
        self.assertEqual(status, 201, body)
        self.assertIn("content-type: application/json", head)

    def test_ruby_sends_a_form_type_and_recases_the_device(self):
        server = self.serve()
        self.put(server, "lead", 1, {})
        status, _, body = self.exchange(
            server, "POST /v2/sync/start HTTP/1.1", "Host: 127.0.0.1", "Content-Type: application/x-www-form-urlencoded",
            "Content-Length: 0", "X-Basecrm-Device-Uuid: ruby", "X-Client-Type: api",
            "Accept-Encoding: gzip;q=1.0,deflate;q=0.6,identity;q=0.3", "Connection: close")
        self.assertEqual(status, 201, body)

    def test_ruby_repeats_a_get_and_the_lost_page_comes_in_the_next_session(self):
        server = self.serve()
        self.put(server, "lead", 1, {})
        device = Device(server, "ruby")
        session = device.start().json()["data"]["id"]
        device.page(session)  # lost on its way
        self.assertEqual(device.page(session).status, 204)
        self.assertEqual(device.sync(), ["created"])

    def test_python_sends_an_empty_list_and_a_trailing_slash(self):
        server = self.serve()
        device = Device(server, "python")
        self.assertEqual(device.ack([]).status, 202)
        status, _, _ = self.exchange(
            server, "POST //v2/sync/start HTTP/1.1", "Host: 127.0.0.1", "Content-Length: 0",
            "X-Basecrm-Device-UUID: python", "Connection: close")
        self.assertEqual(status, 204)

    def test_errors_carry_the_envelope_everywhere(self):
        server = self.serve()
        self.assert_error(server.call("GET", "/v2/nothing"), 404, "not_found")
        self.assert_error(server.call("GET", "/v2//sync/start"), 404, "not_found")
        answer = server.call("GET", "/v2/sync/start")
        self.assert_error(answer, 405, "method_not_allowed")
        self.assertEqual(answer.headers["allow"], "POST")


class BatchWireTest(ServerTest):
    def test_a_page_token_acknowledges_exactly_that_page(self):
        server = self.serve()
        for i in range(5):
            self.put(server, "lead", i, {})
        device = Device(server, "native")
        device.headers["Accept"] = BATCH
        session = device.start().json()["data"]["id"]
        first = device.page(session, "?limit=2")
        self.assertEqual(first.headers["content-type"], BATCH)
        self.assertEqual(first.headers["x-tidemark-left"], "3")
        self.assertEqual(device.ack([first.headers["x-tidemark-page"]]).status, 202)
        self.assertEqual(device.start().json()["data"]["queues"][0]["data"]["total_count"], 3)

    def test_pull_from_a_server(self):
        server = self.serve()
        for i in range(250):
            self.put(server, "lead", i, {"v": i})
        self.put(server, "photo", "p", {"$base64": "AAEC"})
        pull = ["pull", "--server", server.url, "--replica", self.folder / "r", "--device", "t7"]
        done = self.run_tool(*pull, "--output", "json")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(json.loads(done.stdout)["created"], 251)
        self.delete(server, "lead", 3)
        done = self.run_tool(*pull, "--output", "json")
        self.assertEqual(json.loads(done.stdout)["deleted"], 1)
        self.assertTrue(json.loads(self.run_tool(*pull, "--output", "json").stdout)["nothing_owed"])
        server.stop()
        self.assertEqual(self.run_tool(*pull).returncode, 6)
        self.compare(250)

    def compare(self, records):
        """Source and replica export the same."""
        def export(data):
            lines = self.run_tool("export", "--data", data).stdout.decode().splitlines()
            return sorted((line["entity"], str(line["id"]), json.dumps(line["data"]))
                          for line in map(json.loads, lines))

        source = export(self.data)
        self.assertEqual(len(source), records)
        self.assertEqual(export(self.folder / "r"), source)

    def test_killed_in_mid_drain_nothing_is_lost_or_repeated(self):
        server = self.serve()
        lines = [{"op": "put", "entity": "lead", "id": i, "data": {"v": "x" * 2000}} for i in range(4000)]
        for begin in range(0, len(lines), 1000):
            self.write(server, *lines[begin:begin + 1000])
        pull = [serving.TIDEMARK, "pull", "--replica", str(self.folder / "r"), "--device", "t7", "--output", "json"]
        for attempt in range(3):
            process = serving.subprocess.Popen(
                [*pull, "--server", server.url], stdout=serving.subprocess.PIPE,
                stderr=serving.subprocess.PIPE, env=serving.environment())
            time.sleep(0.03 * (attempt + 1))
            server.kill()
            process.communicate(timeout=30)
            self.assertIn(process.returncode, (0, 6))
            server = self.serve()
        last = self.run_tool(*pull[1:], "--server", server.url)
        self.assertEqual(last.returncode, 0, last.stderr)
        self.assertTrue(json.loads(self.run_tool(*pull[1:], "--server", server.url).stdout)["nothing_owed"])
        server.stop()
        self.compare(4000)

    def test_17_and_18_a_wiped_or_restored_device_is_recognised(self):
        server = self.serve()
        self.put(server, "lead", 1, {"v": 1})
        pull = ["pull", "--server", server.url, "--device", "t7", "--output", "json", "--replica"]
        self.assertEqual(json.loads(self.run_tool(*pull, self.folder / "r").stdout)["created"], 1)
        serving.shutil.copytree(self.folder / "r", self.folder / "old")
        self.put(server, "lead", 2, {"v": 2})
        self.assertEqual(json.loads(self.run_tool(*pull, self.folder / "r").stdout)["created"], 1)
        restored = json.loads(self.run_tool(*pull, self.folder / "old").stdout)
        self.assertTrue(restored["reset"], restored)
        wiped = json.loads(self.run_tool(*pull, self.folder / "new").stdout)
        self.assertEqual(wiped["created"], 2, wiped)
        server.stop()
        serving.shutil.rmtree(self.folder / "r")
        (self.folder / "new").rename(self.folder / "r")
        self.compare(2)


class RestoreTest(ServerTest):
    def restored(self, server, *changes_after):
        """The data root as of a backup taken now, with changes made to the lost future first."""
        server.stop()
        self.assertEqual(self.run_tool("backup", "create", self.folder / "b", "--data", self.data).returncode, 0)
        server = self.serve()
        for change in changes_after:
            self.write(server, change)
        return server

    def restore(self, server):
        server.stop()
        serving.shutil.rmtree(self.data)
        done = self.run_tool("backup", "restore", self.folder / "b", "--data", self.data)
        self.assertEqual(done.returncode, 0, done.stderr)
        return self.serve()

    def pull(self, server):
        done = self.run_tool("pull", "--server", server.url, "--device", "t7", "--replica", self.folder / "r",
                             "--output", "json")
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(done.stdout)

    def test_25_a_device_that_saw_the_lost_future_is_reset(self):
        server = self.serve()
        self.put(server, "lead", 1, {"v": 1})
        self.pull(server)
        server = self.restored(server)
        self.put(server, "lead", 2, {"v": 2})
        self.pull(server)
        server = self.restore(server)
        self.put(server, "lead", 3, {"v": 3})
        self.assertTrue(self.pull(server)["reset"])
        server.stop()
        BatchWireTest.compare(self, 2)

    def test_26_and_27_an_older_or_newer_device_converges(self):
        server = self.serve()
        self.put(server, "lead", 1, {"v": 1})
        server = self.restored(server)
        self.pull(server)  # its marks are newer than what the restored store knows
        server = self.restore(server)
        self.pull(server)
        server.stop()
        BatchWireTest.compare(self, 1)


class WaitTest(ServerTest):
    def test_47_a_waiting_start_is_answered_when_something_is_owed(self):
        server = self.serve()
        device = Device(server, "d1")
        answers = []
        waiting = threading.Thread(target=lambda: answers.append((device.start("?wait=30"), time.monotonic())))
        waiting.start()
        time.sleep(0.3)
        written = time.monotonic()
        self.put(server, "lead", 1, {})
        waiting.join()
        self.assertEqual(answers[0][0].status, 201)
        self.assertLess(answers[0][1] - written, 2)

    def test_47_no_wake_up_is_lost_between_the_empty_poll_and_the_wait(self):
        server = self.serve()
        device = Device(server, "d1")
        for i in range(30):
            writer = threading.Thread(target=lambda i=i: self.put(server, "lead", i, {}))
            writer.start()
            started = time.monotonic()
            answer = device.start("?wait=20")
            self.assertEqual(answer.status, 201)
            self.assertLess(time.monotonic() - started, 5)
            writer.join()
            session = answer.json()["data"]["id"]
            device.ack([device.apply(item) for item in device.page(session).json()["items"]])

    def test_204_after_the_time(self):
        server = self.serve()
        started = time.monotonic()
        self.assertEqual(Device(server, "d1").start("?wait=1").status, 204)
        self.assertGreaterEqual(time.monotonic() - started, 0.95)
        for bad in ("61", "-1", "x"):
            self.assert_error(Device(server, "d1").start("?wait=" + bad), 422, "invalid_argument")

    def test_49_waiting_calls_hold_no_worker_and_a_newer_start_lets_the_older_go(self):
        server = self.serve()
        answers = []
        waiting = [threading.Thread(target=lambda i=i: answers.append(Device(server, f"d{i}").start("?wait=30").status))
                   for i in range(40)]
        for one in waiting:
            one.start()
        time.sleep(0.5)
        self.assertEqual(server.call("GET", "/livez").status, 200)
        self.assertEqual(Device(server, "d0").start().status, 204)
        self.put(server, "lead", 1, {})
        for one in waiting:
            one.join()
        self.assertEqual(sorted(answers), [201] * 39 + [204])

    def test_sigterm_lets_waiting_calls_go(self):
        server = self.serve()
        answers = []
        waiting = threading.Thread(target=lambda: answers.append(Device(server, "d1").start("?wait=60").status))
        waiting.start()
        time.sleep(0.3)
        started = time.monotonic()
        self.assertEqual(server.stop(), 0)
        waiting.join()
        self.assertLess(time.monotonic() - started, 5)
        self.assertEqual(answers, [204])

    def test_a_reset_or_a_selection_wakes(self):
        server = self.serve()
        self.put(server, "lead", 1, {})
        device = Device(server, "d1")
        device.sync()
        everything, nothing = '{"everything":true}', '{"entities":[]}'
        for method, path, body, event in (("POST", "reset", None, "created"),
                                          ("PUT", "selection", nothing, "deleted"),
                                          ("PUT", "selection", everything, "created")):
            answers = []
            waiting = threading.Thread(target=lambda: answers.append(device.start("?wait=30")))
            waiting.start()
            time.sleep(0.2)
            started = time.monotonic()
            changed = server.call(method, "/v1/devices/d1/" + path, body=body)
            self.assertEqual(changed.status, 200, changed.body)
            waiting.join()
            self.assertLess(time.monotonic() - started, 5)
            self.assertEqual(answers[0].status, 201, path)
            self.assertEqual(device.sync(), [event])

    def test_48_a_change_during_the_drain_comes_next(self):
        server = self.serve()
        for i in range(10):
            self.put(server, "lead", i, {"v": 1})
        device = Device(server, "d1")
        session = device.start().json()["data"]["id"]
        first = device.page(session, "?limit=5").json()["items"]
        self.put(server, "lead", 9, {"v": 2})
        self.put(server, "lead", 10, {"v": 1})
        rest = device.page(session).json()["items"]
        self.assertEqual(device.page(session).status, 204)
        self.assertEqual(len(first) + len(rest), 10)
        device.ack([device.apply(item) for item in first + rest])
        answer = device.start("?wait=5")
        self.assertEqual(answer.status, 201)
        self.assertEqual(sorted(device.sync()), ["created", "updated"])


class TokenTest(ServerTest):
    def bearer(self, token):
        return {"Authorization": "Bearer " + token, "X-Basecrm-Device-UUID": "d1"}

    def test_without_tokens_a_token_is_ignored(self):
        server = self.serve()
        answer = server.call("POST", "/v2/sync/start", headers=self.bearer("t" * 64))
        self.assertEqual(answer.status, 204)

    def test_without_tokens_other_addresses_are_refused(self):
        done = self.run_tool("serve", "--data", self.data, "--listen", "0.0.0.0:0")
        self.assertEqual(done.returncode, 7, done.stderr)
        self.assertIn(b"token create", done.stderr)

    def test_tokens(self):
        token, _ = self.token("writer")
        self.assertRegex(token, r"\A[A-Za-z0-9]{64}\Z")
        for path in self.data.rglob("*"):
            if path.is_file():
                self.assertNotIn(token.encode(), path.read_bytes(), path)
        self.assertEqual((self.data / "tokens.json").stat().st_mode & 0o777, 0o600)
        server = self.serve()
        good = server.call("POST", "/v2/sync/start", headers=self.bearer(token))
        self.assertEqual(good.status, 204)
        key = {"api-key": token, "X-Basecrm-Device-UUID": "d1"}
        self.assertEqual(server.call("POST", "/v2/sync/start", headers=key).status, 204)
        for bad in ({}, self.bearer("t" * 64), self.bearer(token[:-1]), self.bearer(token + "x"), self.bearer(""),
                    {"Authorization": token}, {"Authorization": "Basic " + token}, {"api-key": "x"}):
            answer = server.call("POST", "/v2/sync/start", headers={"X-Basecrm-Device-UUID": "d1", **bad})
            self.assert_error(answer, 401, "unauthorized")
        listed = json.loads(self.run_tool("token", "list", "--data", self.data, "--output", "json").stdout)
        self.assertEqual(listed[0]["role"], "writer")
        self.assertNotIn(token, json.dumps(listed))

    def test_revoked_at_once_in_a_running_server(self):
        one, one_id = self.token()
        server = self.serve()
        self.assertEqual(server.call("POST", "/v2/sync/start", headers=self.bearer(one)).status, 204)
        two, two_id = self.token()
        self.assertEqual(server.call("POST", "/v2/sync/start", headers=self.bearer(two)).status, 204)
        for short in (one_id, two_id):
            self.assertEqual(self.run_tool("token", "revoke", "--data", self.data, short).returncode, 0)
        for token in (one, two):
            self.assert_error(server.call("POST", "/v2/sync/start", headers=self.bearer(token)), 401, "unauthorized")
        self.assertEqual(self.run_tool("token", "revoke", "--data", self.data, one_id).returncode, 3)

    def test_roles(self):
        tokens = {role: self.token(role)[0] for role in ("reader", "writer", "admin")}
        server = self.serve()
        change = '{"op":"put","entity":"lead","id":1,"data":{}}\n'
        matrix = (("POST", "/v2/sync/start", None, 0), ("GET", "/v1/entities/lead/records/1", None, 0),
                  ("POST", "/v1/changes", change, 1), ("PUT", "/v1/entities/lead/records/1", "{}", 1),
                  ("PUT", "/v1/entities/visits", '{"kind":"incremental"}', 2), ("GET", "/v1/devices", None, 0),
                  ("POST", "/v1/devices/d1/reset", None, 2))
        for method, path, body, needed in matrix:
            for rank, role in enumerate(("reader", "writer", "admin")):
                answer = server.call(method, path, body=body, headers=self.bearer(tokens[role]))
                if rank < needed:
                    self.assert_error(answer, 403, "role")
                else:
                    self.assertNotIn(answer.status, (401, 403), (path, role, answer.body))

    def test_a_token_of_a_device_acts_for_it_only(self):
        token, _ = self.token("reader", device="d1")
        writer, _ = self.token("writer")
        server = self.serve()
        self.put(server, "lead", 1, {}, token=writer)
        self.assertEqual(Device(server, "d1", token).sync(), ["created"])
        other = Device(server, "d2", token)
        self.assert_error(other.start(), 403, "device")
        self.assert_error(other.page("x"), 403, "device")
        self.assert_error(other.ack([]), 403, "device")

    def test_instances_never_see_each_other(self):
        names = ("a", "A", "ab", "a.b")
        tokens = {name: self.token("admin", instance=name)[0] for name in names}
        server = self.serve()
        for name in names:
            self.put(server, "lead", 1, {"of": name}, token=tokens[name])
        sessions = {}
        for name in names:
            device = Device(server, "d1", tokens[name])
            sessions[name] = device.start().json()["data"]["id"]
            device.sync()
            self.assertEqual(device.records[("lead", "1")]["of"], name)
        for name in names:
            for other in names:
                if other == name:
                    continue
                self.assert_error(Device(server, "d1", tokens[name]).page(sessions[other]), 404, "not_found")
                path = f"/v2/integrations-sync/instances/{other}/syncs"
                self.assert_error(server.call("GET", path, headers=self.bearer(tokens[name])), 404, "not_found")

    def test_every_call_by_every_stranger(self):
        admin, _ = self.token("admin")
        foreign, _ = self.token("admin", instance="other")
        server = self.serve()
        self.put(server, "lead", 1, {"v": 1}, token=admin)
        device = Device(server, "d1", admin)
        session = device.start().json()["data"]["id"]
        sync = server.call("POST", "/v2/integrations-sync/instances/default/syncs", headers=self.bearer(admin))
        upload = sync.json()["data"]["sync_id"]
        before = server.call("GET", "/v1/changes", headers=self.bearer(admin)).body
        calls = [("GET", f"/v2/sync/{session}/queues/main", None),
                 ("POST", "/v2/integrations-sync/instances/default/syncs", None),
                 ("GET", "/v2/integrations-sync/instances/default/syncs", None)]
        for place in (upload, "0" * 32, "not-an-id"):
            base = "/v2/integrations-sync/syncs/" + place
            calls += [("POST", base + "/snapshot-data", '{"entity_name":"users","page_number":1,"records":[]}'),
                      ("POST", base + "/finish", None), ("PUT", base + "/finish", None),
                      ("PUT", base + "/abort", None), ("GET", base, None)]
        open_calls = [("POST", "/v2/sync/start", None), ("POST", "/v2/sync/ack", '{"data":{"ack_keys":[]}}'),
                      ("POST", "/v1/changes", '{"op":"put","entity":"lead","id":1,"data":{"v":2}}\n'),
                      ("GET", "/v1/entities/lead/records/1", None), ("DELETE", "/v1/entities/lead/records/1", None)]
        for method, path, body in calls + open_calls:
            for headers in ({}, {"Authorization": "Bearer " + "t" * 64}):
                self.assert_error(server.call(method, path, body=body, headers={
                    "X-Basecrm-Device-UUID": "d1", **headers}), 401, "unauthorized")
        for method, path, body in calls:
            answer = server.call(method, path, body=body, headers=self.bearer(foreign))
            self.assert_error(answer, 404, "not_found")
        self.assertEqual(server.call("GET", "/v1/changes", headers=self.bearer(admin)).body, before)
        self.assertEqual(device.page(session).json()["meta"]["count"], 1)


class OperationTest(ServerTest):
    def test_a_sync_whose_server_was_killed_is_never_shown_as_syncing(self):
        server = self.serve()
        root = "/v2/integrations-sync/instances/default/syncs"
        sync = server.call("POST", root).json()["data"]["sync_id"]
        page = json.dumps({"entity_name": "people", "page_number": 1, "records": [{"id": "1"}]})
        answer = server.call("POST", f"/v2/integrations-sync/syncs/{sync}/snapshot-data", body=page)
        self.assertEqual(answer.status, 200, answer.body)
        started = server.call("POST", "/v1/sync-scopes/s/start", body='{"members":["upload","other"]}')
        self.assertEqual(started.status, 200, started.body)

        def states(command):
            done = self.run_tool(command, "--data", self.data, "--output", "json")
            self.assertEqual(done.returncode, 0, done.stderr)
            return [row["state"] for row in json.loads(done.stdout)]

        self.assertEqual(states("status"), ["syncing"])
        self.assertEqual(states("scopes"), ["syncing"])
        server.kill()
        self.assertEqual(states("status"), ["interrupted"])
        self.assertEqual(states("scopes"), ["interrupted"])
        # The upload sync survived; its status goes on as a run of its own.
        server = self.serve()
        self.assertEqual(server.call("GET", "/v1/sync-scopes/s").json()["data"]["state"], "interrupted")
        self.assertEqual(server.call("POST", f"{root.replace('instances/default/', '')}/{sync}/finish").status, 200)
        status = server.call("GET", "/v1/sync-status/upload:people").json()["data"]
        self.assertEqual((status["state"], status["records"]), ("synced", 1))

    def test_commands_over_a_server(self):
        server = self.serve()

        def run(*arguments, code=0):
            process = subprocess.run([serving.TIDEMARK, "--server", server.url, *arguments], capture_output=True,
                                     env=serving.environment(), timeout=60, check=False)
            self.assertEqual(process.returncode, code, process.stderr.decode())
            return process.stdout.decode() if code == 0 else process.stderr.decode()

        def run_json(*arguments):
            return json.loads(run(*arguments, "--output", "json"))

        self.assertEqual(run_json("put", "lead", "1", '{"a":1}')["applied"], 1)
        self.assertEqual(run_json("put", "lead", "1", '{"a":1}')["unchanged"], 1)
        run("put", "lead", "x/y z", '{"a":2}', "--if-absent")
        run("put", "lead", "x/y z", '{"a":3}', "--if-absent", code=5)
        run("append", "visit", '{"at":1}', "--operation-id", "z")
        run("append", "visit", '{"at":1}', "--operation-id", "z")
        self.assertEqual(json.loads(run("get", "lead", "x/y z")), {"a": 2})
        self.assertEqual(run_json("id-pool", "define", "cards", "--to", "101", "--digits", "6")["free"], 100)
        lease = run_json("id-pool", "lease", "cards", "--device", "t7", "--count", "10", "--request-id", "r1")
        self.assertEqual((lease["ranges"], lease["digits"]), ([{"from": 1, "to": 11}], 6))
        run("id-pool", "release", "cards", "--device", "t7", "--lease", str(lease["lease"]), "--used", "4")
        run("id-pool", "lease", "cards", "--device", "t7", "--request-id", "r1", code=5)
        self.assertEqual([(row["pool"], row["used"], row["free"]) for row in run_json("id-pool", "list")],
                         [("cards", 4, 96)])
        self.assertEqual(run_json("id-pool", "status", "cards")["held"], 0)
        self.assertEqual(run_json("id-pool", "status", "cards", "--devices")[0]["device"], "t7")
        run("id-pool", "reclaim", "cards", "--device", "nobody", code=3)
        server.call("POST", "/v1/sync-scopes/nightly/start", body='{"members":["crm","other"]}')
        begun = server.call("POST", "/v1/sync-operations", body='{"member":"crm","entities":["customer"]}').json()
        crm = [row for row in run_json("scopes", "nightly") if row["member"] == "crm"][0]
        self.assertEqual((crm["state"], crm["entities"][0]["entity"]), ("syncing", "customer"))
        with subprocess.Popen([serving.TIDEMARK, "--server", server.url, "status", "--watch", "--output", "ndjson"],
                              stdout=subprocess.PIPE, env=serving.environment()) as watching:
            self.assertEqual(json.loads(watching.stdout.readline())["state"], "syncing")
            server.call("POST", f"/v1/sync-operations/{begun['data']['id']}/finish")
            self.assertEqual(json.loads(watching.stdout.readline())["state"], "synced")
            watching.send_signal(signal.SIGINT)
        self.assertEqual([row["state"] for row in run_json("status", "crm:customer")], ["synced"])
        server.call("DELETE", "/v1/sync-scopes/nightly?force=true")
        server.call("DELETE", "/v1/sync-status/crm:customer")
        run("scopes", "none", code=3)
        run("status", "none", code=3)
        run("id-pool", "resume", "cards", "--from", "50", code=5)
        self.assertEqual(run_json("get", "lead", "1"), {"entity": "lead", "id": 1, "version": 1, "data": {"a": 1}})
        self.assertIn("no record", run("get", "lead", "nope", code=3))
        self.assertEqual([row["id"] for row in run_json("scan", "lead")], [1, "x/y z"])
        self.assertEqual(len(run_json("scan", "lead", "--limit", "1")), 1)
        self.assertEqual(len(run_json("scan", "visit")), 1)
        self.assertIn("lead", [row["name"] for row in run_json("entities", "list")])
        for i in range(3):
            Device(server, f"d{i}").sync()
        self.assertEqual([row["device"] for row in run_json("devices", "list")], ["d0", "d1", "d2"])
        self.assertEqual(run_json("devices", "select", "d1", "--entity", "lead")["owed"], 1)
        self.assertEqual(run_json("devices", "show", "d1")["selection"], {"entities": ["lead"]})
        self.assertEqual(run_json("queues", "declare", "first", "--order", "1", "--entity", "lead")["order"], 1)
        run("queues", "declare", "main", "--entity", "lead", code=2)
        self.assertEqual([row["queue"] for row in run_json("queues", "list")], ["first"])
        self.assertEqual(run_json("queues", "drop", "first")["dropped"], "first")
        run("queues", "drop", "first", code=3)
        self.assertTrue(run_json("devices", "reset", "d2")["reset_pending"])
        self.assertTrue(run_json("devices", "forget", "d2")["forgotten"])
        run("delete", "lead", "1")
        run("delete", "lead", "1", code=3)
        run("delete", "lead", "1", "--if-exists")
        why = run_json("why", "--device", "d0", "lead", "1")
        self.assertEqual((why["state"], why["next"]), ("owed", "deleted"))
        self.assertIn("which is gone", run("why", "--device", "d0", "lead", "1"))
        server.call("POST", "/v1/sync-scopes/start-up/start", json.dumps({"members": ["crm"]}))
        self.assertEqual([row["scope"] for row in run_json("scopes")], ["start-up"])
        self.assertEqual(run_json("status"), [])
        self.assertIn("give --data", run("verify", code=2))
        self.assertEqual(server.stop(), 0)
        run("devices", "list", code=6)

    def test_streams_and_uploads_over_a_server(self):
        server = self.serve()
        folder = self.folder / "files"
        folder.mkdir()

        def run(*arguments, code=0, given=None):
            process = subprocess.run([serving.TIDEMARK, "--server", server.url, "--output", "json", *arguments],
                                     capture_output=True, env=serving.environment(), timeout=60, check=False,
                                     input=given)
            self.assertEqual(process.returncode, code, process.stderr.decode())
            return json.loads(process.stdout) if code == 0 else process.stderr.decode()

        # apply: in batches; a refused line is named, what was before it stays.
        lines = [json.dumps({"op": "put", "entity": "lead", "id": i, "data": {"n": i}}) for i in range(250)]
        applied = run("apply", "--batch", "100", "-", given="\n".join(lines).encode())
        self.assertEqual((applied["applied"], applied["batches"], applied["lines"]), (250, 3, 250))
        bad = [lines[0], "", '{"op":"put","entity":"lead","id":1,"data":{},"if_absent":true}', lines[2]]
        self.assertIn("line 3", run("apply", "-", given="\n".join(bad).encode(), code=5))
        for batch in ("0", "10001"):
            self.assertIn("10,000", run("apply", "--batch", batch, "-", given=b"", code=2))

        # import: row by row, typed by the schema; a dry run writes nothing.
        rows = folder / "visits.ndjson"
        rows.write_text("\n".join(json.dumps({"at": i}) for i in range(1500)))
        dry = run("import", "--entity", "visit", "--kind", "incremental", "--dry-run", str(rows))
        self.assertEqual((dry["rows"], dry["dry_run"]), (1500, True))
        self.assertEqual(server.call("GET", "/v1/entities/visit").status, 404)
        imported = run("import", "--entity", "visit", "--kind", "incremental", str(rows))
        self.assertEqual((imported["rows"], imported["applied"]), (1500, 1500))
        run("import", "--entity", "visit", "--kind", "snapshot", str(rows), code=5)
        keyed = folder / "shops.csv"
        keyed.write_text("code,town\na1,Ulm\nb2,Bonn\n")
        self.assertEqual(run("import", "--entity", "shop", "--id-field", "code", str(keyed))["applied"], 2)
        self.assertEqual(run("get", "shop", "b2")["data"], {"code": "b2", "town": "Bonn"})

        # import --replace: an upload sync, rows set aside, the delete guard, a dry run.
        users = folder / "users.csv"
        users.write_text("id,email\n" + "".join(f"u{i},u{i}@example.org\n" for i in range(1200)) + "bad,\n")
        dry = run("import", "--entity", "users", "--replace", "--dry-run", str(users))
        self.assertEqual((dry["created"], dry["rejected"]), (1200, 1))
        self.assertEqual(run("scan", "users"), [])
        done = run("import", "--entity", "users", "--replace", str(users))
        self.assertEqual((done["state"], done["created"]), ("finished_with_warnings", 1200))
        users.write_text("id,email\nu1,new@example.org\n")
        guarded = ("import", "--entity", "users", "--replace", "--max-delete-share", "0.5", str(users))
        self.assertIn("delete", run(*guarded, code=5))
        shown = run("uploads", "list")
        self.assertEqual([row["state"] for row in shown],
                         ["aborted", "finished_with_warnings", "aborted"])
        rejected = run("uploads", "show", done["sync_id"], "--rejected")
        self.assertEqual([(row["row"], row["field"], row["code"]) for row in rejected], [(200, "email", "required")])
        self.assertEqual([row["page"] for row in run("uploads", "show", done["sync_id"], "--pages")], [1, 2])

        # uploads abort and resume of what another uploader left.
        syncs = "/v2/integrations-sync/instances/default/syncs"
        left = json.loads(server.call("POST", syncs).body)["data"]["sync_id"]
        self.assertIn(left, run("uploads", "show")["sync_id"])
        self.assertEqual(run("uploads", "abort")["state"], "aborted")
        run("uploads", "show", code=3)
        server.call("POST", syncs)
        resumed = run("uploads", "resume", "--entity", "users", "--file", str(users), "--force-deletes")
        self.assertEqual((resumed["state"], resumed["entities"]["users"]["deleted"]), ("finished", 1199))

        # log and export: the log from its beginning; an export makes the same store again.
        self.assertEqual(run("log", "stat")["records"], 250 + 1500 + 2 + 1)
        self.assertEqual([row["id"] for row in run("log", "tail", "-n", "2", "--entity", "lead")], [248, 249])
        run("log", "tail", "--after", "7", code=2)
        dump = folder / "dump.ndjson"
        self.assertEqual(run("export", "--file", str(dump))["lines"], 250 + 1500 + 2 + 1)
        run("export", "nothing", code=3)
        shops = folder / "shops.ndjson"
        run("export", "shop", "--file", str(shops))
        self.assertEqual([json.loads(line)["id"] for line in shops.read_text().splitlines()], ["a1", "b2"])
        copy = folder / "copy"
        subprocess.run([serving.TIDEMARK, "apply", "--data", str(copy), str(dump)], check=True, capture_output=True,
                       env=serving.environment())
        local = subprocess.run([serving.TIDEMARK, "scan", "lead", "--data", str(copy), "--output", "json", "--limit",
                                "1000"], check=True, capture_output=True, env=serving.environment())
        self.assertEqual([row["data"] for row in json.loads(local.stdout)],
                         [row["data"] for row in run("scan", "lead", "--limit", "1000")])

    def test_health_and_metrics(self):
        server = self.serve()
        self.put(server, "lead", 1, {})
        Device(server, "d1").sync()
        page = server.call("GET", "/")
        self.assertEqual(page.status, 200)
        self.assertIn("text/html", page.headers["content-type"])
        for path in ("/livez", "/readyz"):
            self.assertEqual(server.call("GET", path).status, 200)
            self.assertEqual(server.call("HEAD", path).body, b"")
        text = server.call("GET", "/metrics").body.decode()
        for line in ('tidemark_requests_total{route="/v2/sync/start",status="2xx"} 1', "tidemark_pages_total 1",
                     'tidemark_acks_total{outcome="applied"} 1', "tidemark_records 1"):
            self.assertIn(line + "\n", text)

    def test_log_lines_carry_no_values(self):
        server = self.serve("--log-requests")
        self.put(server, "lead", "secret-id", {"secret": "value"})
        server.call("GET", "/v1/entities/lead/records/secret-id")
        server.process.send_signal(signal.SIGTERM)
        _, errors = server.process.communicate(timeout=30)
        lines = [json.loads(line) for line in errors.decode().splitlines()]
        self.assertEqual([line["data"]["status"] for line in lines if line["event"] == "request"], [200, 200])
        self.assertNotIn(b"secret", errors)

    def test_rate_limit(self):
        token, _ = self.token()
        (self.folder / "c.toml").write_text("requests_per_second = 1\nrequest_burst = 3\n")
        server = self.serve("--config", str(self.folder / "c.toml"))
        device = Device(server, "d1", token)
        answers = [device.start() for _ in range(6)]
        self.assertEqual([answer.status for answer in answers[:3]], [204] * 3)
        self.assert_error(answers[-1], 429, "rate_limited")
        self.assertGreaterEqual(int(answers[-1].headers["retry-after"]), 1)
        self.assertEqual(server.call("GET", "/livez").status, 200)

    def test_a_data_root_is_served_once(self):
        server = self.serve()
        second = self.run_tool("serve", "--data", self.data, "--listen", "127.0.0.1:0")
        self.assertEqual(second.returncode, 8, second.stderr)
        self.assertIn(b"another server serves", second.stderr)
        self.assertEqual(server.call("GET", "/readyz").status, 200)
        server.kill()
        self.assertEqual(self.serve().stop(), 0)

    def test_a_revoked_token_ends_its_stream_and_what_waits(self):
        reader, reader_id = self.token("reader")
        self.token("admin")
        server = self.serve()
        stream = socket.create_connection(("127.0.0.1", server.port), timeout=10)
        self.addCleanup(stream.close)
        stream.sendall(f"GET /v1/changes HTTP/1.1\r\nHost: x\r\napi-key: {reader}\r\n"
                       "Accept: text/event-stream\r\n\r\n".encode())
        self.assertIn(b": connected", stream.recv(65536) + stream.recv(65536))
        answers = []
        waiting = threading.Thread(target=lambda: answers.append(
            server.call("GET", "/v1/changes?wait=60", headers={"api-key": reader}, timeout=30)))
        waiting.start()
        time.sleep(0.2)
        self.assertEqual(self.run_tool("token", "revoke", "--data", self.data, reader_id).returncode, 0)
        begin = time.monotonic()
        received = b""
        while not received.endswith(b"0\r\n\r\n"):
            piece = stream.recv(65536)
            self.assertTrue(piece)
            received += piece
        waiting.join()
        self.assertLess(time.monotonic() - begin, 10)
        self.assert_error(answers[0], 401, "unauthorized")

    def test_a_configuration_that_could_not_start(self):
        file = self.folder / "c.toml"
        for text, code, says in ((f'tls_certificate = "{self.folder}/nope"\ntls_key = "{self.folder}/nope"\n', 2, "nope"),
                                 ('data = "/proc/x"\n', 2, "cannot be written"),
                                 ('listen = "0.0.0.0:80"\n', 7, "has no token"),
                                 ('public_url = "javascript:"\n', 2, "public_url")):
            file.write_text(text if "data" in text else f'data = "{self.data}"\n' + text)
            done = self.run_tool("config", "check", file)
            self.assertEqual(done.returncode, code, done.stderr)
            self.assertIn(says, done.stderr.decode())
        file.write_text("workers = 2\n")
        self.assertEqual(self.run_tool("config", "check", file).returncode, 2)
        self.assertEqual(self.run_tool("config", "check", file, "--data", self.data).returncode, 0)
        self.assertFalse(self.data.exists())

    def test_a_full_disk_that_has_room_again(self):
        disk = self.folder / "disk"
        disk.mkdir()
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=48m", "tmpfs", disk], capture_output=True,
                          check=False).returncode != 0:
            self.skipTest("only who may mount can fill a disk of its own")
        self.addCleanup(subprocess.run, ["umount", "-l", disk], check=False)
        tokens = {}
        self.data = disk / "data"
        for name in ("full", "other"):
            tokens[name], _ = self.token("admin", instance=name)
        server = self.serve()
        self.put(server, "big", "small", {}, token=tokens["other"])
        headers = {"Authorization": "Bearer " + tokens["full"]}
        value = json.dumps("x" * 1_000_000)
        written = 0
        while (answer := server.call("PUT", f"/v1/entities/big/records/{written}", value, headers)).status == 201:
            written += 1
        self.assert_error(answer, 507, "disk_full")
        again = server.call("PUT", "/v1/entities/big/records/x", "{}", headers)
        self.assert_error(again, 507, "disk_full")
        self.assertIn("retry-after", again.headers)
        self.assertEqual(server.call("GET", "/readyz").status, 200)
        subprocess.run(["mount", "-o", "remount,size=200m", disk], check=True)
        for _ in range(300):
            again = server.call("PUT", "/v1/entities/big/records/x", "{}", headers)
            if again.status == 201:
                break
            self.assertIn(again.status, (503, 507))
            time.sleep(0.1)
        self.assertEqual(again.status, 201, again.body)
        for i in range(written):
            self.assertEqual(server.call("GET", f"/v1/entities/big/records/{i}", headers=headers).status, 200)
        self.assertEqual(server.stop(), 0)

    def test_configuration(self):
        good = self.folder / "good.toml"
        good.write_text(f'data = "{self.data}"\nlisten = "[::1]:0"\nworkers = 2\n')
        self.assertEqual(self.run_tool("config", "check", good).returncode, 0)
        for text, says in (("workers = 2\ndatta = 1\n", "line 2: datta"), ("workers = 0\n", "line 1: workers"),
                           ('workers = "2"\n', "whole number"), ("listen = \"x\"\n", "ADDRESS:PORT"),
                           ("a = = 1\n", "line 1"), ('tls_key = "k"\n', "together")):
            bad = self.folder / "bad.toml"
            bad.write_text(text)
            done = self.run_tool("config", "check", bad)
            self.assertEqual(done.returncode, 2, done.stderr)
            self.assertIn(says, done.stderr.decode())
            self.assertEqual(self.run_tool("serve", "--config", bad).returncode, 2)
        self.assertEqual(self.run_tool("config", "check", self.folder / "none.toml").returncode, 3)

    def test_a_session_does_not_outlive_the_server(self):
        server = self.serve()
        self.put(server, "lead", 1, {})
        device = Device(server, "d1")
        session = device.start().json()["data"]["id"]
        self.assertEqual(server.stop(signal.SIGINT), 0)
        device.server = server = self.serve()
        self.assert_error(device.page(session), 410, "session_expired")
        self.assertEqual(device.sync(), ["created"])

    def test_the_examples_of_the_documentation_run(self):
        server = self.serve()
        text = (pathlib.Path(__file__).parents[2] / "docs" / "http_api.md").read_text()
        section = text.partition("\n## Try it\n")[2].partition("\n## ")[0]
        lines = [line[4:] for line in section.splitlines() if line.startswith("    ")]
        script = "\n".join(lines).replace("http://127.0.0.1:8787", server.url)
        self.assertGreater(script.count("curl "), 10)
        done = subprocess.run(["bash", "-euxo", "pipefail", "-c", script], capture_output=True, timeout=60,
                              check=False, env=serving.environment())
        output = done.stdout.decode()
        self.assertEqual(done.returncode, 0, done.stderr.decode() + output)
        for expected in ('"name":"Ada"', '"total_count":1', '"created":1', "users,1,1,email,required",
                         '"entity":"users"', '"id":"tablet-7"', "tidemark_records 3"):
            self.assertIn(expected, output)

    def test_systemd_is_told(self):
        path = str(self.folder / "notify")
        manager = serving.socket.socket(serving.socket.AF_UNIX, serving.socket.SOCK_DGRAM)
        self.addCleanup(manager.close)
        manager.bind(path)
        manager.settimeout(10)
        process = serving.subprocess.Popen(
            [serving.TIDEMARK, "serve", "--data", str(self.data), "--listen", "127.0.0.1:0"],
            stdout=serving.subprocess.DEVNULL, env={**serving.environment(), "NOTIFY_SOCKET": path})
        self.addCleanup(process.kill)
        self.assertEqual(manager.recv(100), b"READY=1")
        process.send_signal(signal.SIGTERM)
        self.assertEqual(manager.recv(100), b"STOPPING=1")
        self.assertEqual(process.wait(timeout=30), 0)


if __name__ == "__main__":
    serving.TIDEMARK = sys.argv[1]
    unittest.main(argv=[sys.argv[0], *sys.argv[2:]])
