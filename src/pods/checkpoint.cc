#include "pods/checkpoint.h"

#include <array>
#include <iterator>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>
#include <vector>

namespace enclayer::pods {
namespace {

using nlohmann::json;

constexpr std::size_t kPiece = 64 << 10;
constexpr std::size_t kMaxUid = 64;

Error malformed(std::string why) {
  return {ErrorKind::kMalformed, "the kubelet's checkpoint cannot be read: " + std::move(why)};
}

// The text, a piece in memory at a time. Ends early when the source fails or gives too much.
class Pieces {
 public:
  Pieces(const Source& source, std::size_t max) : source_(source), max_(max), piece_(kPiece) { next(); }

  bool ended() const { return at_ == have_; }
  char get() const { return piece_[at_]; }
  void advance() {
    if (++at_ == have_) next();
  }
  const std::optional<Error>& error() const { return error_; }

 private:
  void next() {
    at_ = have_ = 0;
    auto got = source_(piece_);
    if (!got)
      error_ = got.error();
    else if ((total_ += *got) > max_)
      error_ = malformed("it has more than " + std::to_string(max_) + " bytes");
    else
      have_ = *got;
  }

  const Source& source_;
  const std::size_t max_;
  std::vector<char> piece_;
  std::size_t at_ = 0, have_ = 0, total_ = 0;
  std::optional<Error> error_;
};

// As the JSON library wants to have it.
struct PiecesIterator {
  using iterator_category = std::input_iterator_tag;
  using value_type = char;
  using difference_type = std::ptrdiff_t;
  using pointer = const char*;
  using reference = char;

  Pieces* pieces = nullptr;  // null: the end

  char operator*() const { return pieces->get(); }
  PiecesIterator& operator++() {
    pieces->advance();
    return *this;
  }
  PiecesIterator operator++(int) { return ++*this; }
  bool at_end() const { return pieces == nullptr || pieces->ended(); }
  bool operator==(const PiecesIterator& other) const { return at_end() == other.at_end(); }
};

class Reader final : public json::json_sax_t {
 public:
  explicit Reader(std::string_view resource) : resource_(resource) {}

  std::unordered_set<std::string> pods;
  bool found_entries = false;
  std::string why;  // it was refused

  bool null() override {
    if (place() == Place::kEntries) found_entries = true;
    return place() == Place::kEntries || place() == Place::kDevices || scalar();
  }
  bool boolean(bool) override { return scalar(); }
  bool number_integer(number_integer_t) override { return scalar(); }
  bool number_unsigned(number_unsigned_t) override { return scalar(); }
  bool number_float(number_float_t, const string_t&) override { return scalar(); }
  bool binary(binary_t&) override { return scalar(); }

  bool string(string_t& text) override {
    switch (place()) {
      case Place::kUid:
        if (text.empty() || text.size() > kMaxUid)
          return refuse("a PodUID of " + std::to_string(text.size()) + " bytes");
        uid_ = text;
        return true;
      case Place::kResource: resource_is_ours_ = text == resource_; return true;
      case Place::kDevices: ++devices_; return true;
      default: return scalar();
    }
  }

  bool start_object(std::size_t) override {
    Place here = place();
    if (here == Place::kEntry) {
      uid_.clear();
      resource_is_ours_.reset();
      devices_ = 0;
    }
    if (here == Place::kEntries || here == Place::kUid || here == Place::kResource) return wrong_type();
    return enter(here);
  }
  bool end_object() override {
    --depth_;
    return open_[depth_] != Place::kEntry || end_entry();
  }
  bool start_array(std::size_t) override {
    Place here = place();
    if (here != Place::kEntries && here != Place::kDevices && here != Place::kElsewhere) return wrong_type();
    if (here == Place::kEntries) found_entries = true;
    return enter(here);
  }
  bool end_array() override {
    --depth_;
    return true;
  }

  bool key(string_t& name) override {
    member_ = Place::kElsewhere;
    switch (open_[depth_ - 1]) {
      case Place::kAll:
        if (name == "Data") member_ = Place::kData;
        break;
      case Place::kData:
        if (name == "PodDeviceEntries") member_ = Place::kEntries;
        break;
      case Place::kEntry:
        if (name == "PodUID") member_ = Place::kUid;
        if (name == "ResourceName") member_ = Place::kResource;
        if (name == "DeviceIDs") member_ = Place::kDevices;
        break;
      default: break;
    }
    return true;
  }

  bool parse_error(std::size_t at, const std::string&, const nlohmann::detail::exception&) override {
    return refuse("it is no JSON at byte " + std::to_string(at));
  }

 private:
  // What a value is, by where it stands.
  enum class Place { kAll, kData, kEntries, kEntry, kUid, kResource, kDevices, kElsewhere };

  Place place() const {
    if (depth_ == 0) return Place::kAll;
    switch (open_[depth_ - 1]) {
      case Place::kEntries: return Place::kEntry;
      case Place::kDevices: return Place::kDevices;
      case Place::kElsewhere: return Place::kElsewhere;
      default: return member_;
    }
  }
  bool scalar() { return place() == Place::kElsewhere || wrong_type(); }
  bool enter(Place here) {
    if (depth_ == kMaxCheckpointDepth)
      return refuse("it nests more than " + std::to_string(kMaxCheckpointDepth) + " deep");
    open_[depth_++] = here;
    return true;
  }
  bool end_entry() {
    if (uid_.empty() || !resource_is_ours_) return refuse("an entry has no PodUID or no ResourceName");
    if (*resource_is_ours_ && devices_ > 0) pods.insert(uid_);
    return pods.size() <= kMaxPodsHolding ||
           refuse("more than " + std::to_string(kMaxPodsHolding) + " pods have devices");
  }
  bool wrong_type() { return refuse("a value is not of the type that is known to stand there"); }
  bool refuse(std::string reason) {
    why = std::move(reason);
    return false;
  }

  const std::string_view resource_;
  std::array<Place, kMaxCheckpointDepth> open_{};  // the objects and arrays that we are in
  std::size_t depth_ = 0;
  Place member_ = Place::kElsewhere;  // of the value that follows the last name

  std::string uid_;  // of the entry that we are in
  std::optional<bool> resource_is_ours_;
  std::size_t devices_ = 0;
};

}  // namespace

Result<std::unordered_set<std::string>> pods_holding(const Source& source, std::string_view resource,
                                                     std::size_t max_bytes) {
  Pieces pieces(source, max_bytes);
  Reader reader(resource);
  bool whole = json::sax_parse(PiecesIterator{&pieces}, PiecesIterator{}, &reader);
  if (pieces.error()) return *pieces.error();
  if (!whole) return malformed(reader.why);
  if (!reader.found_entries)
    return malformed("it has no Data.PodDeviceEntries; is the kubelet of a version we do not know?");
  return std::move(reader.pods);
}

}  // namespace enclayer::pods
