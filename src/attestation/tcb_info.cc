// SPDX-License-Identifier: Apache-2.0
#include "attestation/tcb_info.h"

#include <algorithm>
#include <tuple>

#include "attestation/json_fields.h"
#include "base/bytes.h"

namespace enclayer::attestation {
namespace {

// An array of sixteen objects with an "svn" each.
Result<ByteArray<16>> parse_components(base::JsonValue tcb, std::string_view key) {
  ENCLAYER_TRY(std::vector<base::JsonValue> components, tcb.objects(key));
  ByteArray<16> out{};
  if (components.size() != out.size())
    return malformed("a TCB level has " + std::to_string(components.size()) + " \"" + std::string(key) + "\", not 16");
  for (std::size_t i = 0; i < components.size(); ++i) {
    ENCLAYER_TRY(std::uint64_t svn, components[i].number("svn", 0xff));
    out[i] = static_cast<std::uint8_t>(svn);
  }
  return out;
}

// Version 2: "sgxtcbcomp01svn" .. "sgxtcbcomp16svn". Version 3: an array.
Result<PlatformTcb> parse_tcb(base::JsonValue tcb, std::uint32_t version) {
  PlatformTcb out;
  ENCLAYER_TRY(std::uint64_t pce_svn, tcb.number("pcesvn", 0xffff));
  out.pce_svn = static_cast<std::uint16_t>(pce_svn);
  if (version == 2) {
    for (std::size_t i = 0; i < out.components.size(); ++i) {
      std::string number = std::to_string(i + 1);
      ENCLAYER_TRY(std::uint64_t svn,
                   tcb.number("sgxtcbcomp" + std::string(2 - number.size(), '0') + number + "svn", 0xff));
      out.components[i] = static_cast<std::uint8_t>(svn);
    }
    return out;
  }
  ENCLAYER_TRY(out.components, parse_components(tcb, "sgxtcbcomponents"));
  return out;
}

Result<TdxModule> parse_tdx_module(base::JsonValue json) {
  TdxModule out;
  ENCLAYER_TRY(out.mr_signer, hex_array<48>(json, "mrsigner"));
  ENCLAYER_TRY(ByteArray<8> attributes, hex_array<8>(json, "attributes"));
  ENCLAYER_TRY(ByteArray<8> mask, hex_array<8>(json, "attributesMask"));
  out.attributes = base::load_le64(attributes.data());
  out.attributes_mask = base::load_le64(mask.data());
  return out;
}

Result<std::vector<TdxModuleIdentity>> parse_tdx_module_identities(base::JsonValue json) {
  ENCLAYER_TRY(std::vector<base::JsonValue> identities, json.objects("tdxModuleIdentities"));
  std::vector<TdxModuleIdentity> out;
  for (base::JsonValue identity_json : identities) {
    TdxModuleIdentity identity;
    ENCLAYER_TRY(identity.id, identity_json.text("id"));
    for (char& c : identity.id) c = 'a' <= c && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
    if (std::any_of(out.begin(), out.end(), [&](const auto& other) { return other.id == identity.id; }))
      return malformed("there are two identities of one TDX module");
    ENCLAYER_TRY(identity.module, parse_tdx_module(identity_json));
    auto levels = parse_isv_levels(identity_json);
    if (!levels) return levels.error().with_context("\"tdxModuleIdentities\"");
    identity.levels = std::move(*levels);
    out.push_back(std::move(identity));
  }
  return out;
}

Result<TcbInfo> read_tcb_info(std::string_view text) {
  ENCLAYER_TRY(base::JsonDocument document, base::JsonDocument::parse(text));
  base::JsonValue json = document.root();
  TcbInfo out;
  ENCLAYER_TRY(std::uint64_t version, json.number("version", 0xffff));
  if (version != 2 && version != 3)
    return Error(ErrorKind::kUnsupported, "version " + std::to_string(version) + " is not known here; 2 and 3 are");
  out.version = static_cast<std::uint32_t>(version);
  out.id = "SGX";
  if (version == 3) {
    ENCLAYER_TRY(out.id, json.text("id"));
    if (out.id != "SGX" && out.id != "TDX") return malformed("\"id\" is neither SGX nor TDX");
  }
  const bool tdx = out.id == "TDX";
  if (tdx) {
    ENCLAYER_TRY(base::JsonValue module, json.object("tdxModule"));
    ENCLAYER_TRY(out.tdx_module, parse_tdx_module(module));
    if (json.has("tdxModuleIdentities")) {
      ENCLAYER_TRY(out.tdx_module_identities, parse_tdx_module_identities(json));
    }
  }
  // Type 0 is the comparison of numbers that level_of() does; another type would need another one.
  ENCLAYER_TRY(std::uint64_t type, json.number("tcbType", 0xffff));
  if (type != 0) return Error(ErrorKind::kUnsupported, "TCB type " + std::to_string(type) + " is not known here; 0 is");
  ENCLAYER_TRY(out.validity, issue_window(json));
  ENCLAYER_TRY(out.fmspc, hex_array<6>(json, "fmspc"));
  ENCLAYER_TRY(out.pce_id, hex_array<2>(json, "pceId"));
  ENCLAYER_TRY(std::uint64_t evaluation, json.number("tcbEvaluationDataNumber", 0xffffffff));
  out.evaluation_number = static_cast<std::uint32_t>(evaluation);

  ENCLAYER_TRY(std::vector<base::JsonValue> levels, json.objects("tcbLevels"));
  if (levels.empty()) return malformed("there is no TCB level");
  for (base::JsonValue level_json : levels) {
    TcbLevel level;
    ENCLAYER_TRY(base::JsonValue tcb, level_json.object("tcb"));
    ENCLAYER_TRY(level.tcb, parse_tcb(tcb, out.version));
    if (tdx) {
      ENCLAYER_TRY(level.tdx.emplace().svn, parse_components(tcb, "tdxtcbcomponents"));
    }
    ENCLAYER_CHECK(read_level_judgement(level_json, level));
    out.levels.push_back(std::move(level));
  }
  auto numbers = [](const TcbLevel& level) {
    return std::tuple(level.tcb.components, level.tcb.pce_svn, level.tdx.value_or(TdxTcb{}).svn);
  };
  std::stable_sort(out.levels.begin(), out.levels.end(),
                   [&](const TcbLevel& a, const TcbLevel& b) { return numbers(a) > numbers(b); });
  auto twin = std::adjacent_find(out.levels.begin(), out.levels.end(),
                                 [&](const TcbLevel& a, const TcbLevel& b) { return numbers(a) == numbers(b); });
  if (twin != out.levels.end())
    return malformed("two TCB levels have the same numbers, with the statuses " + twin->status + " and " +
                     (twin + 1)->status);
  return out;
}

}  // namespace

const TcbLevel* TcbInfo::level_of(const PlatformTcb& platform, const std::optional<TdxTcb>& tdx) const {
  auto found = std::find_if(levels.begin(), levels.end(), [&](const TcbLevel& level) {
    return platform.reaches(level.tcb) && (!tdx || (level.tdx && tdx->reaches(*level.tdx)));
  });
  return found == levels.end() ? nullptr : &*found;
}

const TdxModuleIdentity* TcbInfo::module_of(std::uint8_t major) const {
  if (!tdx_module_identities) return nullptr;
  std::string wanted = "TDX_";
  for (int digit : {major >> 4, major & 0xf}) wanted += "0123456789ABCDEF"[digit];
  auto found = std::find_if(tdx_module_identities->begin(), tdx_module_identities->end(),
                            [&](const TdxModuleIdentity& identity) { return identity.id == wanted; });
  return found == tdx_module_identities->end() ? nullptr : &*found;
}

Result<TcbInfo> parse_tcb_info(std::string_view json) {
  auto parsed = read_tcb_info(json);
  if (!parsed) return parsed.error().with_context("TCB Info");
  return parsed;
}

}  // namespace enclayer::attestation
