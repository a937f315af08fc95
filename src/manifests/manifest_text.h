// SPDX-License-Identifier: Apache-2.0
// One file of deploy/manifests, read as the template that its comments make of it (manifests.h has the language). What
// is made of it, YAML for these settings or a Helm template, is the business of whoever holds it.
#pragma once

#include <cstddef>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "enclayer/error.h"
#include "manifests/manifests.h"
#include "manifests/settings.h"

namespace enclayer::manifests {

// What "# set:" can name: a setting, or what follows from several.
struct Value {
  std::string_view name;    // "image", "helperImage"
  std::string in_manifest;  // what stands for it in the files: its value by default, or an example where that is empty
  std::function<std::string(const Settings&)> of;
  std::string in_chart;  // a Helm expression with the same value: ".Values.image"
  // kJson: `of` gives a quoted string already. kBlock: it gives lines of YAML, and may give none.
  enum class Kind { kText, kNumber, kJson, kBlock } kind = Kind::kText;
};
std::span<const Value> values();

// A part of a condition: "quoteHelper", "!quoteHelper", "platform=sim", "resources.detect.limits.cpu",
// "kubernetes>=1.30".
struct Condition {
  std::string_view name;
  const Setting* setting;  // of that name; null where it is none,
  const Value* value;      // and then this one, which may be empty. A name that does not exist is no condition
  std::string equals;      // empty: on, not empty, or not 0
  bool negated = false;
  unsigned since = 0;  // of "kubernetes", which is neither setting nor value: the N of 1.N

  bool holds(const Settings& settings, unsigned kubernetes = kNewestKubernetes) const;
  std::string in_chart() const;  // "eq .Values.platform \"sim\""
};
using Conditions = std::vector<Condition>;  // all of them; none at all holds

bool hold(const Conditions& conditions, const Settings& settings, unsigned kubernetes = kNewestKubernetes);

// A place in a line where a value goes.
struct Place {
  std::size_t at, length;
  const Value* value;
  bool whole;  // nothing else is in this YAML scalar, so it may need quotes
};

struct Line {
  enum class Kind { kText, kBlock, kWhen, kEnd } kind = Kind::kText;
  std::string text;           // without "#+" and "# set:"; of kBlock: its indentation
  std::vector<Place> places;  // from left to right; of kBlock the one
  Conditions when;            // of kWhen
};

struct Template {
  Conditions only;
  std::vector<Line> lines;
};

// kMalformed: the message names file, line and what is wrong there: a name that does not exist, a default that is not
// in its line, a block that is not closed, or that is commented out although it holds by default.
Result<Template> parse_manifest(const ManifestFile& file);

// `text` with what is written for each place. The pieces between two places stay as they are.
template <class Written>
std::string filled(const Line& line, Written written) {
  std::string out;
  std::size_t done = 0;
  for (const Place& place : line.places) {
    out += line.text.substr(done, place.at - done) + written(place);
    done = place.at + place.length;
  }
  return out + line.text.substr(done);
}

// Whether YAML reads it as the text that it is when it stands without quotes.
bool is_plain_yaml(std::string_view text);

// In quotes, in one line of ASCII: what YAML reads as this text. What is not UTF-8 in it is replaced.
std::string in_quotes(const std::string& text);

}  // namespace enclayer::manifests
