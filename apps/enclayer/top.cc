// SPDX-License-Identifier: Apache-2.0
// enclayer top: who uses EPC and who asks for quotes, as long as somebody looks.
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <csignal>
#include <cstdio>
#include <iterator>
#include <map>
#include <memory>
#include <optional>

#include "addon/live_usage.h"
#include "base/file.h"
#include "base/printable.h"
#include "cli_support.h"
#include "commands.h"
#include "watch.h"

namespace enclayer::apps {
namespace {

using namespace addon;
using namespace std::chrono_literals;

const std::map<std::string, By> kBy = {{"node", By::kNode}, {"pod", By::kPod}, {"container", By::kContainer}};
const std::map<std::string, Order> kOrders = {{"asked", Order::kAsked},
                                              {"mapped", Order::kMapped},
                                              {"quotes", Order::kQuotes},
                                              {"wait", Order::kWait},
                                              {"name", Order::kName}};

struct TopFlags {
  ClusterFlags cluster;
  View view;
  int interval = 5;
  std::string output = "text";
};

// A terminal on standard output, with keys on standard input, while a picture is on it; left as it was found, however we
// end. Signals that would end us, and a new size of the window, wake who waits for a key.
class Terminal {
 public:
  Terminal() {
    ::tcgetattr(STDIN_FILENO, &before_);
    termios raw = before_;
    raw.c_lflag &= ~static_cast<tcflag_t>(ICANON | ECHO | ISIG);
    ::tcsetattr(STDIN_FILENO, TCSAFLUSH, &raw);
    say("\x1b[?1049h\x1b[?25l");
  }
  Terminal(const Terminal&) = delete;
  ~Terminal() {
    say("\x1b[?25h\x1b[?1049l");
    ::tcsetattr(STDIN_FILENO, TCSAFLUSH, &before_);
  }

  static winsize size() {
    winsize out{};
    if (::ioctl(STDOUT_FILENO, TIOCGWINSZ, &out) != 0 || out.ws_row == 0 || out.ws_col == 0) out = {24, 80, 0, 0};
    return out;
  }
  void draw(const std::vector<std::string>& lines) {
    std::string all = "\x1b[H";
    for (std::size_t i = 0; i < lines.size(); ++i) all += (i > 0 ? "\r\n" : "") + lines[i] + "\x1b[K";
    say(all + "\x1b[J");
  }
  // What was typed within that time: one character; '\0': nothing; 'q' also where nobody is there any more.
  char key(std::chrono::milliseconds longest) {
    pollfd waits[] = {{STDIN_FILENO, POLLIN, 0}, {signals_.get(), POLLIN, 0}};
    if (::poll(waits, 2, static_cast<int>(longest.count())) <= 0) return '\0';
    if (waits[1].revents != 0) {
      signalfd_siginfo got{};
      return ::read(signals_.get(), &got, sizeof got) == sizeof got && got.ssi_signo == SIGWINCH ? '\0' : 'q';
    }
    char typed = '\0';
    return ::read(STDIN_FILENO, &typed, 1) == 1 && typed != '\x03' && typed != '\x04' ? typed : 'q';
  }

 private:
  static void say(const std::string& text) {
    std::fwrite(text.data(), 1, text.size(), stdout);
    std::fflush(stdout);
  }
  static int blocked() {
    sigset_t these;
    ::sigemptyset(&these);
    for (int signal : {SIGHUP, SIGINT, SIGTERM, SIGWINCH}) ::sigaddset(&these, signal);
    ::pthread_sigmask(SIG_BLOCK, &these, nullptr);
    return ::signalfd(-1, &these, SFD_CLOEXEC | SFD_NONBLOCK);
  }

  base::UniqueFd signals_{blocked()};
  termios before_{};
};

constexpr std::size_t kLeastColumns = 20;  // a narrower terminal cuts lines off

// At most `most` lines, of so many columns; 0 columns: a line a note, of any length.
std::vector<std::string> notes_of(const Usage& usage, std::size_t most, std::size_t columns) {
  std::vector<std::string> out;
  if (columns > 0) columns = std::max(columns, kLeastColumns);
  for (const std::string& note : usage.notes) {
    std::string text = "note: " + base::printable(note, 1000);
    while (columns > 0 && text.size() > columns) {
      const std::size_t space = text.rfind(' ', columns), end = space == text.npos || space < 8 ? columns : space;
      out.push_back(text.substr(0, end));
      text = "      " + text.substr(text[end] == ' ' ? end + 1 : end);
    }
    out.push_back(std::move(text));
  }
  if (out.size() > most) out.resize(most);
  return out;
}

template <class T>
const std::string& name_of(const std::map<std::string, T>& names, T value) {
  return std::find_if(names.begin(), names.end(), [&](const auto& one) { return one.second == value; })->first;
}

void show_live(LiveUsage& live, const std::vector<std::string>& notes_before, Terminal& terminal, View view) {
  static constexpr Order kNext[] = {Order::kMapped, Order::kQuotes, Order::kWait, Order::kName, Order::kAsked};
  for (char key = '\0'; key != 'q'; key = terminal.key(1s)) {
    if (key == 'n') view.by = By::kNode;
    if (key == 'p') view.by = By::kPod;
    if (key == 'c') view.by = By::kContainer;
    if (key == 'o') view.order = kNext[static_cast<std::size_t>(view.order)];
    const winsize size = Terminal::size();
    const Usage usage = with(notes_before, live.now());
    const auto notes = notes_of(usage, size.ws_row / std::size_t{3}, size.ws_col);
    view.lines = size.ws_row - std::min<std::size_t>(notes.size() + 1, size.ws_row);
    std::vector<std::string> lines = {"enclayer top, by " + name_of(kBy, view.by) +
                                      ", order: " + name_of(kOrders, view.order) +
                                      "   (n p c: by node, pod, container   o: order   q: end)"};
    for (const auto& more : {table(usage, view), notes}) lines.insert(lines.end(), more.begin(), more.end());
    lines.resize(std::min<std::size_t>(lines.size(), size.ws_row));
    for (std::string& line : lines) line.resize(std::min<std::size_t>(line.size(), size.ws_col));
    terminal.draw(lines);
    auto nodes = nodes_shown(usage, view);
    live.look_at({std::make_move_iterator(nodes.begin()), std::make_move_iterator(nodes.end())});
  }
}

Result<> top(const TopFlags& flags, const Surroundings& around) {
  ENCLAYER_TRY(Watchable all, look_before_watching(flags.cluster, around));
  const std::chrono::seconds interval(flags.interval);
  const bool is_live = flags.output == "text" && ::isatty(STDIN_FILENO) != 0 && ::isatty(STDOUT_FILENO) != 0;
  // Before there are other threads, which a signal could find.
  std::optional<Terminal> terminal;
  if (is_live) terminal.emplace();
  LiveUsage live(*all.api, std::move(all.cluster), all.settings,
                 {interval, !all.may_ask ? 0
                            : is_live    ? Turns::kWhileLive
                                         : Turns::kForOnePicture});
  if (is_live) return show_live(live, all.notes, *terminal, flags.view), Result<>();
  const bool all_asked = live.wait(interval + 2 * Scraper::kPatience);
  Usage usage = with(all.notes, live.now());
  if (!all_asked)
    usage.notes.push_back("not all of " + std::to_string(usage.daemons) + " daemons could be asked twice; --interval " +
                          std::to_string(2 * usage.daemons / Turns::kForOnePicture) + " takes the time for that");
  if (flags.output == "json") return print(stdout, to_json(usage)), Result<>();
  for (const auto& lines : {table(usage, flags.view), notes_of(usage, usage.notes.size(), 0)})
    for (const std::string& line : lines) print(stdout, line);
  return {};
}

}  // namespace

void add_top(CLI::App& app, const Surroundings& around, int& exit_code) {
  auto flags = std::make_shared<TopFlags>();
  CLI::App* command = app.add_subcommand("top", "Who uses EPC, who asks for quotes: by node, pod and container, live");
  command->add_option("--by", flags->view.by, "What a row is")
      ->transform(CLI::CheckedTransformer(kBy))
      ->option_text("node|pod|container [pod]");
  command->add_option("--order", flags->view.order, "What comes first: the most of it")
      ->transform(CLI::CheckedTransformer(kOrders))
      ->option_text("asked|mapped|quotes|wait|name [asked]");
  command->add_option("--interval", flags->interval, "How long quotes are counted for, in seconds")
      ->check(CLI::Range(1, 3600))
      ->option_text("SECONDS [5]");
  add_output_flag(*command, flags->output);
  add_cluster_flags(*command, flags->cluster);
  command->footer(
      "On a terminal a picture that is kept up to date, until q or Ctrl-C; n, p and c: by node, pod and container, o:\n"
      "another order. Elsewhere, and as JSON, one picture, after the interval.\n"
      "EPC is in MiB. MAPPED: address space of enclaves, where --account-mapped lets the device plugin look. WAIT:\n"
      "what 99 of 100 requests for a quote waited at most on that node. - is not known. docs/top.md says more.\n"
      "Exit codes: 0 shown; 1 misuse, no such context; 3 a right is missing, no kubectl; 4 the API server does not\n"
      "  answer.\n"
      "Examples:\n"
      "    enclayer top\n"
      "    enclayer top --by node --order quotes\n"
      "    enclayer top --output json | jq -r '.nodes[].pods[] | select(.mapped_mib > .asked_mib) | .name'");
  command->callback([flags, &around, &exit_code] {
    auto done = top(*flags, around);
    exit_code = done ? 0 : fail(around.program + " top", done.error());
  });
}

}  // namespace enclayer::apps
