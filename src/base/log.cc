#include "base/log.h"

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <memory>
#include <nlohmann/json.hpp>

namespace enclayer::base::log {
namespace {

constexpr std::size_t kMaxValue = 1024;

struct State {
  Format format = Format::kText;
  std::shared_ptr<spdlog::logger> logger;
};

State make_state(Level level, Format format) {
  static constexpr spdlog::level::level_enum kLevels[] = {spdlog::level::err, spdlog::level::warn, spdlog::level::info,
                                                          spdlog::level::debug};
  auto logger = std::make_shared<spdlog::logger>("enclayer", std::make_shared<spdlog::sinks::stderr_sink_mt>());
  logger->set_level(kLevels[static_cast<int>(level)]);
  logger->set_pattern(format == Format::kText ? "%Y-%m-%dT%H:%M:%S.%eZ %v" : "{\"time\":\"%Y-%m-%dT%H:%M:%S.%eZ\",%v",
                      spdlog::pattern_time_type::utc);
  logger->flush_on(spdlog::level::debug);
  return {format, std::move(logger)};
}

State& state() {
  static State instance = make_state(Level::kInfo, Format::kText);
  return instance;
}

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

void write(Level level, spdlog::level::level_enum spd_level, std::string_view message, Fields fields) {
  State& s = state();
  if (!s.logger->should_log(spd_level)) return;
  std::string line = format_line(s.format, level, message, fields);
  // The pattern has already written '{"time":...,' where the format is JSON.
  s.logger->log(spd_level, "{}", s.format == Format::kJson ? std::string_view(line).substr(1) : std::string_view(line));
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

void setup(Level level, Format format) { state() = make_state(level, format); }

void error(std::string_view message, Fields fields) { write(Level::kError, spdlog::level::err, message, fields); }
void warn(std::string_view message, Fields fields) { write(Level::kWarn, spdlog::level::warn, message, fields); }
void info(std::string_view message, Fields fields) { write(Level::kInfo, spdlog::level::info, message, fields); }
void debug(std::string_view message, Fields fields) { write(Level::kDebug, spdlog::level::debug, message, fields); }

}  // namespace enclayer::base::log
