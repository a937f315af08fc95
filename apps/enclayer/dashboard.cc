// SPDX-License-Identifier: Apache-2.0
// enclayer dashboard: what top and doctor know, as a page for the browser of whoever started it.
#include <poll.h>
#include <sys/random.h>

#include <CLI/CLI.hpp>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <memory>
#include <mutex>
#include <thread>

#include "addon/dashboard.h"
#include "addon/live_usage.h"
#include "base/child_process.h"
#include "base/hex.h"
#include "base/wakeup.h"
#include "cli_support.h"
#include "commands.h"
#include "http/listen_address.h"
#include "http/server.h"
#include "watch.h"

namespace enclayer::apps {
namespace {

using namespace addon;
using namespace std::chrono_literals;
using std::chrono::steady_clock;

constexpr auto kInterval = 5s;  // as `top` looks

struct DashboardFlags {
  ClusterFlags cluster;
  std::string listen = "127.0.0.1:0";
};

// `enclayer doctor`, again and again, in a process of its own: however long it takes, nothing waits for it, and it ends
// when we do.
class Doctor {
 public:
  static constexpr auto kPause = 30s, kPatience = 120s;
  static constexpr std::size_t kMostSaid = 4 << 20;  // bytes

  explicit Doctor(std::vector<std::string> command) : command_(std::move(command)), thread_([this] { run(); }) {}
  Doctor(const Doctor&) = delete;
  ~Doctor() { end_.ring(); }

  Examination known() const {
    std::lock_guard lock(mutex_);
    return known_;
  }

 private:
  void run() {
    pollfd end{end_.fd(), POLLIN, 0};
    do {
      const auto done = base::run_to_end({.command = command_, .dies_with_thread = true}, "enclayer doctor",
                                         {.out = kMostSaid, .time = kPatience, .stop = end_.fd()});
      std::lock_guard lock(mutex_);
      if (done)
        put(known_, done->ending.exit_code(), done->out, done->err, steady_clock::now());
      else
        put(known_, -1, {}, done.error().message(), steady_clock::now());
    } while (::poll(&end, 1, std::chrono::milliseconds(kPause).count()) == 0);
  }

  const std::vector<std::string> command_;
  base::Wakeup end_;
  mutable std::mutex mutex_;
  Examination known_;
  std::jthread thread_;
};

std::vector<std::string> doctor_command(const ClusterFlags& flags) {
  std::vector<std::string> out = {"/proc/self/exe", "doctor", "--output", "json", "--kubectl", flags.kubectl};
  if (!flags.context.empty()) out.insert(out.end(), {"--context", flags.context});
  if (!flags.kubeconfig.empty()) out.insert(out.end(), {"--kubeconfig", flags.kubeconfig});
  return out;
}

// 128 bits that nobody guesses.
Result<std::string> secret() {
  std::array<std::uint8_t, 16> random{};
  if (::getrandom(random.data(), random.size(), 0) != static_cast<ssize_t>(random.size()))
    return Error(ErrorKind::kIo, "the system gives no random bytes for the secret of the page's address");
  return base::to_hex(random);
}

Result<> dashboard(const DashboardFlags& flags, const Surroundings& around) {
  ENCLAYER_TRY(const auto where, http::parse_listen_address(flags.listen));
  if (!where.loopback)
    return Error(ErrorKind::kInvalidArgument,
                 "--listen " + flags.listen +
                     " is no loopback address, and whoever reads the page sees what you may see; listen on "
                     "127.0.0.1:PORT, and from elsewhere use: ssh -L PORT:127.0.0.1:PORT this-machine");
  ENCLAYER_TRY(Watchable all, look_before_watching(flags.cluster, around));
  ENCLAYER_TRY(const std::string in_path, secret());
  // Before there are other threads, which a signal could find.
  sigset_t ends;
  ::sigemptyset(&ends);
  for (int signal : {SIGHUP, SIGINT, SIGTERM}) ::sigaddset(&ends, signal);
  ::pthread_sigmask(SIG_BLOCK, &ends, nullptr);

  LiveUsage live(*all.api, std::move(all.cluster), all.settings, {kInterval, all.may_ask ? Turns::kWhileLive : 0.0});
  const Doctor doctor(doctor_command(flags.cluster));
  std::mutex mutex;
  History history;
  auto usage = [&] { return with(all.notes, live.now()); };
  auto state = [&] {
    const Usage now = usage();
    const std::lock_guard lock(mutex);
    return state_json(now, doctor.known(), history, steady_clock::now());
  };
  auto headers = [](std::string policy) -> std::vector<std::pair<std::string, std::string>> {
    return {{"Content-Security-Policy", std::move(policy)},
            {"X-Content-Type-Options", "nosniff"},
            {"Referrer-Policy", "no-referrer"},
            {"Cross-Origin-Resource-Policy", "same-origin"},
            {"Cache-Control", "no-store"}};
  };
  const std::string page(dashboard_page()), root = "/" + in_path + "/";
  std::vector<http::Page> pages = {
      {root,
       [&] {
         return http::Reply{200, "text/html; charset=utf-8", page, headers(content_security_policy(page))};
       }},
      {root + "state.json",
       [&] {
         return http::Reply{200, "application/json", state(), headers("default-src 'none'")};
       },
       /*slow=*/true}};
  ENCLAYER_TRY(const auto server,
               http::Server::listen(flags.listen, std::move(pages), http::Audience::kWhoKnowsThePath));
  print(stdout, "http://" + server->address() + root);
  print(stderr, "Whoever has this address sees what you may see. Ctrl-C ends it.");
  const timespec step{History::kStep.count(), 0};
  int signal = 0;
  do {
    if (signal < 0 && errno != EAGAIN) continue;
    const Usage now = usage();
    const std::lock_guard lock(mutex);
    history.put(now, steady_clock::now());
  } while ((signal = ::sigtimedwait(&ends, nullptr, &step)) < 0);
  return {};
}

}  // namespace

void add_dashboard(CLI::App& app, const Surroundings& around, int& exit_code) {
  auto flags = std::make_shared<DashboardFlags>();
  CLI::App* command = app.add_subcommand(
      "dashboard", "A page for your browser: what is wrong, who uses EPC, quotes and waits over time");
  command->add_option("--listen", flags->listen, "Where to serve it: a loopback address; port 0 is any free one")
      ->option_text("ADDR:PORT [127.0.0.1:0]");
  add_cluster_flags(*command, flags->cluster);
  command->footer(
      "Prints the address of the page, which has a secret in it, and serves it until Ctrl-C. What enclayer top and\n"
      "enclayer doctor tell, with the rights that you have; nothing is changed. docs/dashboard.md says more.\n"
      "Exit codes: 0 ended by Ctrl-C; 1 misuse, no such context, no loopback address; 3 a right is missing,\n"
      "  no kubectl; 4 the API server does not answer; 5 the port is taken.\n"
      "Examples:\n"
      "    enclayer dashboard\n"
      "    enclayer dashboard --listen 127.0.0.1:8080     # behind ssh -L 8080:127.0.0.1:8080");
  command->callback([flags, &around, &exit_code] {
    auto done = dashboard(*flags, around);
    exit_code = done ? 0 : fail(around.program + " dashboard", done.error());
  });
}

}  // namespace enclayer::apps
