// SPDX-License-Identifier: Apache-2.0
#include "attestation/tcb_info.h"

#include <algorithm>

#include "attestation/json_fields.h"

namespace enclayer::attestation {
namespace {

// Version 2: "sgxtcbcomp01svn" .. "sgxtcbcomp16svn". Version 3: an array of objects with an "svn".
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
  ENCLAYER_TRY(std::vector<base::JsonValue> components, tcb.objects("sgxtcbcomponents"));
  if (components.size() != out.components.size())
    return malformed("a TCB level has " + std::to_string(components.size()) + " components, not 16");
  for (std::size_t i = 0; i < components.size(); ++i) {
    ENCLAYER_TRY(std::uint64_t svn, components[i].number("svn", 0xff));
    out.components[i] = static_cast<std::uint8_t>(svn);
  }
  return out;
}

Result<TcbInfo> parse(std::string_view text) {
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
    ENCLAYER_CHECK(read_level_judgement(level_json, level));
    out.levels.push_back(std::move(level));
  }
  auto numbers = [](const TcbLevel& level) { return std::pair(level.tcb.components, level.tcb.pce_svn); };
  std::stable_sort(out.levels.begin(), out.levels.end(),
                   [&](const TcbLevel& a, const TcbLevel& b) { return numbers(a) > numbers(b); });
  auto twin = std::adjacent_find(out.levels.begin(), out.levels.end(),
                                 [](const TcbLevel& a, const TcbLevel& b) { return a.tcb == b.tcb; });
  if (twin != out.levels.end())
    return malformed("two TCB levels have the same numbers, with the statuses " + twin->status + " and " +
                     (twin + 1)->status);
  return out;
}

}  // namespace

const TcbLevel* TcbInfo::level_of(const PlatformTcb& platform) const {
  auto found =
      std::find_if(levels.begin(), levels.end(), [&](const TcbLevel& level) { return platform.reaches(level.tcb); });
  return found == levels.end() ? nullptr : &*found;
}

Result<TcbInfo> parse_tcb_info(std::string_view json) {
  auto parsed = parse(json);
  if (!parsed) return parsed.error().with_context("TCB Info");
  return parsed;
}

}  // namespace enclayer::attestation
