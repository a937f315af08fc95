// SPDX-License-Identifier: Apache-2.0
// A client of a unix socket that may misbehave: it sends what it is told to, whole frames or not.
#pragma once

#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <optional>

#include "base/bytes.h"
#include "fake/framed.h"
#include "net/unix_socket.h"

namespace enclayer::fake {

// Lets this process have `number` descriptors open, for a test that holds so many connections; false where the machine
// does not allow it.
inline bool allow_descriptors(rlim_t number) {
  rlimit files{};
  if (::getrlimit(RLIMIT_NOFILE, &files) != 0 || files.rlim_max < number) return false;
  files.rlim_cur = std::max(files.rlim_cur, number);
  return ::setrlimit(RLIMIT_NOFILE, &files) == 0;
}

class RawClient {
 public:
  static constexpr std::chrono::seconds kPatience{20};

  explicit RawClient(const std::filesystem::path& path) {
    auto connected = net::connect_to(path, kPatience);
    if (!connected) return;
    fd_ = std::move(*connected);
    net::set_timeout(fd_.get(), kPatience);
  }

  bool connected() const { return static_cast<bool>(fd_); }
  int fd() const { return fd_.get(); }

  bool send(ByteView bytes) {
    return ::send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(bytes.size());
  }
  bool send(std::initializer_list<std::uint8_t> bytes) { return send(ByteView(bytes.begin(), bytes.size())); }

  // As much as the connection takes without waiting; for clients that never read and would be held up themselves.
  std::size_t send_what_fits(ByteView bytes) {
    std::size_t sent = 0;
    while (sent < bytes.size()) {
      ssize_t n = ::send(fd_.get(), bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL | MSG_DONTWAIT);
      if (n <= 0) break;
      sent += static_cast<std::size_t>(n);
    }
    return sent;
  }

  // A byte, and this descriptor along with it (SCM_RIGHTS); false where the kernel refuses that.
  bool send_descriptor(int fd, int flags = 0) {
    char byte = 1;
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof fd)]{};
    iovec bytes{&byte, 1};
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
    return ::sendmsg(fd_.get(), &message, MSG_NOSIGNAL | flags) == 1;
  }

  // A frame of this content, its length in front.
  bool send_frame(ByteView content) { return send(framed(content)); }

  void shut_down_sending() { ::shutdown(fd_.get(), SHUT_WR); }

  // The content of the next frame; nullopt when the server closes or breaks off first.
  std::optional<Bytes> receive_frame() {
    Bytes length(4);
    if (!receive(length)) return std::nullopt;
    Bytes content(base::load_le32(length.data()));
    if (!receive(content)) return std::nullopt;
    return content;
  }

  // What comes in one receive: the test of "one send a reply".
  Bytes receive_some() {
    Bytes bytes(1 << 17);
    ssize_t n = ::recv(fd_.get(), bytes.data(), bytes.size(), 0);
    bytes.resize(n > 0 ? static_cast<std::size_t>(n) : 0);
    return bytes;
  }

  // Whether within this time something can be received, or the server closes.
  bool readable(std::chrono::milliseconds timeout) {
    pollfd waiting{fd_.get(), POLLIN, 0};
    return ::poll(&waiting, 1, static_cast<int>(timeout.count())) > 0;
  }

  // Until the server closes; false when it sends something or keeps the connection for longer than kPatience.
  bool closed_by_server() {
    std::uint8_t byte = 0;
    ssize_t n = ::recv(fd_.get(), &byte, 1, 0);
    return n == 0 || (n < 0 && errno == ECONNRESET);
  }

  // Exactly as many bytes as there is room for; false when the server closes or breaks off first.
  bool receive(std::span<std::uint8_t> into) {
    while (!into.empty()) {
      ssize_t n = ::recv(fd_.get(), into.data(), into.size(), 0);
      if (n <= 0) return false;
      into = into.subspan(static_cast<std::size_t>(n));
    }
    return true;
  }

 private:
  base::UniqueFd fd_;
};

}  // namespace enclayer::fake
