// SPDX-License-Identifier: Apache-2.0
#include "translate/yaml_text.h"

#include <yaml.h>

#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/malformed.h"

namespace enclayer::translate {
namespace {

constexpr base::Malformed malformed{"YAML: "};

std::string at_line(std::size_t line) { return "line " + std::to_string(line) + ": "; }

// libyaml counts characters where we need bytes.
std::vector<std::size_t> bytes_of_characters(std::string_view text) {
  std::vector<std::size_t> out;
  out.reserve(text.size() + 1);
  for (std::size_t at = 0; at < text.size(); ++at)
    if ((static_cast<unsigned char>(text[at]) & 0xC0) != 0x80) out.push_back(at);
  out.push_back(text.size());
  return out;
}

struct Parser {
  Parser() { ok = yaml_parser_initialize(&it) != 0; }
  ~Parser() {
    if (ok) yaml_parser_delete(&it);
  }
  Parser(const Parser&) = delete;
  Parser& operator=(const Parser&) = delete;
  yaml_parser_t it{};
  bool ok;
};

class TextReader {
 public:
  explicit TextReader(std::string_view text) : text_(text), bytes_(bytes_of_characters(text)) {}

  Result<std::vector<Node>> read() {
    if (!parser_.ok) return Error(ErrorKind::kExhausted, "YAML: no memory for a parser");
    if (text_.empty()) text_ = "";  // libyaml takes no null pointer
    yaml_parser_set_input_string(&parser_.it, reinterpret_cast<const unsigned char*>(text_.data()), text_.size());
    yaml_parser_set_encoding(&parser_.it, YAML_UTF8_ENCODING);
    std::vector<Node> documents;
    for (;;) {
      ENCLAYER_TRY(const auto event, next());
      if (event->type == YAML_STREAM_END_EVENT) return documents;
      if (event->type != YAML_DOCUMENT_START_EVENT) continue;
      ENCLAYER_TRY(const auto first, next());
      ENCLAYER_TRY(documents.emplace_back(), node(*first, 0));
    }
  }

 private:
  struct Delete {
    void operator()(yaml_event_t* event) const {
      yaml_event_delete(event);
      delete event;
    }
  };
  using Event = std::unique_ptr<yaml_event_t, Delete>;

  Result<Event> next() {
    Event event(new yaml_event_t());
    if (yaml_parser_parse(&parser_.it, event.get()) == 0)
      return malformed(at_line(parser_.it.problem_mark.line + 1) +
                       (parser_.it.problem ? parser_.it.problem : "cannot be read"));
    return event;
  }

  std::size_t byte(const yaml_mark_t& mark) const { return bytes_[std::min(mark.index, bytes_.size() - 1)]; }

  Result<Node> node(const yaml_event_t& event, std::size_t depth) {
    if (depth > kMaxDepth)
      return malformed(at_line(event.start_mark.line + 1) + "more than " + std::to_string(kMaxDepth) + " levels");
    if (++nodes_ > kMaxNodes)
      return malformed(at_line(event.start_mark.line + 1) + "more than " + std::to_string(kMaxNodes) + " values");
    Node out;
    out.begin = byte(event.start_mark);
    out.end = byte(event.end_mark);
    out.line = event.start_mark.line + 1;
    switch (event.type) {
      case YAML_ALIAS_EVENT: out.kind = Node::Kind::kAlias; return out;
      case YAML_SCALAR_EVENT:
        out.text.assign(reinterpret_cast<const char*>(event.data.scalar.value), event.data.scalar.length);
        out.plain = event.data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
        out.anchored = event.data.scalar.anchor != nullptr;
        return out;
      case YAML_SEQUENCE_START_EVENT:
        out.kind = Node::Kind::kList;
        out.flow = event.data.sequence_start.style == YAML_FLOW_SEQUENCE_STYLE;
        out.anchored = event.data.sequence_start.anchor != nullptr;
        break;
      case YAML_MAPPING_START_EVENT:
        out.kind = Node::Kind::kMap;
        out.flow = event.data.mapping_start.style == YAML_FLOW_MAPPING_STYLE;
        out.anchored = event.data.mapping_start.anchor != nullptr;
        break;
      default: return Error(ErrorKind::kInternal, "YAML: an event where a value belongs");
    }
    for (;;) {
      ENCLAYER_TRY(const auto each, next());
      if (each->type == YAML_SEQUENCE_END_EVENT || each->type == YAML_MAPPING_END_EVENT) {
        // The end of a block is where the next token is; what belongs to it ends with its last value.
        out.end = out.flow ? byte(each->end_mark) : out.children.empty() ? out.begin : out.children.back().end;
        break;
      }
      ENCLAYER_TRY(out.children.emplace_back(), node(*each, depth + 1));
    }
    if (out.kind == Node::Kind::kMap) ENCLAYER_CHECK(each_key_once(out));
    return out;
  }

  static Result<> each_key_once(const Node& map) {
    std::set<std::string_view> keys;
    for (std::size_t i = 0; i < map.children.size(); i += 2) {
      const Node& key = map.children[i];
      if (key.kind == Node::Kind::kScalar && key.text != "<<" && !keys.insert(key.text).second)
        return malformed(at_line(key.line) + "the key " + key.text + " is there twice");
    }
    return {};
  }

  std::string_view text_;
  std::vector<std::size_t> bytes_;
  Parser parser_;
  std::size_t nodes_ = 0;
};

}  // namespace

const Node* Node::find(std::string_view key) const {
  if (kind != Kind::kMap) return nullptr;
  for (std::size_t i = 0; i + 1 < children.size(); i += 2)
    if (children[i].kind == Kind::kScalar && children[i].text == key)
      return children[i + 1].is_null() ? nullptr : &children[i + 1];
  return nullptr;
}

std::string Node::text_of(std::string_view key) const {
  const Node* value = find(key);
  return value != nullptr && value->kind == Kind::kScalar ? value->text : std::string();
}

const std::vector<Node>& Node::items_of(std::string_view key) const {
  static const std::vector<Node> kNone;
  const Node* value = find(key);
  return value != nullptr && value->kind == Kind::kList ? value->children : kNone;
}

Result<std::vector<Node>> parse_yaml(std::string_view text) {
  if (text.find('\0') != text.npos) return malformed("there is a NUL byte in it; only UTF-8 is read");
  return TextReader(text).read();
}

std::string as_json(std::string_view text) { return nlohmann::json(std::string(text)).dump(); }

std::size_t Changes::line_start(std::size_t at) const {
  const std::size_t before = at == 0 ? text_.npos : text_.rfind('\n', at - 1);
  return before == text_.npos ? 0 : before + 1;
}

// The start of the line behind what ends at `end`. A scalar written with | or > ends with its line already.
std::size_t Changes::next_line(std::size_t end) const {
  if (end > 0 && text_[end - 1] == '\n') return end;
  const std::size_t line_end = text_.find('\n', end);
  return line_end == text_.npos ? text_.size() : line_end + 1;
}

void Changes::replace(const Node& scalar, std::string with) {
  edits_.push_back({scalar.begin, scalar.end, std::move(with), 0});
}

void Changes::add(const Node& parent, const std::string& block, const std::string& json) {
  if (parent.flow) {
    const bool first = parent.children.empty() && added_[&parent] == 0;
    const std::size_t at = parent.children.empty() ? parent.begin + 1 : parent.children.back().end;
    edits_.push_back({at, at, (first ? "" : ", ") + json, 0});
  } else {
    // As far in as its first key or dash.
    std::size_t first = parent.begin;
    if (parent.kind == Node::Kind::kList) first = text_.rfind('-', parent.children.front().begin - 1);
    const std::string indent(first - line_start(first), ' ');
    std::string lines = indent;
    for (char c : block) lines += c == '\n' ? "\n" + indent : std::string(1, c);
    const std::size_t at = next_line(parent.end);
    const bool on_a_line = at == 0 || text_[at - 1] == '\n';
    // A list may stand as far in as the key that it belongs to.
    const std::size_t depth = 2 * indent.size() + (parent.kind == Node::Kind::kList);
    edits_.push_back({at, at, on_a_line ? lines + "\n" : "\n" + lines, depth});
  }
  ++added_[&parent];
}

void Changes::add_entry(const Node& map, std::string_view key, const Value& value) {
  const std::string name(key);
  for (std::size_t i = 0; i + 1 < map.children.size(); i += 2) {
    const Node& there = map.children[i + 1];
    if (map.children[i].text != key) continue;
    // A null, or an empty map or list: its text gives way.
    edits_.push_back({there.begin, there.end, (there.begin == there.end ? " " : "") + value.json, 0});
    return;
  }
  add(map, name + (value.block.starts_with('\n') ? ":" : ": ") + value.block, as_json(name) + ": " + value.json);
}

void Changes::add_item(const Node& list, const Value& value) { add(list, "- " + value.block, value.json); }

void Changes::remove(const Node& parent, const std::set<std::size_t>& gone) {
  const std::size_t step = parent.kind == Node::Kind::kMap ? 2 : 1;
  bool kept_one_before = false;
  for (std::size_t i = 0; i < parent.children.size(); i += step) {
    if (!gone.contains(i / step)) {
      kept_one_before = true;
      continue;
    }
    const Node& first = parent.children[i];
    const Node& last = parent.children[i + step - 1];
    std::size_t begin = first.begin;
    std::size_t end = last.end;
    if (!parent.flow) {
      if (step == 1) begin = text_.rfind('-', first.begin - 1);
      const std::size_t line = line_start(begin);
      if (text_.find_first_not_of(' ', line) == begin) {
        begin = line;
        end = next_line(end);
      } else if (i + step < parent.children.size()) {
        end = parent.children[i + step].begin;  // behind a dash, which stays
      }
    } else if (kept_one_before) {
      begin = parent.children[i - 1].end;
    } else if (i + step < parent.children.size()) {
      end = parent.children[i + step].begin;
    }
    edits_.push_back({begin, end, "", 0});
  }
}

void Changes::remove_entry(const Node& map, std::string_view key) {
  for (std::size_t i = 0; i < map.children.size(); i += 2)
    if (map.children[i].text == key) remove(map, {i / 2});
}

std::string Changes::applied() const {
  std::vector<Edit> sorted = edits_;
  std::stable_sort(sorted.begin(), sorted.end(), [](const Edit& a, const Edit& b) {
    return a.begin != b.begin ? a.begin < b.begin : a.depth > b.depth;
  });
  std::string out;
  std::size_t done = 0;
  for (const Edit& edit : sorted) {
    if (edit.begin > done) out += text_.substr(done, edit.begin - done);
    out += edit.with;
    done = std::max(done, edit.end);
  }
  return out + std::string(text_.substr(done));
}

}  // namespace enclayer::translate
