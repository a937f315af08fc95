// SPDX-License-Identifier: Apache-2.0
#include "attestation/qe_identity.h"

#include "attestation/json_fields.h"
#include "base/bytes.h"

namespace enclayer::attestation {
namespace {

// The bytes of MISCSELECT in the order in which they lie in memory, as those of the attributes.
Result<std::uint32_t> misc_field(base::JsonValue json, std::string_view key) {
  ENCLAYER_TRY(ByteArray<4> bytes, hex_array<4>(json, key));
  return base::load_le32(bytes.data());
}

Result<QeIdentity> read_qe_identity(std::string_view text) {
  ENCLAYER_TRY(base::JsonDocument document, base::JsonDocument::parse(text));
  base::JsonValue json = document.root();
  QeIdentity out;
  ENCLAYER_TRY(std::uint64_t version, json.number("version", 0xffff));
  if (version != 2)
    return Error(ErrorKind::kUnsupported, "version " + std::to_string(version) + " is not known here; 2 is");
  ENCLAYER_TRY(out.id, json.text("id"));
  if (out.id != "QE" && out.id != "QVE" && out.id != "TD_QE") return malformed("\"id\" is not QE, QVE or TD_QE");
  ENCLAYER_TRY(out.validity, issue_window(json));
  ENCLAYER_TRY(std::uint64_t evaluation, json.number("tcbEvaluationDataNumber", 0xffffffff));
  out.evaluation_number = static_cast<std::uint32_t>(evaluation);
  ENCLAYER_TRY(out.misc_select, misc_field(json, "miscselect"));
  ENCLAYER_TRY(out.misc_select_mask, misc_field(json, "miscselectMask"));
  ENCLAYER_TRY(out.attributes, hex_array<16>(json, "attributes"));
  ENCLAYER_TRY(out.attributes_mask, hex_array<16>(json, "attributesMask"));
  ENCLAYER_TRY(out.mr_signer, hex_array<32>(json, "mrsigner"));
  ENCLAYER_TRY(std::uint64_t prod_id, json.number("isvprodid", 0xffff));
  out.isv_prod_id = static_cast<std::uint16_t>(prod_id);
  ENCLAYER_TRY(out.levels, parse_isv_levels(json));
  return out;
}

ByteArray<16> bytes_of(const Attributes& attributes) {
  ByteArray<16> out{};
  base::store_le64(out.data(), attributes.flags);
  base::store_le64(out.data() + 8, attributes.xfrm);
  return out;
}

ByteArray<16> masked(ByteArray<16> bytes, const ByteArray<16>& mask) {
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] &= mask[i];
  return bytes;
}

}  // namespace

std::string QeIdentity::mismatch(const ReportBody& report) const {
  auto differs = [](const char* what, const std::string& found, const std::string& wanted) {
    return std::string("the QE's ") + what + " is " + found + ", QE Identity wants " + wanted;
  };
  if ((report.misc_select & misc_select_mask) != misc_select)
    return differs("masked MISCSELECT", std::to_string(report.misc_select & misc_select_mask),
                   std::to_string(misc_select));
  if ((report.attributes.flags & Attributes::kDebug) != 0)
    return "the QE has the DEBUG attribute: its host can read its keys, whatever QE Identity's mask says";
  ByteArray<16> found = masked(bytes_of(report.attributes), attributes_mask);
  if (found != attributes) return differs("masked ATTRIBUTES", base::to_hex(found), base::to_hex(attributes));
  if (report.mr_signer != mr_signer)
    return differs("MRSIGNER", base::to_hex(report.mr_signer), base::to_hex(mr_signer));
  if (report.isv_prod_id != isv_prod_id)
    return differs("ISVPRODID", std::to_string(report.isv_prod_id), std::to_string(isv_prod_id));
  return "";
}

Result<QeIdentity> parse_qe_identity(std::string_view json) {
  auto parsed = read_qe_identity(json);
  if (!parsed) return parsed.error().with_context("QE Identity");
  return parsed;
}

}  // namespace enclayer::attestation
