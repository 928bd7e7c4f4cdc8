# Headers of others that nearly every source reads are compiled once for each target, which takes a
# third off a build from nothing. None of ours is among them: what a source uses of this tree it
# includes itself, which the check of each header and clang-tidy (both without this) go by.
# Set TIDEMARK_PRECOMPILE=OFF to compile every source from its own includes alone.

option(TIDEMARK_PRECOMPILE "Precompile headers of other libraries" ${PROJECT_IS_TOP_LEVEL})

set(TIDEMARK_PRECOMPILED
    <algorithm> <array> <atomic> <charconv> <chrono> <condition_variable> <cstddef> <cstdint>
    <cstdlib> <cstring> <deque> <filesystem> <functional> <limits> <map> <memory> <mutex> <optional>
    <set> <span> <string> <string_view> <thread> <unordered_map> <utility> <variant> <vector>)

if(TIDEMARK_PRECOMPILE AND TIDEMARK_CCACHE AND CMAKE_CXX_COMPILER_LAUNCHER STREQUAL TIDEMARK_CCACHE)
  # What ccache asks for where headers are precompiled.
  set(CMAKE_CXX_COMPILER_LAUNCHER "${CMAKE_COMMAND}" -E env
                                  "CCACHE_SLOPPINESS=pch_defines,time_macros" "${TIDEMARK_CCACHE}")
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    add_compile_options($<$<COMPILE_LANGUAGE:CXX>:-fpch-preprocess>)
  endif()
endif()

set(TIDEMARK_PRECOMPILED_BY_TESTS <fstream> <random> <gmock/gmock.h> <gtest/gtest.h>)

# tidemark_precompile(TARGET [<other/header.h>...])
function(tidemark_precompile target)
  if(TIDEMARK_PRECOMPILE)
    target_precompile_headers(${target} PRIVATE ${TIDEMARK_PRECOMPILED} ${ARGN})
    # g++ 12 forgets that a precompiled header is a system's, whose overlaps it would not tell.
    target_compile_options(${target} PRIVATE
      "$<$<CXX_COMPILER_ID:GNU>:-Wno-array-bounds;-Wno-stringop-overread;-Wno-stringop-overflow>")
  endif()
endfunction()

# tidemark_precompile_test(TARGET): as above, once for all tests that are not optimised.
function(tidemark_precompile_test target)
  if(NOT TIDEMARK_PRECOMPILE)
    return()
  endif()
  if(NOT TARGET tidemark_test_headers)
    set(source "${PROJECT_BINARY_DIR}/generated/test_headers.cc")
    file(CONFIGURE OUTPUT "${source}" CONTENT "// Nothing but the headers of every test.\n")
    add_library(tidemark_test_headers OBJECT "${source}")
    target_link_libraries(tidemark_test_headers PRIVATE GTest::gmock)
    target_compile_options(tidemark_test_headers PRIVATE $<$<CONFIG:RelWithDebInfo>:-O0>)
    tidemark_defaults(tidemark_test_headers)
    tidemark_precompile(tidemark_test_headers ${TIDEMARK_PRECOMPILED_BY_TESTS})
  endif()
  target_precompile_headers(${target} REUSE_FROM tidemark_test_headers)
endfunction()
