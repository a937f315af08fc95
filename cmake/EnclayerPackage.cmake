# What `cmake --install` puts elsewhere, for find_package(enclayer):
#   enclayer::enclayer    the C++ library, static (include/enclayer/verify.h, policy.h and what they include)
#   enclayer::enclayer_c  the C library, shared (include/enclayer/enclayer.h)
#   enclayer::enclayer_attest_c  the pod's side of the attestation service, for C, shared (include/enclayer/attest.h): a
#                         library of its own, because verification knows no network
# and pkg-config files for the last two. samples/verify-from-cpp, -c and -python and attest-from-c use them.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)
find_package(tl-expected REQUIRED)

# The objects that the programs are made of, in one archive. Its name is not that of the C library: -lenclayer finds one.
add_library(enclayer_static STATIC $<TARGET_OBJECTS:enclayer_base_values> $<TARGET_OBJECTS:enclayer_base_digest> $<TARGET_OBJECTS:enclayer_attestation>)
set_target_properties(enclayer_static PROPERTIES OUTPUT_NAME enclayer_cxx EXPORT_NAME enclayer LINKER_LANGUAGE CXX)
target_compile_features(enclayer_static INTERFACE cxx_std_20)
target_link_libraries(enclayer_static INTERFACE OpenSSL::Crypto tl::expected)
target_include_directories(enclayer_static INTERFACE $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)

add_library(enclayer_shared SHARED ${CMAKE_SOURCE_DIR}/src/attestation/c_api.cc)
set(exports ${CMAKE_SOURCE_DIR}/src/attestation/c_api.map)
target_link_libraries(enclayer_shared PRIVATE $<BUILD_INTERFACE:enclayer_attestation>)
target_link_options(enclayer_shared PRIVATE -Wl,--version-script=${exports} -Wl,--as-needed)
set_target_properties(enclayer_shared PROPERTIES OUTPUT_NAME enclayer EXPORT_NAME enclayer_c LINK_DEPENDS ${exports}
                                                 VERSION ${PROJECT_VERSION} SOVERSION ${PROJECT_VERSION_MAJOR}
                                                 LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/lib)
target_include_directories(enclayer_shared INTERFACE $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>
                                                     $<BUILD_INTERFACE:${CMAKE_SOURCE_DIR}/include>)

add_library(enclayer_attest_shared SHARED ${CMAKE_SOURCE_DIR}/src/attest/c_api.cc)
set(exports ${CMAKE_SOURCE_DIR}/src/attest/c_api.map)
target_link_libraries(enclayer_attest_shared PRIVATE $<BUILD_INTERFACE:enclayer_attest_client>)
target_link_options(enclayer_attest_shared PRIVATE -Wl,--version-script=${exports} -Wl,--as-needed -Wl,--gc-sections)
set_target_properties(enclayer_attest_shared PROPERTIES OUTPUT_NAME enclayer_attest EXPORT_NAME enclayer_attest_c LINK_DEPENDS ${exports}
                                                        VERSION ${PROJECT_VERSION} SOVERSION ${PROJECT_VERSION_MAJOR}
                                                        LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/lib)
target_include_directories(enclayer_attest_shared INTERFACE $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>
                                                            $<BUILD_INTERFACE:${CMAKE_SOURCE_DIR}/include>)

set(folder ${CMAKE_INSTALL_LIBDIR}/cmake/enclayer)
configure_package_config_file(${CMAKE_CURRENT_LIST_DIR}/enclayer-config.cmake.in ${CMAKE_BINARY_DIR}/enclayer-config.cmake
                              INSTALL_DESTINATION ${folder})
write_basic_package_version_file(${CMAKE_BINARY_DIR}/enclayer-config-version.cmake COMPATIBILITY SameMinorVersion)
file(RELATIVE_PATH prefix_from_pc /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)  # so that the installed tree can be moved
set(pc_name enclayer)
set(pc_says "Verifies SGX quotes, offline; the C library")
configure_file(${CMAKE_CURRENT_LIST_DIR}/enclayer.pc.in ${CMAKE_BINARY_DIR}/enclayer.pc @ONLY)
set(pc_name enclayer_attest)
set(pc_says "Gets tokens and secrets of the attestation service; the C library")
configure_file(${CMAKE_CURRENT_LIST_DIR}/enclayer.pc.in ${CMAKE_BINARY_DIR}/enclayer_attest.pc @ONLY)

install(TARGETS enclayer_static enclayer_shared enclayer_attest_shared EXPORT enclayer-targets COMPONENT development)
install(DIRECTORY ${CMAKE_SOURCE_DIR}/include/enclayer DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} COMPONENT development
        FILES_MATCHING PATTERN "*.h")
install(EXPORT enclayer-targets NAMESPACE enclayer:: DESTINATION ${folder} COMPONENT development)
install(FILES ${CMAKE_BINARY_DIR}/enclayer-config.cmake ${CMAKE_BINARY_DIR}/enclayer-config-version.cmake
        DESTINATION ${folder} COMPONENT development)
install(FILES ${CMAKE_BINARY_DIR}/enclayer.pc ${CMAKE_BINARY_DIR}/enclayer_attest.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig COMPONENT development)
install(FILES ${CMAKE_SOURCE_DIR}/src/attestation/policy.schema.json DESTINATION ${CMAKE_INSTALL_DATADIR}/enclayer
        COMPONENT development)
