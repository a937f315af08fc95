// SPDX-License-Identifier: Apache-2.0
#include "base/metrics_page.h"

#include <algorithm>
#include <charconv>
#include <string>

#include "base/malformed.h"

namespace enclayer::base {
namespace {

constexpr std::string_view kBlank = " \t";

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }

// One line, from left to right.
class Line {
 public:
  explicit Line(std::string_view text) : rest_(text) { skip_blanks(); }

  bool done() const { return rest_.empty(); }
  bool take(char c) {
    if (!rest_.starts_with(c)) return false;
    rest_.remove_prefix(1);
    skip_blanks();
    return true;
  }
  // Empty: there is none.
  std::string_view name(bool may_have_colons) {
    std::size_t size = 0;
    auto fits = [&](char c) {
      return is_letter(c) || (size > 0 && c >= '0' && c <= '9') || (may_have_colons && c == ':');
    };
    while (size < rest_.size() && fits(rest_[size])) ++size;
    return take(size);
  }
  // What is quoted; false: it has no end, or an escape that there is not.
  bool text(std::string& into) {
    if (!rest_.starts_with('"')) return false;
    for (std::size_t at = 1; at < rest_.size(); ++at) {
      if (rest_[at] == '"') return take(at + 1), true;
      if (rest_[at] != '\\') {
        into.push_back(rest_[at]);
        continue;
      }
      const char escaped = ++at < rest_.size() ? rest_[at] : '\0';
      if (escaped != 'n' && escaped != '"' && escaped != '\\') return false;
      into.push_back(escaped == 'n' ? '\n' : escaped);
    }
    return false;
  }
  template <class Number>
  bool number(Number& into) {
    std::string_view word = take(std::min(rest_.find_first_of(kBlank), rest_.size()));
    if (word.starts_with('+')) word.remove_prefix(1);
    auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), into);
    return error == std::errc() && end == word.data() + word.size() && !word.empty();
  }

 private:
  std::string_view take(std::size_t size) {
    const std::string_view taken = rest_.substr(0, size);
    rest_.remove_prefix(size);
    skip_blanks();
    return taken;
  }
  void skip_blanks() { rest_.remove_prefix(std::min(rest_.find_first_not_of(kBlank), rest_.size())); }

  std::string_view rest_;
};

// What is wrong with it; empty: nothing.
std::string_view read_line(Line line, const EachSample& each) {
  const std::string_view name = line.name(/*may_have_colons=*/true);
  if (name.empty()) return "it begins with no metric's name";
  Metrics::Labels labels;
  for (bool more = line.take('{'); more && !line.take('}');) {
    if (labels.size() == kMostSampleLabels) return "it has more labels than are read";
    const std::string_view label = line.name(/*may_have_colons=*/false);
    std::string text;
    if (label.empty() || !line.take('=') || !line.text(text)) return "its labels break the format";
    if (!labels.emplace(label, std::move(text)).second) return "it has a label twice";
    more = line.take(',');  // which the last one may have, too
    if (!more && !line.take('}')) return "its labels have no end";
  }
  double value = 0;
  long long milliseconds = 0;  // of a timestamp, which nobody here asks for
  if (!line.number(value)) return "its value is no number";
  if (!line.done() && (!line.number(milliseconds) || !line.done())) return "something follows its value";
  each(name, labels, value);
  return "";
}

}  // namespace

Result<> read_page(std::string_view page, const EachSample& each) {
  if (page.size() > kMostPage)
    return malformed("the page of metrics has " + std::to_string(page.size()) + " bytes, more than the " +
                     std::to_string(kMostPage) + " that are read");
  if (!page.ends_with('\n')) return malformed("the page of metrics does not end with a line: it was cut off");
  for (std::size_t number = 1; !page.empty(); ++number) {
    const std::string_view line = page.substr(0, page.find('\n'));
    page.remove_prefix(line.size() + 1);
    if (Line(line).done() || line.starts_with('#')) continue;
    const std::string_view wrong =
        line.size() > kMostLine ? "it is longer than a line may be" : read_line(Line(line), each);
    if (!wrong.empty())
      return malformed("line " + std::to_string(number) + " of the page of metrics: " + std::string(wrong));
  }
  return {};
}

}  // namespace enclayer::base
