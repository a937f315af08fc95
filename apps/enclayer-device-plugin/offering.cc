#include "offering.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

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
constexpr milliseconds kLookAgainWithoutInotify{1'000};
constexpr milliseconds kBetweenLooks{100};

}  // namespace

Result<std::unique_ptr<Offering>> Offering::start(std::vector<Offer> offers, const Place& place, base::Metrics& metrics,
                                                  std::function<void()> at_each_look) {
  std::unique_ptr<Offering> offering(new Offering(std::move(offers), place, metrics, std::move(at_each_look)));
  if (!offering->wake_) return Error(ErrorKind::kIo, std::string("eventfd: ") + std::strerror(errno));
  for (Resource& resource : offering->resources_) {
    if (resource.offer.only_once_usable) continue;
    // The first list that the kubelet gets is true already.
    resource.why_not = resource.offer.why_not();
    ENCLAYER_CHECK(offering->register_now(resource));
  }
  offering->thread_ = std::thread([raw = offering.get()] { raw->run(); });
  return offering;
}

Offering::Offering(std::vector<Offer> offers, Place place, base::Metrics& metrics, std::function<void()> at_each_look)
    : place_(std::move(place)),
      metrics_(metrics),
      at_each_look_(std::move(at_each_look)),
      wake_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  for (Offer& offer : offers) resources_.push_back({std::move(offer), nullptr, std::nullopt});
}

Offering::~Offering() {
  stopping_ = true;
  const std::uint64_t one = 1;
  [[maybe_unused]] ssize_t n = ::write(wake_.get(), &one, sizeof one);  // fails only when it is set already
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

Result<> Offering::register_now(Resource& resource) {
  kubelet::Plugin plugin = resource.offer.plugin;
  bool usable = resource.why_not->empty();
  if (!usable) {
    log::warn("resource cannot be given now", {{"resource", plugin.resource}, {"reason", *resource.why_not}});
    plugin.devices = plugin.devices.lost();
  }
  const std::string name = plugin.resource;
  const auto count = static_cast<double>(plugin.devices.count());
  ENCLAYER_TRY(auto started, kubelet::Registration::start(std::move(plugin), place_.kubelet_dir, place_.way, metrics_));
  metrics_.gauge(metric::kDevices, {{"resource", name}, {"health", "healthy"}}).set(usable ? count : 0);
  metrics_.gauge(metric::kDevices, {{"resource", name}, {"health", "unhealthy"}}).set(usable ? 0 : count);
  std::lock_guard lock(mutex_);
  resource.registration = std::move(started);
  return {};
}

void Offering::look_at(Resource& resource) {
  std::string why_not = resource.offer.why_not();
  const bool was_told = resource.why_not.has_value(), usable = why_not.empty();
  if (was_told && *resource.why_not == why_not) return;
  const std::string& name = resource.offer.plugin.resource;

  if (!resource.registration) {
    if (!usable) {
      if (!was_told) log::info("resource is not offered yet", {{"resource", name}, {"reason", why_not}});
      std::lock_guard lock(mutex_);
      resource.why_not = std::move(why_not);
      return;
    }
    {
      std::lock_guard lock(mutex_);
      resource.why_not = "";
    }
    if (auto done = register_now(resource); !done) {
      log::error("resource cannot be offered", {{"resource", name}, {"reason", done.error().message()}});
      std::lock_guard lock(mutex_);
      resource.why_not = done.error().message();  // another look, another try
    }
    return;
  }

  const bool was_usable = resource.why_not->empty();
  if (usable != was_usable) {
    const kubelet::DeviceList& devices = resource.offer.plugin.devices;
    resource.registration->set_devices(usable ? devices : devices.lost());
    if (usable)
      log::info("resource can be given again", {{"resource", name}});
    else
      log::warn("resource cannot be given now", {{"resource", name}, {"reason", why_not}});
    const auto count = static_cast<double>(devices.count());
    metrics_.gauge(metric::kDevices, {{"resource", name}, {"health", "healthy"}}).set(usable ? count : 0);
    metrics_.gauge(metric::kDevices, {{"resource", name}, {"health", "unhealthy"}}).set(usable ? 0 : count);
  }
  std::lock_guard lock(mutex_);
  resource.why_not = std::move(why_not);
}

void Offering::run() {
  while (!stopping_) {
    for (const Resource& resource : resources_)
      for (const auto& folder : resource.offer.folders) watch_.arm(folder);
    for (Resource& resource : resources_) look_at(resource);
    at_each_look_();
    wait(watch_.fd() < 0 ? kLookAgainWithoutInotify : kLookAgain);
  }
}

void Offering::wait(milliseconds timeout) {
  pollfd alarms[] = {{wake_.get(), POLLIN, 0}, {watch_.fd(), POLLIN, 0}};
  if (::poll(alarms, 2, static_cast<int>(timeout.count())) > 0 && !stopping_)
    ::poll(alarms, 1, static_cast<int>(kBetweenLooks.count()));  // let what is happening happen
  watch_.drain();
}

}  // namespace enclayer::device_plugin
