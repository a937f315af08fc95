#include "net/frame_client.h"

#include <sys/socket.h>

#include <cerrno>

#include "base/bytes.h"
#include "base/error.h"
#include "net/unix_socket.h"

namespace enclayer::net {
namespace {

using Clock = std::chrono::steady_clock;

class Call {
 public:
  Call(const std::filesystem::path& path, std::chrono::milliseconds timeout)
      : path_(path), timeout_(timeout), deadline_(Clock::now() + timeout) {}

  Result<Bytes> run(ByteView request) {
    ENCLAYER_TRY(fd_, connect_to(path_, timeout_));
    Bytes frame(4);
    base::store_le32(frame.data(), static_cast<std::uint32_t>(request.size()));
    base::append(frame, request);
    ENCLAYER_CHECK(send(frame));
    Bytes length(4);
    ENCLAYER_CHECK(receive(length));
    std::uint32_t size = base::load_le32(length.data());
    if (size > kMaxReply)
      return Error(ErrorKind::kMalformed, "the reply of " + path_.string() + " announces " + std::to_string(size) +
                                              " bytes, at most " + std::to_string(kMaxReply) + " are taken");
    Bytes reply(size);
    ENCLAYER_CHECK(receive(reply));
    return reply;
  }

 private:
  Error failed(std::string_view doing) const {
    if (errno == EAGAIN || errno == EINPROGRESS) return timed_out();
    return base::errno_error(errno, std::string(doing) + " " + path_.string());
  }
  Error timed_out() const {
    return {ErrorKind::kTimedOut, path_.string() + " gave no reply within " + std::to_string(timeout_.count()) + " ms"};
  }
  bool time_is_left() {
    auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline_ - Clock::now());
    if (left.count() <= 0) return false;
    set_timeout(fd_.get(), left);
    return true;
  }

  Result<> send(ByteView bytes) {
    while (!bytes.empty()) {
      if (!time_is_left()) return timed_out();
      ssize_t n = ::send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return failed("cannot send to");
      bytes = bytes.subspan(static_cast<std::size_t>(n));
    }
    return {};
  }

  Result<> receive(std::span<std::uint8_t> into) {
    while (!into.empty()) {
      if (!time_is_left()) return timed_out();
      ssize_t n = ::recv(fd_.get(), into.data(), into.size(), 0);
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return failed("cannot receive from");
      if (n == 0) return Error(ErrorKind::kIo, path_.string() + " closed the connection without a whole reply");
      into = into.subspan(static_cast<std::size_t>(n));
    }
    return {};
  }

  const std::filesystem::path& path_;
  const std::chrono::milliseconds timeout_;
  const Clock::time_point deadline_;
  base::UniqueFd fd_;
};

}  // namespace

Result<Bytes> call(const std::filesystem::path& socket, ByteView request, std::chrono::milliseconds timeout) {
  return Call(socket, timeout).run(request);
}

}  // namespace enclayer::net
