// SPDX-License-Identifier: Apache-2.0
#include "dra/slice_watch.h"

#include <poll.h>

#include <chrono>
#include <utility>

#include "base/json.h"
#include "dra/api_client.h"
#include "dra/slice_publisher.h"

namespace enclayer::dra {
namespace {

using namespace std::chrono_literals;

constexpr std::chrono::seconds kWatch = 5min;
constexpr std::chrono::milliseconds kPatience = 20s;  // for a list
// Between two watches: what changes meanwhile is in the next list. After an error the API server is left alone for longer.
constexpr std::chrono::milliseconds kPause = 500ms, kLongPause = 10s;

}  // namespace

SliceWatch::SliceWatch(http::ApiServer api, const std::string& node, std::function<void()> changed)
    : api_(std::move(api)), path_(slices_path(node)), changed_(std::move(changed)), thread_([this] { run(); }) {}

SliceWatch::~SliceWatch() {
  stop_.ring();
  thread_.join();
}

void SliceWatch::run() const {
  for (pollfd stop{stop_.fd(), POLLIN, 0}; stop.revents == 0;) {
    const auto pause = wait() ? kPause : kLongPause;
    ::poll(&stop, 1, static_cast<int>(pause.count()));
  }
}

Result<> SliceWatch::wait() const {
  ENCLAYER_TRY(const std::string version, list());
  changed_();  // what was before this list is looked at now, what comes after it ends the watch
  return ApiClient::wait_for_change(api_, path_, version, kWatch, "enclayer-dra-driver", stop_.fd());
}

// Its connection is closed by then: one a node waits.
Result<std::string> SliceWatch::list() const {
  ENCLAYER_TRY(ApiClient api, ApiClient::open(api_, kPatience));
  ENCLAYER_TRY(const std::string text, api.send("GET", path_));
  ENCLAYER_TRY(const auto document,
               base::JsonDocument::parse(text, {.size = ApiClient::kMostPage, .depth = 64, .values = 1 << 20}));
  return document.root()["metadata"]["resourceVersion"].text();
}

}  // namespace enclayer::dra
