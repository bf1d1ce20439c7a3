# One helper each for a library, a program and a test, so that flags live in one place.

find_program(REPRISE_CCACHE ccache)
if(REPRISE_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${REPRISE_CCACHE})
endif()

# Warnings and sanitizers for one target of ours; never exported.
function(reprise_flags target)
  target_compile_options(${target} PRIVATE -Wall -Wextra -Wpedantic -Wshadow -Wconversion
    $<$<CXX_COMPILER_ID:Clang>:-Wno-sign-conversion>  # as GCC, whose -Wconversion leaves it out in C++
    $<$<CXX_COMPILER_ID:GNU>:-Wno-restrict -Wno-maybe-uninitialized>)  # GCC 12 sees overlaps in "text" + string where there are none (bug 105651)
  if(REPRISE_DEVELOPER)
    target_compile_options(${target} PRIVATE -Werror)
  endif()
  if(REPRISE_SANITIZE STREQUAL "asan")
    set(san -fsanitize=address,undefined -fno-sanitize=vptr -fno-sanitize-recover=all -fno-omit-frame-pointer)
    if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
      # Coverage for libFuzzer in every library it steers; reprise_fuzzer adds its main. One build serves both.
      list(APPEND san -fsanitize=fuzzer-no-link)
    endif()
  elseif(REPRISE_SANITIZE STREQUAL "tsan")
    set(san -fsanitize=thread -fno-omit-frame-pointer)
  endif()
  if(san)
    target_compile_options(${target} PRIVATE ${san})
    target_link_options(${target} PUBLIC ${san})
  endif()
endfunction()

# Several sources of a target are compiled as one where REPRISE_JOINED says so: for libraries of many small files whose
# instructions nobody counts, and for tests.
function(reprise_join target)
  if(REPRISE_JOINED)
    set_target_properties(${target} PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE 8)
    target_compile_options(${target} PRIVATE $<$<CXX_COMPILER_ID:GNU>:-Wno-subobject-linkage>)  # sees no main source any more
  endif()
endfunction()

# reprise_library(core SOURCES a.cpp b.cpp LINKS fmt::fmt …) makes target reprise_core, alias reprise::core.
function(reprise_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;LINKS;PRIVATE_LINKS" ${ARGN})
  add_library(reprise_${name} STATIC ${ARG_SOURCES})
  add_library(reprise::${name} ALIAS reprise_${name})
  target_include_directories(reprise_${name} PUBLIC $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}>)
  target_link_libraries(reprise_${name} PUBLIC ${ARG_LINKS} PRIVATE ${ARG_PRIVATE_LINKS})
  reprise_flags(reprise_${name})
endfunction()

# reprise_program(name SOURCES … LINKS …) puts an executable into bin/.
function(reprise_program name)
  cmake_parse_arguments(ARG "" "" "SOURCES;LINKS" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR})
  target_link_libraries(${name} PRIVATE ${ARG_LINKS})
  reprise_flags(${name})
endfunction()

# tests_unit, tests_actor … build what one label needs: the sanitizer runs build no more than they execute.
function(reprise_labels target)
  foreach(label ${ARGN})
    if(NOT TARGET tests_${label})
      add_custom_target(tests_${label})
    endif()
    add_dependencies(tests_${label} ${target})
  endforeach()
endfunction()

# reprise_test(core LABEL unit SOURCES a_test.cpp … LINKS reprise::core) makes program test_core and the ctest entry
# "core". A source needs only <boost/test/unit_test.hpp>; tests/support/test_main.cpp has the main. All of a source lies in
# a suite of its own, so that several can be compiled as one. SERIAL: it measures time, so
# nothing else may run beside it. BESIDE suite/w*: it waits more than it works, so the cases of that name and the others run
# side by side. A case that cannot run prints "SKIPPED: why" and returns; ctest is not told, because
# its skip expression would turn a failed program into a skipped one. CI reads those lines instead.
function(reprise_test name)
  cmake_parse_arguments(ARG "SERIAL" "LABEL;TIMEOUT;BESIDE" "SOURCES;LINKS;ENVIRONMENT" ${ARGN})
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 120)
  endif()
  if(REPRISE_SANITIZE)
    math(EXPR ARG_TIMEOUT "3 * ${ARG_TIMEOUT}")
  endif()
  reprise_program(test_${name} SOURCES ${ARG_SOURCES} LINKS reprise::test_main ${ARG_LINKS} Boost::unit_test_framework)
  # The libraries are under test, not the tests: compiling these well, or with all checks, takes two or three times as long.
  target_compile_options(test_${name} PRIVATE -O0)
  if(REPRISE_SANITIZE)
    target_compile_options(test_${name} PRIVATE -fno-sanitize=undefined)
  endif()
  reprise_join(test_${name})
  reprise_labels(test_${name} ${ARG_LABEL})
  if(ARG_BESIDE)
    set(run "$<TARGET_FILE:test_${name}> --log_level=test_suite --report_level=short --color_output=no")
    add_test(NAME ${name} COMMAND sh -c "${run} --run_test='${ARG_BESIDE}' & ${run} --run_test='!${ARG_BESIDE}'; rest=$?; wait $! && exit $rest")
  else()
    add_test(NAME ${name} COMMAND test_${name} --log_level=test_suite --report_level=short --color_output=no)
  endif()
  set_tests_properties(${name} PROPERTIES LABELS "${ARG_LABEL}" TIMEOUT ${ARG_TIMEOUT} RUN_SERIAL ${ARG_SERIAL}
    ENVIRONMENT "REPRISE_SOURCE_DIR=${PROJECT_SOURCE_DIR};REPRISE_BIN_DIR=${CMAKE_RUNTIME_OUTPUT_DIRECTORY};${ARG_ENVIRONMENT}")
endfunction()

# reprise_fuzzer(flow_file SOURCES flow_file_fuzz.cpp LINKS reprise::flow) is for sources with LLVMFuzzerTestOneInput.
# Under asan with clang it makes the libFuzzer program fuzz_flow_file, which "./dev fuzz" runs on tests/fuzz/corpus/flow_file;
# otherwise the same source, with a main of our own, replays that corpus as the unit test fuzz_flow_file.
add_custom_target(fuzzers)
function(reprise_fuzzer name)
  cmake_parse_arguments(ARG "" "" "SOURCES;LINKS" ${ARGN})
  if(REPRISE_SANITIZE STREQUAL "asan" AND CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
    reprise_program(fuzz_${name} SOURCES ${ARG_SOURCES} LINKS ${ARG_LINKS})
    target_link_options(fuzz_${name} PRIVATE -fsanitize=fuzzer)
    add_dependencies(fuzzers fuzz_${name})
    return()
  endif()
  reprise_program(fuzz_${name} SOURCES ${ARG_SOURCES} ${PROJECT_SOURCE_DIR}/tests/fuzz/replay_main.cpp LINKS ${ARG_LINKS})
  reprise_labels(fuzz_${name} unit)
  add_test(NAME fuzz_${name} COMMAND fuzz_${name} ${PROJECT_SOURCE_DIR}/tests/fuzz/corpus/${name})
  set_tests_properties(fuzz_${name} PROPERTIES LABELS unit TIMEOUT 120)
endfunction()
