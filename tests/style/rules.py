"""The rules of the source tree that no compiler checks. Each returns a list of complaints."""

import re

ROOMS = ("format", "db", "replication", "http", "server")  # Lowest first: each may include only itself and lower ones.
PROGRAMS = ("tools", "examples", "bench", "tests")

# Which files may include a third-party header. A room's tests may go where the room may.
# Keys are patterns of headers, values prefixes of paths.
HOMES = {
    r"rocksdb/.*": ("db/", "tests/db/", "tests/support/", "bench/"),
    r"flatbuffers/.*": ("format/batch", "format/internal/batch"),
    r"xxh(ash|3|_x86dispatch)\.h": ("format/checksum",),
    r"zstd\.h": ("format/compression.cc",),
    r"simdjson\.h": ("format/json", "format/internal/json"),
    r"roaring/.*": ("format/sequence_set",),
    r"CLI/.*": ("tools/",),
    r"(spdlog|fmt)/.*": ("tools/",),
    r"boost/.*": (
        "http/internal/exchange.h",
        "http/internal/listener_impl.h",
        "http/internal/stream_connection.h",
    ),
    r"curl/.*": ("http/client.cc", "http/mail.cc"),
    r"zlib\.h": ("http/gzip.cc",),
    r"openssl/.*": ("http/internal/", "server/internal/"),
    r"toml\+\+/.*": ("server/config.cc",),
    r"sqlite3\.h": ("tests/", "bench/"),
    r"(gtest|gmock)/.*": ("tests/",),
    r"benchmark/.*": ("bench/",),
}
GENERATED = {r".*_generated\.h": ("format/batch", "format/internal/batch")}
SYSTEM_FOLDERS = ("sys/", "netinet/", "arpa/", "linux/", "sanitizer/")

# Tests of more than one room: models, faults, and what supports them.
CROSS_ROOM_TESTS = ("tests/model/", "tests/fault/", "tests/support/")

LINES_MAX = 700
# Files that may be longer for now. The list only shrinks.
LONG_FILES = {}

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')
UNFINISHED = re.compile(r"\b(" + "TO" + "DO|FIX" + "ME)\\b")
MACHINE_PATH = re.compile(r"(?<![\w.}])/(home|root|work|Users)/\w")


def includes(text):
    """Yields (line number, is quoted, header)."""
    for number, line in enumerate(text.splitlines(), start=1):
        match = INCLUDE.match(line)
        if match:
            yield number, match.group(1) == '"', match.group(2)


def room_of(path):
    """The room or program folder a path lies in."""
    return path.split("/", 1)[0]


def is_public_header(path):
    """A header directly in a room is public."""
    parts = path.split("/")
    return len(parts) == 2 and parts[0] in ROOMS and path.endswith(".h")


def home_of(header, homes):
    """The prefixes of the files that may include a header, or None if it is not in the table."""
    for pattern, prefixes in homes.items():
        if re.fullmatch(pattern, header):
            return prefixes
    return None


def check_own_include(path, header):
    """Layers: only downward, and internal/ only from its own room and its tests."""
    own, target = room_of(path), room_of(header)
    generated = home_of(header, GENERATED)
    if generated is not None and not path.startswith(generated):
        return f'only {" and ".join(generated)}* include the generated "{header}"'
    if target not in ROOMS and target not in PROGRAMS:
        return f'"{header}" is not written from the root of the tree'
    if own in ROOMS:
        if target not in ROOMS or ROOMS.index(target) > ROOMS.index(own):
            return f'{own}/ must not include "{header}"'
    elif own != "tests" and target == "tests" and own != "bench":
        return f'{own}/ must not include "{header}"'
    if "/internal/" in header and target in ROOMS:
        tests = (f"tests/{target}/", *CROSS_ROOM_TESTS)
        if own != target and not path.startswith(tests):
            return f'"{header}" belongs to {target}/ and tests/{target}/'
        if is_public_header(path):
            return f'a public header must not include "{header}"'
    return None


def check_foreign_include(path, header):
    """Third-party headers: none in public headers, elsewhere only in their home."""
    if re.fullmatch(r"[a-z_0-9]+", header):
        return None  # C++ standard library.
    if is_public_header(path):
        return f"a public header includes only the C++ standard library, not <{header}>"
    home = home_of(header, HOMES)
    if home is None:
        if header.startswith(SYSTEM_FOLDERS) or re.fullmatch(r"[a-z_0-9]+\.h", header):
            return None  # POSIX.
        return f"<{header}> has no home: add one to tests/style/rules.py"
    if not path.startswith(home):
        return f'<{header}> belongs to {", ".join(home)}'
    return None


def check_includes(path, text):
    """All rules about #include lines of one C++ file."""
    complaints = []
    for number, quoted, header in includes(text):
        check = check_own_include if quoted else check_foreign_include
        complaint = check(path, header)
        if complaint:
            complaints.append(f"{path}:{number}: {complaint}")
    return complaints


def check_text(path, text):
    """Rules about the text of any file."""
    complaints = []
    for number, line in enumerate(text.splitlines(), start=1):
        if UNFINISHED.search(line):
            complaints.append(f"{path}:{number}: finish it, or open an issue")
        if MACHINE_PATH.search(line):
            complaints.append(f"{path}:{number}: a path of one machine")
    return complaints


def check_source(path, text):
    """Rules about one C++ file."""
    complaints = check_includes(path, text)
    if path.endswith(".h") and "#pragma once" not in text.splitlines():
        complaints.append(f"{path}:1: #pragma once is missing")
    lines = text.count("\n")
    if lines > LONG_FILES.get(path, LINES_MAX):
        complaints.append(f"{path}:{lines}: longer than {LINES_MAX} lines")
    return complaints


def check_room(room, headers, cmake_lists):
    """Every public header of a room is listed in its CMakeLists.txt, and so installed."""
    listed = set(re.findall(r"[\w./]+\.h\b", cmake_lists))
    return [
        f"{room}/{header}: not among the PUBLIC_HEADERS of {room}/CMakeLists.txt"
        for header in sorted(headers)
        if header not in listed
    ]


def check_file(path, text):
    """All rules for one file; `path` is relative to the root, with forward slashes."""
    complaints = check_text(path, text)
    if path.endswith((".h", ".cc")):
        complaints += check_source(path, text)
    return complaints
