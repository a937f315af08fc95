// SPDX-License-Identifier: Apache-2.0
#include "attest/request_json.h"

#include <algorithm>

#include "attest/base64url.h"
#include "base/malformed.h"
#include "base/printable.h"

namespace enclayer::attest {
namespace {

using base::malformed;

constexpr base::JsonLimits kRequest{.size = 1 << 20, .depth = 6, .values = 64};
constexpr base::JsonLimits kRuntime{.size = kMaxRuntimeData, .depth = 12, .values = 1024};

bool among(std::initializer_list<std::string_view> names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

}  // namespace

Result<base::JsonDocument> parse_request(std::string_view body, std::initializer_list<std::string_view> known,
                                         std::initializer_list<std::string_view> not_built) {
  auto document = base::JsonDocument::parse(body, kRequest);
  if (!document) return document.error().with_context("the request's body");
  for (const auto& [key, value] : document->root().entries()) {
    if (among(not_built, key))
      return Error(ErrorKind::kUnsupported, "\"" + key + "\" is not supported by this service");
    if (!among(known, key)) return malformed("the request has an unknown key \"" + base::printable(key, 64) + "\"");
  }
  return document;
}

Result<Bytes> bytes_of(base::JsonValue request, std::string_view key, std::size_t max) {
  ENCLAYER_TRY(const std::string text, request.text(key));
  const std::string name = "\"" + std::string(key) + "\"";
  if (text.size() > max / 3 * 4 + 4)
    return malformed(name + " has some " + std::to_string(text.size() / 4 * 3) + " bytes; " + std::to_string(max) +
                     " are read at most");
  auto bytes = from_base64url(text);
  if (!bytes) return malformed(name + " is not base64url without padding (RFC 4648, section 5)");
  if (bytes->empty()) return malformed(name + " is empty");
  return *std::move(bytes);
}

Result<base::JsonDocument> parse_runtime_json(std::string_view bytes) {
  return base::JsonDocument::parse(bytes, kRuntime);
}

}  // namespace enclayer::attest
