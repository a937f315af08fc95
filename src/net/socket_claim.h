// Who serves a socket path. The socket appears by rename: bound, listening and open to everybody under another name
// first, so that a client finds either the old server or the new one and never a gap. It is never unlinked; a file that
// nobody listens behind is simply replaced by the next start.
//
// STATE_DIR/sockets says which socket was put where, a line a path: "generation pid device inode mtime path". With it a
// new instance knows its own predecessor from a stranger, and the predecessor knows that it has been succeeded. A pid
// of 0 says that who serves is about to end.
//
// Where something starts instances again and again, as the kubelet does with the containers of a pod, the one that was
// started last need not be the newest. There an instance has a name that stays (the pod's UID), and
// STATE_DIR/instances, "generation name path" a line, says how old each name is. Of two instances the one with the
// higher generation serves, however often either of them is started; the other one waits.
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
  // With the name of an `instance` that was here before, it is that one again: while a newer one answers at the path,
  // the claim waits. kConflict where the same one answers. A name has up to 64 letters, digits, '.', '_' and '-'.
  static Result<SocketClaim> take(const std::filesystem::path& path, const std::filesystem::path& state_dir,
                                  bool replace, const std::string& instance = {});

  // Whether a newer instance served when this one was started, so that there is no listener; resume() may give one.
  bool waits() const { return identity_ == Identity{}; }

  // Puts a new socket of ours at the path, whoever's is there now, and gives it to be listened to; what connected to
  // the one before has not lost it. kConflict where a newer instance has taken over, which is never fought, and where
  // something other than a socket is in the way.
  Result<base::UniqueFd> take_back();

  // After a newer instance has taken over: puts a new socket of ours at the path when that one is gone or about to go,
  // and gives it to be listened to; nullopt while a newer one serves. It connects to the path: ask every second.
  Result<std::optional<base::UniqueFd>> resume();

  // Says in STATE_DIR that this instance is about to end, for one that waits. Whoever comes takes the path then, an
  // older one too: lost() tells, and until then ours has to be served.
  Result<> leave() const;

  // The listening socket, once; none while it waits.
  base::UniqueFd take_listener() { return std::move(listener_); }

  // Counts the instances that served this path, from 1: the newer one has the higher number.
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
  struct Named {  // a line of STATE_DIR/instances
    std::uint64_t generation = 0;
    std::string name, path;
  };

  static std::optional<Identity> identity_at(const std::filesystem::path& path);
  static std::optional<Record> parse(const std::string& line);
  static Result<std::vector<Record>> read_records(const std::filesystem::path& state_dir);
  static Result<> write_records(const std::filesystem::path& state_dir, const std::vector<Record>& records);
  static Record& record_of(const std::filesystem::path& path, std::vector<Record>& records);
  static Result<std::vector<Named>> read_instances(const std::filesystem::path& state_dir);
  static Result<> write_instances(const std::filesystem::path& state_dir, const std::vector<Named>& instances);
  static Result<std::uint64_t> generation_of(const std::string& instance, const std::filesystem::path& path,
                                             const std::filesystem::path& state_dir, std::uint64_t last);

  // All of these under the lock of STATE_DIR.
  Result<base::UniqueFd> put_in_place();
  Result<base::UniqueFd> put_back(std::vector<Record>& records);  // and records it
  std::optional<Loss> succession(const std::vector<Record>& records) const;
  Result<bool> newer_serves(const std::vector<Record>& records) const;
  Result<> record(std::vector<Record>& records) const;

  std::filesystem::path path_, state_dir_;
  base::UniqueFd listener_;
  Identity identity_;
  std::uint64_t generation_ = 0;
};

}  // namespace enclayer::net
