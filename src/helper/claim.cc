// SPDX-License-Identifier: Apache-2.0
#include "helper/claim.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <sstream>

#include "base/bytes.h"
#include "base/error.h"
#include "base/log.h"
#include "net/unix_socket.h"
#include "slots/slots.h"

namespace enclayer::helper {
namespace {

namespace fs = std::filesystem;
namespace log = base::log;

constexpr std::size_t kMaxRecords = 64 << 10;  // bytes; a line has about 100
constexpr std::chrono::milliseconds kProbe{1000};
// Of the state folder's lock: an instance that holds it longer is stuck, and we have clients.
constexpr std::chrono::milliseconds kLock{1000};
constexpr pid_t kLeaving = 0;  // in the place of a record's pid
// Names that are remembered. Beside the newest one only those count that may still be started again: one or two.
constexpr std::size_t kMaxInstances = 32;
constexpr std::size_t kMaxName = 64;

fs::path records_path(const fs::path& state_dir) { return state_dir / "sockets"; }
fs::path instances_path(const fs::path& state_dir) { return state_dir / "instances"; }

// None where the file is not there.
Result<std::vector<std::string>> lines_of(const fs::path& file) {
  auto text = base::read_text(file, kMaxRecords);
  if (!text && text.error().kind() != ErrorKind::kNotFound) return text.error();
  std::istringstream in(text.value_or(""));
  std::vector<std::string> lines;
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

// The process that listens at the path; nullopt when none does.
Result<std::optional<net::Peer>> answering(const fs::path& path) {
  auto connected = net::connect_to(path, kProbe);
  if (connected) return std::optional(net::peer_of(connected->get()));
  switch (connected.error().kind()) {
    case ErrorKind::kNotFound:
    case ErrorKind::kUnavailable: return std::optional<net::Peer>();
    case ErrorKind::kTimedOut: return std::optional(net::Peer{});  // it listens, though it does not keep up
    default: return connected.error();
  }
}

std::string who(const net::Peer& peer) {
  return peer.pid == 0 ? "somebody who cannot be seen from here" : "process " + std::to_string(peer.pid);
}

}  // namespace

SocketClaim::Identity SocketClaim::identity_of(const struct stat& status) {
  return {status.st_dev, status.st_ino, status.st_mtim.tv_sec * 1'000'000'000LL + status.st_mtim.tv_nsec};
}

std::optional<SocketClaim::Identity> SocketClaim::identity_at(const fs::path& path) {
  struct stat found {};
  if (::lstat(path.c_str(), &found) != 0 || !S_ISSOCK(found.st_mode)) return std::nullopt;
  return identity_of(found);
}

std::optional<SocketClaim::Record> SocketClaim::parse(const std::string& line) {
  std::istringstream in(line);
  Record record;
  in >> record.generation >> record.pid >> record.identity.device >> record.identity.inode >> record.identity.mtime_ns;
  if (!in || in.get() != ' ' || !std::getline(in, record.path) || record.path.empty()) return std::nullopt;
  return record;
}

Result<std::vector<SocketClaim::Record>> SocketClaim::read_records(const fs::path& state_dir) {
  ENCLAYER_TRY(auto lines, lines_of(records_path(state_dir)));
  std::vector<Record> records;
  for (const std::string& line : lines)
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
  ENCLAYER_TRY(auto lines, lines_of(instances_path(state_dir)));
  std::vector<Named> instances;
  for (const std::string& line : lines) {
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

Result<SocketClaim> SocketClaim::take(const fs::path& path, const fs::path& state_dir, Options options) {
  const auto& [replace, instance, beacon] = options;
  if (!path.is_absolute() || !path.has_filename() || path.native().find('\n') != std::string::npos)
    return Error(ErrorKind::kInvalidArgument, "\"" + path.string() + "\" is not an absolute path to a socket");
  if (!instance.empty() && (instance.size() > kMaxName || !slots::is_slot_name(instance)))
    return Error(ErrorKind::kInvalidArgument,
                 "\"" + instance + "\" is no name of an instance: up to 64 letters, digits, '.', '_' and '-'");
  std::error_code error;
  for (const fs::path& folder : {path.parent_path(), state_dir})
    if (!fs::is_directory(folder, error)) ENCLAYER_CHECK(base::make_folder(folder, 0755));

  ENCLAYER_TRY(base::UniqueFd lock, base::lock_file(state_dir / "lock"));
  ENCLAYER_TRY(std::vector<Record> records, read_records(state_dir));
  // Lines of sockets that are gone are dropped, so that the file does not grow for ever.
  std::erase_if(records, [&](const Record& r) { return r.path != path.native() && !identity_at(r.path); });
  const Record last = record_of(path, records);

  SocketClaim claim;
  claim.path_ = path;
  claim.state_dir_ = state_dir;
  claim.beacon_ = beacon;
  ENCLAYER_TRY(claim.generation_, generation_of(instance, path, state_dir, last.generation));
  if (!instance.empty() && !replace && claim.serves(last)) {
    ENCLAYER_TRY(bool served, claim.is_served(records, {}));
    if (served) return claim;
  }
  const auto there = identity_at(path);
  const bool is_ours = last.generation > 0 && there == last.identity;
  if (!beacon.empty() && !is_ours && !replace) {
    ENCLAYER_TRY(std::optional<net::Peer> peer, answering(beacon));
    if (peer)
      return Error(ErrorKind::kConflict, who(*peer) + " already serves the slots, at " + beacon.string() +
                                             ": stop it, use another --slots-dir, or take them over with --replace");
  }
  if (there) {
    ENCLAYER_TRY(std::optional<net::Peer> peer, answering(path));
    if (peer) {
      if (!is_ours && !replace)
        return Error(ErrorKind::kConflict, who(*peer) + " already answers at " + path.string() +
                                               ": stop it, use another path, or take it over with --replace");
      log::info("socket is taken over", {{"path", path.string()},
                                         {"from_pid", peer->pid},
                                         {"from", is_ours ? "our previous instance" : "somebody else (--replace)"}});
    }
  }

  // Whether it can be recorded shows before the path is taken.
  ENCLAYER_CHECK(write_records(state_dir, records));
  ENCLAYER_TRY(claim.listener_, claim.put_in_place());
  // The record follows the rename: if we die in between, the next start finds a socket behind which nobody listens.
  claim.note(claim.record(records));
  return claim;
}

Result<base::UniqueFd> SocketClaim::take_back() {
  ENCLAYER_TRY(base::UniqueFd lock, base::lock_file(state_dir_ / "lock", kLock));
  ENCLAYER_TRY(std::vector<Record> records, read_records(state_dir_));
  if (auto loss = succession(records)) return Error(ErrorKind::kConflict, path_.string() + ": " + loss->reason);
  return put_back(records);
}

Result<base::UniqueFd> SocketClaim::put_back(std::vector<Record>& records) {
  std::error_code error;
  if (!fs::is_directory(path_.parent_path(), error)) ENCLAYER_CHECK(base::make_folder(path_.parent_path(), 0755));
  ENCLAYER_TRY(base::UniqueFd listener, put_in_place());
  note(record(records));
  return listener;
}

// Of two that have one generation, a helper and its standby, either may serve.
bool SocketClaim::serves(const Record& record) const {
  return record.path == path_.native() && record.pid != kLeaving && record.generation >= generation_ &&
         record.identity != identity_;
}

// What STATE_DIR says counts only as long as somebody answers: at the beacon, or else at the path with the socket that
// is on record (a helper of before there was a beacon has none).
Result<bool> SocketClaim::is_served(const std::vector<Record>& records, const std::optional<Identity>& silent) const {
  for (const Record& record : records) {
    if (!serves(record) || record.identity == silent) continue;
    if (!beacon_.empty()) {
      ENCLAYER_TRY(std::optional<net::Peer> at_beacon, answering(beacon_));
      if (at_beacon) return true;
      if (identity_at(path_) != record.identity) return false;
    }
    ENCLAYER_TRY(std::optional<net::Peer> peer, answering(path_));
    return peer.has_value();
  }
  return false;
}

Result<std::optional<base::UniqueFd>> SocketClaim::resume(const std::optional<Identity>& silent) {
  base::UniqueFd lock;
  std::vector<Record> records;
  // Once without the lock, which would make a newer one that is just starting wait.
  for (bool locked : {false, true}) {
    if (locked) {
      ENCLAYER_TRY(lock, base::lock_file(state_dir_ / "lock", kLock));
    }
    ENCLAYER_TRY(records, read_records(state_dir_));
    ENCLAYER_TRY(bool served, is_served(records, silent));
    if (served) return std::optional<base::UniqueFd>();
  }
  ENCLAYER_TRY(base::UniqueFd listener, put_back(records));
  return std::optional(std::move(listener));
}

std::optional<SocketClaim::Identity> SocketClaim::on_record() const {
  if (auto records = read_records(state_dir_))
    for (const Record& record : *records)
      if (record.path == path_.native()) return record.identity;
  return std::nullopt;
}

void SocketClaim::record_again() {
  if (is_recorded_) return;
  auto lock = base::lock_file(state_dir_ / "lock", kLock);
  if (!lock || identity_at(path_) != identity_) return;
  if (auto records = read_records(state_dir_); records && record(*records)) {
    is_recorded_ = true;
    log::info("socket is on record again", {{"path", path_.string()}});
  }
}

void SocketClaim::note(const Result<>& recorded) {
  is_recorded_ = recorded.has_value();
  if (!recorded) log::warn("socket is not on record, which is tried again", {{"reason", recorded.error().message()}});
}

Result<> SocketClaim::leave() const {
  ENCLAYER_TRY(base::UniqueFd lock, base::lock_file(state_dir_ / "lock", kLock));
  ENCLAYER_TRY(std::vector<Record> records, read_records(state_dir_));
  Record& ours = record_of(path_, records);
  if (ours.identity != identity_) return {};
  ours.pid = kLeaving;
  return write_records(state_dir_, records);
}

Result<base::UniqueFd> SocketClaim::put_in_place() {
  base::UniqueFd folder(::open(path_.parent_path().c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!folder) return base::errno_error(errno, "cannot open the folder of " + path_.string());
  auto placed = net::place_socket(folder.get(), path_.filename());
  if (!placed) return placed.error().with_context(path_.string());
  identity_ = identity_of(placed->status);
  return std::move(placed->listener);
}

Result<> SocketClaim::record(std::vector<Record>& records) const {
  record_of(path_, records) = {generation_, ::getpid(), identity_, path_.native()};
  return write_records(state_dir_, records);
}

std::optional<SocketClaim::Loss> SocketClaim::succession(const std::vector<Record>& records) const {
  for (const Record& record : records)
    if (record.path == path_.native() &&
        (record.generation > generation_ ||
         (record.generation == generation_ && record.identity != identity_ && is_recorded_)))
      return Loss{true, "another instance has taken over, pid " + std::to_string(record.pid)};
  return std::nullopt;
}

std::optional<SocketClaim::Loss> SocketClaim::lost() const {
  if (identity_at(path_) == identity_) return std::nullopt;
  // A successor renames first and records it next, both under the lock. If the lock cannot be had, as when it is
  // another user's by now, what is on record is all that is known; take_back() does not go on without it.
  auto lock = base::lock_file(state_dir_ / "lock", kLock);
  if (auto records = read_records(state_dir_))
    if (auto loss = succession(*records)) return loss;
  struct stat found {};
  if (::lstat(path_.c_str(), &found) != 0) return Loss{false, "the socket was removed"};
  return Loss{false, S_ISSOCK(found.st_mode) ? "somebody put another socket there"
                                             : "somebody put something there that is not a socket"};
}

}  // namespace enclayer::helper
