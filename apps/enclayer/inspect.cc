// SPDX-License-Identifier: Apache-2.0
// enclayer inspect: every field of a quote. Nothing is verified.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "attestation/certificate.h"
#include "attestation/hex64.h"
#include "attestation/pck_extension.h"
#include "base/bytes.h"
#include "base/hex.h"
#include "cli_support.h"
#include "commands.h"
#include "enclayer/quote.h"

namespace enclayer::apps {
namespace {

using Json = nlohmann::ordered_json;
using attestation::hex64;
using base::to_hex;

Json attributes_json(const Attributes& attributes) {
  static constexpr std::pair<std::uint64_t, const char*> kNames[] = {
      {Attributes::kInit, "INIT"}, {Attributes::kDebug, "DEBUG"}, {Attributes::kMode64, "MODE64"},
      {0x10, "PROVISION_KEY"},     {0x20, "EINITTOKEN_KEY"},      {0x80, "KSS"},
      {0x400, "AEX_NOTIFY"}};
  Json names = Json::array();
  for (const auto& [bit, name] : kNames)
    if ((attributes.flags & bit) != 0) names.push_back(name);
  return {{"flags", hex64(attributes.flags)}, {"names", names}, {"xfrm", hex64(attributes.xfrm)}};
}

Json report_json(const ReportBody& r) {
  return {{"mr_enclave", to_hex(r.mr_enclave)},
          {"mr_signer", to_hex(r.mr_signer)},
          {"isv_prod_id", r.isv_prod_id},
          {"isv_svn", r.isv_svn},
          {"debug", r.attributes.debug()},
          {"attributes", attributes_json(r.attributes)},
          {"misc_select", r.misc_select},
          {"cpu_svn", to_hex(r.cpu_svn)},
          {"isv_ext_prod_id", to_hex(r.isv_ext_prod_id)},
          {"isv_family_id", to_hex(r.isv_family_id)},
          {"config_id", to_hex(r.config_id)},
          {"config_svn", r.config_svn},
          {"report_data", to_hex(r.report_data)}};
}

Json td_attribute_names(std::uint64_t attributes) {
  static constexpr std::pair<std::uint64_t, const char*> kNames[] = {{TdReportBody::kDebug, "DEBUG"},
                                                                     {TdReportBody::kSeptVeDisable, "SEPT_VE_DISABLE"},
                                                                     {TdReportBody::kMigratable, "MIGRATABLE"},
                                                                     {TdReportBody::kPks, "PKS"},
                                                                     {TdReportBody::kKl, "KL"},
                                                                     {TdReportBody::kPerfmon, "PERFMON"}};
  Json names = Json::array();
  for (const auto& [bit, name] : kNames)
    if ((attributes & bit) != 0) names.push_back(name);
  if ((attributes & ~TdReportBody::kKnownAttributes) != 0) names.push_back("reserved bits");
  return names;
}

Json td_report_json(const TdReportBody& r) {
  Json out = {{"mr_td", to_hex(r.mr_td)},
              {"debug", r.debug()},
              {"td_attributes", hex64(r.td_attributes)},
              {"td_attribute_names", td_attribute_names(r.td_attributes)},
              {"xfam", hex64(r.xfam)},
              {"rtmr", Json::array()},
              {"mr_config_id", to_hex(r.mr_config_id)},
              {"mr_owner", to_hex(r.mr_owner)},
              {"mr_owner_config", to_hex(r.mr_owner_config)},
              {"tdx_module_version", std::to_string(r.tee_tcb_svn[1]) + "." + std::to_string(r.tee_tcb_svn[0])},
              {"tee_tcb_svn", to_hex(r.tee_tcb_svn)},
              {"mr_seam", to_hex(r.mr_seam)},
              {"mr_signer_seam", to_hex(r.mr_signer_seam)},
              {"seam_attributes", hex64(r.seam_attributes)},
              {"report_data", to_hex(r.report_data)}};
  for (const auto& rtmr : r.rtmr) out["rtmr"].push_back(to_hex(rtmr));
  if (r.tdx15) {
    out["tee_tcb_svn2"] = to_hex(r.tdx15->tee_tcb_svn2);
    out["mr_service_td"] = to_hex(r.tdx15->mr_service_td);
  }
  if (r.partitioned) {
    const auto& more = *r.partitioned;
    out["vmid"] = more.vmid;
    out["td_id"] = to_hex(more.td_id);
    out["dev_info"] = to_hex(more.dev_info);
    out["init_service_td_hash"] = to_hex(more.init_service_td_hash);
    out["init_service_td_attributes"] = hex64(more.init_service_td_attributes);
    out["init_cpu_svn"] = to_hex(more.init_cpu_svn);
    out["init_tee_tcb_svn"] = to_hex(more.init_tee_tcb_svn);
    out["init_tee_fmspc"] = to_hex(more.init_tee_fmspc);
    out["current_service_td_hash"] = to_hex(more.current_service_td_hash);
    out["current_service_td_attributes"] = hex64(more.current_service_td_attributes);
  }
  return out;
}

Json header_json(const QuoteHeader& h) {
  Json out = {{"version", h.version},
              {"att_key_type", h.att_key_type},
              {"att_key_type_name", "ECDSA on P-256"},
              {"tee_type", h.tee_type},
              {"tee_type_name", h.tee_type == QuoteHeader::kTdx ? "TDX" : "SGX"}};
  if (h.version == 3) {
    out["qe_svn"] = h.qe_svn;
    out["pce_svn"] = h.pce_svn;
  }
  out["qe_vendor_id"] = to_hex(h.vendor_id);
  out["qe_vendor"] = h.vendor_id == QuoteHeader::kIntelVendor ? "Intel" : "unknown";
  out["user_data"] = to_hex(h.user_data);
  return out;
}

Json platform_json(const attestation::PckExtension& p) {
  static constexpr const char* kTypes[] = {"standard", "scalable", "scalable with integrity"};
  Json out = {{"fmspc", to_hex(p.fmspc)},           {"pce_id", to_hex(p.pce_id)}, {"ppid", to_hex(p.ppid)},
              {"tcb_components", p.tcb.components}, {"pce_svn", p.tcb.pce_svn},   {"cpu_svn", to_hex(p.cpu_svn)},
              {"sgx_type", kTypes[p.sgx_type]}};
  if (p.platform_instance_id) out["platform_instance_id"] = to_hex(*p.platform_instance_id);
  if (p.dynamic_platform) out["dynamic_platform"] = *p.dynamic_platform;
  if (p.cached_keys) out["cached_keys"] = *p.cached_keys;
  if (p.smt_enabled) out["smt_enabled"] = *p.smt_enabled;
  return out;
}

Json certificate_json(const attestation::Certificate& c) {
  Json out = {{"common_name", c.common_name()},
              {"subject", c.subject.text()},
              {"issuer", c.issuer.text()},
              {"serial", to_hex(c.serial)},
              {"valid_from", format_time(c.validity.from)},
              {"valid_until", format_time(c.validity.until)}};
  if (c.sgx_extension) {
    auto platform = attestation::parse_pck_extension(*c.sgx_extension);
    out["platform"] = platform ? platform_json(*platform) : Json("cannot be parsed: " + platform.error().message());
  }
  return out;
}

// Types 1 to 3: a PPID, clear or encrypted, and the raw TCB.
Json ppid_json(const Bytes& data) {
  std::size_t ppid_size = data.size() <= 36 ? 16 : data.size() - 20;
  ByteView rest = ByteView(data).subspan(ppid_size);
  Json out = {{data.size() <= 36 ? "ppid" : "encrypted_ppid", to_hex(ByteView(data).first(ppid_size))},
              {"cpu_svn", to_hex(rest.first(16))},
              {"pce_svn", base::load_le16(rest.data() + 16)}};
  if (rest.size() >= 20) out["pce_id"] = to_hex(rest.subspan(18, 2));
  return out;
}

Json certification_json(const CertificationData& c, bool& simulated) {
  Json out = {{"type", c.type}, {"type_name", certification_type_name(c.type)}, {"size", c.data.size()}};
  if (c.type <= CertificationData::kPpidRsa3072) {
    out.update(ppid_json(c.data));
    return out;
  }
  if (c.type == CertificationData::kPlatformManifest) {
    out["platform_manifest"] = to_hex(c.data);
    return out;
  }
  auto certificates = attestation::certificates_from_pem(base::as_text(c.data));
  if (!certificates) {
    out["certificates"] = "cannot be parsed: " + certificates.error().message();
    return out;
  }
  out["certificates"] = Json::array();
  for (const auto& certificate : *certificates) {
    simulated |= attestation::says_simulated(certificate);
    out["certificates"].push_back(certificate_json(certificate));
  }
  return out;
}

std::string format_name(const Quote& quote) {
  return std::string(quote.sgx() ? "SGX" : "TDX") + " quote, version " + std::to_string(quote.header.version);
}

Json quote_json(const Quote& quote, const Evidence& evidence, bool& simulated) {
  Json certification = certification_json(quote.certification, simulated);
  std::size_t wrapper = quote.open_enclave_header ? 16 : 0;
  return {{"format", format_name(quote)},
          {"form", evidence.form},
          {"size", quote.size},
          {"trailing_bytes", evidence.quote.size() - quote.size - wrapper},
          {"open_enclave_header", quote.open_enclave_header},
          {"simulated", simulated},
          {"header", header_json(quote.header)},
          {quote.sgx() ? "report" : "td_report",
           quote.sgx() ? report_json(quote.report()) : td_report_json(quote.td_report())},
          {"signature", to_hex(quote.signature)},
          {"attestation_key", to_hex(quote.attestation_key)},
          {"qe_report", report_json(quote.qe_report())},
          {"qe_report_signature", to_hex(quote.qe_report_signature)},
          {"qe_auth_data", to_hex(quote.qe_auth_data)},
          {"certification", std::move(certification)}};
}

// The same fields for people: one a line, objects indented, short lists of numbers and words in one line.
void print_fields(const Json& object, int indent) {
  for (const auto& [key, value] : object.items()) {
    std::printf("%*s%s:", indent, "", key.c_str());
    if (value.is_object()) {
      std::printf("\n");
      print_fields(value, indent + 2);
    } else if (value.is_array() && !value.empty() && value.front().is_object()) {
      std::printf("\n");
      for (const Json& element : value) {
        std::printf("%*s-\n", indent + 2, "");
        print_fields(element, indent + 4);
      }
    } else if (value.is_array()) {
      for (const Json& element : value)
        std::printf(" %s", element.is_string() ? element.get<std::string>().c_str() : element.dump().c_str());
      std::printf("\n");
    } else if (value.is_boolean()) {
      std::printf(" %s\n", value.get<bool>() ? (key == "debug" ? "YES" : "yes") : "no");
    } else {
      std::printf(" %s\n", value.is_string() ? value.get<std::string>().c_str() : value.dump().c_str());
    }
  }
}

int inspect_command(const std::string& path, const std::string& output) {
  constexpr char kProgram[] = "enclayer inspect";
  constexpr int kMisuse = 1, kMalformed = 2, kNotReadable = 3;
  auto evidence = read_evidence(path);
  if (!evidence) {
    fail(kProgram, evidence.error());
    return evidence.error().kind() == ErrorKind::kMalformed ? kMisuse : kNotReadable;
  }
  auto quote = parse_quote(evidence->quote);
  if (!quote) {
    fail(kProgram, quote.error().with_context(path));
    return kMalformed;
  }
  bool simulated = false;
  Json json = quote_json(*quote, *evidence, simulated);
  if (output == "json") {
    std::printf("%s\n", json.dump(2, ' ', false, Json::error_handler_t::replace).c_str());
    return 0;
  }
  std::printf("%s, %zu bytes. Nothing of it is verified here: that is what `enclayer verify` does.\n",
              format_name(*quote).c_str(), quote->size);
  bool debug = quote->sgx() ? quote->report().attributes.debug() : quote->td_report().debug();
  if (debug) std::printf("DEBUG: its host can read and change the memory of what this quote is about.\n");
  if (simulated) std::printf("SIMULATED: its certificates say that no hardware stands behind it.\n");
  print_fields(json, 0);
  return 0;
}

}  // namespace

Result<Evidence> read_evidence(const std::string& path) {
  ENCLAYER_TRY(Bytes bytes, read_input(path, Evidence::kMaxSize));
  auto evidence = evidence_from(bytes);
  if (!evidence) return evidence.error().with_context(path == "-" ? "standard input" : path);
  return evidence;
}

void add_inspect(CLI::App& app, int& exit_code) {
  struct Options {
    std::string quote, output = "text";
  };
  auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand("inspect", "What does this quote say? Shows every field, verifies nothing");
  command->add_option("--quote", options->quote, kEvidenceHelp)->required()->option_text("FILE (required)");
  add_output_flag(*command, options->output);
  command->footer(
      "Exit codes: 0 shown; 2 a quote that is damaged or of a version that is not known here (3, 4 and 5 are);\n"
      "  1 misuse, also a file without a quote; 3 the file cannot be read.\n"
      "Example: enclayer inspect --quote quote.bin --output json | jq .report.mr_enclave");
  command->callback([options, &exit_code] { exit_code = inspect_command(options->quote, options->output); });
}

}  // namespace enclayer::apps
