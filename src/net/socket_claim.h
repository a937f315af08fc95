// Who serves a socket path. The socket appears by rename: bound, listening and open to everybody under another name
// first, so that a client finds either the old server or the new one and never a gap. It is never unlinked; a file that
// nobody listens behind is simply replaced by the next start.
//
// STATE_DIR/sockets says which socket was put where, a line a path: "generation pid device inode mtime path". With it a
// new instance knows its own predecessor from a stranger, and the predecessor knows that it has been succeeded.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/file.h"
#include "enclayer/error.h"

namespace enclayer::net {

class SocketClaim {
 public:
  // Listens on `path` (absolute), in whose folder (made with mode 0755 where missing) the temporary name lives too.
  // Whoever answers at the path is left in peace (kConflict, naming its pid), unless it is the instance that STATE_DIR
  // speaks of or `replace` is given. kConflict too where something other than a socket is in the way.
  static Result<SocketClaim> take(const std::filesystem::path& path, const std::filesystem::path& state_dir,
                                  bool replace);

  // Puts a new socket of ours at the path, whoever's is there now, and gives it to be listened to; what connected to
  // the one before has not lost it. kConflict where a newer instance has taken over, which is never fought, and where
  // something other than a socket is in the way.
  Result<base::UniqueFd> take_back();

  // The listening socket, once.
  base::UniqueFd take_listener() { return std::move(listener_); }

  // Counts the instances that served this path, from 1.
  std::uint64_t generation() const { return generation_; }

  // How the path came not to be ours any more; nullopt while it is, for one system call: ask every second. The answer
  // waits for an instance that is just starting, so that a successor is not taken for a stranger.
  struct Loss {
    bool succeeded = false;  // by a newer instance, as STATE_DIR says
    std::string reason;
    bool operator==(const Loss&) const = default;
  };
  std::optional<Loss> lost() const;

 private:
  // What tells one socket from another, also after its inode number was used again.
  struct Identity {
    dev_t device = 0;
    ino_t inode = 0;
    std::int64_t mtime_ns = 0;  // the time of bind(): nothing changes it later
    bool operator==(const Identity&) const = default;
  };
  struct Record {
    std::uint64_t generation = 0;
    pid_t pid = 0;
    Identity identity;
    std::string path;
  };

  static std::optional<Identity> identity_at(const std::filesystem::path& path);
  static std::optional<Record> parse(const std::string& line);
  static Result<std::vector<Record>> read_records(const std::filesystem::path& state_dir);
  static Result<> write_records(const std::filesystem::path& state_dir, const std::vector<Record>& records);
  static Record& record_of(const std::filesystem::path& path, std::vector<Record>& records);

  // All of these under the lock of STATE_DIR.
  Result<base::UniqueFd> put_in_place();
  std::optional<Loss> succession(const std::vector<Record>& records) const;
  Result<> record(std::vector<Record>& records) const;

  std::filesystem::path path_, state_dir_;
  base::UniqueFd listener_;
  Identity identity_;
  std::uint64_t generation_ = 0;
};

}  // namespace enclayer::net
