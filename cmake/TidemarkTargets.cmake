# The few functions from which every room, program, test and benchmark is declared, so that all of
# them look alike. Paths in SOURCES and PUBLIC_HEADERS are relative to the calling directory.

# tidemark_room(format
#   SOURCES a.cc internal/b.cc
#   PUBLIC_HEADERS a.h              # installed, and each compiled on its own
#   LINKS tidemark_x                # the room below, if any
#   PRIVATE_LINKS PkgConfig::xxhash # third-party libraries: never visible to consumers
#   PRECOMPILE <rocksdb/db.h>       # headers of theirs that most sources read
# )
# declares the library tidemark_format (Tidemark::format). A room that is PROGRAM_ONLY is linked into
# our programs and not installed.
function(tidemark_room room)
  cmake_parse_arguments(PARSE_ARGV 1 arg "PROGRAM_ONLY" "" "SOURCES;PUBLIC_HEADERS;LINKS;PRIVATE_LINKS;PRECOMPILE")
  tidemark_check_arguments(tidemark_room)

  set(target tidemark_${room})
  add_library(${target})
  add_library(Tidemark::${room} ALIAS ${target})
  set_target_properties(${target} PROPERTIES EXPORT_NAME ${room} POSITION_INDEPENDENT_CODE ON
                                             VERSION ${PROJECT_VERSION}
                                             SOVERSION ${PROJECT_VERSION_MAJOR})
  target_sources(${target} PRIVATE ${arg_SOURCES}
                 PUBLIC FILE_SET HEADERS BASE_DIRS "${PROJECT_SOURCE_DIR}"
                 FILES ${arg_PUBLIC_HEADERS})
  target_link_libraries(${target} PUBLIC ${arg_LINKS} PRIVATE ${arg_PRIVATE_LINKS})
  tidemark_defaults(${target})
  tidemark_precompile(${target} ${arg_PRECOMPILE})
  if(arg_PROGRAM_ONLY)
    # Its headers are not installed, and each is compiled with the sources that include it.
    set_target_properties(${target} PROPERTIES VERIFY_INTERFACE_HEADER_SETS OFF)
  else()
    set_property(GLOBAL APPEND PROPERTY TIDEMARK_ROOMS ${target})
  endif()
endfunction()

# tidemark_flatbuffer(TARGET schema/batch.fbs): generates <room>/schema/batch_generated.h in the
# build tree and lets TARGET include it as "<room>/schema/batch_generated.h". Generated headers
# assert the version of the library, so they are never committed.
function(tidemark_flatbuffer target schema)
  cmake_path(ABSOLUTE_PATH schema BASE_DIRECTORY "${CMAKE_CURRENT_SOURCE_DIR}" OUTPUT_VARIABLE in)
  cmake_path(RELATIVE_PATH in BASE_DIRECTORY "${PROJECT_SOURCE_DIR}" OUTPUT_VARIABLE relative)
  cmake_path(GET relative PARENT_PATH folder)
  cmake_path(GET relative STEM name)
  set(root "${PROJECT_BINARY_DIR}/generated")
  set(out "${root}/${folder}/${name}_generated.h")
  add_custom_command(
    OUTPUT "${out}"
    COMMAND "${TIDEMARK_FLATC}" --cpp --cpp-std c++17 --scoped-enums -o "${root}/${folder}/" "${in}"
    DEPENDS "${in}"
    COMMENT "Generating ${folder}/${name}_generated.h"
    VERBATIM)
  target_sources(${target} PRIVATE "${out}")
  target_include_directories(${target} SYSTEM PRIVATE "${root}")
endfunction()

# tidemark_program(tidemark SOURCES main.cc ROOMS replication LINKS CLI11::CLI11 [INSTALL])
# declares the executable <build>/tidemark; its target is called tidemark_program_tidemark.
function(tidemark_program name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "INSTALL" "" "SOURCES;ROOMS;LINKS")
  tidemark_check_arguments(tidemark_program)

  set(target tidemark_program_${name})
  add_executable(${target} ${arg_SOURCES})
  set_target_properties(${target} PROPERTIES OUTPUT_NAME ${name}
                                             RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}")
  target_compile_definitions(${target} PRIVATE TIDEMARK_VERSION="${PROJECT_VERSION}")
  tidemark_link_rooms(${target} "${arg_ROOMS}")
  target_link_libraries(${target} PRIVATE ${arg_LINKS})
  tidemark_defaults(${target})
  if(arg_INSTALL)
    install(TARGETS ${target} RUNTIME DESTINATION "${CMAKE_INSTALL_BINDIR}" COMPONENT tools)
  endif()
endfunction()

# tidemark_test(status_test
#   SOURCES status_test.cc
#   ROOMS format
#   LABELS concurrency   # beside the folder's name: concurrency, crash, hostile, install
#   LINKS SQLite::SQLite3
#   TIMEOUT 120          # seconds for the whole executable
#   OPTIMISED            # its own code works long, as models do
# )
# One executable is one ctest entry: starting a process for each case would cost more than most
# cases do. tests/run counts the single cases from GoogleTest's reports. The target tests_<label>
# builds all tests with a label. What is tested is optimised as the preset says; the tests themselves,
# more than half of all that is compiled, are not.
function(tidemark_test name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "OPTIMISED" "TIMEOUT" "SOURCES;ROOMS;LINKS;LABELS")
  tidemark_check_arguments(tidemark_test)
  if(NOT arg_TIMEOUT)
    set(arg_TIMEOUT 120)
  endif()

  add_executable(${name} ${arg_SOURCES})
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/tests")
  tidemark_link_rooms(${name} "${arg_ROOMS}")
  target_link_libraries(${name} PRIVATE GTest::gmock GTest::gtest_main ${arg_LINKS})
  tidemark_defaults(${name})
  if(arg_OPTIMISED)
    tidemark_precompile(${name} ${TIDEMARK_PRECOMPILED_BY_TESTS})
  else()
    target_compile_options(${name} PRIVATE $<$<CONFIG:RelWithDebInfo>:-O0>)
    tidemark_precompile_test(${name})
  endif()

  cmake_path(GET CMAKE_CURRENT_SOURCE_DIR FILENAME folder)
  add_test(NAME ${name} COMMAND ${name})
  foreach(label IN LISTS folder arg_LABELS)
    if(NOT TARGET tests_${label})
      add_custom_target(tests_${label})
    endif()
    add_dependencies(tests_${label} ${name})
  endforeach()
  tidemark_test_properties(${name} "${folder};${arg_LABELS}" ${arg_TIMEOUT})
endfunction()

# tidemark_script_test(NAME COMMAND args... [LABELS ...] [TIMEOUT seconds]): a test that is a script.
# Exit status 77 means skipped.
function(tidemark_script_test name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "TIMEOUT" "COMMAND;LABELS")
  tidemark_check_arguments(tidemark_script_test)
  if(NOT arg_TIMEOUT)
    set(arg_TIMEOUT 120)
  endif()

  cmake_path(GET CMAKE_CURRENT_SOURCE_DIR FILENAME folder)
  add_test(NAME ${name} COMMAND ${arg_COMMAND})
  tidemark_test_properties(${name} "${folder};${arg_LABELS}" ${arg_TIMEOUT})
  set_tests_properties(${name} PROPERTIES SKIP_RETURN_CODE 77)
endfunction()

# tidemark_bench(store_bench SOURCES store_bench.cc ROOMS db): a Google Benchmark executable in
# <build>/bench. It comes with a main; pass NO_MAIN to bring your own.
function(tidemark_bench name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "NO_MAIN" "" "SOURCES;ROOMS;LINKS")
  tidemark_check_arguments(tidemark_bench)

  add_executable(${name} ${arg_SOURCES})
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/bench")
  tidemark_link_rooms(${name} "${arg_ROOMS}")
  target_link_libraries(${name} PRIVATE benchmark::benchmark ${arg_LINKS})
  if(NOT arg_NO_MAIN)
    target_link_libraries(${name} PRIVATE benchmark::benchmark_main)
  endif()
  tidemark_defaults(${name})
endfunction()

# tidemark_add_directory(DIR): adds a folder once it has a CMakeLists.txt.
function(tidemark_add_directory directory)
  file(GLOB list CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/${directory}/CMakeLists.txt")
  if(list)
    add_subdirectory("${PROJECT_SOURCE_DIR}/${directory}" "${PROJECT_BINARY_DIR}/${directory}")
  endif()
endfunction()

# tidemark_add_rooms(LOWEST ... HIGHEST)
function(tidemark_add_rooms)
  foreach(room IN LISTS ARGN)
    tidemark_add_directory(${room})
  endforeach()
endfunction()

# tidemark_add_tests(): one folder of tests for each room, and those that belong to none.
function(tidemark_add_tests)
  file(GLOB lists RELATIVE "${PROJECT_SOURCE_DIR}" CONFIGURE_DEPENDS
       "${PROJECT_SOURCE_DIR}/tests/*/CMakeLists.txt")
  foreach(list IN LISTS lists)
    cmake_path(GET list PARENT_PATH directory)
    tidemark_add_directory(${directory})
  endforeach()
endfunction()

# Below: helpers of the functions above.

macro(tidemark_check_arguments function)
  if(arg_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "${function}: unexpected ${arg_UNPARSED_ARGUMENTS}")
  endif()
  if(arg_KEYWORDS_MISSING_VALUES)
    list(REMOVE_ITEM arg_KEYWORDS_MISSING_VALUES LINKS PRIVATE_LINKS PRECOMPILE LABELS)
    if(arg_KEYWORDS_MISSING_VALUES)
      message(FATAL_ERROR "${function}: nothing given for ${arg_KEYWORDS_MISSING_VALUES}")
    endif()
  endif()
endmacro()

# ROOMS format db -> tidemark_format tidemark_db; everything may include from the root.
function(tidemark_link_rooms target rooms)
  target_include_directories(${target} PRIVATE "${PROJECT_SOURCE_DIR}")
  foreach(room IN LISTS rooms)
    target_link_libraries(${target} PRIVATE tidemark_${room})
  endforeach()
endfunction()

function(tidemark_test_properties name labels timeout)
  set(environment "TIDEMARK_SOURCE_DIR=${PROJECT_SOURCE_DIR}")
  if(TIDEMARK_SANITIZE STREQUAL "thread")
    list(APPEND environment "TSAN_OPTIONS=ignore_noninstrumented_modules=1:halt_on_error=1")
  elseif(TIDEMARK_SANITIZE)
    list(APPEND environment "UBSAN_OPTIONS=print_stacktrace=1"
                            "ASAN_OPTIONS=detect_stack_use_after_return=1:strict_string_checks=1")
  endif()
  if(TIDEMARK_SANITIZE)
    math(EXPR timeout "${timeout} * 5")
  endif()
  list(REMOVE_ITEM labels "")
  list(REMOVE_DUPLICATES labels)
  set_tests_properties(${name} PROPERTIES LABELS "${labels}" TIMEOUT ${timeout}
                                          ENVIRONMENT "${environment}")
endfunction()
