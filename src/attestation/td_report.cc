// SPDX-License-Identifier: Apache-2.0
#include "enclayer/td_report.h"

#include <algorithm>
#include <string>

#include "base/bytes.h"
#include "base/malformed.h"

namespace enclayer {
namespace {

// Every field in the order in which it lies there: what reads and what writes cannot differ.
void each_field(auto& td, auto&& field) {
  field(td.tee_tcb_svn);
  field(td.mr_seam);
  field(td.mr_signer_seam);
  field(td.seam_attributes);
  field(td.td_attributes);
  field(td.xfam);
  field(td.mr_td);
  field(td.mr_config_id);
  field(td.mr_owner);
  field(td.mr_owner_config);
  for (auto& rtmr : td.rtmr) field(rtmr);
  field(td.report_data);
  if (!td.tdx15) return;
  field(td.tdx15->tee_tcb_svn2);
  field(td.tdx15->mr_service_td);
  if (!td.partitioned) return;
  auto& more = *td.partitioned;
  field(more.vmid);
  field(more.td_id);
  field(more.dev_info);
  field(more.init_service_td_hash);
  field(more.init_service_td_attributes);
  field(more.init_cpu_svn);
  field(more.init_tee_tcb_svn);
  field(more.init_tee_fmspc);
  field(more.current_service_td_hash);
  field(more.current_service_td_attributes);
}

// The caller has checked the size of all fields together.
struct Reader {
  const std::uint8_t* at;

  void operator()(std::uint8_t& out) { out = *at++; }
  void operator()(std::uint64_t& out) {
    out = base::load_le64(at);
    at += 8;
  }
  template <std::size_t N>
  void operator()(ByteArray<N>& out) {
    std::copy_n(at, N, out.begin());
    at += N;
  }
};

struct Writer {
  Bytes& out;

  void operator()(std::uint8_t value) { out.push_back(value); }
  void operator()(std::uint64_t value) {
    ByteArray<8> bytes{};
    base::store_le64(bytes.data(), value);
    base::append(out, bytes);
  }
  template <std::size_t N>
  void operator()(const ByteArray<N>& bytes) {
    base::append(out, bytes);
  }
};

}  // namespace

bool TdReportBody::has_service_td() const {
  const ByteArray<48> none{};
  return (tdx15 && tdx15->mr_service_td != none) ||
         (partitioned && (partitioned->init_service_td_hash != none || partitioned->current_service_td_hash != none));
}

Result<TdReportBody> TdReportBody::from_bytes(ByteView bytes) {
  TdReportBody td;
  if (bytes.size() == kSize15 || bytes.size() == kSize15Partitioned) td.tdx15.emplace();
  if (bytes.size() == kSize15Partitioned) td.partitioned.emplace();
  if (bytes.size() != kSize && !td.tdx15)
    return base::malformed("a TD report body has 584, 648 or 885 bytes, not " + std::to_string(bytes.size()));
  each_field(td, Reader{bytes.data()});
  return td;
}

Bytes TdReportBody::to_bytes() const {
  Bytes out;
  out.reserve(kSize15Partitioned);
  each_field(*this, Writer{out});
  return out;
}

}  // namespace enclayer
