// SPDX-License-Identifier: Apache-2.0
// A file that is like a signed enclave as far as its SIGSTRUCTs go.
#pragma once

#include <algorithm>
#include <vector>

#include "base/bytes.h"
#include "base/hex.h"
#include "sgx/sigstruct.h"

namespace enclayer::fake {

inline constexpr std::size_t kBeforeSigstruct = 333, kAfterSigstruct = 77;

// Each with some bytes before and after it.
inline Bytes enclave_file(const std::vector<sgx::Sigstruct>& sigstructs) {
  Bytes file;
  for (const sgx::Sigstruct& one : sigstructs) {
    file.insert(file.end(), kBeforeSigstruct, 0x06);
    Bytes bytes(sgx::Sigstruct::kSize, 0x5C);
    auto put = [&](std::size_t at, ByteView what) {
      std::copy(what.begin(), what.end(), bytes.begin() + static_cast<std::ptrdiff_t>(at));
    };
    put(0, base::from_hex("06000000e10000000000010000000000").value());
    put(24, base::from_hex("01010000600000006000000001000000").value());
    put(960, one.mr_enclave);
    base::store_le16(&bytes[1024], one.isv_prod_id);
    base::store_le16(&bytes[1026], one.isv_svn);
    base::append(file, bytes);
    file.insert(file.end(), kAfterSigstruct, 0x00);
  }
  return file;
}

}  // namespace enclayer::fake
