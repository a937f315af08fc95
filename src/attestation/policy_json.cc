// SPDX-License-Identifier: Apache-2.0
// The policy file. policy.schema.json says the same for other programs; a test holds the two together.
#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>
#include <type_traits>

#include "attestation/hex64.h"
#include "attestation/policy_keys.h"
#include "base/hex.h"
#include "base/json.h"
#include "base/malformed.h"
#include "base/printable.h"
#include "enclayer/policy.h"

namespace enclayer {
namespace {

using nlohmann::json;

// A value and where it stands: "accepted_tcb_statuses[1]".
struct Place {
  const json& value;
  std::string path;

  Error refused(std::string_view allowed) const {
    constexpr std::size_t kMost = 80;
    std::string text = value.dump(-1, ' ', true);
    std::string shown = base::printable(text, kMost) + (text.size() > kMost ? "..." : "");
    return {ErrorKind::kMalformed, "policy: \"" + path + "\" is " + shown + "; allowed: " + std::string(allowed)};
  }
};

Result<> read(const Place& at, bool& out) {
  if (!at.value.is_boolean()) return at.refused("true or false");
  out = at.value.get<bool>();
  return {};
}

template <class Number>
requires std::is_unsigned_v<Number> Result<> read(const Place& at, Number& out) {
  constexpr Number kMost = std::numeric_limits<Number>::max();
  if (!at.value.is_number_unsigned() || at.value.get<std::uint64_t>() > kMost)
    return at.refused("a whole number from 0 to " + std::to_string(kMost));
  out = at.value.get<Number>();
  return {};
}

Result<> read(const Place& at, std::uint64_t& out) {
  auto bits = at.value.is_string() ? attestation::hex64_from(at.value.get_ref<const std::string&>()) : std::nullopt;
  if (!bits) return at.refused("\"0x\" and 16 hexadecimal digits");
  out = *bits;
  return {};
}

Result<Bytes> hex_bytes(const Place& at, std::size_t fewest, std::size_t most) {
  std::string allowed = std::to_string(2 * most) + " hexadecimal digits";
  if (fewest != most) allowed = std::to_string(2 * fewest) + " to " + allowed + ", two a byte";
  if (!at.value.is_string()) return at.refused(allowed);
  auto bytes = base::from_hex(at.value.get_ref<const std::string&>());
  if (!bytes || bytes->size() < fewest || bytes->size() > most) return at.refused(allowed);
  return bytes;
}

template <std::size_t N>
Result<> read(const Place& at, ByteArray<N>& out) {
  ENCLAYER_TRY(Bytes bytes, hex_bytes(at, N, N));
  std::copy(bytes.begin(), bytes.end(), out.begin());
  return {};
}

Result<> read(const Place& at, TcbStatus& out) {
  auto status = at.value.is_string() ? tcb_status_from(at.value.get_ref<const std::string&>()) : std::nullopt;
  if (!status || *status == TcbStatus::kRevoked) {
    std::string names;
    for (auto one = static_cast<int>(TcbStatus::kUpToDate); one < static_cast<int>(TcbStatus::kRevoked); ++one)
      names += (names.empty() ? "" : ", ") + std::string(to_string(static_cast<TcbStatus>(one)));
    return at.refused(names);
  }
  out = *status;
  return {};
}

Result<> read(const Place& at, PlatformIdentity::SgxType& out) {
  using SgxType = PlatformIdentity::SgxType;
  for (SgxType type : {SgxType::kStandard, SgxType::kScalable, SgxType::kScalableWithIntegrity})
    if (at.value == json(to_string(type))) {
      out = type;
      return {};
    }
  return at.refused("\"Standard\", \"Scalable\" or \"ScalableWithIntegrity\"");
}

Result<> read(const Place& at, std::optional<Time>& out) {
  auto time = at.value.is_string() ? parse_time(at.value.get_ref<const std::string&>()) : Result<Time>(Time{});
  if (!at.value.is_string() || !time) return at.refused("a time such as \"2024-03-13T00:00:00Z\"");
  out = *time;
  return {};
}

// An advisory as TCB Info spells it: "INTEL-SA-00615".
Result<> read(const Place& at, std::string& out) {
  constexpr std::string_view kStart = "INTEL-";
  constexpr std::size_t kDigits = 5;
  auto is_advisory = [&](std::string_view id) {
    if (!id.starts_with(kStart)) return false;
    id.remove_prefix(kStart.size());
    std::size_t letters = id.find('-');
    if (letters == std::string_view::npos || letters < 2 || letters > 8 || id.size() != letters + 1 + kDigits)
      return false;
    return std::all_of(id.begin(), id.begin() + letters, [](char c) { return c >= 'A' && c <= 'Z'; }) &&
           std::all_of(id.end() - kDigits, id.end(), [](char c) { return c >= '0' && c <= '9'; });
  };
  if (!at.value.is_string() || !is_advisory(at.value.get_ref<const std::string&>()))
    return at.refused("an advisory such as \"INTEL-SA-00615\"");
  out = at.value.get<std::string>();
  return {};
}

template <class T>
Result<> read(const Place& at, std::vector<T>& out, std::size_t fewest = 1) {
  if (!at.value.is_array() || at.value.size() < fewest || at.value.size() > Policy::kMaxListed)
    return at.refused("a list of " + std::to_string(fewest) + " to " + std::to_string(Policy::kMaxListed) +
                      (fewest == 0 ? "" : "; without this key nothing of the kind is asked for"));
  out.clear();
  for (std::size_t i = 0; i < at.value.size(); ++i) {
    Place element{at.value[i], at.path + "[" + std::to_string(i) + "]"};
    if (std::find(at.value.begin(), at.value.begin() + static_cast<std::ptrdiff_t>(i), element.value) !=
        at.value.begin() + static_cast<std::ptrdiff_t>(i))
      return element.refused("each value once");
    ENCLAYER_CHECK(read(element, out.emplace_back()));
  }
  return {};
}

Result<> read(const Place& at, std::optional<std::uint16_t>& out) { return read(at, out.emplace()); }
Result<> read(const Place& at, std::optional<std::vector<std::string>>& out) { return read(at, out.emplace(), 0); }

// {"exact": ...} or {"prefix": ...} or {"value": ..., "mask": ...}.
Result<> read(const Place& at, std::optional<ReportDataRule>& out) {
  const json& j = at.value;
  auto has_only = [&](std::initializer_list<const char*> keys) {
    return j.is_object() && j.size() == keys.size() &&
           std::all_of(keys.begin(), keys.end(), [&](const char* key) { return j.contains(key); });
  };
  auto member = [&](const char* key) { return Place{j.at(key), at.path + "." + key}; };
  ReportDataRule rule;
  if (has_only({"exact"})) {
    ENCLAYER_CHECK(read(member("exact"), rule.value));
    rule = ReportDataRule::exact(rule.value);
  } else if (has_only({"prefix"})) {
    ENCLAYER_TRY(Bytes first, hex_bytes(member("prefix"), 1, rule.value.size()));
    ENCLAYER_TRY(rule, ReportDataRule::prefix(first));
  } else if (has_only({"value", "mask"})) {
    ENCLAYER_CHECK(read(member("value"), rule.value));
    ENCLAYER_CHECK(read(member("mask"), rule.mask));
  } else {
    return at.refused("an object with \"exact\", or with \"prefix\", or with \"value\" and \"mask\"");
  }
  out = rule;
  return {};
}

Result<> version(const Place& at, Policy&) {
  return at.value == json(1u) && at.value.is_number_unsigned() ? Result<>{} : at.refused("1");
}

// For people and their editors: read over, within bounds.
Result<> words(const Place& at, Policy&) {
  constexpr std::ptrdiff_t kMost = 1024;
  auto starts_character = [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; };  // in UTF-8
  auto good = [&](const std::string& text) {
    return std::count_if(text.begin(), text.end(), starts_character) <= kMost;
  };
  if (at.value.is_string() && good(at.value.get_ref<const std::string&>())) return {};
  return at.refused("a text of at most " + std::to_string(kMost) + " characters");
}

template <auto field>
Result<> into(const Place& at, Policy& out) {
  return read(at, out.*field);
}

template <std::size_t register_number>
Result<> into_rtmr(const Place& at, Policy& out) {
  return read(at, out.rtmr[register_number]);
}

struct Key {
  std::string_view name;
  Result<> (*read)(const Place& at, Policy& out);
};

constexpr Key kKeys[] = {
    {"$schema", words},
    {"version", version},
    {"description", words},
    {"mr_enclave", into<&Policy::mr_enclave>},
    {"mr_signer", into<&Policy::mr_signer>},
    {"isv_prod_id", into<&Policy::isv_prod_id>},
    {"min_isv_svn", into<&Policy::min_isv_svn>},
    {"mr_td", into<&Policy::mr_td>},
    {"rtmr0", into_rtmr<0>},
    {"rtmr1", into_rtmr<1>},
    {"rtmr2", into_rtmr<2>},
    {"rtmr3", into_rtmr<3>},
    {"mr_config_id", into<&Policy::mr_config_id>},
    {"mr_owner", into<&Policy::mr_owner>},
    {"mr_owner_config", into<&Policy::mr_owner_config>},
    {"td_attributes", into<&Policy::td_attributes>},
    {"xfam", into<&Policy::xfam>},
    {"mr_service_td", into<&Policy::mr_service_td>},
    {"mr_seam", into<&Policy::mr_seam>},
    {"report_data", into<&Policy::report_data>},
    {"allow_debug", into<&Policy::allow_debug>},
    {"allow_simulated", into<&Policy::allow_simulated>},
    {"accepted_tcb_statuses", into<&Policy::accepted_tcb>},
    {"tcb_grace_days", into<&Policy::tcb_grace_days>},
    {"min_tcb_date", into<&Policy::min_tcb_date>},
    {"accepted_advisory_ids", into<&Policy::accepted_advisories>},
    {"rejected_advisory_ids", into<&Policy::rejected_advisories>},
    {"min_tcb_evaluation_data_number", into<&Policy::min_tcb_evaluation_number>},
    {"max_collateral_age_days", into<&Policy::max_collateral_age_days>},
    {"fmspc", into<&Policy::fmspc>},
    {"ppid", into<&Policy::ppid>},
    {"platform_instance_id", into<&Policy::platform_instance_id>},
    {"sgx_type", into<&Policy::sgx_type>},
    {"allow_dynamic_platform", into<&Policy::allow_dynamic_platform>},
    {"allow_cached_keys", into<&Policy::allow_cached_keys>},
    {"allow_smt", into<&Policy::allow_smt>},
};

}  // namespace

namespace attestation {

std::vector<std::string_view> policy_keys() {
  std::vector<std::string_view> out;
  for (const Key& key : kKeys) out.push_back(key.name);
  return out;
}

}  // namespace attestation

Result<Policy> parse_policy_json(std::string_view text) {
  constexpr base::Malformed malformed{"policy: "};
  if (text.size() > Policy::kMaxJsonSize)
    return malformed("it has " + std::to_string(text.size()) + " bytes, at most " +
                     std::to_string(Policy::kMaxJsonSize) + " are read");
  // Judges depth, duplicate keys and what follows; what it lets pass can be parsed again without a thought.
  if (auto bounded = base::JsonDocument::parse(text); !bounded) return malformed(bounded.error().message());
  const json root = json::parse(text, nullptr, false);

  for (const auto& member : root.items()) {
    auto is_it = [&](const Key& key) { return key.name == member.key(); };
    if (std::any_of(std::begin(kKeys), std::end(kKeys), is_it)) continue;
    std::string known;
    for (const Key& key : kKeys) known += (known.empty() ? "" : ", ") + std::string(key.name);
    return malformed("\"" + base::printable(member.key(), 64) + "\" is not a key that is known; allowed: " + known);
  }
  if (!root.contains("version")) return malformed("\"version\" is missing; allowed: 1");
  Policy policy;
  for (const Key& key : kKeys)
    if (auto found = root.find(key.name); found != root.end())
      ENCLAYER_CHECK(key.read({*found, std::string(key.name)}, policy));
  return policy;
}

}  // namespace enclayer
