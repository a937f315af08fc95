// SPDX-License-Identifier: Apache-2.0
#include "completion.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <sstream>
#include <string_view>

#include "commands.h"
#include "completion_scripts.h"

namespace enclayer::apps {
namespace {

std::vector<std::string> split(const std::string& text, char separator) {
  std::vector<std::string> out;
  std::istringstream in(text);
  for (std::string piece; std::getline(in, piece, separator);) out.push_back(piece);
  return out;
}

// "text" and "json" of "TEXT:{text,json}", which is what CLI::IsMember says of itself; CLI::CheckedTransformer says
// "value in {hardware->0,sim->1} OR {0,1}".
std::vector<std::string> choices_in(const std::string& type_name) {
  std::size_t from = type_name.find('{');
  std::size_t to = type_name.find('}', from);
  if (from == std::string::npos || to == std::string::npos) return {};
  std::vector<std::string> out = split(type_name.substr(from + 1, to - from - 1), ',');
  for (std::string& choice : out) choice = choice.substr(0, choice.find("->"));
  return out;
}

// What help calls the value: FILE of "FILE [standard output]".
std::string placeholder(const CLI::Option& option) {
  std::istringstream in(option.get_option_text());
  std::string first;
  in >> first;
  return first.empty() ? option.get_name(true) : first;
}

// The values of an option or positional that begin with `typed`, each behind `before`.
Completion values_of(const CLI::Option& option, const std::string& typed, const std::string& before = "") {
  static const std::map<std::string, Completion::Paths> kPaths = {{"FILE", Completion::Paths::kFiles},
                                                                  {"PATH", Completion::Paths::kFiles},
                                                                  {"PEM", Completion::Paths::kFiles},
                                                                  {"DIR", Completion::Paths::kFolders}};
  Completion out;
  std::string shown = placeholder(option);
  std::vector<std::string> choices = choices_in(option.get_type_name());
  if (choices.empty() && shown.find('|') != std::string::npos) choices = split(shown, '|');
  for (const std::string& choice : choices)
    if (choice.starts_with(typed)) out.candidates.push_back({before + choice, ""});
  if (auto kind = kPaths.find(shown); choices.empty() && kind != kPaths.end()) out.paths = kind->second;
  return out;
}

std::vector<std::string> names_of(const CLI::Option& option) {
  std::vector<std::string> out;
  for (const std::string& name : option.get_lnames()) out.push_back("--" + name);
  for (const std::string& name : option.get_snames()) out.push_back("-" + name);
  return out;
}

bool takes_value(const CLI::Option& option) { return option.get_items_expected_max() > 0; }

// Where the words lead to: the command, and what of it was already said.
class Position {
 public:
  explicit Position(const CLI::App& app) : command_(&app) {}

  void step(const std::string& word) {
    if (waiting_ != nullptr) {
      waiting_ = nullptr;
    } else if (!only_positionals_ && word == "--") {
      only_positionals_ = true;
    } else if (!only_positionals_ && word.starts_with('-')) {
      const CLI::Option* option = option_named(word.substr(0, word.find('=')));
      if (option == nullptr) return;
      given_.insert(option);
      if (takes_value(*option) && word.find('=') == std::string::npos) waiting_ = option;
    } else if (const CLI::App* next = only_positionals_ ? nullptr : subcommand_named(word)) {
      command_ = next;
      given_.clear();
      positionals_ = 0;
    } else {
      ++positionals_;
    }
  }

  Completion complete(const std::string& typed) const {
    if (waiting_ != nullptr) return values_of(*waiting_, typed);
    if (!only_positionals_ && typed.starts_with('-')) {
      std::size_t equals = typed.find('=');
      if (equals == std::string::npos) return flags(typed);
      const CLI::Option* option = option_named(typed.substr(0, equals));
      if (option == nullptr || !takes_value(*option)) return {};
      return values_of(*option, typed.substr(equals + 1), typed.substr(0, equals + 1));
    }
    Completion out;
    if (const CLI::Option* option = positional()) out = values_of(*option, typed);
    if (only_positionals_) return out;
    if (positionals_ == 0)
      for (const CLI::App* subcommand : subcommands())
        if (subcommand->get_name().starts_with(typed))
          out.candidates.push_back({subcommand->get_name(), subcommand->get_description()});
    bool nothing = out.candidates.empty() && out.paths == Completion::Paths::kNone;
    return nothing && typed.empty() ? flags(typed) : out;
  }

 private:
  std::vector<const CLI::App*> subcommands() const {
    return command_->get_subcommands(
        [](const CLI::App* app) { return !app->get_name().empty() && !app->get_group().empty(); });
  }

  const CLI::App* subcommand_named(const std::string& name) const {
    for (const CLI::App* subcommand : subcommands())
      if (subcommand->get_name() == name) return subcommand;
    return nullptr;
  }

  const CLI::Option* option_named(const std::string& name) const { return command_->get_option_no_throw(name); }

  // The one that the next bare word is for. The last takes all that are left if it can have several.
  const CLI::Option* positional() const {
    auto all = command_->get_options([](const CLI::Option* option) { return option->get_positional(); });
    if (positionals_ < all.size()) return all[positionals_];
    return !all.empty() && all.back()->get_items_expected_max() > 1 ? all.back() : nullptr;
  }

  Completion flags(const std::string& typed) const {
    Completion out;
    for (const CLI::Option* option : command_->get_options()) {
      bool again = option->get_items_expected_max() > 1;
      if (!option->nonpositional() || option->get_group().empty() || (given_.contains(option) && !again)) continue;
      std::vector<std::string> names = names_of(*option);  // the long one, unless a short one is being typed
      auto name =
          std::find_if(names.begin(), names.end(), [&](const std::string& one) { return one.starts_with(typed); });
      if (name != names.end()) out.candidates.push_back({*name, option->get_description()});
    }
    return out;
  }

  const CLI::App* command_;
  const CLI::Option* waiting_ = nullptr;  // for its value
  std::set<const CLI::Option*> given_;
  std::size_t positionals_ = 0;
  bool only_positionals_ = false;
};

}  // namespace

Completion complete(const CLI::App& app, std::span<const std::string> words) {
  if (words.empty()) return {};
  Position position(app);
  for (const std::string& word : words.first(words.size() - 1)) position.step(word);
  return position.complete(words.back());
}

std::string to_lines(const Completion& completion) {
  std::string out;
  for (const auto& [word, description] : completion.candidates) {
    out += word;
    if (!description.empty()) out += '\t' + description.substr(0, description.find_first_of("\n\t"));
    out += '\n';
  }
  switch (completion.paths) {
    case Completion::Paths::kNone: return out + ":4\n";
    case Completion::Paths::kFiles: return out + ":0\n";
    case Completion::Paths::kFolders: return out + ":16\n";
  }
  return out;
}

void add_completion(CLI::App& app, int& exit_code) {
  auto shell = std::make_shared<std::string>();
  CLI::App* command =
      app.add_subcommand("completion", "Print what a shell needs to complete command lines of enclayer");
  command->add_option("SHELL", *shell, "Which shell: bash, zsh or fish")
      ->required()
      ->check(CLI::IsMember({"bash", "zsh", "fish"}))
      ->option_text(" ");
  command->footer(
      R"(`make install` puts these where the shells look. For this session alone, or from your shell's start-up file:
  source <(enclayer completion bash)
  source <(enclayer completion zsh)       after compinit
  enclayer completion fish | source
`kubectl enclayer` completes by kubectl's own completion, through kubectl_complete-enclayer beside enclayer.)");
  command->callback([shell, &exit_code] {
    const char* script = *shell == "bash" ? kBashCompletion : *shell == "zsh" ? kZshCompletion : kFishCompletion;
    exit_code = std::fputs(script, stdout) == EOF ? 3 : 0;
  });
}

std::optional<int> answer_completion(const CLI::App& app, int argc, const char* const* argv) {
  if (argc < 2 || std::string_view(argv[1]) != "__complete") return std::nullopt;
  std::vector<std::string> words(argv + 2, argv + argc);
  std::fputs(to_lines(complete(app, words)).c_str(), stdout);
  return 0;
}

}  // namespace enclayer::apps
