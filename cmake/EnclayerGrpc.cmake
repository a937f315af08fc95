# enclayer_grpc: gRPC C++ without TLS (unix sockets only). Linked statically where the archives are there (Debian's
# libgrpc++-dev has them): a third less memory and a third of the start-up time of the 55 shared libraries.
pkg_check_modules(GRPC REQUIRED grpc++_unsecure)
add_library(enclayer_grpc INTERFACE)
target_include_directories(enclayer_grpc SYSTEM INTERFACE ${GRPC_INCLUDE_DIRS})
if(ENCLAYER_STATIC_GRPC AND GRPC_ARCHIVE AND PROTOBUF_ARCHIVE)
  set(archives ${GRPC_STATIC_LIBRARIES})
  list(FILTER archives EXCLUDE REGEX "^(dl|rt|atomic|pthread|m)$")
  list(REMOVE_DUPLICATES archives)
  list(APPEND archives address_sorting re2 upb cares z)  # what grpc_unsecure.pc forgets to say
  list(TRANSFORM archives PREPEND "-l")
  target_link_libraries(enclayer_grpc INTERFACE
    "-Wl,--push-state,-Bstatic,--start-group" -lprotobuf-lite ${archives} "-Wl,--end-group,--pop-state" Threads::Threads)
else()
  target_link_libraries(enclayer_grpc INTERFACE ${GRPC_LINK_LIBRARIES} enclayer_protobuf Threads::Threads)
endif()
