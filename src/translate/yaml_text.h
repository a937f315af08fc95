// SPDX-License-Identifier: Apache-2.0
// YAML as a tree that knows where in the text everything stands, and changes to that text. Nothing is ever written out
// from the tree, so what is not changed stays as its author wrote it.
#pragma once

#include <cstddef>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "enclayer/error.h"

namespace enclayer::translate {

struct Node {
  enum class Kind { kScalar, kMap, kList, kAlias } kind = Kind::kScalar;
  std::string text;            // of a scalar, without quotes
  bool plain = false;          // a scalar without quotes: it may be a null
  bool flow = false;           // {...} or [...], as in JSON
  bool anchored = false;       // &name
  std::size_t begin = 0;       // the node's first byte
  std::size_t end = 0;         // behind its last one; comments and line ends do not count
  std::size_t line = 0;        // from 1
  std::vector<Node> children;  // of a list: items; of a map: key, value, key, value

  bool is_null() const { return kind == Kind::kScalar && plain && (text.empty() || text == "~" || text == "null"); }
  // The value of a map; nullptr when it is not there, is a null, or this is no map.
  const Node* find(std::string_view key) const;
  // The same, where it is a scalar; else "".
  std::string text_of(std::string_view key) const;
  // Items of a list under `key`; empty when there is none.
  const std::vector<Node>& items_of(std::string_view key) const;
};

inline constexpr std::size_t kMaxDepth = 100;
inline constexpr std::size_t kMaxNodes = 500'000;

// The documents of a stream. kMalformed as in translate.h.
Result<std::vector<Node>> parse_yaml(std::string_view text);

// A value that is added: as lines of a block, and as JSON for the inside of {} and [].
struct Value {
  std::string block;  // what follows "key: " or "- "; further lines begin with the columns by which they are indented
  std::string json;
};

// Changes to one text. Nodes are those of its parse_yaml(), and live as long as this.
class Changes {
 public:
  explicit Changes(std::string_view text) : text_(text) {}

  void replace(const Node& scalar, std::string with);
  void add_entry(const Node& map, std::string_view key, const Value& value);  // behind its last one
  void add_item(const Node& list, const Value& value);
  // Some, not all, of the entries or items, by number.
  void remove(const Node& list_or_map, const std::set<std::size_t>& gone);
  void remove_entry(const Node& map, std::string_view key);

  bool empty() const { return edits_.empty(); }
  std::string applied() const;

 private:
  struct Edit {
    std::size_t begin, end;
    std::string with;
    std::size_t depth = 0;  // of a line that is added: where two blocks end at once, the inner one's comes first
  };
  void add(const Node& parent, const std::string& block, const std::string& json);
  std::size_t line_start(std::size_t at) const;
  std::size_t next_line(std::size_t end) const;

  std::string_view text_;
  std::vector<Edit> edits_;
  std::map<const Node*, std::size_t> added_;
};

std::string as_json(std::string_view text);  // as JSON, which is YAML, too

}  // namespace enclayer::translate
