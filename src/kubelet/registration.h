// Keeps one resource registered with the kubelet, for as long as it lives, whatever happens to the kubelet.
//
// One round: wait until a kubelet answers on kubelet.sock; serve on a fresh socket (the kubelet calls back before it
// answers Register); Register; see that the kubelet takes the list; stay until something ends it; stop that server, and
// the next round begins. What ends a round: the list stream ends, kubelet.sock is another one than before, our own
// socket is gone.
//
// Why a fresh server and socket in each round: kubelets before kubernetes#135437 know a plugin by its resource alone,
// so the late end of an OLD stream disconnects the NEW plugin and the resource stays at 0. Old stream and server are
// gone, and a moment has passed, before we register again; and if it still happens, the lost stream ends that round
// too.
//
// Our sockets lie in the subfolder enclayer/ of device-plugins/: a starting kubelet deletes the sockets that lie
// directly in its folder, but not those.
#pragma once

#include <chrono>
#include <filesystem>
#include <memory>

#include "base/metrics.h"
#include "enclayer/error.h"
#include "kubelet/plugin.h"

namespace enclayer::kubelet {

class Registration {
 public:
  struct Timing {
    std::chrono::milliseconds register_deadline{20'000};  // the kubelet takes up to 10 s to call back
    std::chrono::milliseconds list_deadline{10'000};      // from Register's answer to the list on its way
    std::chrono::milliseconds shortest_pause{2};      // between tries; doubles up to the longest; a new kubelet.sock
    std::chrono::milliseconds longest_pause{10'000};  // ends it at once
    std::chrono::milliseconds settle{100};            // after a stream that the kubelet still had open was cut
    std::chrono::milliseconds look_again{30'000};     // without being woken: what inotify might have missed
  };

  // `device_plugins` is the kubelet's folder, <kubelet-dir>/device-plugins; neither it nor the kubelet has to be there
  // yet. `metrics` outlives the registration. kInvalidArgument for a name that no kubelet takes.
  static Result<std::unique_ptr<Registration>> start(Plugin plugin, std::filesystem::path device_plugins,
                                                     base::Metrics& metrics, Timing timing);
  static Result<std::unique_ptr<Registration>> start(Plugin plugin, std::filesystem::path device_plugins,
                                                     base::Metrics& metrics) {
    return start(std::move(plugin), std::move(device_plugins), metrics, Timing());
  }

  // Stops serving, within two seconds, and removes our socket. The kubelet then shows the resource as not allocatable.
  virtual ~Registration() = default;

  // Whether the kubelet has the list now: what /healthz says.
  virtual bool established() const = 0;
};

}  // namespace enclayer::kubelet
