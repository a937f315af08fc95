// SPDX-License-Identifier: Apache-2.0
#include "quoting/source_facts.h"

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "attestation/certificate.h"
#include "base/bytes.h"
#include "base/hex.h"
#include "base/metric_names.h"
#include "enclayer/quote.h"

namespace enclayer::quoting {
namespace {

using Json = nlohmann::ordered_json;

constexpr char kUnknown[] = "unknown";

// "1.22.100.3" of "libsgx_dcap_ql.so.1.22.100.3"; "" of "libsgx_dcap_ql.so.1", which names an interface.
std::string version_of(const std::string& path) {
  std::string name = std::filesystem::path(path).filename();
  auto at = name.rfind(".so.");
  std::string version = at == std::string::npos ? "" : name.substr(at + 4);
  return std::count(version.begin(), version.end(), '.') > 0 ? version : "";
}

bool is_called(const std::string& path, std::string_view name) {
  return std::filesystem::path(path).filename().string().starts_with(name);
}

Json svn_json(const std::optional<SourceFacts::Svn>& svn) {
  if (!svn) return nullptr;
  return {{"isvsvn", svn->value}, {"from", svn->from_quote ? "quote" : "file"}};
}

std::string text_of(const std::optional<SourceFacts::Svn>& svn) { return svn ? std::to_string(svn->value) : kUnknown; }

}  // namespace

std::string SourceFacts::library_version() const {
  for (const File& file : files)
    if (is_called(file.path, "libsgx_dcap_ql.so")) return file.version;
  return "";
}

SourceFacts facts_of_files(const std::vector<DcapFile>& files, const std::optional<ByteArray<32>>& qe_mr_enclave) {
  SourceFacts facts;
  facts.qe_mr_enclave = qe_mr_enclave;
  facts.tcb_unknown = "no quote was made yet";
  for (const DcapFile& file : files) {
    facts.files.push_back({file.path, version_of(file.path)});
    if (is_called(file.path, "libsgx_qe3.signed"))
      for (const sgx::Sigstruct& one : file.sigstructs)
        if (one.mr_enclave == qe_mr_enclave) facts.qe_svn = {one.isv_svn, false};
    // Nobody says which PCE was asked: where its file has versions, it is not known.
    bool agree = std::all_of(file.sigstructs.begin(), file.sigstructs.end(),
                             [&](const sgx::Sigstruct& one) { return one.isv_svn == file.sigstructs.front().isv_svn; });
    if (is_called(file.path, "libsgx_pce.signed") && !file.sigstructs.empty() && agree)
      facts.pce_svn = {file.sigstructs.front().isv_svn, false};
  }
  return facts;
}

void learn_from_quote(SourceFacts& facts, ByteView bytes) {
  auto quote = parse_quote(bytes);
  if (!quote) return;
  const ReportBody qe = quote->qe_report();
  if (!facts.qe_mr_enclave) facts.qe_mr_enclave = qe.mr_enclave;
  facts.qe_svn = {qe.isv_svn, true};
  facts.pce_svn = {quote->header.pce_svn, true};
  if (!facts.tcb) facts.tcb_unknown = "no collateral is at hand: fetch it and verify a quote of this node";
  if (quote->certification.type != CertificationData::kPckChain) return;
  auto chain = attestation::certificates_from_pem(base::as_text(quote->certification.data));
  if (!chain || chain->empty() || !chain->front().sgx_extension) return;
  auto extension = attestation::parse_pck_extension(*chain->front().sgx_extension);
  // The certificates of a Platform CA alone name a platform instance (Intel's profile, 1.3.5).
  if (extension) facts.pck = {extension->fmspc, extension->tcb, extension->platform_instance_id.has_value()};
}

void learn_from_verification(SourceFacts& facts, const Verification& verification) {
  if (!verification.verified()) {
    facts.tcb.reset();
    facts.tcb_unknown = "the quote does not verify: " + std::string(to_string(verification.reason));
    return;
  }
  facts.tcb = {*verification.tcb_status, verification.tcb_date, verification.tcb_evaluation_number,
               verification.advisory_ids};
  facts.tcb_unknown.clear();
}

std::string to_json(const SourceFacts& facts, const FactsAbout& about) {
  Json json = {{"version", about.version}, {"platform", about.platform}};
  if (about.generation > 0) json["generation"] = about.generation;
  if (!about.instance.empty()) json["instance"] = about.instance;
  Json files = Json::array();
  for (const SourceFacts::File& file : facts.files)
    files.push_back({{"file", file.path}, {"version", file.version.empty() ? Json() : Json(file.version)}});
  json["libraries"] = files;
  json["qe"] = svn_json(facts.qe_svn);
  if (facts.qe_mr_enclave) {
    if (json["qe"].is_null()) json["qe"] = {{"isvsvn", nullptr}, {"from", nullptr}};
    json["qe"]["mr_enclave"] = base::to_hex(*facts.qe_mr_enclave);
  }
  json["pce"] = svn_json(facts.pce_svn);
  json["fmspc"] = facts.pck ? Json(base::to_hex(facts.pck->fmspc)) : Json();
  json["pck_tcb"] = facts.pck ? Json(to_string(facts.pck->tcb)) : Json();
  json["pck_ca"] = facts.pck ? Json(facts.pck->platform_ca ? "platform" : "processor") : Json();
  json["tcb"] = nullptr;
  if (facts.tcb)
    json["tcb"] = {{"status", to_string(facts.tcb->status)},
                   {"tcb_date", facts.tcb->date ? Json(format_time(*facts.tcb->date)) : Json()},
                   {"evaluation_number", facts.tcb->evaluation_number ? Json(*facts.tcb->evaluation_number) : Json()},
                   {"advisories", facts.tcb->advisory_ids}};
  else
    json["tcb_unknown"] = facts.tcb_unknown;
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

void show_source_info(const SourceFacts& facts, base::Metrics& metrics) {
  std::string library = facts.library_version();
  metrics.replace(base::metric::kQuoteSourceInfo,
                  {{{{"qe_isvsvn", text_of(facts.qe_svn)},
                     {"pce_svn", text_of(facts.pce_svn)},
                     {"library_version", library.empty() ? kUnknown : library},
                     {"fmspc", facts.pck ? base::to_hex(facts.pck->fmspc) : kUnknown},
                     {"tcb", facts.pck ? to_string(facts.pck->tcb) : kUnknown},
                     {"tcb_status", facts.tcb ? std::string(to_string(facts.tcb->status)) : kUnknown}},
                    1}});
}

}  // namespace enclayer::quoting
