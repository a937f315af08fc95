// SPDX-License-Identifier: Apache-2.0
#include "sim/platform.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include "base/bytes.h"
#include "base/error.h"
#include "base/file.h"
#include "base/json.h"

namespace enclayer::sim {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMaxFile = 64 << 10;  // bytes; a key has 241, a certificate about 1,000
constexpr mode_t kOthers = 077;

// The files of a certified identity are NAME.key and NAME.crt.
constexpr char kRoot[] = "root", kPckCa[] = "pck-ca", kTcbSigning[] = "tcb-signing", kPck[] = "pck";
constexpr char kAttestationKey[] = "attestation.key";

fs::path private_folder(const fs::path& state_dir) { return state_dir / "private"; }

Error errno_at(std::string_view doing, const fs::path& path) {
  return base::errno_error(errno, std::string(doing) + " " + path.string());
}

// ---- Reading ----

Error damaged(const fs::path& state_dir, const fs::path& file, const std::string& how) {
  fs::path folder = private_folder(state_dir);
  return {ErrorKind::kMalformed,
          "the simulation's state in " + state_dir.string() + " is damaged: " + file.string() + ": " + how +
              ". Nothing was changed. Put back a copy of " + folder.string() + ", or move it away (mv " +
              folder.string() + " " + folder.string() +
              ".damaged) and start again: that makes a new simulated CA, and quotes made under the "
              "old one no longer verify with its root"};
}

Result<> closed_to_others(const fs::path& path, bool folder) {
  struct stat found {};
  if (::lstat(path.c_str(), &found) != 0) return errno_at("cannot look at", path);
  if (folder ? !S_ISDIR(found.st_mode) : !S_ISREG(found.st_mode))
    return Error(ErrorKind::kMalformed, path.string() + " is not a " + (folder ? "folder" : "plain file"));
  if ((found.st_mode & kOthers) != 0) {
    char mode[8];
    std::snprintf(mode, sizeof mode, "%04o", static_cast<unsigned>(found.st_mode & 07777));
    const char* wanted = folder ? "0700" : "0600";
    return Error(ErrorKind::kPermissionDenied,
                 path.string() + " is open to others (mode " + mode + ", it has to be " + wanted +
                     "). Nothing was changed. If nobody else can have read it: chmod " + wanted + " " + path.string());
  }
  return {};
}

Result<std::string> read_private(const fs::path& state_dir, const std::string& name) {
  fs::path path = private_folder(state_dir) / name;
  struct stat found {};
  if (::lstat(path.c_str(), &found) != 0 && errno == ENOENT) return damaged(state_dir, path, "it is missing");
  ENCLAYER_CHECK(closed_to_others(path, false));
  return base::read_text(path, kMaxFile);
}

Result<SigningKey> read_key(const fs::path& state_dir, const std::string& name) {
  ENCLAYER_TRY(std::string pem, read_private(state_dir, name));
  auto key = SigningKey::from_pem(pem);
  if (!key) return damaged(state_dir, private_folder(state_dir) / name, key.error().message());
  return key;
}

Result<Identity> read_identity(const fs::path& state_dir, const std::string& name, const Identity* issuer, Time now) {
  ENCLAYER_TRY(SigningKey key, read_key(state_dir, name + ".key"));
  ENCLAYER_TRY(std::string certificate, read_private(state_dir, name + ".crt"));
  Identity identity{std::move(key), std::move(certificate)};
  if (auto good = check_identity(identity, issuer, now); !good)
    return damaged(state_dir, private_folder(state_dir) / (name + ".crt"), good.error().message());
  return identity;
}

Result<Ca> read_ca(const fs::path& state_dir, Time now) {
  ENCLAYER_TRY(Identity root, read_identity(state_dir, kRoot, nullptr, now));
  ENCLAYER_TRY(Identity pck_ca, read_identity(state_dir, kPckCa, &root, now));
  ENCLAYER_TRY(Identity tcb_signing, read_identity(state_dir, kTcbSigning, &root, now));
  ENCLAYER_TRY(Identity pck, read_identity(state_dir, kPck, &pck_ca, now));
  return Ca{std::move(root), std::move(pck_ca), std::move(tcb_signing), std::move(pck)};
}

// ---- Making ----

Result<> write_key(const fs::path& path, const SigningKey& key) {
  ENCLAYER_TRY(std::string pem, key.to_pem());
  return base::write_file_atomic(path, base::as_bytes(pem), 0600);
}

Result<> write_identity(const fs::path& folder, const std::string& name, const Identity& identity) {
  ENCLAYER_CHECK(write_key(folder / (name + ".key"), identity.key));
  return base::write_file_atomic(folder / (name + ".crt"), base::as_bytes(identity.certificate), 0600);
}

Result<> write_private(const fs::path& folder, Time now) {
  ENCLAYER_TRY(Ca ca, make_ca(ca_order(now)));
  ENCLAYER_TRY(SigningKey attestation_key, SigningKey::generate());
  ENCLAYER_CHECK(write_identity(folder, kRoot, ca.root));
  ENCLAYER_CHECK(write_identity(folder, kPckCa, ca.pck_ca));
  ENCLAYER_CHECK(write_identity(folder, kTcbSigning, ca.tcb_signing));
  ENCLAYER_CHECK(write_identity(folder, kPck, ca.pck));
  return write_key(folder / kAttestationKey, attestation_key);
}

// The folder appears whole, by rename: a crash in between leaves no half of a CA (and what it leaves is removed here).
Result<> make_private(const fs::path& state_dir, Time now) {
  constexpr char kMaking[] = "private.new.";
  std::error_code ignored;
  for (const std::string& name : base::Root(state_dir).list(""))
    if (name.starts_with(kMaking)) fs::remove_all(state_dir / name, ignored);
  std::string making = (state_dir / (std::string(kMaking) + "XXXXXX")).string();
  if (::mkdtemp(making.data()) == nullptr) return errno_at("cannot make a folder in", state_dir);
  auto made = write_private(making, now);
  if (made && ::rename(making.c_str(), private_folder(state_dir).c_str()) != 0)
    made = errno_at("cannot rename " + making + " to", private_folder(state_dir));
  if (!made) fs::remove_all(making, ignored);
  base::UniqueFd folder(::open(state_dir.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (folder) ::fsync(folder.get());
  return made;
}

// An empty folder counts as none; the rename replaces it.
Result<bool> has_private(const fs::path& state_dir) {
  fs::path folder = private_folder(state_dir);
  struct stat found {};
  if (::lstat(folder.c_str(), &found) != 0)
    return errno == ENOENT ? Result<bool>(false) : Result<bool>(errno_at("cannot look at", folder));
  ENCLAYER_CHECK(closed_to_others(folder, true));
  std::error_code error;
  bool empty = fs::is_empty(folder, error);
  if (error) return base::errno_error(error.value(), "cannot read the folder " + folder.string());
  return !empty;
}

// When what is published was issued; nothing where it cannot be read or belongs to another CA.
std::optional<Time> published(const fs::path& state_dir, const Ca& ca) {
  auto root = base::read_text(public_root_path(state_dir), kMaxFile);
  auto json = base::read_text(public_collateral_path(state_dir), Collateral::kMaxJsonSize);
  if (!root || *root != ca.root.certificate || !json) return std::nullopt;
  auto collateral = parse_collateral_json(*json);
  if (!collateral || collateral->tcb_info_issuer_chain != ca.tcb_signing.certificate + ca.root.certificate ||
      collateral->pck_crl_issuer_chain != ca.pck_ca.certificate + ca.root.certificate)
    return std::nullopt;
  auto tcb_info = base::JsonDocument::parse(collateral->tcb_info);
  if (!tcb_info) return std::nullopt;
  auto text = tcb_info->root().text("issueDate");
  auto issued = text ? parse_time(*text) : Result<Time>(Time{});
  return issued ? std::optional(*issued) : std::nullopt;
}

}  // namespace

fs::path public_root_path(const fs::path& state_dir) { return state_dir / "public" / "root.pem"; }
fs::path public_collateral_path(const fs::path& state_dir) { return state_dir / "public" / "collateral.json"; }

Result<Platform> Platform::open(const fs::path& state_dir, Time now) {
  std::error_code error;
  // A folder that is there keeps the mode that its owner gave it.
  if (!fs::is_directory(state_dir, error)) ENCLAYER_CHECK(base::make_folder(state_dir, 0755));
  ENCLAYER_TRY(base::UniqueFd lock, base::lock_file(state_dir / "lock"));
  ENCLAYER_TRY(bool made_before, has_private(state_dir));
  if (!made_before) ENCLAYER_CHECK(make_private(state_dir, now));
  ENCLAYER_TRY(Ca ca, read_ca(state_dir, now));
  ENCLAYER_TRY(SigningKey attestation_key, read_key(state_dir, kAttestationKey));
  Platform platform(state_dir, std::move(ca), std::move(attestation_key));
  ENCLAYER_CHECK(platform.renew_locked(now));
  return platform;
}

Result<bool> Platform::renew(Time now) {
  if (now < renew_at_) return false;
  ENCLAYER_TRY(base::UniqueFd lock, base::lock_file(state_dir_ / "lock"));
  return renew_locked(now);
}

Result<bool> Platform::renew_locked(Time now) {
  auto half_life = kCollateralLife / 2;
  auto issued = published(state_dir_, ca_);
  if (issued && *issued <= now && now < *issued + half_life) {
    renew_at_ = *issued + half_life;
    return false;
  }
  CollateralOrder order = collateral_order(now);
  ENCLAYER_TRY(Collateral collateral, issue_collateral(ca_, order));
  ENCLAYER_CHECK(base::make_folder(state_dir_ / "public", 0755));
  ENCLAYER_CHECK(base::write_file_atomic(public_root_path(state_dir_), base::as_bytes(ca_.root.certificate), 0644));
  ENCLAYER_CHECK(
      base::write_file_atomic(public_collateral_path(state_dir_), base::as_bytes(to_json(collateral)), 0644));
  renew_at_ = order.issued + half_life;
  return true;
}

}  // namespace enclayer::sim
