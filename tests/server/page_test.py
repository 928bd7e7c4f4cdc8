#!/usr/bin/env python3
"""The page for people, in a real browser, served by the executable.

usage: page_test.py TIDEMARK
"""

import json
import pathlib
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import browser
import serving

SKIPPED = 77  # ctest knows it

CELLS = "[...document.querySelectorAll('#%s tbody tr')].map(r => [...r.cells].map(c => c.innerText))"


class PageTest(unittest.TestCase):
    def setUp(self):
        memory = serving.MEMORY if pathlib.Path(serving.MEMORY).is_dir() else None
        folder = tempfile.TemporaryDirectory(dir=memory)
        self.addCleanup(folder.cleanup)
        self.data = pathlib.Path(folder.name) / "data"
        self.browser = browser.Browser()
        self.addCleanup(self.browser.close)

    def serve(self):
        server = serving.Server(self.data)
        self.addCleanup(server.kill)
        return server

    def rows(self, table):
        return self.browser.run(CELLS % table)

    def wait_for_row(self, table, row):
        """Of which the first cells are these; None stands for any."""
        self.browser.wait_for(f"({CELLS % table}).some(row => {json.dumps(row)}.every("
                              "(cell, at) => cell === null || cell === row[at]))")

    def test_everything_shows_while_it_happens(self):
        server = self.serve()
        self.browser.open(server.url)
        self.browser.wait_for("document.querySelector('#link')?.dataset.state === 'live'")
        self.assertEqual(self.browser.run("document.querySelector('#instance').innerText"), "default")
        self.assertEqual(self.rows("devices"), [["No device has started a session yet."]])
        self.assertFalse(self.browser.run("document.querySelector('#sign-in').checkVisibility()"))

        lines = "".join(json.dumps({"op": "put", "entity": "lead", "id": i, "data": {}}) + "\n"
                        for i in range(120))
        self.assertEqual(server.call("POST", "/v1/changes", lines).status, 200)
        self.wait_for_row("entities", ["lead", "snapshot", "120", "0"])
        serving.Device(server, "tablet-1").start()
        self.wait_for_row("devices", ["tablet-1", "in session", "120", "120", "0", "0",
                                      "everything"])
        device = serving.Device(server, "tablet-2")
        device.sync()
        self.wait_for_row("devices", ["tablet-2", "up to date", "0", "0", "0", "0", "everything"])

        server.call("POST", "/v1/sync-scopes/start-up/start", json.dumps({"members": ["upload", "crm"]}))
        self.browser.wait_for("document.querySelector('.scope progress')?.max === 2")
        base = "/v2/integrations-sync"
        sync = server.call("POST", f"{base}/instances/default/syncs").json()["data"]["sync_id"]
        page = {"entity_name": "users", "page_number": 1, "records": [{"id": "1", "email": "e@example.org"}]}
        server.call("POST", f"{base}/syncs/{sync}/snapshot-data", json.dumps(page))
        self.wait_for_row("statuses", ["upload:users", "syncing"])
        self.assertEqual(server.call("POST", f"{base}/syncs/{sync}/finish").status, 200)
        self.wait_for_row("uploads", [None, "finished", "1", "1", "0", "0", "0"])
        self.wait_for_row("statuses", ["upload:users", "synced"])
        self.browser.wait_for("document.querySelector('.scope progress').value === 1")
        self.assertEqual(self.browser.complaints, [])

        self.assertEqual(server.stop(), 0)
        self.browser.wait_for("document.querySelector('#link')?.dataset.state === 'lost'")

    def card(self, scope):
        """State, bar as (value, max), label of the bar and counts."""
        return self.browser.run(
            "(card => card && [card.querySelector('.state').innerText, card.querySelector('progress').value,"
            " card.querySelector('progress').max, card.querySelector('progress').ariaLabel,"
            " card.querySelector('small').innerText])([...document.querySelectorAll('.scope')]"
            f".find(card => card.querySelector('strong').innerText === {json.dumps(scope)}))")

    def test_what_devices_are_granted_is_told_in_words(self):
        server = self.serve()
        server.call("PUT", "/v1/entities/contact", json.dumps({"keys": ["owner"]}))
        for device in ("nurse", "ward"):
            serving.Device(server, device).start()
        owners = [f"o{i}" for i in range(7)]
        for device, entities in (("nurse", [{"entity": "contact", "where": {"owner": ["ada", 7]}}, "contact_note"]),
                                 ("ward", [{"entity": "contact", "where": {"owner": owners}}])):
            server.call("PUT", "/v1/entities/contact_note/records/1", "{}")
            granted = server.call("PUT", f"/v1/devices/{device}/selection", json.dumps({"entities": entities}))
            self.assertEqual(granted.status, 200, granted.body)
        self.browser.open(server.url)
        seen = [None] * 6
        self.wait_for_row("devices", ["nurse"] + seen[1:] + ["contact (owner: ada, 7), contact_note"])
        self.wait_for_row("devices", ["ward"] + seen[1:] + ["contact (owner: o0, o1, o2, o3, o4 and 2 more)"])

    def test_bars_tell_what_is_complete(self):
        server = self.serve()
        server.call("POST", "/v1/sync-scopes/half/start", json.dumps({"members": ["crm", "erp"]}))
        begun = server.call("POST", "/v1/sync-operations", json.dumps({"member": "crm", "entities": ["a"]}))
        server.call("POST", f"/v1/sync-operations/{begun.json()['data']['id']}/finish")
        server.call("POST", "/v1/sync-operations", json.dumps({"member": "erp", "entities": ["a"]}))
        server.call("POST", "/v1/sync-scopes/half/interrupt")
        server.call("POST", "/v1/sync-scopes/none/start", json.dumps({"members": []}))
        self.browser.open(server.url)
        self.browser.wait_for("document.querySelectorAll('.scope').length === 2")
        self.assertEqual(self.card("half"), [
            "interrupted", 1, 2, "half: 1 of 2 complete",
            "1 synced, 0 syncing, 0 not started, 0 failed, 1 interrupted"])
        self.assertEqual(self.card("none"), ["synced", 1, 1, "none: 0 of 0 complete", "no members"])

    def test_what_syncs_shows_however_much_there_is(self):
        server = self.serve()
        for i in range(205):
            server.call("POST", f"/v1/sync-scopes/n{i}/start", json.dumps({"members": []}))
        server.call("POST", "/v1/sync-scopes/zzz/start", json.dumps({"members": ["crm"]}))
        self.browser.open(server.url)
        self.browser.wait_for("document.querySelectorAll('.scope').length === 200")
        self.assertEqual(self.browser.run("document.querySelector('.scope strong').innerText"), "zzz")
        self.assertEqual(self.browser.run("document.querySelector('#scopes-note').innerText"),
                         "6 more sync scopes are not shown.")

    def test_names_are_text(self):
        server = self.serve()
        name = "<img src=x onerror=document.title='caught'>"
        serving.Device(server, name).start()
        server.call("PUT", "/v1/entities/lead/records/1", "{}")
        serving.Device(server, name).start()
        self.browser.open(server.url)
        self.wait_for_row("devices", [name])
        self.assertEqual(self.browser.run("document.title"), "Tidemark")
        self.assertEqual(self.browser.run("document.images.length"), 0)

    def test_a_token_is_asked_for(self):
        made = subprocess.run([serving.TIDEMARK, "token", "create", "--data", self.data, "--instance", "shop",
                               "--role", "reader", "--output", "json"],
                              capture_output=True, check=True, env=serving.environment())
        token = json.loads(made.stdout)["token"]
        server = self.serve()
        self.browser.open(server.url)
        self.browser.wait_for("document.querySelector('#sign-in')?.checkVisibility()")
        self.assertFalse(self.browser.run("document.querySelector('#overview').checkVisibility()"))
        self.browser.type("#token", "x" * 64)
        self.browser.press_enter()
        self.browser.wait_for("document.querySelector('#refusal').innerText !== ''")
        self.browser.type("#token", token)
        self.browser.press_enter()
        self.browser.wait_for("document.querySelector('#link')?.dataset.state === 'live'")
        self.assertEqual(self.browser.run("document.querySelector('#instance').innerText"), "shop")
        self.assertFalse(self.browser.run("document.querySelector('#sign-in').checkVisibility()"))
        self.assertNotIn(token, self.browser.run("location.href + document.cookie + document.body.innerHTML"))
        self.assertEqual(self.browser.run("localStorage.length"), 0)


if __name__ == "__main__":
    serving.TIDEMARK = sys.argv.pop(1)
    if browser.PROGRAM is None:
        print("page_test: there is no chromium; `tools/install_packages all` installs it")
        sys.exit(SKIPPED)
    unittest.main(argv=sys.argv)
