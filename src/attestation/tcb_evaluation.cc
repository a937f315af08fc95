// SPDX-License-Identifier: Apache-2.0
#include "attestation/tcb_evaluation.h"

#include <algorithm>

#include "attestation/tcb_status.h"

namespace enclayer::attestation {
namespace {

// `level` as a part of the platform; `of` says which.
Checked<TcbPart> part_at(const auto& level, const std::string& of) {
  auto status = tcb_status_from(level.status);
  if (status && *status != TcbStatus::kTdRelaunchAdvised && *status != TcbStatus::kTdRelaunchAdvisedConfigurationNeeded)
    return TcbPart{*status, level.date, level.advisory_ids};
  return Refusal{Reason::kTcbUnrecognizedStatus, of + " TCB level has the unknown status \"" +
                                                     level.status.substr(0, 64) + "\"; a newer enclayer may know it"};
}

// The same of a Quoting Enclave or a TDX module, of which there are only good, old and revoked ones.
Checked<TcbPart> part_at(const IsvLevel& level, const std::string& of) {
  ENCLAYER_TRY(TcbPart part, part_at<IsvLevel>(level, of));
  if (part.status == TcbStatus::kUpToDate || part.status == TcbStatus::kOutOfDate || part.status == TcbStatus::kRevoked)
    return part;
  return Refusal{Reason::kTcbUnrecognizedStatus, of + " TCB level cannot have the status " + level.status};
}

TcbStatus rank(const auto& level) { return tcb_status_from(level.status).value_or(TcbStatus::kRevoked); }

// The level that others are held against: of all with the best status the lowest, which asks for least.
template <class Level>
const Level* best_level(const std::vector<Level>& levels) {
  const Level* best = nullptr;
  for (const Level& level : levels)  // best first
    if (best == nullptr || rank(level) <= rank(*best)) best = &level;
  return best;
}

// The oldest level after `own`, which was patched less than that one was.
template <class Level>
Time lacking_since(const std::vector<Level>& levels, const Level& own) {
  Time out = Time::max();
  for (const Level& level : levels)
    if (level.date > own.date) out = std::min(out, level.date);
  return out;
}

}  // namespace

Checked<TcbPart> qe_at(const IsvLevel& level) { return part_at(level, "the QE's"); }

Checked<TcbEvaluation> evaluate_tcb(const TcbInfo& tcb_info, const PlatformTcb& platform,
                                    const std::optional<TdxTcb>& tdx, const TcbPart& qe) {
  const TcbLevel* level = tcb_info.level_of(platform, tdx);
  if (level == nullptr)
    return Refusal{Reason::kTcbNotSupported, "the platform's TCB is older than every level of TCB Info"};
  ENCLAYER_TRY(TcbPart at_level, part_at(*level, "the platform's"));
  TcbEvaluation out{std::move(at_level), std::nullopt, qe, TcbStatus::kRevoked};
  out.status = converge(out.platform.status, qe.status);
  if (tdx && tdx->module_major() > 0) {
    const TdxModuleIdentity* identity = tcb_info.module_of(tdx->module_major());
    const IsvLevel* module = identity == nullptr ? nullptr : level_of(identity->levels, tdx->module_minor());
    if (module == nullptr)
      return Refusal{Reason::kTcbNotSupported, "the TDX module, version " + std::to_string(tdx->module_major()) + "." +
                                                   std::to_string(tdx->module_minor()) +
                                                   ", is older than every level of its identity in TCB Info"};
    ENCLAYER_TRY(out.tdx_module, part_at(*module, "the TDX module's"));
    out.status = converge(out.status, out.tdx_module->status);
  }
  return out;
}

void Shortfalls::add(const IsvLevels& levels, std::uint16_t has, const std::string& part) {
  const IsvLevel *best = best_level(levels), *own = level_of(levels, has);
  if (best == nullptr || own == nullptr || rank(*own) == rank(*best)) return;
  list.push_back({part, has, best->isv_svn, best->date});
  since = std::min(since, attestation::lacking_since(levels, *own));
}

Shortfalls shortfalls_of(const TcbInfo& tcb_info, const PlatformTcb& platform, const std::optional<TdxTcb>& tdx,
                         const QeIdentity& qe, std::uint16_t qe_isv_svn) {
  Shortfalls out;
  const TcbLevel *best = best_level(tcb_info.levels), *own = tcb_info.level_of(platform, tdx);
  if (best != nullptr && own != nullptr && rank(*own) != rank(*best)) {
    out.since = lacking_since(tcb_info.levels, *own);
    auto compare = [&](const std::string& part, std::uint16_t has, std::uint16_t needs) {
      if (has < needs) out.list.push_back({part, has, needs, best->date});
    };
    for (std::size_t i = 0; i < platform.components.size(); ++i)
      compare("SGX TCB component " + std::to_string(i + 1), platform.components[i], best->tcb.components[i]);
    compare("PCESVN", platform.pce_svn, best->tcb.pce_svn);
    if (tdx && best->tdx)
      for (std::size_t i = tdx->module_major() > 0 ? 2 : 0; i < tdx->svn.size(); ++i)
        compare("TDX TCB component " + std::to_string(i + 1), tdx->svn[i], best->tdx->svn[i]);
  }
  if (tdx && tdx->module_major() > 0)
    if (const TdxModuleIdentity* identity = tcb_info.module_of(tdx->module_major()))
      out.add(identity->levels, tdx->module_minor(),
              "TDX module " + std::to_string(tdx->module_major()) + " minor version");
  out.add(qe.levels, qe_isv_svn, "QE ISVSVN");
  return out;
}

}  // namespace enclayer::attestation
