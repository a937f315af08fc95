// SPDX-License-Identifier: Apache-2.0
// What no server of this protocol can beat on one thread: accept, receive, send 4,600 fixed bytes, close. It checks
// nothing.
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstring>

int main(int argc, char** argv) {
  if (argc != 2) return std::fprintf(stderr, "usage: %s SOCKET\n", argv[0]), 1;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, argv[1], sizeof address.sun_path - 1);
  int listener = ::socket(AF_UNIX, SOCK_STREAM, 0);
  ::unlink(argv[1]);
  if (::bind(listener, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 || ::listen(listener, 4096) != 0)
    return std::perror("floor_server"), 1;
  static std::uint8_t reply[4600], request[65536];
  std::uint32_t length = sizeof reply - 4;
  std::memcpy(reply, &length, 4);
  std::fprintf(stderr, "serving\n");
  while (true) {
    int client = ::accept(listener, nullptr, nullptr);
    if (client < 0) continue;
    if (::recv(client, request, sizeof request, 0) > 0) ::send(client, reply, sizeof reply, MSG_NOSIGNAL);
    ::close(client);
  }
}
