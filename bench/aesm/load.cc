// SPDX-License-Identifier: Apache-2.0
#include "load.h"

#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <thread>
#include <utility>

#include "base/bytes.h"

namespace enclayer::bench {
namespace {

using std::chrono::steady_clock;

constexpr std::size_t kHeader = 4;

[[noreturn]] void fail(const char* what) {
  std::perror(what);
  std::exit(1);
}

sockaddr_un address_of(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) fail("the socket's path is too long");
  std::memcpy(address.sun_path, path.data(), path.size());
  return address;
}

// -1 where the backlog is full.
int connected(const sockaddr_un& address, int flags) {
  int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);
  if (fd < 0) fail("socket");
  if (::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) return fd;
  if (errno != EAGAIN) fail("connect");
  ::close(fd);
  return -1;
}

struct Client {
  Group* group = nullptr;
  sockaddr_un address;
  int fd = -1;
  std::size_t received = 0;
  steady_clock::time_point begin;
};

}  // namespace

std::uint32_t quantile(std::vector<std::uint32_t>& latencies_us, double p) {
  if (latencies_us.empty()) return 0;
  auto at = latencies_us.begin() + static_cast<std::ptrdiff_t>(p * static_cast<double>(latencies_us.size() - 1));
  std::nth_element(latencies_us.begin(), at, latencies_us.end());
  return *at;
}

double run_load(std::vector<Group>& groups, std::chrono::milliseconds duration, std::chrono::milliseconds warm_up) {
  int poller = ::epoll_create1(EPOLL_CLOEXEC);
  std::vector<Client> clients;
  for (Group& group : groups)
    for (std::size_t i = 0; i < static_cast<std::size_t>(group.clients); ++i)
      clients.push_back({&group, address_of(group.sockets[i % group.sockets.size()]), -1, 0, {}});

  std::vector<Client*> waiting;  // for room in the backlog
  auto open = [&](Client& client) {
    client.received = 0;
    client.begin = steady_clock::now();
    client.fd = connected(client.address, SOCK_NONBLOCK);
    if (client.fd < 0) {
      ++client.group->queue_full;
      waiting.push_back(&client);
      return;
    }
    const std::uint8_t one_byte[] = {1};
    ByteView words = client.group->kind == Group::Kind::kHonest    ? ByteView(client.group->frame)
                     : client.group->kind == Group::Kind::kOneByte ? ByteView(one_byte)
                                                                   : ByteView();
    if (!words.empty() && ::send(client.fd, words.data(), words.size(), MSG_NOSIGNAL) < 0 && errno != EPIPE)
      fail("send");
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.ptr = &client;
    if (::epoll_ctl(poller, EPOLL_CTL_ADD, client.fd, &event) != 0) fail("epoll_ctl");
  };
  auto again = [&](Client& client) {
    ::close(client.fd);
    open(client);
  };
  for (Client& client : clients) open(client);

  auto begin = steady_clock::now() + warm_up, end = begin + duration;
  bool warm = false;
  std::vector<epoll_event> events(256);
  std::vector<std::uint8_t> buffer(64 << 10);
  while (true) {
    auto now = steady_clock::now();
    if (!warm && now >= begin) {
      warm = true;
      begin = now;
      for (Group& group : groups) {
        group.replies = group.errors = group.queue_full = 0;
        group.latencies_us.clear();
      }
    }
    if (now >= end) break;
    auto retry = std::exchange(waiting, {});
    for (Client* client : retry) open(*client);
    int ready = ::epoll_wait(poller, events.data(), static_cast<int>(events.size()), waiting.empty() ? 20 : 1);
    for (int i = 0; i < ready; ++i) {
      auto& client = *static_cast<Client*>(events[static_cast<std::size_t>(i)].data.ptr);
      Group& group = *client.group;
      ssize_t size = ::recv(client.fd, buffer.data(), buffer.size(), 0);
      if (size < 0 && errno == EAGAIN) continue;
      if (group.kind != Group::Kind::kHonest) {
        if (size <= 0) again(client);
        continue;
      }
      if (size <= 0) {
        ++group.errors;
        again(client);
        continue;
      }
      if (client.received == 0 && size >= static_cast<ssize_t>(kHeader) &&
          base::load_le32(buffer.data()) + kHeader != group.reply_size) {
        ++group.errors;
        again(client);
        continue;
      }
      client.received += static_cast<std::size_t>(size);
      if (client.received < group.reply_size) continue;
      ++group.replies;
      group.latencies_us.push_back(static_cast<std::uint32_t>(
          std::chrono::duration_cast<std::chrono::microseconds>(steady_clock::now() - client.begin).count()));
      again(client);
    }
  }
  double seconds = std::chrono::duration<double>(steady_clock::now() - begin).count();
  for (Client& client : clients)
    if (client.fd >= 0) ::close(client.fd);
  ::close(poller);
  return seconds;
}

Bytes ask(const std::string& socket, ByteView frame) {
  int fd = connected(address_of(socket), 0);
  if (fd < 0) return {};
  Bytes reply;
  std::uint8_t chunk[16384];
  if (::send(fd, frame.data(), frame.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(frame.size()))
    for (ssize_t size; (size = ::recv(fd, chunk, sizeof chunk, 0)) > 0;) {
      reply.insert(reply.end(), chunk, chunk + size);
      if (reply.size() >= kHeader && reply.size() >= kHeader + base::load_le32(reply.data())) break;
    }
  ::close(fd);
  return reply;
}

Polite ask_politely(const std::string& socket, ByteView frame, std::size_t reply_size, std::chrono::milliseconds pause,
                    std::chrono::milliseconds duration) {
  Polite polite;
  for (auto end = steady_clock::now() + duration; steady_clock::now() < end; std::this_thread::sleep_for(pause)) {
    auto begin = steady_clock::now();
    std::size_t size = ask(socket, frame).size();
    polite.latencies_us.push_back(static_cast<std::uint32_t>(
        std::chrono::duration_cast<std::chrono::microseconds>(steady_clock::now() - begin).count()));
    if (size != reply_size) ++(size == 0 ? polite.closed : polite.refused);
  }
  return polite;
}

SilentConnections::SilentConnections(const std::vector<std::string>& sockets, int count) {
  auto end = steady_clock::now() + std::chrono::seconds(1);
  for (std::size_t i = 0; static_cast<int>(fds_.size()) < count && steady_clock::now() < end; ++i)
    if (int fd = connected(address_of(sockets[i % sockets.size()]), SOCK_NONBLOCK); fd >= 0) fds_.push_back(fd);
}

SilentConnections::~SilentConnections() {
  for (int fd : fds_) ::close(fd);
}

}  // namespace enclayer::bench
