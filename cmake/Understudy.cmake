# One CMake target per folder: understudy_folder(node_store DEPS common) makes a static library of the
# folder's *.cc (but main.cc), understudy_test(node_store_test DEPS node_store) a GoogleTest program of the
# test folder's *.cc, whose tests ctest runs one by one (LONG: they take minutes).
find_package(Threads REQUIRED)

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/bin")

find_program(CCACHE ccache)
if(CCACHE)
  # Without these it does not cache what is compiled with a precompiled header.
  set(CMAKE_CXX_COMPILER_LAUNCHER env CCACHE_SLOPPINESS=pch_defines,time_macros "${CCACHE}")
endif()
find_program(MOLD mold)
if(MOLD)
  add_link_options(-fuse-ld=mold)
endif()

add_compile_options(-Wall -Wextra -Werror -Wno-missing-field-initializers -fno-omit-frame-pointer)
# cpprestsdk's U(x) macro breaks Boost headers in the same file.
add_compile_definitions(_TURN_OFF_PLATFORM_STRING BOOST_ASIO_NO_DEPRECATED)
include_directories("${CMAKE_SOURCE_DIR}")

# What compiles slowly and is not what the sanitizers are for: test code, where assertions become long functions, and
# files that are mostly a library's templates. Long tests are optimised all the same: what they share with the product
# of header code is linked from one of the two.
set(UNDERSTUDY_TEST_OPTIONS "")
set(UNDERSTUDY_LONG_TEST_OPTIONS "")
set(UNDERSTUDY_TEMPLATE_OPTIONS "")
set(UNDERSTUDY_SANITIZE "" CACHE STRING "address, thread or empty")
if(UNDERSTUDY_SANITIZE STREQUAL "address")
  # A null pointer that is used faults anyway.
  add_compile_options(-fsanitize=address,undefined -fno-sanitize=null -fno-sanitize-recover=all)
  add_link_options(-fsanitize=address,undefined)
  add_compile_definitions(UNDERSTUDY_ADDRESS_SANITIZER)
  set(UNDERSTUDY_TEST_OPTIONS -O0 -fno-sanitize=vptr,alignment,object-size)
  set(UNDERSTUDY_LONG_TEST_OPTIONS -fno-sanitize=undefined)
  set(UNDERSTUDY_TEMPLATE_OPTIONS -O0 -fno-sanitize=undefined)
elseif(UNDERSTUDY_SANITIZE STREQUAL "thread")
  add_compile_options(-fsanitize=thread)
  add_link_options(-fsanitize=thread)
  add_compile_definitions(UNDERSTUDY_THREAD_SANITIZER)
  set(UNDERSTUDY_TEST_OPTIONS -O0)
  set(UNDERSTUDY_TEMPLATE_OPTIONS -O0)
elseif(NOT UNDERSTUDY_SANITIZE STREQUAL "")
  message(FATAL_ERROR "UNDERSTUDY_SANITIZE is '${UNDERSTUDY_SANITIZE}'; it may be address, thread or empty")
endif()

# In the sanitizers' builds, whose compiler makes good use of it, half of a file's time is the headers of the standard
# library, GoogleMock and the JSON library: `headers` (product_headers, test_headers or long_test_headers) holds them
# precompiled with the options that follow, which the target gets too. The other builds show that each file includes
# what it needs.
function(understudy_precompiled target headers)
  if(NOT UNDERSTUDY_SANITIZE)
    return()
  endif()
  set(options ${ARGN} "SHELL:-Xclang -fno-pch-timestamp")
  if(NOT TARGET ${headers})
    file(WRITE "${CMAKE_BINARY_DIR}/${headers}.cc" "")
    add_library(${headers} OBJECT "${CMAKE_BINARY_DIR}/${headers}.cc")
    target_link_libraries(${headers} PRIVATE common)
    target_compile_options(${headers} PRIVATE ${options})
    target_precompile_headers(${headers} PRIVATE <algorithm> <chrono> <functional> <map> <memory> <mutex> <optional>
                              <span> <string> <string_view> <thread> <unordered_map> <vector> <nlohmann/json.hpp>)
    if(NOT headers STREQUAL "product_headers")
      target_link_libraries(${headers} PRIVATE GTest::gmock)
      target_precompile_headers(${headers} PRIVATE <gmock/gmock.h> <gtest/gtest.h>)
    endif()
  endif()
  target_compile_options(${target} PRIVATE ${options})
  target_precompile_headers(${target} REUSE_FROM ${headers})
endfunction()

function(understudy_folder target)
  cmake_parse_arguments(ARG "" "" "DEPS" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS "${CMAKE_CURRENT_SOURCE_DIR}/*.cc")
  list(FILTER sources EXCLUDE REGEX "/main\\.cc$")
  add_library(${target} STATIC ${sources})
  target_link_libraries(${target} PUBLIC ${ARG_DEPS} Threads::Threads)
  if(NOT target STREQUAL "common")
    understudy_precompiled(${target} product_headers)
  endif()
endfunction()

# Files of this folder that are mostly a library's templates.
function(understudy_template_files)
  if(UNDERSTUDY_TEMPLATE_OPTIONS)
    set_property(SOURCE ${ARGN} APPEND PROPERTY COMPILE_OPTIONS ${UNDERSTUDY_TEMPLATE_OPTIONS})
    set_property(SOURCE ${ARGN} PROPERTY SKIP_PRECOMPILE_HEADERS ON)
  endif()
endfunction()

function(understudy_test target)
  cmake_parse_arguments(ARG "LONG" "" "DEPS" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS "${CMAKE_CURRENT_SOURCE_DIR}/*.cc")
  add_executable(${target} ${sources})
  target_link_libraries(${target} PRIVATE ${ARG_DEPS} GTest::gmock GTest::gtest_main)
  if(ARG_LONG)
    understudy_precompiled(${target} long_test_headers ${UNDERSTUDY_LONG_TEST_OPTIONS})
  else()
    understudy_precompiled(${target} test_headers ${UNDERSTUDY_TEST_OPTIONS})
  endif()
  include(GoogleTest)
  gtest_discover_tests(${target} DISCOVERY_MODE PRE_TEST WORKING_DIRECTORY "${CMAKE_SOURCE_DIR}"
                       PROPERTIES TIMEOUT 300 LABELS ${target})
endfunction()
