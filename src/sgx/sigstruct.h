// SPDX-License-Identifier: Apache-2.0
// SIGSTRUCT: what an enclave's signer says of it. A signed enclave file carries it in its metadata, so that the version
// of an enclave can be read without loading it. Source: Intel SDM volume 3D, "Enclave Signature Structure".
#pragma once

#include <cstdint>
#include <vector>

#include "enclayer/bytes.h"

namespace enclayer::sgx {

struct Sigstruct {
  static constexpr std::size_t kSize = 1808;

  ByteArray<32> mr_enclave{};
  std::uint16_t isv_prod_id = 0;
  std::uint16_t isv_svn = 0;

  bool operator==(const Sigstruct&) const = default;
};

// Those in an enclave's file, at most `most`: known by their two constant headers, wherever they are. A file may have
// one for each version of the loader. Their signatures are not checked.
std::vector<Sigstruct> find_sigstructs(ByteView file, std::size_t most);

}  // namespace enclayer::sgx
