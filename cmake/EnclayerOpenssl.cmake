# OpenSSL for our libraries: enclayer_openssl_crypto and enclayer_openssl_ssl. Shared, except in a program with the property
# ENCLAYER_STATIC_OPENSSL ON, for which the dynamic linker would bind thousands of symbols at every start
# (docs/decisions/verification.md).
find_package(OpenSSL 3.0 REQUIRED)
find_package(PkgConfig REQUIRED)
pkg_check_modules(OPENSSL_PC QUIET libcrypto)
set(openssl_private ${OPENSSL_PC_STATIC_LIBRARIES})
list(REMOVE_ITEM openssl_private crypto dl pthread)  # what is left is Debian 13's: its archive compresses, by z and zstd
foreach(part Crypto SSL)
  string(TOLOWER ${part} name)
  find_library(ENCLAYER_STATIC_${part} lib${name}.a)
  add_library(enclayer_openssl_${name} INTERFACE)
  target_include_directories(enclayer_openssl_${name} SYSTEM INTERFACE ${OPENSSL_INCLUDE_DIR})
  if(ENCLAYER_STATIC_${part} AND NOT ENCLAYER_SANITIZE)
    target_link_libraries(enclayer_openssl_${name} INTERFACE
      "$<IF:$<BOOL:$<TARGET_PROPERTY:ENCLAYER_STATIC_OPENSSL>>,${ENCLAYER_STATIC_${part}};${openssl_private},OpenSSL::${part}>")
  else()
    target_link_libraries(enclayer_openssl_${name} INTERFACE OpenSSL::${part})
  endif()
endforeach()
target_link_libraries(enclayer_openssl_ssl INTERFACE enclayer_openssl_crypto)
target_link_libraries(enclayer_openssl_crypto INTERFACE ${CMAKE_DL_LIBS})
