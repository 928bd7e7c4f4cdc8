#!/usr/bin/env python3
"""Holds the source tree to the rules in rules.py, and the rules to examples.

usage: style_test.py ROOT
"""

import os
import sys
import unittest

import rules

ROOT = os.path.abspath(sys.argv.pop(1)) if len(sys.argv) > 1 else os.getcwd()
SUFFIXES = (".h", ".cc", ".md", ".cmake", ".txt", ".in", ".py", ".json", ".fbs", ".map", ".yml")
SKIPPED = ("build", "third_party")


def is_text(directory, name):
    """Files that the rules are for: known suffixes, and scripts, which have none."""
    if name.endswith(SUFFIXES):
        return True
    if "." in name:
        return False
    with open(os.path.join(directory, name), "rb") as file:
        return file.read(2) == b"#!"


def tree_files(root):
    """Yields (relative path, text) of every file that the rules are for."""
    for directory, folders, names in os.walk(root):
        folders[:] = sorted(
            f for f in folders
            if f == ".ci" or not f.startswith((".", "build-", "__")) and f not in SKIPPED)
        for name in sorted(names):
            if is_text(directory, name):
                path = os.path.join(directory, name)
                with open(path, encoding="utf-8") as file:
                    yield os.path.relpath(path, root).replace(os.sep, "/"), file.read()


class Tree(unittest.TestCase):
    def test_follows_the_rules(self):
        complaints = []
        count = 0
        for path, text in tree_files(ROOT):
            complaints += rules.check_file(path, text)
            count += 1
        self.assertGreater(count, 10, "this is not the source tree: " + ROOT)
        if complaints:
            self.fail(f"{len(complaints)} complaints\n" + "\n".join(complaints))

    def test_public_headers_are_installed(self):
        complaints = []
        for room in rules.ROOMS:
            directory = os.path.join(ROOT, room)
            cmake_lists = os.path.join(directory, "CMakeLists.txt")
            if os.path.exists(cmake_lists):
                headers = [name for name in os.listdir(directory) if name.endswith(".h")]
                with open(cmake_lists, encoding="utf-8") as file:
                    complaints += rules.check_room(room, headers, file.read())
        if complaints:
            self.fail("\n".join(complaints))


class Rules(unittest.TestCase):
    def refused(self, path, line):
        self.assertTrue(rules.check_includes(path, line), f"{path} may: {line}")

    def allowed(self, path, line):
        self.assertEqual(rules.check_includes(path, line), [])

    def test_includes_point_downward(self):
        self.refused("format/a.cc", '#include "db/store.h"')
        self.refused("db/a.cc", '#include "replication/source.h"')
        self.refused("db/a.cc", '#include "tests/support/x.h"')
        self.refused("tools/a.cc", '#include "tests/support/x.h"')
        self.refused("db/a.cc", '#include "store.h"')
        self.allowed("db/a.cc", '#include "format/status.h"')
        self.allowed("replication/a.cc", '#include "format/status.h"')
        self.allowed("tools/a.cc", '#include "replication/source.h"')

    def test_internal_stays_inside(self):
        self.refused("replication/a.cc", '#include "db/internal/x.h"')
        self.refused("tests/replication/a_test.cc", '#include "db/internal/x.h"')
        self.refused("db/store.h", '#include "db/internal/x.h"')
        self.allowed("db/store.cc", '#include "db/internal/x.h"')
        self.allowed("tests/db/a_test.cc", '#include "db/internal/x.h"')

    def test_third_party_stays_at_home(self):
        self.refused("db/store.h", "#include <rocksdb/db.h>")
        self.refused("format/status.h", "#include <unistd.h>")
        self.refused("replication/a.cc", "#include <rocksdb/db.h>")
        self.refused("db/a.cc", "#include <simdjson.h>")
        self.refused("db/a.cc", "#include <unknown/thing.h>")
        self.refused("db/a.cc", '#include "format/schema/batch_generated.h"')
        self.allowed("db/internal/a.h", "#include <rocksdb/db.h>")
        self.allowed("format/batch.cc", "#include <flatbuffers/flatbuffers.h>")
        self.allowed("format/batch.cc", '#include "format/schema/batch_generated.h"')
        self.allowed("db/a.cc", "#include <sys/stat.h>")

    def test_rooms(self):
        self.assertTrue(rules.check_room("db", ["a.h", "b.h"], "PUBLIC_HEADERS a.h"))
        self.assertEqual(rules.check_room("db", ["a.h"], "PUBLIC_HEADERS a.h LINKS x"), [])

    def test_text(self):
        self.assertTrue(rules.check_text("a.md", "TO" + "DO: later"))
        self.assertTrue(rules.check_text("a.md", "see /ho" + "me/me/x"))
        self.assertEqual(rules.check_text("a.md", "GET /v2/work/x, todo lists"), [])

    def test_sources(self):
        self.assertTrue(rules.check_source("db/a.h", "int x;\n"))
        self.assertTrue(rules.check_source("db/a.cc", "\n" * (rules.LINES_MAX + 1)))
        self.assertEqual(rules.check_source("db/a.h", "#pragma once\n"), [])


if __name__ == "__main__":
    unittest.main()
