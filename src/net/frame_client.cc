// SPDX-License-Identifier: Apache-2.0
#include "net/frame_client.h"

#include <sys/socket.h>

#include <cerrno>

#include "base/bytes.h"
#include "base/error.h"
#include "net/unix_socket.h"

namespace enclayer::net {
namespace {

using Clock = std::chrono::steady_clock;

// Moves all of `bytes`, in pieces, before the deadline. `move` is send() or recv().
template <class Bytes, class Move>
Result<> transfer(int socket, Bytes bytes, Clock::time_point deadline, const std::string& what, Move move) {
  while (!bytes.empty()) {
    auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now());
    if (left.count() > 0) set_timeout(socket, left);
    ssize_t n = left.count() > 0 ? move(socket, bytes) : (errno = EAGAIN, -1);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) return Error(ErrorKind::kTimedOut, what);
    if (n < 0) return base::errno_error(errno, what);
    if (n == 0) return Error(ErrorKind::kIo, what + ": it was closed");
    bytes = bytes.subspan(static_cast<std::size_t>(n));
  }
  return {};
}

}  // namespace

Result<Bytes> call(const std::filesystem::path& path, ByteView request, std::chrono::milliseconds timeout) {
  const auto deadline = Clock::now() + timeout;
  ENCLAYER_TRY(base::UniqueFd socket, connect_to(path, timeout));
  const std::string no_reply = path.string() + " gave no reply within " + std::to_string(timeout.count()) + " ms";
  auto receive = [&](std::span<std::uint8_t> into) {
    return transfer(socket.get(), into, deadline, no_reply,
                    [](int from, std::span<std::uint8_t> rest) { return ::recv(from, rest.data(), rest.size(), 0); });
  };
  Bytes frame(4);
  base::store_le32(frame.data(), static_cast<std::uint32_t>(request.size()));
  base::append(frame, request);
  ENCLAYER_CHECK(transfer(socket.get(), ByteView(frame), deadline, no_reply,
                          [](int to, ByteView rest) { return ::send(to, rest.data(), rest.size(), MSG_NOSIGNAL); }));
  Bytes length(4);
  ENCLAYER_CHECK(receive(length));
  std::uint32_t size = base::load_le32(length.data());
  if (size > kMaxReply)
    return Error(ErrorKind::kMalformed, "the reply of " + path.string() + " announces " + std::to_string(size) +
                                            " bytes, at most " + std::to_string(kMaxReply) + " are taken");
  Bytes reply(size);
  ENCLAYER_CHECK(receive(reply));
  return reply;
}

}  // namespace enclayer::net
