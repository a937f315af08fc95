#include "fake/process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>

namespace enclayer::fake {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

// Output goes to a file in memory rather than to a pipe: a program that talks a lot never waits for us.
base::UniqueFd output_file() {
  base::UniqueFd fd(::memfd_create("output", MFD_CLOEXEC));
  if (!fd) std::abort();
  return fd;
}

std::string content(int fd) {
  std::string text;
  char chunk[65536];
  for (ssize_t n; (n = ::pread(fd, chunk, sizeof chunk, static_cast<off_t>(text.size()))) > 0;)
    text.append(chunk, static_cast<std::size_t>(n));
  return text;
}

std::vector<std::string> merged_environment(const std::map<std::string, std::string>& extra) {
  std::vector<std::string> all;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    std::string text = *entry;
    if (!extra.contains(text.substr(0, text.find('=')))) all.push_back(text);
  }
  for (const auto& [name, value] : extra) all.push_back(name + "=" + value);
  return all;
}

std::vector<char*> pointers(const std::vector<std::string>& strings) {
  std::vector<char*> out;
  for (const std::string& string : strings) out.push_back(const_cast<char*>(string.c_str()));
  out.push_back(nullptr);
  return out;
}

}  // namespace

Process::Process(const std::vector<std::string>& argv, const std::map<std::string, std::string>& environment)
    : out_(output_file()), err_(output_file()) {
  std::vector<std::string> environment_strings = merged_environment(environment);
  std::vector<char*> arguments = pointers(argv), variables = pointers(environment_strings);
  pid_t parent = ::getpid();
  pid_ = ::fork();
  if (pid_ < 0) std::abort();
  if (pid_ == 0) {
    // Only async-signal-safe calls from here: the parent may have threads.
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != parent) ::_exit(127);
    ::setpgid(0, 0);  // Ctrl-C is for whoever started us to pass on
    sigset_t none;
    ::sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
    int null = ::open("/dev/null", O_RDONLY);
    ::dup2(null, 0);
    ::dup2(out_.get(), 1);
    ::dup2(err_.get(), 2);
    ::execve(arguments[0], arguments.data(), variables.data());
    ::_exit(127);
  }
  pidfd_.reset(static_cast<int>(::syscall(SYS_pidfd_open, pid_, 0)));
}

Process::~Process() {
  if (wait(milliseconds(0))) return;
  signal(SIGKILL);
  ::waitpid(pid_, nullptr, 0);
}

void Process::signal(int number) {
  if (!exit_code_) ::kill(pid_, number);
}

std::string Process::out() const { return content(out_.get()); }
std::string Process::err() const { return content(err_.get()); }

bool Process::wait_for_output(std::string_view text, milliseconds timeout) {
  auto deadline = steady_clock::now() + timeout;
  while (true) {
    bool ended = wait(milliseconds(0)).has_value();
    if (output().find(text) != std::string::npos) return true;
    if (ended || steady_clock::now() >= deadline) return false;
    wait(milliseconds(5));  // a file cannot be waited for, its writer can
  }
}

std::optional<int> Process::wait(milliseconds timeout) {
  if (exit_code_) return exit_code_;
  pollfd ends{pidfd_.get(), POLLIN, 0};
  ::poll(&ends, 1, static_cast<int>(timeout.count()));
  int status = 0;
  if (::waitpid(pid_, &status, WNOHANG) != pid_) return std::nullopt;
  exit_code_ = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return exit_code_;
}

Finished run(const std::vector<std::string>& argv, milliseconds timeout,
             const std::map<std::string, std::string>& environment) {
  Process process(argv, environment);
  auto exit_code = process.wait(timeout);
  if (!exit_code) {
    process.signal(SIGKILL);
    process.wait(std::chrono::seconds(10));
  }
  return {exit_code.value_or(-1), process.out(), process.err()};
}

}  // namespace enclayer::fake
