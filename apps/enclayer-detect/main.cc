// SPDX-License-Identifier: Apache-2.0
// enclayer-detect: keeps the labels of the node that it runs on in step with the SGX that can be used there, and has
// Events made of what other daemons of ours say there is wrong.
// It only looks and waits. What talks with the API server is `enclayer detect --label-node`, which runs for a moment
// when there is something to compare or to tell.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <filesystem>
#include <optional>
#include <string>
#include <system_error>
#include <vector>

#include "base/error.h"
#include "base/folder_watch.h"
#include "base/log.h"
#include "child.h"
#include "cli_support.h"
#include "detect/telling.h"
#include "detect_flags.h"
#include "troubles/troubles.h"

namespace enclayer::detector {
namespace {

namespace log = base::log;
using namespace std::chrono_literals;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr auto kProgram = "enclayer-detect";

// Somebody may take our labels away, or an API server be set up from an old copy: so many looks later they are back.
constexpr int kLooksPerRepair = 10;
// Longer than one labelling may take (detect::api_limits).
constexpr milliseconds kPatience = 60s;
// Longer than one telling may take (detect::event_limits).
constexpr milliseconds kPatienceForEvents = 30s;
// What changes all the time is looked at so often.
constexpr milliseconds kBetweenReadings = 1s;
// For the labels of a node that leaves a simulation. Kubernetes waits 30 s before it kills.
constexpr milliseconds kLastPatience = 5s;

struct Flags : apps::DetectFlags {
  double every = 60;  // seconds
};

using Command = std::vector<std::string>;

constexpr auto kDescription =
    R"(Looks for SGX on this node, again and again, and keeps the node's labels in step with what can be used:
    enclayer.io/sgx=true enclayer.io/epc-mib=8192 enclayer.io/sgx-driver=in-kernel enclayer.io/platform=hardware
They are removed when the device cannot be used any more. 'enclayer detect' shows what is seen.
)";

constexpr auto kFooter = R"(
It runs the program `enclayer` in its own folder whenever there is something to compare: at the start, when what is
seen has changed, at every tenth look, and when it is stopped in a simulation; with --troubles-dir also when something
there is wrong otherwise than before.

Examples:
  enclayer-detect --label-node $(NODE_NAME) --dev-root /host/dev
      in a DaemonSet that mounts the host's /dev there, read-only (deploy/manifests/detect/detect.yaml)
  enclayer-detect --label-node $(NODE_NAME) --platform sim --sim-epc 4Gi
      on nodes that their owner labelled enclayer.io/sim=true

Exit codes: 0 stopped by SIGTERM or SIGINT; otherwise the node could not be labelled at the start: 1 misuse, 2 the API
server's answer cannot be read, 3 a file is missing, 4 the API server does not do what it is asked, 5 the labels do
not keep still. Later failures are logged, and tried again at the next look.)";

void add_flags(CLI::App& app, Flags& flags) {
  apps::add_common(app);
  apps::add_detect_flags(app, flags, "Also give the node and its pods Events of what our daemons say there is wrong");
  app.get_option("--label-node")->required();
  app.add_option("--every", flags.every, "How long to wait between two looks, in seconds")
      ->check(CLI::Range(0.01, 3600.0))
      ->option_text("SECONDS [60]");
  app.footer(kFooter);
}

// `enclayer detect` with the flags that we were given, but for our own.
Result<Command> labelling_command(const CLI::App& app) {
  std::error_code error;
  auto self = std::filesystem::read_symlink("/proc/self/exe", error);
  if (error) return base::errno_error(error.value(), "cannot read /proc/self/exe");
  Command out = {self.parent_path() / "enclayer", "detect"};
  for (const CLI::Option* option : app.get_options())
    if (const auto name = option->get_name(); option->count() > 0 && name != "--every" && name != "--troubles-dir")
      out.push_back(name + "=" + option->as<std::string>());
  return out;
}

// Has Events made of what our daemons say is wrong, whenever that is otherwise. Without a folder it only waits.
class Events {
 public:
  Events(std::filesystem::path folder, Command labelling) : folder_(std::move(folder)), command_(std::move(labelling)) {
    if (folder_.empty()) return;
    command_.push_back("--troubles-dir=" + folder_.string());
    watch_.emplace();
  }

  // For so long. False when SIGTERM or SIGINT came first.
  bool watch_for(milliseconds time, const base::UniqueFd& stop) {
    const auto end = steady_clock::now() + time;
    if (!watch_) return wait_unless_stopped(stop, time);
    do {
      watch_->drain();
      const std::string text = read();
      if (telling_.is_news(text) && steady_clock::now() >= telling_.next() && !tell(text, stop)) return false;
      // What rings while there is something to tell changes nothing about when.
      const bool is_news = telling_.is_news(text);
      const auto until =
          is_news ? std::min(end, telling_.next()) : std::min(end, steady_clock::now() + watch_->patience(time));
      if (!wait_unless_stopped(stop, left(until), is_news ? -1 : watch_->fd())) return false;
      if (!wait_unless_stopped(stop, std::min(kBetweenReadings, left(until)))) return false;
    } while (steady_clock::now() < end);
    return true;
  }

 private:
  static milliseconds left(steady_clock::time_point until) {
    return std::max(0ms, std::chrono::ceil<milliseconds>(until - steady_clock::now()));
  }

  // All that is said. Whether it makes sense is for the program to see that tells it.
  std::string read() {
    std::string text;
    const auto now = std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
    for (std::string_view writer : troubles::kWriters) {
      watch_->arm(folder_ / writer);
      auto said = troubles::text_of(folder_ / writer, now);
      text += said ? *said : said.error().message();
    }
    return text;
  }

  bool tell(const std::string& text, const base::UniqueFd& stop) {
    auto ended = run_to_end(command_, stop, kPatienceForEvents);
    if (!ended) return false;
    const bool worked = *ended && **ended == 0;
    telling_.done(text, worked, steady_clock::now());
    if (!worked)
      log::warn("what is wrong is not told, to be tried again",
                {{"reason", *ended ? "exit code " + std::to_string(**ended) : ended->error().message()}});
    return true;
  }

  const std::filesystem::path folder_;
  Command command_;
  std::optional<base::FolderWatch> watch_;
  detect::Telling telling_;
};

Result<int> run(const CLI::App& app, const Flags& flags, const base::UniqueFd& stop) {
  const auto every = milliseconds(static_cast<milliseconds::rep>(flags.every * 1000));
  ENCLAYER_TRY(const auto command, labelling_command(app));

  Events events(flags.troubles_dir, command);
  std::optional<detect::Labels> said;  // of the node, to the API server
  bool was_labelled = false;
  int looks_until_repair = 0;
  do {
    ENCLAYER_TRY(const auto found, apps::look(flags));
    const auto labels = detect::labels_of(found);
    if (!was_labelled || (said && *said != labels))
      log::info(found.usable() ? "SGX can be used here" : "SGX cannot be used here", {{"epc_mib", found.epc.mib()},
                                                                                      {"driver", found.driver},
                                                                                      {"reason", found.why_not},
                                                                                      {"simulated", found.simulated}});
    if (said != labels || --looks_until_repair == 0) {
      auto ended = run_to_end(command, stop, kPatience);
      if (!ended) break;
      if (*ended && **ended == 0) {
        said = labels;
        was_labelled = true;
        looks_until_repair = kLooksPerRepair;
      } else if (!was_labelled) {
        return *ended;  // where it is an exit code, the program has said why
      } else {
        said.reset();
        log::error("node not labelled, to be tried again at the next look",
                   {{"reason", *ended ? "exit code " + std::to_string(**ended) : ended->error().message()}});
      }
    }
  } while (events.watch_for(every, stop));

  // Whoever takes enclayer.io/sim from a node makes the DaemonSet end us there: our labels have to go with it.
  if (flags.platform == apps::Platform::kSim) static_cast<void>(run_to_end(command, stop, kLastPatience));
  log::info("stopped");
  return 0;
}

int main(int argc, char** argv) {
  const base::UniqueFd stop = stop_signals();
  Flags flags;
  CLI::App app(kDescription, kProgram);
  add_flags(app, flags);
  if (auto parsed = apps::parse(app, argc, argv); !parsed.go_on) return parsed.exit_code;
  log::setup(flags.log_level, flags.log_format);
  auto done = run(app, flags, stop);
  return done ? *done : apps::fail(kProgram, done.error());
}

}  // namespace
}  // namespace enclayer::detector

int main(int argc, char** argv) { return enclayer::detector::main(argc, argv); }
