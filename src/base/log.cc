// SPDX-License-Identifier: Apache-2.0
#include "base/log.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <climits>
#include <cstdio>
#include <mutex>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "enclayer/time.h"

namespace enclayer::base::log {
namespace {

constexpr std::size_t kMaxValue = 1024;

constexpr std::string_view kLevelNames[] = {"error", "warn", "info", "debug"};

nlohmann::json to_json(const Value& value) {
  return std::visit(
      [](const auto& v) -> nlohmann::json {
        if constexpr (std::is_same_v<std::decay_t<decltype(v)>, std::string>) {
          if (v.size() > kMaxValue) return v.substr(0, kMaxValue) + "... (cut, " + std::to_string(v.size()) + " bytes)";
        }
        return v;
      },
      value.get());
}

// JSON with every byte outside printable ASCII escaped, bad UTF-8 replaced.
std::string dump(const nlohmann::json& value) {
  return value.dump(-1, ' ', true, nlohmann::json::error_handler_t::replace);
}

bool plain(std::string_view text) {
  if (text.empty()) return false;
  for (unsigned char c : text)
    if (c <= ' ' || c >= 0x7f || c == '"' || c == '\\' || c == '=') return false;
  return true;
}

// Standard error, written to without waiting.
class Output {
 public:
  Output() {
    struct stat found {};
    if (::fstat(STDERR_FILENO, &found) != 0) return;  // closed: what is opened next gets its number, and is no log
    fd_ = STDERR_FILENO;
    if (S_ISSOCK(found.st_mode)) {
      way_ = Way::kSend;
    } else if (!S_ISREG(found.st_mode)) {
      // O_NONBLOCK on the descriptor that we were given would be seen by everybody who shares it.
      own_ = UniqueFd(::open("/proc/self/fd/2", O_WRONLY | O_NONBLOCK | O_APPEND | O_NOCTTY | O_CLOEXEC));
      if (own_) fd_ = own_.get(), way_ = Way::kWrite;
    }
  }

  // How much of it found room.
  std::size_t write(std::string_view text) {
    std::size_t done = 0;
    while (done < text.size()) {
      ssize_t size = write_some(text.substr(done));
      if (size < 0 && errno == EINTR) continue;
      if (size <= 0) break;
      done += static_cast<std::size_t>(size);
    }
    return done;
  }

 private:
  enum class Way { kWrite, kSend, kPoll };

  ssize_t write_some(std::string_view text) {
    if (way_ == Way::kSend) return ::send(fd_, text.data(), text.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (way_ == Way::kPoll) {  // a file never waits, and a pipe that has room has it for that much
      text = text.substr(0, PIPE_BUF);
      pollfd room{fd_, POLLOUT, 0};
      if (::poll(&room, 1, 0) != 1) return 0;
    }
    return ::write(fd_, text.data(), text.size());
  }

  int fd_ = -1;
  UniqueFd own_;
  Way way_ = Way::kPoll;
};

struct State {
  Level level = Level::kInfo;
  Format format = Format::kText;
  Output output;
  bool torn = false;         // the last line was cut in the middle
  std::uint64_t unsaid = 0;  // lines dropped since that was said last
};

std::mutex g_mutex;
std::atomic<std::uint64_t> g_dropped = 0;

// Never destroyed: threads log until the very end.
State& state() {
  static State& instance = *new State;
  return instance;
}

std::string line_now(Format format, Level level, std::string_view message, Fields fields) {
  auto now = std::chrono::system_clock::now();
  auto second = std::chrono::floor<std::chrono::seconds>(now);
  std::string time = format_time(second);
  char milliseconds[8];
  std::snprintf(milliseconds, sizeof milliseconds, ".%03dZ",
                int(std::chrono::floor<std::chrono::milliseconds>(now - second).count()));
  time.replace(time.size() - 1, 1, milliseconds);
  std::string line = format_line(format, level, message, fields);
  return (format == Format::kJson ? "{\"time\":\"" + time + "\"," + line.substr(1) : time + " " + line) + "\n";
}

void write(Level level, std::string_view message, Fields fields) {
  State& s = state();
  if (level > s.level) return;
  std::string line = line_now(s.format, level, message, fields);
  std::lock_guard lock(g_mutex);
  std::string text = s.torn ? "\n" : "";
  if (s.unsaid > 0) text += line_now(s.format, Level::kWarn, "log lines dropped", {{"lines", s.unsaid}});
  std::size_t said = text.size();
  text += line;
  std::size_t written = s.output.write(text);
  if (written > 0) s.torn = text[written - 1] != '\n';
  if (written >= said) s.unsaid = 0;
  if (written == text.size()) return;
  ++s.unsaid;
  ++g_dropped;
}

}  // namespace

std::string format_line(Format format, Level level, std::string_view message, Fields fields) {
  std::string_view name = kLevelNames[static_cast<int>(level)];
  if (format == Format::kJson) {
    nlohmann::ordered_json line;
    line["level"] = name;
    line["message"] = message;
    for (const Field& field : fields) line[std::string(field.key)] = to_json(field.value);
    return line.dump(-1, ' ', true, nlohmann::json::error_handler_t::replace);
  }
  std::string line(name);
  line.resize(6, ' ');
  line += message;
  for (const Field& field : fields) {
    nlohmann::json value = to_json(field.value);
    line += ' ';
    line += field.key;
    line += '=';
    line += value.is_string() && plain(value.get_ref<const std::string&>()) ? value.get<std::string>() : dump(value);
  }
  return line;
}

void setup(Level level, Format format) {
  State& s = state();
  s.level = level;
  s.format = format;
  s.output = Output();
}

std::uint64_t dropped_lines() { return g_dropped; }

void error(std::string_view message, Fields fields) { write(Level::kError, message, fields); }
void warn(std::string_view message, Fields fields) { write(Level::kWarn, message, fields); }
void info(std::string_view message, Fields fields) { write(Level::kInfo, message, fields); }
void debug(std::string_view message, Fields fields) { write(Level::kDebug, message, fields); }

}  // namespace enclayer::base::log
