// SPDX-License-Identifier: Apache-2.0
// Which of a node's helpers has the sockets, decided at the path of the legacy one. The socket appears by
// rename: bound, listening and open to everybody under another name first, so that a client finds either the old server
// or the new one and never a gap. It is never unlinked; a file that nobody listens behind is simply replaced by the
// next start. Whatever else stands there (a file, a folder, a link) is moved aside, and kept.
//
// STATE_DIR/sockets says which socket was put where, a line a path: "generation pid device inode mtime path". With it a
// new instance knows its own predecessor from a stranger, and the predecessor knows that it has been succeeded. A pid
// of 0 says that the serving instance is about to end.
//
// Where something starts instances again and again, as the kubelet does with the containers of a pod, the one that was
// started last need not be the newest. There an instance has a name that stays (the pod's UID), and
// STATE_DIR/instances, "generation name path" a line, says how old each name is. Of two instances the one with the
// higher generation serves, however often either of them is started; the other one waits. Of two with one name, a
// helper and its standby, the one that came first serves and the other one waits.
#pragma once

#include <sys/stat.h>
#include <sys/types.h>

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/file.h"
#include "enclayer/error.h"

namespace enclayer::helper {

class SocketClaim {
 public:
  // What tells one socket from another, also after its inode number was used again.
  struct Identity {
    dev_t device = 0;
    ino_t inode = 0;
    std::int64_t mtime_ns = 0;  // the time of bind(): nothing changes it later
    bool operator==(const Identity&) const = default;
  };

  struct Options {
    bool replace = false;
    std::string instance{};          // up to 64 letters, digits, '.', '_' and '-'
    std::filesystem::path beacon{};  // a socket of the serving instance that no client can fill; empty: the path itself
  };

  // Listens on `path` (absolute), in whose folder (made with mode 0755 where missing) the temporary name lives too.
  // An instance that answers at the path, or at the beacon, is left in peace (kConflict, naming its pid), unless it is
  // the instance that STATE_DIR speaks of or `replace` is given. With the name of an instance that was here before, it
  // is that one again: while a newer one, or another one of the same name, answers, the claim waits.
  static Result<SocketClaim> take(const std::filesystem::path& path, const std::filesystem::path& state_dir,
                                  Options options);

  // Whether another instance served when this one was started, so that there is no listener; resume() may give one.
  bool waits() const { return identity_ == Identity{}; }

  // Puts a new socket of ours at the path, whoever's is there now, and gives it to be listened to; what connected to
  // the one before has not lost it. kConflict where another instance has taken over, which is never fought.
  Result<base::UniqueFd> take_back();

  // While another instance serves: puts a new socket of ours at the path when that one is gone, about to go or older,
  // and gives it to be listened to; nullopt while it serves. It connects to the path: ask every second. `silent`: the
  // one on record that answers nobody any more, though it lives.
  Result<std::optional<base::UniqueFd>> resume(const std::optional<Identity>& silent = {});

  // The socket that STATE_DIR says is served.
  std::optional<Identity> on_record() const;

  // Says once more in STATE_DIR which socket is ours, where that could not be said when it was put there; a successor
  // would take it for a stranger's. Cheap when there is nothing to do: call it every second.
  void record_again();

  // Says in STATE_DIR that this instance is about to end, for one that waits. The next instance takes the path then, an
  // older one too: lost() tells, and until then ours has to be served.
  Result<> leave() const;

  // The listening socket, once; none while it waits.
  base::UniqueFd take_listener() { return std::move(listener_); }

  // Counts the instances that served this path, from 1: the newer one has the higher number.
  std::uint64_t generation() const { return generation_; }

  // How the path came not to be ours any more; nullopt while it is, for one system call: ask every second. The answer
  // waits for an instance that is just starting, so that a successor is not taken for a stranger.
  struct Loss {
    bool succeeded = false;  // by another instance, as STATE_DIR says
    std::string reason;
    bool operator==(const Loss&) const = default;
  };
  std::optional<Loss> lost() const;

 private:
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

  static Identity identity_of(const struct stat& status);
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
  Result<bool> is_served(const std::vector<Record>& records, const std::optional<Identity>& silent) const;
  Result<> record(std::vector<Record>& records) const;
  void note(const Result<>& recorded);
  bool serves(const Record& record) const;  // another instance that we have to wait for

  std::filesystem::path path_, state_dir_, beacon_;
  base::UniqueFd listener_;
  Identity identity_;
  std::uint64_t generation_ = 0;
  bool is_recorded_ = true;
};

}  // namespace enclayer::helper
