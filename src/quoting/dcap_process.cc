#include "quoting/dcap_process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include "base/error.h"
#include "base/log.h"
#include "quoting/dcap_worker.h"

namespace enclayer::quoting {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr std::size_t kMostSaid = 2048;
constexpr milliseconds kTimeToDie{2000};

std::vector<char*> pointers(const std::vector<std::string>& strings) {
  std::vector<char*> out;
  for (const std::string& string : strings) out.push_back(const_cast<char*>(string.c_str()));
  out.push_back(nullptr);
  return out;
}

// In the child, where only async-signal-safe calls are allowed: the parent has threads.
[[noreturn]] void become_worker(pid_t parent, int socket, int output, int nothing, char** arguments,
                                char** environment) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(127);
  // Ctrl-C and a SIGTERM to the whole group are for the front end: it ends us when it has drained.
  struct sigaction ignore {};
  ignore.sa_handler = SIG_IGN;
  ::sigaction(SIGINT, &ignore, nullptr);
  ::sigaction(SIGTERM, &ignore, nullptr);
  ::sigaction(SIGHUP, &ignore, nullptr);
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  // All three are above 9 (see start()), so that nothing is overwritten.
  ::dup2(nothing, 0);
  ::dup2(output, 1);
  ::dup2(output, 2);
  ::dup2(socket, kDcapWorkerSocket);
  ::syscall(SYS_close_range, kDcapWorkerSocket + 1, ~0U, 0);
  ::execve(arguments[0], arguments, environment);
  ::_exit(127);
}

// The same descriptor with a number that the child does not need for itself.
base::UniqueFd moved_up(base::UniqueFd fd) { return base::UniqueFd(::fcntl(fd.get(), F_DUPFD_CLOEXEC, 10)); }

}  // namespace

Result<std::unique_ptr<DcapProcess>> DcapProcess::start(const DcapLaunch& launch, milliseconds timeout, int stop_fd) {
  std::unique_ptr<DcapProcess> process(new DcapProcess);
  process->stop_fd_ = stop_fd;
  int pair[2], pipe[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
    return base::errno_error(errno, "cannot make a socketpair for a quote worker");
  process->socket_.reset(pair[0]);
  base::UniqueFd socket = moved_up(base::UniqueFd(pair[1]));
  // Non-blocking: libraries that talk more than anybody reads lose words, not time.
  if (::pipe2(pipe, O_CLOEXEC | O_NONBLOCK) != 0)
    return base::errno_error(errno, "cannot make a pipe for a quote worker");
  process->output_.reset(pipe[0]);
  base::UniqueFd output = moved_up(base::UniqueFd(pipe[1]));
  base::UniqueFd nothing = moved_up(base::UniqueFd(::memfd_create("nothing", MFD_CLOEXEC)));
  if (!socket || !output || !nothing) return base::errno_error(errno, "cannot open what a quote worker needs");

  std::vector<char*> arguments = pointers(launch.command), environment = pointers(launch.environment);
  pid_t parent = ::getpid();
  pid_t pid = ::fork();
  if (pid < 0) return base::errno_error(errno, "cannot fork a quote worker");
  if (pid == 0) become_worker(parent, socket.get(), output.get(), nothing.get(), arguments.data(), environment.data());
  process->pid_ = pid;
  process->pidfd_.reset(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  if (!process->pidfd_) return base::errno_error(errno, "cannot watch a quote worker");
  socket.reset();  // ours would keep the worker's end open when the worker is gone
  output.reset();

  ENCLAYER_TRY(Bytes message, process->receive(timeout));
  ENCLAYER_TRY(DcapHello hello, decode_dcap_hello(message));
  if (!hello.loaded) return Error(ErrorKind::kUnavailable, hello.text);
  process->loaded_ = std::move(hello.text);
  return process;
}

DcapProcess::~DcapProcess() {
  if (pid_ < 0) return;
  ::kill(pid_, SIGKILL);
  ending();
}

bool DcapProcess::alive() const {
  pollfd dead{pidfd_.get(), POLLIN, 0};
  return ::poll(&dead, 1, 0) == 0;
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
    ::kill(pid_, SIGKILL);
    return Error(ErrorKind::kTimedOut, "Intel's quote library did not answer within " +
                                           std::to_string(timeout.count()) + " ms; the worker was killed");
  }
}

void DcapProcess::listen_in() {
  char chunk[4096];
  ssize_t size;
  while ((size = ::read(output_.get(), chunk, sizeof chunk)) > 0) {
    said_.append(chunk, static_cast<std::size_t>(size));
    if (said_.size() > kMostSaid) said_.erase(0, said_.size() - kMostSaid);
  }
  if (size == 0) output_.reset();  // the end: poll() skips it from now on
}

std::string DcapProcess::said() const {
  std::string text = said_;
  while (!text.empty() && text.back() == '\n') text.pop_back();
  std::replace_if(
      text.begin(), text.end(), [](char c) { return c < 0x20 || c > 0x7E; }, ' ');
  return text;
}

std::string DcapProcess::ending() {
  // A process that is stuck in the kernel does not even die of SIGKILL; waiting for it for ever would make two of us.
  pollfd dead{pidfd_.get(), POLLIN, 0};
  auto deadline = steady_clock::now() + kTimeToDie;
  while (::poll(&dead, 1,
                static_cast<int>(std::max<std::int64_t>(
                    std::chrono::ceil<milliseconds>(deadline - steady_clock::now()).count(), 0))) < 0 &&
         errno == EINTR) {
  }
  int status = 0;
  pid_t pid = std::exchange(pid_, -1);
  if (pid < 0) return "is gone";
  if (::waitpid(pid, &status, WNOHANG) != pid) {
    ::kill(pid, SIGKILL);
    if (::poll(&dead, 1, static_cast<int>(kTimeToDie.count())) != 1 || ::waitpid(pid, &status, WNOHANG) != pid) {
      base::log::error("a quote worker does not die, it is left behind", {{"pid", pid}});
      return "does not die";
    }
  }
  listen_in();
  if (WIFEXITED(status)) return "ended with exit code " + std::to_string(WEXITSTATUS(status));
  const char* name = ::sigabbrev_np(WTERMSIG(status));
  return name ? std::string("was killed by SIG") + name : "was killed by signal " + std::to_string(WTERMSIG(status));
}

}  // namespace enclayer::quoting
