#!/usr/bin/env python3
"""Runs the real executable as a user would: every command, its exit codes, bad input.

usage: cli_test.py TIDEMARK [unittest arguments]
"""

import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

TIDEMARK = None
MEMORY = "/dev/shm"
OK, ERROR, USAGE, NOT_FOUND, CORRUPT, CONFLICT, NOT_ALLOWED, BUSY = 0, 1, 2, 3, 4, 5, 7, 8


class Answer:
    """What one run said."""

    def __init__(self, process):
        self.code = process.returncode
        self.out = process.stdout
        self.err = process.stderr.decode()

    @property
    def text(self):
        return self.out.decode()

    def json(self):
        return json.loads(self.out)

    def lines(self):
        return [json.loads(line) for line in self.out.splitlines()]


class CliTest(unittest.TestCase):
    def setUp(self):
        parent = MEMORY if os.access(MEMORY, os.W_OK) else None
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="tidemark-cli-", dir=parent))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.data = self.folder / "data"

    def run_raw(self, *arguments, stdin=b""):
        if isinstance(stdin, str):
            stdin = stdin.encode()
        environment = {key: value for key, value in os.environ.items() if "TIDEMARK_" not in key}
        process = subprocess.run([TIDEMARK, *map(str, arguments)], input=stdin, capture_output=True,
                                 env=environment, timeout=60, check=False)
        return Answer(process)

    def run_any(self, *arguments, stdin=b"", data=None):
        return self.run_raw("--data", data or self.data, *arguments, stdin=stdin)

    def run_ok(self, *arguments, stdin=b"", data=None):
        answer = self.run_any(*arguments, stdin=stdin, data=data)
        self.assertEqual(answer.code, OK, f"{arguments}: {answer.err}")
        return answer

    def run_json(self, *arguments, stdin=b"", data=None):
        return self.run_ok(*arguments, "--output", "json", stdin=stdin, data=data).json()

    def refuse(self, code, *arguments, stdin=b"", data=None, says=""):
        """The command fails with this exit code and says these words, in text and in JSON."""
        answer = self.run_any(*arguments, stdin=stdin, data=data)
        self.assertEqual(answer.code, code, f"{arguments}: {answer.err}")
        self.assertTrue(answer.err.startswith("tidemark: "), answer.err)
        self.assertIn(says, answer.err)
        return answer

    def file(self, name, text):
        path = self.folder / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    def store_path(self, data=None):
        return (data or self.data) / "instance-default"


class GeneralTest(CliTest):
    def test_version(self):
        answer = self.run_raw("--version")
        self.assertEqual(answer.code, OK)
        self.assertRegex(answer.text, r"tidemark \d+\.\d+\.\d+\nstorage format \d+\nbatch format \d+\.\d+\n")
        fields = self.run_raw("--version", "--output", "json").json()
        self.assertEqual(set(fields), {"version", "storage_format", "batch_format"})

    def commands(self):
        """Every command, as the help lists it."""
        found = []
        for name in re.findall(r"^  ([a-z]+)  ", self.run_raw("--help").text, re.M):
            inner = re.findall(r"^  ([a-z]+)  ", self.run_raw(name, "--help").text.split("Subcommands:")[-1], re.M)
            if "Subcommands:" in self.run_raw(name, "--help").text:
                found += [[name, sub] for sub in inner]
            else:
                found.append([name])
        return found

    def test_every_command_has_help_with_examples(self):
        commands = self.commands()
        self.assertGreaterEqual(len(commands), 30, commands)
        for command in commands:
            answer = self.run_raw(*command, "--help")
            self.assertEqual(answer.code, OK, command)
            self.assertIn("Examples:\n  ", answer.text, command)
            self.assertIn("tidemark " + " ".join(command), answer.text, command)

    def test_every_command_is_documented(self):
        source = os.environ.get("TIDEMARK_SOURCE_DIR")
        if not source:
            self.skipTest("TIDEMARK_SOURCE_DIR is not set")
        document = pathlib.Path(source, "docs/command_line.md").read_text(encoding="utf-8")
        for command in self.commands():
            self.assertIn("tidemark " + " ".join(command), document, command)

    def test_usage_errors(self):
        for arguments in (["frobnicate"], [], ["uploads"], ["get", "contact"], ["put", "--wrong"],
                          ["scan", "contact", "--limit", "many"], ["scan", "contact", "--limit", "-1"],
                          ["scan", "contact", "--limit", "0"], ["scan", "c", "--output", "xml"],
                          ["scan", "c", "extra", "arguments"], ["apply", "-", "--batch", "0"],
                          ["import", "--entity", "c", "-", "--kind", "other"],
                          ["import", "--entity", "c", "-", "--force"],
                          ["put", "c", "1"], ["put", "c", "1", "{}", "--file", "x"],
                          ["entities", "trim", "c"], ["devices", "select", "d"]):
            answer = self.run_any(*arguments)
            self.assertEqual(answer.code, USAGE, (arguments, answer.err))
            self.assertTrue(answer.err.startswith("tidemark: "), answer.err)
            self.assertEqual(answer.text, "", arguments)

    def test_no_data_root(self):
        answer = self.run_raw("get", "contact", "1")
        self.assertEqual(answer.code, USAGE)
        self.assertIn("--data", answer.err)

    def test_missing_store(self):
        for arguments in (["get", "c", "1"], ["scan", "c"], ["delete", "c", "1"], ["export"],
                          ["uploads", "list"], ["entities", "list"], ["log", "stat"], ["log", "tail"],
                          ["devices", "list"], ["verify"], ["recover"], ["entities", "drop", "c"],
                          ["backup", "create", self.folder / "b"], ["backup", "list", self.folder / "b"],
                          ["pull", "--replica", self.folder / "r", "--device", "d"]):
            self.refuse(NOT_FOUND, *arguments)
        self.assertFalse(self.data.exists())

    def test_errors_as_json(self):
        answer = self.run_any("get", "c", "1", "--output", "json")
        error = json.loads(answer.err)["error"]
        self.assertEqual((error["code"], error["exit_code"]), ("not_found", NOT_FOUND))
        self.assertTrue(error["advice"])
        answer = self.run_any("--output", "json", "frobnicate")
        self.assertEqual(json.loads(answer.err)["error"]["exit_code"], USAGE)

    def test_instances_are_apart(self):
        self.run_ok("--instance", "North", "put", "c", "1", '"north"')
        self.run_ok("--instance", "north", "put", "c", "1", '"small"')
        self.assertEqual(self.run_ok("--instance", "North", "get", "c", "1").text, '"north"\n')
        self.refuse(NOT_FOUND, "get", "c", "1")
        self.refuse(USAGE, "--instance", "../x", "put", "c", "1", "1")
        self.refuse(NOT_ALLOWED, "--instance", "_x", "put", "c", "1", "1")

    def test_unwritable_folder(self):
        blocked = self.file("file", "x") / "below"
        self.refuse(ERROR, "put", "c", "1", "1", data=blocked)

    def test_full_standard_output(self):
        self.run_ok("put", "c", "1", "1")
        with open("/dev/full", "wb") as full:
            process = subprocess.run([TIDEMARK, "--data", str(self.data), "export"], stdout=full,
                                     stderr=subprocess.PIPE, timeout=60, check=False)
        self.assertEqual(process.returncode, ERROR)
        self.assertIn(b"disk_full", process.stderr)

    def test_reader_that_leaves(self):
        lines = "".join('{"entity":"c","id":%d,"data":"%s"}\n' % (i, "x" * 500) for i in range(2000))
        self.run_ok("apply", "-", stdin=lines)
        command = f"'{TIDEMARK}' --data '{self.data}' export; echo $? >&2"
        process = subprocess.run(["bash", "-c", f"({command}) | head -1"], capture_output=True,
                                 timeout=60, check=False)
        self.assertEqual(process.stdout.count(b"\n"), 1)
        self.assertNotIn(b"tidemark:", process.stderr)


class RecordsTest(CliTest):
    def test_put_get_delete(self):
        first = self.run_json("put", "contact", "1001", '{ "name" : "Ada" }')
        self.assertEqual((first["outcome"], first["id"], first["applied"]), ("created", 1001, 1))
        self.assertEqual(self.run_ok("get", "contact", "1001").text, '{"name":"Ada"}\n')
        record = self.run_json("get", "contact", "1001")
        self.assertEqual(record["data"], {"name": "Ada"})
        self.assertEqual(record["version"], first["version"])
        again = self.run_json("put", "contact", "1001", '{"name":"Ada"}')
        self.assertEqual((again["outcome"], again["unchanged"]), ("unchanged", 1))
        self.assertEqual(again["version"], first["version"])
        self.assertEqual(self.run_json("delete", "contact", "1001")["outcome"], "deleted")
        self.refuse(NOT_FOUND, "get", "contact", "1001")
        self.refuse(NOT_FOUND, "delete", "contact", "1001")
        self.run_ok("delete", "contact", "1001", "--if-exists")

    def test_ids(self):
        self.run_ok("put", "c", "7", "1")
        self.run_ok("put", "c", "8", "1", "--text-id")
        self.run_ok("put", "c", "007", "1")
        self.run_ok("put", "c", "--", "-5", "1")
        ids = [line["id"] for line in self.run_json("scan", "c")]
        self.assertEqual(sorted(map(str, ids)), ["-5", "007", "7", "8"])
        self.assertIn(7, ids)
        self.assertIn("8", ids)
        self.refuse(USAGE, "put", "c", "", "1")
        self.refuse(USAGE, "put", "c", "a\nb", "1")
        self.refuse(USAGE, "put", "c d", "1", "1")
        self.refuse(NOT_ALLOWED, "put", "_c", "1", "1")
        self.run_ok("put", "c", "x" * 512, "1")
        self.refuse(USAGE, "put", "c", "x" * 513, "1")

    def test_values(self):
        self.refuse(USAGE, "put", "c", "1", "{oops}", says="malformed_json")
        self.refuse(USAGE, "put", "c", "1", '{"a":1,"a":2}')
        blob = self.file("blob", bytes(range(256)))
        self.run_ok("put", "c", "bin", "--file", blob, "--bytes")
        self.assertEqual(self.run_ok("get", "c", "bin").out, bytes(range(256)))
        self.assertIn("$base64", self.run_json("get", "c", "bin")["data"])
        self.run_ok("put", "c", "again", '{"$base64":"AAEC"}')
        self.assertEqual(self.run_ok("get", "c", "again").out, b"\0\1\2")
        self.run_ok("put", "c", "in", "--file", "-", stdin='{"from":"stdin"}')
        self.assertEqual(self.run_json("get", "c", "in")["data"], {"from": "stdin"})
        self.run_ok("put", "c", "max", "--bytes", "--file", self.file("max", b"x" * 1048576))
        self.refuse(USAGE, "put", "c", "over", "--bytes", "--file", self.file("over", b"x" * 1048577),
                    says="too_large")
        self.refuse(NOT_FOUND, "put", "c", "1", "--file", self.folder / "missing")

    def test_conditions(self):
        version = self.run_json("put", "c", "1", '"a"', "--if-absent")["version"]
        self.refuse(CONFLICT, "put", "c", "1", '"b"', "--if-absent", says="condition_failed")
        self.refuse(CONFLICT, "put", "c", "1", '"b"', "--if-version", version + 1)
        self.run_ok("put", "c", "1", '"b"', "--if-version", version)
        self.run_ok("put", "c", "2", '"a"', "--if-newer", 100)
        self.refuse(CONFLICT, "put", "c", "2", '"b"', "--if-newer", 100)
        self.run_ok("delete", "c", "2", "--if-newer", 101)

    def test_operation_id(self):
        first = self.run_json("put", "c", "1", '"a"', "--operation-id", "op-1")
        again = self.run_json("put", "c", "1", '"a"', "--operation-id", "op-1")
        self.assertTrue(again["replayed"])
        self.assertEqual(first["sequence"], again["sequence"])
        self.refuse(CONFLICT, "put", "c", "1", '"b"', "--operation-id", "op-1",
                    says="idempotency_mismatch")

    def test_append(self):
        made = self.run_json("append", "visits", '{"n":1}')
        self.assertEqual(made["outcome"], "appended")
        self.run_ok("append", "visits", '{"n":2}', "--id", "v2")
        self.assertEqual(self.run_json("append", "visits", '{"n":2}', "--id", "v2")["outcome"], "unchanged")
        self.assertEqual(len(self.run_json("scan", "visits")), 2)
        self.refuse(CONFLICT, "put", "visits", "1", "{}", says="wrong_kind")
        self.refuse(CONFLICT, "delete", "visits", "v2", says="wrong_kind")
        self.run_ok("put", "c", "1", "{}")
        self.refuse(CONFLICT, "append", "c", "{}", says="wrong_kind")

    def test_scan(self):
        lines = "".join(json.dumps({"entity": "c", "id": f"{p}-{i}", "data": {"i": i}}) + "\n"
                        for p in "ab" for i in range(5))
        self.run_ok("apply", "-", stdin=lines)

        def ids(*arguments):
            return [row["id"] for row in self.run_ok("scan", "c", "--output", "ndjson", *arguments).lines()]

        everything = [f"{p}-{i}" for p in "ab" for i in range(5)]
        self.assertEqual(ids(), everything)
        self.assertEqual(ids("--reverse"), everything[::-1])
        self.assertEqual(ids("--prefix", "b"), everything[5:])
        self.assertEqual(ids("--limit", 3), everything[:3])
        self.assertEqual(ids("--after", "a-3", "--limit", 2), everything[4:6])
        self.assertEqual(ids("--reverse", "--after", "b-0"), everything[4::-1])
        self.assertEqual(ids("--prefix", "a", "--reverse", "--limit", 1), ["a-4"])
        self.assertEqual(self.run_json("scan", "nothing"), [])
        self.assertNotIn("data", self.run_json("scan", "c", "--ids")[0])
        self.assertEqual(self.run_ok("scan", "c").text.splitlines()[0].split(), ["ID", "VERSION", "DATA"])


class ApplyTest(CliTest):
    def test_the_id_of_a_record_is_the_id_of_its_data(self):
        self.refuse(USAGE, "put", "c", "7", '{"id":8}')
        self.refuse(USAGE, "append", "v", '{"id":8}', "--id", "7")
        self.refuse(USAGE, "apply", "-", stdin='{"entity":"c","id":7,"data":{"id":8}}\n')
        for unchanged in (0, 1):
            self.assertEqual(self.run_json("append", "v", '{"id":8}')["unchanged"], unchanged)
        self.assertEqual(self.run_json("get", "v", "8")["data"], {"id": 8})

    def test_a_value_of_depth_32_goes_everywhere(self):
        value, deeper = "[" * 32 + "]" * 32, "[" * 33 + "]" * 33
        self.run_ok("put", "c", "1", value)
        dump = self.run_ok("export").text
        self.run_ok("apply", "-", stdin=dump.replace('"id":1', '"id":2'))
        self.assertEqual(self.run_ok("get", "c", "2").text.strip(), value)
        self.refuse(USAGE, "put", "c", "3", deeper)
        self.refuse(USAGE, "apply", "-", stdin='{"entity":"c","id":3,"data":' + deeper + "}\n")

    def test_apply_prints_what_it_did(self):
        lines = ('{"op":"put","entity":"c","id":1,"data":{"a":1}}\n'
                 '{"op":"append","entity":"v","data":{"a":1}}\n\n'
                 '{"op":"put","entity":"c","id":2,"data":{"a":2}}\n'
                 '{"op":"delete","entity":"c","id":9}\n')
        result = self.run_json("apply", "-", stdin=lines)
        self.assertEqual((result["applied"], result["unchanged"], result["batches"]), (3, 1, 1))
        self.assertEqual(result["lines"], 5)
        self.assertEqual(self.run_json("log", "stat")["sequence"], result["sequence"])

    def test_bad_line_refuses_its_batch_only(self):
        good = "".join('{"entity":"c","id":%d,"data":1}\n' % i for i in range(25))
        answer = self.refuse(USAGE, "apply", "--batch", "10", "--output", "table", "-",
                             stdin=good + '{"entity":"c","id":25,"data":}\n', says="line 26, column ")
        self.assertIn("batches", answer.text)
        self.assertEqual(len(self.run_json("scan", "c")), 20)
        answer = self.refuse(USAGE, "apply", "-", stdin=good + '{"entity":"c","id":true,"data":1}\n')
        self.assertIn('line 26: field "id"', answer.err)
        self.assertEqual(len(self.run_json("scan", "c")), 20)

    def test_conditions_refuse_the_batch(self):
        self.run_ok("put", "c", "1", "1")
        lines = '{"entity":"c","id":5,"data":1}\n{"entity":"c","id":1,"data":2,"if_absent":true}\n'
        self.refuse(CONFLICT, "apply", "-", stdin=lines, says="line 2: ")
        self.refuse(NOT_FOUND, "get", "c", "5")

    def test_limits(self):
        large = "".join('{"entity":"c","id":%d,"data":"%s"}\n' % (i, "x" * 1_000_000) for i in range(20))
        self.refuse(USAGE, "apply", "--batch", "20", "-", stdin=large, says="smaller --batch")
        result = self.run_json("apply", "-", stdin=large)
        self.assertEqual((result["applied"], result["batches"]), (20, 2))
        long = '{"entity":"c","id":1,"data":"' + "x" * 3_000_000 + '"}\n'
        self.refuse(USAGE, "apply", "-", stdin=long, says="line 1")

    def test_export_round_trips(self):
        self.run_ok("put", "contact", "1", '{"name":"Ada","n":1.50}')
        self.run_ok("put", "contact", "x", '{"$base64":"AAEC"}')
        self.run_ok("append", "visits", '{"n":1}')
        dump = self.run_ok("export")
        self.assertEqual([line["entity"] for line in dump.lines()], ["contact", "contact", "visits"])
        copy = self.folder / "copy"
        self.run_ok("apply", "-", stdin=dump.out, data=copy)
        self.assertEqual(self.run_ok("export", data=copy).out, dump.out)
        self.assertEqual(self.run_json("apply", "-", stdin=dump.out, data=copy)["applied"], 0)
        target = self.folder / "dump.ndjson"
        self.assertEqual(self.run_json("export", "contact", "--file", target)["records"], 2)
        self.assertEqual(target.read_bytes().count(b"\n"), 2)
        self.refuse(NOT_FOUND, "export", "nothing")
        self.assertEqual([p.name for p in self.folder.iterdir() if "partial" in p.name], [])

    def test_log_tail_round_trips(self):
        self.run_ok("put", "c", "1", "1")
        self.run_ok("put", "c", "2", "2")
        copy = self.folder / "copy"
        self.run_ok("apply", "-", stdin=self.run_ok("log", "tail", "--after", "0").out, data=copy)
        self.assertEqual(self.run_ok("export", data=copy).out, self.run_ok("export").out)


class ImportTest(CliTest):
    USERS = "id,email,name\nu1,a@x.test,Ada\nu2,b@x.test,\"Grace, H.\"\n"

    def test_rows(self):
        path = self.file("c.ndjson", '{"id":1,"n":"a"}\n{"id":2,"n":"b"}\n')
        result = self.run_json("import", "--entity", "c", path)
        self.assertEqual((result["rows"], result["created"], result["unchanged"]), (2, 2, 0))
        result = self.run_json("import", "--entity", "c", path)
        self.assertEqual((result["created"], result["unchanged"]), (0, 2))
        self.assertEqual(self.run_json("get", "c", "1")["data"], {"id": 1, "n": "a"})

    def test_incremental(self):
        result = self.run_json("import", "--entity", "v", "--kind", "incremental", "-",
                               stdin='{"n":1}\n{"id":"e1","n":2}\n')
        self.assertEqual(result["appended"], 2)
        self.refuse(CONFLICT, "import", "--entity", "v", "--kind", "snapshot", "-", says="wrong_kind")

    def test_csv_and_id_field(self):
        path = self.file("c.csv", "email,age\na@x.test,007\nb@x.test,\n")
        self.run_ok("import", "--entity", "c", "--id-field", "email", path)
        self.assertEqual(self.run_json("get", "c", "a@x.test")["data"], {"email": "a@x.test", "age": "007"})
        self.assertEqual(self.run_json("get", "c", "b@x.test")["data"], {"email": "b@x.test"})
        self.refuse(CONFLICT, "import", "--entity", "c", "--id-field", "age", path)

    def test_csv_typed_by_the_schema(self):
        self.run_ok("entities", "declare", "c", "--schema",
                    '{"kind":"snapshot","fields":[{"name":"age","type":"integer"}]}')
        self.run_ok("import", "--entity", "c", "--format", "csv", "-", stdin="id,age\n1,42\n")
        self.assertEqual(self.run_json("get", "c", "1")["data"], {"id": "1", "age": 42})
        self.refuse(USAGE, "import", "--entity", "c", "--format", "csv", "-", stdin="id,age\n1,old\n",
                    says="line 2, column 3")

    def test_bad_input_is_named(self):
        cases = [("ndjson", '{"id":1}\n{"id":2,}\n', "line 2, column 9"),
                 ("ndjson", '{"id":1}\n[2]\n', "line 2, column 1"),
                 ("ndjson", '{"id":1}\n{"n":2}\n', 'line 2: the id field "id" is missing'),
                 ("ndjson", '{"id":1}\n{"id":[2]}\n', 'line 2: field "id"'),
                 ("csv", "id,a\n1\n", "line 2"), ("csv", 'id,a\n1,"x\n', "line 2, column 3"),
                 ("csv", 'id,a\n1,x"y\n', "line 2, column 4"), ("csv", "", "header row"),
                 ("csv", "id,id\n", "line 1, column 4")]
        for kind, text, place in cases:
            for replace in ([], ["--replace"]):
                if "the id field" in place and replace or 'field "id"' in place and replace:
                    continue  # an upload sets such a row aside
                self.refuse(USAGE, "import", "--entity", "c", "--format", kind, *replace, "-",
                            stdin=text, says=place)
        answer = self.run_any("uploads", "list", "--output", "json")
        self.assertTrue(all(upload["state"] == "aborted" for upload in answer.json()))

    def test_replace(self):
        path = self.file("users.csv", self.USERS)
        result = self.run_json("import", "--entity", "users", "--replace", path)
        self.assertEqual((result["created"], result["deleted"], result["state"]), (2, 0, "finished"))
        result = self.run_json("import", "--entity", "users", "--replace", path)
        self.assertEqual((result["unchanged"], result["created"], result["updated"]), (2, 0, 0))
        changed = self.file("users.csv", "id,email\nu2,new@x.test\nu3,c@x.test\n")
        dry = self.run_json("import", "--entity", "users", "--replace", "--dry-run", changed)
        self.assertEqual((dry["created"], dry["updated"], dry["deleted"]), (1, 1, 1))
        self.assertEqual(len(self.run_json("scan", "users")), 2)
        result = self.run_json("import", "--entity", "users", "--replace", changed)
        self.assertEqual((result["created"], result["updated"], result["deleted"]), (1, 1, 1))
        self.assertEqual([r["id"] for r in self.run_json("scan", "users")], ["u2", "u3"])
        self.assertEqual(self.run_any("uploads", "show").code, NOT_FOUND)

    def test_replace_large_in_pages(self):
        rows = "".join(json.dumps({"id": i, "email": f"{i}@x.test"}) + "\n" for i in range(2500))
        result = self.run_json("import", "--entity", "users", "--replace", "--progress", "json", "-",
                               stdin=rows)
        self.assertEqual(result["created"], 2500)
        upload = self.run_json("uploads", "list")[0]
        pages = self.run_json("uploads", "show", upload["sync_id"], "--pages")
        self.assertEqual([page["accepted"] for page in pages], [1000, 1000, 500])

    def test_progress_is_json(self):
        answer = self.run_ok("import", "--entity", "c", "--progress", "json", "-", stdin='{"id":1}\n')
        self.assertTrue(all("progress" in json.loads(line) for line in answer.err.splitlines()))
        self.assertTrue(answer.err)

    def test_rows_set_aside(self):
        rows = '{"id":"u1","email":"a@x.test"}\n{"id":"u2"}\n'
        answer = self.run_ok("import", "--entity", "users", "--replace", "--output", "json", "-", stdin=rows)
        self.assertEqual((answer.json()["created"], answer.json()["rejected"]), (1, 1))
        self.assertIn("line 2", answer.err)
        self.assertIn("email", answer.err)
        upload = self.run_json("uploads", "list")[0]["sync_id"]
        rejected = self.run_json("uploads", "show", upload, "--rejected")
        self.assertEqual([(row["row"], row["field"], row["code"]) for row in rejected],
                         [(1, "email", "required")])

    def test_guards(self):
        rows = "".join(json.dumps({"id": i}) + "\n" for i in range(200))
        self.run_ok("import", "--entity", "c", "--replace", "-", stdin=rows)
        self.refuse(CONFLICT, "import", "--entity", "c", "--replace", "-", stdin="", says="delete_guard")
        self.refuse(CONFLICT, "import", "--entity", "c", "--replace", "--max-delete-share", "0.3", "-",
                    stdin='{"id":1}\n', says="delete_guard")
        self.assertEqual(len(self.run_json("scan", "c", "--ids")), 200)
        self.run_ok("import", "--entity", "c", "--replace", "--allow-empty", "-", stdin="")
        self.assertEqual(self.run_json("scan", "c"), [])

    def test_dry_run_writes_nothing(self):
        self.run_ok("put", "c", "1", "1")
        self.run_ok("import", "--entity", "d", "--dry-run", "-", stdin='{"id":1}\n')
        self.run_ok("import", "--entity", "d", "--replace", "--dry-run", "-", stdin='{"id":1}\n')
        self.assertEqual([e["name"] for e in self.run_json("entities", "list")], ["c"])


class UploadsTest(CliTest):
    def start_and_die(self):
        """An uploader that is killed before it finishes."""
        rows = "".join(json.dumps({"id": i}) + "\n" for i in range(1500)).encode()
        process = subprocess.Popen([TIDEMARK, "--data", str(self.data), "import", "--entity", "c",
                                    "--replace", "-"], stdin=subprocess.PIPE,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        process.stdin.write(rows)
        process.stdin.flush()
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            answer = self.run_any("uploads", "show", "--pages", "--output", "json")
            if answer.code == OK and answer.json():
                break
            time.sleep(0.1)
        process.kill()
        process.stdin.close()
        process.wait()

    def test_list_show_abort(self):
        self.start_and_die()
        active = self.run_json("uploads", "list")[0]
        self.assertEqual(active["state"], "started")
        self.refuse(CONFLICT, "import", "--entity", "c", "--replace", "-", stdin='{"id":1}\n',
                    says=active["sync_id"])
        self.assertEqual(self.run_json("uploads", "abort")["state"], "aborted")
        self.refuse(CONFLICT, "uploads", "abort", active["sync_id"], says="sync_closed")
        self.refuse(NOT_FOUND, "uploads", "show", "0" * 32)

    def test_force_supersedes(self):
        self.start_and_die()
        self.run_ok("import", "--entity", "c", "--replace", "--force", "-", stdin='{"id":1}\n')
        states = [upload["state"] for upload in self.run_json("uploads", "list")]
        self.assertEqual(states, ["finished", "superseded"])

    def test_resume(self):
        self.start_and_die()
        self.refuse(USAGE, "uploads", "resume")
        path = self.file("c.ndjson", "".join(json.dumps({"id": i}) + "\n" for i in range(700)))
        result = self.run_json("uploads", "resume", "--entity", "c", "--file", path)
        self.assertEqual(result["entities"]["c"]["created"], 700)
        self.assertEqual(len(self.run_json("scan", "c", "--ids")), 700)

    def test_resume_as_is(self):
        self.start_and_die()
        result = self.run_json("uploads", "resume", "--as-is")
        self.assertEqual(result["entities"]["c"]["created"], 1000)

    def test_interrupt_leaves_nothing(self):
        process = subprocess.Popen([TIDEMARK, "--data", str(self.data), "import", "--entity", "c",
                                    "--replace", "-"], stdin=subprocess.PIPE,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            if self.run_any("uploads", "show").code == OK:
                break
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(timeout=30), 130)
        process.stdin.close()
        process.stderr.close()
        self.assertEqual(self.run_any("uploads", "show").code, NOT_FOUND)


class EntitiesTest(CliTest):
    def test_declare_show_list(self):
        self.run_ok("entities", "declare", "contact", "--id-field", "email", "--label", "person")
        shown = self.run_json("entities", "show", "contact")
        self.assertEqual((shown["kind"], shown["label"], shown["id_fields"]),
                         ("snapshot", "person", ["email"]))
        schema = self.file("s.json", json.dumps(shown["declaration"]))
        self.run_ok("entities", "declare", "other", "--file", schema)
        names = [entity["name"] for entity in self.run_json("entities", "list")]
        self.assertEqual(names, ["contact", "other"])
        self.refuse(NOT_FOUND, "entities", "show", "nothing")
        self.refuse(CONFLICT, "entities", "declare", "contact", "--kind", "incremental")
        self.refuse(USAGE, "entities", "declare", "x", "--schema", '{"kind":"odd"}', says="kind")
        self.refuse(NOT_ALLOWED, "entities", "declare", "_x")
        for policy in ("last_writer", "by_field", "callback", "reject"):
            self.run_ok("entities", "declare", "note", "--conflicts", policy)
            declared = self.run_json("entities", "show", "note")["declaration"]
            self.assertEqual(declared.get("conflicts", "reject"), policy)
        self.refuse(USAGE, "entities", "declare", "note", "--conflicts", "by_fields", says="by_fields")

    def test_retention(self):
        self.run_ok("entities", "declare", "v", "--kind", "incremental", "--retain-age", "30d",
                    "--retain-count", "5", "--retain-bytes", "1MiB")
        self.refuse(USAGE, "entities", "declare", "v", "--retain-age", "soon")

    def test_empty_and_drop(self):
        self.run_ok("put", "c", "1", "1")
        self.run_ok("put", "c", "2", "2")
        self.assertEqual(self.run_json("entities", "empty", "c")["deleted"], 2)
        self.assertEqual(self.run_json("scan", "c"), [])
        self.run_ok("entities", "drop", "c")
        self.run_ok("append", "c", "{}")
        self.refuse(NOT_FOUND, "entities", "empty", "nothing")
        self.refuse(NOT_FOUND, "entities", "drop", "nothing")

    def test_trim(self):
        sequences = [self.run_json("append", "v", '{"n":%d}' % n)["sequence"] for n in range(5)]
        self.assertEqual(self.run_json("entities", "trim", "v", "--through", sequences[2])["trimmed"], 3)
        self.assertEqual(len(self.run_json("scan", "v")), 2)
        self.assertEqual(self.run_json("entities", "show", "v")["trimmed"], 3)


class LogTest(CliTest):
    def test_tail(self):
        for i in range(30):
            self.run_ok("put", "c" if i % 2 else "d", str(i), str(i)) if i < 4 else None
        lines = "".join('{"entity":"%s","id":%d,"data":%d}\n' % ("cd"[i % 2], i, i) for i in range(30))
        self.run_ok("apply", "-", stdin=lines)
        self.run_ok("delete", "c", "4")
        tail = self.run_ok("log", "tail").lines()
        self.assertEqual(len(tail), 10)
        self.assertEqual(tail[-1]["op"], "delete")
        self.assertEqual(set(tail[0]), {"sequence", "op", "entity", "id", "version", "data"})
        self.assertEqual(len(self.run_ok("log", "tail", "-n", "3", "--entity", "d").lines()), 3)
        everything = self.run_ok("log", "tail", "--after", "0").lines()
        self.assertEqual([e["sequence"] for e in everything], sorted(e["sequence"] for e in everything))
        after = self.run_ok("log", "tail", "--after", everything[-3]["sequence"]).lines()
        self.assertEqual(after, everything[-2:])
        self.assertIn("SEQUENCE", self.run_ok("log", "tail", "--output", "table").text)

    def test_follow(self):
        self.run_ok("put", "c", "1", "1")
        process = subprocess.Popen([TIDEMARK, "--data", str(self.data), "log", "tail", "-f"],
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.assertEqual(json.loads(process.stdout.readline())["id"], 1)
        self.run_ok("put", "c", "2", "2")
        self.assertEqual(json.loads(process.stdout.readline())["id"], 2)
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(timeout=30), 0)
        process.stdout.close()
        process.stderr.close()

    def test_stat(self):
        self.run_ok("put", "c", "1", "1")
        stat = self.run_json("log", "stat")
        self.assertEqual((stat["records"], stat["entities"]), (1, 1))
        self.assertGreater(stat["sequence"], 0)


class RefusalTest(CliTest):
    """Calls that are wrong say what is wrong, shortly, and change nothing."""

    def test_numbers(self):
        self.run_ok("put", "contact", "1", "1")
        for number in ("-1", "x", "1.5", "18446744073709551616"):
            self.refuse(USAGE, "scan", "contact", f"--limit={number}", says="whole number from 0 to")
        self.run_ok("scan", "contact", "--limit=18446744073709551615")

    def test_a_value_and_a_file(self):
        self.refuse(USAGE, "put", "contact", "1", "{}", "--file", self.file("v", "{}"), says="not both")

    def test_a_dry_run_ends_no_upload_sync(self):
        rows = self.file("users.ndjson", '{"id":1,"email":"a@example.org"}\n')
        self.refuse(USAGE, "import", "--entity", "users", "--replace", "--dry-run", "--force", rows,
                    says="leave one out")

    def test_an_import_that_stops_says_how_far_it_came(self):
        rows = self.file("c.ndjson", "".join('{"id":%d}\n' % i for i in range(1500)) + "{broken\n")
        self.refuse(USAGE, "import", "--entity", "contact", rows, says="1000 rows are imported")
        self.assertEqual(len(self.run_json("scan", "contact")), 1000)

    def test_events_are_not_deleted(self):
        self.run_ok("append", "visit", "{}", "--id", "e1")
        for event in ("e1", "nosuch"):
            self.refuse(CONFLICT, "delete", "visit", event, says="trimmed, not deleted")

    def test_a_repeated_append_tells_its_id(self):
        first = self.run_json("append", "visit", "{}", "--operation-id", "z")
        again = self.run_json("append", "visit", "{}", "--operation-id", "z")
        self.assertEqual(again, {**first, "replayed": True})


class DevicesTest(CliTest):
    def setUp(self):
        super().setUp()
        self.replica = self.folder / "replica"

    def pull(self, device="tablet-7"):
        return self.run_json("pull", "--replica", self.replica, "--device", device)

    def test_pull(self):
        for i in range(5):
            self.run_ok("put", "contact", str(i), '{"n":%d}' % i)
        first = self.pull()
        self.assertEqual((first["created"], first["updated"], first["deleted"]), (5, 0, 0))
        self.assertEqual(self.run_ok("export", data=self.replica).out, self.run_ok("export").out)
        self.assertTrue(self.pull()["nothing_owed"])
        self.run_ok("put", "contact", "1", '{"n":"new"}')
        self.run_ok("delete", "contact", "2")
        self.run_ok("put", "contact", "9", "{}")
        again = self.pull()
        self.assertEqual((again["created"], again["updated"], again["deleted"]), (1, 1, 1))
        self.assertEqual(self.run_ok("export", data=self.replica).out, self.run_ok("export").out)

    def test_pull_into_a_store_of_its_own(self):
        self.run_ok("put", "contact", "1", "1")
        self.run_ok("put", "contact", "100", '{"precious":1}', data=self.replica)
        self.refuse(CONFLICT, "pull", "--replica", self.replica, "--device", "d",
                    says="holds records of its own")
        self.assertIn("precious", self.run_ok("get", "contact", "100", data=self.replica).text)

    def test_what_a_replica_takes_no_writes_by(self):
        self.run_ok("put", "contact", "1", "1")
        self.pull()
        lines = self.file("x.ndjson", '{"entity":"contact","id":"1","data":2}\n')
        for command in (["apply", lines], ["entities", "drop", "contact"]):
            self.refuse(NOT_ALLOWED, *command, data=self.replica, says="write at its source")
        self.assertEqual(self.run_ok("get", "contact", "1", data=self.replica).text.strip(), "1")

    def push(self, command="push"):
        return self.run_json(command, "--replica", self.replica, "--device", "tablet-7")

    def outbox(self):
        lines = self.run_ok("outbox", "list", "--output", "ndjson", data=self.replica).text
        return [json.loads(line) for line in lines.splitlines()]

    def test_writes_of_a_replica(self):
        self.run_ok("put", "contact", "1", '{"n":1}')
        self.pull()
        self.run_ok("put", "contact", "1", '{"n":2}', data=self.replica)
        self.run_ok("put", "contact", "2", '{"n":3}', data=self.replica)
        self.run_ok("append", "visit", '{"ward":3}', data=self.replica)
        self.refuse(CONFLICT, "put", "contact", "1", "{}", "--if-absent", data=self.replica)
        self.assertEqual([row["type"] for row in self.outbox()], ["put", "put", "append"])
        pushed = self.push()
        self.assertEqual((pushed["applied"], pushed["pending"], pushed["failed"]), (3, 0, 0))
        self.assertEqual(self.run_ok("export", data=self.replica).out, self.run_ok("export").out)
        self.assertTrue(self.pull()["nothing_owed"])

    def test_a_temporary_id_is_replaced(self):
        self.run_ok("put", "contact", "1", "{}")
        self.pull()
        self.run_ok("put", "household", "tmp-1", '{"v":1}', data=self.replica)
        self.run_ok("put", "member", "m", '{"household":"tmp-1"}', data=self.replica)
        self.refuse(USAGE, "outbox", "replace-id", "household", "tmp-1", "7", "--reference",
                    "member", data=self.replica, says="ENTITY.FIELD")
        self.run_ok("outbox", "replace-id", "household", "tmp-1", "7", "--reference",
                    "member.household", data=self.replica)
        self.assertEqual(self.push()["applied"], 2)
        self.assertEqual(self.run_ok("get", "member", "m").text.strip(), '{"household":7}')
        self.assertEqual(self.run_ok("get", "household", "7").text.strip(), '{"v":1}')

    def test_a_refused_operation_is_kept_retried_and_dropped(self):
        self.run_ok("put", "contact", "1", '{"n":1}')
        self.pull()
        for value in ('{"n":2}', '{"n":3}'):
            self.run_ok("put", "contact", "1", value, data=self.replica)
        self.run_ok("put", "contact", "1", '{"n":9}')
        self.refuse(CONFLICT, "sync", "--replica", self.replica, "--device", "tablet-7",
                    says="outbox list says why")
        self.assertEqual(self.run_ok("export", data=self.replica).out, self.run_ok("export").out)
        failed = self.outbox()
        self.assertEqual([row["error"]["code"] for row in failed], ["conflict", "skipped"])
        self.assertEqual(failed[0]["error"]["current"], {"n": 9})
        self.refuse(USAGE, "outbox", "drop", data=self.replica, says="--all-failed")
        self.refuse(NOT_FOUND, "outbox", "retry", "77", data=self.replica)
        self.run_ok("outbox", "drop", str(failed[0]["operation"]), data=self.replica)
        self.assertEqual(self.run_json("outbox", "retry", "--all-failed", data=self.replica),
                         {"retried": 1, "pending": 1, "failed": 0})
        self.assertEqual(self.push("sync")["applied"], 1)
        self.assertEqual(self.run_ok("get", "contact", "1").text.strip(), '{"n":3}')
        self.assertEqual(self.outbox(), [])

    def test_bundles_carry_syncs_as_files(self):
        down, up, answers = (str(self.folder / name) for name in ("down", "up", "answers"))
        for i in range(3):
            self.run_ok("put", "contact", str(i), '{"n":%d}' % i)
        packed = self.run_json("bundle", "pack", "--device", "tablet-7", "--out", down)
        self.assertEqual((packed["records"], packed["complete"]), (3, True))
        report = self.run_json("bundle", "inspect", down)
        self.assertEqual((report["sound"], report["checksum"]), (True, packed["checksum"]))
        applied = self.run_json("bundle", "apply", down, "--replica", self.replica)
        self.assertEqual((applied["created"], applied["reset"]), (3, False))
        self.assertEqual(self.run_json("bundle", "apply", down, "--replica", self.replica)["unchanged"], 3)
        self.run_ok("put", "contact", "1", '{"n":11}', data=self.replica)
        self.run_ok("put", "contact", "2", '{"n":12}', data=self.replica)
        self.run_ok("put", "contact", "2", '{"n":22}')
        packed = self.run_json("bundle", "pack", "--replica", self.replica, "--out", up)
        self.assertEqual((packed["operations"], packed["keys"]), (2, 1))
        taken = self.run_json("bundle", "apply", up, "--answers", answers)
        self.assertEqual((taken["applied"], taken["conflict"], taken["acknowledged"]), (1, 1, 3))
        self.refuse(CONFLICT, "bundle", "apply", answers, "--replica", self.replica,
                    says="outbox list says why")
        self.run_ok("bundle", "pack", "--device", "tablet-7", "--out", down)
        self.run_ok("bundle", "apply", down, "--replica", self.replica)
        self.assertEqual(self.run_ok("export", data=self.replica).out, self.run_ok("export").out)
        self.assertTrue(self.pull()["nothing_owed"])
        self.assertTrue(self.run_json("bundle", "pack", "--device", "tablet-7", "--out",
                                      str(self.folder / "none"))["nothing"])
        self.assertFalse((self.folder / "none").exists())

    def test_bundles_that_are_refused(self):
        down = self.folder / "down"
        self.run_ok("put", "contact", "1", "1")
        self.run_ok("bundle", "pack", "--device", "tablet-7", "--out", str(down))
        self.refuse(USAGE, "bundle", "pack", "--out", str(down), says="--device")
        self.refuse(CONFLICT, "bundle", "apply", str(down), says="tablet-7")
        self.refuse(NOT_FOUND, "bundle", "inspect", str(self.folder / "nothing"))
        damaged = self.folder / "damaged"
        damaged.write_bytes(down.read_bytes()[:-1])
        self.refuse(CORRUPT, "bundle", "apply", str(damaged), "--replica", self.replica,
                    says="frame 3, at byte")
        self.assertFalse(pathlib.Path(self.replica).exists())
        self.refuse(CORRUPT, "bundle", "inspect", str(damaged), says="frame 3, at byte")
        self.run_ok("bundle", "apply", str(down), "--replica", self.replica)
        self.run_ok("bundle", "pack", "--device", "other", "--out", str(down))
        self.refuse(CONFLICT, "bundle", "apply", str(down), "--replica", self.replica, says="other")

    def test_operations_are_retried_and_dropped_together(self):
        for record in ("1", "2", "3"):
            self.run_ok("put", "contact", record, '{"n":1}')
        self.pull()
        for record in ("1", "2", "3"):
            self.run_ok("put", "contact", record, '{"n":2}', data=self.replica)
            self.run_ok("put", "contact", record, '{"n":9}')
        self.refuse(CONFLICT, "sync", "--replica", self.replica, "--device", "tablet-7")
        failed = [str(row["operation"]) for row in self.outbox()]
        self.assertEqual(len(failed), 3)
        self.refuse(NOT_FOUND, "outbox", "retry", failed[0], "77", data=self.replica)
        self.refuse(USAGE, "outbox", "retry", "x7", data=self.replica, says="x7")
        self.assertEqual(self.run_json("outbox", "retry", failed[1], failed[0], data=self.replica),
                         {"retried": 2, "pending": 2, "failed": 1})
        self.run_ok("put", "contact", "2", '{"n":3}', data=self.replica)
        for wrong in (["--record", "2"], ["--entity", "contact"],
                      ["--entity", "contact", "--record", "2", "--all-failed"]):
            self.refuse(USAGE, "outbox", "drop", *wrong, data=self.replica, says="--entity and --record")
        drop = ("outbox", "drop", "--entity", "contact", "--record")
        self.assertEqual(self.run_json(*drop, "2", data=self.replica), {"dropped": 2, "pending": 1, "failed": 1})
        self.refuse(NOT_FOUND, *drop, "2", data=self.replica)
        self.assertEqual(self.run_json("outbox", "drop", failed[2], data=self.replica),
                         {"dropped": 1, "pending": 1, "failed": 0})
        self.assertEqual(self.push("sync")["applied"], 1)
        self.assertEqual(self.run_ok("export", data=self.replica).out, self.run_ok("export").out)

    def test_deletions_are_forgotten(self):
        for i in range(3):
            for op in ('"data":1', '"op":"delete"'):
                lines = "".join('{"entity":"contact","id":"%d",%s}\n' % (n, op) for n in range(20))
                self.run_ok("apply", self.file("x.ndjson", lines))
                self.pull()
            stat = self.run_json("log", "stat")
            self.assertEqual((stat["records"], stat["deletions"]), (0, 0))

    def test_a_new_epoch_is_told(self):
        self.run_ok("put", "contact", "1", "1")
        (self.data / "instance-default" / "GUARD").unlink()
        told = self.run_ok("put", "contact", "2", "2").err
        self.assertIn("warning: a new epoch begins: the guard file is missing", told)
        self.assertEqual(self.run_ok("put", "contact", "3", "3").err, "")

    def test_tail_beyond_the_end(self):
        self.run_ok("put", "contact", "1", "1")
        self.refuse(CONFLICT, "log", "tail", "--after", "99999", says="beyond the last change")
        self.assertEqual(self.run_ok("log", "tail", "--after", "1").text, "")

    def test_pull_into_the_source_itself(self):
        self.run_ok("put", "contact", "1", "1")
        link = self.folder / "link"
        link.symlink_to(self.data)
        for replica in (self.data, link, self.folder / "x" / ".." / self.data.name):
            (self.folder / "x").mkdir(exist_ok=True)
            error = self.refuse(USAGE, "pull", "--replica", replica, "--device", "d").err
            self.assertIn("the same folder", error)
        self.assertEqual(self.run_ok("get", "contact", "1").text.strip(), "1")
        self.run_ok("verify")

    def test_why(self):
        self.run_ok("put", "contact", "1", "1")
        self.pull()
        self.run_ok("put", "contact", "2", "1")
        self.run_ok("delete", "contact", "1")
        why = lambda record: self.run_json("why", "--device", "tablet-7", "contact", record)
        self.assertEqual((why("1")["state"], why("1")["next"]), ("owed", "deleted"))
        self.assertEqual((why("2")["state"], why("2")["next"]), ("owed", "created"))
        self.pull()
        self.assertEqual(why("2")["state"], "up_to_date")
        told = self.run_ok("why", "--device", "tablet-7", "contact", "2").text
        self.assertIn("contact 2 on tablet-7: up_to_date", told)
        self.assertIn("It has acknowledged the newest version", told)
        code = self.run_any("why", "--device", "nobody", "contact", "1").code
        self.assertEqual(code, NOT_FOUND)

    def test_queues(self):
        self.run_ok("entities", "declare", "visit", "--key", "state")
        self.run_ok("put", "contact", "1", "1")
        self.run_ok("put", "visit", "a", '{"state":"open"}')
        self.run_ok("put", "visit", "b", '{"state":"closed"}')
        self.assertEqual(self.run_json("queues", "list"), [])
        self.run_ok("queues", "declare", "people", "--order", "2", "--entity", "contact")
        told = self.run_json("queues", "declare", "today", "--order", 1, "--where", 'visit:state=open')
        self.assertEqual(told, {"queue": "today", "order": 1, "parts": ['visit:state="open"']})
        self.assertEqual([row["queue"] for row in self.run_json("queues", "list")], ["today", "people"])
        pulled = self.run_ok("pull", "--replica", self.replica, "--device", "t", "--progress", "json")
        works = [json.loads(line)["progress"]["work"] for line in pulled.err.splitlines()]
        self.assertEqual(works[-3:], ["pull today", "pull people", "pull main"])
        self.run_ok("queues", "drop", "people")
        self.assertEqual(self.run_any("queues", "drop", "people").code, NOT_FOUND)
        for wrong in (["main", "--entity", "contact"], ["none"], ["high", "--order", "1001", "--entity", "a"],
                      ["keyless", "--where", "visit:owner=1"]):
            self.assertEqual(self.run_any("queues", "declare", *wrong).code, USAGE, wrong)

    def test_a_token_with_a_selection(self):
        self.run_ok("entities", "declare", "visit", "--key", "owner")
        made = self.run_json("token", "create", "--entity", "contact", "--where", "visit:owner=17,18")
        self.assertEqual(made["selection"], ["contact", "visit:owner=17,18"])
        self.assertEqual(self.run_json("token", "list")[0]["selection"], made["selection"])
        for wrong in (["--role", "admin", "--entity", "contact"], ["--where", "visit:area=1"], ["--entity", "a b"]):
            self.assertEqual(self.run_any("token", "create", *wrong).code, USAGE, wrong)
        self.assertEqual(len(self.run_json("token", "list")), 1)

    def test_status_of_a_pull(self):
        self.run_ok("put", "contact", "1", "1")
        self.run_ok("put", "deal", "1", "1")
        self.pull()
        rows = {row["id"]: row for row in self.run_json("status", data=self.replica)}
        self.assertEqual(set(rows), {"pull:contact", "pull:deal"})
        self.assertEqual({row["state"] for row in rows.values()}, {"synced"})
        self.assertEqual(rows["pull:deal"]["records"], 1)
        self.assertEqual(len(self.run_json("status", "pull:deal", data=self.replica)), 1)
        self.assertEqual(self.run_any("status", "none", data=self.replica).code, NOT_FOUND)
        self.assertEqual(self.run_json("scopes", data=self.replica), [])
        self.assertEqual(self.run_any("scopes", "none", data=self.replica).code, NOT_FOUND)
        self.assertNotIn("_sync", self.run_ok("export", data=self.replica).text)

    def test_watching_statuses(self):
        self.run_ok("put", "contact", "1", "1")
        self.pull()
        process = subprocess.Popen([TIDEMARK, "--data", self.replica, "status", "--watch",
                                    "--output", "ndjson"], stdout=subprocess.PIPE)
        try:
            first = json.loads(process.stdout.readline())
            self.assertEqual((first["id"], first["state"]), ("pull:contact", "synced"))
            self.run_ok("put", "deal", "1", "1")
            self.pull()
            while True:
                row = json.loads(process.stdout.readline())
                if row["id"] == "pull:deal" and row["state"] == "synced":
                    break
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(timeout=20)
            process.stdout.close()

    def test_lag_and_show(self):
        self.run_ok("put", "contact", "1", "1")
        self.pull()
        self.run_ok("put", "contact", "2", "2")
        lag = self.run_json("devices", "lag")
        self.assertEqual([(row["device"], row["owed"]) for row in lag], [("tablet-7", 1)])
        self.assertEqual(self.run_json("devices", "show", "tablet-7")["owed"], 1)
        self.assertEqual(self.run_json("devices", "list")[0]["selection"], "everything")
        self.refuse(NOT_FOUND, "devices", "show", "nobody")

    def test_reset(self):
        self.run_ok("put", "contact", "1", "1")
        self.pull()
        self.assertTrue(self.run_json("devices", "reset", "tablet-7")["reset_pending"])
        self.assertTrue(self.pull()["reset"])
        self.assertEqual(len(self.run_json("scan", "contact", data=self.replica)), 1)

    def test_forget(self):
        self.run_ok("put", "contact", "1", "1")
        self.run_ok("put", "contact", "2", "2")
        self.pull()
        self.run_ok("delete", "contact", "1")
        self.assertEqual(self.run_json("devices", "show", "tablet-7")["holding"], 1)
        self.assertTrue(self.run_json("devices", "forget", "tablet-7")["forgotten"])
        self.assertTrue(self.pull()["reset"])
        self.assertEqual([r["id"] for r in self.run_json("scan", "contact", data=self.replica)], [2])

    def test_id_pools(self):
        self.refuse(USAGE, "id-pool", "define", "registration", says="--to")
        made = self.run_json("id-pool", "define", "registration", "--to", "1001", "--digits", "12")
        self.assertEqual((made["pool"], made["free"], made["suspended"]), ("registration", 1000, False))
        self.refuse(CONFLICT, "id-pool", "define", "registration", "--to", "900", "--digits", "12")
        ask = ["id-pool", "lease", "registration", "--device", "tablet-7", "--user", "nurse", "--count", "10",
               "--request-id", "r1"]
        lease = self.run_json(*ask)
        self.assertEqual(lease["ranges"], [{"from": 1, "to": 11}])
        self.assertEqual(self.run_json(*ask), lease)
        self.refuse(USAGE, "id-pool", "release", "registration", "--device", "tablet-7", says="--used")
        gone = self.run_json("id-pool", "release", "registration", "--device", "tablet-7", "--user", "nurse",
                             "--lease", lease["lease"], "--used", "4")
        self.assertEqual(gone["void"], [])
        self.run_ok("id-pool", "lease", "registration", "--device", "lost", "--count", "10")
        self.assertEqual(self.run_json("id-pool", "reclaim", "registration", "--device", "lost")["reclaimed"], 10)
        self.refuse(NOT_FOUND, "id-pool", "reclaim", "registration", "--device", "nobody")
        status = self.run_json("id-pool", "status", "registration")
        self.assertEqual((status["used"], status["free"], status["held"]), (4, 996, 0))
        holders = self.run_json("id-pool", "status", "registration", "--devices")
        self.assertEqual([(one["device"], one["used"]) for one in holders], [("lost", 0), ("tablet-7", 4)])
        self.assertEqual([pool["pool"] for pool in self.run_json("id-pool", "list")], ["registration"])
        self.refuse(NOT_FOUND, "id-pool", "status", "none")
        self.refuse(CONFLICT, "id-pool", "resume", "registration", "--from", "500")
        self.run_ok("backup", "create", self.folder / "b")
        self.run_ok("backup", "restore", self.folder / "b", data=self.folder / "restored")
        self.refuse(CONFLICT, *ask[:-1], "r2", data=self.folder / "restored")
        self.run_ok("id-pool", "resume", "registration", "--from", "500", data=self.folder / "restored")
        again = self.run_json(*ask[:-1], "r2", data=self.folder / "restored")
        self.assertEqual(again["ranges"], [{"from": 500, "to": 510}])

    def test_select(self):
        self.run_ok("put", "contact", "1", "1")
        self.run_ok("put", "deal", "1", "1")
        self.run_ok("devices", "select", "tablet-7", "--entity", "contact")
        self.assertEqual(self.pull()["created"], 1)
        self.run_ok("devices", "select", "tablet-7", "--entity", "deal")
        moved = self.pull()
        self.assertEqual((moved["created"], moved["deleted"]), (1, 1))
        self.run_ok("devices", "select", "tablet-7", "--everything")
        self.assertEqual(self.pull()["created"], 1)

    def test_select_by_value(self):
        self.run_ok("put", "visit", "early", '{"owner":17}')
        self.refuse(USAGE, "devices", "select", "tablet-7", "--where", "visit:owner=17",
                    says="has no key (owner)")
        self.run_ok("entities", "declare", "visit", "--key", "owner", "--key", "owner+area")
        self.run_ok("put", "visit", "1", '{"owner":17,"area":"n"}')
        self.run_ok("put", "visit", "2", '{"owner":18,"area":"n, e"}')
        self.run_ok("put", "visit", "3", '{"owner":"17"}')
        shown = self.run_json("devices", "select", "tablet-7", "--where", "visit:owner=17",
                              "--where", 'visit:area="n, e";owner=18,19')
        self.assertEqual(shown["selection"], ["visit:owner=17", 'visit:area="n, e";owner=18,19'])
        self.assertEqual(self.pull()["created"], 3)
        self.run_ok("put", "visit", "1", '{"owner":20,"area":"n"}')
        self.assertEqual(self.pull()["deleted"], 1)
        for wrong in ("visit", ":a=1", "visit:", "visit:=1"):
            self.refuse(USAGE, "devices", "select", "tablet-7", "--where", wrong)
        self.assertEqual(self.run_json("entities", "show", "visit")["declaration"]["keys"],
                         [["owner"], ["owner", "area"]])

    def test_wrong_device_and_same_folder(self):
        self.run_ok("put", "contact", "1", "1")
        self.pull()
        self.refuse(CONFLICT, "pull", "--replica", self.replica, "--device", "other")
        self.refuse(USAGE, "pull", "--replica", self.data, "--device", "d")
        self.refuse(USAGE, "pull", "--replica", self.replica, "--device", " ")


class BackupTest(CliTest):
    def test_create_list_verify_restore(self):
        backups, restored = self.folder / "backups", self.folder / "restored"
        self.run_ok("put", "c", "1", "1")
        self.assertEqual(self.run_json("backup", "create", backups)["number"], 1)
        self.run_ok("put", "c", "2", "2")
        self.run_ok("backup", "create", backups)
        self.assertEqual([b["number"] for b in self.run_json("backup", "list", backups)], [1, 2])
        self.assertTrue(self.run_json("backup", "verify", backups)["verified"])
        before = self.run_json("log", "stat")
        self.run_ok("backup", "restore", backups, data=restored)
        self.assertEqual(self.run_ok("export", data=restored).out, self.run_ok("export").out)
        after = self.run_json("log", "stat", data=restored)
        self.assertGreater(after["epoch"], before["epoch"])
        self.refuse(CONFLICT, "backup", "restore", backups)
        self.run_ok("backup", "restore", backups, "--number", "1", "--as", "first")
        self.assertEqual(len(self.run_json("--instance", "first", "scan", "c")), 1)
        self.refuse(NOT_FOUND, "backup", "verify", backups, "--number", "9")
        self.refuse(NOT_FOUND, "backup", "list", self.folder / "none")

    def test_backups_are_made_elsewhere(self):
        self.run_ok("put", "contact", "1", "1")
        self.refuse(USAGE, "backup", "create", self.data)
        self.assertFalse((self.store_path() / "meta").exists())

    def test_what_shares_a_damaged_file_is_refused(self):
        backups, restored = self.folder / "backups", self.folder / "restored"
        self.run_ok("put", "contact", "1", "1")
        self.run_ok("backup", "create", backups)
        shared = list(backups.rglob("*.sst"))
        self.assertTrue(shared)
        for path in shared:
            damage(path)
        refused = self.refuse(CORRUPT, "backup", "create", backups)
        self.assertIn("a new folder", refused.err)
        refused = self.refuse(CORRUPT, "backup", "restore", backups, "--number", "1", data=restored)
        self.assertIn(".sst", refused.err)
        self.assertEqual([p for p in restored.rglob("*") if p.is_file()], [])

    def test_damaged_backup(self):
        backups = self.folder / "backups"
        self.run_ok("put", "c", "1", '"' + "x" * 5000 + '"')
        self.run_ok("backup", "create", backups)
        files = [p for p in backups.rglob("*") if p.is_file() and p.stat().st_size > 1000]
        self.assertTrue(files)
        for path in files:
            damage(path)
        self.refuse(CORRUPT, "backup", "verify", backups)


def damage(path):
    """Flips a bit in the middle of a file."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0x10
    path.write_bytes(content)


class IntegrityTest(CliTest):
    def test_verify(self):
        self.run_ok("put", "c", "1", "1")
        result = self.run_json("verify")
        self.assertEqual((result["problems"], result["ok"]), (0, True))

    def test_doctor(self):
        checks = {row["check"]: row["verdict"] for row in self.run_json("doctor")}
        self.assertEqual(checks["store default"], "warning")
        self.run_ok("put", "c", "1", "1")
        checks = {row["check"]: row["verdict"] for row in self.run_json("doctor")}
        for name in ("free disk", "file system", "open files", "store default", "guard", "device lag",
                     "held back", "uploads"):
            self.assertIn(name, checks)

    def test_recover(self):
        self.run_ok("put", "c", "1", "1")
        before = self.run_json("recover")
        self.assertEqual(before["records"], 1)

    def test_lost_writes(self):
        """The database is put back to an earlier state while its guard says more was acknowledged."""
        self.run_ok("put", "c", "1", "1")
        kept = self.folder / "kept"
        shutil.copytree(self.store_path() / "db", kept)
        self.run_ok("put", "c", "2", "2")
        shutil.rmtree(self.store_path() / "db")
        shutil.move(kept, self.store_path() / "db")
        self.refuse(CORRUPT, "put", "c", "3", "3", says="data_loss")
        self.refuse(CORRUPT, "recover", says="data_loss")
        recovered = self.run_json("recover", "--accept-loss")
        self.assertEqual(recovered["epoch"], 2)
        self.run_ok("put", "c", "3", "3")
        self.assertEqual(len(self.run_json("scan", "c")), 2)


class OwnerTest(CliTest):
    def start_owner(self):
        """A process that has the store open until its input ends."""
        for _ in range(20):
            owner = subprocess.Popen([TIDEMARK, "--data", str(self.data), "apply", "-"],
                                     stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
                                     stderr=subprocess.DEVNULL)
            for _ in range(20):
                time.sleep(0.1)
                if owner.poll() is not None:
                    break  # a look of ours was in its way
                if self.run_any("put", "c", "2", "2").code == BUSY:
                    return owner
            owner.stdin.close()
            owner.wait(timeout=30)
        self.fail("no owner")

    def test_readers_beside_an_owner_and_writers_busy(self):
        self.run_ok("put", "c", "1", "1")
        owner = self.start_owner()
        try:
            self.refuse(BUSY, "entities", "empty", "c", says="busy")
            self.refuse(BUSY, "pull", "--replica", self.folder / "r", "--device", "d")
            self.assertEqual(self.run_ok("get", "c", "1").text, "1\n")
            for command in (["scan", "c"], ["export"], ["entities", "list"], ["log", "stat"],
                            ["log", "tail"], ["devices", "list"], ["devices", "lag"],
                            ["uploads", "list"], ["doctor"], ["verify"]):
                self.run_ok(*command)
        finally:
            owner.stdin.close()
            owner.wait(timeout=30)


def main():
    global TIDEMARK
    if len(sys.argv) < 2 or not os.access(sys.argv[1], os.X_OK):
        print(__doc__, file=sys.stderr)
        sys.exit(2)
    TIDEMARK = os.path.abspath(sys.argv.pop(1))
    unittest.main(verbosity=1)


if __name__ == "__main__":
    main()
