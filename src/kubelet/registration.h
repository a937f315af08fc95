// SPDX-License-Identifier: Apache-2.0
// Keeps one resource registered with the kubelet, for as long as it lives, whatever happens to the kubelet.
//
// One round: wait until a kubelet answers on kubelet.sock; serve on a fresh socket (the kubelet calls back before it
// answers Register); Register; see that the kubelet takes the list; stay until something ends it; stop that server, and
// the next round begins. What ends a round: the list stream ends, kubelet.sock is another one than before, our own
// socket is gone. Not that the whole folder is gone: the kubelet still has the stream, and there is nobody to register
// with before it makes another kubelet.sock.
//
// Why a fresh server and socket in each round: kubelets before kubernetes#135437 know a plugin by its resource alone,
// so the late end of an OLD stream disconnects the NEW plugin and the resource stays at 0. Old stream and server are
// gone, and a moment has passed, before we register again; and if it still happens, the lost stream ends that round
// too. A kubelet that has just started, and sees the end of an older plugin while it takes us, may forget us without
// a stream: it has called for the list within milliseconds of its answer, or it never will.
//
// Our sockets lie in the subfolder enclayer/ of device-plugins/: a starting kubelet deletes the sockets that lie
// directly in its folder, but not those. A lock file beside them holds off a second plugin for the same resource, which
// would otherwise take turns with the first one for ever. A file or a link in the subfolder's place is waited for to go,
// and never followed. Against somebody else's plugin for the same resource there is
// no lock: a kubelet that ends our list again and again, and runs on, is asked only once in the longest pause, and the
// log says why that may be.
//
// The other way, Way::kWatcher, is to leave the socket in plugins_registry/, where the kubelet's plugin watcher finds
// it and registers us (spec section 5). A round then begins with a fresh socket there, and ends as above; also when the
// watcher says that it refuses us, or when it does not ask for the list although kubelet.sock answers: older kubelets
// ask a socket only once (kubernetes#127457). The lock lies beside the socket there too.
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
  enum class Way { kRegister, kWatcher };

  struct Timing {
    std::chrono::milliseconds register_deadline{20'000};   // the kubelet takes up to 10 s to call back
    std::chrono::milliseconds first_list_deadline{1'000};  // from Register's answer to the list on its way; doubles
                                                           // each time that a kubelet asks for none
    std::chrono::milliseconds list_deadline{10'000};       // up to this; for the watcher always this, from when a
                                                           // kubelet is there
    std::chrono::milliseconds shortest_pause{2};      // between tries; doubles up to the longest; a new kubelet.sock
    std::chrono::milliseconds longest_pause{10'000};  // ends it at once
    std::chrono::milliseconds settle{100};            // after a stream that the kubelet still had open was cut, and
                                                      // before our socket's being gone is believed
    std::chrono::milliseconds coalesce{1'000};        // between two changes of the list that the kubelet is told
    std::chrono::milliseconds look_again{30'000};     // without being woken: what inotify might have missed
  };

  // `kubelet_dir` is /var/lib/kubelet; neither it nor the kubelet has to be there yet. `metrics` outlives the
  // registration. kInvalidArgument for a name that no kubelet takes; kConflict when another process on this node
  // already serves this resource from the same folder: the message has its pid.
  static Result<std::unique_ptr<Registration>> start(Plugin plugin, const std::filesystem::path& kubelet_dir, Way way,
                                                     base::Metrics& metrics, Timing timing);
  static Result<std::unique_ptr<Registration>> start(Plugin plugin, const std::filesystem::path& kubelet_dir, Way way,
                                                     base::Metrics& metrics) {
    return start(std::move(plugin), kubelet_dir, way, metrics, Timing());
  }

  // Stops serving, within two seconds, and removes our socket. The kubelet then shows the resource as not allocatable.
  virtual ~Registration() = default;

  // What is true from now on. The kubelet is told at once, or when `coalesce` has passed since it was last told
  // something: every list costs it the same as the first. A change that is undone before then is never told. From any
  // thread.
  virtual void set_devices(DeviceList devices) = 0;

  // Whether the kubelet has a list of ours now: what /readyz says.
  virtual bool established() const = 0;
};

}  // namespace enclayer::kubelet
