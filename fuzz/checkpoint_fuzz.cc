// The kubelet's checkpoint: whatever is accepted names pods within bounds, and the same ones in pieces of any size.
#include <cstdlib>

#include "fake/in_pieces.h"
#include "pods/checkpoint.h"

using namespace enclayer;

namespace {
auto holding(std::string_view text, std::size_t piece) {
  return pods::pods_holding(fake::in_pieces(text, piece), "example.com/epc");
}
}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view text(size ? reinterpret_cast<const char*>(data) : "", size);
  auto whole = holding(text, size + 1), pieces = holding(text, 3);
  if (whole.has_value() != pieces.has_value()) std::abort();
  if (!whole) {
    if (whole.error().kind() != ErrorKind::kMalformed || whole.error().message() != pieces.error().message())
      std::abort();
    return 0;
  }
  // Each took its UID, the resource's name and a device.
  if (*whole != *pieces || whole->size() > pods::kMaxPodsHolding || whole->size() * 30 > size) std::abort();
  for (const std::string& uid : *whole)
    if (uid.empty() || uid.size() > 64 || text.find("example.com/epc") == std::string_view::npos) {
      // The name may be written with escapes.
      if (uid.empty() || uid.size() > 64 || text.find('\\') == std::string_view::npos) std::abort();
    }
  return 0;
}
