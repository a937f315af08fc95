// Which pods hold EPC, from the kubelet's checkpoint (checkpoint.h): the one source that needs no gRPC and nobody
// else's word. The kubelet writes a pod's devices there before it starts the pod's containers, and takes no device from
// a pod that lives. So who was found once stays found, and the file is looked at only for those who were not.
//
// Refused, although they run with EPC: pods that were started before the checkpoint was lost (deleted by hand, a
// kubelet on a new disk), until they are started again. Not refused: a container without EPC in a pod that holds some.
#pragma once

#include <sys/stat.h>

#include <chrono>
#include <filesystem>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_set>

#include "base/file.h"
#include "enclayer/error.h"

namespace enclayer::pods {

// The checkpoint, opened for reading. It is root's alone (0600, in a folder with 0750), and replaced by rename: its
// folder has to be mounted, and who opens it has to be user 0, but needs no capability. The errors say so.
Result<base::UniqueFd> open_checkpoint(const std::filesystem::path& path);

// What went wrong when it could not be opened, with the remedy.
Error checkpoint_error(const std::filesystem::path& path, int error_number);

class EpcHolders {
 public:
  using Clock = std::chrono::steady_clock;

  // open_checkpoint(), or CheckpointOpener::open() for who may not.
  using Open = std::function<Result<base::UniqueFd>()>;

  // The file is opened at most once in `interval`, and read only when it is another one than before: 3 MB take some
  // 70 ms.
  EpcHolders(Open open, std::string resource, Clock::duration interval = std::chrono::milliseconds(200))
      : open_(std::move(open)), resource_(std::move(resource)), interval_(interval) {}

  // Whether the pod has a device of the resource. An error: it is not known, so refuse; the message says what to mend.
  // Any thread. Who is not known yet waits for the file to be read, who is known never does.
  Result<bool> holds(const std::string& pod_uid, Clock::time_point now);

 private:
  struct Version {  // of the file
    dev_t device = 0;
    ino_t inode = 0;
    off_t size = 0;
    timespec written{};
  };
  Result<> look();
  bool is_known(const std::string& pod_uid);

  const Open open_;
  const std::string resource_;
  const Clock::duration interval_;
  std::mutex pods_mutex_;
  std::unordered_set<std::string> pods_;

  std::mutex reading_;              // of everything below; taken first
  std::optional<Version> version_;  // that pods_ was read from
  std::optional<Clock::time_point> looked_;
  std::optional<Error> error_;  // of the last look
};

}  // namespace enclayer::pods
