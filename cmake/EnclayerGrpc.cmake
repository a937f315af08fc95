# enclayer_grpc: gRPC C++ without TLS (unix sockets only) and protobuf lite. Linked statically where the archives are there
# (Debian's libgrpc++-dev has them): a third less memory and a third of the start-up time of the 55 shared libraries.
option(ENCLAYER_STATIC_GRPC "Link gRPC and what it needs statically" ON)

pkg_check_modules(GRPC REQUIRED grpc++_unsecure)
add_library(enclayer_grpc INTERFACE)
target_include_directories(enclayer_grpc SYSTEM INTERFACE ${GRPC_INCLUDE_DIRS})
find_library(GRPC_ARCHIVE libgrpc++_unsecure.a)
find_library(GRPC_PROTOBUF_ARCHIVE libprotobuf-lite.a)
if(ENCLAYER_STATIC_GRPC AND GRPC_ARCHIVE AND GRPC_PROTOBUF_ARCHIVE)
  set(archives ${GRPC_STATIC_LIBRARIES})
  list(FILTER archives EXCLUDE REGEX "^(dl|rt|atomic|pthread|m)$")
  list(REMOVE_DUPLICATES archives)
  list(APPEND archives address_sorting re2 upb cares z)  # what grpc_unsecure.pc forgets to say
  list(TRANSFORM archives PREPEND "-l")
  target_link_libraries(enclayer_grpc INTERFACE
    "-Wl,--push-state,-Bstatic,--start-group" -lprotobuf-lite ${archives} "-Wl,--end-group,--pop-state" Threads::Threads)
else()
  target_link_libraries(enclayer_grpc INTERFACE ${GRPC_LINK_LIBRARIES} protobuf::libprotobuf-lite Threads::Threads)
endif()
