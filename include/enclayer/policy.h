// Policy: what a relying party accepts of what verify() found.
#pragma once

#include <string>
#include <vector>

#include "enclayer/verify.h"

namespace enclayer {

struct Policy {
  // Accepted statuses. kRevoked is never accepted, named here or not.
  std::vector<TcbStatus> accepted_tcb{TcbStatus::kUpToDate};
  // An enclave with the DEBUG attribute has no secrets from its host.
  bool allow_debug = false;
};

struct Miss {
  Reason reason;
  std::string detail;  // for people
};

struct Verdict {
  bool trusted = false;
  // Trusted: the reason of the verification (the status by QVL's name, or OK). Otherwise that of the first miss.
  Reason reason = Reason::kOk;
  std::vector<Miss>
      misses;  // all that stand against it: one when verification failed, every one of the policy's otherwise
};

Verdict judge(const Verification& verification, const Policy& policy);

}  // namespace enclayer
