// SPDX-License-Identifier: Apache-2.0
// Where collateral is taken from, this time: the cache, the service, or the cache although it is due for a refresh.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "collateral/cache.h"
#include "enclayer/error.h"
#include "enclayer/time.h"

namespace enclayer::collateral {

struct Request {
  PlatformKind platform;
  std::string url;       // of the service, as service_url() gives it
  bool refresh = false;  // ask the service whatever is in the cache
  bool offline = false;  // never ask it
};

struct Obtained {
  Entry entry;
  bool from_cache = false;
  std::vector<std::string> warnings;  // for people: a damaged entry, a service that is away, collateral out of date
};

using AskService = std::function<Result<Collateral>()>;

// `cache` may be nullptr. A fresh entry is taken as it is; otherwise the service is asked and its answer kept. When it
// fails, an entry that still holds is better than nothing. A damaged entry counts as none. What the service answers
// is handed on even if it does not hold at `now`, with a warning: for quotes of another time.
Result<Obtained> obtain(const Cache* cache, const Request& request, Time now, const AskService& ask);

}  // namespace enclayer::collateral
