# enclayer_protobuf: protobuf lite. An archive where gRPC is linked statically (EnclayerGrpc.cmake): one program must not
# have two of it.
option(ENCLAYER_STATIC_GRPC "Link gRPC and what it needs statically" ON)
add_library(enclayer_protobuf INTERFACE)
find_library(GRPC_ARCHIVE libgrpc++_unsecure.a)
find_library(PROTOBUF_ARCHIVE libprotobuf-lite.a)
if(ENCLAYER_STATIC_GRPC AND GRPC_ARCHIVE AND PROTOBUF_ARCHIVE)
  target_link_libraries(enclayer_protobuf INTERFACE ${PROTOBUF_ARCHIVE} Threads::Threads)
else()
  target_link_libraries(enclayer_protobuf INTERFACE protobuf::libprotobuf-lite Threads::Threads)
endif()

# enclayer_proto(<target> PROTO <name>.proto [GRPC]): C++ from proto/<name>.proto, included as "proto/<name>.pb.h".
# With GRPC the target has the stubs too ("proto/<name>.grpc.pb.h"), and <target>_messages is the part without gRPC.
function(enclayer_proto target)
  cmake_parse_arguments(arg "GRPC" "PROTO" "" ${ARGN})
  get_filename_component(stem ${arg_PROTO} NAME_WE)
  set(out ${CMAKE_BINARY_DIR}/generated)
  file(MAKE_DIRECTORY ${out}/proto)
  set(messages ${out}/proto/${stem}.pb.cc ${out}/proto/${stem}.pb.h)
  set(options --cpp_out=${out})
  if(arg_GRPC)
    find_program(GRPC_CPP_PLUGIN grpc_cpp_plugin REQUIRED)
    set(stubs ${out}/proto/${stem}.grpc.pb.cc ${out}/proto/${stem}.grpc.pb.h)
    list(APPEND options --grpc_out=${out} --plugin=protoc-gen-grpc=${GRPC_CPP_PLUGIN})
  endif()
  add_custom_command(OUTPUT ${messages} ${stubs}
    COMMAND ${Protobuf_PROTOC_EXECUTABLE} -I${CMAKE_SOURCE_DIR} ${options} ${CMAKE_SOURCE_DIR}/proto/${arg_PROTO}
    DEPENDS ${CMAKE_SOURCE_DIR}/proto/${arg_PROTO} VERBATIM)
  set(libraries ${target})
  if(arg_GRPC)
    set(libraries ${target}_messages ${target})
    add_library(${target} STATIC ${stubs})
    target_link_libraries(${target} PUBLIC ${target}_messages enclayer_grpc)
    add_library(${target}_messages STATIC ${messages})
    target_link_libraries(${target}_messages PUBLIC enclayer_protobuf)
  else()
    add_library(${target} STATIC ${messages})
    target_link_libraries(${target} PUBLIC enclayer_protobuf)
  endif()
  foreach(library ${libraries})
    target_include_directories(${library} SYSTEM PUBLIC ${out})
    # Not under ThreadSanitizer: gRPC, which it cannot see into, wrote the bytes that this code reads, and a report for
    # each of a list's bytes takes minutes, suppressed or not.
    if(ENCLAYER_SANITIZE AND NOT ENCLAYER_SANITIZE MATCHES thread)
      target_compile_options(${library} PRIVATE -fsanitize=${ENCLAYER_SANITIZE})
    endif()
  endforeach()
endfunction()
