# Language, warnings, sanitizers and output folders for every target of this tree.

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_CXX_SCAN_FOR_MODULES OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_VERIFY_INTERFACE_HEADER_SETS ON)

if(PROJECT_IS_TOP_LEVEL)
  if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
    set(CMAKE_BUILD_TYPE RelWithDebInfo CACHE STRING "Build type" FORCE)
  endif()

  # RelWithDebInfo is what developers and tests run: optimised, but with asserts on.
  string(REPLACE "-DNDEBUG" "" CMAKE_CXX_FLAGS_RELWITHDEBINFO "${CMAKE_CXX_FLAGS_RELWITHDEBINFO}")

  find_program(TIDEMARK_CCACHE ccache)
  mark_as_advanced(TIDEMARK_CCACHE)
  if(TIDEMARK_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
    set(CMAKE_CXX_COMPILER_LAUNCHER "${TIDEMARK_CCACHE}")
  endif()
endif()

set(TIDEMARK_WARNINGS -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wsign-conversion
                      -Wnon-virtual-dtor -Wold-style-cast
                      # Options are written {.limit = 10}: what is not named keeps its default.
                      -Wno-missing-field-initializers)
if(TIDEMARK_WERROR)
  list(APPEND TIDEMARK_WARNINGS -Werror)
endif()

set(TIDEMARK_SANITIZE_FLAGS "")
if(TIDEMARK_SANITIZE)
  set(TIDEMARK_SANITIZE_FLAGS "-fsanitize=${TIDEMARK_SANITIZE}" -fno-sanitize-recover=all
                              -fno-omit-frame-pointer)
endif()

# tidemark_defaults(TARGET): what every target of this tree is compiled and linked with.
function(tidemark_defaults target)
  target_compile_features(${target} PUBLIC cxx_std_20)
  target_compile_options(${target} PRIVATE ${TIDEMARK_WARNINGS} ${TIDEMARK_SANITIZE_FLAGS})
  # At -O3, g++ 12 sees overlaps in the joining of strings that are not there, and members of empty
  # functions that are not set (GCC bugs 105651 and 105562).
  target_compile_options(${target} PRIVATE
    $<$<AND:$<CXX_COMPILER_ID:GNU>,$<CONFIG:Release>>:-Wno-restrict>
    $<$<AND:$<CXX_COMPILER_ID:GNU>,$<CONFIG:Release>>:-Wno-maybe-uninitialized>)
  get_target_property(type ${target} TYPE)
  if(type STREQUAL "EXECUTABLE")
    target_link_options(${target} PRIVATE ${TIDEMARK_SANITIZE_FLAGS})
    if(TIDEMARK_SANITIZE STREQUAL "thread")
      # A library that is not instrumented must not resolve its inline functions to our
      # instrumented copies: half-seen synchronisation is reported as a race.
      target_link_options(${target} PRIVATE
                          "-Wl,--version-script=${PROJECT_SOURCE_DIR}/cmake/local_symbols.map")
      set_property(TARGET ${target} APPEND PROPERTY
                   LINK_DEPENDS "${PROJECT_SOURCE_DIR}/cmake/local_symbols.map")
    endif()
  endif()
endfunction()
