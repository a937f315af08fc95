#include "net/socket_claim.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <random>
#include <sstream>

#include "base/bytes.h"
#include "base/error.h"
#include "base/log.h"
#include "net/unix_socket.h"

namespace enclayer::net {
namespace {

namespace fs = std::filesystem;
namespace log = base::log;

constexpr std::size_t kMaxRecords = 64 << 10;  // bytes; a line has about 100
constexpr std::chrono::milliseconds kProbe{1000};
constexpr pid_t kLeaving = 0;  // in the place of a record's pid
// Names that are remembered. Beside the newest one only those count that may still be started again: one or two.
constexpr std::size_t kMaxInstances = 32;
constexpr std::size_t kMaxName = 64;

fs::path records_path(const fs::path& state_dir) { return state_dir / "sockets"; }
fs::path instances_path(const fs::path& state_dir) { return state_dir / "instances"; }

bool is_name(const std::string& name) {
  return name.size() <= kMaxName && std::all_of(name.begin(), name.end(), [](unsigned char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' ||
                  c == '-';
         });
}

// Whoever listens at the path; nullopt when nobody does.
Result<std::optional<Peer>> answering(const fs::path& path) {
  auto connected = connect_to(path, kProbe);
  if (connected) return std::optional(peer_of(connected->get()));
  switch (connected.error().kind()) {
    case ErrorKind::kNotFound:
    case ErrorKind::kUnavailable: return std::optional<Peer>();
    case ErrorKind::kTimedOut: return std::optional(Peer{});  // it listens, though it does not keep up
    default: return connected.error();
  }
}

std::string who(const Peer& peer) {
  return peer.pid == 0 ? "somebody who cannot be seen from here" : "process " + std::to_string(peer.pid);
}

// Whether a socket is in the path's place; kConflict where something is that nobody will thank us for removing.
Result<bool> socket_is_at(const fs::path& path) {
  struct stat found {};
  if (::lstat(path.c_str(), &found) != 0) return false;
  if (S_ISSOCK(found.st_mode)) return true;
  return Error(ErrorKind::kConflict, path.string() + " is there and is not a socket: remove it, or use another path");
}

// Beside the path, and no longer than it where the path's last part has 9 bytes or more.
fs::path temporary_name(const fs::path& path) {
  char name[16];
  std::snprintf(name, sizeof name, ".%08x", std::random_device{}());
  return path.parent_path() / name;
}

}  // namespace

std::optional<SocketClaim::Identity> SocketClaim::identity_at(const fs::path& path) {
  struct stat found {};
  if (::lstat(path.c_str(), &found) != 0) return std::nullopt;
  return Identity{found.st_dev, found.st_ino, found.st_mtim.tv_sec * 1'000'000'000LL + found.st_mtim.tv_nsec};
}

std::optional<SocketClaim::Record> SocketClaim::parse(const std::string& line) {
  std::istringstream in(line);
  Record record;
  in >> record.generation >> record.pid >> record.identity.device >> record.identity.inode >> record.identity.mtime_ns;
  if (!in || in.get() != ' ' || !std::getline(in, record.path) || record.path.empty()) return std::nullopt;
  return record;
}

Result<std::vector<SocketClaim::Record>> SocketClaim::read_records(const fs::path& state_dir) {
  std::vector<Record> records;
  auto text = base::read_text(records_path(state_dir), kMaxRecords);
  if (!text) {
    if (text.error().kind() == ErrorKind::kNotFound) return records;
    return text.error();
  }
  std::istringstream in(*text);
  for (std::string line; std::getline(in, line);)
    if (auto record = parse(line)) records.push_back(*record);
  return records;
}

Result<> SocketClaim::write_records(const fs::path& state_dir, const std::vector<Record>& records) {
  std::ostringstream out;
  for (const Record& record : records)
    out << record.generation << ' ' << record.pid << ' ' << record.identity.device << ' ' << record.identity.inode
        << ' ' << record.identity.mtime_ns << ' ' << record.path << '\n';
  // For everybody to read: an instance of another user has to learn from it that it was succeeded.
  return base::write_file_atomic(records_path(state_dir), base::as_bytes(out.str()), 0644);
}

// Its line, a new one where there is none.
SocketClaim::Record& SocketClaim::record_of(const fs::path& path, std::vector<Record>& records) {
  auto found = std::find_if(records.begin(), records.end(), [&](const Record& r) { return r.path == path.native(); });
  return found != records.end() ? *found : records.emplace_back(Record{0, 0, {}, path.native()});
}

Result<std::vector<SocketClaim::Named>> SocketClaim::read_instances(const fs::path& state_dir) {
  std::vector<Named> instances;
  auto text = base::read_text(instances_path(state_dir), kMaxRecords);
  if (!text) {
    if (text.error().kind() == ErrorKind::kNotFound) return instances;
    return text.error();
  }
  std::istringstream in(*text);
  for (std::string line; std::getline(in, line);) {
    std::istringstream words(line);
    Named one;
    if (words >> one.generation >> one.name && words.get() == ' ' && std::getline(words, one.path))
      instances.push_back(one);
  }
  return instances;
}

Result<> SocketClaim::write_instances(const fs::path& state_dir, const std::vector<Named>& instances) {
  std::ostringstream out;
  for (const Named& one : instances) out << one.generation << ' ' << one.name << ' ' << one.path << '\n';
  return base::write_file_atomic(instances_path(state_dir), base::as_bytes(out.str()), 0644);
}

// That of its name, or one more than any before. `last`: the one that served last.
Result<std::uint64_t> SocketClaim::generation_of(const std::string& instance, const fs::path& path,
                                                 const fs::path& state_dir, std::uint64_t last) {
  ENCLAYER_TRY(std::vector<Named> instances, read_instances(state_dir));
  for (const Named& one : instances) {
    if (one.path != path.native()) continue;
    if (one.name == instance) return one.generation;
    last = std::max(last, one.generation);
  }
  if (instance.empty()) return last + 1;
  instances.push_back({last + 1, instance, path.native()});
  if (instances.size() > kMaxInstances) instances.erase(instances.begin());
  ENCLAYER_CHECK(write_instances(state_dir, instances));
  return last + 1;
}

Result<SocketClaim> SocketClaim::take(const fs::path& path, const fs::path& state_dir, bool replace,
                                      const std::string& instance) {
  if (!path.is_absolute() || !path.has_filename() || path.native().find('\n') != std::string::npos)
    return Error(ErrorKind::kInvalidArgument, "\"" + path.string() + "\" is not an absolute path to a socket");
  if (!is_name(instance))
    return Error(ErrorKind::kInvalidArgument,
                 "\"" + instance + "\" is no name of an instance: up to 64 letters, digits, '.', '_' and '-'");
  std::error_code error;
  for (const fs::path& folder : {path.parent_path(), state_dir})
    if (!fs::is_directory(folder, error)) ENCLAYER_CHECK(base::make_folder(folder, 0755));

  ENCLAYER_TRY(base::UniqueFd lock, base::lock_file(state_dir / "lock"));
  ENCLAYER_TRY(std::vector<Record> records, read_records(state_dir));
  // Lines of sockets that are gone are dropped, so that the file does not grow for ever.
  std::erase_if(records, [&](const Record& r) { return r.path != path.native() && !identity_at(r.path); });
  const Record& last = record_of(path, records);

  SocketClaim claim;
  claim.path_ = path;
  claim.state_dir_ = state_dir;
  ENCLAYER_TRY(bool somebodys, socket_is_at(path));
  ENCLAYER_TRY(claim.generation_, generation_of(instance, path, state_dir, last.generation));
  if (somebodys) {
    ENCLAYER_TRY(std::optional<Peer> peer, answering(path));
    if (peer) {
      bool is_ours = last.generation > 0 && identity_at(path) == last.identity;
      bool stays = is_ours && last.pid != kLeaving;
      if (stays && !instance.empty() && last.generation > claim.generation_) return claim;
      if (stays && last.generation == claim.generation_ && !replace)
        return Error(ErrorKind::kConflict, who(*peer) + " already answers at " + path.string() + " as instance " +
                                               instance + ": each needs a name of its own");
      if (!is_ours && !replace)
        return Error(ErrorKind::kConflict, who(*peer) + " already answers at " + path.string() +
                                               ": stop it, use another path, or take it over with --replace");
      log::info("socket is taken over", {{"path", path.string()},
                                         {"from_pid", peer->pid},
                                         {"from", is_ours ? "our previous instance" : "somebody else (--replace)"}});
    }
  }

  ENCLAYER_TRY(claim.listener_, claim.put_in_place());
  // The record follows the rename: if we die in between, the next start finds a socket behind which nobody listens.
  ENCLAYER_CHECK(claim.record(records));
  return claim;
}

Result<base::UniqueFd> SocketClaim::take_back() {
  ENCLAYER_TRY(base::UniqueFd lock, base::lock_file(state_dir_ / "lock"));
  ENCLAYER_TRY(std::vector<Record> records, read_records(state_dir_));
  if (auto loss = succession(records)) return Error(ErrorKind::kConflict, path_.string() + ": " + loss->reason);
  return put_back(records);
}

Result<base::UniqueFd> SocketClaim::put_back(std::vector<Record>& records) {
  ENCLAYER_CHECK(socket_is_at(path_));
  std::error_code error;
  if (!fs::is_directory(path_.parent_path(), error)) ENCLAYER_CHECK(base::make_folder(path_.parent_path(), 0755));
  ENCLAYER_TRY(base::UniqueFd listener, put_in_place());
  if (auto recorded = record(records); !recorded)
    log::warn("socket is not on record, the next instance needs --replace", {{"reason", recorded.error().message()}});
  return listener;
}

// What STATE_DIR says counts only as long as somebody answers.
Result<bool> SocketClaim::newer_serves(const std::vector<Record>& records) const {
  for (const Record& record : records) {
    if (record.path != path_.native() || record.generation <= generation_ || record.pid == kLeaving) continue;
    ENCLAYER_TRY(std::optional<Peer> peer, answering(path_));
    return peer.has_value();
  }
  return false;
}

Result<std::optional<base::UniqueFd>> SocketClaim::resume() {
  base::UniqueFd lock;
  std::vector<Record> records;
  // Once without the lock, which would make a newer one that is just starting wait.
  for (bool locked : {false, true}) {
    if (locked) {
      ENCLAYER_TRY(lock, base::lock_file(state_dir_ / "lock"));
    }
    ENCLAYER_TRY(records, read_records(state_dir_));
    ENCLAYER_TRY(bool newer, newer_serves(records));
    if (newer) return std::optional<base::UniqueFd>();
  }
  ENCLAYER_TRY(base::UniqueFd listener, put_back(records));
  return std::optional(std::move(listener));
}

Result<> SocketClaim::leave() const {
  ENCLAYER_TRY(base::UniqueFd lock, base::lock_file(state_dir_ / "lock"));
  ENCLAYER_TRY(std::vector<Record> records, read_records(state_dir_));
  Record& ours = record_of(path_, records);
  if (ours.identity != identity_) return {};
  ours.pid = kLeaving;
  return write_records(state_dir_, records);
}

Result<base::UniqueFd> SocketClaim::put_in_place() {
  fs::path temporary = temporary_name(path_);
  ENCLAYER_TRY(base::UniqueFd listener, listen_at(temporary));
  auto identity = identity_at(temporary);
  if (!identity || ::rename(temporary.c_str(), path_.c_str()) != 0) {
    auto failed = base::errno_error(errno, "cannot rename " + temporary.string() + " to " + path_.string());
    ::unlink(temporary.c_str());
    return failed;
  }
  identity_ = *identity;
  return listener;
}

Result<> SocketClaim::record(std::vector<Record>& records) const {
  record_of(path_, records) = {generation_, ::getpid(), identity_, path_.native()};
  return write_records(state_dir_, records);
}

std::optional<SocketClaim::Loss> SocketClaim::succession(const std::vector<Record>& records) const {
  for (const Record& record : records)
    if (record.path == path_.native() && record.generation > generation_)
      return Loss{true, "a newer instance has taken over, pid " + std::to_string(record.pid)};
  return std::nullopt;
}

std::optional<SocketClaim::Loss> SocketClaim::lost() const {
  if (identity_at(path_) == identity_) return std::nullopt;
  // A successor renames first and records it next, both under the lock. If the lock cannot be had, as when it is
  // another user's by now, what is on record is all that is known; take_back() does not go on without it.
  auto lock = base::lock_file(state_dir_ / "lock");
  if (auto records = read_records(state_dir_))
    if (auto loss = succession(*records)) return loss;
  auto is_socket = socket_is_at(path_);
  if (!is_socket) return Loss{false, "somebody put something there that is not a socket"};
  return Loss{false, *is_socket ? "somebody put another socket there" : "the socket was removed"};
}

}  // namespace enclayer::net
