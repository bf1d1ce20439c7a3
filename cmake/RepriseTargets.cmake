# One helper each for a library, a program and a test, so that flags live in one place.

find_program(REPRISE_CCACHE ccache)
if(REPRISE_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${REPRISE_CCACHE})
endif()

# Warnings and sanitizers for one target of ours; never exported.
function(reprise_flags target)
  target_compile_options(${target} PRIVATE -Wall -Wextra -Wpedantic -Wshadow -Wconversion)
  if(REPRISE_DEVELOPER)
    target_compile_options(${target} PRIVATE -Werror)
  endif()
  if(REPRISE_SANITIZE STREQUAL "asan")
    set(san -fsanitize=address,undefined -fno-sanitize=vptr -fno-sanitize-recover=all -fno-omit-frame-pointer)
  elseif(REPRISE_SANITIZE STREQUAL "tsan")
    set(san -fsanitize=thread -fno-omit-frame-pointer)
  endif()
  if(san)
    target_compile_options(${target} PRIVATE ${san})
    target_link_options(${target} PUBLIC ${san})
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

# reprise_test(core LABEL unit SOURCES a_test.cpp … LINKS reprise::core) makes program test_core and the ctest entry
# "core". A source needs only <boost/test/unit_test.hpp>; the module's main is generated.
function(reprise_test name)
  cmake_parse_arguments(ARG "" "LABEL;TIMEOUT" "SOURCES;LINKS;ENVIRONMENT" ${ARGN})
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 120)
  endif()
  set(main ${CMAKE_CURRENT_BINARY_DIR}/${name}_main.cpp)
  file(CONFIGURE OUTPUT ${main} CONTENT
       "#define BOOST_TEST_MODULE ${name}\n#include <boost/test/unit_test.hpp>\n" @ONLY)
  reprise_program(test_${name} SOURCES ${main} ${ARG_SOURCES}
                  LINKS ${ARG_LINKS} Boost::unit_test_framework)
  add_test(NAME ${name} COMMAND test_${name} --log_level=test_suite --report_level=short)
  set_tests_properties(${name} PROPERTIES LABELS "${ARG_LABEL}" TIMEOUT ${ARG_TIMEOUT}
    SKIP_REGULAR_EXPRESSION "SKIPPED: "
    ENVIRONMENT "REPRISE_SOURCE_DIR=${PROJECT_SOURCE_DIR};REPRISE_BIN_DIR=${CMAKE_RUNTIME_OUTPUT_DIRECTORY};${ARG_ENVIRONMENT}")
endfunction()
