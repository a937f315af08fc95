// SPDX-License-Identifier: Apache-2.0
// What may stand next on a command line: told from its CLI11 description alone, so that it is never out of date.
//
// Shells ask `enclayer __complete WORD...` (the scripts completion.bash, .zsh and .fish beside this file, which
// `enclayer completion SHELL` prints), and kubectl asks a program named kubectl_complete-enclayer, which hands the
// question on. The answer is in kubectl's words for both.
#pragma once

#include <span>
#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace enclayer::apps {

struct Candidate {
  std::string word, description;
};

struct Completion {
  enum class Paths { kNone, kFiles, kFolders };  // which names the shell itself is to offer as well

  std::vector<Candidate> candidates;  // all begin with what was typed
  Paths paths = Paths::kNone;
};

// `words`: what stands behind the program's name; the last one is being typed and may be empty. Words that make no
// sense complete to nothing.
Completion complete(const CLI::App& app, std::span<const std::string> words);

// A line for each candidate, "word" or "word<TAB>description"; then ":4", ":0" with file names or ":16" with folders
// (ShellCompDirective of kubectl's completion).
std::string to_lines(const Completion& completion);

}  // namespace enclayer::apps
