// SPDX-License-Identifier: Apache-2.0
#include "device_plugin/offering.h"

#include <poll.h>

#include <algorithm>
#include <cstring>

#include "base/log.h"
#include "base/metric_names.h"

namespace enclayer::device_plugin {
namespace {

namespace log = base::log;
namespace metric = base::metric;
using std::chrono::milliseconds;

constexpr milliseconds kLookAgain{10'000};
constexpr milliseconds kBetweenLooks{100};

}  // namespace

Result<std::unique_ptr<Offering>> Offering::start(std::vector<Offer> offers, const Place& place, base::Metrics& metrics,
                                                  std::function<void(const Troubles&)> at_each_look) {
  std::unique_ptr<Offering> offering(new Offering(std::move(offers), place, metrics, std::move(at_each_look)));
  if (offering->wake_.fd() < 0) return Error(ErrorKind::kIo, std::string("eventfd: ") + std::strerror(errno));
  for (Resource& resource : offering->resources_) {
    if (resource.offer.only_once_usable) continue;
    // The first list that the kubelet gets is true already.
    ENCLAYER_CHECK(offering->register_now(resource, resource.offer.why_not()));
  }
  offering->thread_ = std::thread([raw = offering.get()] { raw->run(); });
  return offering;
}

Offering::Offering(std::vector<Offer> offers, Place place, base::Metrics& metrics,
                   std::function<void(const Troubles&)> at_each_look)
    : place_(std::move(place)), metrics_(metrics), at_each_look_(std::move(at_each_look)) {
  for (Offer& offer : offers) resources_.push_back({std::move(offer), nullptr, std::nullopt});
}

Offering::~Offering() {
  stopping_ = true;
  wake_.ring();
  if (thread_.joinable()) thread_.join();
}

std::string Offering::not_ready() const {
  std::lock_guard lock(mutex_);
  std::string lines;
  for (const Resource& resource : resources_) {
    const std::string& name = resource.offer.plugin.resource;
    if (!resource.registration) continue;
    if (!resource.registration->established()) lines += name + ": the kubelet does not have its list\n";
    if (resource.why_not && !resource.why_not->empty() && !resource.offer.only_once_usable)
      lines += name + ": " + *resource.why_not + "\n";
  }
  return lines;
}

Result<> Offering::register_now(Resource& resource, std::string why_not) {
  kubelet::Plugin plugin = resource.offer.plugin;
  if (!why_not.empty()) plugin.devices = plugin.devices.lost();
  ENCLAYER_TRY(auto started, kubelet::Registration::start(std::move(plugin), place_.kubelet_dir, place_.way, metrics_));
  show(resource.offer.plugin.resource, resource.offer.plugin.devices.count(), why_not);
  std::lock_guard lock(mutex_);
  resource.registration = std::move(started);
  resource.why_not = std::move(why_not);
  return {};
}

// On the metrics page, and in the log where it is bad news.
void Offering::show(const std::string& resource, std::size_t devices, const std::string& why_not) {
  if (!why_not.empty()) log::warn("resource cannot be given now", {{"resource", resource}, {"reason", why_not}});
  const auto count = static_cast<double>(devices);
  metrics_.gauge(metric::kDevices, {{"resource", resource}, {"health", "healthy"}}).set(why_not.empty() ? count : 0);
  metrics_.gauge(metric::kDevices, {{"resource", resource}, {"health", "unhealthy"}}).set(why_not.empty() ? 0 : count);
}

void Offering::look_at(Resource& resource) {
  std::string why_not = resource.offer.why_not();
  if (resource.why_not == why_not) return;
  const std::string& name = resource.offer.plugin.resource;
  const kubelet::DeviceList& devices = resource.offer.plugin.devices;

  if (resource.registration) {
    const bool usable = why_not.empty();
    if (usable != resource.why_not->empty()) {
      resource.registration->set_devices(usable ? devices : devices.lost());
      show(name, devices.count(), why_not);
      if (usable) log::info("resource can be given again", {{"resource", name}});
    }
  } else if (why_not.empty()) {
    auto done = register_now(resource, "");
    if (done) return;
    log::error("resource cannot be offered", {{"resource", name}, {"reason", done.error().message()}});
    why_not = done.error().message();  // another look, another try
  } else if (!resource.why_not) {
    log::info("resource is not offered yet", {{"resource", name}, {"reason", why_not}});
  }
  std::lock_guard lock(mutex_);
  resource.why_not = std::move(why_not);
}

// A resource that the kubelet never heard of is no loss.
Offering::Troubles Offering::troubles() const {
  Troubles out;
  std::string unknown;
  for (const Resource& resource : resources_) {
    if (!resource.registration) continue;
    const std::string& name = resource.offer.plugin.resource;
    const troubles::Kind kind = resource.offer.trouble;
    auto same = std::find_if(out.begin(), out.end(), [&](const auto& each) { return each.first == kind; });
    if (same == out.end()) same = out.insert(out.end(), {kind, ""});
    if (same->second.empty() && !resource.why_not->empty()) same->second = name + ": " + *resource.why_not;
    if (!resource.registration->established()) unknown += (unknown.empty() ? "" : ", ") + name;
  }
  out.emplace_back(troubles::kNotRegistered, unknown.empty() ? "" : "the kubelet does not have the list of " + unknown);
  return out;
}

void Offering::run() {
  while (!stopping_) {
    for (const Resource& resource : resources_)
      for (const auto& folder : resource.offer.folders) watch_.arm(folder);
    for (Resource& resource : resources_) look_at(resource);
    at_each_look_(troubles());
    wait(watch_.patience(kLookAgain));
  }
}

void Offering::wait(milliseconds timeout) {
  pollfd alarms[] = {{wake_.fd(), POLLIN, 0}, {watch_.fd(), POLLIN, 0}};
  if (::poll(alarms, 2, static_cast<int>(timeout.count())) > 0 && !stopping_)
    ::poll(alarms, 1, static_cast<int>(kBetweenLooks.count()));  // let what is happening happen
  watch_.drain();
}

}  // namespace enclayer::device_plugin
