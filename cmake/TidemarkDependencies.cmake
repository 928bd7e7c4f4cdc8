# Every third-party library, found once. Each is linked by one room only; tests/style checks the
# includes. What consumers of the installed static libraries need is repeated in
# TidemarkConfig.cmake.in.

find_package(Threads REQUIRED)
find_package(PkgConfig REQUIRED)

# RocksDB's package puts find modules of its own in front of everyone else's.
set(tidemark_saved_module_path "${CMAKE_MODULE_PATH}")
find_package(RocksDB 7 CONFIG REQUIRED)
set(CMAKE_MODULE_PATH "${tidemark_saved_module_path}")
unset(tidemark_saved_module_path)

# FlatBuffers is used through its headers alone; only the compiler is a program to find.
find_program(TIDEMARK_FLATC flatc REQUIRED)
find_path(TIDEMARK_FLATBUFFERS_INCLUDE flatbuffers/flatbuffers.h REQUIRED)
mark_as_advanced(TIDEMARK_FLATC TIDEMARK_FLATBUFFERS_INCLUDE)

pkg_check_modules(xxhash REQUIRED IMPORTED_TARGET libxxhash)
# Not by the name `zstd`: the variables of that are the find module's that RocksDB brings.
pkg_check_modules(libzstd REQUIRED IMPORTED_TARGET libzstd)
find_package(Roaring MODULE REQUIRED)
find_package(simdjson CONFIG REQUIRED)

if(TIDEMARK_BUILD_TOOLS)
  find_package(CLI11 CONFIG REQUIRED)
  find_package(fmt CONFIG REQUIRED)
  find_package(spdlog CONFIG REQUIRED)
  find_package(Boost 1.81 REQUIRED)
  find_package(OpenSSL 3 REQUIRED)
  find_package(CURL REQUIRED)
  find_package(ZLIB REQUIRED)
  find_path(TIDEMARK_TOMLPLUSPLUS_INCLUDE toml++/toml.h REQUIRED)
  mark_as_advanced(TIDEMARK_TOMLPLUSPLUS_INCLUDE)
endif()
if(TIDEMARK_BUILD_TESTS)
  find_package(GTest CONFIG REQUIRED)
  find_package(SQLite3 REQUIRED)
endif()
if(TIDEMARK_BUILD_BENCH)
  find_package(benchmark CONFIG REQUIRED)
endif()
