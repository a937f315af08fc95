// SPDX-License-Identifier: Apache-2.0
// A verifier that remembers: for relying parties that judge quote after quote, mostly of platforms that they have seen.
//
//   Verifier verifier;                                                  // one for the whole program
//   Verification v = verifier.verify(quote_bytes, collateral, TrustedRoot::intel(), now);
//
// verify() below gives, for the same arguments, the very answer of the function verify() in verify.h, only sooner
// (docs/verification.md has figures). No verdict is ever kept, only facts that no clock, root or revocation list can
// change: what some bytes parse to, and that a key signed some bytes. Dates, revocation lists, the trusted root, names,
// identities and TCB levels are judged anew for every quote, so that what is remembered cannot outlive anything.
#pragma once

#include <cstddef>
#include <memory>

#include "enclayer/verify.h"

namespace enclayer {

class Verifier {
 public:
  // Enough for about 300 platforms, and for some 2,000 reports of their Quoting Enclaves.
  static constexpr std::size_t kDefaultCapacity = 8 << 20;

  // `capacity`: how many bytes of memory the remembered facts may take, 0 or more; what was not used for longest is
  // forgotten first. A fact that does not fit is not remembered.
  explicit Verifier(std::size_t capacity = kDefaultCapacity);
  ~Verifier();
  Verifier(const Verifier&) = delete;
  Verifier& operator=(const Verifier&) = delete;

  // May be called by any number of threads at once: the lock is held for look-ups, not for cryptography. Facts are
  // remembered only of evidence that verified, in full: nobody can push them out with evidence of their own making.
  Verification verify(ByteView quote, const Collateral& collateral, const TrustedRoot& root, Time at);

  // The same verification; if it succeeds, tables of multiples are made for the keys that signed the evidence: the root's,
  // the PCK CA's, the TCB signer's and the PCK's own. Then every other signature by these is checked in about half of
  // the time, with any quote. A table takes 160 KiB beside the capacity, and some 25 ms to make, in the thread that asks;
  // kMaxTables at most are kept, the first ones. For evidence of the caller's own choice: verify() makes no tables, so
  // nobody else can have them made.
  Verification prepare(ByteView quote, const Collateral& collateral, const TrustedRoot& root, Time at);
  static constexpr std::size_t kMaxTables = 16;

  // Bytes that the remembered facts take, an estimate from above; never more than the capacity.
  std::size_t remembered() const;

 private:
  std::unique_ptr<class FactMemory> memory_;
};

}  // namespace enclayer
