// Opens the kubelet's checkpoint for a process that may not: a process of its own that keeps user 0, without any
// capability, knows one path, and hands out descriptors of it, opened for reading. It is told nothing but "again".
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <memory>

#include "base/file.h"
#include "enclayer/error.h"

namespace enclayer::pods {

class CheckpointOpener {
 public:
  // Forks. To be called before there are threads, secrets or open sockets, and before user 0 is given up.
  static Result<std::unique_ptr<CheckpointOpener>> start(const std::filesystem::path& path);

  CheckpointOpener(const CheckpointOpener&) = delete;
  ~CheckpointOpener();  // ends the process and waits for it

  // As open_checkpoint(); kUnavailable when the process has ended or does not answer within two seconds, from then on.
  // One thread at a time (EpcHolders sees to that).
  Result<base::UniqueFd> open();

  pid_t pid() const { return pid_; }

 private:
  CheckpointOpener(std::filesystem::path path, base::UniqueFd socket, pid_t pid)
      : path_(std::move(path)), socket_(std::move(socket)), pid_(pid) {}

  const std::filesystem::path path_;
  base::UniqueFd socket_;  // none: it is lost
  const pid_t pid_;
};

}  // namespace enclayer::pods
