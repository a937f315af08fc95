# How every target of this project is built: one place for warnings, hardening and sanitizers.

add_library(enclayer_flags INTERFACE)
target_include_directories(enclayer_flags INTERFACE ${CMAKE_SOURCE_DIR}/include ${CMAKE_SOURCE_DIR}/src
                                                    ${CMAKE_BINARY_DIR}/generated)
target_compile_options(enclayer_flags INTERFACE -Wall -Wextra -Wpedantic -Wshadow -Wnon-virtual-dtor -Wundef
                                                -fstack-protector-strong)
target_compile_definitions(enclayer_flags INTERFACE _GLIBCXX_ASSERTIONS)
# Another compiler warns of other things, and who only wants to build is not held up by them.
option(ENCLAYER_WERROR "Warnings are errors: in CI and in the developers' presets" OFF)
if(ENCLAYER_WERROR)
  target_compile_options(enclayer_flags INTERFACE -Werror)
endif()
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # At -O2, g++ 12 sees overruns in std::string operator+ and vector::insert that are not there (GCC bugs 105651, 105329).
  target_compile_options(enclayer_flags INTERFACE -Wno-restrict -Wno-array-bounds -Wno-stringop-overflow
                                                  -Wno-stringop-overread)
elseif(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
  # Boost 1.74 does not know that clang has coroutines; libstdc++ 12 keeps them in the std namespace.
  target_compile_definitions(enclayer_flags INTERFACE BOOST_ASIO_HAS_CO_AWAIT=1 BOOST_ASIO_HAS_STD_COROUTINE=1)
endif()
if(ENCLAYER_SANITIZE)
  target_compile_options(enclayer_flags INTERFACE -fsanitize=${ENCLAYER_SANITIZE} -fno-omit-frame-pointer
                                                  -fno-sanitize-recover=all)
  target_link_options(enclayer_flags INTERFACE -fsanitize=${ENCLAYER_SANITIZE})
  if(ENCLAYER_SANITIZE MATCHES thread AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    target_compile_options(enclayer_flags INTERFACE -Wno-tsan)  # Boost.Asio has fences that the sanitizer does not see
  endif()
elseif(CMAKE_BUILD_TYPE STREQUAL "Release")
  # The same bytes wherever the tree lies (docs/decisions/images.md): neither __FILE__ nor debug information names its path.
  add_compile_options(-ffile-prefix-map=${CMAKE_SOURCE_DIR}=. -ffile-prefix-map=${CMAKE_BINARY_DIR}=build)
  # A test's own code is compiled once and run for milliseconds; what it tests is optimised as for users.
  set(is_test $<BOOL:$<TARGET_PROPERTY:ENCLAYER_IS_TEST>>)
  # test/integration/hardening_test.cc looks for what these leave in the programs.
  target_compile_options(enclayer_flags INTERFACE -fcf-protection -fstack-clash-protection)
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    target_compile_options(enclayer_flags INTERFACE -ftrivial-auto-var-init=zero)
  endif()
  target_compile_options(enclayer_flags INTERFACE "$<IF:${is_test},-O0,-g1;-U_FORTIFY_SOURCE;-D_FORTIFY_SOURCE=2>")
  target_link_options(enclayer_flags INTERFACE -Wl,-z,relro,-z,now -Wl,--as-needed)
endif()

# enclayer_library(<folder> SOURCES ... [DEPS ...]): the library of src/<folder>, as target enclayer_<folder>.
# <folder>_<part> where a part of it is linked alone.
function(enclayer_library name)
  cmake_parse_arguments(arg "" "" "SOURCES;DEPS" ${ARGN})
  add_library(enclayer_${name} STATIC ${arg_SOURCES})
  target_link_libraries(enclayer_${name} PUBLIC enclayer_flags ${arg_DEPS})
endfunction()

# enclayer_test(<name> [SEPARATE] SOURCES ... [DEPS ...] [RUNS <program>...]): a GoogleTest binary whose cases ctest lists one
# by one, built after the programs that it starts. SEPARATE: its sources have names in common, so they are not compiled as one.
# ENCLAYER_TEST_DATA names test/data; ENCLAYER_BIN_DIR names the folder of the built binaries.
function(enclayer_test name)
  if(NOT ENCLAYER_TESTS)
    return()
  endif()
  cmake_parse_arguments(arg "SEPARATE" "" "SOURCES;DEPS;RUNS" ${ARGN})
  add_executable(${name} ${arg_SOURCES})
  if(arg_SEPARATE)
    set_target_properties(${name} PROPERTIES UNITY_BUILD OFF)
  endif()
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests ENCLAYER_IS_TEST ON)
  if(CMAKE_CXX_CLANG_TIDY)  # nothing is run, and a test's paths and copies are of no interest: it takes milliseconds
    set_target_properties(${name} PROPERTIES CXX_CLANG_TIDY
                          "${CMAKE_CXX_CLANG_TIDY};--checks=-performance-*,-clang-analyzer-*")
  elseif(arg_RUNS)
    add_dependencies(${name} ${arg_RUNS})
  endif()
  target_include_directories(${name} PRIVATE ${CMAKE_SOURCE_DIR}/test)
  target_link_libraries(${name} PRIVATE enclayer_flags ${arg_DEPS} GTest::gmock GTest::gtest_main)
  target_compile_definitions(${name} PRIVATE ENCLAYER_TEST_DATA="${CMAKE_SOURCE_DIR}/test/data"
                                             ENCLAYER_SOURCE_DIR="${CMAKE_SOURCE_DIR}"
                                             ENCLAYER_BIN_DIR="${CMAKE_RUNTIME_OUTPUT_DIRECTORY}")
  set(timeout 120)
  if(ENCLAYER_SANITIZE)
    set(timeout 900)  # lists of 262,144 devices take minutes under ThreadSanitizer
  endif()
  include(GoogleTest)
  gtest_discover_tests(${name} TEST_PREFIX "${name}." DISCOVERY_MODE PRE_TEST DISCOVERY_TIMEOUT 60
                       PROPERTIES TIMEOUT ${timeout})
endfunction()
