// SPDX-License-Identifier: Apache-2.0
#include "quoting/dcap_process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include "base/error.h"
#include "quoting/dcap_worker.h"

namespace enclayer::quoting {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr std::size_t kMostSaid = 2048;
constexpr milliseconds kTimeToDie{2000};

}  // namespace

Result<std::unique_ptr<DcapProcess>> DcapProcess::start(const DcapLaunch& launch, milliseconds timeout, int stop_fd) {
  std::unique_ptr<DcapProcess> process(new DcapProcess);
  process->stop_fd_ = stop_fd;
  int pair[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
    return base::errno_error(errno, "cannot make a socketpair for a quote worker");
  process->socket_.reset(pair[0]);
  base::UniqueFd socket(pair[1]);
  ENCLAYER_TRY(base::Pipe pipe, base::make_pipe());
  process->output_ = std::move(pipe.read);
  // Libraries that talk more than anybody reads lose words, not time.
  ::fcntl(pipe.write.get(), F_SETFL, O_NONBLOCK);
  static_assert(kDcapWorkerSocket == 3);
  ENCLAYER_TRY(process->child_, base::ChildProcess::start({.command = launch.command,
                                                           .environment = launch.environment,
                                                           .output = pipe.write.get(),
                                                           .error = pipe.write.get(),
                                                           .further = socket.get(),
                                                           .dies_with_thread = true,
                                                           // Ctrl-C and a SIGTERM to the whole group are for the front
                                                           // end: it ends the worker when it has drained.
                                                           .ignored_signals = {SIGINT, SIGTERM, SIGHUP}}));
  socket.reset();  // ours would keep the worker's end open when the worker is gone
  pipe.write.reset();

  ENCLAYER_TRY(Bytes message, process->receive(timeout));
  ENCLAYER_TRY(DcapHello hello, decode_dcap_hello(message));
  if (!hello.loaded) return Error(ErrorKind::kUnavailable, hello.text);
  process->loaded_ = std::move(hello.text);
  return process;
}

Result<DcapReply> DcapProcess::call(const DcapRequest& request, milliseconds timeout) {
  said_.clear();
  Bytes message = encode(request);
  if (::send(socket_.get(), message.data(), message.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(message.size()))
    return Error(ErrorKind::kUnavailable, "the quote worker " + ending());
  ENCLAYER_TRY(Bytes answer, receive(timeout));
  return decode_dcap_reply(answer, request.call);
}

Result<Bytes> DcapProcess::receive(milliseconds timeout) {
  auto deadline = steady_clock::now() + timeout;
  while (true) {
    auto left = std::chrono::ceil<milliseconds>(deadline - steady_clock::now());
    std::array<pollfd, 3> fds{{{socket_.get(), POLLIN, 0}, {output_.get(), POLLIN, 0}, {stop_fd_, POLLIN, 0}}};
    int ready = ::poll(fds.data(), fds.size(), static_cast<int>(std::max<std::int64_t>(left.count(), 0)));
    if (ready < 0 && errno == EINTR) continue;
    if (ready < 0) return base::errno_error(errno, "cannot wait for a quote worker");
    if (fds[2].revents != 0) return Error(ErrorKind::kUnavailable, "the quote helper is stopping");
    if (fds[1].revents != 0) listen_in();
    if (fds[0].revents != 0) {
      Bytes message(kMostDcapMessage);
      ssize_t size = ::recv(socket_.get(), message.data(), message.size(), MSG_TRUNC | MSG_DONTWAIT);
      if (size < 0 && (errno == EINTR || errno == EAGAIN)) continue;
      if (size <= 0) return Error(ErrorKind::kUnavailable, "the quote worker " + ending());
      if (static_cast<std::size_t>(size) > message.size())
        return Error(ErrorKind::kMalformed, "the quote worker sent a message of " + std::to_string(size) + " bytes");
      message.resize(static_cast<std::size_t>(size));
      listen_in();
      return message;
    }
    if (steady_clock::now() < deadline) continue;
    child_->signal(SIGKILL);
    return Error(ErrorKind::kTimedOut, "Intel's quote library did not answer within " +
                                           std::to_string(timeout.count()) + " ms; the worker was killed");
  }
}

void DcapProcess::listen_in() { base::keep_output(output_, said_, kMostSaid, base::Keep::kLast); }

std::string DcapProcess::said() const {
  std::string text = said_;
  while (!text.empty() && text.back() == '\n') text.pop_back();
  std::replace_if(
      text.begin(), text.end(), [](char c) { return c < 0x20 || c > 0x7E; }, ' ');
  return text;
}

std::string DcapProcess::ending() {
  auto ending = child_->wait(kTimeToDie);
  if (!ending) ending = child_->kill();
  listen_in();
  return ending ? ending->text() : "does not die";
}

}  // namespace enclayer::quoting
